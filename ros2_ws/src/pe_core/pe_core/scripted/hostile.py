"""Policies that ask for what no filter should let through; for trying filters, not for playing."""

import math

import torch
from torch import Tensor, nn

from pe_core.scripted.view import decode


class Uniform(nn.Module):
    """Any speed and any turn rate; noise (N, 2): turn rate, speed."""

    def forward(self, observation: Tensor, noise: Tensor) -> Tensor:
        return torch.stack([noise[:, 1], 2.0 * noise[:, 0] - 1.0], dim=1)


class Ram(nn.Module):
    """Full speed at the nearest thing: wall, obstacle or the other robot."""

    def forward(self, observation: Tensor) -> Tensor:
        view = decode(observation)
        zero = torch.zeros_like(view.x)
        # To each thing: its direction, and the gap between it and the body.
        ax = torch.cat([torch.stack([1.0 - view.x, -1.0 - view.x, zero, zero, view.dx]), view.rx])
        ay = torch.cat([torch.stack([zero, zero, 1.0 - view.y, -1.0 - view.y, view.dy]), view.ry])
        size = torch.cat([torch.stack([zero, zero, zero, zero, view.opponent_body]), view.radius])
        gap = torch.hypot(ax, ay) - size
        nearest = gap.argmin(dim=0, keepdim=True)
        tx, ty = ax.gather(0, nearest).squeeze(0), ay.gather(0, nearest).squeeze(0)
        bearing = torch.atan2(ty * view.c - tx * view.s, tx * view.c + ty * view.s)
        turn = (bearing / view.turn_step).clamp(-1.0, 1.0)
        # Full speed at once, but for what is behind.
        v = torch.where(bearing.abs() < 0.6 * math.pi, 1.0, 0.0).to(turn.dtype)
        return torch.nan_to_num(torch.stack([v, turn], dim=1))

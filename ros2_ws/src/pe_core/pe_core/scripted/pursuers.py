"""Scripted pursuers."""

import torch
from torch import Tensor, nn

from pe_core.scripted.steering import lane, steer
from pe_core.scripted.view import View, decode


class PurePursuit(nn.Module):
    """Goes to where the evader is."""

    def forward(self, observation: Tensor) -> Tensor:
        view = decode(observation)
        return steer(view, view.x + view.dx, view.y + view.dy)


def frontier_midpoint(view: View) -> tuple[Tensor, Tensor]:
    """Midpoint of the points inside the arena that both robots reach at the same time (equal speeds).

    These are the chord that the perpendicular bisector of the robots cuts from the arena: m + s w, with m the
    middle between them and w across the line of sight.
    """
    distance = torch.hypot(view.dx, view.dy).clamp(min=1e-9)
    wx, wy = -view.dy / distance, view.dx / distance
    mx, my = view.x + 0.5 * view.dx, view.y + 0.5 * view.dy
    limit = lane(view)
    sx = torch.where(wx >= 0.0, 1.0, -1.0) * wx.abs().clamp(min=1e-9)
    sy = torch.where(wy >= 0.0, 1.0, -1.0) * wy.abs().clamp(min=1e-9)
    ax, bx = (-limit - mx) / sx, (limit - mx) / sx
    ay, by = (-limit - my) / sy, (limit - my) / sy
    low = torch.maximum(torch.minimum(ax, bx), torch.minimum(ay, by)).clamp(max=0.0)
    high = torch.minimum(torch.maximum(ax, bx), torch.maximum(ay, by)).clamp(min=0.0)
    middle = 0.5 * (low + high)
    return mx + middle * wx, my + middle * wy


class LeadPursuit(nn.Module):
    """Goes to where it can cut the evader off."""

    def forward(self, observation: Tensor) -> Tensor:
        view = decode(observation)
        x, y = frontier_midpoint(view)
        return steer(view, x, y)

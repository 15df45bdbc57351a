"""Scripted evaders."""

import math

import torch
from torch import Tensor, nn

from pe_core.scripted.steering import inside, steer
from pe_core.scripted.view import View, decode

REACH = 0.15  # how far ahead a direction is pursued


class RandomWalk(nn.Module):
    """Goes in a random direction; noise (N, 2): direction, speed."""

    def __init__(self) -> None:
        super().__init__()
        self.reach = REACH

    def forward(self, observation: Tensor, noise: Tensor) -> Tensor:
        view = decode(observation)
        angle = 2.0 * math.pi * noise[:, 0]
        action = steer(view, view.x + self.reach * torch.cos(angle), view.y + self.reach * torch.sin(angle))
        speed = 0.5 + 0.5 * noise[:, 1]
        return torch.stack([action[:, 0] * speed, action[:, 1]], dim=1)


class Flee(nn.Module):
    """Straight away from the pursuer, along walls where they are in the way."""

    def __init__(self) -> None:
        super().__init__()
        self.reach = REACH

    def forward(self, observation: Tensor) -> Tensor:
        view = decode(observation)
        distance = torch.hypot(view.dx, view.dy).clamp(min=1e-9)
        return steer(view, view.x - self.reach * view.dx / distance, view.y - self.reach * view.dy / distance)


class LookAhead(nn.Module):
    """Rolls 16 headings forward against a pursuer that goes straight for it."""

    def __init__(self) -> None:
        super().__init__()
        angle = torch.arange(16, dtype=torch.float64) * (2.0 * math.pi / 16)
        self.register_buffer("ux", torch.cos(angle).unsqueeze(1))
        self.register_buffer("uy", torch.sin(angle).unsqueeze(1))
        self.reach = REACH
        self.steps = 12
        self.horizon = 0.6

    def forward(self, observation: Tensor) -> Tensor:
        view = decode(observation)
        hx = self.ux * view.c - self.uy * view.s
        hy = self.uy * view.c + self.ux * view.s
        limit = 1.0 - view.body - view.offset - 0.004
        step = self.horizon / self.steps
        # distance to the first obstacle on each heading (16, N)
        inflated = view.radius + (view.body + view.offset + 0.004)
        along = hx.unsqueeze(1) * view.rx + hy.unsqueeze(1) * view.ry
        across = hx.unsqueeze(1) * view.ry - hy.unsqueeze(1) * view.rx
        half = inflated * inflated - across * across
        entry = torch.where(
            (half > 0.0) & (along > 0.0), along - torch.sqrt(half.clamp(min=0.0)), 10.0
        ).amin(dim=1).clamp(min=0.0)
        ex = view.x.expand(16, -1).contiguous()
        ey = view.y.expand(16, -1).contiguous()
        px = view.x + view.dx
        py = view.y + view.dy
        pursuer = step * view.ratio
        worst = torch.full_like(ex, 10.0)
        reached = torch.zeros_like(ex)
        total = torch.zeros_like(ex)
        far = torch.hypot(px - ex, py - ey)
        for i in range(self.steps):
            go = (entry - i * step).clamp(0.0, step)
            ex = torch.minimum(torch.maximum(ex + hx * go, -limit), limit)
            ey = torch.minimum(torch.maximum(ey + hy * go, -limit), limit)
            gx, gy = ex - px, ey - py
            far = torch.hypot(gx, gy)
            move = (pursuer / far.clamp(min=1e-9)).clamp(max=1.0)
            px, py = px + gx * move, py + gy * move
            far = far * (1.0 - move)
            worst = torch.minimum(worst, far)
        score = worst + 0.1 * far
        best = score.argmax(dim=0, keepdim=True)
        bx, by = hx.gather(0, best).squeeze(0), hy.gather(0, best).squeeze(0)
        return steer(view, view.x + self.reach * bx, view.y + self.reach * by)


class BoundaryRunner(nn.Module):
    """Runs along the walls."""

    def __init__(self) -> None:
        super().__init__()
        self.reach = REACH

    def forward(self, observation: Tensor) -> Tensor:
        view = decode(observation)
        # square angle: run around the boundary in the sense that leads away from the pursuer
        cross = view.x * view.dy - view.y * view.dx
        turn = torch.where(cross > 0.0, -1.0, 1.0)
        limit = 1.0 - view.body - view.offset - 0.006
        scale = limit / torch.maximum(view.x.abs(), view.y.abs()).clamp(min=1e-6)
        bx, by = view.x * scale, view.y * scale
        on_x = bx.abs() >= by.abs()
        tx = torch.where(on_x, 0.0, -turn * torch.sign(by))
        ty = torch.where(on_x, turn * torch.sign(bx), 0.0)
        return steer(view, bx + self.reach * tx, by + self.reach * ty)


class Hider(nn.Module):
    """Keeps the obstacle that is best for it between itself and the pursuer."""

    def __init__(self) -> None:
        super().__init__()
        self.fallback = LookAhead()

    def forward(self, observation: Tensor) -> Tensor:
        view = decode(observation)
        px, py = view.dx.unsqueeze(0), view.dy.unsqueeze(0)
        ax, ay = view.rx - px, view.ry - py
        away = torch.hypot(ax, ay).clamp(min=1e-9)
        ring = view.radius + (view.body + view.offset + 0.008)
        hx, hy = view.rx + ax / away * ring, view.ry + ay / away * ring
        mine = torch.hypot(hx, hy)
        best = mine.argmin(dim=0, keepdim=True)
        gx, gy = hx.gather(0, best).squeeze(0), hy.gather(0, best).squeeze(0)
        return torch.where((view.radius[0] > 0.0).unsqueeze(1), steer(view, view.x + gx, view.y + gy),
                           self.fallback(observation))

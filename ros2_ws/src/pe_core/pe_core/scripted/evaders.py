"""Scripted evaders."""

import math

import torch
from torch import Tensor, nn

from pe_core.scripted.steering import boundary_length, boundary_point, lane, ring, steer
from pe_core.scripted.view import View, decode

REACH = 0.4  # how far ahead a direction is pursued; more than the largest obstacle is wide
ENOUGH = 0.1  # lead with which a hider is content
HEADINGS = 16
STEPS = 20
HORIZON = 1.5  # 15 s in the reference game: long enough to see that a corner is a trap


class RandomWalk(nn.Module):
    """Goes in a random direction at a random speed; noise (N, 2): direction, speed."""

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
    """Straight away from the pursuer; along walls and around obstacles that are in the way."""

    def __init__(self) -> None:
        super().__init__()
        self.reach = REACH

    def forward(self, observation: Tensor) -> Tensor:
        view = decode(observation)
        distance = torch.hypot(view.dx, view.dy).clamp(min=1e-9)
        return steer(view, view.x - self.reach * view.dx / distance, view.y - self.reach * view.dy / distance)


def best_heading(view: View, headings: Tensor, steps: int = STEPS, horizon: float = HORIZON) -> Tensor:
    """The heading (2, N), of those given in the body frame (2, K, 1), that keeps the pursuer away best.

    Every heading is followed for ``horizon``: straight, along the wall once it is met (at full speed, to the
    corner), up to an obstacle.  The pursuer is predicted to go straight for the evader all the while.  With r_k the
    distance after step k, w_k = min(r_1 .. r_k), the score is w_end + mean(w) / 4 + r_end / 50: the worst distance;
    where capture is certain, the latest one; for the rest, the farthest.
    """
    limit = lane(view)
    hx = headings[0] * view.c - headings[1] * view.s
    hy = headings[1] * view.c + headings[0] * view.s
    h = torch.stack([hx, hy])
    along = hx.unsqueeze(1) * view.rx + hy.unsqueeze(1) * view.ry
    across = hx.unsqueeze(1) * view.ry - hy.unsqueeze(1) * view.rx
    circle = ring(view)
    half = circle * circle - across * across
    hit = torch.where((half > 0.0) & (along > 0.0), along - torch.sqrt(half.clamp(min=0.0)), 10.0)
    free = hit.amin(dim=1).clamp(min=0.0)
    sign = torch.sign(h)
    start = torch.stack([view.x, view.y]).unsqueeze(1)
    wall = ((limit - sign * start) / h.abs().clamp(min=1e-9)).clamp(min=0.0).flip(0)
    slide = sign * (1.0 - h.abs())
    pursuer = start + torch.stack([view.dx, view.dy]).unsqueeze(1)
    step = horizon / steps
    stride = view.ratio * step
    worst = torch.full_like(hx, 1e3)
    total = torch.zeros_like(hx)
    distance = worst
    for k in range(steps):
        s = free.clamp(max=(k + 1) * step)
        evader = torch.addcmul(torch.addcmul(start, h, s), slide, (s - wall).clamp(min=0.0))
        gap = torch.clamp(evader, -limit, limit) - pursuer
        distance = torch.hypot(gap[0], gap[1])
        pursuer = torch.addcmul(pursuer, gap, (stride / distance).clamp(max=1.0))
        worst = torch.minimum(worst, distance)
        total = total + worst
    score = worst + total * (0.25 / steps) + 0.02 * distance
    best = score.argmax(dim=0, keepdim=True)
    return torch.cat([hx.gather(0, best), hy.gather(0, best)])


def fan(count: int) -> Tensor:
    """``count`` headings evenly around the body, unit vectors of shape (2, count, 1)."""
    angle = torch.arange(count, dtype=torch.float64) * (2.0 * math.pi / count)
    return torch.stack([torch.cos(angle), torch.sin(angle)]).unsqueeze(2)


class LookAhead(nn.Module):
    """Rolls 16 headings forward against the pursuit that it expects and takes the best: :func:`best_heading`."""

    def __init__(self) -> None:
        super().__init__()
        self.reach = REACH
        self.register_buffer("headings", fan(HEADINGS))

    def forward(self, observation: Tensor) -> Tensor:
        view = decode(observation)
        h = best_heading(view, self.headings)
        return steer(view, view.x + self.reach * h[0], view.y + self.reach * h[1])


class BoundaryRunner(nn.Module):
    """Runs around the arena along its walls, in the sense that the pursuer can block least.

    Each sense is scored by min over t of |b(t) - p| - ratio t, b(t) the way along the boundary, p the pursuer; the
    sense in which the robot already goes has a bonus.
    """

    def __init__(self) -> None:
        super().__init__()
        self.ahead = 0.15
        self.bonus = 0.1
        self.register_buffer("times", torch.arange(1, 9, dtype=torch.float64).unsqueeze(1) * 0.2)

    def forward(self, observation: Tensor) -> Tensor:
        view = decode(observation)
        limit = lane(view)
        scale = limit / torch.maximum(view.x.abs(), view.y.abs()).clamp(min=1e-6)
        u = boundary_length(view.x * scale, view.y * scale, limit)
        px, py = view.x + view.dx, view.y + view.dy
        lx, ly = boundary_point(u + self.times, limit)
        rx, ry = boundary_point(u - self.times, limit)
        threat = view.ratio * self.times
        left = (torch.hypot(lx - px, ly - py) - threat).amin(dim=0)
        right = (torch.hypot(rx - px, ry - py) - threat).amin(dim=0)
        x, y = boundary_point(u + self.ahead, limit)
        bx, by = boundary_point(u - self.ahead, limit)
        going = (view.c * (x - bx) + view.s * (y - by)) / self.ahead
        sense = left - right + self.bonus * going >= 0.0
        return steer(view, torch.where(sense, x, bx), torch.where(sense, y, by))


class Hider(nn.Module):
    """Keeps an obstacle between itself and the pursuer.

    Its place behind an obstacle is the point of the ring about it that is opposite the pursuer.  It takes the
    nearest place that it reaches ENOUGH ahead of the pursuer, else the one with the greatest lead; where it has no
    lead at all, it flees like :class:`LookAhead`.  At equal speeds it keeps its place behind a round
    obstacle for ever: the pursuer's way round is not shorter.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reach = REACH
        self.enough = ENOUGH
        self.register_buffer("headings", fan(HEADINGS))

    def forward(self, observation: Tensor) -> Tensor:
        view = decode(observation)
        ax, ay = view.rx - view.dx, view.ry - view.dy
        gap = torch.hypot(ax, ay).clamp(min=1e-9)
        circle = ring(view) + 1e-3
        hx, hy = view.rx + ax / gap * circle, view.ry + ay / gap * circle
        way = torch.hypot(hx, hy)
        lead = (gap + circle) / view.ratio.clamp(min=1e-3) - way
        lead = torch.where(view.radius > 0.0, lead, -1.0)
        _, best = (lead.clamp(max=self.enough) - 0.1 * way).max(dim=0, keepdim=True)
        most = lead.gather(0, best)
        gx, gy = hx.gather(0, best).squeeze(0), hy.gather(0, best).squeeze(0)
        hide = most.squeeze(0) > 0.0
        if not bool(hide.all()):
            h = best_heading(view, self.headings)
            gx, gy = torch.where(hide, gx, self.reach * h[0]), torch.where(hide, gy, self.reach * h[1])
        return steer(view, view.x + gx, view.y + gy)

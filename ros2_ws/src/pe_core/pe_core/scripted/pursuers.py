"""Scripted pursuers."""

import torch
from torch import Tensor, nn

from pe_core.scripted.steering import boundary_length, boundary_point, detour, lane, ring, steer
from pe_core.scripted.view import View, decode

LEAD = 0.15  # time by which the evader is led, over its distance
HORIZON = 0.9  # longest time to an intercept that is believed
INTERCEPTS = 18
SLACK = 1.5  # capture radii by which an intercept may be missed
ALONG_WALL = 0.1  # an evader this near a wall is taken to run along it


class PurePursuit(nn.Module):
    """Goes to where the evader is."""

    def forward(self, observation: Tensor) -> Tensor:
        view = decode(observation)
        return steer(view, view.x + view.dx, view.y + view.dy)


def predicted(view: View, time: Tensor) -> tuple[Tensor, Tensor]:
    """Where the evader is after ``time`` if it keeps its speed, straight on and then along the walls it meets."""
    limit = lane(view)
    ex = torch.clamp(view.x + view.dx, -limit, limit)
    ey = torch.clamp(view.y + view.dy, -limit, limit)
    to_x = (limit - ex * torch.sign(view.ox)) / view.ox.abs().clamp(min=1e-6)
    to_y = (limit - ey * torch.sign(view.oy)) / view.oy.abs().clamp(min=1e-6)
    wall = torch.minimum(to_x, to_y).clamp(min=0.0)
    start = boundary_length(ex + view.ox * wall, ey + view.oy * wall, limit)
    turn = torch.where(to_x <= to_y, torch.sign(view.ox) * view.oy, -torch.sign(view.oy) * view.ox)
    way = time * view.opponent_v
    bx, by = boundary_point(start + torch.where(turn >= 0.0, 1.0, -1.0) * (way - wall).clamp(min=0.0), limit)
    free = way < wall
    return torch.where(free, ex + view.ox * way, bx), torch.where(free, ey + view.oy * way, by)


def frontier_midpoint(view: View, dx: Tensor, dy: Tensor) -> tuple[Tensor, Tensor]:
    """Midpoint, relative to the robot, of the frontier between it and an evader at (dx, dy) from it.

    The frontier is the chord that the perpendicular bisector of the two cuts from the arena: the points that both
    reach at the same time.  Going for its midpoint shrinks the evader's side of the arena fastest, at equal speeds
    and without obstacles until capture (Huang, Zhang, Ding, Stipanovic, Tomlin: Guaranteed decentralized
    pursuit-evasion in the plane with multiple pursuers, CDC 2011).
    """
    distance = torch.hypot(dx, dy).clamp(min=1e-9)
    wx, wy = -dy / distance, dx / distance
    mx, my = 0.5 * dx, 0.5 * dy
    limit = lane(view)
    sx = torch.where(wx >= 0.0, 1.0, -1.0) * wx.abs().clamp(min=1e-9)
    sy = torch.where(wy >= 0.0, 1.0, -1.0) * wy.abs().clamp(min=1e-9)
    ax, bx = (-limit - mx - view.x) / sx, (limit - mx - view.x) / sx
    ay, by = (-limit - my - view.y) / sy, (limit - my - view.y) / sy
    low = torch.maximum(torch.minimum(ax, bx), torch.minimum(ay, by)).clamp(max=0.0)
    high = torch.minimum(torch.maximum(ax, bx), torch.maximum(ay, by)).clamp(min=0.0)
    s = 0.5 * (low + high)
    mx, my = mx + s * wx, my + s * wy
    return mx, my


class LeadPursuit(nn.Module):
    """Goes to where it cuts the evader off.

    While the evader runs along a wall and a point of its predicted way can be reached before it, or nearly, that is
    the earliest such intercept.  Otherwise, since an evader in the open may turn at any time, it is the midpoint of
    the frontier to the evader led by a part of its distance.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lead = LEAD
        self.slack = SLACK
        self.near = ALONG_WALL
        times = torch.arange(1, INTERCEPTS + 1, dtype=torch.float64) * (HORIZON / INTERCEPTS)
        self.register_buffer("times", times.unsqueeze(1))

    def forward(self, observation: Tensor) -> Tensor:
        view = decode(observation)
        lx, ly = predicted(view, self.lead * torch.hypot(view.dx, view.dy))
        gx, gy = frontier_midpoint(view, lx - view.x, ly - view.y)
        px, py = predicted(view, self.times)
        px, py = px - view.x, py - view.y
        reached = torch.hypot(px, py) <= self.times + self.slack * view.capture
        first = reached.to(px.dtype).argmax(dim=0, keepdim=True)
        wall = torch.maximum((view.x + view.dx).abs(), (view.y + view.dy).abs()) > lane(view) - self.near
        cut = reached.any(dim=0) & wall & (view.opponent_v > 0.3 * view.ratio)
        gx = torch.where(cut, px.gather(0, first).squeeze(0), gx)
        gy = torch.where(cut, py.gather(0, first).squeeze(0), gy)
        # Among obstacles such a point may lie in one, or lead away from an evader behind one by the way that there is;
        # then the evader itself is the point to go to, and the way to it gets shorter.
        wx, wy = detour(view, view.dx, view.dy)
        covered = (torch.hypot(gx - view.rx, gy - view.ry) < ring(view)).any(dim=0)
        hidden = view.dx * wx + view.dy * wy < (1.0 - 1e-9) * torch.hypot(view.dx, view.dy)
        covered = covered | (hidden & (gx * wx + gy * wy <= 0.0))
        gx, gy = torch.where(covered, view.dx, gx), torch.where(covered, view.dy, gy)
        return steer(view, view.x + gx, view.y + gy)

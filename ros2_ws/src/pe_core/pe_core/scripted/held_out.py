"""Held-out evaders: no policy is trained or chosen against them, so that they show whether a pursuer generalises.

One plans deeper than any opponent of the training, one draws between tactics, one plays as a person might.  They are
not among ``training.opponents``.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from pe_core.scripted.evaders import REACH, BoundaryRunner, Flee, LookAhead, fan
from pe_core.scripted.steering import lane, ring, steer
from pe_core.scripted.view import View, decode

HEADINGS = 16  # of the first stage
TURNS = 10  # of the second, all around
KEPT = 4  # plans of the first stage that are branched
STEPS = 20
SWITCH = 8  # step at which a plan turns
HORIZON = 2.0  # the way along a whole wall: 20 s in the reference game
NEAREST = 2  # obstacles, by their gap to the evader, which the pursuer is predicted to go around
LEAD = 0.6  # time by which the pursuer is predicted to lead, over its distance

LOOK_AHEAD, RUN, FLEE = 0.4, 0.6, 0.8  # of the draws of a tactic, each up to here; the rest are dodges
DODGE_LEAST, DODGE_MOST = 1.0, 2.0  # [rad] from straight away
DODGE_FAR = 0.8  # distance beyond which a dodge is a waste
DODGE_NEAR = 4.0  # capture radii within which it is the end

PLACES = 5  # in a row of the grid
OUTERMOST = 0.9
PLACES_STEPS = 16
SHIFT = 0.15  # of the grid
REACHED = 0.12
KEEP = 0.02  # worth of the direction in which one already goes
FANCY = 0.02  # worth of the drawn direction
WRONG, FANCY_WRONG = 0.08, 1.0  # share of draws that are mistakes; the worth that it then has
AIM = 0.3  # [rad] by which one misses
PAUSE, PAUSE_PACE = 0.1, 0.1  # share of draws in which one hesitates; the speed that is left
LEAST_PACE = 0.6
FEAR, CALM = 0.5, 0.7  # distances within which one goes all out, and beyond which at one's own pace


class Rollout(NamedTuple):
    """K plans in N games, at one moment; positions in the map frame."""

    evader: Tensor  # (2, K, N)
    pursuer: Tensor  # (2, K, N)
    worst: Tensor  # (K, N): least distance of the two so far
    total: Tensor  # (K, N): sum of that over the steps so far
    distance: Tensor  # (K, N): of the two, now


def follow(
    view: View,
    start: Rollout,
    h: Tensor,
    steps: int,
    mark: int,
    step: float,
    lead: float = LEAD,
    nearest: int = NEAREST,
) -> tuple[Rollout, Rollout]:
    """Rolls the headings h (2, K, N) forward from ``start``; returns what is after ``mark`` and after all ``steps``.

    The evader goes straight at its full speed, up to an obstacle; at a wall it turns along it, by the side that
    its heading leans to, and in the corner along the next wall.  The pursuer goes at its full speed for the point
    e + lead |e - p| e', e' the evader's velocity (pure pursuit for lead = 0), moved out of the NEAREST obstacles.  It
    sees a turn at once: plans that count on a slow reaction lose against pursuers that have none.
    """
    limit, circle = lane(view), ring(view).unsqueeze(1)
    centre = torch.stack([view.rx + view.x, view.ry + view.y]).unsqueeze(2)
    ox, oy = centre[0] - start.evader[0], centre[1] - start.evader[1]
    along = h[0] * ox + h[1] * oy
    across = h[0] * oy - h[1] * ox
    half = circle * circle - across * across
    hit = torch.where((half > 0.0) & (along > 0.0), along - torch.sqrt(half.clamp(min=0.0)), 10.0)
    free = hit.amin(dim=0).clamp(min=0.0)
    # Times: to either wall, and on along the one that is met first to its corner.  There the way leads back from
    # the first wall.
    sign, size = torch.sign(h), h.abs().clamp(min=1e-9)
    room = limit - sign * start.evader
    wall = (room / size).clamp(min=0.0)
    first = wall.amin(dim=0)
    at_x = wall[0] < wall[1]
    corner = first + torch.where(at_x, room[1] - size[1] * first, room[0] - size[0] * first).clamp(min=0.0)
    back = torch.stack([torch.where(at_x, -sign[0], 0.0), torch.where(at_x, 0.0, -sign[1])])
    slide = sign * (1.0 - size)
    wall = wall.flip(0)
    stride = view.ratio * step
    evader, pursuer = start.evader, start.pursuer
    worst, total, distance = start.worst, start.total, start.distance
    marked = start
    for k in range(steps):
        s = free.clamp(max=(k + 1) * step)
        there = torch.addcmul(torch.addcmul(start.evader, h, s), slide, (s - wall).clamp(min=0.0))
        there = torch.addcmul(torch.clamp(there, -limit, limit), back, (s - corner).clamp(min=0.0))
        gap = there - pursuer
        distance = torch.hypot(gap[0], gap[1])
        aim = torch.addcmul(gap, there - evader, distance * (lead / step))
        pursuer = torch.addcmul(pursuer, aim, (stride / torch.hypot(aim[0], aim[1])).clamp(max=1.0))
        for i in range(min(centre.size(1), nearest)):
            off = pursuer - centre[:, i]
            push = circle[i] * torch.rsqrt((off[0] * off[0] + off[1] * off[1]).clamp(min=1e-9)) - 1.0
            pursuer = torch.addcmul(pursuer, off, push.clamp(min=0.0))
        evader = there
        worst = torch.minimum(worst, distance)
        total = total + worst
        if k + 1 == mark:
            marked = Rollout(evader, pursuer, worst, total, distance)
    return marked, Rollout(evader, pursuer, worst, total, distance)


def branch(values: Tensor, kept: Tensor, count: int) -> Tensor:
    """The rows ``kept`` (B, N) of values (K, N), each ``count`` times: (count B, N), row j B + b is kept row b."""
    return values.gather(0, kept).repeat(count, 1)


def rollout(view: View, h: Tensor) -> Rollout:
    """Where everyone is now, for the plans h (2, K, N)."""
    here = torch.stack([view.x, view.y]).unsqueeze(1).expand_as(h)
    there = here + torch.stack([view.dx, view.dy]).unsqueeze(1)
    far = torch.full_like(h[0], 1e3)
    return Rollout(here, there, far, torch.zeros_like(far), far)


def score(end: Rollout, steps: int) -> Tensor:
    """The score of ``pe_core.scripted.evaders.best_heading``: worst distance; the latest; the farthest; (K, N)."""
    return end.worst + end.total * (0.25 / steps) + 0.02 * end.distance


class Deep(nn.Module):
    """Plans of two headings against a pursuer that leads, with walls and obstacles in the way: :func:`follow`.

    HEADINGS headings are followed to the horizon; the best KEPT of them are branched after SWITCH steps into TURNS
    headings each.  The first heading of the plan with the best :func:`score` is taken; the next step plans anew.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reach = REACH
        self.steps = STEPS
        self.switch = SWITCH
        self.kept = KEPT
        self.turns = TURNS
        self.step = HORIZON / STEPS
        self.register_buffer("headings", fan(HEADINGS))
        self.register_buffer("turn", fan(TURNS).unsqueeze(3))

    def forward(self, observation: Tensor) -> Tensor:
        view = decode(observation)
        hx = self.headings[0] * view.c - self.headings[1] * view.s
        hy = self.headings[1] * view.c + self.headings[0] * view.s
        h = torch.stack([hx, hy])
        at, end = follow(view, rollout(view, h), h, self.steps, self.switch, self.step)
        straight, best = score(end, self.steps).topk(self.kept, dim=0)
        fx, fy = hx.gather(0, best), hy.gather(0, best)
        turned = torch.stack([self.turn[0] * fx - self.turn[1] * fy, self.turn[1] * fx + self.turn[0] * fy])
        turning = Rollout(
            torch.stack([branch(at.evader[0], best, self.turns), branch(at.evader[1], best, self.turns)]),
            torch.stack([branch(at.pursuer[0], best, self.turns), branch(at.pursuer[1], best, self.turns)]),
            branch(at.worst, best, self.turns),
            branch(at.total, best, self.turns),
            branch(at.distance, best, self.turns),
        )
        rest = self.steps - self.switch
        _, end = follow(view, turning, turned.flatten(1, 2), rest, rest, self.step)
        plans = score(end, self.steps).view(self.turns, self.kept, -1).amax(dim=0)
        choice = torch.maximum(plans, straight).argmax(dim=0, keepdim=True)
        gx, gy = fx.gather(0, choice).squeeze(0), fy.gather(0, choice).squeeze(0)
        return steer(view, view.x + self.reach * gx, view.y + self.reach * gy)


class Mixed(nn.Module):
    """Plays the tactic that its noise draws; noise (N, 3): side of a dodge, tactic, width of a dodge.

    Of ten draws four are :class:`LookAhead`, two :class:`BoundaryRunner`, two :class:`Flee` and two dodges: to the
    drawn side, 1 to 2 rad from straight away (beyond pi / 2 it cuts back past the pursuer).  With the pursuer far
    off, or about to capture, it flees instead.  A tactic lasts for as many draws as it comes up in a row.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reach = REACH
        self.shares = (LOOK_AHEAD, RUN, FLEE)
        self.least = DODGE_LEAST
        self.most = DODGE_MOST
        self.far = DODGE_FAR
        self.near = DODGE_NEAR
        self.look_ahead = LookAhead()
        self.flee = Flee()
        self.boundary = BoundaryRunner()

    def forward(self, observation: Tensor, noise: Tensor) -> Tensor:
        view = decode(observation)
        distance = torch.hypot(view.dx, view.dy).clamp(min=1e-9)
        ux, uy = -view.dx / distance, -view.dy / distance
        angle = self.least + (self.most - self.least) * noise[:, 2]
        angle = torch.where(noise[:, 0] < 0.5, angle, -angle)
        c, s = torch.cos(angle), torch.sin(angle)
        gx, gy = c * ux - s * uy, s * ux + c * uy
        dodge = steer(view, view.x + self.reach * gx, view.y + self.reach * gy)
        worth_it = ((distance < self.far) & (distance > self.near * view.capture)).unsqueeze(1)
        tactic = noise[:, 1].unsqueeze(1)
        action = torch.where((tactic >= self.shares[2]) & worth_it, dodge, self.flee(observation))
        action = torch.where(tactic < self.shares[1], self.boundary(observation), action)
        return torch.where(tactic < self.shares[0], self.look_ahead(observation), action)


class Waypoints(nn.Module):
    """Goes from place to place as a person at the controls might: imprecise, hesitant, at times wrong.

    Noise (N, 6): shift of the places along y, fancy along y, aim; shift along x, fancy along x, mood.  The places are
    a grid of 5 x 5, shifted by the noise; one that is reached does not count.  With h the direction of a place, theta
    the own heading and f the drawn fancy, it goes to the place with the most

        score(h) + KEEP h . theta + FANCY h . f,

    score as for :class:`Deep`, for the way to the place and on.  In WRONG of the draws the fancy outweighs what is
    seen.  It misses the place by up to AIM, takes its time while the pursuer is far, and at times nearly stops then.
    """

    def __init__(self) -> None:
        super().__init__()
        row = torch.linspace(-OUTERMOST, OUTERMOST, PLACES, dtype=torch.float64)
        self.register_buffer("grid", torch.cartesian_prod(row, row).t().unsqueeze(2).contiguous())
        self.steps = PLACES_STEPS
        self.step = HORIZON / PLACES_STEPS
        self.shift = SHIFT
        self.reached = REACHED
        self.keep = KEEP
        self.fancy = FANCY
        self.wrong = WRONG
        self.fancy_wrong = FANCY_WRONG
        self.aim = AIM
        self.pause = PAUSE
        self.pause_pace = PAUSE_PACE
        self.least_pace = LEAST_PACE
        self.fear = FEAR
        self.calm = CALM

    def forward(self, observation: Tensor, noise: Tensor) -> Tensor:
        view = decode(observation)
        limit = lane(view)
        u = 2.0 * noise.t() - 1.0
        mood = noise[:, 5]
        wx = torch.clamp(self.grid[0] + self.shift * u[3], -limit, limit) - view.x
        wy = torch.clamp(self.grid[1] + self.shift * u[0], -limit, limit) - view.y
        way = torch.hypot(wx, wy).clamp(min=1e-9)
        h = torch.stack([wx / way, wy / way])
        _, end = follow(view, rollout(view, h), h, self.steps, self.steps, self.step)
        fancy = torch.where(mood < self.wrong, self.fancy_wrong, self.fancy)
        worth = (
            score(end, self.steps)
            + self.keep * (h[0] * view.c + h[1] * view.s)
            + fancy * (h[0] * u[4] + h[1] * u[1])
        )
        best = torch.where(way < self.reached, -10.0, worth).argmax(dim=0, keepdim=True)
        gx, gy = wx.gather(0, best).squeeze(0), wy.gather(0, best).squeeze(0)
        c, s = torch.cos(self.aim * u[2]), torch.sin(self.aim * u[2])
        action = steer(view, view.x + c * gx - s * gy, view.y + s * gx + c * gy)
        ease = (torch.hypot(view.dx, view.dy) - self.fear) / (self.calm - self.fear)
        ease = torch.nan_to_num(ease.clamp(0.0, 1.0))
        pace = self.least_pace + (1.0 - self.least_pace) * mood
        pace = torch.where(mood > 1.0 - self.pause, self.pause_pace, pace)
        return torch.stack([action[:, 0] * (1.0 - ease * (1.0 - pace)), action[:, 1]], dim=1)

r"""The filter's rows of ideal robots that are known exactly, in torch operations: batched, differentiable,
TorchScript-able.

Equations in :mod:`pe_safety.barriers`.  Of :mod:`pe_safety.rows` this is what is left of robots without lag, dead
time and resolution, both known exactly and both filtered (cooperative), under the discrete condition with the arc's
margin.

Everything is seen from the robot: x forward, y left, the body's centre p at (0, 0), the control point q at (d, 0).
Walls (east, west, north, south), obstacles and the other robot, in this order, are K things; an axis of 2 has what is
seen from q, then from p.  With beta the direction of a thing, s its distance (of a wall: of the wall's line), k what
is kept from it and gap = s - k, a barrier's h over its gradient is

    h / |grad h| = gap - c gap^2 / s,    c = 0 for walls,  1/2 for circles seen from q

because (s^2 - k^2) / (2 s) = gap (s + k) / (2 s).  Rows that cannot bind, which the compiled kernels leave out, are
there.  What the kernels do not ask of one robot of a batch has the right-hand side +inf.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from pe_core.robot import OMEGA_MAX, RADIUS, TRACK, V_MAX, V_MIN, VCP_OFFSET, WHEEL_SPEED_MAX

# As in pe_safety.rows.  TorchScript reads no globals: functions take them as default arguments.
BODY_CLOSING, SKIN = 0.9, 0.1
WALLS = 4
NEVER = 2.0
"""A cosine that no heading has."""
# Of what is not there.
_FAR = 1e4
_ROUNDING = 1e-10


class Pattern(NamedTuple):
    """What depends on the number K of things alone; an axis of 2 is q, p."""

    circle: Tensor
    """(K, 1): 1 where the distance is that to a centre."""
    lever: Tensor
    """(2, K, 1): 1 for walls seen from q, to which it is nearer than p by d cos(beta)."""
    curved: Tensor
    """(2, K, 1): c of the module docstring."""
    shares: Tensor
    """(2, 1): of a gap, what q and p may close in a step."""


def pattern(things: int, dtype: torch.dtype = torch.float64) -> Pattern:
    """The pattern of K ``things``, walls first, the other robot last."""
    wall = torch.zeros((things, 1), dtype=dtype)
    wall[:WALLS] = 1.0
    from_q = torch.tensor([[[1.0]], [[0.0]]], dtype=dtype)
    shares = torch.tensor([[1.0], [BODY_CLOSING]], dtype=dtype)
    return Pattern(1.0 - wall, from_q * wall, 0.5 * from_q * (1.0 - wall), shares)


def rows_of_things(
    x: Tensor,
    y: Tensor,
    base: Tensor,
    other_cos: Tensor,
    other_sin: Tensor,
    other_speed: Tensor,
    leaving: Tensor,
    offset: Tensor,
    forth: Tensor,
    back: Tensor,
    turned: Tensor,
    dt: Tensor,
    rate: Tensor,
    unit: Tensor,
    bounds: Tensor,
    fixed: Pattern,
    reverses: bool,
    rounding: float,
    closing: float = BODY_CLOSING,
    every: bool = False,
) -> Tensor:
    """Rows g_v v + g_omega omega <= b of bounds, bodies and barriers of N robots, in any consistent units.

    The axis of the robots is the last one: what is picked below is then contiguous.  Scalars are (N,).

    Args:
        x, y: (2, K, N) directions to walls (unit vectors) and vectors to centres, from q and from p.
        base: (2, K, N), of walls the distance of p to their lines, of circles 0, less what q and p keep: r + d and
            r + d / 10, of circles their radius more.
        other_cos, other_sin, other_speed: the other robot's heading and its velocity v.
        leaving: sine of the angle that it turns in a step: with a larger cosine between its heading and the
            direction away from this robot it cannot come nearer; ``NEVER`` where it can.
        offset: d.
        forth, back, turned: the ways forward and backward (>= 0) and the turn of this robot in a step, at its limits.
        dt, rate: the control period, gamma / dt.
        unit: what omega is counted in.
        bounds: (3, B, N), rows of the control's bounds, in that unit.
        fixed: :func:`pattern`.
        reverses: whether any robot has ``back`` > 0.
        rounding: a length; a gap that is smaller counts as 0.
        every: whether rows of bodies that bind nobody are there too, so that no branch depends on a value.

    Returns:
        (3, M, N): g_v, g_omega, b of bounds, of bodies, of barriers against left turns and of barriers against right
        turns (K rows each).  Bodies: the other robot's alone (1 row) where nobody reverses or is outside a safe set;
        else, and with ``every``, K rows forward, and where ``reverses`` K rows backward.
    """
    things = x.shape[1]
    rho = torch.hypot(x, y)
    cos_beta, sin_beta = x / rho, y / rho
    gap = torch.addcmul(torch.addcmul(base, fixed.circle, rho), offset * fixed.lever, cos_beta, value=-1.0)
    gap = torch.nn.functional.hardshrink(gap, rounding)
    full = rate * torch.addcdiv(gap, fixed.curved * gap * gap, rho, value=-1.0)
    cos_q, sin_q = cos_beta.select(0, 0), sin_beta.select(0, 0)

    # The other robot.  Its gap and its budget have one sign: outside the set the smallest of all is negative.
    between, whole = gap.select(1, -1), full.select(1, -1)
    flees = torch.addcmul(cos_beta.select(1, -1) * other_cos, sin_beta.select(1, -1), other_sin)
    stop = torch.where(flees > leaving, between, 0.5 * between) * (fixed.shares / dt)
    shared, limit = (
        torch.addcmul(whole, flees, other_speed).maximum(0.5 * whole).minimum(stop).relu().split(1, 0)
    )
    static = full.select(0, 0).narrow(0, 0, things - 1)

    # The arc per |omega|, doubled: of [z]+ = (|z| + z) / 2 the even part is that of left and of right turns, the odd
    # part changes its sign.
    lever = offset * turned
    away, fastest = (1.0 / 3.0) * lever * turned, forth
    if reverses:
        away, fastest = away + back, forth.maximum(back)
    behind = 2.0 * turned * torch.add(offset, forth, alpha=1.0 / 3.0)
    even = torch.addcmul((forth + away) * sin_q.abs(), behind, cos_q.clamp(max=0.0), value=-1.0)
    if reverses:
        even = even + (2.0 / 3.0) * turned * back * cos_q.relu()
    odd, most = (forth - away) * sin_q, 2.0 * torch.hypot(fastest, lever)
    side = offset * sin_q
    left = unit * torch.add(side, (even + odd).minimum(most), alpha=0.25)
    right = unit * torch.sub(side, (even - odd).minimum(most), alpha=0.25)

    # Bodies.
    if reverses or every or (gap.numel() > 0 and float(gap.detach().min()) < 0.0):
        outside = gap.select(0, 0).narrow(0, 0, things - 1) < 0.0
        if reverses:
            outside = outside | (back > 0.0)
        clear = torch.minimum(rate, closing / dt) * gap.select(0, 1).narrow(0, 0, things - 1).relu()
        limit = torch.cat([torch.where(outside, clear, float("inf")), limit], 0)
        cos_p, sin_p = cos_beta.select(0, 1), sin_beta.select(0, 1)
    else:
        cos_p = cos_beta.select(0, 1).narrow(0, things - 1, 1)
        sin_p = sin_beta.select(0, 1).narrow(0, things - 1, 1)
    # The cosine of [|beta| - half a turn]+, without the angle itself.
    half = (0.5 * turned).clamp(max=math.pi)
    cos_half, across = half.cos(), half.sin() * sin_p.abs()
    ahead, still = torch.where(cos_p >= cos_half, 1.0, cos_p * cos_half + across).relu(), torch.zeros_like(cos_p)
    if reverses:
        astern = torch.where(-cos_p >= cos_half, 1.0, across - cos_p * cos_half).relu()
        ahead, still = torch.cat([ahead, -astern], 0), torch.cat([still, still], 0)
        limit = torch.cat([limit, limit], 0)
    g_v = [bounds.select(0, 0), ahead, cos_q, cos_q]
    g_omega = [bounds.select(0, 1), still, left, right]
    budgets = [bounds.select(0, 2), limit, static, shared, static, shared]
    rows = torch.cat(g_v + g_omega + budgets, 0)
    return rows.view(3, rows.shape[0] // 3, rows.shape[1])


def rows_of_poses(
    own: Tensor,
    other: Tensor,
    other_speed: Tensor,
    half_side: Tensor,
    obstacles: Tensor,
    model: Tensor,
    rival: Tensor,
    dt: float,
    rate: float,
) -> tuple[Tensor, Tensor]:
    """The rows G u <= b [m/s] of N robots, u = (v, omega) [m/s, rad/s]: bounds, bodies, barriers.

    Args:
        own, other: poses (N, 3) of the robots and of their opponents, map frame [m, m, rad].
        other_speed: (N,) of the opponents [m/s].
        half_side: (N,) [m].
        obstacles: (N, n, 3), x, y, radius [m]; one that is not there is far away.
        model, rival: (N, .) ``RobotModel.as_array()`` of the robots and of their opponents.
        dt: control period [s].
        rate: gamma / dt [1/s].

    Returns:
        G (N, m, 2), b (N, m).
    """
    cos, sin = own[:, 2].cos(), own[:, 2].sin()
    centres = torch.cat([obstacles[..., :2], other[:, None, :2]], 1) - own[:, None, :2]
    east, north = centres[..., 0].T, centres[..., 1].T
    walls_x, walls_y = torch.stack([cos, -cos, sin, -sin]), torch.stack([-sin, sin, cos, -cos])
    x, y = cos * east + sin * north, cos * north - sin * east
    offset = model[:, VCP_OFFSET]
    to_wall = torch.stack(
        [half_side - own[:, 0], half_side + own[:, 0], half_side - own[:, 1], half_side + own[:, 1]]
    )
    reach = torch.cat([to_wall, -obstacles[..., 2].T, -rival[None, :, RADIUS]]) - model[:, RADIUS]
    rival_turn = rival[:, OMEGA_MAX] * dt
    leaves = (rival[:, V_MIN] >= 0.0) & (rival_turn < 0.5 * math.pi)
    relative = other[:, 2] - own[:, 2]
    rows = rows_of_things(
        # Directions to walls are the same from q and from p.
        torch.stack([torch.cat([walls_x, x - offset]), torch.cat([walls_x, x])]),
        torch.cat([walls_y, y]).expand(2, -1, -1),
        torch.stack([reach - offset, reach - SKIN * offset]),
        relative.cos(),
        relative.sin(),
        other_speed,
        torch.where(leaves, rival_turn.sin(), NEVER),
        offset,
        model[:, V_MAX] * dt,
        (-model[:, V_MIN]).clamp(min=0.0) * dt,
        model[:, OMEGA_MAX] * dt,
        torch.full_like(relative, dt),
        torch.full_like(relative, rate),
        torch.ones_like(relative),
        bounds_of_models(model),
        pattern(WALLS + len(x), own.dtype),
        bool((model[:, V_MIN] < 0.0).any()),
        _ROUNDING,
    )
    return rows[:2].permute(2, 1, 0), rows[2].T


def bounds_of_models(model: Tensor) -> Tensor:
    """Rows (3, 8, N) of the box (4 rows) and the wheel-speed limit (4 rows, far beyond where there is none)."""
    half = 0.5 * model[:, TRACK]
    one, zero = torch.ones_like(half), torch.zeros_like(half)
    wheel = torch.where(half > 0.0, model[:, WHEEL_SPEED_MAX], _FAR)
    v_max, v_min, omega_max = model[:, V_MAX], model[:, V_MIN], model[:, OMEGA_MAX]
    g_v = torch.stack([one, -one, zero, zero, one, one, -one, -one])
    g_omega = torch.stack([zero, zero, one, -one, half, -half, half, -half])
    return torch.stack([g_v, g_omega, torch.stack([v_max, -v_min, omega_max, omega_max, *[wheel] * 4])])

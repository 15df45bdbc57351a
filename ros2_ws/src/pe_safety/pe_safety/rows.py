"""The rows G u <= b of the QP; equations in :mod:`pe_safety.barriers`, margins in :mod:`pe_safety.budget`.

With an uncertain robot (``budget[UNCERTAIN]``) every coefficient is the largest over the bounds: heading
|d beta| <= HEADING_BOUND, gains within 1 +- eps, lag at its upper bound; approach per |v| and per |omega| is then a
function of their signs, convex and piecewise linear: a row for each pair of signs.  All of it vanishes at u = 0.

What u adds to the true stopping pose does not depend on dead time and lag, so a command that meets the rows under
the margins of this cycle is verified.  But margins are not constant: they follow speed, estimate and age, and h may
fall below zero though the robot did what was verified.  For a barrier whose margins alone are used up (h < 0, but
>= 0 without them) the stopping pose is still clear, and the row asks only that nothing is approached, whatever the
true direction:

    approach <= rate h / |grad h|      h >= 0
    approach <= 0                      h < 0 <= h without margins
    approach <= rate h_0 / |grad h|    h_0, h without margins, < 0: out

So that a robot does not run into that, a row more asks for h(x+) >= (1 - gamma) h(x) with the ``over`` that will
hold then, C and C' the largest cosines of the cone now and a turn wider,

    approach + (NEXT C' + NEXT_RATE C' |v| - OVER C) / dt <= budget,    of which u = 0 is never denied for NEXT's sake
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pe_core.robot import LAG, OMEGA_MAX, RADIUS, V_MAX, V_MIN, V_QUANTUM, VCP_OFFSET
from pe_core.unicycle import wrap_angle
from pe_safety.barriers import CENTRE, arc_coefficient, facing, lag_coefficients
from pe_safety.budget import (
    CONE_HIGH,
    CONE_LOW,
    CONSTANT,
    GAIN,
    HEADING_BOUND,
    NEXT,
    NEXT_RATE,
    NEXT_TURN,
    OTHER,
    OTHER_BLUR,
    OVER,
    PASSIVE_WINDOW,
    PER_OMEGA,
    PER_V,
    STATIC_BLUR,
    UNCERTAIN,
    barrier_margin,
    cone_cosines,
    opponent_leaves,
)
from pe_safety.parameters import ARC, COOPERATIVE, OPPONENT_SPEED_ERROR, RATE

# Share of v_max at which a robot counts as standing: of an opponent that does not come, a robot may get out of reach.
CREEP = 0.05
# What two bodies may close in a step, of the gap between them.
_BODY_CLOSING = 0.9
# The gap that bodies keep, of the control point's offset.
_SKIN = 0.1
# A robot that comes to rest at h = 0 is not outside its safe set by rounding, nor held by what it rounds to [m/s].
_ROUNDING = 1e-9


@njit(cache=True)
def barrier_rows(
    state: NDArray[np.float64],
    opponent: NDArray[np.float64],
    has_opponent: bool,
    half_side: float,
    obstacles: NDArray[np.float64],
    obstacle_count: int,
    model: NDArray[np.float64],
    rival: NDArray[np.float64],
    parameters: NDArray[np.float64],
    budget: NDArray[np.float64],
    disturbance: NDArray[np.float64],
    dt: float,
    h: NDArray[np.float64],
    margins: NDArray[np.float64],
    g: NDArray[np.float64],
    b: NDArray[np.float64],
    owner: NDArray[np.int64],
    start: int,
    least_share: float = 1.0,
) -> int:
    """Write the rows G u <= b [m/s] of every barrier that some admissible command could break.

    Args:
        state: (x, y, theta) of the stopping pose and the velocity (v, omega) at actuation, shape (5,).
        opponent: (x, y, theta, v, omega), shape (5,).
        budget: from :func:`pe_safety.budget.write_budget`.
        disturbance: (3, 4) or (3, 6): of (d_x, d_y, d_theta) [m/s, m/s, rad/s], body frame, the value at u = 0, the
            slopes by v and by omega, the bound about them at u = 0, and what it grows by per |v| and per |omega|.
        h, margins: from :func:`barrier_values`.
        g, b, owner: rows (ROWS_MAX, 2), right-hand sides and barrier index of each row, written from ``start``.
        least_share: rows that could bind if their right-hand sides were multiplied by this are written, too.

    Returns:
        The number of rows, those before ``start`` included.
    """
    c = math.cos(state[2])
    s = math.sin(state[2])
    d = model[VCP_OFFSET]
    qx = state[0] + d * c
    qy = state[1] + d * s
    rate = parameters[RATE]
    with_arc = parameters[ARC] > 0.0
    reverses = model[V_MIN] < 0.0
    uncertain = budget[UNCERTAIN] > 0.0
    stretch = (1.0 + budget[GAIN]) ** 2
    per_v, per_omega = _lag(state, model, budget, dt)
    # No admissible command approaches anything faster than this; rows with a larger budget cannot bind.
    speed = max(-model[V_MIN], model[V_MAX])
    fastest = (1.0 + budget[GAIN]) * math.hypot(speed, d * model[OMEGA_MAX])
    if with_arc:
        fastest += stretch * model[OMEGA_MAX] * (speed * dt + d * model[OMEGA_MAX] * dt)
    fastest += per_v * speed + per_omega * model[OMEGA_MAX] + disturbance_speed(disturbance, d, model)
    # Nor does it make a margin grow faster.
    fastest += (budget[NEXT_RATE] * speed + max(budget[NEXT], 0.0)) / dt
    row = start
    count = 4 + obstacle_count + (1 if has_opponent else 0)
    for k in range(count):
        moving = k == 4 + obstacle_count
        nx, ny, rho, radius = facing(qx, qy, k, half_side, obstacles, obstacle_count, opponent)
        if nx == 0.0 and ny == 0.0:
            nx, ny, rho = -c, -s, CENTRE
        keep = radius + model[RADIUS] + d + (rival[RADIUS] if moving else 0.0)
        full = rate * (h[k] if k < 4 else h[k] / (2.0 * rho))
        # Inside the margins alone: what was verified before still holds, nothing is approached.  Beyond: out.
        hold = False
        if h[k] < 0.0:
            constant = keep + budget[CONSTANT]
            bare = rho - constant if k < 4 else (rho * rho - constant * constant) / (2.0 * rho)
            hold = bare >= 0.0 and uncertain
            full = 0.0 if hold else rate * bare if uncertain else full
        allowed = full
        if moving:
            gap = rho - keep - margins[k]
            allowed = _opponent_budget(full, gap, nx, ny, opponent, rival, parameters, budget, dt, 1.0)
        if least_share * allowed >= fastest:
            continue
        if -_ROUNDING < allowed < 0.0:
            allowed = 0.0
        cos_beta = -(nx * c + ny * s)
        sin_beta = -(-nx * s + ny * c)
        blur = budget[HEADING_BOUND]
        if h[k] < 0.0 and uncertain and (hold or moving) and k >= 4:
            blur += _direction_error(budget[OTHER_BLUR] if moving else budget[STATIC_BLUR], rho)
        ahead, behind, left, right = _approach(cos_beta, sin_beta, d, blur, budget[GAIN], uncertain)
        ahead, behind = ahead + per_v, behind + per_v
        left, right = left + per_omega, right + per_omega
        if with_arc:
            left += stretch * arc_coefficient(1.0, cos_beta, sin_beta, model, dt)
            right += stretch * arc_coefficient(-1.0, cos_beta, sin_beta, model, dt)
        drift, by_v, by_omega, wide_v, wide_omega = _drift(cos_beta, sin_beta, d, disturbance)
        ahead, behind = ahead + by_v + wide_v, behind - by_v + wide_v
        left, right = left + by_omega + wide_omega, right - by_omega + wide_omega
        first = row
        row = _write_rows(ahead, behind, left, right, allowed - drift, reverses, g, b, row)
        if budget[NEXT_RATE] > 0.0 and not hold:
            later, room = _growth(cos_beta, sin_beta, allowed - drift, speed, reverses, budget, dt)
            if later > 0.0:
                row = _write_rows(ahead + later, behind + later, left, right, room, reverses, g, b, row)
        for written in range(first, row):
            owner[written] = k
    return row


@njit(cache=True)
def body_rows(
    state: NDArray[np.float64],
    opponent: NDArray[np.float64],
    has_opponent: bool,
    half_side: float,
    obstacles: NDArray[np.float64],
    obstacle_count: int,
    model: NDArray[np.float64],
    rival: NDArray[np.float64],
    parameters: NDArray[np.float64],
    budget: NDArray[np.float64],
    disturbance: NDArray[np.float64],
    dt: float,
    h: NDArray[np.float64],
    g: NDArray[np.float64],
    b: NDArray[np.float64],
    start: int,
    least_share: float = 1.0,
) -> int:
    """Write the rows that keep the body itself clear, from ``start``; arguments as in :func:`barrier_rows`.

    Returns:
        The number of rows, those before ``start`` included.
    """
    c = math.cos(state[2])
    s = math.sin(state[2])
    half_turn = 0.5 * (1.0 + budget[GAIN]) * model[OMEGA_MAX] * dt
    keep = model[RADIUS] + _SKIN * model[VCP_OFFSET]
    rate = min(parameters[RATE], _BODY_CLOSING / dt)
    reverses = model[V_MIN] < 0.0
    uncertain = budget[UNCERTAIN] > 0.0
    gain = 1.0 + budget[GAIN]
    least = (1.0 - budget[GAIN]) * math.cos(half_turn)
    per_v, per_omega = _lag(state, model, budget, dt)
    # A velocity that has died away leaves 1e-20, by which a right-hand side of 0 would hold the robot.
    per_v = per_v if per_v * max(-model[V_MIN], model[V_MAX]) > _ROUNDING else 0.0
    per_omega = per_omega if per_omega * model[OMEGA_MAX] > _ROUNDING else 0.0
    speed = max(-model[V_MIN], model[V_MAX])
    row = start
    count = 4 + obstacle_count + (1 if has_opponent else 0)
    for k in range(count):
        moving = k == 4 + obstacle_count
        if h[k] >= 0.0 and not moving and model[LAG] == 0.0 and not uncertain and not reverses:
            continue
        nx, ny, distance, radius = facing(state[0], state[1], k, half_side, obstacles, obstacle_count, opponent)
        if nx == 0.0 and ny == 0.0:
            # Every way leads away from the centre.
            continue
        cos_beta = -(nx * c + ny * s)
        sin_beta = -(-nx * s + ny * c)
        margin = barrier_margin(nx, ny, cos_beta, sin_beta, moving, opponent, rival, model, budget)
        gap = distance - radius - keep - margin - (rival[RADIUS] if moving else 0.0)
        allowed = rate * max(gap, 0.0)
        blur = half_turn + budget[HEADING_BOUND]
        if moving:
            allowed = _opponent_budget(
                parameters[RATE] * gap, gap, nx, ny, opponent, rival, parameters, budget, dt, _BODY_CLOSING
            )
            blur += _direction_error(budget[OTHER_BLUR], distance)
        elif gap < 0.0 and k >= 4:
            blur += _direction_error(budget[STATIC_BLUR], distance)
        beta = abs(math.atan2(sin_beta, cos_beta))
        # What leads away pays for the lag's error: a robot that still turns may leave a wall that it touches.
        ahead, behind = math.cos(max(beta - blur, 0.0)), math.cos(max(math.pi - beta - blur, 0.0))
        ahead = per_v + ahead * (gain if ahead > 0.0 else least)
        behind = per_v + behind * (gain if behind > 0.0 else least)
        if moving and parameters[COOPERATIVE] == 0.0:
            # It may come from anywhere: within its reach this robot does not move, or creeps out if it does not come.
            reach = gain * max(rival[V_MAX], -rival[V_MIN]) * budget[PASSIVE_WINDOW]
            rest = rate * max(distance - keep - budget[OTHER] - rival[RADIUS] - reach, 0.0)
            comes = nx * opponent[3] * math.cos(opponent[2]) + ny * opponent[3] * math.sin(opponent[2])
            if comes + parameters[OPPONENT_SPEED_ERROR] <= CREEP * rival[V_MAX]:
                rest = max(rest, CREEP * speed, 1.01 * model[V_QUANTUM])
            row = _write_rows(1.0, 1.0, per_omega, per_omega, rest, reverses, g, b, row)
        drift, by_v, by_omega, wide_v, wide_omega = _drift(cos_beta, sin_beta, 0.0, disturbance)
        ahead, behind = max(ahead + by_v + wide_v, 0.0), max(behind - by_v + wide_v, 0.0)
        left = per_omega + max(by_omega + wide_omega, 0.0)
        right = per_omega + max(wide_omega - by_omega, 0.0)
        fastest = max(ahead * model[V_MAX], -behind * model[V_MIN]) + max(left, right) * model[OMEGA_MAX]
        # Standing still is never forbidden: what drifts is brought to rest by the barrier's row.
        budgeted = max(allowed - drift, 0.0)
        if least_share * budgeted + _ROUNDING < fastest:
            row = _write_rows(ahead, behind, left, right, budgeted, reverses, g, b, row)
        if budget[NEXT_RATE] > 0.0:
            later, room = _growth(cos_beta, sin_beta, budgeted, speed, reverses, budget, dt)
            if later > 0.0 and least_share * room + _ROUNDING < fastest + later * speed:
                row = _write_rows(ahead + later, behind + later, left, right, room, reverses, g, b, row)
    return row


@njit(cache=True)
def _lag(
    state: NDArray[np.float64], model: NDArray[np.float64], budget: NDArray[np.float64], dt: float
) -> tuple[float, float]:
    """What the lag's error adds per |v| and per |omega|: of the present velocity, or of what it may be."""
    if budget[UNCERTAIN] > 0.0:
        return budget[PER_V], budget[PER_OMEGA]
    return lag_coefficients(state[3], state[4], model[LAG], dt)


@njit(cache=True)
def _growth(
    cos_beta: float,
    sin_beta: float,
    allowed: float,
    speed: float,
    reverses: bool,
    budget: NDArray[np.float64],
    dt: float,
) -> tuple[float, float]:
    """Coefficient of |v| and right-hand side of the row for the next margin; (0, 0) where it asks for nothing."""
    low, high, turn = budget[CONE_LOW], budget[CONE_HIGH], budget[NEXT_TURN]
    now, least = cone_cosines(cos_beta, sin_beta, low, high)
    then, least_then = cone_cosines(cos_beta, sin_beta, low - turn, high + turn)
    if reverses:
        now, then = max(now, -least), max(then, -least_then)
    now, then = max(now, 0.0), max(then, 0.0)
    grown = (budget[NEXT] * then - budget[OVER] * now) / dt
    per_v = budget[NEXT_RATE] * then / dt
    if per_v * speed + grown <= 0.0:
        return 0.0, 0.0
    return per_v, max(allowed - grown, min(allowed, 0.0))


@njit(cache=True)
def disturbance_speed(disturbance: NDArray[np.float64], d: float, model: NDArray[np.float64]) -> float:
    """Largest speed [m/s] that a disturbance, (3, 4) or (3, 6), can give the control point."""
    total = 0.0
    speed = max(model[V_MAX], -model[V_MIN])
    for axis in range(3):
        lever = d if axis == 2 else 1.0
        size = abs(disturbance[axis, 0]) + disturbance[axis, 3]
        size += abs(disturbance[axis, 1]) * speed
        size += abs(disturbance[axis, 2]) * model[OMEGA_MAX]
        if disturbance.shape[1] > 4:
            size += abs(disturbance[axis, 4]) * speed + abs(disturbance[axis, 5]) * model[OMEGA_MAX]
        total += lever * size
    return total


@njit(cache=True)
def _drift(
    cos_beta: float, sin_beta: float, d: float, disturbance: NDArray[np.float64]
) -> tuple[float, float, float, float, float]:
    """Approach that the disturbance adds: largest at u = 0 [m/s], slope by v, slope by omega [m], and what its bound
    grows by per |v| and per |omega| [m].

    The axes err independently: bounds b bound the projection by |(cos b_x, sin b_y, d sin b_theta)|, and by the
    triangle inequality the norm of a bound affine in |v|, |omega| is at most the sum of the norms.
    """
    side = sin_beta * d
    mean = cos_beta * disturbance[0, 0] + sin_beta * disturbance[1, 0] + side * disturbance[2, 0]
    by_v = cos_beta * disturbance[0, 1] + sin_beta * disturbance[1, 1] + side * disturbance[2, 1]
    by_omega = cos_beta * disturbance[0, 2] + sin_beta * disturbance[1, 2] + side * disturbance[2, 2]
    spread = _projected(cos_beta, sin_beta, side, disturbance, 3)
    if disturbance.shape[1] == 4:
        return mean + spread, by_v, by_omega, 0.0, 0.0
    return (
        mean + spread,
        by_v,
        by_omega,
        _projected(cos_beta, sin_beta, side, disturbance, 4),
        _projected(cos_beta, sin_beta, side, disturbance, 5),
    )


@njit(cache=True)
def _projected(
    cos_beta: float, sin_beta: float, side: float, disturbance: NDArray[np.float64], column: int
) -> float:
    return math.hypot(
        cos_beta * disturbance[0, column],
        math.hypot(sin_beta * disturbance[1, column], side * disturbance[2, column]),
    )


@njit(cache=True)
def _direction_error(length: float, distance: float) -> float:
    """Angle [rad] by which the direction to something ``distance`` away errs if its place errs by ``length``."""
    return math.asin(length / distance) if length < distance else 0.5 * math.pi


@njit(cache=True)
def _approach(
    cos_beta: float, sin_beta: float, d: float, blur: float, gain: float, uncertain: bool
) -> tuple[float, float, float, float]:
    """Approach per forward and reverse speed, per left and right turn, the largest over |d beta| <= blur and
    gains within 1 +- ``gain``."""
    if not uncertain:
        return cos_beta, -cos_beta, d * sin_beta, -d * sin_beta
    beta = math.atan2(sin_beta, cos_beta)
    ahead = math.cos(max(abs(beta) - blur, 0.0))
    behind = math.cos(max(math.pi - abs(beta) - blur, 0.0))
    left = math.cos(max(abs(wrap_angle(beta - 0.5 * math.pi)) - blur, 0.0))
    right = math.cos(max(abs(wrap_angle(beta + 0.5 * math.pi)) - blur, 0.0))
    return (
        ahead + gain * abs(ahead),
        behind + gain * abs(behind),
        d * (left + gain * abs(left)),
        d * (right + gain * abs(right)),
    )


@njit(cache=True)
def _rounded(coefficient: float) -> float:
    return coefficient if abs(coefficient) > _ROUNDING else 0.0


@njit(cache=True)
def _write_rows(
    ahead: float,
    behind: float,
    left: float,
    right: float,
    budget: float,
    reverses: bool,
    g: NDArray[np.float64],
    b: NDArray[np.float64],
    row: int,
) -> int:
    """Write {ahead | behind} |v| + {left | right} |omega| <= budget, a row for each sign it needs.

    What rounds to 0 counts as 0: cos(pi / 2) is 6e-17, by which a budget of 0 would deny all speed.
    """
    ahead, behind = _rounded(ahead), _rounded(behind)
    left, right = _rounded(left), _rounded(right)
    for sign_v in (1.0, -1.0):
        if sign_v < 0.0 and not (reverses and behind != -ahead):
            continue
        per_v = ahead if sign_v > 0.0 else -behind
        b[row] = budget
        g[row, 0], g[row, 1] = per_v, left
        row += 1
        if right != -left:
            b[row] = budget
            g[row, 0], g[row, 1] = per_v, -right
            row += 1
    return row


@njit(cache=True)
def _opponent_budget(
    full: float,
    gap: float,
    nx: float,
    ny: float,
    opponent: NDArray[np.float64],
    rival: NDArray[np.float64],
    parameters: NDArray[np.float64],
    budget: NDArray[np.float64],
    dt: float,
    closing_share: float,
) -> float:
    """Own closing speed that is allowed towards the opponent [m/s]; see the module docstring."""
    if gap <= 0.0:
        return 0.0
    cooperative = parameters[COOPERATIVE]
    vx = opponent[3] * math.cos(opponent[2])
    vy = opponent[3] * math.sin(opponent[2])
    closing = nx * vx + ny * vy + parameters[OPPONENT_SPEED_ERROR]
    shared = cooperative > 0.0 and not opponent_leaves(nx, ny, opponent, rival, budget)
    stop = closing_share * gap / dt * (0.5 if shared else 1.0)
    return min(max(full - closing, 0.5 * max(full, 0.0) * cooperative), stop)

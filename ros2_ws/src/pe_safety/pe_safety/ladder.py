"""The filter of one control step, compiled: exact QP, then relaxation by priority, then backup.

    EXACT    the QP with every row
    RELAXED  no command meets every row.  Kept are the bounds, the bodies' rows and every row with b >= 0, which
             u = 0 meets: what is inside its safe set stays there.  The others, of barriers below zero, ask for an
             escape that the robot cannot make at once: the collision rows, then the arena's, then the obstacles'
             are relaxed by the least slack s >= 0 that makes them feasible with what was kept before
             (lexicographic min-max, each found by bisection on the exact feasibility test), then the QP is solved.
             Where that leaves no speed although some is asked for (turning the control point away is the
             steepest escape, and moves no body), the rows with b < 0 become approach <= 0: nothing falls further,
             and the robot may drive out along the wall
    BACKUP   brake and turn on the spot, which does not move a disc.  Towards the freest direction where the
             relaxed command would take a barrier further below zero.  As the nominal command asks where it asks
             for a turn and gets neither that nor a speed: a robot that has driven into a corner has its control
             point at h = 0 of both walls, either turn takes the point over one of them while the body stays where
             it is, and without this rung it would be trapped there.  Not at all where the data is not finite.

A robot with a resolution executes multiples of it (:mod:`pe_safety.lattice`).  Its command is EXACT where a multiple
meets every row: the one closest to what is asked.  Where none does it is RELAXED, and of the multiples with which
nothing falls further it takes the one nearest to the exact or relaxed command that it would take without a resolution;
in driving out along the wall, the one closest to what is asked.

The command is always within the robot's limits, and never the nominal one unfiltered.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pe_core.plant import stopping_pose
from pe_core.robot import (
    LAG,
    OMEGA_MAX,
    OMEGA_QUANTUM,
    RADIUS,
    V_MAX,
    V_QUANTUM,
    clamp_command,
    executed_command,
)
from pe_core.unicycle import wrap_angle
from pe_safety.barriers import (
    ARENA,
    BOUND,
    COLLISION,
    OBSTACLE,
    ROWS_MAX,
    barrier_values,
    bound_rows,
)
from pe_safety.lattice import closest_multiple
from pe_safety.parameters import WEIGHT_OMEGA, WEIGHT_V
from pe_safety.qp import OPTIMAL, project, scale_rows
from pe_safety.rows import barrier_rows, body_rows

EXACT, RELAXED, BACKUP = 0, 1, 2
(
    NO_REASON, BAD_STATE, BAD_NOMINAL, BAD_OPPONENT, NO_COMMAND, UNSAFE_RELAXATION, TURNING, BAD_BARRIER, HOLDING,
) = range(9)  # fmt: skip
REASONS = 9

# Fractions of v_max and omega_max: no speed is left; the turn is not what the nominal command asks.
_STANDING = 0.01
_TURN_DENIED = 0.05

# Nominal commands beyond this [m/s, rad/s] are taken as this: their squares would overflow.
_NOMINAL_MAX = 1e6

_HEADINGS = 32
_BISECTIONS = 60


@njit(cache=True)
def filter_step(
    state: NDArray[np.float64],
    nominal_v: float,
    nominal_omega: float,
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
) -> tuple[float, float, int, float, int]:
    """Filter one nominal command.

    Args:
        state: (x, y, theta, v, omega) where a command begins to act, map frame, shape (5,); a robot with lag is
            taken at its stopping pose.
        opponent: (x, y, theta, v, omega), shape (5,).
        nominal_v, nominal_omega: nominal command [m/s, rad/s].
        obstacles: (n, 3) with the first ``obstacle_count`` rows in use.
        model, rival: ``RobotModel.as_array()`` of this robot and of its opponent.
        parameters: ``SafetyParameters.as_array()``.
        budget: from :func:`pe_safety.budget.write_budget`.
        disturbance: (3, 4), see :func:`pe_safety.rows.barrier_rows`; zeros where none is known.
        dt: control period [s].
        h, margins: written: barrier values and their margins [m], shape (BARRIERS_MAX,).

    Returns:
        v, omega, tier, slack [m/s], reason.
    """
    pose = np.empty(5)
    stopping_pose(state, model[LAG], pose)
    for k in range(5):
        if not math.isfinite(state[k]):
            h[:] = math.nan
            margins[:] = math.nan
            return 0.0, 0.0, BACKUP, 0.0, BAD_STATE
        if has_opponent and not math.isfinite(opponent[k]):
            h[:] = math.nan
            margins[:] = math.nan
            return 0.0, 0.0, BACKUP, 0.0, BAD_OPPONENT
    count = barrier_values(
        pose, opponent, has_opponent, half_side, obstacles, obstacle_count, model, rival, budget, h, margins,
    )  # fmt: skip
    if not (math.isfinite(nominal_v) and math.isfinite(nominal_omega)):
        return 0.0, 0.0, BACKUP, 0.0, BAD_NOMINAL
    for k in range(count):
        if not math.isfinite(h[k]):
            return 0.0, 0.0, BACKUP, 0.0, BAD_BARRIER
    g = np.empty((ROWS_MAX, 2))
    b = np.empty(ROWS_MAX)
    owner = np.empty(ROWS_MAX, np.int64)
    bounds = body_rows(
        pose, opponent, has_opponent, half_side, obstacles, obstacle_count, model, rival, parameters, budget,
        disturbance, dt, h, g, b, bound_rows(model, g, b),
    )  # fmt: skip
    rows = barrier_rows(
        pose, opponent, has_opponent, half_side, obstacles, obstacle_count, model, rival, parameters, budget,
        disturbance, dt, h, margins, g, b, owner, bounds,
    )  # fmt: skip
    asked_v = min(max(nominal_v, -_NOMINAL_MAX), _NOMINAL_MAX)
    asked_omega = min(max(nominal_omega, -_NOMINAL_MAX), _NOMINAL_MAX)
    root_v = math.sqrt(parameters[WEIGHT_V])
    root_w = math.sqrt(parameters[WEIGHT_OMEGA])
    a = np.empty((ROWS_MAX, 2))
    c = np.empty(ROWS_MAX)
    scale_rows(g, b, rows, root_v, root_w, a, c)
    y0, y1, status, i, _, _ = project(a, c, rows, asked_v * root_v, asked_omega * root_w)
    # An untouched nominal command is returned bit for bit.
    if i < 0:
        v, omega = clamp_command(nominal_v, nominal_omega, model)
    else:
        v, omega = clamp_command(y0 / root_v, y1 / root_w, model)
    met = status == OPTIMAL
    coarse = model[V_QUANTUM] > 0.0 or model[OMEGA_QUANTUM] > 0.0
    exact_v, exact_omega = v, omega
    if coarse:
        # Also where rounding makes the QP infeasible: a multiple that meets every row is exact.
        v, omega, met = closest_multiple(
            g, b, rows, asked_v, asked_omega, exact_v, exact_omega, parameters, model
        )
    if met:
        if i < 0 or not _turn_denied(v, omega, asked_v, asked_omega, model):
            return v, omega, EXACT, 0.0, NO_REASON
        tier, slack, kept, solved = EXACT, 0.0, True, True
    elif status == OPTIMAL:
        # No multiple meets every row: as near to the escape as the resolution allows.
        v, omega, _ = closest_multiple(
            g, np.maximum(b, 0.0), rows, exact_v, exact_omega, exact_v, exact_omega, parameters, model
        )
        tier, slack, kept, solved = RELAXED, _violation(g, b, bounds, rows, v, omega), True, True
    else:
        tier, kept = RELAXED, False
        v, omega, slack, solved = _relax(
            g, b, owner, bounds, rows, obstacle_count, root_v, root_w, asked_v, asked_omega
        )
        if solved:
            v, omega = clamp_command(v, omega, model)
            kept = _keeps_out(g, b, bounds, rows, v, omega)
            if kept and coarse:
                # The least slack leaves a set too thin for a grid: what counts is that nothing falls further.
                v, omega, _ = closest_multiple(
                    g, np.maximum(b, 0.0), rows, v, omega, v, omega, parameters, model
                )
    slow = _STANDING * model[V_MAX]
    if tier == RELAXED and abs(asked_v) > slow and not (kept and abs(v) > slow):
        held_v, held_omega = _hold(g, b, rows, asked_v, asked_omega, parameters, model)
        if abs(held_v) > slow:
            return held_v, held_omega, RELAXED, _violation(g, b, bounds, rows, held_v, held_omega), HOLDING
    if solved:
        if _turn_denied(v, omega, asked_v, asked_omega, model):
            v, omega = _turn(asked_omega, g, b, bounds, model)
            return v, omega, BACKUP, slack, TURNING
        if kept:
            return v, omega, RELAXED, slack, NO_REASON
        if _turn_denied(0.0, 0.0, asked_v, asked_omega, model):
            # Facing the freest direction it would stay there for good, whatever is asked.
            v, omega = _turn(asked_omega, g, b, bounds, model)
            return v, omega, BACKUP, slack, TURNING
    turn = _freest_turn(pose, opponent, has_opponent, half_side, obstacles, obstacle_count, model, rival[RADIUS])
    v, omega = _turn(turn / dt, g, b, bounds, model)
    return v, omega, BACKUP, slack, UNSAFE_RELAXATION if solved else NO_COMMAND


@njit(cache=True)
def _hold(
    g: NDArray[np.float64],
    b: NDArray[np.float64],
    rows: int,
    nominal_v: float,
    nominal_omega: float,
    parameters: NDArray[np.float64],
    model: NDArray[np.float64],
) -> tuple[float, float]:
    """The command nearest to the nominal one with which no barrier below zero falls further: rows max(b, 0)."""
    floor = np.maximum(b, 0.0)
    root_v, root_w = math.sqrt(parameters[WEIGHT_V]), math.sqrt(parameters[WEIGHT_OMEGA])
    a = np.empty((ROWS_MAX, 2))
    c = np.empty(ROWS_MAX)
    scale_rows(g, floor, rows, root_v, root_w, a, c)
    y0, y1, status, _, _, _ = project(a, c, rows, nominal_v * root_v, nominal_omega * root_w)
    if status != OPTIMAL:
        return 0.0, 0.0
    v, omega = clamp_command(y0 / root_v, y1 / root_w, model)
    if model[V_QUANTUM] > 0.0 or model[OMEGA_QUANTUM] > 0.0:
        v, omega, _ = closest_multiple(g, floor, rows, nominal_v, nominal_omega, v, omega, parameters, model)
    return v, omega


@njit(cache=True)
def _violation(
    g: NDArray[np.float64], b: NDArray[np.float64], bounds: int, rows: int, v: float, omega: float
) -> float:
    """Largest violation [m/s] of a barrier's row."""
    worst = 0.0
    for row in range(bounds, rows):
        worst = max(worst, g[row, 0] * v + g[row, 1] * omega - b[row])
    return worst


@njit(cache=True)
def _turn_denied(
    v: float, omega: float, nominal_v: float, nominal_omega: float, model: NDArray[np.float64]
) -> bool:
    """Whether no speed is left, or none was asked for, and the turn falls short of the nominal one."""
    wanted = min(max(nominal_omega, -model[OMEGA_MAX]), model[OMEGA_MAX])
    denied = abs(omega - wanted) > _TURN_DENIED * model[OMEGA_MAX] and abs(wanted) > _TURN_DENIED * model[OMEGA_MAX]
    return denied and min(abs(v), abs(nominal_v)) <= _STANDING * model[V_MAX]


@njit(cache=True)
def _turn(
    omega: float, g: NDArray[np.float64], b: NDArray[np.float64], bounds: int, model: NDArray[np.float64]
) -> tuple[float, float]:
    """v = 0 and ``omega``, or what the bounds and the bodies' rows (of a robot that still rolls) leave of it."""
    for row in range(bounds):
        if g[row, 1] * omega > b[row]:
            omega = b[row] / g[row, 1]
    return executed_command(0.0, omega, model)


@njit(cache=True)
def _priority(owner: int, obstacle_count: int) -> int:
    if owner < 4:
        return ARENA
    return OBSTACLE if owner < 4 + obstacle_count else COLLISION


@njit(cache=True)
def _relax(
    g: NDArray[np.float64],
    b: NDArray[np.float64],
    owner: NDArray[np.int64],
    bounds: int,
    rows: int,
    obstacle_count: int,
    root_v: float,
    root_w: float,
    nominal_v: float,
    nominal_omega: float,
) -> tuple[float, float, float, bool]:
    """Lexicographic least slack; returns v, omega, the largest slack [m/s], whether it succeeded."""
    order = np.empty(ROWS_MAX, np.int64)
    used = 0
    for row in range(rows):
        if row < bounds or b[row] >= 0.0:
            order[used] = row
            used += 1
    relaxed = b.copy()
    largest = 0.0
    a = np.empty((ROWS_MAX, 2))
    c = np.empty(ROWS_MAX)
    gs = np.empty((ROWS_MAX, 2))
    bs = np.empty(ROWS_MAX)
    for level in (BOUND, COLLISION, ARENA, OBSTACLE):
        if level == BOUND:
            first = 0
        else:
            first = used
            for row in range(bounds, rows):
                if b[row] < 0.0 and _priority(owner[row], obstacle_count) == level:
                    order[used] = row
                    used += 1
            if used == first:
                continue
        low, high = 0.0, 0.0
        step = 0
        while True:
            slack = high
            for n in range(used):
                row = order[n]
                gs[n, 0], gs[n, 1] = g[row, 0], g[row, 1]
                bs[n] = relaxed[row] + (slack if n >= first and level != BOUND else 0.0)
            scale_rows(gs, bs, used, root_v, root_w, a, c)
            if project(a, c, used, nominal_v * root_v, nominal_omega * root_w)[2] == OPTIMAL:
                break
            if level == BOUND or high > 1e6:
                return 0.0, 0.0, largest, False
            low = high
            high = 0.05 if high == 0.0 else 2.0 * high
        while high > 0.0 and step < _BISECTIONS and high - low > 1e-12 * high:
            middle = 0.5 * (low + high)
            for n in range(first, used):
                bs[n] = relaxed[order[n]] + middle
            scale_rows(gs, bs, used, root_v, root_w, a, c)
            if project(a, c, used, nominal_v * root_v, nominal_omega * root_w)[2] == OPTIMAL:
                high = middle
            else:
                low = middle
            step += 1
        if high > 0.0:
            largest = max(largest, high)
            for n in range(first, used):
                relaxed[order[n]] += high
    for n in range(used):
        row = order[n]
        gs[n, 0], gs[n, 1], bs[n] = g[row, 0], g[row, 1], relaxed[row]
    scale_rows(gs, bs, used, root_v, root_w, a, c)
    y0, y1, status, _, _, _ = project(a, c, used, nominal_v * root_v, nominal_omega * root_w)
    return y0 / root_v, y1 / root_w, largest, status == OPTIMAL


@njit(cache=True)
def _keeps_out(
    g: NDArray[np.float64], b: NDArray[np.float64], bounds: int, rows: int, v: float, omega: float
) -> bool:
    """Whether no barrier that is below zero falls further: approach <= 0 in its rows."""
    for row in range(bounds, rows):
        if b[row] < 0.0 and g[row, 0] * v + g[row, 1] * omega > 1e-9:
            return False
    return True


@njit(cache=True)
def _freest_turn(
    pose: NDArray[np.float64],
    opponent: NDArray[np.float64],
    has_opponent: bool,
    half_side: float,
    obstacles: NDArray[np.float64],
    obstacle_count: int,
    model: NDArray[np.float64],
    opponent_radius: float,
) -> float:
    """The turn [rad] to the heading whose straight line is free for longest.

    The headings tried are fixed in the map frame, so that the choice does not change with every step of the turn.
    """
    best, best_turn = -math.inf, 0.0
    for k in range(_HEADINGS):
        heading = 2.0 * math.pi * k / _HEADINGS
        turn = wrap_angle(heading - pose[2])
        c, s = math.cos(heading), math.sin(heading)
        free = _wall_distance(pose[0], pose[1], c, s, half_side - model[RADIUS])
        for i in range(obstacle_count):
            reach = obstacles[i, 2] + model[RADIUS]
            free = min(free, _circle_distance(pose[0], pose[1], c, s, obstacles[i, 0], obstacles[i, 1], reach))
        if has_opponent:
            reach = opponent_radius + model[RADIUS]
            free = min(free, _circle_distance(pose[0], pose[1], c, s, opponent[0], opponent[1], reach))
        # Between directions that are equally free the smaller turn wins.
        free -= 1e-3 * half_side * abs(turn)
        if free > best:
            best, best_turn = free, turn
    return best_turn


@njit(cache=True)
def _wall_distance(x: float, y: float, c: float, s: float, reach: float) -> float:
    free = math.inf
    if c != 0.0:
        free = min(free, (math.copysign(reach, c) - x) / c)
    if s != 0.0:
        free = min(free, (math.copysign(reach, s) - y) / s)
    return max(free, 0.0)


@njit(cache=True)
def _circle_distance(x: float, y: float, c: float, s: float, cx: float, cy: float, reach: float) -> float:
    dx, dy = cx - x, cy - y
    along = dx * c + dy * s
    if along <= 0.0:
        return math.inf
    off = dx * dx + dy * dy - along * along
    if off >= reach * reach:
        return math.inf
    return max(along - math.sqrt(reach * reach - off), 0.0)


@njit(cache=True)
def is_infeasible(tier: int, reason: int) -> bool:
    """Whether the exact QP had no solution; data that is not finite and turns on the spot are other reasons."""
    return tier == RELAXED or (tier == BACKUP and (reason == NO_COMMAND or reason == UNSAFE_RELAXATION))


@njit(cache=True)
def correction_size(
    nominal_v: float, nominal_omega: float, v: float, omega: float, model: NDArray[np.float64]
) -> float:
    """sqrt((dv / v_max)^2 + (domega / omega_max)^2); infinite where the nominal command is not finite."""
    if not (math.isfinite(nominal_v) and math.isfinite(nominal_omega)):
        return math.inf
    return math.hypot((v - nominal_v) / model[V_MAX], (omega - nominal_omega) / model[OMEGA_MAX])

r"""Control barrier functions of a unicycle's virtual control point (VCP), as rows of the QP.

VCP and its velocity, with heading e = (cos, sin) and d > 0:

    q = p + d e,    q' = J u,    J = [[cos, -d sin], [sin, d cos]],    u = (v, omega)

Barriers (h >= 0 is safe; m is the constant margin, r the body's radius):

    walls      h = L - r - d - m -+ q_x,  L - r - d - m -+ q_y
    obstacle   h = |q - o|^2 - chi^2,     chi = R + r + d + m
    opponent   h = |q - p_o|^2 - chi^2,   chi = r + r_o + d + m + (what an old state may hide)

The body's centre is up to d nearer than the VCP; the ``+ d`` makes h >= 0 imply that the body is clear.

Conditions: continuous h' + alpha h >= 0; discrete h(x+) >= (1 - gamma) h(x).  Both become, after division by
|grad h| (1 for walls, 2 rho for circles, rho = |q - o|), rows in metres per second

    -n^T J u + arc(sign omega) |omega| <= rate h / |grad h|,    rate = alpha or gamma / dt,    n = grad h / |grad h|

Arc error (discrete form).  With psi = omega dt / 2 the true step of q is

    dq = v dt sinc(psi) e(theta + psi) + 2 d sin(psi) e_perp(theta + psi)

so that, beta being the direction of -n in the body frame, the true approach exceeds the Euler approach
dt (v cos beta + d omega sin beta) by

    v dt [cos beta (sinc psi cos psi - 1) + sin beta sin^2 psi / psi]
      + 2 d [sin beta (sin psi cos psi - psi) - cos beta sin^2 psi]

which, for sigma = sign(omega), |psi| <= Psi = omega_max dt / 2, 0 <= v <= V and [x]+ = max(x, 0), is at most

    |psi| { V dt [sigma sin beta]+ + (2/3 V dt + 2 d) Psi [-cos beta]+ + 4/3 d Psi^2 [-sigma sin beta]+ }

(reverse speeds add the mirrored terms).  Turning away from what lies ahead is thus nearly free, so that a robot
that faces a wall at h = 0 can turn.  |omega| makes two rows of each barrier, one a sign.  The dt^2 term of
|q - o|^2 is >= 0 and dropped.  All error terms are at least quadratic in time, so the bound (1 - s gamma) h
also holds between the samples, s in [0, 1].  Where 1/2 dt^2 |omega| sqrt(V^2 + d^2 omega_max^2), which knows no
direction, is smaller (by a percent, for a barrier to the side and behind), it is used.

Lag.  The state that the rows are made for is where a command begins to act; a robot with first-order lag tau is
taken at its stopping pose (``pe_core.plant.stopping_pose``), which u = 0 does not move.  From there u held for dt
moves it by the step above plus an error of at most

    1/2 kappa tau^2 (u_v |omega| + |u_omega| |v|),    kappa = 1 - exp(-dt / tau),  (v, omega) the present velocity

(a row more for each sign of u_v, for a robot that reverses), because u adds to v(t) the pulse u_v w(t), w >= 0,
integral of w = dt, and to theta(t) u_omega W(t), W the integral of w; the added path errs in direction by
|omega| tau exp(-t/tau) + |u_omega| W, the old one by |u_omega| W, and integral w exp(-t/tau) dt = kappa tau / 2,
integral w W dt = dt^2 / 2 (the arc error again).

At u = 0 the static rows read 0 <= rate h: with v_min <= 0 standing still is always allowed inside the safe set.

The opponent moves.  Its velocity v_o enters as the closing speed c = n^T v_o + error; with the gap rho - chi

    -n^T J u + arc |omega| <= budget,    full = rate h / (2 rho),    stop = (1/2 cooperative | 1 passive) gap / dt
    c > 0 (it comes):   budget = min(stop, max(full - c, full / 2 cooperative | 0 passive))
    c <= 0 (it flees):  budget = min(stop, full - c)

and 0 outside the set.  Credit for a fleeing opponent ends where it would reach chi if the opponent stopped at once.

The body.  A control point is not the body: a robot that turns away may drive on while q keeps its distance, and a
robot that turns in place takes q over a line that its body keeps.  Neither robot's row bounds what its body does to
the other's control point.  So bodies have rows of their own, that no rung of the ladder gives up.  With beta now
the direction of the barrier from p in the body frame and m_b the body's margin less d / 10 (so that what shrinks
by a share in every step ends before contact), the true approach of p over dt is v dt sinc(psi) cos(beta - psi), hence

    v cos(max(|beta| - Psi, 0)) <= budget

with budget = min(rate, 0.9 / dt) m_b for walls and obstacles, only where h < 0 or the robot lags (h >= 0 is enough
otherwise), and for the opponent as above with full = rate m_b, gap = m_b and stop = (0.45 | 0.9) m_b / dt, always.
Two robots that run this filter therefore close at most 0.9 m_b in a step, whatever both are asked to do: their
bodies do not meet.  Passive: whatever the opponent does, this robot itself does not close the gap in a step.
u = 0, and any turn on the spot, meet these rows.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pe_core.arena import OBSTACLES_MAX
from pe_core.robot import DELAY, LAG, OMEGA_MAX, RADIUS, TRACK, V_MAX, V_MIN, VCP_OFFSET, WHEEL_SPEED_MAX
from pe_safety.parameters import ARC, COOPERATIVE, MARGIN, OPPONENT_SPEED_ERROR, RATE

WALLS = ("wall_east", "wall_west", "wall_north", "wall_south")
BARRIERS_MAX = 4 + OBSTACLES_MAX + 1
BOUND_ROWS_MAX = 8
BODY_ROWS_MAX = 4 * BARRIERS_MAX
ROWS_MAX = BOUND_ROWS_MAX + BODY_ROWS_MAX + 4 * BARRIERS_MAX

# What two bodies may close in a step, of the gap between them.
_BODY_CLOSING = 0.9
# The gap that bodies keep, of the control point's offset.
_SKIN = 0.1
# A robot that comes to rest at h = 0 is not outside its safe set by rounding [m/s].
_ROUNDING = 1e-9

# Priority of a row when not all can be met: lower is kept longer.  Bounds are never given up.
BOUND, COLLISION, ARENA, OBSTACLE = 0, 1, 2, 3


def barrier_names(obstacle_count: int, opponent: bool) -> tuple[str, ...]:
    """Names of the barriers in the order in which kernels write them."""
    names = WALLS + tuple(f"obstacle_{i}" for i in range(obstacle_count))
    return (*names, "opponent") if opponent else names


@njit(cache=True)
def vcp(x: float, y: float, theta: float, d: float) -> tuple[float, float]:
    """q = p + d (cos theta, sin theta) [m]."""
    return x + d * math.cos(theta), y + d * math.sin(theta)


@njit(cache=True)
def arc_coefficient(sigma: float, cos_beta: float, sin_beta: float, model: NDArray[np.float64], dt: float) -> float:
    """Bound on the arc error's rate per |omega|, for sign ``sigma`` of omega [m/s per rad/s]; module docstring."""
    d = model[VCP_OFFSET]
    half_turn = 0.5 * model[OMEGA_MAX] * dt
    forward = max(model[V_MAX], 0.0) * dt
    reverse = max(-model[V_MIN], 0.0) * dt
    toward = max(sigma * sin_beta, 0.0)
    away = max(-sigma * sin_beta, 0.0)
    behind = max(-cos_beta, 0.0)
    ahead = max(cos_beta, 0.0)
    per_psi = forward * (toward + 2.0 / 3.0 * half_turn * behind) + reverse * (away + 2.0 / 3.0 * half_turn * ahead)
    per_psi += d * half_turn * (2.0 * behind + 4.0 / 3.0 * half_turn * away)
    return 0.5 * min(per_psi, dt * math.hypot(max(model[V_MAX], -model[V_MIN]), d * model[OMEGA_MAX]))


@njit(cache=True)
def reaction_margin(own: NDArray[np.float64], opponent: NDArray[np.float64]) -> float:
    """How far [m] the opponent may come before either robot's next command acts, and while it comes to rest."""
    return max(opponent[V_MAX], -opponent[V_MIN]) * (own[DELAY] + opponent[DELAY] + opponent[LAG])


@njit(cache=True)
def lag_coefficients(v: float, omega: float, lag: float, dt: float) -> tuple[float, float]:
    """Bounds on the rate of the stopping pose's extra error per u_v [1] and per |u_omega| [m]; module docstring."""
    if lag <= 0.0:
        return 0.0, 0.0
    factor = 0.5 * (1.0 - math.exp(-dt / lag)) * lag * lag / dt
    return factor * abs(omega), factor * abs(v)


@njit(cache=True)
def bound_rows(model: NDArray[np.float64], g: NDArray[np.float64], b: NDArray[np.float64]) -> int:
    """Write the control bounds as rows: the box and, where track > 0, |v| + |omega| track / 2 <= wheel limit."""
    g[0, 0], g[0, 1], b[0] = 1.0, 0.0, model[V_MAX]
    g[1, 0], g[1, 1], b[1] = -1.0, 0.0, -model[V_MIN]
    g[2, 0], g[2, 1], b[2] = 0.0, 1.0, model[OMEGA_MAX]
    g[3, 0], g[3, 1], b[3] = 0.0, -1.0, model[OMEGA_MAX]
    count = 4
    if model[TRACK] > 0.0:
        half = 0.5 * model[TRACK]
        for sign in (1.0, -1.0):
            g[count, 0], g[count, 1], b[count] = 1.0, sign * half, model[WHEEL_SPEED_MAX]
            count += 1
            if model[V_MIN] < 0.0:
                g[count, 0], g[count, 1], b[count] = -1.0, sign * half, model[WHEEL_SPEED_MAX]
                count += 1
    return count


@njit(cache=True)
def barrier_values(
    state: NDArray[np.float64],
    opponent: NDArray[np.float64],
    has_opponent: bool,
    opponent_margin: float,
    half_side: float,
    obstacles: NDArray[np.float64],
    obstacle_count: int,
    model: NDArray[np.float64],
    opponent_radius: float,
    margin: float,
    h: NDArray[np.float64],
) -> int:
    """Write h of every barrier (order of :func:`barrier_names`; walls [m], circles [m^2]); returns how many.

    ``state`` and ``opponent`` start with x, y, theta; ``opponent_margin`` [m] widens the opponent's circle.
    """
    d = model[VCP_OFFSET]
    qx, qy = vcp(state[0], state[1], state[2], d)
    reach = half_side - model[RADIUS] - d - margin
    h[0] = reach - qx
    h[1] = reach + qx
    h[2] = reach - qy
    h[3] = reach + qy
    for i in range(obstacle_count):
        chi = obstacles[i, 2] + model[RADIUS] + d + margin
        dx = qx - obstacles[i, 0]
        dy = qy - obstacles[i, 1]
        h[4 + i] = dx * dx + dy * dy - chi * chi
    count = 4 + obstacle_count
    if has_opponent:
        chi = model[RADIUS] + opponent_radius + d + margin + opponent_margin
        dx = qx - opponent[0]
        dy = qy - opponent[1]
        h[count] = dx * dx + dy * dy - chi * chi
        count += 1
    return count


@njit(cache=True)
def barrier_rows(
    state: NDArray[np.float64],
    opponent: NDArray[np.float64],
    has_opponent: bool,
    opponent_margin: float,
    half_side: float,
    obstacles: NDArray[np.float64],
    obstacle_count: int,
    model: NDArray[np.float64],
    opponent_radius: float,
    parameters: NDArray[np.float64],
    dt: float,
    h: NDArray[np.float64],
    g: NDArray[np.float64],
    b: NDArray[np.float64],
    owner: NDArray[np.int64],
    start: int,
) -> int:
    """Write the rows G u <= b [m/s] of every barrier that some admissible command could break.

    Args:
        state: (x, y, theta) of the stopping pose and the velocity (v, omega) at actuation, shape (5,).
        opponent: (x, y, theta, v, omega), shape (5,).
        h: barrier values from :func:`barrier_values`.
        g, b, owner: rows (ROWS_MAX, 2), right-hand sides and barrier index of each row, written from ``start``.

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
    cooperative = parameters[COOPERATIVE]
    # No admissible command approaches anything faster than this; rows with a larger budget cannot bind.
    fastest = math.hypot(max(-model[V_MIN], model[V_MAX]), d * model[OMEGA_MAX])
    if with_arc:
        fastest += model[OMEGA_MAX] * (max(-model[V_MIN], model[V_MAX]) * dt + d * model[OMEGA_MAX] * dt)
    per_v, per_omega = lag_coefficients(state[3], state[4], model[LAG], dt)
    fastest += per_v * max(-model[V_MIN], model[V_MAX]) + per_omega * model[OMEGA_MAX]
    row = start
    count = 4 + obstacle_count + (1 if has_opponent else 0)
    for k in range(count):
        if k == 0:
            nx, ny, budget = -1.0, 0.0, rate * h[k]
        elif k == 1:
            nx, ny, budget = 1.0, 0.0, rate * h[k]
        elif k == 2:
            nx, ny, budget = 0.0, -1.0, rate * h[k]
        elif k == 3:
            nx, ny, budget = 0.0, 1.0, rate * h[k]
        else:
            if k < 4 + obstacle_count:
                cx, cy = obstacles[k - 4, 0], obstacles[k - 4, 1]
            else:
                cx, cy = opponent[0], opponent[1]
            rho = math.hypot(qx - cx, qy - cy)
            if rho > 1e-9:
                nx, ny = (qx - cx) / rho, (qy - cy) / rho
            else:
                nx, ny, rho = -c, -s, 1e-9
            budget = rate * h[k] / (2.0 * rho)
            if k == 4 + obstacle_count:
                chi = model[RADIUS] + opponent_radius + d + parameters[MARGIN] + opponent_margin
                budget = _opponent_budget(
                    budget, rho - chi, nx, ny, opponent, cooperative, parameters[OPPONENT_SPEED_ERROR], dt, 1.0
                )
        if budget >= fastest:
            continue
        if -_ROUNDING < budget < 0.0:
            budget = 0.0
        cos_beta = -(nx * c + ny * s)
        sin_beta = -(-nx * s + ny * c)
        left, right = per_omega, per_omega
        if with_arc:
            left += arc_coefficient(1.0, cos_beta, sin_beta, model, dt)
            right += arc_coefficient(-1.0, cos_beta, sin_beta, model, dt)
        first = row
        row = _write_rows(cos_beta, d * sin_beta, per_v, left, right, budget, model[V_MIN] < 0.0, g, b, row)
        for written in range(first, row):
            owner[written] = k
    return row


@njit(cache=True)
def body_rows(
    state: NDArray[np.float64],
    opponent: NDArray[np.float64],
    has_opponent: bool,
    opponent_margin: float,
    half_side: float,
    obstacles: NDArray[np.float64],
    obstacle_count: int,
    model: NDArray[np.float64],
    opponent_radius: float,
    parameters: NDArray[np.float64],
    dt: float,
    h: NDArray[np.float64],
    g: NDArray[np.float64],
    b: NDArray[np.float64],
    start: int,
) -> int:
    """Write the rows that keep the body itself clear, from ``start``; arguments as in :func:`barrier_rows`.

    Returns:
        The number of rows, those before ``start`` included.
    """
    c = math.cos(state[2])
    s = math.sin(state[2])
    half_turn = 0.5 * model[OMEGA_MAX] * dt
    keep = model[RADIUS] + parameters[MARGIN] + _SKIN * model[VCP_OFFSET]
    reach = half_side - keep
    rate = min(parameters[RATE], _BODY_CLOSING / dt)
    per_v, per_omega = lag_coefficients(state[3], state[4], model[LAG], dt)
    row = start
    count = 4 + obstacle_count + (1 if has_opponent else 0)
    for k in range(count):
        moving = k == 4 + obstacle_count
        if h[k] >= 0.0 and not moving and model[LAG] == 0.0:
            continue
        if k < 4:
            ax = 1.0 if k == 0 else (-1.0 if k == 1 else 0.0)
            ay = 1.0 if k == 2 else (-1.0 if k == 3 else 0.0)
            gap = reach - ax * state[0] - ay * state[1]
        else:
            cx, cy, radius = opponent[0], opponent[1], opponent_radius + opponent_margin
            if not moving:
                cx, cy, radius = obstacles[k - 4, 0], obstacles[k - 4, 1], obstacles[k - 4, 2]
            dx, dy = cx - state[0], cy - state[1]
            distance = math.hypot(dx, dy)
            if distance < 1e-9:
                # Every way leads away from the centre.
                continue
            ax, ay = dx / distance, dy / distance
            gap = distance - radius - keep
        budget = rate * max(gap, 0.0)
        if moving:
            budget = _opponent_budget(
                parameters[RATE] * gap, gap, -ax, -ay, opponent, parameters[COOPERATIVE],
                parameters[OPPONENT_SPEED_ERROR], dt, _BODY_CLOSING,
            )  # fmt: skip
        beta = abs(math.atan2(-ax * s + ay * c, ax * c + ay * s))
        forward = max(math.cos(max(beta - half_turn, 0.0)), 0.0) + per_v
        reverse = max(math.cos(max(math.pi - beta - half_turn, 0.0)), 0.0) + per_v
        fastest = max(forward * model[V_MAX], -reverse * model[V_MIN]) + per_omega * model[OMEGA_MAX]
        if budget >= fastest:
            continue
        row = _write_rows(forward, 0.0, 0.0, per_omega, per_omega, budget, False, g, b, row)
        if model[V_MIN] < 0.0:
            row = _write_rows(-reverse, 0.0, 0.0, per_omega, per_omega, budget, False, g, b, row)
    return row


@njit(cache=True)
def _write_rows(
    ahead: float,
    lever: float,
    per_v: float,
    left: float,
    right: float,
    budget: float,
    reverses: bool,
    g: NDArray[np.float64],
    b: NDArray[np.float64],
    row: int,
) -> int:
    """Write ahead v + per_v |v| + lever omega + (left | right) |omega| <= budget, a row for each sign it needs."""
    for sign_v in (1.0, -1.0):
        if sign_v < 0.0 and not (reverses and per_v > 0.0):
            continue
        b[row] = budget
        g[row, 0], g[row, 1] = ahead + sign_v * per_v, lever + left
        row += 1
        if left > 0.0 or right > 0.0:
            b[row] = budget
            g[row, 0], g[row, 1] = ahead + sign_v * per_v, lever - right
            row += 1
    return row


@njit(cache=True)
def _opponent_budget(
    full: float,
    gap: float,
    nx: float,
    ny: float,
    opponent: NDArray[np.float64],
    cooperative: float,
    speed_error: float,
    dt: float,
    closing_share: float,
) -> float:
    """Own closing speed that is allowed towards the opponent [m/s]; see the module docstring."""
    if gap <= 0.0:
        return 0.0
    vx = opponent[3] * math.cos(opponent[2])
    vy = opponent[3] * math.sin(opponent[2])
    closing = nx * vx + ny * vy + speed_error
    stop = closing_share * gap / dt * (0.5 if cooperative > 0.0 else 1.0)
    return min(max(full - closing, 0.5 * max(full, 0.0) * cooperative), stop)

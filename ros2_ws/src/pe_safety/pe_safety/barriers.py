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

    -n^T J u + arc |omega| <= budget,    full = rate h / (2 rho),    stop = (1/2 | 1) gap / dt
    c > 0 (it comes):   budget = min(stop, max(full - c, full / 2 cooperative | 0 passive))
    c <= 0 (it flees):  budget = min(stop, full - c)

and 0 outside the set.  Half the gap is the own share where both robots run this filter and both can close it; all
of it where the opponent is passive, or cannot turn towards this robot within the step
(``budget.opponent_leaves``).  Credit for a fleeing opponent ends where it would reach chi if it stopped at once.

The body.  A control point is not the body: a robot that turns away may drive on while q keeps its distance, and a
robot that turns in place takes q over a line that its body keeps.  Neither robot's row bounds what its body does to
the other's control point.  So bodies have rows of their own, that no rung of the ladder gives up.  With beta now
the direction of the barrier from p in the body frame and m_b the body's margin less d / 10 (so that what shrinks
by a share in every step ends before contact), the true approach of p over dt is v dt sinc(psi) cos(beta - psi), hence

    v cos(max(|beta| - Psi, 0)) <= budget

with budget = min(rate, 0.9 / dt) m_b for walls and obstacles, only where h < 0 or the robot lags or reverses
(h >= 0 is enough otherwise), and for the opponent as above with full = rate m_b, gap = m_b and
stop = (0.45 | 0.9) m_b / dt, always.
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
from pe_core.robot import OMEGA_MAX, RADIUS, TRACK, V_MAX, V_MIN, VCP_OFFSET, WHEEL_SPEED_MAX
from pe_safety.budget import barrier_margin, heading_margin

WALLS = ("wall_east", "wall_west", "wall_north", "wall_south")
BARRIERS_MAX = 4 + OBSTACLES_MAX + 1
BOUND_ROWS_MAX = 8
BODY_ROWS_MAX = 8 * BARRIERS_MAX + 4
ROWS_MAX = BOUND_ROWS_MAX + BODY_ROWS_MAX + 8 * BARRIERS_MAX

# A point nearer to a circle's centre than this [m] has no direction to it.
CENTRE = 1e-9
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
def facing(
    px: float,
    py: float,
    k: int,
    half_side: float,
    obstacles: NDArray[np.float64],
    obstacle_count: int,
    opponent: NDArray[np.float64],
) -> tuple[float, float, float, float]:
    """Barrier ``k`` seen from a point: unit normal (nx, ny) from the barrier to the point, distance to the wall's
    line or the circle's centre [m], radius of the obstacle [m] (0 for walls and the opponent).

    On a centre the normal is (0, 0).
    """
    if k < 4:
        nx = -1.0 if k == 0 else (1.0 if k == 1 else 0.0)
        ny = -1.0 if k == 2 else (1.0 if k == 3 else 0.0)
        return nx, ny, half_side + nx * px + ny * py, 0.0
    radius = 0.0
    if k < 4 + obstacle_count:
        dx, dy, radius = px - obstacles[k - 4, 0], py - obstacles[k - 4, 1], obstacles[k - 4, 2]
    else:
        dx, dy = px - opponent[0], py - opponent[1]
    rho = math.hypot(dx, dy)
    if rho < CENTRE:
        return 0.0, 0.0, rho, radius
    return dx / rho, dy / rho, rho, radius


@njit(cache=True)
def barrier_values(
    state: NDArray[np.float64],
    opponent: NDArray[np.float64],
    has_opponent: bool,
    half_side: float,
    obstacles: NDArray[np.float64],
    obstacle_count: int,
    model: NDArray[np.float64],
    rival: NDArray[np.float64],
    budget: NDArray[np.float64],
    h: NDArray[np.float64],
    margins: NDArray[np.float64],
) -> int:
    """Write h of every barrier (order of :func:`barrier_names`; walls [m], circles [m^2]); returns how many.

    ``state`` and ``opponent`` start with x, y, theta; ``margins`` [m] is written too: what the budget adds to the
    distance r + d (or R + r + d, r + r_o + d).
    """
    c, s = math.cos(state[2]), math.sin(state[2])
    d = model[VCP_OFFSET]
    qx, qy = state[0] + d * c, state[1] + d * s
    count = 4 + obstacle_count + (1 if has_opponent else 0)
    for k in range(count):
        moving = k == 4 + obstacle_count
        nx, ny, rho, radius = facing(qx, qy, k, half_side, obstacles, obstacle_count, opponent)
        if nx == 0.0 and ny == 0.0:
            nx, ny = -c, -s
        cos_beta = -(nx * c + ny * s)
        sin_beta = -(-nx * s + ny * c)
        margin = barrier_margin(nx, ny, cos_beta, sin_beta, moving, opponent, rival, model, budget)
        margin += heading_margin(cos_beta, sin_beta, model, budget)
        margins[k] = margin
        if k < 4:
            h[k] = rho - model[RADIUS] - d - margin
        else:
            chi = radius + model[RADIUS] + d + margin + (rival[RADIUS] if moving else 0.0)
            h[k] = rho * rho - chi * chi
    return count

r"""The margin budget: what separates the filter's model from the robot and its world, as named lengths.

Bounds (``SafetyParameters``): relative gain error eps; errors Delta of dead time delta and lag tau; least
acceleration a; position and heading errors e = k sigma + constant; map error; age of the opponent's state.  With
V the largest |v| among the present velocity and the commands that have not run out yet, and T = delta + tau at
their upper bounds, the true stopping pose of the body is within

    state         k sigma_p + e_p               of where it is predicted, from the estimate,
    delay         (1 + eps) Delta_delta V       from commands that act earlier or later than predicted,
    lag           (1 + eps) Delta_tau V         from rolling on for longer,
    acceleration  V v_max / (2 a)               from a ramp: v^2 / (2 a) <= v v_max / (2 a),
    gain          eps (delta + tau) V           from commands on their way that do more than they say,
    path          e_theta T v_max + 1/2 v_max omega_max tau^2    to the side, and from the way to the stopping pose;

the control point, d ahead, also by ``heading`` = d e_theta, where e_theta = k sigma_theta + constant +
(eps (delta + tau) + (1 + eps)(Delta_delta + Delta_tau)) omega_max, delta and tau as the model has them; in the
direction of approach (HEADING_BOUND) omega_max is replaced by the largest turn rate that has not run out.

Delay, lag, acceleration and gain are errors along the way: they count towards a barrier at angle beta from the
heading with cos(max(|beta| - spread, 0)), spread the turn that the robot may make within T.

``map`` widens walls and obstacles.  The opponent's estimate has ``opponent_state`` (both estimates err
independently: k sqrt(sigma^2 + sigma_o^2)).  What it did since its stamp, and will still do however soon it is
told to stop, takes it from p_o into the set that a unicycle reaches in W = age + delta_o + tau_o; towards the
direction n (unit, from it to us) that set extends by

    opponent_age, opponent_reaction    v_o W max(cos(max(|phi| - omega_o W - e_theta, 0)), 0)

with phi the angle of its heading to n (and the mirrored term where it may reverse).  For every b in the set,
|p - b| >= n^T (p - p_o) - extent.

Towards an opponent that is not ours (passive) W also holds the own dead time, a period and 4 tau, in any
direction: in that time the robot comes to rest.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pe_core.robot import DELAY, LAG, OMEGA_MAX, V_MAX, V_MIN, VCP_OFFSET
from pe_safety.parameters import (
    ACCELERATION_MIN,
    COOPERATIVE,
    DELAY_ERROR,
    GAIN_ERROR,
    HEADING_ERROR,
    LAG_ERROR,
    MAP_ERROR,
    MARGIN,
    POSITION_ERROR,
    SIGMAS,
)

TERMS = (
    "constant",
    "vcp",
    "state",
    "heading",
    "delay",
    "lag",
    "acceleration",
    "gain",
    "path",
    "map",
    "opponent_state",
    "opponent_age",
    "opponent_reaction",
)
"""Names of the terms [m] in the order in which kernels write them; prediction terms as for a barrier dead ahead."""

(
    CONSTANT, VCP, STATE, HEADING, DELAY_TERM, LAG_TERM, ACCELERATION, GAIN_TERM, PATH, MAP, OPPONENT_STATE,
    OPPONENT_AGE, OPPONENT_REACTION,
) = range(len(TERMS))  # fmt: skip
# Then what the kernels combine them to: for walls and obstacles, for the opponent; of the body (the control
# point's is larger by HEADING).
(
    STATIC, OTHER, GROWTH, PEAK, GAIN, HEADING_BOUND, SPREAD, LAG_HIGH, WINDOW, OPPONENT_TURN, OPPONENT_NEXT_TURN,
    PASSIVE_WINDOW, UNCERTAIN, STATIC_BLUR, OTHER_BLUR,
) = range(len(TERMS), len(TERMS) + 15)  # fmt: skip
SIZE = len(TERMS) + 15

# Time constants in which a robot with first-order lag has come to rest (2 % of its speed).
_REST = 4.0


@njit(cache=True)
def write_budget(
    model: NDArray[np.float64],
    rival: NDArray[np.float64],
    parameters: NDArray[np.float64],
    sigma: tuple[float, float],
    rival_sigma: tuple[float, float],
    peak: float,
    peak_turn: float,
    age: float,
    dt: float,
    out: NDArray[np.float64],
) -> None:
    """Write terms and combinations, shape (SIZE,); equations in the module docstring.

    Args:
        model, rival: ``RobotModel.as_array()`` of this robot and of its opponent.
        parameters: ``SafetyParameters.as_array()``.
        sigma, rival_sigma: standard deviations of both estimates: position (the worst direction's) [m], heading [rad].
        peak, peak_turn: largest |v| [m/s] and |omega| [rad/s] of the present velocity and of the commands that have
            not run out.
        age: of the opponent's state [s].
        dt: control period [s].
    """
    eps, k = parameters[GAIN_ERROR], parameters[SIGMAS]
    delay_error, lag_error = parameters[DELAY_ERROR], parameters[LAG_ERROR]
    delay, lag = model[DELAY] + delay_error, model[LAG] + lag_error
    stretch = 0.0
    if parameters[ACCELERATION_MIN] > 0.0:
        stretch = 0.5 * max(model[V_MAX], -model[V_MIN]) / parameters[ACCELERATION_MIN]
    late = (1.0 + eps) * (delay_error + lag_error)
    per_turn = eps * (model[DELAY] + model[LAG]) + late
    turn = per_turn * model[OMEGA_MAX]
    # k = 0 says that the state is exact, whatever its deviation.
    own = k * sigma[0] if k > 0.0 else 0.0
    other = k * rival_sigma[0] if k > 0.0 else 0.0
    own_turn = k * sigma[1] if k > 0.0 else 0.0
    other_turn = (k * rival_sigma[1] if k > 0.0 else 0.0) + parameters[HEADING_ERROR]
    heading = own_turn + parameters[HEADING_ERROR]
    bound = heading + turn
    fastest = max(model[V_MAX], -model[V_MIN])
    peak = min(peak, fastest)
    position = parameters[POSITION_ERROR]

    out[CONSTANT] = parameters[MARGIN]
    out[VCP] = model[VCP_OFFSET]
    out[STATE] = own + position
    out[HEADING] = model[VCP_OFFSET] * bound
    sideways = bound * (delay + lag)
    delayed, rolling = (1.0 + eps) * delay_error, (1.0 + eps) * lag_error
    more = eps * (model[DELAY] + model[LAG])
    out[DELAY_TERM] = delayed * peak
    out[LAG_TERM] = rolling * peak
    out[ACCELERATION] = stretch * peak
    out[GAIN_TERM] = more * peak
    smooth = 0.5 * fastest * model[OMEGA_MAX] * lag * lag if lag_error > 0.0 else 0.0
    out[PATH] = sideways * fastest + smooth
    out[MAP] = parameters[MAP_ERROR]
    both = math.hypot(own, other) + 2.0 * position
    out[OPPONENT_STATE] = both - out[STATE]

    reaction = rival[DELAY] + delay_error + rival[LAG] + lag_error
    if parameters[ACCELERATION_MIN] > 0.0:
        reaction += 0.5 * max(rival[V_MAX], -rival[V_MIN]) / parameters[ACCELERATION_MIN]
    speed = (1.0 + eps) * max(rival[V_MAX], -rival[V_MIN])
    out[OPPONENT_AGE] = speed * age
    out[OPPONENT_REACTION] = speed * reaction

    out[STATIC] = out[CONSTANT] + out[STATE] + out[PATH] + out[MAP]
    out[OTHER] = out[CONSTANT] + both + out[PATH]
    out[GROWTH] = delayed + rolling + stretch + more
    out[PEAK] = peak
    out[GAIN] = eps
    out[HEADING_BOUND] = heading + per_turn * min(peak_turn, model[OMEGA_MAX])
    out[SPREAD] = bound + model[OMEGA_MAX] * (delay + lag)
    out[LAG_HIGH] = lag
    out[WINDOW] = age + reaction
    out[OPPONENT_TURN] = (1.0 + eps) * rival[OMEGA_MAX] * (age + reaction) + other_turn
    out[OPPONENT_NEXT_TURN] = out[OPPONENT_TURN] + (1.0 + eps) * rival[OMEGA_MAX] * dt
    out[PASSIVE_WINDOW] = 0.0
    if parameters[COOPERATIVE] == 0.0:
        out[PASSIVE_WINDOW] = age + delay + dt + _REST * lag + stretch
    uncertain = eps > 0.0 or bound > 0.0 or out[GROWTH] > 0.0 or out[STATE] > 0.0 or out[MAP] > 0.0
    out[UNCERTAIN] = 1.0 if uncertain else 0.0
    out[STATIC_BLUR] = out[STATE] + out[MAP]
    out[OTHER_BLUR] = both + out[OPPONENT_AGE] + out[OPPONENT_REACTION]


@njit(cache=True)
def peaks(
    v: float, omega: float, history: NDArray[np.float64], window: float, dt: float
) -> tuple[float, float]:
    """Largest |v| [m/s] and |omega| [rad/s] of the present velocity and of the commands sent within ``window`` [s];
    ``history`` (K, 2), newest first, one per control period ``dt`` [s]."""
    peak, turn = abs(v), abs(omega)
    for row in range(min(history.shape[0], math.ceil(window / dt - 1e-9) + 1)):
        peak = max(peak, abs(history[row, 0]))
        turn = max(turn, abs(history[row, 1]))
    return peak, turn


@njit(cache=True)
def usual_margin(
    model: NDArray[np.float64], rival: NDArray[np.float64], parameters: NDArray[np.float64],
    sigma: tuple[float, float], dt: float,
) -> float:  # fmt: skip
    """Margin [m] that the control point of a robot at full speed keeps from what lies beside it: what a policy
    should count as part of the robot's body."""
    out = np.empty(SIZE)
    write_budget(model, rival, parameters, sigma, sigma, math.inf, 0.0, 0.0, dt, out)
    share = along(0.0, 1.0, out[SPREAD], False)
    return out[STATIC] + out[HEADING] + out[GROWTH] * out[PEAK] * share


@njit(cache=True)
def along(cos_beta: float, sin_beta: float, spread: float, reverses: bool) -> float:
    """max(cos(max(|beta| - spread, 0)), 0): how much of an error along the way counts towards beta."""
    beta = abs(math.atan2(sin_beta, cos_beta))
    ahead = max(math.cos(min(max(beta - spread, 0.0), math.pi)), 0.0)
    if reverses:
        ahead = max(ahead, math.cos(min(max(math.pi - beta - spread, 0.0), math.pi)))
    return ahead


@njit(cache=True)
def opponent_extent(
    nx: float, ny: float, opponent: NDArray[np.float64], rival: NDArray[np.float64], budget: NDArray[np.float64]
) -> float:
    """How far [m] the opponent may come in direction (nx, ny), unit, from it to us, within ``WINDOW``."""
    window, turn = budget[WINDOW], budget[OPPONENT_TURN]
    if window <= 0.0:
        return 0.0
    cos_phi = nx * math.cos(opponent[2]) + ny * math.sin(opponent[2])
    phi = math.acos(min(max(cos_phi, -1.0), 1.0))
    forward = rival[V_MAX] * max(math.cos(max(phi - turn, 0.0)), 0.0)
    reverse = -rival[V_MIN] * max(math.cos(max(math.pi - phi - turn, 0.0)), 0.0)
    return (1.0 + budget[GAIN]) * window * max(forward, reverse)


@njit(cache=True)
def opponent_leaves(
    nx: float, ny: float, opponent: NDArray[np.float64], rival: NDArray[np.float64], budget: NDArray[np.float64]
) -> bool:
    """Whether the opponent cannot come nearer in direction (nx, ny) before its next command has acted for a period:
    it does not reverse, and cannot turn so far in that time."""
    if rival[V_MIN] < 0.0:
        return False
    cos_phi = nx * math.cos(opponent[2]) + ny * math.sin(opponent[2])
    turn = budget[OPPONENT_NEXT_TURN]
    return turn < 0.5 * math.pi and cos_phi < -math.sin(turn)


@njit(cache=True)
def barrier_margin(
    nx: float,
    ny: float,
    cos_beta: float,
    sin_beta: float,
    moving: bool,
    opponent: NDArray[np.float64],
    rival: NDArray[np.float64],
    model: NDArray[np.float64],
    budget: NDArray[np.float64],
) -> float:
    """Margin [m] of the body towards one barrier, ``constant`` included, ``heading`` not.

    ``(nx, ny)`` points from the barrier to the robot; beta is the barrier's direction in the body frame.
    """
    margin = budget[STATIC]
    if moving:
        margin = budget[OTHER] + opponent_extent(nx, ny, opponent, rival, budget)
    if budget[GROWTH] > 0.0:
        share = along(cos_beta, sin_beta, budget[SPREAD], model[V_MIN] < 0.0)
        margin += budget[GROWTH] * budget[PEAK] * share
    return margin

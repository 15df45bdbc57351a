r"""The margin budget: what separates the filter's model from the robot and its world, as named lengths.

Bounds (``SafetyParameters``): relative gain error eps; errors of dead time and lag; least acceleration; position and
heading errors e_p, e_theta = k sigma + constant; map error; age of the opponent's state.  With the quantities of
:mod:`pe_safety.pending`, made from the commands that were sent, the true stopping pose of the body is where it is
predicted, up to

    state                     e_p, in any direction,
    gain, delay, lag          the parts of ``over``: the way that it may have beyond the predicted one,
    acceleration              what a ramp adds to that,
    path                      (WAY + over) sin(cone), to the side: headings on the way within the cone [low - e_theta,
                              high + e_theta] about the predicted heading at rest.

The last two lines are shown as for a barrier dead ahead and beside; what counts towards a barrier at angle beta from
the predicted heading is, with C the largest and c the least cos(beta - phi) over the cone, [x]+ = max(x, 0),

    over [C]+ + WAY ([C]+ - [c]+)      (reversing: over max([C]+, [-c]+) + WAY (C - c))

for n^T (p* - p) = integral v* cos(beta - phi*) dt <= (WAY + over) [C]+, and the prediction has n^T (s - p) >=
WAY [c]+ or lies behind p, where the robot is, so that p counts instead.  The heading at rest errs by at most
HEADING_BOUND = e_theta + TURN_ERROR; the control point is d ahead of the body, hence

    heading       d (cos(max(|beta| - HEADING_BOUND, 0)) - cos beta)      (shown: d HEADING_BOUND)

``map`` widens walls and obstacles.  The opponent's estimate has ``opponent_state`` (both estimates err
independently: k sqrt(sigma^2 + sigma_o^2)).  What it did since its stamp, and will still do however soon it is
told to stop, takes it from p_o into the set that a unicycle reaches in W = age + delta_o + tau_o; towards the
direction n (unit, from it to us) that set extends by

    opponent_age, opponent_reaction    v_o integral over t in [0, W] of [cos(max(|phi| - e_theta - omega_o t, 0))]+

with phi the angle of its heading to n (and the mirrored term where it may reverse): at every time it is turned as far
towards n as it can be, and drives where that leads nearer.  (The last part, the lag's, is the arc of duration tau_o, as
in ``pe_core.plant.stopping_pose``.)  For every b in the set, |p - b| >= n^T (p - p_o) - extent.  A ramp adds the way
v_o^2 / (2 a), in the best direction after W + v_o / a.

Towards an opponent that is not ours (passive) W also holds the own dead time, a period, 4 tau and the time of a
ramp, in any direction: in that time the robot comes to rest.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pe_core.robot import DELAY, LAG, OMEGA_MAX, V_MAX, V_MIN, VCP_OFFSET
from pe_core.unicycle import wrap_angle
from pe_safety import pending as sent
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
# Then what the kernels combine them to: STATIC for walls and obstacles, OTHER for the opponent, of the body and in any
# direction.
(
    STATIC, OTHER, WAY, OVER, NEXT, NEXT_RATE, CONE_LOW, CONE_HIGH, NEXT_TURN, PER_V, PER_OMEGA, GAIN, HEADING_BOUND,
    WINDOW, OPPONENT_RAMP, OPPONENT_ERROR, OPPONENT_RATE, OPPONENT_TURN, OPPONENT_NEXT_TURN, PASSIVE_WINDOW, UNCERTAIN,
    STATIC_BLUR, OTHER_BLUR,
) = range(len(TERMS), len(TERMS) + 23)  # fmt: skip
SIZE = len(TERMS) + 23

# Time constants in which a robot with first-order lag has come to rest (2 % of its speed).
_REST = 4.0


@njit(cache=True)
def write_budget(
    model: NDArray[np.float64],
    rival: NDArray[np.float64],
    parameters: NDArray[np.float64],
    sigma: tuple[float, float],
    rival_sigma: tuple[float, float],
    pending: NDArray[np.float64],
    age: float,
    dt: float,
    out: NDArray[np.float64],
) -> None:
    """Write terms and combinations, shape (SIZE,); equations in the module docstring.

    Args:
        model, rival: ``RobotModel.as_array()`` of this robot and of its opponent.
        parameters: ``SafetyParameters.as_array()``.
        sigma, rival_sigma: standard deviations of both estimates: position (the worst direction's) [m], heading [rad].
        pending: from :func:`pe_safety.pending.write_pending`.
        age: of the opponent's state [s].
        dt: control period [s].
    """
    eps, k = parameters[GAIN_ERROR], parameters[SIGMAS]
    delay_error, lag_error = parameters[DELAY_ERROR], parameters[LAG_ERROR]
    lag = model[LAG] + lag_error
    # k = 0 says that the state is exact, whatever its deviation.
    own = k * sigma[0] if k > 0.0 else 0.0
    other = k * rival_sigma[0] if k > 0.0 else 0.0
    own_turn = k * sigma[1] if k > 0.0 else 0.0
    other_turn = (k * rival_sigma[1] if k > 0.0 else 0.0) + parameters[HEADING_ERROR]
    heading = own_turn + parameters[HEADING_ERROR]
    position = parameters[POSITION_ERROR]
    over = pending[sent.OVER_GAIN] + pending[sent.OVER_DELAY] + pending[sent.OVER_LAG] + pending[sent.OVER_RAMP]
    low, high = pending[sent.LOW] - heading, pending[sent.HIGH] + heading
    cone = min(max(-low, high), 0.5 * math.pi)

    out[CONSTANT] = parameters[MARGIN]
    out[VCP] = model[VCP_OFFSET]
    out[STATE] = own + position
    out[HEADING_BOUND] = heading + pending[sent.TURN_ERROR]
    out[HEADING] = model[VCP_OFFSET] * out[HEADING_BOUND]
    out[DELAY_TERM] = pending[sent.OVER_DELAY]
    out[LAG_TERM] = pending[sent.OVER_LAG]
    out[ACCELERATION] = pending[sent.OVER_RAMP]
    out[GAIN_TERM] = pending[sent.OVER_GAIN]
    out[PATH] = (pending[sent.WAY] + over) * math.sin(cone)
    out[MAP] = parameters[MAP_ERROR]
    both = math.hypot(own, other) + 2.0 * position
    out[OPPONENT_STATE] = both - out[STATE]

    ramp, own_ramp = 0.0, 0.0
    rival_speed = max(rival[V_MAX], -rival[V_MIN])
    if parameters[ACCELERATION_MIN] > 0.0:
        ramp = (1.0 + eps) * rival_speed / parameters[ACCELERATION_MIN]
        own_ramp = (1.0 + eps) * max(model[V_MAX], -model[V_MIN]) / parameters[ACCELERATION_MIN]
    reaction = rival[DELAY] + delay_error + rival[LAG] + lag_error
    speed = (1.0 + eps) * rival_speed
    out[OPPONENT_AGE] = speed * age
    out[OPPONENT_REACTION] = speed * (reaction + 0.5 * ramp)

    out[STATIC] = out[CONSTANT] + out[STATE] + out[MAP]
    out[OTHER] = out[CONSTANT] + both
    out[WAY] = pending[sent.WAY]
    out[OVER] = over
    out[NEXT], out[NEXT_RATE] = pending[sent.NEXT], pending[sent.NEXT_RATE]
    out[CONE_LOW], out[CONE_HIGH] = low, high
    out[NEXT_TURN] = (1.0 + eps) * model[OMEGA_MAX] * dt
    # What the lag adds to a step: half of kappa tau^2 v = kappa tau roll, and it grows with tau.
    rolling = 0.5 * (1.0 + eps) * (1.0 - math.exp(-dt / lag)) * lag / dt if lag > 0.0 else 0.0
    out[PER_V] = rolling * pending[sent.ROLL_TURN]
    out[PER_OMEGA] = rolling * pending[sent.ROLL] + (1.0 + eps) * pending[sent.ROLL_RAMP]
    out[GAIN] = eps
    out[WINDOW], out[OPPONENT_RAMP] = age + reaction, 0.5 * ramp
    rate = (1.0 + eps) * rival[OMEGA_MAX]
    out[OPPONENT_ERROR], out[OPPONENT_RATE] = other_turn, rate
    out[OPPONENT_TURN] = rate * (age + reaction + ramp) + other_turn
    out[OPPONENT_NEXT_TURN] = out[OPPONENT_TURN] + rate * dt
    out[PASSIVE_WINDOW] = 0.0
    if parameters[COOPERATIVE] == 0.0:
        out[PASSIVE_WINDOW] = age + model[DELAY] + delay_error + dt + _REST * lag + own_ramp
    moves = eps > 0.0 or delay_error > 0.0 or lag_error > 0.0 or parameters[ACCELERATION_MIN] > 0.0
    uncertain = moves or heading > 0.0 or out[STATE] > 0.0 or out[MAP] > 0.0
    out[UNCERTAIN] = 1.0 if uncertain else 0.0
    out[STATIC_BLUR] = out[STATE] + out[MAP] + out[PATH]
    out[OTHER_BLUR] = both + out[PATH] + out[OPPONENT_AGE] + out[OPPONENT_REACTION]


@njit(cache=True)
def usual_margin(
    model: NDArray[np.float64], rival: NDArray[np.float64], parameters: NDArray[np.float64],
    sigma: tuple[float, float], dt: float,
) -> float:  # fmt: skip
    """Margin [m] that the control point of a robot straight on at full speed keeps from what lies beside it: what a
    policy should count as part of the robot's body."""
    out, pending = np.empty(SIZE), np.empty(sent.PENDING_SIZE)
    sent.write_steady(model[V_MAX], 0.0, model, parameters, dt, 0.0, pending)
    write_budget(model, rival, parameters, sigma, sigma, pending, 0.0, dt, out)
    nobody = np.zeros(5)
    margin = barrier_margin(0.0, 1.0, 0.0, 1.0, False, nobody, rival, model, out)
    return margin + heading_margin(0.0, 1.0, model, out)


@njit(cache=True)
def cone_cosines(cos_beta: float, sin_beta: float, low: float, high: float) -> tuple[float, float]:
    """Largest and least cos(beta - phi) over phi in [low, high]."""
    beta = math.atan2(sin_beta, cos_beta)
    middle, half = 0.5 * (low + high), 0.5 * (high - low)
    off = abs(wrap_angle(beta - middle))
    largest = math.cos(max(off - half, 0.0))
    least = math.cos(min(off + half, math.pi))
    return largest, least


@njit(cache=True)
def heading_margin(
    cos_beta: float, sin_beta: float, model: NDArray[np.float64], budget: NDArray[np.float64]
) -> float:
    """d (cos(max(|beta| - HEADING_BOUND, 0)) - cos beta): how much nearer the control point may be [m]."""
    if budget[HEADING_BOUND] == 0.0:
        return 0.0
    beta = abs(math.atan2(sin_beta, cos_beta))
    return model[VCP_OFFSET] * (math.cos(max(beta - budget[HEADING_BOUND], 0.0)) - math.cos(beta))


@njit(cache=True)
def opponent_extent(
    nx: float, ny: float, opponent: NDArray[np.float64], rival: NDArray[np.float64], budget: NDArray[np.float64]
) -> float:
    """How far [m] the opponent may come in direction (nx, ny), unit, from it to us, however it moves."""
    if budget[WINDOW] <= 0.0:
        return 0.0
    cos_phi = nx * math.cos(opponent[2]) + ny * math.sin(opponent[2])
    phi = math.acos(min(max(cos_phi, -1.0), 1.0))
    forward = rival[V_MAX] * _time_towards(phi, budget)
    reverse = -rival[V_MIN] * _time_towards(math.pi - phi, budget) if rival[V_MIN] < 0.0 else 0.0
    return (1.0 + budget[GAIN]) * max(forward, reverse)


@njit(cache=True)
def _time_towards(phi: float, budget: NDArray[np.float64]) -> float:
    """The opponent's way towards an angle ``phi`` >= 0 from its heading, over its speed [s]."""
    window, rate = budget[WINDOW], budget[OPPONENT_RATE]
    off = phi - budget[OPPONENT_ERROR]
    ramp = budget[OPPONENT_RAMP] * max(math.cos(max(phi - budget[OPPONENT_TURN], 0.0)), 0.0)
    if off <= 0.0:
        return ramp + window
    begin = max(off - 0.5 * math.pi, 0.0) / rate
    faced = off / rate
    if begin >= window:
        return ramp
    end = min(faced, window)
    arc = (math.sin(off - rate * begin) - math.sin(off - rate * end)) / rate
    return ramp + arc + max(window - faced, 0.0)


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

    ``(nx, ny)`` points from the barrier to the robot; beta is the barrier's direction in the body frame at rest.
    """
    margin = budget[STATIC]
    if moving:
        margin = budget[OTHER] + opponent_extent(nx, ny, opponent, rival, budget)
    if budget[UNCERTAIN] > 0.0:
        largest, least = cone_cosines(cos_beta, sin_beta, budget[CONE_LOW], budget[CONE_HIGH])
        if model[V_MIN] < 0.0:
            margin += budget[OVER] * max(largest, -least, 0.0) + budget[WAY] * (largest - least)
        else:
            margin += budget[OVER] * max(largest, 0.0) + budget[WAY] * (max(largest, 0.0) - max(least, 0.0))
    return margin

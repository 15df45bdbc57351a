r"""What the commands that were sent will still do, and how far that may be from what the model says.

A robot with dead time delta and lag tau answers the commands u(s), sent s ago, with the velocity
v(t) = integral u(s) exp(-(s - delta) / tau) / tau ds over s > delta.  If u = 0 is sent from now on, what remains is

    R = integral u(s) w(s) ds,    w(s) = 1 (s < delta),  exp(-(s - delta) / tau) (s >= delta)

in v the way, in omega the turn.  w grows with delta and tau, and a gain g within 1 +- eps multiplies it: with
w_hi at the upper bounds of dead time and lag and w_lo at the lower ones, the true remainder exceeds the model's by
at most

    over  = integral over u > 0 of u ((1 + eps) w_hi - w)  +  integral over u < 0 of |u| (w - (1 - eps) w_lo)

which is a sum over commands, for each of them is constant for a period.  It is split into what gain, dead time and
lag add, in this order: eps w, (1 + eps) (w(delta_hi, tau) - w), (1 + eps) (w_hi - w(delta_hi, tau)).

Everything counts from the stamp of the state: with a state ``age`` old, delta stands for delta + age.

Headings.  While that way is driven the true heading, relative to the predicted heading at rest, is within
[low, high] = -R_omega + [-(1 + eps) W_-, (1 + eps) W_+], W the integrals of |omega| w_hi over right and left turns.

After the command sent now has begun to act, the lag lets the robot run on for at most

    roll = (1 + eps) integral |u(s)| exp(-s / tau_hi) ds

Ramps.  Where the change of v is limited to a, v' = clip((u - v) / tau, -+a), no kernel exists.  An envelope V
follows the largest command that may act, up at once and down with the slowest dynamics, in periods that end at the
state's stamp: in the one from j + 1 to j periods before it, whatever was in force at some time from j dt + delta_lo to
(j + 1) dt + delta_hi ago may act.  Then the robot stops within

    (delta_hi + age) P + S(P),    S(P) = tau_hi P + max(P - a tau_hi, 0)^2 / (2 a),    P = max(V, commands on their way)
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pe_core.plant import HISTORY
from pe_core.robot import ACCELERATION_MAX, DELAY, LAG, OMEGA_MAX, V_MAX, V_MIN
from pe_safety.parameters import (
    ACCELERATION_MIN,
    DELAY_ERROR,
    GAIN_ERROR,
    HEADING_ERROR,
    LAG_ERROR,
    MAP_ERROR,
    POSITION_ERROR,
    SIGMAS,
)

# WAY: R of the model, by absolute values [m].  OVER_*: what gain, dead time, lag and ramp add [m].  NEXT: their sum a
# period from now, if u = 0 is sent [m]; NEXT_RATE: what it is more per speed that is sent [s].  ROLL, ROLL_TURN:
# [m], [rad]; ROLL_RAMP: the way of a ramp, from the start of the next command on [m].  TURN_ERROR, LOW, HIGH: [rad].
(
    WAY, OVER_GAIN, OVER_DELAY, OVER_LAG, OVER_RAMP, NEXT, NEXT_RATE, ROLL, ROLL_TURN, ROLL_RAMP, TURN_ERROR, LOW, HIGH,
) = range(13)  # fmt: skip
PENDING_SIZE = 13

_INSTANT = 1e-9
FELT = 20.0
"""Time constants for which a command is felt: exp(-20) = 2e-9."""


@njit(cache=True)
def is_uncertain(parameters: NDArray[np.float64]) -> bool:
    """Whether any bound of ``SafetyParameters.as_array()`` lets the robot differ from its model or estimate."""
    for k in (SIGMAS, POSITION_ERROR, HEADING_ERROR, GAIN_ERROR, DELAY_ERROR, LAG_ERROR, ACCELERATION_MIN, MAP_ERROR):
        if parameters[k] > 0.0:
            return True
    return False


@njit(cache=True)
def _felt(s: float, delay: float, lag: float) -> float:
    """Integral of w from 0 to ``s``."""
    if s <= delay:
        return s
    return delay + (lag * (1.0 - math.exp((delay - s) / lag)) if lag > 0.0 else 0.0)


@njit(cache=True)
def write_pending(
    history: NDArray[np.float64],
    since: float,
    age: float,
    model: NDArray[np.float64],
    parameters: NDArray[np.float64],
    dt: float,
    out: NDArray[np.float64],
) -> None:
    """Write the quantities of the module docstring, shape (PENDING_SIZE,); zeros where nothing is uncertain.

    Args:
        history: executed commands (v, omega), newest first, one per control period, shape (K, 2); before the oldest
            the robot stood still.  K must reach back FELT time constants.
        since: how long ago the newest command was sent [s]; commands then follow each other by ``dt``.
        age: of the state from which the stopping pose is predicted [s].
        model: ``RobotModel.as_array()``.
        parameters: ``SafetyParameters.as_array()``.
        dt: control period [s].
    """
    out[:] = 0.0
    if not is_uncertain(parameters):
        return
    eps = parameters[GAIN_ERROR]
    delay, lag = model[DELAY] + age, model[LAG]
    late, slow = delay + parameters[DELAY_ERROR], lag + parameters[LAG_ERROR]
    early, quick = age + max(model[DELAY] - parameters[DELAY_ERROR], 0.0), max(lag - parameters[LAG_ERROR], 0.0)
    ahead = np.zeros(4)
    astern = np.zeros(4)
    left_error, right_error, left, right, turn = 0.0, 0.0, 0.0, 0.0, 0.0
    start = 0.0
    for row in range(history.shape[0]):
        end = since + row * dt
        v, omega = history[row, 0], history[row, 1]
        if v != 0.0 or omega != 0.0:
            w = _felt(end, delay, lag) - _felt(start, delay, lag)
            w_late = _felt(end, late, lag) - _felt(start, late, lag)
            w_high = _felt(end, late, slow) - _felt(start, late, slow)
            w_early = _felt(end, early, lag) - _felt(start, early, lag)
            w_low = _felt(end, early, quick) - _felt(start, early, quick)
            forward, reverse = max(v, 0.0), max(-v, 0.0)
            for terms, more, less in ((ahead, forward, reverse), (astern, reverse, forward)):
                terms[0] += eps * (more * w + less * w_low)
                terms[1] += (1.0 + eps) * more * (w_late - w) + less * (w - w_early)
                terms[2] += (1.0 + eps) * more * (w_high - w_late) + less * (w_early - w_low)
            out[WAY] += abs(v) * w
            later = _felt(end + dt, delay, lag) - _felt(start + dt, delay, lag)
            later_high = _felt(end + dt, late, slow) - _felt(start + dt, late, slow)
            later_low = _felt(end + dt, early, quick) - _felt(start + dt, early, quick)
            more_next, less_next = (1.0 + eps) * later_high - later, later - (1.0 - eps) * later_low
            ahead[3] += forward * more_next + reverse * less_next
            astern[3] += reverse * more_next + forward * less_next
            roll = _felt(end, 0.0, slow) - _felt(start, 0.0, slow)
            out[ROLL] += (1.0 + eps) * abs(v) * roll
            out[ROLL_TURN] += (1.0 + eps) * abs(omega) * roll
            more_turn, less_turn = (1.0 + eps) * w_high - w, w - (1.0 - eps) * w_low
            to_left, to_right = max(omega, 0.0), max(-omega, 0.0)
            left_error += to_left * more_turn + to_right * less_turn
            right_error += to_right * more_turn + to_left * less_turn
            left += (1.0 + eps) * to_left * w_high
            right += (1.0 + eps) * to_right * w_high
            turn += omega * w
        start = end
    # Only a robot that reverses can run over astern.
    worse = ahead
    if model[V_MIN] < 0.0 and astern[0] + astern[1] + astern[2] > ahead[0] + ahead[1] + ahead[2]:
        worse = astern
    out[OVER_GAIN], out[OVER_DELAY], out[OVER_LAG] = worse[0], worse[1], worse[2]
    out[NEXT] = max(ahead[3], astern[3]) if model[V_MIN] < 0.0 else ahead[3]
    fresh = _felt(dt, delay, lag)
    out[NEXT_RATE] = (1.0 + eps) * _felt(dt, late, slow) - fresh
    out[TURN_ERROR] = max(left_error, right_error)
    out[LOW], out[HIGH] = -turn - right, -turn + left
    if parameters[ACCELERATION_MIN] > 0.0:
        _write_ramp(history, since, model, parameters, age, dt, fresh, out)


@njit(cache=True)
def _write_ramp(
    history: NDArray[np.float64],
    since: float,
    model: NDArray[np.float64],
    parameters: NDArray[np.float64],
    age: float,
    dt: float,
    fresh: float,
    out: NDArray[np.float64],
) -> None:
    gain, ramp = 1.0 + parameters[GAIN_ERROR], parameters[ACCELERATION_MIN]
    late, slow = model[DELAY] + age + parameters[DELAY_ERROR], model[LAG] + parameters[LAG_ERROR]
    early = age + max(model[DELAY] - parameters[DELAY_ERROR], 0.0)
    rows = history.shape[0]
    envelope = 0.0
    for j in range(rows, -1, -1):
        target = gain * _fastest_sent(history, since, j * dt + early, (j + 1) * dt + late, dt)
        envelope = target if target >= envelope else _relaxed(envelope, target, slow, ramp, dt)
    peak = max(envelope, gain * _fastest_sent(history, since, 0.0, late, dt))
    fastest = max(model[V_MAX], -model[V_MIN])
    peak = min(peak, gain * fastest)
    stop = slow * peak + max(peak - ramp * slow, 0.0) ** 2 / (2.0 * ramp)
    # A model that ramps too predicts less than R.
    predicted = out[WAY] if model[ACCELERATION_MAX] == 0.0 else 0.0
    over = out[OVER_GAIN] + out[OVER_DELAY] + out[OVER_LAG]
    out[OVER_RAMP] = max(late * peak + stop - predicted - over, 0.0)
    out[ROLL_RAMP] = stop
    # A command no faster than P adds nothing.
    per_speed = gain * (late + slow + 0.5 * gain * fastest / ramp)
    shifted = 0.0
    for row in range(rows):
        shifted += abs(history[row, 0]) * (
            _felt(since + (row + 1) * dt, model[DELAY] + age, model[LAG])
            - _felt((since + row * dt) if row > 0 else dt, model[DELAY] + age, model[LAG])
        )
    out[NEXT], out[NEXT_RATE] = -shifted, per_speed - fresh


@njit(cache=True)
def _fastest_sent(
    history: NDArray[np.float64], since: float, youngest: float, oldest: float, dt: float
) -> float:
    """Largest |v| of the commands that were in force at some time from ``youngest`` to ``oldest`` [s] ago."""
    fastest = 0.0
    for row in range(max(math.floor((youngest - since) / dt), 0), history.shape[0]):
        start = since + (row - 1) * dt if row > 0 else 0.0
        if start >= oldest - _INSTANT:
            break
        if since + row * dt > youngest + _INSTANT:
            fastest = max(fastest, abs(history[row, 0]))
    return fastest


@njit(cache=True)
def _relaxed(v: float, target: float, lag: float, ramp: float, duration: float) -> float:
    """v > target after ``duration`` of v' = -min((v - target) / lag, ramp)."""
    above = v - target
    linear = max(above - ramp * lag, 0.0) / ramp
    if duration <= linear:
        return target + above - ramp * duration
    above -= ramp * linear
    return target + (above * math.exp(-(duration - linear) / lag) if lag > 0.0 else 0.0)


@njit(cache=True)
def write_steady(
    v: float, omega: float, model: NDArray[np.float64], parameters: NDArray[np.float64], dt: float, age: float,
    out: NDArray[np.float64],
) -> None:  # fmt: skip
    """As :func:`write_pending`, of a robot that was sent (v, omega) for long."""
    felt = model[DELAY] + age + parameters[DELAY_ERROR] + FELT * (model[LAG] + parameters[LAG_ERROR])
    history = np.empty((2 if parameters[ACCELERATION_MIN] == 0.0 else math.ceil(felt / dt) + 2, 2))
    history[:, 0], history[:, 1] = v, omega
    if parameters[ACCELERATION_MIN] == 0.0:
        write_pending(history[:1], felt + dt, age, model, parameters, dt, out)
        return
    write_pending(history, dt, age, model, parameters, dt, out)


@njit(cache=True)
def write_limits(
    model: NDArray[np.float64], parameters: NDArray[np.float64], dt: float, age: float, out: NDArray[np.float64]
) -> None:
    """As :func:`write_pending`, where nothing is known of the commands: no less than any of them makes each quantity.

    Commands that change sign err by what over and under have together, and under is no more than over.
    """
    fastest = max(model[V_MAX], -model[V_MIN])
    write_steady(fastest, model[OMEGA_MAX], model, parameters, dt, age, out)
    out[LOW] = min(out[LOW], -out[HIGH])
    out[HIGH] = -out[LOW]
    out[TURN_ERROR] *= 2.0
    if parameters[ACCELERATION_MIN] > 0.0:
        # What a robot ramps down from may be gone from its model.
        out[OVER_RAMP] += out[WAY]
    if model[V_MIN] < 0.0:
        for term in (OVER_GAIN, OVER_DELAY, OVER_LAG):
            out[term] *= 2.0


def history_rows(models: NDArray[np.float64], parameters: NDArray[np.float64], dt: float) -> int:
    """Rows of a history that reaches back to what is still felt, of any of ``models`` (..., M) under any of the
    filters' ``parameters`` (..., P)."""
    bounds = np.atleast_2d(parameters)
    delay, lag = models[..., DELAY].max(), models[..., LAG].max()
    rows = 1 + (math.ceil(delay / dt) + 1 if delay > 0.0 else 0)
    for values in bounds:
        if is_uncertain(values):
            felt = delay + values[DELAY_ERROR] + FELT * (lag + values[LAG_ERROR])
            if values[ACCELERATION_MIN] > 0.0:
                speed = max(models[..., V_MAX].max(), -models[..., V_MIN].min())
                felt += (1.0 + values[GAIN_ERROR]) * speed / values[ACCELERATION_MIN]
            rows = max(rows, math.ceil(felt / dt) + 2)
    return min(rows, HISTORY)

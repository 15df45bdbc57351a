"""What the commands on their way will still do, in plain floats; symbols and equations as in :mod:`pe_safety.pending`.

A piece is a command (v, omega) with the times since it was sent between which it was in force.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

from pe_core.robot import RobotModel
from pe_safety.parameters import SafetyParameters

Piece = tuple[float, float, float, float]
"""From, to [s since sent], v, omega."""
_INSTANT = 1e-9


@dataclasses.dataclass(frozen=True)
class Pending:
    """Lengths [m], angles [rad], times [s].

    Attributes:
        way: the model's remaining way; gain, delay, lag, ramp: the parts of ``over``.
        next, next_rate: ``over`` a period later if nothing is sent, and what a speed adds to it.
        roll, roll_turn, roll_ramp: what lag, and a ramp, let the robot run on after the next command has begun to act.
        turn_error: of the heading at rest; low, high: headings on the way, from the predicted heading at rest.
    """

    way: float = 0.0
    gain: float = 0.0
    delay: float = 0.0
    lag: float = 0.0
    ramp: float = 0.0
    next: float = 0.0
    next_rate: float = 0.0
    roll: float = 0.0
    roll_turn: float = 0.0
    roll_ramp: float = 0.0
    turn_error: float = 0.0
    low: float = 0.0
    high: float = 0.0

    @property
    def over(self) -> float:
        """What the true way may have beyond the model's."""
        return self.gain + self.delay + self.lag + self.ramp


def weight(first: float, last: float, dead: float, tau: float) -> float:
    """Integral of w over [first, last]: 1 up to the dead time, then exp(-(s - dead) / tau)."""
    whole = max(min(last, dead) - first, 0.0)
    first, last = max(first, dead), max(last, dead)
    if tau <= 0.0:
        return whole
    return whole + tau * (math.exp(-(first - dead) / tau) - math.exp(-(last - dead) / tau))


def pending(
    pieces: Sequence[Piece], age: float, robot: RobotModel, parameters: SafetyParameters, dt: float
) -> Pending:
    """Of the commands ``pieces``, from a state ``age`` [s] old."""
    p, eps = parameters, parameters.gain_error
    late, slow = age + robot.delay + p.delay_error, robot.lag + p.lag_error
    early, quick = age + max(robot.delay - p.delay_error, 0.0), max(robot.lag - p.lag_error, 0.0)

    def total(value: Callable[[float, float], float], dead: float, tau: float, shift: float = 0.0) -> float:
        return sum(value(v, w) * weight(first + shift, last + shift, dead, tau) for first, last, v, w in pieces)

    def parts(plus: Callable[[float, float], float], minus: Callable[[float, float], float], shift: float = 0.0):  # type: ignore[no-untyped-def]
        """gain, delay, lag of commands in the sense that is asked about (plus), and against it (minus)."""
        model = age + robot.delay
        above = ((model, robot.lag), (late, robot.lag), (late, slow))
        below = ((model, robot.lag), (early, robot.lag), (early, quick))
        up = [total(plus, dead, tau, shift) for dead, tau in above]
        down = [total(minus, dead, tau, shift) for dead, tau in below]
        return (
            eps * (up[0] + down[2]),
            (1.0 + eps) * (up[1] - up[0]) + down[0] - down[1],
            (1.0 + eps) * (up[2] - up[1]) + down[1] - down[2],
        )

    forward, reverse = (lambda v, w: max(v, 0.0)), (lambda v, w: max(-v, 0.0))
    left, right = (lambda v, w: max(w, 0.0)), (lambda v, w: max(-w, 0.0))
    ahead, later = parts(forward, reverse), sum(parts(forward, reverse, dt))
    if robot.v_min < 0.0:
        ahead = max(ahead, parts(reverse, forward), key=sum)
        later = max(later, sum(parts(reverse, forward, dt)))
    turn = total(lambda v, w: w, age + robot.delay, robot.lag)
    way = total(lambda v, w: abs(v), age + robot.delay, robot.lag)
    fresh = weight(0.0, dt, age + robot.delay, robot.lag)
    found = Pending(
        way=way,
        gain=ahead[0],
        delay=ahead[1],
        lag=ahead[2],
        next=later,
        next_rate=(1.0 + eps) * weight(0.0, dt, late, slow) - fresh,
        roll=(1.0 + eps) * total(lambda v, w: abs(v), 0.0, slow),
        roll_turn=(1.0 + eps) * total(lambda v, w: abs(w), 0.0, slow),
        turn_error=max(sum(parts(left, right)), sum(parts(right, left))),
        low=-turn - (1.0 + eps) * total(right, late, slow),
        high=-turn + (1.0 + eps) * total(left, late, slow),
    )
    if p.acceleration_min <= 0.0:
        return found
    top = max(robot.v_max, -robot.v_min)
    speed = min(peak_speed(pieces, early, late, slow, p.acceleration_min, 1.0 + eps, dt), (1.0 + eps) * top)
    stop = slow * speed + max(speed - p.acceleration_min * slow, 0.0) ** 2 / (2.0 * p.acceleration_min)
    predicted = way if robot.acceleration_max == 0.0 else 0.0
    return dataclasses.replace(
        found,
        ramp=max(late * speed + stop - predicted - found.over, 0.0),
        roll_ramp=stop,
        next=-total(lambda v, w: abs(v), age + robot.delay, robot.lag, dt),
        next_rate=(1.0 + eps) * (late + slow + 0.5 * (1.0 + eps) * top / p.acceleration_min) - fresh,
    )


def peak_speed(
    pieces: Sequence[Piece], early: float, late: float, tau: float, ramp: float, gain: float, dt: float
) -> float:
    """P: the envelope at the state's stamp, and whatever is sent and may still act after it."""

    def largest(youngest: float, oldest: float) -> float:
        at = [v for first, last, v, _ in pieces if last > youngest + _INSTANT and first < oldest - _INSTANT]
        return gain * max(map(abs, at), default=0.0)

    envelope = 0.0
    for j in range(math.ceil(max((last for _, last, _, _ in pieces), default=0.0) / dt) + 1, -1, -1):
        target = largest(j * dt + early, (j + 1) * dt + late)
        above = envelope - target
        if above > 0.0:
            straight = min(max(above / ramp - tau, 0.0), dt)
            above -= ramp * straight
            left = dt - straight
            above *= math.exp(-left / tau) if tau > 0.0 else float(left <= 0.0)
        envelope = target + max(above, 0.0)
    return max(envelope, largest(0.0, late))

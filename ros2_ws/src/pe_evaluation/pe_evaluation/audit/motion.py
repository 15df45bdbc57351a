"""What a robot does with the commands that are on their way to it, in plain floats.

The command in force at time t is the one that was sent last before t - delta (dead time).  Under a constant command
u_c each component of the velocity follows u' = (u_c - u) / tau, |v'| <= a where a > 0 is a limit.  The prediction
advances in ten substeps a control period: the mean of an exponential over h is
u_c + (u - u_c) (tau / h) (1 - exp(-h / tau)), and the robot drives the arc with the mean velocity.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from pe_core.robot import RobotModel
from pe_safety.parameters import SafetyParameters

Pair = tuple[float, float]
State = tuple[float, float, float, float, float]

OLDEST = 0.5
HISTORY = 64
"""Periods for which a command is remembered."""
_SUBSTEPS = 10
_INSTANT = 1e-9


def felt(robot: RobotModel, parameters: SafetyParameters) -> float:
    """For how long [s] after it was sent a command may be felt, of a state up to ``OLDEST`` old: twenty time constants
    after its dead time, and a ramp."""
    p = parameters
    ramp = max(robot.v_max, -robot.v_min) / p.acceleration_min if p.acceleration_min > 0.0 else 0.0
    return OLDEST + robot.delay + p.delay_error + 20.0 * (robot.lag + p.lag_error) + (1.0 + p.gain_error) * ramp


def wrapped(angle: float) -> float:
    """The same angle within [-pi, pi] [rad]."""
    return math.remainder(angle, 2.0 * math.pi)


def arc(
    x: float, y: float, theta: float, v: float, omega: float, duration: float
) -> tuple[float, float, float]:
    """The pose after ``duration`` [s] at constant (v, omega): a chord of v t sin(omega t / 2) / (omega t / 2)."""
    half = 0.5 * omega * duration
    chord = v * duration * (math.sin(half) / half if half != 0.0 else 1.0)
    return x + chord * math.cos(theta + half), y + chord * math.sin(theta + half), wrapped(theta + 2.0 * half)


def stopping_pose(state: State, lag: float) -> tuple[float, float, float]:
    """Where a robot told to stop comes to rest: it runs on for v tau and omega tau, the arc of duration tau."""
    return arc(*state, lag)


def deviations(xx: float, xy: float, yy: float, tt: float) -> Pair:
    """Standard deviations of position, in its worst direction, and heading [m, rad], from variances and covariance."""
    # Largest root of (xx - l) (yy - l) = xy^2.
    largest = 0.5 * (xx + yy + math.sqrt((xx - yy) ** 2 + 4.0 * xy**2))
    return math.sqrt(max(largest, 0.0)), math.sqrt(max(tt, 0.0))


class Commands:
    """The commands sent before one cycle: (stamp [ns], v, omega), in order of sending."""

    def __init__(self, sent: Sequence[tuple[int, float, float]], robot: RobotModel, dt: float) -> None:
        """For control period ``dt`` [s]; a command whose stamp is not later than that before it replaces that."""
        self._robot, self._dt = robot, dt
        kept: list[tuple[int, float, float]] = []
        for stamp, v, omega in sent:
            if kept and stamp <= kept[-1][0]:
                kept[-1] = (kept[-1][0], v, omega)
            else:
                kept.append((stamp, v, omega))
        self._newest = kept[-1][0] if kept else None
        # What was in force at the newest command's stamp, a period before it, and so on.
        self._rows: list[Pair] = [(0.0, 0.0)] * HISTORY
        for row in range(HISTORY):
            before = [
                c for c in kept if self._newest is not None and c[0] <= self._newest - round(row * dt * 1e9)
            ]
            if not before:
                break
            self._rows[row] = before[-1][1:]

    def predict(self, state: State, stamp_ns: int, age: float) -> State:
        """The state at which a command sent ``age`` [s] after ``stamp_ns`` begins to act."""
        since = 0.0 if self._newest is None else (stamp_ns - self._newest) / 1e9
        return self._advance(state, since, age + self._robot.delay)

    def velocity(self, stamp_ns: int) -> Pair:
        """The model's (v, omega) at ``stamp_ns``, from rest before the oldest command."""
        span = (len(self._rows) - 1) * self._dt
        since = 0.0 if self._newest is None else (stamp_ns - self._newest) / 1e9
        return self._advance((0.0, 0.0, 0.0, 0.0, 0.0), -span, span + since)[3:]

    def pieces(self, now_ns: int) -> list[tuple[float, float, float, float]]:
        """(from, to, v, omega) of every row, in times since it was sent [s], seen at ``now_ns``."""
        since = 0.0 if self._newest is None else max((now_ns - self._newest) / 1e9, 0.0)
        edges = [0.0, *(since + row * self._dt for row in range(len(self._rows)))]
        return [(edges[row], edges[row + 1], *command) for row, command in enumerate(self._rows) if any(command)]

    def _advance(self, state: State, start: float, duration: float) -> State:
        """From ``start`` [s] after the newest command was sent on, for ``duration`` [s]."""
        end = start + duration
        changes = [self._robot.delay - i * self._dt for i in range(len(self._rows))]
        inner = [t for t in changes if start + _INSTANT < t < end - _INSTANT]
        edges = [start, *sorted(inner), end]
        for first, last in zip(edges[:-1], edges[1:], strict=True):
            if last - first > _INSTANT:
                middle = 0.5 * (first + last)
                row = next((i for i, t in enumerate(changes) if t <= middle), len(changes) - 1)
                state = self._follow(state, self._rows[row], last - first)
        return state

    def _follow(self, state: State, command: Pair, duration: float) -> State:
        tau, limit = self._robot.lag, self._robot.acceleration_max
        x, y, theta, v, omega = state
        if tau == 0.0 and limit == 0.0:
            return *arc(x, y, theta, *command, duration), *command
        steps = max(1, math.ceil(_SUBSTEPS * duration / self._dt - _INSTANT))
        h = duration / steps
        for _ in range(steps):
            (mean_v, end_v), (mean_omega, end_omega) = (
                _relaxed(value, target, tau, h) for value, target in ((v, command[0]), (omega, command[1]))
            )
            if limit > 0.0 and abs(end_v - v) > limit * h:
                end_v = v + math.copysign(limit * h, end_v - v)
                mean_v = 0.5 * (v + end_v)
            x, y, theta = arc(x, y, theta, mean_v, mean_omega, h)
            v, omega = end_v, end_omega
        return x, y, theta, v, omega


def _relaxed(value: float, target: float, tau: float, h: float) -> Pair:
    """Mean over ``h`` [s] and value after it of an exponential towards ``target``."""
    if tau == 0.0:
        return target, target
    left = math.exp(-h / tau)
    return target + (value - target) * tau * (1.0 - left) / h, target + (value - target) * left

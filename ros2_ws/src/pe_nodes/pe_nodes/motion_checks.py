"""Whether reported states can be true: steps that no robot can make, sensors that do not follow the robot; pure."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

from pe_core.unicycle import half_angle_sinc, wrap_angle

GATE = 1.5
"""A robot may be this much faster than its profile says (motor gain, rounding) before a report is implausible."""
UNANSWERED = 0.2
"""Moving commands for so long [s], beyond the robot's own delay and lag, without an answer: the sensor is frozen."""


class StepCheck:
    """Gate on the step between two reported states (x, y, theta, ...), for the limits of one robot."""

    def __init__(self, v_max: float, omega_max: float, distance: float, turn: float) -> None:
        """``distance`` [m] and ``turn`` [rad] are allowed beside what the robot can do: corrections, noise."""
        self._speed, self._rate = GATE * v_max, GATE * omega_max
        self._distance, self._turn = distance, turn

    def __call__(self, last: Sequence[float], values: Sequence[float], elapsed: float) -> str:
        """Why the step in ``elapsed`` [s] is not plausible, or nothing."""
        moved = math.hypot(values[0] - last[0], values[1] - last[1])
        turned = abs(wrap_angle(values[2] - last[2]))
        if moved > (able := self._speed * elapsed + self._distance):
            return f"jumped by {moved:.2f} m in {elapsed:.2f} s (at most {able:.2f} m)"
        if turned > (able := self._rate * elapsed + self._turn):
            return f"turned by {turned:.2f} rad in {elapsed:.2f} s (at most {able:.2f} rad)"
        return ""


class ResponseCheck:
    """Compares what was commanded with what the own states say, over a window.

    With the robot's response time h = delay + 3 lag + 0.1 s and W = h + ``UNANSWERED``: commands sent in
    [t - W, t - h] must show in the states of [t - W, t], in path or in turn, at a tenth of what was commanded.
    Without new states there is nothing to compare; that they are missing is noticed elsewhere.
    """

    def __init__(self, v_max: float, omega_max: float, delay: float, lag: float) -> None:
        self._response = delay + 3.0 * lag + 0.1
        self._window = self._response + UNANSWERED
        # Slower commands may lie in a motor's dead zone.
        self._least = (0.2 * v_max * UNANSWERED, 0.2 * omega_max * UNANSWERED)
        # Of each state: stamp [s]; cumulated path [m] and turn [rad], commanded and reported.
        self._rows: deque[tuple[float, float, float, float, float]] = deque()
        self.clear()

    def clear(self) -> None:
        """Forget everything: the robot stands still."""
        self._rows.clear()
        self._state: Sequence[float] | None = None
        self._command, self._sent_at = (0.0, 0.0), 0.0
        self._path = self._turn = self._moved = self._turned = 0.0

    def sent(self, stamp_ns: int, command: tuple[float, float]) -> None:
        """A command (v, omega) was sent."""
        stamp = stamp_ns / 1e9
        self._path, self._turn = self._commanded(stamp)
        self._command, self._sent_at = command, stamp

    def _commanded(self, stamp: float) -> tuple[float, float]:
        # Commands come at 20 Hz or more: what is longer is a clock that was set.
        held = min(max(stamp - self._sent_at, 0.0), 0.1)
        return self._path + abs(self._command[0]) * held, self._turn + abs(self._command[1]) * held

    def seen(self, stamp_ns: int, values: Sequence[float]) -> None:
        """A new own state (x, y, theta, ...) was accepted."""
        stamp = stamp_ns / 1e9
        if self._state is not None:
            self._moved += math.hypot(values[0] - self._state[0], values[1] - self._state[1])
            self._turned += abs(wrap_angle(values[2] - self._state[2]))
        self._state = values
        path, turn = self._commanded(stamp)
        self._rows.append((stamp, path, turn, self._moved, self._turned))
        while len(self._rows) > 2 and self._rows[1][0] <= stamp - self._window:
            self._rows.popleft()

    def verdict(self) -> str:
        """Why the states cannot be those of the robot which was commanded, or nothing."""
        if len(self._rows) < 4:
            return ""
        first, now = self._rows[0], self._rows[-1]
        if now[0] - first[0] < self._window - 1e-6:
            return ""
        last = next(row for row in reversed(self._rows) if row[0] <= now[0] - self._response + 1e-6)
        path, turn = last[1] - first[1], last[2] - first[2]
        moved, turned = now[3] - first[3], now[4] - first[4]
        if path <= self._least[0] and turn <= self._least[1]:
            return ""
        if moved > 0.1 * path or turned > 0.1 * turn + 1e-6:
            return ""
        return f"is frozen: it moved by {moved:.3f} m and {turned:.3f} rad where {path:.2f} m, {turn:.2f} rad were sent"


class OdometryCheck:
    """Odometry against itself: its pose against its twist, and both against the robot's limits."""

    FROZEN_AFTER = 0.15
    """Seconds, and at least three readings."""

    def __init__(self, v_limit: float, omega_limit: float, dt: float) -> None:
        """Limits [m/s], [rad/s] beyond which a reading is a spike; ``dt`` [s], the usual time between readings."""
        self._limits = (v_limit, omega_limit)
        self._dt = dt
        self._unchanged, self._since = 0, 0.0

    def clear(self) -> None:
        """A new beginning."""
        self._unchanged, self._since = 0, 0.0

    def plausible(self, v: float, omega: float) -> bool:
        """Whether the robot can move like that."""
        return abs(v) <= self._limits[0] and abs(omega) <= self._limits[1]

    def gap(self, elapsed: float) -> bool:
        """Whether readings are missing in ``elapsed`` [s]."""
        return elapsed > 1.5 * self._dt

    def suspicious(self, last: Sequence[float], values: Sequence[float], elapsed: float) -> bool:
        """Whether the pose stands still in a reading whose twist says that the robot moves."""
        moves = abs(values[3]) > 0.02 or abs(values[4]) > 0.04
        if not moves or tuple(last[:3]) != tuple(values[:3]):
            self.clear()
            return False
        self._unchanged += 1
        self._since += elapsed
        return True

    @property
    def frozen(self) -> bool:
        """Whether that has been so several readings in a row."""
        return self._unchanged >= 3 and self._since >= self.FROZEN_AFTER - 1e-6


def arc_between(last: Sequence[float], values: Sequence[float], elapsed: float) -> tuple[float, float, float]:
    """(v, omega, sideways): the one arc of ``elapsed`` [s] between two poses (x, y, theta).

    With turn dtheta, middle heading phi = theta + dtheta / 2 and d the displacement: v = d . [cos phi, sin phi] /
    (sinc(dtheta / 2) elapsed), omega = dtheta / elapsed.  A unicycle has no way ``sideways`` [m], across phi.
    """
    turn = wrap_angle(values[2] - last[2])
    middle = last[2] + 0.5 * turn
    dx, dy = values[0] - last[0], values[1] - last[1]
    way = dx * math.cos(middle) + dy * math.sin(middle)
    sideways = -dx * math.sin(middle) + dy * math.cos(middle)
    return way / half_angle_sinc(0.5 * turn) / elapsed, turn / elapsed, sideways

"""Whether a command may still move a robot: the watchdog's decision; pure, times are arguments.

Two clocks, as in :mod:`pe_nodes.inputs`: ``now_ns`` is ROS time, to which header stamps belong; ``wall`` [s] is the
monotonic clock of the robot's own computer, which nothing sets back or stops.
"""

from __future__ import annotations

import math

from pe_core.robot import RobotModel

Command = tuple[float, float]
ZERO: Command = (0.0, 0.0)
ACCEPTED = ""
NOT_FINITE = "not finite"
BEYOND_LIMITS = "beyond the robot's limits"
STALE = "stale stamp"
FUTURE = "stamp in the future"


class CommandGate:
    """The newest command, for as long as it is fresh.

    Attributes:
        accepted: commands taken; rejected: count by reason; zero_stamps: stamps of zero, taken as now.
        expired: how often a command ran out.
    """

    def __init__(
        self, robot: RobotModel, timeout: float, future_tolerance: float, limit_tolerance: float, synchronised: bool
    ) -> None:
        """``limit_tolerance`` is a share of the limits; stamps count where clocks are ``synchronised``."""
        self._v_low = robot.v_min - limit_tolerance * robot.v_max
        self._v_high = (1.0 + limit_tolerance) * robot.v_max
        self._omega = (1.0 + limit_tolerance) * robot.omega_max
        self._timeout = timeout
        self._ahead = future_tolerance
        self._synchronised = synchronised
        self._held: Command | None = None
        self._stamp_ns = 0
        self._wall = -math.inf
        self._why = "no command received"
        self.accepted = self.zero_stamps = self.expired = 0
        self.rejected: dict[str, int] = {}

    def offer(self, command: Command, stamp_ns: int | None, now_ns: int, wall: float) -> str:
        """Take (v, omega), or say why not; one that is not sound also ends the one before it.

        ``stamp_ns`` is None for a message without a stamp; zero is taken as now.
        """
        v, omega = command
        if not (math.isfinite(v) and math.isfinite(omega)):
            return self._refuse(NOT_FINITE, True)
        if not (self._v_low <= v <= self._v_high and abs(omega) <= self._omega):
            return self._refuse(BEYOND_LIMITS, True)
        if stamp_ns == 0:
            self.zero_stamps += 1
        if not stamp_ns or not self._synchronised:
            stamp_ns = now_ns
        if now_ns - stamp_ns > self._timeout * 1e9:
            return self._refuse(STALE, False)
        if stamp_ns - now_ns > self._ahead * 1e9:
            return self._refuse(FUTURE, False)
        self._held, self._stamp_ns, self._wall = command, stamp_ns, wall
        self.accepted += 1
        return ACCEPTED

    def command(self, now_ns: int, wall: float) -> tuple[Command, str]:
        """(command for now, why it is zero or nothing)."""
        if self._held is not None:
            age = max(wall - self._wall, (now_ns - self._stamp_ns) / 1e9 if self._synchronised else 0.0)
            if age <= self._timeout:
                return self._held, ""
            self._held = None
            self.expired += 1
            self._why = f"no fresh command for {self._timeout:g} s"
        return ZERO, self._why

    def clear(self) -> None:
        """Forget the command."""
        self._held = None
        self._why = "no command received"

    def _refuse(self, reason: str, ends: bool) -> str:
        self.rejected[reason] = self.rejected.get(reason, 0) + 1
        if ends:
            self._held = None
        if self._held is None:
            self._why = f"the last command was refused: {reason}"
        return reason

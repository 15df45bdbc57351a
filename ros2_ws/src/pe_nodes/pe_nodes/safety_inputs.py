"""What the safety node knows at one instant, and whether that is enough to move; pure."""

from __future__ import annotations

import enum
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from numpy.typing import NDArray

from pe_core.robot import RobotModel
from pe_nodes import inputs
from pe_nodes.inputs import StampedInput
from pe_nodes.motion_checks import ResponseCheck, StepCheck
from pe_nodes.settings import SafetySettings
from pe_safety.sent_commands import SentCommands

ESTIMATOR = "state_estimator"
_REFERENCE = RobotModel()


class Mode(enum.StrEnum):
    """What the safety node is doing."""

    WAITING = "waiting"
    ACTIVE = "active"
    STOPPED = "stopped"
    FAULT = "fault"


class SafetyInputs:
    """Nominal command, own state and opponent's state with separate timeouts, and the latched fault.

    Attributes:
        fault: the first fault since they were cleared; it stands until it is cleared.
        estimator: what the own state estimator complains of, as long as it does.
        modelled: the own velocity is that of the model under the commands sent, not the measured one.
        obstacle: why the robot must wait although nothing is wrong, or nothing.
        unarmed: why it may not move yet, or nothing.
    """

    def __init__(
        self,
        settings: SafetySettings,
        own: RobotModel = _REFERENCE,
        opponent: RobotModel = _REFERENCE,
        estimator: str = ESTIMATOR,
    ) -> None:
        """For the profiles of the own robot and of the opponent; ``estimator``: its name in diagnostics."""
        self._estimator = estimator
        ahead = settings.future_tolerance
        self.nominal = StampedInput("nominal command", settings.nominal_timeout, ahead)
        self.own = StampedInput("own state", settings.state_timeout, ahead)
        self.opponent = StampedInput("opponent state", settings.opponent_timeout, ahead)
        self.all = (self.nominal, self.own, self.opponent)
        self.playing = self.modelled = False
        self.fault = self.estimator = self.obstacle = self.unarmed = ""
        self._limit = settings.prediction_limit
        gates = (settings.jump_tolerance, settings.turn_tolerance)
        self.own.check = StepCheck(own.v_max, own.omega_max, *gates)
        self.opponent.check = StepCheck(opponent.v_max, opponent.omega_max, *gates)
        self.response = ResponseCheck(own.v_max, own.omega_max, own.delay, own.lag)
        self._dt = settings.dt
        self._rest_time = own.delay + 3.0 * own.lag + 0.1
        if own.acceleration_max > 0.0:
            self._rest_time += own.v_max / own.acceleration_max
        self._start_ns = 0
        self._hold_until: int | None = None

    def begin(self, start_ns: int = 0) -> None:
        """A new episode, begun at ``start_ns``: nothing that was received before counts."""
        self.forget()
        self._start_ns, self._hold_until = start_ns, None
        self.playing = True

    def forget(self) -> None:
        """Nothing that was received can be compared with what is to come."""
        for source in self.all:
            source.clear()
        self.response.clear()

    def offer(self, source: StampedInput, values: tuple[float, ...], stamp_ns: int, now_ns: int) -> str:
        """Take a message for one of the inputs, see :meth:`StampedInput.offer`."""
        if source is self.own and self.playing and source.doubt and source.lost(now_ns):
            # Now, for after the loss the next one is taken without a comparison.
            self.latch(f"{source.name} {source.doubt}")
        verdict = source.offer(values, stamp_ns, now_ns)
        if verdict == inputs.ACCEPTED and source is self.own:
            self.response.seen(source.stamp_ns, values)
            if self._hold_until is None:
                # Commands from before this node's start may still act; after its own zeros the robot is at rest.
                late = self._start_ns and source.stamp_ns - self._start_ns > 3e9 * self._dt
                self._hold_until = source.stamp_ns + round(1e9 * self._rest_time) if late else 0
        return verdict

    def latch(self, reason: str) -> None:
        """Latch a fault; the first one stands until it is cleared."""
        if not self.fault:
            self.fault = reason

    def decide(self, now_ns: int) -> tuple[Mode, str]:
        """The mode at ``now_ns`` and why; only ``ACTIVE`` moves the robot."""
        self._latch_faults(now_ns)
        if self.fault:
            return Mode.FAULT, self.fault
        if not self.playing:
            return Mode.WAITING, "no episode is being played"
        if self.unarmed:
            return Mode.WAITING, self.unarmed
        if self.obstacle:
            return Mode.STOPPED, self.obstacle
        for source in self.all:
            if source.values is None:
                return Mode.WAITING, source.describe(now_ns)
        # Causes first: without states the policy soon gives no command either.
        for source in (self.own, self.opponent, self.nominal):
            if source.lost(now_ns):
                return Mode.STOPPED, source.describe(now_ns)
        if self._hold_until and now_ns < self._hold_until:
            return Mode.STOPPED, "joined a running episode: waiting until the robot is at rest"
        return Mode.ACTIVE, ""

    def hear(self, message: DiagnosticArray) -> None:
        """Diagnostics: an own state that its estimator says is wrong is withheld; the reason is found here."""
        for status in message.status:
            if status.name == self._estimator:
                self.estimator = status.message if status.level == DiagnosticStatus.ERROR else ""

    def _latch_faults(self, now_ns: int) -> None:
        own = self.own
        if not self.playing or own.values is None:
            return
        if self.estimator:
            self.latch(f"state estimator: {self.estimator}")
        if not own.lost(now_ns):
            if verdict := self.response.verdict():
                self.latch(f"{own.name} {verdict}")
        elif own.doubt:
            self.latch(f"{own.name} {own.doubt}")
        elif own.repeats > 2 and (now_ns - own.receipt_ns) / 1e9 <= own.timeout:
            self.latch(f"{own.name} is frozen: {own.repeats} messages with one stamp")

    def clear(self) -> tuple[bool, str]:
        """Clear the latched fault: whether that was possible, and what was cleared or why it stands."""
        if self.estimator:
            return False, f"state estimator: {self.estimator}"
        cleared, self.fault = self.fault, ""
        if self.own.doubt or cleared.startswith(self.own.name):
            self.own.clear()
        self.response.clear()
        return True, f"cleared: {cleared}" if cleared else "no fault was latched"

    def complete(self, stamp_ns: int) -> bool:
        """Whether everything stamped ``stamp_ns`` (or later) is there; nobody waits for a lost input."""
        return all(
            source.stamp_ns >= stamp_ns or (source.values is not None and source.lost(stamp_ns))
            for source in self.all
        )

    def own_at(self, now_ns: int, sent: SentCommands) -> NDArray[np.float64]:
        """Own state (5,) where a command sent at ``now_ns`` begins to act, under the commands sent before."""
        ahead = min(max((now_ns - self.own.stamp_ns) / 1e9, 0.0), self._limit)
        own = np.array(self.own.values, dtype=np.float64)[:5]
        if self.modelled:
            own[3:] = sent.velocity(self.own.stamp_ns)
        return sent.predict(own, self.own.stamp_ns, ahead)

    def uncertainty(self, now_ns: int, sent: SentCommands, parameters: NDArray[np.float64]) -> dict[str, Any]:
        """What the filter (``SafetyParameters.as_array()``) must know beside the states: deviations of both estimates,
        and what the commands sent before will still do; after :meth:`own_at`."""
        own, opponent = self.own.values, self.opponent.values
        if own is None or opponent is None:
            return {}
        age = min(max((now_ns - self.own.stamp_ns) / 1e9, 0.0), self._limit)
        return {
            "deviations": (own[5], own[6]),
            "opponent_deviations": (opponent[5], opponent[6]),
            "pending": sent.pending(now_ns, age, parameters),
        }

    def opponent_at(self, now_ns: int) -> tuple[NDArray[np.float64], float]:
        """Opponent's state (5,) as received, and its age [s]: what it did since then is not known."""
        return np.array(self.opponent.values, dtype=np.float64)[:5], self.opponent.age(now_ns)

"""What the safety node knows at one instant, and whether that is enough to move; pure."""

from __future__ import annotations

import enum

import numpy as np
from numpy.typing import NDArray

from pe_nodes.inputs import StampedInput
from pe_nodes.sent_commands import SentCommands
from pe_nodes.settings import SafetySettings


class Mode(enum.StrEnum):
    """What the safety node is doing."""

    WAITING = "waiting"
    ACTIVE = "active"
    STOPPED = "stopped"
    FAULT = "fault"


class SafetyInputs:
    """Nominal command, own state and opponent's state with separate timeouts, and the latched fault."""

    def __init__(self, settings: SafetySettings) -> None:
        ahead = settings.future_tolerance
        self.nominal = StampedInput("nominal command", settings.nominal_timeout, ahead)
        self.own = StampedInput("own state", settings.state_timeout, ahead)
        self.opponent = StampedInput("opponent state", settings.opponent_timeout, ahead)
        self.all = (self.nominal, self.own, self.opponent)
        self.playing = False
        self.fault = ""
        self._limit = settings.prediction_limit

    def begin(self) -> None:
        """A new episode: nothing that was received before counts."""
        for source in self.all:
            source.clear()
        self.playing = True

    def latch(self, reason: str) -> None:
        """Latch a fault; the first one stands until it is cleared."""
        if not self.fault:
            self.fault = reason

    def decide(self, now_ns: int) -> tuple[Mode, str]:
        """The mode at ``now_ns`` and why; only ``ACTIVE`` moves the robot."""
        if self.fault:
            return Mode.FAULT, self.fault
        if not self.playing:
            return Mode.WAITING, "no episode is being played"
        for source in self.all:
            if source.values is None:
                return Mode.WAITING, source.describe(now_ns)
        for source in self.all:
            if source.lost(now_ns):
                return Mode.STOPPED, source.describe(now_ns)
        return Mode.ACTIVE, ""

    def complete(self, stamp_ns: int) -> bool:
        """Whether everything stamped ``stamp_ns`` (or later) is there; nobody waits for a lost input."""
        return all(
            source.stamp_ns >= stamp_ns or (source.values is not None and source.lost(stamp_ns))
            for source in self.all
        )

    def own_at(self, now_ns: int, sent: SentCommands) -> NDArray[np.float64]:
        """Own state (5,) where a command sent at ``now_ns`` begins to act, under the commands sent before."""
        ahead = min(max((now_ns - self.own.stamp_ns) / 1e9, 0.0), self._limit)
        return sent.predict(np.array(self.own.values, dtype=np.float64), self.own.stamp_ns, ahead)

    def opponent_at(self, now_ns: int) -> tuple[NDArray[np.float64], float]:
        """Opponent's state (5,) as received, and its age [s]: what it did since then is not known."""
        return np.array(self.opponent.values, dtype=np.float64), self.opponent.age(now_ns)

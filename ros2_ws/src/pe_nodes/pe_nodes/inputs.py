"""Book-keeping of what a node receives: stamps, ages, rejections.  Pure: times are arguments.

Two clocks matter.  ``now`` is the node's ROS time [ns], to which header stamps belong; the age of an input is
the larger of (now - stamp) and (now - time of receipt), so that neither a robot with a wrong clock nor a message
that lay in a queue looks young.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

ACCEPTED = ""
DUPLICATE = "duplicate"
NOT_FINITE = "not finite"
FUTURE = "stamp in the future"
STALE = "stale stamp"
OUT_OF_ORDER = "stamp before the last one"
IMPLAUSIBLE = "implausible step"
StepGate = Callable[[Sequence[float], Sequence[float], float], str]
GRACE = 0.15
"""So long [s] after a single implausible step, one that is plausible again is believed."""


@dataclasses.dataclass
class StampedInput:
    """The newest accepted value of one input.

    Attributes:
        name: for messages.
        timeout: age [s] beyond which it counts as lost.
        future_tolerance: stamps further ahead of now [s] are rejected.
        values, stamp_ns, receipt_ns: of the newest accepted message; ``values`` is None before the first.
        zero_stamps: messages whose stamp was zero and was taken as now.
        rejected: count by reason.
        check: says why the step (last values, values, seconds between them) is not plausible, or nothing.
        doubt: what ``check`` said of the newest message, where that was rejected for it.
        repeats: how often the newest accepted stamp came again.
    """

    name: str
    timeout: float
    future_tolerance: float
    values: Sequence[float] | None = None
    stamp_ns: int = 0
    receipt_ns: int = 0
    accepted: int = 0
    zero_stamps: int = 0
    rejected: dict[str, int] = dataclasses.field(default_factory=dict)
    check: StepGate | None = None
    doubt: str = ""
    repeats: int = 0
    last_rejection: str = ""
    _doubted: tuple[Sequence[float], int] | None = None

    def offer(self, values: Sequence[float], stamp_ns: int, now_ns: int) -> str:
        """Take a message, or say why not: ``ACCEPTED``, ``DUPLICATE`` (same stamp again), or a rejection."""
        for value in values:
            if not math.isfinite(value):
                return self._reject(NOT_FINITE)
        if stamp_ns == 0:
            self.zero_stamps += 1
            stamp_ns = now_ns
        if stamp_ns - now_ns > self.future_tolerance * 1e9:
            return self._reject(FUTURE)
        if self.values is not None and stamp_ns == self.stamp_ns:
            self.receipt_ns = max(now_ns, self.receipt_ns)
            self.repeats += 1
            return DUPLICATE
        if now_ns - stamp_ns > self.timeout * 1e9:
            return self._reject(STALE)
        if self.values is not None:
            if stamp_ns < self.stamp_ns:
                return self._reject(OUT_OF_ORDER)
            # What comes after a loss has nothing to be compared with.
            if self.check is not None and not self.lost(now_ns):
                self.doubt = self._doubted_step(self.check, self.values, values, stamp_ns)
                if self.doubt:
                    self._doubted = (values, stamp_ns)
                    return self._reject(IMPLAUSIBLE)
        self.repeats, self.doubt, self.last_rejection, self._doubted = 0, "", "", None
        self.values = values
        self.stamp_ns = stamp_ns
        self.receipt_ns = now_ns
        self.accepted += 1
        return ACCEPTED

    def age(self, now_ns: int) -> float:
        """Age [s] of the newest accepted value by stamp or by receipt, whichever is larger; inf before the first."""
        if self.values is None:
            return math.inf
        return max(now_ns - self.stamp_ns, now_ns - self.receipt_ns, 0) / 1e9

    def lost(self, now_ns: int) -> bool:
        """Whether there is no value, or it is older than the timeout."""
        return self.age(now_ns) > self.timeout

    def clear(self) -> None:
        """Forget the value (a new episode, a clock that jumped back); counters stay."""
        self.values = None
        self.stamp_ns = 0
        self.receipt_ns = 0
        self.repeats, self.doubt, self.last_rejection, self._doubted = 0, "", "", None

    def describe(self, now_ns: int) -> str:
        """Why the input cannot be used now, in words."""
        if self.values is None:
            return f"no {self.name} received" + (f" ({self.last_rejection})" if self.last_rejection else "")
        why = f"; rejected since: {self.last_rejection}" if self.last_rejection else ""
        return f"{self.name} is {self.age(now_ns):.2f} s old (limit {self.timeout:g} s{why})"

    def _doubted_step(self, check: StepGate, last: Sequence[float], values: Sequence[float], stamp_ns: int) -> str:
        elapsed = (stamp_ns - self.stamp_ns) / 1e9
        if why := check(last, values, elapsed):
            return why if self._doubted is None else self.doubt
        if self._doubted is None or elapsed <= GRACE:
            return ""
        # With time every step becomes possible; one that goes on from what was doubted is still the same jump.
        before, before_ns = self._doubted
        return "" if check(before, values, (stamp_ns - before_ns) / 1e9) else self.doubt

    def _reject(self, reason: str) -> str:
        self.rejected[reason] = self.rejected.get(reason, 0) + 1
        self.last_rejection = reason
        return reason

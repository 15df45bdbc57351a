"""Who has answered a control step, and when to ask again; pure: times [s] are arguments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

# Best-effort odometry is lost about once in a thousand steps: ask again, at growing intervals.
RESEND_FIRST, RESEND_MOST = 0.06, 0.5


class Lockstep:
    """Answers to the step that was asked last.

    Attributes:
        answered: robots whose command for this step is there.
        silent: robots that were given up in an earlier step; they are asked, but not waited for.
    """

    def __init__(self, robots: Sequence[str], timeout: float) -> None:
        self._robots = tuple(robots)
        self._timeout = timeout
        self.answered: set[str] = set()
        self.silent: set[str] = set()
        self._asked = self._sent = 0.0
        self._interval = RESEND_FIRST

    def begin(self, now: float) -> None:
        """A new step is asked."""
        self.answered.clear()
        self._asked = self._sent = now
        self._interval = RESEND_FIRST

    def answer(self, robot: str) -> bool:
        """A robot's command is there; True where that was the last one missing."""
        self.silent.discard(robot)
        self.answered.add(robot)
        return len(self.answered) == len(self._robots)

    def late(self, now: float) -> set[str]:
        """Robots to ask again now; empty where it is not yet time to."""
        if now - self._sent <= self._interval:
            return set()
        self._interval = min(2.0 * self._interval, RESEND_MOST)
        self._sent = now
        return set(self._robots) - self.answered

    def give_up(self, late: Iterable[str], now: float) -> tuple[bool, list[str]]:
        """(whether to step without the late robots, those that are newly silent)."""
        late = set(late)
        if now - self._asked < self._timeout and not late <= self.silent:
            return False, []
        fresh = sorted(late - self.silent)
        self.silent |= late
        return True, fresh

    def waited(self, now: float) -> float:
        """Seconds since the step was asked."""
        return now - self._asked


def describe_silence(robot: str, waited: float, expected: Iterable[str], present: Iterable[str]) -> str:
    """Which robot does not answer, and which of its nodes no longer exist."""
    mine = {name for name in expected if name.startswith(f"/{robot}/")}
    gone = ", ".join(sorted(mine - set(present)))
    known = f"gone: {gone}" if gone else f"all nodes of {robot} still exist"
    return f"/{robot}/safety sent no cmd_vel for {waited:.1f} s ({known}); {robot} keeps its last command"

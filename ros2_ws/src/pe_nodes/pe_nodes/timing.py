"""Latencies and rates for diagnostics; pure."""

from __future__ import annotations

from collections import deque


class Timing:
    """Durations [s] of the last ``size`` events, and how often a deadline was missed since the start."""

    def __init__(self, deadline: float, size: int = 1000) -> None:
        self.deadline = deadline
        self.count = 0
        self.misses = 0
        self.worst = 0.0
        self._recent: deque[float] = deque(maxlen=size)

    def add(self, duration: float) -> None:
        """Record one event."""
        self.count += 1
        self._recent.append(duration)
        if duration > self.worst:
            self.worst = duration
        if duration > self.deadline:
            self.misses += 1

    def summary_ms(self) -> dict[str, str]:
        """p50, p99 (recent) and max (ever) in milliseconds, and the misses, as texts for diagnostics."""
        ordered = sorted(self._recent)
        if not ordered:
            return {"count": "0", "deadline_misses": "0"}
        last = len(ordered) - 1
        return {
            "p50_ms": f"{1e3 * ordered[round(0.50 * last)]:.3f}",
            "p99_ms": f"{1e3 * ordered[round(0.99 * last)]:.3f}",
            "max_ms": f"{1e3 * self.worst:.3f}",
            "count": str(self.count),
            "deadline_misses": str(self.misses),
        }


class Rate:
    """Events per second between two readings."""

    def __init__(self) -> None:
        self._count = 0
        self._since = 0.0

    def tick(self) -> None:
        """Count one event."""
        self._count += 1

    def read(self, now: float) -> float:
        """Events per second since the last reading at wall time ``now`` [s]."""
        elapsed = now - self._since
        rate = self._count / elapsed if self._since and elapsed > 0.0 else 0.0
        self._count, self._since = 0, now
        return rate

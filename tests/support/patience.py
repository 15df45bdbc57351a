"""How long to wait for what takes wall time, on a machine that others use too."""

from __future__ import annotations

import os

LONGEST = 540.0
"""No wait is longer [s]; below pytest's own limit for a test."""


def patience(seconds: float) -> float:
    """What ``seconds`` on a machine with a core for everybody may become on this one.

    That is, times the processes that share a core (load average of the last minute over cores), where they do.
    """
    waiting = os.getloadavg()[0] / len(os.sched_getaffinity(0))
    return min(seconds * max(1.0, waiting), max(seconds, LONGEST))

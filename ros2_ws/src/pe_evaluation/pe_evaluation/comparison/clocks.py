"""By how much the clocks of two recorded robots disagree, from stamps and times of receipt.

Of every odometry (or state) message: its stamp less the time that the reference showed when it was received.  The
reference is ``/clock`` where that was recorded, else ground truth, which the simulator stamps, each as it was last
received; else the recorder's own clock.  The median of one robot less that of the other, which has about the same
latency, is the offset.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pe_evaluation.decoding import Decoder
from pe_evaluation.metrics import ROLES
from pe_evaluation.storage import open_bag

LEAST_NS = 250_000_000
"""Clocks that disagree by less count as one: it may be latency."""

_REFERENCES = ("/clock", "/pursuer/ground_truth", "/evader/ground_truth")


@dataclasses.dataclass(frozen=True)
class Offsets:
    """By how much each robot's clock is ahead [ns], of those that are; and that in words."""

    ahead_ns: dict[str, int]
    remarks: list[str]


def offsets_of(bag: Path | str) -> Offsets:
    """The offsets of a bag; none where a robot was not heard.

    Raises:
        BagError: the bag cannot be read.
    """
    topics = {f"/{role}/{name}": role for role in ROLES for name in ("odom", "state")}
    decoder = Decoder()
    times: dict[str, list[tuple[int, int]]] = {topic: [] for topic in (*_REFERENCES, *topics)}
    for raw in open_bag(Path(bag)).messages(times):
        found = decoder.row(raw)
        if found is not None:
            times[raw.topic].append((found[0], raw.log_ns))
    heard = {topic: np.array(rows, dtype=np.int64).reshape(-1, 2) for topic, rows in times.items()}
    reference = next((topic for topic in _REFERENCES if len(heard[topic])), "the recorder's clock")
    clock = heard.get(reference, np.empty((0, 2), dtype=np.int64))
    medians: dict[str, int] = {}
    for role in ROLES:
        rows = next((heard[f"/{role}/{name}"] for name in ("odom", "state") if len(heard[f"/{role}/{name}"])), None)
        if rows is None:
            return Offsets({}, [])
        lead = _lead(rows, clock)
        if len(lead):
            medians[role] = int(np.median(lead))
    if len(medians) < len(ROLES) or abs(medians["pursuer"] - medians["evader"]) < LEAST_NS:
        return Offsets({}, [])
    # The robot that is further from the reference is the one that is wrong; where both are far, the evader is taken.
    sure = min(map(abs, medians.values())) < LEAST_NS
    late = max(ROLES, key=lambda role: abs(medians[role])) if sure else "evader"
    right = ROLES[1 - ROLES.index(late)]
    ahead = medians[late] - medians[right]
    which = f"{right}'s agrees with {reference}" if sure else f"neither agrees with {reference}"
    return Offsets(
        {late: ahead},
        [
            f"the clocks of the robots disagree: {late}'s is {abs(ahead) / 1e9:.3f} s "
            f"{'ahead of' if ahead > 0 else 'behind'} {right}'s ({which}); {late}'s stamps are set "
            f"{'back' if ahead > 0 else 'forward'} by that"
        ],
    )


def _lead(rows: NDArray[np.int64], clock: NDArray[np.int64]) -> NDArray[np.int64]:
    """Stamps less what the reference showed at their receipt [ns]."""
    if not len(clock):
        return np.asarray(rows[:, 0] - rows[:, 1])
    clock = clock[np.argsort(clock[:, 1], kind="stable")]
    at = np.searchsorted(clock[:, 1], rows[:, 1], side="right") - 1
    known = at >= 0
    return np.asarray(rows[known, 0] - clock[at[known], 0])

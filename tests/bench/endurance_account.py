"""What an endurance run is judged by; pure: growth of memory, drift of latency, messages and files of the bag."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rosbags.rosbag2 import Reader
from scipy.stats import theilslopes

from pe_evaluation.bag import Run
from pe_evaluation.metrics import CAPTURE, ROLES, TIMEOUT
from pe_evaluation.recorded import Trace, missing_samples
from pe_evaluation.survey import Survey

SETTLE = 60.0
"""Wall time [s] after which a process has loaded what it needs (a fifth of a run that is shorter than 5 min)."""
WINDOW = 0.1
"""Length of the first and of the last window, as a part of the run."""
SLICES = 10


@dataclasses.dataclass(frozen=True)
class Growth:
    """Resident memory of one process [MB]: medians of the first settled and the last window, largest, slope [MB/h]."""

    first: float
    last: float
    largest: float
    slope: float

    @property
    def percent(self) -> float:
        """From the first settled window to the last [%]."""
        return 100.0 * (self.last / self.first - 1.0)


def growth(times: Sequence[float], values: Sequence[float]) -> Growth:
    """Growth of a series: ``times`` [s] since the start of play, ``values`` [MB]; the slope is Theil and Sen's."""
    t, y = np.asarray(times, dtype=np.float64), np.asarray(values, dtype=np.float64)
    end = float(t[-1])
    begin = min(SETTLE, 0.2 * end)
    width = WINDOW * end
    settled = t >= begin
    # At most 400 points: the slope looks at every pair.
    step = max(1, int(settled.sum()) // 400)
    slope = float(theilslopes(y[settled][::step], t[settled][::step])[0]) if settled.sum() > 2 else 0.0
    first = float(np.median(y[settled & (t <= max(begin + width, t[settled][0]))]))
    return Growth(first, float(np.median(y[t >= end - width])), float(y.max()), 3600.0 * slope)


@dataclasses.dataclass(frozen=True)
class Drift:
    """Latency over time: slices of equal wall time, and the trend of their medians with its 95 % interval.

    ``times`` [min] are the middles of the slices, ``p50`` and ``p99`` [ms] theirs; trends in % of the first slice's
    median over the whole run.
    """

    times: NDArray[np.float64]
    p50: NDArray[np.float64]
    p99: NDArray[np.float64]
    trend: float
    low: float
    high: float


def drift(at: NDArray[np.float64], latency: NDArray[np.float64], slices: int = SLICES) -> Drift:
    """Drift of ``latency`` [ms] that arrived ``at`` [s]; slices of equal time, trend by Theil and Sen."""
    end = float(at.max())
    edges = np.linspace(0.0, end, slices + 1)
    place = np.clip(np.digitize(at, edges) - 1, 0, slices - 1)
    middle = 0.5 * (edges[1:] + edges[:-1]) / 60.0
    p50 = np.array([np.median(latency[place == k]) for k in range(slices)])
    p99 = np.array([np.quantile(latency[place == k], 0.99) for k in range(slices)])
    # Finer than the slices that are shown: the trend of ten points says little.
    fine = np.linspace(0.0, end, 5 * slices + 1)
    part = np.clip(np.digitize(at, fine) - 1, 0, 5 * slices - 1)
    known = [k for k in range(5 * slices) if (part == k).any()]
    medians = np.array([np.median(latency[part == k]) for k in known])
    slope, _, low, high = theilslopes(medians, fine[known], 0.95)
    scale = 100.0 * end / p50[0]
    return Drift(middle, p50, p99, slope * scale, low * scale, high * scale)


@dataclasses.dataclass(frozen=True)
class File:
    """One file of the bag as an independent reader (rosbags) finds it; ``error`` where it does not read."""

    name: str
    megabytes: float
    messages: int
    error: str


def files_of(bag: Path) -> list[File]:
    """Every file of a bag, read alone and to its end."""
    found = []
    for path in sorted(bag.glob("*.mcap"), key=lambda path: int(path.stem.rsplit("_", 1)[1])):
        count, error = 0, ""
        try:
            with Reader(path) as reader:
                count = sum(1 for _ in reader.messages())
                if count != reader.message_count:
                    error = f"{count} messages of {reader.message_count}"
        except Exception as problem:  # noqa: BLE001  # whatever a reader raises, the file is not readable
            error = str(problem) or type(problem).__name__
        found.append(File(path.name, path.stat().st_size / 1e6, count, error))
    return found


class Recorded:
    """One pass over the bag of an endurance run.

    Attributes:
        survey: the run's metrics.
        episodes, steps: that were played to their end, and their control steps; robot_time [s].
        missing: control steps of these without a message, by topic.
        at, latency: of every command, wall time [s] since the first, and odom to cmd_vel [ms].
    """

    def __init__(self, bag: Path) -> None:
        self.episodes = self.steps = 0
        self.robot_time = 0.0
        self.missing: dict[str, int] = {}
        self._at: list[NDArray[np.float64]] = []
        self._latency: list[NDArray[np.float64]] = []
        self._origin: int | None = None
        self.survey = Survey(bag, self._add)
        self.at, self.latency = np.concatenate(self._at), np.concatenate(self._latency)

    def _add(self, part: Run, traces: list[Trace]) -> None:
        finished = [trace for trace in traces if trace.record.outcome in (CAPTURE, TIMEOUT)]
        self.episodes += len(finished)
        self.steps += sum(trace.record.steps for trace in finished)
        self.robot_time += sum(trace.record.steps * trace.record.dt for trace in finished)
        for topic, count in missing_samples(part, finished)[0].items():
            self.missing[topic] = self.missing.get(topic, 0) + count
        for role in ROLES:
            odom, command = part.robots[role].odom, part.robots[role].command
            _, first, second = np.intersect1d(odom.stamp_ns, command.stamp_ns, return_indices=True)
            if not len(first):
                continue
            if self._origin is None:
                self._origin = int(odom.log_ns[first].min())
            self._at.append((odom.log_ns[first] - self._origin) * 1e-9)
            self._latency.append((command.log_ns[second] - odom.log_ns[first]) * 1e-6)


def rows_of(
    memory: Mapping[str, Growth],
    recorded: Recorded,
    files: Sequence[File],
    wall: float,
    drifting: Drift,
    report: float,
    others: Sequence[tuple[float, float]] = (),
) -> list[dict[str, object]]:
    """The rows of the benchmark; ``wall`` [s] of play, ``report`` [MB] the largest memory of the report's process.

    ``others``: what the rest of the machine took of the processors, as (time [s], %).
    """
    case = f"{wall / 60.0:.1f} min at rate 0"
    rows: list[dict[str, object]] = []

    def row(subject: str, metric: str, value: float, unit: str) -> None:
        rows.append(
            {
                "bench": "endurance",
                "subject": subject,
                "case": case,
                "metric": metric,
                "value": value,
                "unit": unit,
            }
        )

    for name, grown in memory.items():
        row(name, "rss growth", grown.percent, "%")
        row(name, "rss first window", grown.first, "MB")
        row(name, "rss last window", grown.last, "MB")
        row(name, "rss slope", grown.slope, "MB/h")
    row("report", "rss largest", report, "MB")
    for name, values in (("p50", drifting.p50), ("p99", drifting.p99)):
        row("odom to cmd_vel", f"{name} first slice", float(values[0]), "ms")
        row("odom to cmd_vel", f"{name} last slice", float(values[-1]), "ms")
    row("odom to cmd_vel", "largest", float(recorded.latency.max()), "ms")
    row("odom to cmd_vel", "trend of p50 over the run", drifting.trend, "%")
    row("odom to cmd_vel", "trend of p50, 95 % interval, low", drifting.low, "%")
    row("odom to cmd_vel", "trend of p50, 95 % interval, high", drifting.high, "%")
    if others:
        tenth = max(len(others) // SLICES, 1)
        for part, taken in (("first", others[1 : tenth + 1]), ("last", others[-tenth:])):
            row(
                "machine",
                f"taken by other processes, {part} slice",
                float(np.mean([v for _, v in taken])),
                "%",
            )
    metrics = recorded.survey.metrics()
    row("bag", "messages", float(metrics["messages"]), "1")
    row("bag", "lost messages", float(sum(recorded.missing.values())), "1")
    row("bag", "files", float(len(files)), "1")
    row("bag", "files that cannot be read alone", float(sum(bool(file.error) for file in files)), "1")
    row("bag", "size", sum(file.megabytes for file in files), "MB")
    row("game", "episodes", float(recorded.episodes), "1")
    row("game", "control steps", float(recorded.steps), "1")
    row("game", "robot time", recorded.robot_time, "s")
    row("game", "wall time", wall, "s")
    row("game", "contacts", float(metrics["violations"] or 0), "steps")
    return rows

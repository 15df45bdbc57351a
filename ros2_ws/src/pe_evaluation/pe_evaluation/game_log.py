"""A recorded game as arrays.

Topics of each robot, below its namespace (``/pursuer``, ``/evader``): ``ground_truth``, ``state``, ``odom``
(nav_msgs/Odometry), ``cmd_vel_nominal``, ``cmd_vel`` (geometry_msgs/TwistStamped or Twist), ``safety/status``
(diagnostic_msgs/DiagnosticArray); of the game: ``/episode`` (std_msgs/String, JSON), ``/clock``.

Stamps are those of the messages' headers [ns], in simulated time; log times the wall times of receipt [ns].
Poses are (x, y, theta) in the map frame [m, m, rad], velocities (v, omega) of the body [m/s, rad/s].
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pe_core.arena import Arena
from pe_core.robot import RobotModel
from pe_evaluation.metrics import ROLES


@dataclasses.dataclass(frozen=True, eq=False)
class Stream:
    """Messages of one topic: stamps and log times, shape (n,) [ns], and values, shape (n, k).

    k = 5 (x, y, theta, v, omega) for odometry, 2 (v, omega) for commands, 0 for the clock.
    """

    stamp_ns: NDArray[np.int64]
    log_ns: NDArray[np.int64]
    values: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.stamp_ns)

    def window(self, first_ns: int, last_ns: int) -> Stream:
        """The messages stamped within [first_ns, last_ns]."""
        return self.rows(np.flatnonzero((self.stamp_ns >= first_ns) & (self.stamp_ns <= last_ns)))

    def distinct(self) -> Stream:
        """The last received message of each stamp."""
        last = np.append(np.diff(self.stamp_ns) > 0, [True] * min(len(self), 1))
        return self.rows(np.flatnonzero(last))

    def rows(self, rows: NDArray[np.intp]) -> Stream:
        """Chosen messages."""
        return Stream(self.stamp_ns[rows], self.log_ns[rows], self.values[rows])


@dataclasses.dataclass(frozen=True, eq=False)
class Status:
    """The safety node's cycles: n rows.

    ``tier`` holds the indices of ``metrics.TIERS`` (stop where it is unknown); ``barriers`` the named h,
    shape (n,), NaN where a cycle had none; ``values`` every other number by its key; ``stamps`` the
    ``*_stamp_ns`` keys, -1 where absent.
    """

    stamp_ns: NDArray[np.int64]
    log_ns: NDArray[np.int64]
    mode: list[str]
    tier: NDArray[np.int64]
    reason: list[str]
    barriers: dict[str, NDArray[np.float64]]
    values: dict[str, NDArray[np.float64]]
    stamps: dict[str, NDArray[np.int64]]

    def __len__(self) -> int:
        return len(self.stamp_ns)

    def column(self, key: str) -> NDArray[np.float64]:
        """Values of one key, NaN where it is absent."""
        return self.values.get(key, np.full(len(self), np.nan))

    def columns(self, *keys: str) -> NDArray[np.float64]:
        """Several keys side by side, shape (n, len(keys))."""
        return np.column_stack([self.column(key) for key in keys])

    def window(self, first_ns: int, last_ns: int) -> Status:
        """The cycles stamped within [first_ns, last_ns]."""
        return self.rows(np.flatnonzero((self.stamp_ns >= first_ns) & (self.stamp_ns <= last_ns)))

    def distinct(self) -> Status:
        """One cycle of each stamp: while the clock stands, a guard may report many; the active one counts."""
        active = np.array([mode == "active" for mode in self.mode], dtype=bool)
        order = np.lexsort((np.arange(len(self)), active, self.stamp_ns))
        last = np.append(np.diff(self.stamp_ns[order]) > 0, [True] * min(len(self), 1))
        return self.rows(order[np.flatnonzero(last)])

    def rows(self, rows: NDArray[np.intp]) -> Status:
        """Chosen cycles."""
        return Status(
            self.stamp_ns[rows],
            self.log_ns[rows],
            [self.mode[i] for i in rows],
            self.tier[rows],
            [self.reason[i] for i in rows],
            {name: column[rows] for name, column in self.barriers.items()},
            {name: column[rows] for name, column in self.values.items()},
            {name: column[rows] for name, column in self.stamps.items()},
        )


@dataclasses.dataclass(frozen=True, eq=False)
class RobotLog:
    """Everything recorded of one robot, and the model that the run's manifest gives for it.

    ``heard`` is what its safety node heard, and what it said, in order of receipt: ``state`` and ``opponent_state``
    (k = 9, see :meth:`pe_evaluation.decoding.Rows.heard`), ``nominal`` and ``command`` (k = 2).
    """

    model: RobotModel
    ground_truth: Stream
    state: Stream
    odom: Stream
    nominal: Stream
    command: Stream
    status: Status
    heard: Mapping[str, Stream] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, eq=False)
class Episode:
    """One episode as announced on ``/episode``; ``end`` is the sim's own account, None where it is missing.

    Samples of the episode are stamped start_ns .. end_ns, its control cycles start_ns .. end_ns - dt.
    """

    index: int
    seed: int | None
    scenario: str
    start_ns: int
    end_ns: int
    dt: float
    arena: Arena
    capture_radius: float
    max_time: float
    speed_ratio: float
    end: Mapping[str, Any] | None

    def samples(self, stream: Stream) -> Stream:
        """The messages of this episode, its last sample included."""
        half = round(0.5e9 * self.dt)
        return stream.window(self.start_ns - half, self.end_ns + half)

    def cycle_window(self) -> tuple[int, int]:
        """Stamps of the first and the last control cycle, each widened by less than half a period."""
        half = round(0.49e9 * self.dt)
        return self.start_ns - half, self.end_ns - half


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """A recorded run, or the part of one that belongs to an episode."""

    path: Path
    robots: dict[str, RobotLog]
    episodes: list[Episode]
    clock: Stream
    manifest: dict[str, Any]
    complete: bool
    messages: int
    warnings: list[str]

    @property
    def profiles_known(self) -> bool:
        """Whether the manifest says which robots played; else the reference robot is assumed."""
        robots = self.manifest.get("robots")
        return isinstance(robots, Mapping) and all(isinstance(robots.get(role), Mapping) for role in ROLES)

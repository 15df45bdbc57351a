"""A recorded game as arrays.

Topics of each robot, below its namespace (``/pursuer``, ``/evader``): ``ground_truth``, ``state``, ``odom``
(nav_msgs/Odometry), ``cmd_vel_nominal``, ``cmd_vel`` (geometry_msgs/TwistStamped or Twist), ``safety/status``
(diagnostic_msgs/DiagnosticArray); of the game: ``/episode`` (std_msgs/String, JSON), ``/clock``.

Stamps are those of the messages' headers [ns], in simulated time; log times the wall times of receipt [ns].
Poses are (x, y, theta) in the map frame [m, m, rad], velocities (v, omega) of the body [m/s, rad/s].
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.typesys import Stores, get_typestore

from pe_core.arena import Arena
from pe_core.config import ConfigurationError, from_mapping
from pe_core.robot import RobotModel
from pe_evaluation.metrics import ROLES, TIERS
from pe_evaluation.storage import BagError, Message, RawBag, read_raw

_ODOMETRY = "nav_msgs/msg/Odometry"
_STAMPED = "geometry_msgs/msg/TwistStamped"
_TWIST = "geometry_msgs/msg/Twist"
_STATUS = "diagnostic_msgs/msg/DiagnosticArray"
_TEXT = "std_msgs/msg/String"
_CLOCK = "rosgraph_msgs/msg/Clock"

TOPICS = {
    "ground_truth": (_ODOMETRY,),
    "state": (_ODOMETRY,),
    "odom": (_ODOMETRY,),
    "cmd_vel_nominal": (_STAMPED, _TWIST),
    "cmd_vel": (_STAMPED, _TWIST),
    "safety/status": (_STATUS,),
}
_GAME = {"/episode", *(f"/{role}/{name}" for role in ROLES for name in TOPICS)}
_KNOWN = _GAME | {"/clock"}
_WORDS = ("mode", "tier", "reason", "episode")


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
    """Everything recorded of one robot, and the model that the run's manifest gives for it."""

    model: RobotModel
    ground_truth: Stream
    state: Stream
    odom: Stream
    nominal: Stream
    command: Stream
    status: Status


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
    """A recorded run."""

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


def read_run(path: Path | str) -> Run:
    """The run recorded at ``path``: a bag folder, a storage file, or a run's output folder.

    What is missing or damaged but can be done without is named in ``Run.warnings``.

    Raises:
        BagError: the bag cannot be read, holds no message, or is not a recorded game.
    """
    with without_collection():
        return _read(read_raw(Path(path), _KNOWN))


@contextlib.contextmanager
def without_collection() -> Iterator[None]:
    """No search for cyclic garbage: with millions of objects that all stay, it takes longer than the work."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def _read(raw: RawBag) -> Run:
    _check_game(raw)
    reader = _Decoder(raw)
    manifest = raw.custom.get("pe")
    if not isinstance(manifest, dict):
        reader.warnings.append(
            "the run manifest is missing: bundles and configuration are unknown; reference robots are assumed"
        )
        manifest = {}
    truth = {role: reader.stream(f"/{role}/ground_truth", TOPICS["ground_truth"]) for role in ROLES}
    episodes = reader.episodes(list(truth.values()))
    ratio = episodes[0].speed_ratio if episodes else 1.0
    robots: dict[str, RobotLog] = {}
    for role in ROLES:
        odom = reader.stream(f"/{role}/odom", TOPICS["odom"])
        robots[role] = RobotLog(
            _robot_model(manifest, role, ratio, reader.warnings),
            truth[role],
            reader.stream(f"/{role}/state", TOPICS["state"]),
            odom,
            reader.stamp_by(reader.stream(f"/{role}/cmd_vel_nominal", TOPICS["cmd_vel_nominal"]), odom),
            reader.stamp_by(reader.stream(f"/{role}/cmd_vel", TOPICS["cmd_vel"]), odom),
            reader.status(f"/{role}/safety/status"),
        )
    clock = reader.stream("/clock", (_CLOCK,), required=False)
    return Run(raw.path, robots, episodes, clock, manifest, raw.complete, raw.count, reader.warnings)


def _check_game(raw: RawBag) -> None:
    if not raw.count:
        raise BagError(f"{raw.path}: holds no message" + ("" if raw.complete else " that is whole"))
    if not _GAME & set(raw.topics):
        listed = ", ".join(sorted(raw.topics)[:8]) + (" ..." if len(raw.topics) > 8 else "")
        raise BagError(
            f"{raw.path}: is not a recorded pursuit-evasion run: it holds none of /episode, "
            f"/pursuer/ground_truth, /evader/ground_truth ...; its topics are: {listed}"
        )


def _robot_model(manifest: Mapping[str, Any], role: str, ratio: float, warnings: list[str]) -> RobotModel:
    """The robot as it played: the manifest's profile, whose speed is scaled already, or the reference robot."""
    assumed = RobotModel().with_speed_ratio(ratio) if role == "evader" else RobotModel()
    given = (manifest.get("robots") or {}).get(role) if isinstance(manifest.get("robots"), Mapping) else None
    try:
        if isinstance(given, Mapping):
            return from_mapping(RobotModel, dict(given), f"manifest: robots: {role}")
    except ConfigurationError as error:
        warnings.append(f"{error}; the reference robot is assumed for {role}")
        return assumed
    if manifest:
        warnings.append(f"the manifest has no profile of {role}; the reference robot is assumed")
    return assumed


class _Decoder:
    """Turns serialised messages into arrays, and collects what is wrong with them."""

    def __init__(self, raw: RawBag) -> None:
        self.warnings = list(raw.warnings)
        self._store = get_typestore(Stores.ROS2_JAZZY)
        self._topics: dict[str, list[Message]] = {topic: [] for topic in raw.topics}
        for message in raw.messages:
            self._topics.setdefault(message.topic, []).append(message)
        self._bad: dict[str, int] = {}

    def _decoded(self, topic: str, kinds: tuple[str, ...], required: bool) -> list[tuple[int, Any]]:
        messages = self._topics.get(topic, [])
        if not messages:
            if required:
                self.warnings.append(f"{topic}: no messages")
            return []
        wrong = sorted({message.type for message in messages} - set(kinds))
        if wrong:
            self.warnings.append(f"{topic}: type {wrong[0]} is not {' or '.join(kinds)}; left out")
        decoded = []
        bad = 0
        for message in messages:
            if message.type not in kinds:
                continue
            try:
                decoded.append((message.log_ns, self._store.deserialize_cdr(message.data, message.type)))
            except Exception:  # noqa: BLE001  # whatever a damaged message breaks in the decoder
                bad += 1
        if bad:
            self.warnings.append(f"{topic}: {bad} messages could not be decoded; left out")
        return decoded

    def stream(self, topic: str, kinds: tuple[str, ...], required: bool = True) -> Stream:
        """The messages of a topic in order of stamp; an unstamped command has stamp -1."""
        stamps, logs, rows = [], [], []
        for log_ns, message in self._decoded(topic, kinds, required):
            kind = message.__msgtype__
            stamps.append(_STAMP_OF[kind](message))
            rows.append(_ROW_OF[kind](message))
            logs.append(log_ns)
        width = {_ODOMETRY: 5, _CLOCK: 0}.get(kinds[0], 2)
        stamp = np.array(stamps, dtype=np.int64)
        order = np.argsort(stamp, kind="stable")
        values = np.array(rows, dtype=np.float64).reshape(len(rows), width)
        return Stream(stamp[order], np.array(logs, dtype=np.int64)[order], values[order])

    def stamp_by(self, commands: Stream, odom: Stream) -> Stream:
        """Give unstamped commands the stamp of the newest odometry received before them."""
        if not len(commands) or commands.stamp_ns[0] >= 0:
            return commands
        order = np.argsort(odom.log_ns, kind="stable")
        place = np.searchsorted(odom.log_ns[order], commands.log_ns, side="right") - 1
        known = place >= 0
        stamps = odom.stamp_ns[order][place[known]] if len(odom) else np.empty(0, dtype=np.int64)
        known = known if len(odom) else np.zeros(len(commands), dtype=bool)
        return Stream(stamps, commands.log_ns[known], commands.values[known])

    def status(self, topic: str) -> Status:
        """The cycles of a safety node in order of stamp."""
        stamps, logs, rows = [], [], []
        for log_ns, message in self._decoded(topic, TOPICS["safety/status"], True):
            if not message.status:
                continue
            stamps.append(_stamp(message.header))
            logs.append(log_ns)
            rows.append({pair.key: pair.value for pair in message.status[0].values})
        stamp = np.array(stamps, dtype=np.int64)
        order = np.argsort(stamp, kind="stable")
        rows = [rows[i] for i in order]
        keys = list(dict.fromkeys(key for row in rows for key in row if key not in _WORDS))
        integers = [key for key in keys if key.endswith("_ns")]
        columns = {
            key: np.array([_number(row.get(key)) for row in rows]) for key in keys if not key.endswith("_ns")
        }
        tier = [TIERS.index(row["tier"]) if row.get("tier") in TIERS else len(TIERS) - 1 for row in rows]
        return Status(
            stamp[order],
            np.array(logs, dtype=np.int64)[order],
            [row.get("mode", "") for row in rows],
            np.array(tier, dtype=np.int64),
            [row.get("reason", "") for row in rows],
            {key[2:]: column for key, column in columns.items() if key.startswith("h/")},
            {key: column for key, column in columns.items() if not key.startswith("h/")},
            {key: np.array([_integer(row.get(key)) for row in rows], dtype=np.int64) for key in integers},
        )

    def episodes(self, truths: Sequence[Stream]) -> list[Episode]:
        """The announced episodes in order, each joined with its end."""
        starts: dict[int, dict[str, Any]] = {}
        ends: dict[int, dict[str, Any]] = {}
        for _, message in self._decoded("/episode", (_TEXT,), True):
            try:
                event = json.loads(message.data)
                kind, index = event["event"], int(event["index"])
            except (ValueError, KeyError, TypeError):
                self.warnings.append(f"/episode: not understood, left out: {message.data[:80]!r}")
                continue
            # Transient-local history may deliver an event twice; the first announcement stands.
            (starts if kind == "start" else ends).setdefault(index, event)
        last = max((int(truth.stamp_ns[-1]) for truth in truths if len(truth)), default=0)
        ordered = sorted(starts.values(), key=lambda event: int(event["start_ns"]))
        episodes = []
        for place, event in enumerate(ordered):
            limit = int(ordered[place + 1]["start_ns"]) - 1 if place + 1 < len(ordered) else last
            try:
                episodes.append(_episode(event, ends.get(int(event["index"])), limit))
            except (KeyError, TypeError, ValueError) as error:
                self.warnings.append(f"/episode: start of episode {event.get('index')} left out: {error!r}")
        return episodes


def _episode(event: Mapping[str, Any], end: Mapping[str, Any] | None, limit_ns: int) -> Episode:
    start_ns, dt = int(event["start_ns"]), float(event["dt"])
    if not (math.isfinite(dt) and dt > 0.0):
        raise ValueError(f"dt = {dt!r}: allowed: a positive time [s]")
    if end is not None and end.get("steps") is not None:
        end_ns = start_ns + round(int(end["steps"]) * dt * 1e9)
    else:
        end_ns = max(start_ns, limit_ns)
    seed = event.get("seed")
    return Episode(
        index=int(event["index"]),
        seed=None if seed is None else int(seed),
        scenario=str(event.get("scenario", "")),
        start_ns=start_ns,
        end_ns=end_ns,
        dt=dt,
        arena=Arena(float(event["half_side"]), np.array(event.get("obstacles") or [], dtype=np.float64)),
        capture_radius=float(event["capture_radius"]),
        max_time=float(event["max_time"]),
        speed_ratio=float(event.get("speed_ratio") or 1.0),
        end=end,
    )


def _stamp(header: Any) -> int:
    return int(header.stamp.sec) * 1_000_000_000 + int(header.stamp.nanosec)


def _odometry_row(message: Any) -> tuple[float, ...]:
    pose, twist = message.pose.pose, message.twist.twist
    q = pose.orientation
    # Yaw of a quaternion, planar or not.
    theta = math.atan2(2.0 * (q.w * q.z + q.x * q.y), 1.0 - 2.0 * (q.y * q.y + q.z * q.z))
    return pose.position.x, pose.position.y, theta, twist.linear.x, twist.angular.z


_ROW_OF: dict[str, Callable[[Any], tuple[float, ...]]] = {
    _ODOMETRY: _odometry_row,
    _STAMPED: lambda message: (message.twist.linear.x, message.twist.angular.z),
    _TWIST: lambda message: (message.linear.x, message.angular.z),
    _CLOCK: lambda message: (),
}
_STAMP_OF: dict[str, Callable[[Any], int]] = {
    _ODOMETRY: lambda message: _stamp(message.header),
    _STAMPED: lambda message: _stamp(message.header),
    _TWIST: lambda message: -1,
    _CLOCK: lambda message: int(message.clock.sec) * 1_000_000_000 + int(message.clock.nanosec),
}


def _number(text: str | None) -> float:
    try:
        return float(text) if text is not None else math.nan
    except ValueError:
        return math.nan


def _integer(text: str | None) -> int:
    try:
        return int(text) if text is not None else -1
    except ValueError:
        return -1

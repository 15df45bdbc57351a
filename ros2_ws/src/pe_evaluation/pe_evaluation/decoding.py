"""Serialised messages of a game to rows, and rows to arrays."""

from __future__ import annotations

import bisect
import json
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from rosbags.typesys import Stores, get_typestore

from pe_core.arena import Arena
from pe_evaluation.game_log import Episode, Status, Stream
from pe_evaluation.mcap_scan import Message
from pe_evaluation.metrics import ROLES, TIERS

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
"""Topics of a robot below its namespace, with the types they may have."""
GAME: dict[str, tuple[str, ...]] = {
    **{f"/{role}/ground_truth": TOPICS["ground_truth"] for role in ROLES},
    "/episode": (_TEXT,),
    **{f"/{role}/{name}": kinds for role in ROLES for name, kinds in TOPICS.items()},
}
FAULTED = {
    f"/{role}/faulted/{name}": kinds
    for role in ROLES
    for name, kinds in {
        "state": (_ODOMETRY,),
        "opponent_state": (_ODOMETRY,),
        "cmd_vel_nominal": (_STAMPED,),
    }.items()
}
"""What nodes hear in place of a topic that faults act on."""
KNOWN = {**GAME, **FAULTED, "/clock": (_CLOCK,)}
_WORDS = ("mode", "tier", "reason", "episode")


class Decoder:
    """Turns serialised messages into (stamp, row), and counts what it could not."""

    def __init__(self) -> None:
        self._store = get_typestore(Stores.ROS2_JAZZY)
        self._received: dict[str, int] = {}
        self._wrong: dict[str, str] = {}
        self._bad: dict[str, int] = {}
        self._odom_ns: dict[str, int] = {}

    def message(self, raw: Message) -> Any | None:
        """The message; None where its type is another than the topic's, or it is damaged."""
        self._received[raw.topic] = self._received.get(raw.topic, 0) + 1
        if raw.type not in KNOWN[raw.topic]:
            self._wrong.setdefault(raw.topic, raw.type)
            return None
        try:
            return self._store.deserialize_cdr(raw.data, raw.type)
        except Exception:  # noqa: BLE001  # whatever a damaged message breaks in the decoder
            self._bad[raw.topic] = self._bad.get(raw.topic, 0) + 1
            return None

    def row(self, raw: Message) -> tuple[int, Any] | None:
        """The stamp [ns] and the values of a message; None where it has none.

        A command without a stamp gets that of the newest odometry of its robot received before it.
        """
        message = self.message(raw)
        if message is None:
            return None
        try:
            stamp = _STAMP_OF[raw.type](message)
            row = _ROW_OF[raw.type](message)
            if raw.topic.endswith("state"):
                row = (*row, *_planar_covariance(message))
        except IndexError:
            return None
        role = raw.topic.split("/", 2)[1]
        if stamp < 0:
            if role not in self._odom_ns:
                return None
            stamp = self._odom_ns[role]
        elif raw.topic.endswith("/odom"):
            self._odom_ns[role] = stamp
        return stamp, row

    def warnings(self) -> list[str]:
        """What is missing or was left out."""
        lines = [f"{topic}: no messages" for topic in GAME if not self._received.get(topic)]
        for topic, kind in self._wrong.items():
            lines.append(f"{topic}: type {kind} is not {' or '.join(KNOWN[topic])}; left out")
        for topic, count in self._bad.items():
            lines.append(f"{topic}: {count} messages could not be decoded; left out")
        return lines


class Rows:
    """Decoded messages by topic: (stamp, log time, values)."""

    def __init__(self) -> None:
        self._rows: dict[str, list[tuple[int, int, Any]]] = {
            topic: [] for topic in KNOWN if topic != "/episode"
        }
        self.last_truth_ns = 0

    def add(self, topic: str, stamp: int, log_ns: int, row: Any) -> None:
        """Append a message."""
        self._rows[topic].append((stamp, log_ns, row))
        if topic.endswith("/ground_truth"):
            self.last_truth_ns = max(self.last_truth_ns, stamp)

    def take(self, boundary_ns: int) -> Rows:
        """Remove and return the messages stamped before ``boundary_ns``."""
        taken = Rows()
        for topic, rows in self._rows.items():
            taken._rows[topic] = [row for row in rows if row[0] < boundary_ns]
            self._rows[topic] = [row for row in rows if row[0] >= boundary_ns]
        return taken

    @property
    def log_extent(self) -> tuple[int, int] | None:
        """First and last log time [ns]; None without messages."""
        logs = [row[1] for rows in self._rows.values() for row in rows]
        return (min(logs), max(logs)) if logs else None

    def stream(self, topic: str) -> Stream:
        """The messages of a topic as arrays, in order of stamp."""
        rows = self._rows[topic]
        stamp, log, order = _columns(rows)
        width = {_ODOMETRY: 5, _CLOCK: 0}.get(KNOWN[topic][0], 2)
        values = np.array([row[2][:width] for row in rows], dtype=np.float64).reshape(len(rows), width)
        return Stream(stamp[order], log[order], values[order])

    def heard(self, *topics: str) -> Stream:
        """The messages of the first topic that holds any, as they were recorded one after the other.

        Values of states have k = 9: (x, y, theta, v, omega), then the covariance xx, xy, yy, theta theta.
        """
        rows = next((found for topic in topics if (found := self._rows[topic])), [])
        stamp, log, _ = _columns(rows)
        width = 9 if topics[0].endswith("state") else 2
        values = np.array([row[2] for row in rows], dtype=np.float64).reshape(len(rows), width)
        return Stream(stamp, log, values)

    def status(self, topic: str) -> Status:
        """The cycles of a safety node in order of stamp."""
        stamp, log, order = _columns(self._rows[topic])
        rows = [self._rows[topic][i][2] for i in order]
        keys = list(dict.fromkeys(key for row in rows for key in row if key not in _WORDS))
        integers = [key for key in keys if key.endswith("_ns")]
        columns = {
            key: np.array([_number(row.get(key)) for row in rows]) for key in keys if not key.endswith("_ns")
        }
        tier = [TIERS.index(row["tier"]) if row.get("tier") in TIERS else len(TIERS) - 1 for row in rows]
        return Status(
            stamp[order],
            log[order],
            [row.get("mode", "") for row in rows],
            np.array(tier, dtype=np.int64),
            [row.get("reason", "") for row in rows],
            {key[2:]: column for key, column in columns.items() if key.startswith("h/")},
            {key: column for key, column in columns.items() if not key.startswith("h/")},
            {key: np.array([_integer(row.get(key)) for row in rows], dtype=np.int64) for key in integers},
        )


def _columns(rows: Iterable[tuple[int, int, Any]]) -> tuple[Any, Any, Any]:
    listed = list(rows)
    stamp = np.array([row[0] for row in listed], dtype=np.int64)
    log = np.array([row[1] for row in listed], dtype=np.int64)
    return stamp, log, np.argsort(stamp, kind="stable")


class Announcements:
    """The events on ``/episode``, joined into episodes in order of their start."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self._waiting: list[tuple[int, int, dict[str, Any]]] = []
        self._ends: dict[int, dict[str, Any]] = {}
        self._seen: set[int] = set()
        self._given_ns = -1

    def __len__(self) -> int:
        """Episodes announced and not yet taken."""
        return len(self._waiting)

    def add(self, text: str) -> None:
        """Take one event; the first of its kind and index counts, for latched messages are delivered again."""
        try:
            event = json.loads(text)
            kind, index = event["event"], int(event["index"])
            start_ns = int(event["start_ns"]) if kind == "start" else -1
        except (ValueError, KeyError, TypeError):
            self.warnings.append(f"/episode: not understood, left out: {text[:80]!r}")
            return
        if kind != "start":
            self._ends.setdefault(index, event)
        elif index not in self._seen:
            self._seen.add(index)
            if start_ns <= self._given_ns:
                self.warnings.append(f"/episode: episode {index} was announced after the next ones: left out")
            else:
                bisect.insort(self._waiting, (start_ns, index, event), key=lambda row: row[:2])

    def next_start(self) -> int | None:
        """Start [ns] of the first episode that was not yet taken."""
        return self._waiting[0][0] if self._waiting else None

    def take(self, last_ns: int) -> Episode | None:
        """The first episode; where its end was not recorded it lasts until the next start, or ``last_ns``."""
        self._given_ns, index, event = self._waiting.pop(0)
        following = self.next_start()
        limit = last_ns if following is None else following - 1
        try:
            return _episode(event, self._ends.pop(index, None), limit)
        except (KeyError, TypeError, ValueError) as error:
            self.warnings.append(f"/episode: start of episode {index} left out: {error!r}")
            return None


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


def _planar_covariance(message: Any) -> tuple[float, ...]:
    """Variances and covariance of (x, y, theta) that margins are made of: xx, xy, yy, theta theta."""
    matrix = message.pose.covariance
    return float(matrix[0]), float(matrix[1]), float(matrix[7]), float(matrix[35])


_ROW_OF: dict[str, Callable[[Any], Any]] = {
    _ODOMETRY: _odometry_row,
    _STAMPED: lambda message: (message.twist.linear.x, message.twist.angular.z),
    _TWIST: lambda message: (message.linear.x, message.angular.z),
    _CLOCK: lambda message: (),
    _STATUS: lambda message: {pair.key: pair.value for pair in message.status[0].values},
}
_STAMP_OF: dict[str, Callable[[Any], int]] = {
    _ODOMETRY: lambda message: _stamp(message.header),
    _STAMPED: lambda message: _stamp(message.header),
    _TWIST: lambda message: -1,
    _CLOCK: lambda message: int(message.clock.sec) * 1_000_000_000 + int(message.clock.nanosec),
    _STATUS: lambda message: _stamp(message.header),
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

"""The messages of Gazebo 11 that are spoken here, by the field numbers of its .proto files; pure."""

from __future__ import annotations

import dataclasses
import math
import struct
from typing import NamedTuple

from pe_gazebo.wire import Fields, double, integer, nested, parse, text

GIGA = 1_000_000_000
POSE, WORLD_CONTROL, REQUEST = "gazebo.msgs.Pose", "gazebo.msgs.WorldControl", "gazebo.msgs.Request"
SCAN, LINK_DATA, RESPONSE, WORLD_STATISTICS = (
    "gazebo.msgs.LaserScanStamped", "gazebo.msgs.LinkData", "gazebo.msgs.Response", "gazebo.msgs.WorldStatistics",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Publisher:
    """Who publishes a topic (``gazebo.msgs.Publish``)."""

    topic: str
    kind: str
    host: str
    port: int

    @classmethod
    def parse(cls, data: bytes) -> Publisher:
        """From its bytes."""
        fields = parse(data)
        topic, kind, host = (fields[number][0].decode() for number in (1, 2, 3))
        return cls(topic, kind, host, fields[4][0])

    def encode(self) -> bytes:
        """To its bytes."""
        return text(1, self.topic) + text(2, self.kind) + text(3, self.host) + integer(4, self.port)


def subscribe(topic: str, kind: str, host: str, port: int) -> bytes:
    """``gazebo.msgs.Subscribe``, not latching."""
    return text(1, topic) + text(2, host) + integer(3, port) + text(4, kind) + integer(5, 0)


def packet(kind: str, data: bytes) -> bytes:
    """``gazebo.msgs.Packet``, which wraps what goes to the master or begins a connection."""
    return nested(1, integer(1, 0) + integer(2, 0)) + text(2, kind) + nested(3, data)


def unpack(data: bytes) -> tuple[str, bytes]:
    """Kind and content of a packet."""
    fields = parse(data)
    return fields[2][0].decode(), fields.get(3, [b""])[0]


def velocity(v: float, omega: float) -> bytes:
    """What Gazebo's differential drive takes: a Pose with x = v [m/s] and a yaw of omega [rad/s], |omega| < pi."""
    half = 0.5 * omega
    position = double(1, v) + double(2, 0.0) + double(3, 0.0)
    orientation = double(2, 0.0) + double(3, 0.0) + double(4, math.sin(half)) + double(5, math.cos(half))
    return nested(3, position) + nested(4, orientation)


def multi_step(steps: int) -> bytes:
    """``WorldControl``: so many physics steps, then pause."""
    return integer(3, steps)


class PoseScan(NamedTuple):
    """Time [ns] and pose in the world of a scan: x, y, z [m], roll, pitch, yaw [rad]; ranges [m]."""

    time_ns: int
    x: float
    y: float
    z: float
    roll: float
    pitch: float
    yaw: float
    ranges: tuple[float, ...]


def time_ns(fields: Fields) -> int:
    """A Time [ns]; a zero is left out on the wire."""
    return int(fields.get(1, [0])[0]) * GIGA + int(fields.get(2, [0])[0])


def pose_scan(data: bytes) -> PoseScan:
    """From the bytes of a LaserScanStamped."""
    stamped = parse(data)
    scan = parse(stamped[2][0])
    pose = parse(scan[2][0])
    position, orientation = parse(pose[3][0]), parse(pose[4][0])
    x, y, z = (position[number][0] for number in (1, 2, 3))
    qx, qy, qz, qw = (orientation[number][0] for number in (2, 3, 4, 5))
    roll = math.atan2(2.0 * (qw * qx + qy * qz), 1.0 - 2.0 * (qx * qx + qy * qy))
    pitch = math.asin(max(-1.0, min(1.0, 2.0 * (qw * qy - qz * qx))))
    yaw = math.atan2(2.0 * (qw * qz + qx * qy), 1.0 - 2.0 * (qy * qy + qz * qz))
    return PoseScan(time_ns(parse(stamped[1][0])), x, y, z, roll, pitch, yaw, tuple(scan.get(13, ())))


class LinkData(NamedTuple):
    """Time [ns], velocity of a link's origin and turn rates, world frame."""

    time_ns: int
    linear: tuple[float, float, float]
    angular: tuple[float, float, float]


_VELOCITIES = struct.Struct("<2s cd cd cd 2s cd cd cd")
_VECTOR = (b"\x09", b"\x11", b"\x19")
_LINEAR, _ANGULAR = b"\x1a\x1b", b"\x22\x1b"


def link_data(data: bytes) -> LinkData:
    """From the bytes of a LinkData.

    There are two in every physics step, so the form in which Gazebo writes them, both vectors last and whole, is read
    at once; any other as every message.
    """
    if len(data) > _VELOCITIES.size and data[0] == 0x0A:
        ahead, a, vx, b, vy, c, vz, between, d, wx, e, wy, f, wz = _VELOCITIES.unpack_from(
            data, len(data) - _VELOCITIES.size
        )
        if (ahead, between) == (_LINEAR, _ANGULAR) and (a, b, c) == _VECTOR == (d, e, f):
            return LinkData(time_ns(parse(data[2 : 2 + data[1]])), (vx, vy, vz), (wx, wy, wz))
    fields = parse(data)
    linear, angular = (parse(fields[number][0]) for number in (3, 4))
    return LinkData(
        time_ns(parse(fields[1][0])), (linear[1][0], linear[2][0], linear[3][0]),
        (angular[1][0], angular[2][0], angular[3][0]),
    )  # fmt: skip


def request(identity: int, what: str) -> bytes:
    """``Request``."""
    return integer(1, identity) + text(2, what)


def answered(data: bytes) -> int:
    """Which request a Response answers."""
    return int(parse(data)[1][0])


def stats_time_ns(data: bytes) -> int:
    """Simulated time [ns] of a WorldStatistics."""
    return time_ns(parse(parse(data)[2][0]))

"""A small game played in process and written as a rosbag2 MCAP in the layout that a run records."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from pe_core.arena import Arena
from pe_core.plant import Plant
from pe_core.robot import RobotModel
from pe_core.rules import body_margin, is_capture
from pe_core.unicycle import wrap_angle
from pe_safety.filter import SafetyFilter
from pe_safety.parameters import SafetyParameters

ROLES = ("pursuer", "evader")
EPOCH_NS = 1_700_000_000_000_000_000
TIERS = ("exact", "relaxed", "backup")
CAPTURE_RADIUS = 0.5
STORE = get_typestore(Stores.ROS2_JAZZY)
TYPES = STORE.types


@dataclasses.dataclass
class Recording:
    """Messages (topic, type, log time, message), the manifest, and what the game really was."""

    messages: list[tuple[str, str, int, Any]]
    manifest: dict[str, Any] | None
    episodes: list[dict[str, Any]]


def stamped(stamp_ns: int, frame: str) -> Any:
    time = TYPES["builtin_interfaces/msg/Time"](stamp_ns // 10**9, stamp_ns % 10**9)
    return TYPES["std_msgs/msg/Header"](time, frame)


def odometry(stamp_ns: int, state: np.ndarray) -> Any:
    x, y, theta, v, omega = (float(value) for value in state)
    point = TYPES["geometry_msgs/msg/Point"](x, y, 0.0)
    turn = TYPES["geometry_msgs/msg/Quaternion"](0.0, 0.0, math.sin(theta / 2), math.cos(theta / 2))
    pose = TYPES["geometry_msgs/msg/Pose"](point, turn)
    pose = TYPES["geometry_msgs/msg/PoseWithCovariance"](pose, np.eye(6).ravel())
    twist = TYPES["geometry_msgs/msg/TwistWithCovariance"](twist_of(v, omega), np.eye(6).ravel())
    return TYPES["nav_msgs/msg/Odometry"](stamped(stamp_ns, "map"), "base_link", pose, twist)


def twist_of(v: float, omega: float) -> Any:
    vector = TYPES["geometry_msgs/msg/Vector3"]
    return TYPES["geometry_msgs/msg/Twist"](vector(v, 0.0, 0.0), vector(0.0, 0.0, omega))


def command(stamp_ns: int, v: float, omega: float) -> Any:
    return TYPES["geometry_msgs/msg/TwistStamped"](stamped(stamp_ns, "base_link"), twist_of(v, omega))


def status(stamp_ns: int, name: str, values: dict[str, Any]) -> Any:
    pairs = [
        TYPES["diagnostic_msgs/msg/KeyValue"](key, value if isinstance(value, str) else repr(value))
        for key, value in values.items()
    ]
    entry = TYPES["diagnostic_msgs/msg/DiagnosticStatus"](0, name, "active", "", pairs)
    return TYPES["diagnostic_msgs/msg/DiagnosticArray"](stamped(stamp_ns, ""), [entry])


def text(value: dict[str, Any]) -> Any:
    return TYPES["std_msgs/msg/String"](json.dumps(value))


def clock(stamp_ns: int) -> Any:
    return TYPES["rosgraph_msgs/msg/Clock"](stamped(stamp_ns, "").stamp)


def steer(own: np.ndarray, heading: float, speed: float) -> tuple[float, float]:
    return speed, float(np.clip(4.0 * wrap_angle(heading - own[2]), -2.84, 2.84))


def pursue(own: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    return steer(own, math.atan2(other[1] - own[1], other[0] - own[0]), 1.0)


def flee(own: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    return steer(own, math.atan2(own[1] - other[1], own[0] - other[0]) + 0.4, 0.85)


def play(
    episodes: int = 2,
    max_time: float = 20.0,
    half_side: float = 5.0,
    obstacles: tuple[tuple[float, float, float], ...] = ((1.5, 0.3, 0.6), (-2.0, -2.5, 0.4)),
    robot: RobotModel | None = None,
    filtered: bool = True,
    evader_stands: bool = False,
    dt: float = 0.05,
) -> Recording:
    """A lockstep game with both robots behind the filter (or without it), as messages."""
    model = robot or RobotModel()
    arena = Arena(half_side, np.array(obstacles).reshape(-1, 3))
    safety = SafetyFilter(SafetyParameters(), model, model, dt)
    messages: list[tuple[str, str, int, Any]] = []
    truth: list[dict[str, Any]] = []
    now, wall = 0, EPOCH_NS
    random = np.random.default_rng(3)
    for index in range(episodes):
        start_ns = now
        starts = {
            "pursuer": np.array([-3.5, 1.0 + index, 0.3]),
            "evader": np.array([0.0, -1.0 + 0.5 * index, 2.0]),
        }
        plants = {role: Plant(model, pose) for role, pose in starts.items()}
        event = {
            "event": "start", "index": index, "seed": 7, "start_ns": start_ns, "dt": dt, "scenario": "random",
            "half_side": half_side, "capture_radius": CAPTURE_RADIUS, "max_time": max_time,
            "obstacles": arena.obstacles.tolist(), "speed_ratio": 1.0,
            **{role: pose.tolist() for role, pose in starts.items()},
        }  # fmt: skip
        messages.append(("/episode", "std_msgs/msg/String", wall, text(event)))
        margins: list[float] = []
        step = 0
        while True:
            states = {role: plant.state.copy() for role, plant in plants.items()}
            margin = min(
                body_margin(states[a], states[b], model.radius, model.radius, half_side, arena.obstacles)
                for a, b in (ROLES, ROLES[::-1])
            )
            margins.append(margin)
            for role in ROLES:
                messages.append(
                    (f"/{role}/ground_truth", "nav_msgs/msg/Odometry", wall + 50_000, odometry(now, states[role]))
                )
            caught = is_capture(states["pursuer"], states["evader"], CAPTURE_RADIUS)
            if caught or step >= round(max_time / dt):
                break
            messages.append(("/clock", "rosgraph_msgs/msg/Clock", wall, clock(now)))
            for lane, role in enumerate(ROLES):
                own, other = states[role], states[ROLES[1 - lane]]
                nominal = pursue(own, other) if role == "pursuer" else flee(own, other)
                if evader_stands and role == "evader":
                    nominal = (0.0, 0.0)
                result = safety.step(own, nominal, other, arena)
                executed = result.command if filtered else nominal
                values: dict[str, Any] = {
                    "mode": "active", "tier": TIERS[int(result.tier)] if filtered else "exact",
                    "reason": result.reason, "episode": str(index),
                    "intervened": str(int(result.intervened and filtered)),
                    "nominal_v": float(nominal[0]), "nominal_omega": float(nominal[1]),
                    "command_v": float(executed[0]), "command_omega": float(executed[1]),
                    "correction": result.correction if filtered else 0.0, "slack": result.slack,
                    "solve_time_us": float(random.gamma(8.0, 0.7)),
                    "state_stamp_ns": now, "opponent_stamp_ns": now, "nominal_stamp_ns": now,
                    "state_age_ms": 0.0, "opponent_age_ms": 0.0, "nominal_age_ms": 0.0,
                }  # fmt: skip
                values.update({f"h/{name}": value for name, value in result.barriers.items()})
                values["infeasible"] = str(int(result.infeasible))
                values.update({f"m/{name}": value for name, value in result.barrier_margins.items()})
                values.update({f"margin/{name}": value for name, value in result.margins.items()})
                for prefix, state in (("state", own), ("opponent", other)):
                    for key, value in zip(("x", "y", "theta", "v", "omega"), state, strict=True):
                        values[f"{prefix}_{key}"] = float(value)
                late = int(1e6 * min(4.5, 1.0 + lane + random.gamma(2.0, 0.3)))
                name = f"/{role}"
                messages += [
                    (f"{name}/odom", "nav_msgs/msg/Odometry", wall + 100_000, odometry(now, own)),
                    (f"{name}/state", "nav_msgs/msg/Odometry", wall + 300_000, odometry(now, own)),
                    (f"{name}/cmd_vel_nominal", "geometry_msgs/msg/TwistStamped", wall + 700_000,
                     command(now, *nominal)),
                    (f"{name}/cmd_vel", "geometry_msgs/msg/TwistStamped", wall + 100_000 + late,
                     command(now, *executed)),
                    (f"{name}/safety/status", "diagnostic_msgs/msg/DiagnosticArray", wall + 150_000 + late,
                     status(now, f"{name}/safety", values)),
                ]  # fmt: skip
                plants[role].step(executed, dt)
            step += 1
            now = start_ns + round(step * dt * 1e9)
            wall += 5_000_000
        end = {
            "event": "end", "index": index, "outcome": "capture" if caught else "timeout", "steps": step,
            "time_s": step * dt, "min_margin_m": min(margins), "violations": sum(value <= 0.0 for value in margins),
        }  # fmt: skip
        messages.append(("/episode", "std_msgs/msg/String", wall + 200_000, text(end)))
        truth.append({**event, **end, "margins": margins})
        now += 10**9
        wall += 20_000_000
    profile = dataclasses.asdict(model)
    manifest = {
        "git_revision": "0123abc", "seed": 7, "scenario": "random", "configuration_sha256": "c" * 64,
        "bundles": {role: {"name": f"scripted-{role}", "sha256": role[0] * 64} for role in ROLES},
        "robots": dict.fromkeys(ROLES, profile), "safety": dataclasses.asdict(SafetyParameters()),
        "arguments": {"episodes": str(episodes), "rate": "0"},
    }  # fmt: skip
    return Recording(messages, manifest, truth)


def write(recording: Recording, path: Path) -> Path:
    """Write a recording as rosbag2 MCAP."""
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        if recording.manifest is not None:
            writer.set_custom_data("pe", json.dumps(recording.manifest))
        connections: dict[str, Any] = {}
        for topic, kind, log_ns, message in sorted(recording.messages, key=lambda row: row[2]):
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=STORE)
            writer.write(connections[topic], log_ns, STORE.serialize_cdr(message, kind))
    return path


def set_status(recording: Recording, role: str, step: int, key: str, value: str) -> None:
    """Overwrite one value of one cycle (counted over the whole recording)."""
    rows = [row[3] for row in recording.messages if row[0] == f"/{role}/safety/status"]
    for pair in rows[step].status[0].values:
        if pair.key == key:
            pair.value = value
            return
    raise KeyError(key)


@pytest.fixture(scope="session")
def played() -> Recording:
    """Two filtered episodes; never changed by a test."""
    return play()


@pytest.fixture
def game() -> Callable[..., Recording]:
    """The function :func:`play`, for games that a test changes."""
    return play


@pytest.fixture
def write_bag() -> Callable[[Recording, Path], Path]:
    return write


@pytest.fixture
def falsify() -> Callable[..., None]:
    return set_status


@pytest.fixture(scope="session")
def bag(played: Recording, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bag of :func:`played`."""
    return write(played, tmp_path_factory.mktemp("run") / "bag")

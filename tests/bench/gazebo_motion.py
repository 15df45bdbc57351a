"""``./pe bench gazebo-motion``: how far Gazebo's robots are from the ideal unicycle, on every floor.

Each motion holds one command (v, omega) for ``DURATION`` after a second of rest.  The pose at its end is compared
with the exact arc from the pose at its begin: how far ahead and to the left of the start the robot is, how far it
has turned, and the distance from where the ideal unicycle is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pe_core.arena import Arena
from pe_core.paths import config_names
from pe_core.robot import RobotModel, load_robot
from pe_core.roles import ROLES
from pe_core.scenario import Layout
from pe_core.unicycle import arc_step
from pe_gazebo.drive import centre_of_mass
from pe_gazebo.physics import Physics, load_physics
from pe_gazebo.server import Server
from pe_gazebo.stepping import Stepper
from pe_gazebo.track import Track
from pe_gazebo.worlds import WORLD, world_sdf
from tests.bench.rows import Row, print_table

BENCH = "gazebo-motion"
PERIOD = 0.05
DURATION = 5.0
REST = 1.0
MOTIONS = {
    "rest": (0.0, 0.0),
    "straight": (0.2, 0.0),
    "turn": (0.0, 1.0),
    "arc": (0.2, 1.0),
    "right arc": (0.2, -1.0),
}
METRICS = ("ahead", "left", "turned", "off")


class Pose(NamedTuple):
    """Where a robot is: x, y [m], yaw [rad]."""

    x: float
    y: float
    yaw: float


class Drives:
    """Two robots of one profile under the same command, one control period at a time, without a model of motors."""

    def __init__(self, server: Server, start: Layout, robot: RobotModel, physics: Physics) -> None:
        self._stepper = Stepper(server, ROLES, physics.step)
        self._steps = physics.steps_in(PERIOD)
        behind = centre_of_mass(robot)
        self._tracks = {role: Track(role, getattr(start, role), physics.step, behind) for role in ROLES}

    def step(self, v: float, omega: float) -> list[Pose]:
        """One control period under (v, omega) [m/s, rad/s]; the poses at its end."""
        done = self._stepper.batch(dict.fromkeys(ROLES, (v, omega)), self._steps)
        for role, track in self._tracks.items():
            track.add(done[role])
        return [Pose(*track.state(self._stepper.time_ns)[:3]) for track in self._tracks.values()]


def layout() -> Layout:
    """Two robots far from everything and from each other, one of them askew."""
    arena = Arena(20.0, np.zeros((0, 3)))
    return Layout(arena, np.array([-8.0, -8.0, 0.0]), np.array([8.0, 8.0, 1.0]))


def measure(
    robot: RobotModel, physics: Physics, motions: Sequence[str] = tuple(MOTIONS), duration: float = DURATION
) -> dict[str, dict[str, float]]:
    """What each motion came to: ahead [m], left [m], turned [rad], off [m]; the worse of two robots by ``off``."""
    start = layout()
    world = world_sdf(start, dict.fromkeys(ROLES, robot), physics, PERIOD)
    with Server(world, WORLD) as server:
        drives = Drives(server, start, robot, physics)
        return {name: _motion(drives, *MOTIONS[name], duration) for name in motions}


def _motion(drives: Drives, v: float, omega: float, duration: float) -> dict[str, float]:
    for _ in range(round(REST / PERIOD)):
        begin = drives.step(0.0, 0.0)
    turned = [0.0] * len(begin)
    last = begin
    for _ in range(round(duration / PERIOD)):
        now = drives.step(v, omega)
        turned = [
            a + math.remainder(n.yaw - o.yaw, math.tau) for a, n, o in zip(turned, now, last, strict=True)
        ]
        last = now
    found = [
        _account(start, end, angle, v, omega, duration)
        for start, end, angle in zip(begin, last, turned, strict=True)
    ]
    return max(found, key=lambda each: each["off"])


def _account(
    start: Pose, end: Pose, turned: float, v: float, omega: float, duration: float
) -> dict[str, float]:
    dx, dy = end.x - start.x, end.y - start.y
    cosine, sine = math.cos(start.yaw), math.sin(start.yaw)
    x, y, _ = arc_step(start.x, start.y, start.yaw, v, omega, duration)
    return {
        "ahead": cosine * dx + sine * dy,
        "left": cosine * dy - sine * dx,
        "turned": turned,
        "off": math.hypot(end.x - x, end.y - y),
    }


def run(
    json_path: Path | None = None, robots: Sequence[str] | None = None, floors: Sequence[str] | None = None
) -> list[Row]:
    """Measure every robot on every floor, print a table, return the rows."""
    rows: list[Row] = []
    for robot in robots or config_names("robots"):
        for floor in floors or config_names("gazebo"):
            found = measure(load_robot(robot), load_physics(floor))
            for motion, values in found.items():
                rows += [
                    Row(
                        bench=BENCH,
                        subject=floor,
                        case=f"{robot}, {motion}",
                        metric=metric,
                        value=values[metric],
                        unit="rad" if metric == "turned" else "m",
                    )
                    for metric in METRICS
                ]
    print_table(f"{DURATION:g} s of each command, from rest", rows, list(METRICS))
    return rows

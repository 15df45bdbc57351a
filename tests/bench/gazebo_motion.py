"""``./pe bench gazebo-motion``: how far Gazebo's robots are from the ideal unicycle, on every floor.

Each motion holds one command (v, omega) for ``DURATION`` after a second of rest.  The pose at its end is compared
with the exact arc from the pose at its begin: how far ahead and to the left of the start the robot is, how far it
has turned, and the distance from where the ideal unicycle is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from pe_core.arena import Arena
from pe_core.paths import config_names
from pe_core.robot import RobotModel, load_robot
from pe_core.roles import ROLES
from pe_core.scenario import Layout
from pe_core.unicycle import arc_step
from pe_gazebo import messages
from pe_gazebo.messages import PoseScan
from pe_gazebo.physics import Physics, load_physics
from pe_gazebo.server import Server
from pe_gazebo.stepping import NUDGE
from pe_gazebo.worlds import POSE_SENSOR, WORLD, world_sdf
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
ANSWER = 30.0
"""Longest wait [s] for one control step of the server."""
METRICS = ("ahead", "left", "turned", "off")


class Drives:
    """Two robots in an empty arena, moved one control period at a time."""

    def __init__(self, server: Server, steps: int) -> None:
        self._server, self._steps = server, steps
        self._scans: dict[str, list[PoseScan]] = {role: [] for role in ROLES}
        transport = server.transport
        root = f"/gazebo/{WORLD}"
        self._control, self._request = f"{root}/world_control", f"{root}/request"
        self._asked = self._answered = 0
        transport.advertise(self._control, messages.WORLD_CONTROL)
        transport.advertise(self._request, messages.REQUEST)
        transport.subscribe(f"{root}/response", messages.RESPONSE, self._on_response)
        for role in ROLES:
            transport.advertise(self._command(role), messages.POSE)
            transport.subscribe(self._scan(role), messages.SCAN, self._keep(role))
        wanted = [self._control, self._request, *map(self._command, ROLES)]
        transport.until(lambda: all(map(transport.has_subscriber, wanted)), ANSWER, "nobody takes commands")
        heard = [f"{root}/response", *map(self._scan, ROLES)]
        transport.until(lambda: all(map(transport.is_subscribed, heard)), ANSWER, "no scans")

    @staticmethod
    def _command(role: str) -> str:
        return f"/gazebo/{WORLD}/{role}/vel_cmd"

    @staticmethod
    def _scan(role: str) -> str:
        return f"/gazebo/{WORLD}/{role}/base_link/{POSE_SENSOR}/scan"

    def _keep(self, role: str) -> Callable[[bytes], None]:
        return lambda data: self._scans[role].append(messages.pose_scan(data))

    def _on_response(self, data: bytes) -> None:
        self._answered = max(self._answered, messages.answered(data))

    def step(self, v: float, omega: float) -> list[PoseScan]:
        """One control period under (v, omega) [m/s, rad/s]; the poses at its end."""
        transport = self._server.transport
        for role in ROLES:
            transport.publish(self._command(role), messages.velocity(v, omega))
        # They come over other connections than the step: an answer asked for after them says that they are there.
        self._asked += 1
        self._ask()
        self._until(lambda: self._answered >= self._asked, "a request is not answered")
        for scans in self._scans.values():
            scans.clear()
        transport.publish(self._control, messages.multi_step(self._steps))
        self._until(lambda: all(self._scans.values()), "a control step gave no scans")
        return [self._scans[role][-1] for role in ROLES]

    def _ask(self) -> None:
        self._server.transport.publish(self._request, messages.request(self._asked, "physics_info"))

    def _until(self, condition: Callable[[], bool], failure: str) -> None:
        """Wait; whatever comes wakes the server's thread of messages, which may oversleep one."""
        self._server.until(condition, ANSWER, failure, self._ask, NUDGE)


def layout() -> Layout:
    """Two robots far from everything and from each other, one of them askew."""
    arena = Arena(20.0, np.zeros((0, 3)))
    return Layout(arena, np.array([-8.0, -8.0, 0.0]), np.array([8.0, 8.0, 1.0]))


def measure(
    robot: RobotModel, physics: Physics, motions: Sequence[str] = tuple(MOTIONS), duration: float = DURATION
) -> dict[str, dict[str, float]]:
    """What each motion came to: ahead [m], left [m], turned [rad], off [m]; the worse of two robots by ``off``."""
    world = world_sdf(layout(), dict.fromkeys(ROLES, robot), physics, PERIOD)
    with Server(world, WORLD) as server:
        drives = Drives(server, physics.steps_in(PERIOD))
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
    start: PoseScan, end: PoseScan, turned: float, v: float, omega: float, duration: float
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

"""Gazebo as the simulator: a real gzserver that never outlives anybody, in process and behind real nodes."""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from nav_msgs.msg import Odometry
from sensor_msgs.msg import LaserScan

from pe_core.arena import Arena
from pe_core.plant import Plant
from pe_core.robot import load_robot
from pe_core.roles import ROLES
from pe_core.scenario import Layout
from pe_evaluation.evaluate import Match, evaluate
from pe_gazebo.physics import load_physics
from pe_gazebo.plant import GazeboBodies
from pe_gazebo.server import Server
from pe_gazebo.simulator import GazeboSimulator
from pe_gazebo.transport import GazeboError
from pe_nodes import qos
from pe_nodes.messages import odometry_values, stamp_ns
from tests.support.patience import patience

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("gazebo")]

EMPTY = "<sdf version='1.6'><world name='pursuit'></world></sdf>"
PERIOD = 0.05


def gone(pid: int, limit: float = 5.0) -> bool:
    end = time.monotonic() + patience(limit)
    while time.monotonic() < end:
        with contextlib.suppress(psutil.NoSuchProcess):
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                time.sleep(0.05)
                continue
        return True
    return False


@contextlib.contextmanager
def two_burgers() -> Iterator[GazeboBodies]:
    robot = load_robot("turtlebot3_burger")
    layout = Layout(Arena(2.2, np.zeros((0, 3))), np.array([-1.0, -1.0, 0.0]), np.array([1.0, 1.0, 2.0]))
    with contextlib.closing(GazeboBodies(layout, (robot, robot), load_physics("nominal"), PERIOD)) as bodies:
        yield bodies


def drive(bodies: GazeboBodies, steps: int) -> np.ndarray:
    commands = [(0.2, 0.0), (0.1, -1.0)]
    return np.array([bodies.follow(commands, PERIOD).copy() for _ in range(steps)])


def test_bodies_follow_their_models_and_the_same_commands_give_the_same_motion() -> None:
    robot, played = load_robot("turtlebot3_burger"), []
    for _ in range(2):
        with two_burgers() as bodies:
            at_rest = bodies.states.copy()
            played.append(drive(bodies, 20))
    assert np.abs(at_rest[:, 3:]).max() < 1e-3
    for i, command in enumerate([(0.2, 0.0), (0.1, -1.0)]):
        plant = Plant(robot, at_rest[i, :3])
        for _ in range(20):
            plant.follow(command, PERIOD)
        last = played[1][-1, i]
        assert math.dist(last[:2], plant.state[:2]) < 0.01, "within a centimetre after a second"
        assert abs(math.remainder(last[2] - plant.state[2], math.tau)) < 0.03
        assert last[3:] == pytest.approx(plant.state[3:], abs=0.02)
    assert np.abs(played[0] - played[1])[:, :, :3].max() < 1e-4


def test_a_server_ends_in_order_and_leaves_nothing() -> None:
    with pytest.raises(RuntimeError, match="mine"), Server(EMPTY, "pursuit") as server:
        pid, folder = server.pid, server.folder
        assert psutil.pid_exists(pid) and server.log.is_file()
        raise RuntimeError("mine")
    assert gone(pid) and not folder.exists()


def test_a_world_that_does_not_come_up_is_told_with_the_servers_log() -> None:
    with pytest.raises(GazeboError, match="no world came up(.|\n)*gzserver.log(.|\n)*Error parsing XML") as caught:
        Server("<sdf version='1.6'><world name='pursuit'></wor", "pursuit", patience(8.0))
    folder = Path(str(caught.value).split("its log, ")[1].split("/gzserver.log")[0])
    assert (folder / "gzserver.log").is_file(), "the log is kept"


def test_a_server_dies_with_its_parent() -> None:
    code = (
        "import sys, time\nfrom pe_gazebo.server import Server\n"
        f"with Server({EMPTY!r}, 'pursuit') as server:\n    print(server.pid, flush=True)\n    time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert psutil.pid_exists(pid)
    finally:
        parent.kill()
        parent.wait()
    assert gone(pid)


def test_an_episode_in_process_is_played_by_gazebo_and_says_so() -> None:
    match = Match("lead", "random", scenario="head_on", seed=3)
    (ideal,), _ = evaluate(match, 1, workers=1)
    (found,), identity = evaluate(match, 1, workers=1, simulator=GazeboSimulator.named("nominal"))
    assert found.outcome == ideal.outcome
    assert 0 < abs(found.min_margin - ideal.min_margin) < 0.1, "another motion, and nearly the same"
    assert found.violations == 0
    assert identity["simulator"]["physics"]["name"] == "nominal"


def servers_below(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The gzservers of a launch."""
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if any("gzserver" in word for word in child.cmdline()):
                found.append(child)
    return found


def test_a_chase_in_gazebo_through_nodes(processes, tmp_path) -> None:  # type: ignore[no-untyped-def]
    out = tmp_path / "out"
    words = ("rate:=0", "scenario:=head_on", "pursuer:=lead", "evader:=random", "seed:=3", f"out:={out}")
    command = [sys.executable, "-m", "pe_cli", "launch", "gazebo.launch.py", *words]
    process = processes.start(command)
    assert process.wait(120) == 0, processes.output(process)
    metrics = json.loads((out / "metrics.json").read_text())
    assert (metrics["episodes"], metrics["violations"]) == (1, 0)


def test_lidars_show_the_walls_as_scans(processes, probe, tmp_path) -> None:  # type: ignore[no-untyped-def]
    half_side = 2.2
    for role in ROLES:
        probe.listen(LaserScan, f"/{role}/scan", qos.SENSOR)
        probe.listen(Odometry, f"/{role}/ground_truth", qos.EVENT)
    words = ("rate:=1", "robot:=turtlebot3_burger", "lidar:=true", "record:=false", f"out:={tmp_path / 'out'}")
    processes.start([sys.executable, "-m", "pe_cli", "launch", "gazebo.launch.py", *words])
    scans, truth = probe.received["/pursuer/scan"], probe.received["/pursuer/ground_truth"]
    known: dict[int, tuple[float, ...]] = {}

    def placed() -> list[LaserScan]:
        """Scans of which the robot's pose at their time has come too: a robot turns by 0.14 rad in a control step."""
        known.update((stamp_ns(message.header.stamp), odometry_values(message)) for _, message in truth)
        return [message for _, message in scans if pose_at(message) is not None]

    def pose_at(message: LaserScan) -> tuple[float, ...] | None:
        stamp = stamp_ns(message.header.stamp)
        near = min(known, key=lambda at: abs(at - stamp), default=0)
        return known[near] if abs(near - stamp) <= 6e6 else None

    probe.until(lambda: len(scans) > 3 and probe.received["/evader/scan"] and placed(), patience(60.0))
    stamps = [stamp_ns(message.header.stamp) for _, message in scans[:4]]
    assert np.diff(stamps) == pytest.approx(0.2e9, abs=6e6)
    scan = placed()[-1]
    assert (scan.header.frame_id, scan.angle_min, len(scan.ranges)) == ("base_link", 0.0, 360)
    x, y, heading = pose_at(scan)[:3]
    bearings = heading + scan.angle_min + scan.angle_increment * np.arange(360)
    ranges = np.array(scan.ranges)
    seen = np.isfinite(ranges)
    hits = np.abs([x + ranges * np.cos(bearings), y + ranges * np.sin(bearings)]).max(axis=0)[seen]
    assert hits.max() < half_side + 0.05, "no beam goes through a wall"
    assert np.count_nonzero(np.abs(hits - half_side) < 0.05) > 90, "many end at one"


def test_neither_gazebo_nor_a_node_outlives_a_killed_launcher(processes, tmp_path) -> None:  # type: ignore[no-untyped-def]
    command = [sys.executable, "-m", "pe_cli", "launch", "gazebo.launch.py", "rate:=1", f"out:={tmp_path / 'out'}"]
    process = processes.start(command)
    end = time.monotonic() + patience(60.0)
    while not (servers := servers_below(process)):
        assert process.poll() is None and time.monotonic() < end, processes.output(process)
        time.sleep(0.1)
    below = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    try:
        assert all(gone(one.pid, 15.0) for one in [*servers, *below])
    finally:
        for child in below:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()

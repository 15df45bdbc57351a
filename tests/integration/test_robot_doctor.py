"""``./pe doctor --robot`` beside running nodes: what it finds of absolute poses, frames and the clock."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from rosgraph_msgs.msg import Clock

from pe_core.robot import load_robot
from pe_nodes import qos, robot_probe
from pe_nodes.messages import set_stamp
from tests.support.patience import patience

pytestmark = [pytest.mark.integration, pytest.mark.slow]

FRAMES = {"odom_frame": "odom", "base_frame": "base_footprint"}


def doctor(processes, probe, namespace: str, sure: str) -> dict[str, list[str]]:
    """What the doctor says by subject, while /clock goes on; asked again until it says what is ``sure``."""
    command = [sys.executable, "-m", "pe_cli", "doctor", "--robot", "--namespace", namespace, "--stage", "stack"]
    end = time.monotonic() + patience(60.0)
    clock = Clock()

    def tick() -> None:
        set_stamp(clock.clock, time.time_ns())
        probe.publish("/clock", clock, qos.SENSOR)

    while True:
        process = subprocess.Popen(
            command, env=processes.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        probe.until(lambda process=process: process.poll() is not None, 60.0, tick)
        text = process.stdout.read() if process.stdout else ""
        if sure in text:
            break
        assert time.monotonic() < end, text
    said: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith(("ok ", "note ", "FAIL ")):
            status, subject, rest = line.split(maxsplit=2)
            said.setdefault(subject, []).append(f"{status} {rest}")
    return said


def test_poses_frames_and_simulated_time_are_looked_at(processes, probe, monkeypatch):
    for role in ("pursuer", "evader"):
        processes.node("emulated_robot", f"/{role}", {"cmd_vel": "driver/cmd_vel"}, **FRAMES)
    common = {"robot": "turtlebot3_burger", **FRAMES}
    tracked = {"pose": "mocap/pose"}
    processes.node("state_estimator", "/pursuer", tracked, role="pursuer", pose0_stamped=True, **common)
    common |= {"base_frame": "base_link", "use_sim_time": True}
    processes.node("state_estimator", "/evader", tracked, role="evader", pose0_stamped=False, **common)

    said = doctor(processes, probe, "pursuer", "/pursuer/mocap/pose")
    (poses,) = said["poses"]
    assert poses.endswith("Hz, PoseStamped") and poses.startswith("ok /pursuer/mocap/pose: ")
    assert "frames" not in said
    assert not [line for line in said["clock"] if "judged by /clock" in line]

    said = doctor(processes, probe, "evader", "/evader/mocap/pose")
    (poses,) = said["poses"]
    assert poses.startswith("FAIL /evader/mocap/pose is of another type (/evader/emulated_robot: ")
    assert said["frames"] == ["FAIL odom has child frame 'base_footprint', the estimator base_frame 'base_link'"]
    assert "note simulated time: stamps are judged by /clock, not by this machine's" in said["clock"]
    assert any(line.startswith(("ok /evader/odom", "note /evader/odom")) for line in said["clock"]), said["clock"]

    # What is discovered only after it began to look is looked at all the same.
    for name in ("ROS_DOMAIN_ID", "ROS_AUTOMATIC_DISCOVERY_RANGE"):
        monkeypatch.setenv(name, processes.environment[name])
    monkeypatch.setattr(robot_probe, "DISCOVERY", 0.0)
    seen = robot_probe.RobotProbe("pursuer", "pursuer", load_robot("turtlebot3_burger"), 3.0).run()
    assert seen.topics["/pursuer/mocap/pose"].arrivals and seen.topics["/pursuer/odom"].arrivals

"""The deployment guide, executed: its commands as they stand in the document, against two emulated robots."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped, TwistStamped
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Bool, String

from pe_core.paths import share_directory
from pe_nodes import emergency_stop, qos
from pe_nodes.arming import NEXT_EPISODE
from pe_nodes.messages import command_values, set_pose, stamp_ns
from tests.support.patience import patience

pytestmark = [pytest.mark.integration, pytest.mark.slow]

GUIDE = share_directory() / "docs" / "deployment.md"
BLOCK = re.compile(r"^<!-- executed: (?P<who>[^>]+) -->\n```bash\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
SHORTER = {"episodes:=10": "episodes:=1 max_time:=5", "max_time:=8": "max_time:=60"}
"""What is not as in the document: ten scored episodes are one of five seconds; the check is ended by the stop."""
ROLES = ("pursuer", "evader")
CARELESS = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
RESTING = 0.005


def blocks() -> list[tuple[str, str]]:
    """(who, commands) of every block that the guide says is executed, in order."""
    text = GUIDE.read_text()
    for ours, theirs in SHORTER.items():
        assert ours in text, f"the guide no longer says {ours}"
        text = text.replace(ours, theirs)
    return [(match["who"], match["text"]) for match in BLOCK.finditer(text)]


class Rehearsal:
    """Runs the guide's blocks; what runs in a shell of its own goes on until the guide starts another there."""

    def __init__(self, processes, probe, folder: Path) -> None:
        self.probe, self.folder = probe, folder
        script = folder / "pe"
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pe_cli "$@"\n')
        script.chmod(0o755)
        self.processes = processes
        self.shells: dict[str, subprocess.Popen[str]] = {}
        for role in ROLES:
            probe.listen(PoseStamped, f"/{role}/mocap/pose", qos.SENSOR)
            probe.listen(TwistStamped, f"/{role}/driver/cmd_vel", qos.COMMAND)
        for topic in ("/episode", NEXT_EPISODE):
            probe.listen(String, topic, qos.LATCHED)

    def shell(self, who: str, text: str) -> None:
        """A block in a shell of its own."""
        if who in self.shells:
            self.end(who)
        process = self.processes.start(["bash", "-c", f"exec {text.strip()}"])
        self.shells[who] = process

    def end(self, who: str) -> None:
        """Ctrl-C in that shell."""
        process = self.shells.pop(who)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        assert process.wait(60) in (0, 130), self.processes.output(process)

    def command(self, line: str) -> str:
        """What a command of the guide says, once it succeeds."""
        return self.processes.succeed(["bash", "-c", line], lambda: self.probe.spin(0.2), self.said)

    def put_on_starts(self) -> None:
        """What the guide asks a person to do."""
        announced = self.probe.received[NEXT_EPISODE]
        self.probe.until(lambda: announced, 120.0)
        starts = json.loads(announced[-1][1].data)
        for role in ROLES:
            x, y, theta = starts[role]
            pose = PoseStamped()
            set_pose(pose.pose, x, y, theta)

            def there(role: str = role, x: float = x, y: float = y, pose: PoseStamped = pose) -> bool:
                self.probe.publish(f"/{role}/place", pose, qos.EVENT)
                seen = self.probe.received[f"/{role}/mocap/pose"]
                return bool(seen) and np.hypot(seen[-1][1].pose.position.x - x, seen[-1][1].pose.position.y - y) < 1e-3

            self.probe.until(there, 30.0)
        announced.clear()

    def said(self) -> str:
        """The last words of every shell."""
        return "\n".join(f"{who}: {self.processes.output(p)[-1500:]}" for who, p in self.shells.items())

    def speed(self, role: str, since: float, until: float) -> float:
        """Largest speed [m/s] over 0.1 s that the tracker saw between two monotonic times."""
        heard = [(at, m) for at, m in self.probe.received[f"/{role}/mocap/pose"] if since <= at <= until]
        stamps = [1e-9 * (stamp_ns(m.header.stamp) % 10**15) for _, m in heard]
        rows = np.array([(at, m.pose.position.x, m.pose.position.y) for at, (_, m) in zip(stamps, heard, strict=True)])
        if len(rows) < 10:
            return 0.0
        gap = rows[5:] - rows[:-5]
        return float((np.hypot(gap[:, 1], gap[:, 2]) / np.maximum(gap[:, 0], 1e-3)).max())

    def drives(self) -> list[str]:
        """Robots whose driver was last told to move."""
        return [
            role
            for role in ROLES
            if self.probe.received[f"/{role}/driver/cmd_vel"]
            and command_values(self.probe.received[f"/{role}/driver/cmd_vel"][-1][1]) != (0.0, 0.0)
        ]

    def stop_at_once(self) -> dict[str, float]:
        """Press the stop with one careless message; how long [s] until each robot rests."""
        button = self.probe.node.create_publisher(Bool, emergency_stop.TOPIC, CARELESS)
        self.probe.until(lambda: button.get_subscription_count() >= 4, 10.0)
        self.probe.until(self.drives, 60.0)
        pressed = time.monotonic()
        button.publish(Bool(data=True))
        self.probe.spin(2.5)
        self.probe.node.destroy_publisher(button)
        rest = {}
        for role in ROLES:
            poses = [(at, m.pose.position) for at, m in self.probe.received[f"/{role}/mocap/pose"] if at > pressed]
            last = poses[-1][1]
            away = [at for at, p in poses if np.hypot(p.x - last.x, p.y - last.y) > 1e-3]
            rest[role] = (away[-1] - pressed) if away else 0.0
        assert not self.drives(), "one false of the referee's heartbeat must not let them go"
        return rest


@pytest.fixture
def rehearsal(processes, probe, tmp_path) -> Iterator[Rehearsal]:
    made = Rehearsal(processes, probe, tmp_path)
    yield made
    for who in list(made.shells):
        if made.shells[who].poll() is None:
            os.killpg(made.shells[who].pid, signal.SIGINT)


def test_the_guide_from_the_first_driver_to_the_score(rehearsal, record_property):
    armings = 0
    for who, text in blocks():
        lines = [line for line in text.splitlines() if line.strip()]
        if who.split("'")[0] in (*ROLES, "referee"):
            rehearsal.shell(who, text)
        elif who == "arm":
            rehearsal.put_on_starts()
            before = time.monotonic()
            assert not rehearsal.drives(), "before anybody is armed"
            for line in lines:
                if line.startswith("./pe robot arm"):
                    now = time.monotonic()
                    assert all(rehearsal.speed(role, before, now) < RESTING for role in ROLES)
                rehearsal.command(line)
            armings += 1
        elif who == "stop":
            rest = rehearsal.stop_at_once()
            record_property("stop_to_rest_s", rest)
            print("from the stop to rest [s]:", rest)
            assert max(rest.values()) < patience(0.6), "message, cycle 0.05, dead time 0.02, lag 4 x 0.05, scheduling"
            for line in lines:
                rehearsal.command(line)
        elif who == "evaluate":
            assert rehearsal.shells["referee"].wait(120) == 0, rehearsal.said()
            assert "episodes" in rehearsal.command(lines[0])
        else:
            for line in lines:
                rehearsal.command(line)
    assert armings == 2
    metrics = json.loads((rehearsal.folder / "runs" / "scored" / "metrics.json").read_text())
    assert (metrics["episodes"], metrics["violations"]) == (1, 0)
    assert metrics["min_margin_m"] > 0.0, "the tracker's poses are the ground truth"
    wall = json.loads((rehearsal.folder / "runs" / "wall" / "metrics.json").read_text())
    assert wall["violations"] == 0
    ends = [json.loads(m.data) for _, m in rehearsal.probe.received["/episode"] if '"end"' in m.data]
    assert ends[0]["outcome"] == "interrupted" and "emergency stop" in ends[0]["reason"]

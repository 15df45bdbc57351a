"""Two computers, as two network namespaces joined by one cable: nothing but the network between robot and operator."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.patience import patience

pytestmark = pytest.mark.integration


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


@pytest.fixture
def machines() -> Iterator[tuple[str, str]]:
    """Names of two network namespaces; skipped, with the reason, where this machine may not make them."""
    names = (f"pe-a-{os.getpid()}", f"pe-b-{os.getpid()}")
    cables = (f"pea{os.getpid() % 100000}", f"peb{os.getpid() % 100000}")
    made: list[str] = []
    try:
        for name in names:
            ip("netns", "add", name)
            made.append(name)
        ip("link", "add", cables[0], "netns", names[0], "type", "veth", "peer", "name", cables[1], "netns", names[1])
        for number, (name, cable) in enumerate(zip(names, cables, strict=True), 1):
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "addr", "add", f"10.77.0.{number}/24", "dev", cable)
            ip("-n", name, "link", "set", cable, "up", "multicast", "on")
            ip("-n", name, "route", "add", "224.0.0.0/4", "dev", cable)
    except (OSError, subprocess.CalledProcessError) as error:
        for name in made:
            subprocess.run(["ip", "netns", "del", name], check=False)
        reason = getattr(error, "stderr", "") or str(error)
        pytest.skip(f"this machine makes no network namespaces ({reason.strip()}): robots on two computers not tried")
    yield names
    for name in names:
        subprocess.run(["ip", "netns", "del", name], check=False)


def test_a_robot_on_another_computer_is_found_and_its_clock_is_judged(processes, machines, ros_domain):
    robot, operator = (["ip", "netns", "exec", name] for name in machines)
    # Shared memory would join what the network does not.
    environment = processes.environment | {
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET",
        "FASTDDS_BUILTIN_TRANSPORTS": "UDPv4",
    }
    processes.environment = environment
    words = ["launch", "emulated_robot.launch.py", "scenario:=checks/wall", "clock_offset:=0.4"]
    processes.start([*robot, sys.executable, "-m", "pe_cli", *words])
    doctor = [*operator, sys.executable, "-m", "pe_cli", "doctor", "--robot", "--stage", "driver"]
    for _ in range(8):
        done = subprocess.run(
            doctor, env=environment, capture_output=True, text=True, timeout=patience(60.0), check=False
        )
        if "/pursuer/odom: stamps" in done.stdout:
            break
    assert done.returncode == 1, done.stdout + done.stderr
    assert "ok    network" in done.stdout
    assert "/pursuer/driver/cmd_vel: /pursuer/emulated_robot listens" in done.stdout
    said = next(line for line in done.stdout.splitlines() if "/pursuer/odom: stamps" in line)
    assert said.startswith("FAIL") and "ahead" in said
    assert 300.0 < float(said.split("are ")[1].split(" ms")[0]) < 410.0, "0.4 s, less what the way takes"
    assert "chrony" in done.stdout

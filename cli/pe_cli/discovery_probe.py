"""Do two ROS 2 processes on this machine find one another? ``./pe doctor`` asks, with two short processes.

They run in a domain of their own, and only on this machine, so no robot hears them. rclpy stays out of this
process and of this package: the program below is handed to a Python of its own.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from dataclasses import dataclass

TIMEOUT_S = 15.0
"""A machine under load needs some seconds to start two Pythons with rclpy."""

_DOMAINS = range(60, 100)

_PROGRAM = """
import sys, time
import rclpy
from std_msgs.msg import String

rclpy.init()
node = rclpy.create_node("doctor_" + sys.argv[1])
deadline = time.monotonic() + float(sys.argv[2])
heard = []
if sys.argv[1] == "talker":
    publisher = node.create_publisher(String, "doctor", 1)
else:
    node.create_subscription(String, "doctor", heard.append, 1)
while time.monotonic() < deadline and not heard:
    if sys.argv[1] == "talker":
        publisher.publish(String(data="hello"))
    rclpy.spin_once(node, timeout_sec=0.05)
node.destroy_node()
rclpy.shutdown()
sys.exit(0 if heard else 1)
"""


@dataclass(frozen=True)
class Outcome:
    """How long it took from the start of both processes to the first message, or why there was none."""

    seconds: float | None
    reason: str = ""


def run(timeout: float = TIMEOUT_S, program: str = _PROGRAM) -> Outcome:
    """Start a talker and a listener and wait, at most `timeout` seconds, for the first message."""
    environment = {
        **os.environ,
        "ROS_DOMAIN_ID": str(random.choice(_DOMAINS)),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
    }
    start = time.monotonic()
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, role, str(timeout)],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for role in ("talker", "listener")
    ]
    listener = processes[1]
    try:
        _, errors = listener.communicate(timeout=timeout + 5.0)
    except subprocess.TimeoutExpired:
        return Outcome(None, "the listener hung")
    finally:
        for process in processes:
            _end(process)
    if listener.returncode == 0:
        return Outcome(time.monotonic() - start)
    last_line = errors.strip().splitlines()[-1:] or [f"no message within {timeout:.0f} s"]
    return Outcome(None, last_line[0])


def _end(process: subprocess.Popen[str]) -> None:
    """End a process by SIGTERM, which lets Fast DDS remove its shared memory; by SIGKILL if that is not heard."""
    process.terminate()
    try:
        process.communicate(timeout=2.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()

"""The referee says to estimators where their robots stand until they know."""

from __future__ import annotations

import sys

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from std_srvs.srv import Trigger

from pe_nodes import qos
from pe_nodes.heartbeats import ESTIMATOR, INITIAL_POSE

pytestmark = pytest.mark.integration

ROLES = ("pursuer", "evader")
PLACED = "/referee/robots_placed"


def initial_poses(probe) -> dict[str, str]:
    """The stamp of the initial pose that each estimator says it has, by its name, newest last."""
    statuses = [status for _, message in probe.received["/diagnostics"] for status in message.status]
    said = ((status.name, pair) for status in statuses for pair in status.values)
    return {name: pair.value for name, pair in said if pair.key == INITIAL_POSE}


def test_estimators_that_start_after_the_robots_were_placed_are_told(processes, probe) -> None:
    words = ("arena.launch.py", "robot:=turtlebot3_burger", "scenario:=checks/wall", "localisation:=odom")
    probe.listen(DiagnosticArray, "/diagnostics", qos.EVENT)
    processes.start([sys.executable, "-m", "pe_cli", "launch", *words, "out:=runs"])
    assert probe.call(Trigger, PLACED, Trigger.Request()).success
    probe.spin(1.0)

    for role in ROLES:
        processes.node(ESTIMATOR, f"/{role}", role=role)
    names = [f"/{role}/{ESTIMATOR}" for role in ROLES]
    probe.until(lambda: all(int(initial_poses(probe).get(name, "-1")) > 0 for name in names), 60.0)
    first = initial_poses(probe)
    assert first[names[0]] == first[names[1]], "both were placed at one time"

    # Placed anew: what an estimator knew before is not what it must know.
    assert probe.call(Trigger, PLACED, Trigger.Request()).success
    probe.until(lambda: all(int(initial_poses(probe)[name]) > int(first[name]) for name in names), 20.0)

"""What the referee says to robots, and that it does not say what nobody hears."""

from __future__ import annotations

import sys

import pytest
from geometry_msgs.msg import PoseWithCovarianceStamped
from rclpy.node import Node
from std_srvs.srv import Trigger

from pe_nodes import qos

pytestmark = pytest.mark.integration

ROLES = ("pursuer", "evader")
PLACED = "/referee/robots_placed"


def test_robots_are_not_placed_while_no_estimator_would_hear_of_it(processes, probe) -> None:
    words = ("arena.launch.py", "robot:=turtlebot3_burger", "scenario:=checks/wall", "localisation:=odom")
    processes.start([sys.executable, "-m", "pe_cli", "launch", *words, "out:=runs"])
    refused = probe.call(Trigger, PLACED, Trigger.Request())
    assert not refused.success
    assert all(f"/{role}/initialpose" in refused.message for role in ROLES), refused.message

    heard: dict[str, list[PoseWithCovarianceStamped]] = {role: [] for role in ROLES}
    estimators = {role: Node("state_estimator", namespace=f"/{role}", context=probe.context) for role in ROLES}
    try:
        for role, node in estimators.items():
            node.create_subscription(PoseWithCovarianceStamped, "initialpose", heard[role].append, qos.EVENT)
            probe.executor.add_node(node)
            if role == "pursuer":
                # The recorder listens to both; that is no estimator.
                half = probe.until(lambda: _placed(probe, f"/{ROLES[1]}/initialpose"), 20.0)
                assert "/pursuer/initialpose" not in half and "robot.launch.py of evader" in half
        probe.until(lambda: probe.call(Trigger, PLACED, Trigger.Request()).success, 20.0)
        probe.until(lambda: all(heard.values()), 10.0)
    finally:
        for node in estimators.values():
            node.destroy_node()


def _placed(probe, topic: str) -> str:
    """What the referee says once ``topic`` is all that it misses."""
    answer = probe.call(Trigger, PLACED, Trigger.Request())
    return str(answer.message) if topic in answer.message and "and" not in answer.message else ""

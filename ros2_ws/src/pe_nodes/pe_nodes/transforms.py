"""Transforms on /tf, where tf2_msgs is installed (it comes with ROS 2, not with the wheels)."""

from __future__ import annotations

import importlib
import math
from typing import Any

from geometry_msgs.msg import TransformStamped
from rclpy.node import Node

from pe_nodes import qos
from pe_nodes.messages import set_stamp

Pose = tuple[float, float, float]


def compose_inverse(outer: Pose, inner: Pose) -> Pose:
    """The planar transform T with outer = T * inner: map -> odom from a pose in map and the same in odom."""
    theta = outer[2] - inner[2]
    c, s = math.cos(theta), math.sin(theta)
    x = outer[0] - (c * inner[0] - s * inner[1])
    y = outer[1] - (s * inner[0] + c * inner[1])
    return x, y, math.atan2(math.sin(theta), math.cos(theta))


class TransformPublisher:
    """Publishes one planar transform; does nothing where tf2_msgs is not installed."""

    def __init__(self, node: Node, parent: str, child: str) -> None:
        self._publisher: Any = None
        try:
            kind = importlib.import_module("tf2_msgs.msg").TFMessage
        except ModuleNotFoundError:
            return
        self._message = kind(transforms=[TransformStamped()])
        self._message.transforms[0].header.frame_id = parent
        self._message.transforms[0].child_frame_id = child
        self._publisher = node.create_publisher(kind, "/tf", qos.EVENT)

    def publish(self, stamp_ns: int, pose: Pose) -> None:
        """Publish ``child`` at ``pose`` (x, y, theta) in ``parent``."""
        if self._publisher is None:
            return
        entry = self._message.transforms[0]
        set_stamp(entry.header.stamp, stamp_ns)
        entry.transform.translation.x, entry.transform.translation.y = pose[0], pose[1]
        entry.transform.rotation.z, entry.transform.rotation.w = math.sin(0.5 * pose[2]), math.cos(0.5 * pose[2])
        self._publisher.publish(self._message)

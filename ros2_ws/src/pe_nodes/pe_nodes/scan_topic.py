"""The lidar of a simulated robot on ROS 2."""

from __future__ import annotations

import math

from rclpy.node import Node
from sensor_msgs.msg import LaserScan

from pe_nodes import qos
from pe_nodes.messages import set_stamp


class ScanTopic:
    """Publishes ``/<role>/scan`` (sensor_msgs/LaserScan): counter-clockwise, the first beam ahead, inf: nothing.

    The sensor sits on the robot's axis, so its frame is that of the base, but for its height.
    """

    def __init__(
        self, node: Node, role: str, frame: str, samples: int, rate: float, reach: tuple[float, float]
    ) -> None:
        """``samples`` beams over a full turn, ``rate`` times a second; ``reach``: shortest and longest range [m]."""
        increment = math.tau / samples
        self._message = LaserScan(
            angle_min=0.0,
            angle_max=math.tau - increment,
            angle_increment=increment,
            scan_time=1.0 / rate,
            range_min=reach[0],
            range_max=reach[1],
        )
        self._message.header.frame_id = frame
        self._publisher = node.create_publisher(LaserScan, f"/{role}/scan", qos.SENSOR)

    def publish(self, stamp_ns: int, ranges: tuple[float, ...]) -> None:
        """A scan [m] that began and ended at a time [ns]: all beams of a simulated one see the same instant."""
        set_stamp(self._message.header.stamp, stamp_ns)
        self._message.ranges = ranges
        self._publisher.publish(self._message)

"""What the referee says to and of the robots, below their namespaces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from geometry_msgs.msg import PoseWithCovarianceStamped
from nav_msgs.msg import Odometry
from rclpy.node import Node

from pe_nodes import qos
from pe_nodes.deployment_settings import RefereeSettings
from pe_nodes.heartbeats import ESTIMATOR
from pe_nodes.messages import Vector, set_odometry, set_planar_covariance, set_pose, set_stamp
from pe_nodes.refereeing import Hearing

TRACKER_VARIANCES = (4e-6, 1e-4)
"""Of a tracker's position and heading [m^2, rad^2]: 2 mm, 0.6 degrees."""


class RobotTopics:
    """``initialpose`` for the estimator, and ``ground_truth`` where a tracker is there."""

    def __init__(self, node: Node, settings: RefereeSettings, namespace: str) -> None:
        self.namespace = namespace
        position, heading = settings.placement_deviation**2, settings.placement_heading_deviation**2
        self._pose = PoseWithCovarianceStamped()
        self._pose.header.frame_id = settings.map_frame
        set_planar_covariance(self._pose.pose.covariance, position, 0.0, position, heading)
        self._initial = node.create_publisher(PoseWithCovarianceStamped, f"/{namespace}/initialpose", qos.EVENT)
        self._truth = Odometry(child_frame_id="base_link")
        self._truth.header.frame_id = settings.map_frame
        for covariance in (self._truth.pose.covariance, self._truth.twist.covariance):
            set_planar_covariance(covariance, TRACKER_VARIANCES[0], 0.0, TRACKER_VARIANCES[0], TRACKER_VARIANCES[1])
        tracked = settings.truth == "mocap"
        self._ground_truth = (
            node.create_publisher(Odometry, f"/{namespace}/ground_truth", qos.EVENT) if tracked else None
        )

    def publish_initial(self, stamp_ns: int, pose: Vector) -> None:
        """Tell the estimator that the robot stands at ``pose`` (x, y, theta)."""
        set_stamp(self._pose.header.stamp, stamp_ns)
        set_pose(self._pose.pose.pose, pose[0], pose[1], pose[2])
        self._initial.publish(self._pose)

    def publish_truth(self, stamp_ns: int, state: Vector) -> None:
        """The tracked state (x, y, theta, v, omega) at a control instant."""
        if self._ground_truth is not None:
            set_odometry(self._truth, stamp_ns, state)
            self._ground_truth.publish(self._truth)


class Placement:
    """That the robots stand on their starts, said to their estimators until these say that they know.

    A message can be lost while a node still starts, and an estimator that is started again knows nothing.
    """

    def __init__(self, robots: Sequence[RobotTopics], hearing: Hearing, by_hand: bool) -> None:
        self._robots, self._hearing, self._by_hand = robots, hearing, by_hand
        self._starts: Sequence[Vector] = ()
        self._told_ns = 0

    @property
    def known(self) -> bool:
        """Whether the robots need not be placed by hand, or are said to be."""
        return self._told_ns > 0 or not self._by_hand

    def forget(self) -> None:
        """Another episode: the robots are elsewhere."""
        self._told_ns = 0

    def tell(self, stamp_ns: int, starts: Sequence[Vector]) -> None:
        """The robots stand at ``starts`` (x, y, theta)."""
        self._told_ns, self._starts = stamp_ns, starts
        for robot, start in zip(self._robots, starts, strict=True):
            robot.publish_initial(stamp_ns, start)

    def remind(self, statuses: Sequence[Any]) -> None:
        """Say it again to the estimators among ``statuses`` that do not know."""
        heard = {status.name for status in statuses}
        for robot, start in zip(self._robots, self._starts, strict=False):
            if f"/{robot.namespace}/{ESTIMATOR}" in heard and self._unknown_to(robot):
                robot.publish_initial(self._told_ns, start)

    def obstacles(self) -> list[str]:
        """Why the episode may not begin."""
        if not self.known:
            return ["put both robots on their starts, then ~/robots_placed"]
        untold = [robot.namespace for robot in self._robots if self._unknown_to(robot)]
        return [f"{name}'s estimator does not know its start" for name in untold]

    def _unknown_to(self, robot: RobotTopics) -> bool:
        return self._told_ns > 0 and self._hearing.untold(robot.namespace, self._told_ns)

"""What the referee says to and of one robot, below its namespace."""

from __future__ import annotations

from collections.abc import Iterable

from geometry_msgs.msg import PoseWithCovarianceStamped
from nav_msgs.msg import Odometry
from rclpy.node import Node

from pe_nodes import qos
from pe_nodes.deployment_settings import RefereeSettings
from pe_nodes.messages import Vector, set_odometry, set_planar_covariance, set_pose, set_stamp

TRACKER_VARIANCES = (4e-6, 1e-4)
"""Of a tracker's position and heading [m^2, rad^2]: 2 mm, 0.6 degrees."""


class RobotTopics:
    """``initialpose`` for the estimator, and ``ground_truth`` where a tracker is there."""

    def __init__(self, node: Node, settings: RefereeSettings, namespace: str) -> None:
        self._node, self.namespace = node, f"/{namespace}"
        position, heading = settings.placement_deviation**2, settings.placement_heading_deviation**2
        self._pose = PoseWithCovarianceStamped()
        self._pose.header.frame_id = settings.map_frame
        set_planar_covariance(self._pose.pose.covariance, position, 0.0, position, heading)
        self._initial = node.create_publisher(PoseWithCovarianceStamped, self.initial_topic, qos.EVENT)
        self._truth = Odometry(child_frame_id="base_link")
        self._truth.header.frame_id = settings.map_frame
        for covariance in (self._truth.pose.covariance, self._truth.twist.covariance):
            set_planar_covariance(covariance, TRACKER_VARIANCES[0], 0.0, TRACKER_VARIANCES[0], TRACKER_VARIANCES[1])
        tracked = settings.truth == "mocap"
        self._ground_truth = (
            node.create_publisher(Odometry, f"/{namespace}/ground_truth", qos.EVENT) if tracked else None
        )

    @property
    def initial_topic(self) -> str:
        """Where the estimator is told where its robot stands."""
        return f"{self.namespace}/initialpose"

    def estimator_listens(self) -> bool:
        """Whether a node of the robot takes ``initialpose``; recorders, which do too, are in no robot's namespace."""
        found = self._node.get_subscriptions_info_by_topic(self.initial_topic)
        return any(each.node_namespace == self.namespace for each in found)

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


def unheard(robots: Iterable[RobotTopics]) -> str:
    """Whose estimators do not listen, and what to do about it; empty where all do."""
    deaf = [topics for topics in robots if not topics.estimator_listens()]
    if not deaf:
        return ""
    topics_of = " and ".join(topics.initial_topic for topics in deaf)
    names = " and ".join(topics.namespace.strip("/") for topics in deaf)
    return f"no estimator listens to {topics_of}; start robot.launch.py of {names}"

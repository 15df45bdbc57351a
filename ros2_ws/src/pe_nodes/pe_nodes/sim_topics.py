"""What the arena simulator publishes for one robot, with message objects that are made once."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from geometry_msgs.msg import PoseWithCovarianceStamped
from nav_msgs.msg import Odometry
from rclpy.node import Node
from std_msgs.msg import Header

from pe_nodes import arena_game, qos
from pe_nodes.messages import Vector, command_type, set_odometry, set_planar_covariance, set_pose, set_stamp
from pe_nodes.settings import ROLES, SimSettings
from pe_nodes.transforms import TransformPublisher


class RobotTopics:
    """Topics of one simulated robot below its namespace ``/<role>``."""

    def __init__(
        self,
        node: Node,
        settings: SimSettings,
        role: str,
        game: arena_game.ArenaGame,
        on_command: Callable[[str, Any], None],
        on_ready: Callable[[Header], None],
    ) -> None:
        """What odometry looks like depends on the devices of ``game``, which every game of a run has."""
        self.role = role
        device, readings = game.devices[ROLES.index(role)], game.readings[ROLES.index(role)]
        odom_frame = settings.odom_frame.replace("{ns}", role)
        base_frame = settings.base_frame.replace("{ns}", role)
        self._odometry = Odometry(child_frame_id=base_frame)
        self._odometry.header.frame_id = odom_frame
        self._truth = Odometry(child_frame_id=base_frame)
        self._truth.header.frame_id = settings.map_frame
        self._pose = PoseWithCovarianceStamped()
        self._pose.header.frame_id = settings.map_frame
        noisy = settings.noise != "none"
        step = (arena_game.POSITION_STEP**2, arena_game.HEADING_STEP**2) if noisy else (1e-8, 1e-8)
        rate = 400.0 * readings if noisy else 1.0  # of a variance per step of 50 ms to one of velocity
        if not device.zero_covariance:
            set_planar_covariance(self._odometry.pose.covariance, step[0], 0.0, step[0], step[1])
            set_planar_covariance(self._odometry.twist.covariance, rate * step[0], 0.0, 1e-8, rate * step[1])
        set_planar_covariance(self._truth.pose.covariance, 1e-12, 0.0, 1e-12, 1e-12)
        set_planar_covariance(self._truth.twist.covariance, 1e-12, 0.0, 1e-12, 1e-12)
        odom, truth = (qos.kept(profile, settings.rate == 0.0) for profile in (qos.SENSOR, qos.EVENT))
        self._odom = node.create_publisher(Odometry, f"/{role}/odom", odom)
        self._ground_truth = node.create_publisher(Odometry, f"/{role}/ground_truth", truth)
        self._initial = node.create_publisher(PoseWithCovarianceStamped, f"/{role}/initialpose", qos.EVENT)
        self._absolute = (
            node.create_publisher(PoseWithCovarianceStamped, f"/{role}/pose", qos.SENSOR) if noisy else None
        )
        self._deviations = (arena_game.POSE_POSITION, math.radians(0.5))
        self._tf = TransformPublisher(node, odom_frame, base_frame)
        kind = command_type(settings.stamped_cmd_vel)
        node.create_subscription(kind, f"/{role}/cmd_vel", lambda message: on_command(role, message), qos.COMMAND)
        node.create_subscription(Header, f"/{role}/episode_ready", on_ready, qos.EVENT)

    def add_tracker(self, node: Node, position: float, heading: float) -> None:
        """Let there be absolute poses without noise too, which claim these deviations [m, rad]."""
        self._deviations = (position, heading)
        self._absolute = node.create_publisher(PoseWithCovarianceStamped, f"/{self.role}/pose", qos.SENSOR)

    def publish_initial(self, stamp_ns: int, pose: Vector) -> None:
        """Tell the estimator where the episode starts."""
        set_stamp(self._pose.header.stamp, stamp_ns)
        set_pose(self._pose.pose.pose, pose[0], pose[1], pose[2])
        set_planar_covariance(self._pose.pose.covariance, 1e-6, 0.0, 1e-6, 1e-6)
        self._initial.publish(self._pose)

    def publish_odometry(self, stamp_ns: int, reading: Vector) -> None:
        """Odometry, and the transform odom -> base."""
        set_odometry(self._odometry, stamp_ns, reading)
        self._odom.publish(self._odometry)
        self._tf.publish(stamp_ns, (reading[0], reading[1], reading[2]))

    def publish_truth(self, stamp_ns: int, state: Vector) -> None:
        """The true state."""
        set_odometry(self._truth, stamp_ns, state)
        self._ground_truth.publish(self._truth)

    def publish_pose(self, stamp_ns: int, pose: Vector) -> None:
        """An absolute pose, where this run has one."""
        if self._absolute is None:
            return
        set_stamp(self._pose.header.stamp, stamp_ns)
        set_pose(self._pose.pose.pose, pose[0], pose[1], pose[2])
        position, heading = (deviation**2 for deviation in self._deviations)
        set_planar_covariance(self._pose.pose.covariance, position, 0.0, position, heading)
        self._absolute.publish(self._pose)

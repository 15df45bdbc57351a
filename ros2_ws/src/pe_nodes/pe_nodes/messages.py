"""Between ROS messages and plain numbers: stamps [ns], states (x, y, theta, v, omega), commands (v, omega)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from diagnostic_msgs.msg import KeyValue
from geometry_msgs.msg import PoseStamped, Twist, TwistStamped
from nav_msgs.msg import Odometry
from numpy.typing import NDArray

from pe_core.ekf import deviations
from pe_core.quaternion import quaternion_of_yaw, yaw_of_quaternion
from pe_core.unicycle import arc_step, half_angle_sinc, wrap_angle

_PLANAR = np.ix_([0, 1, 5], [0, 1, 5])
NANO = 1_000_000_000
Vector = Sequence[float] | NDArray[np.float64]


def warm_up() -> None:
    """Compile (or load from cache) what messages and angles need, so that the first one does not wait for it."""
    yaw_of_quaternion(*quaternion_of_yaw(0.0))
    arc_step(0.0, 0.0, 0.0, 0.0, wrap_angle(0.0), half_angle_sinc(0.0))
    state_values(Odometry())


def stamp_ns(stamp: Any) -> int:
    """A builtin_interfaces/Time in nanoseconds."""
    return int(stamp.sec) * NANO + int(stamp.nanosec)


def set_stamp(stamp: Any, nanoseconds: int) -> None:
    """Write nanoseconds into a builtin_interfaces/Time."""
    stamp.sec, stamp.nanosec = divmod(nanoseconds, NANO)


def yaw_of(q: Any) -> float:
    """Yaw [rad] in (-pi, pi] of a quaternion; NaN where it has no length."""
    if q.x == 0.0 and q.y == 0.0:
        return yaw_of_quaternion(q.z, q.w) if q.z != 0.0 or q.w != 0.0 else math.nan
    return math.atan2(2.0 * (q.w * q.z + q.x * q.y), 1.0 - 2.0 * (q.y * q.y + q.z * q.z))


def set_pose(pose: Any, x: float, y: float, theta: float) -> None:
    """Write a planar pose into a geometry_msgs/Pose."""
    pose.position.x, pose.position.y = float(x), float(y)
    pose.orientation.z, pose.orientation.w = quaternion_of_yaw(float(theta))


def odometry_values(message: Odometry) -> tuple[float, float, float, float, float]:
    """(x, y, theta, v, omega) of a nav_msgs/Odometry."""
    position, twist = message.pose.pose.position, message.twist.twist
    return position.x, position.y, yaw_of(message.pose.pose.orientation), twist.linear.x, twist.angular.z


def state_values(message: Odometry) -> tuple[float, ...]:
    """:func:`odometry_values`, then the standard deviations of position [m] and heading [rad]."""
    covariance = np.asarray(message.pose.covariance, dtype=np.float64).reshape(6, 6)
    return *odometry_values(message), *deviations(covariance[_PLANAR])


def planar_pose(message: Any, floor: NDArray[np.float64]) -> tuple[Any, NDArray[np.float64]]:
    """The pose of a PoseStamped or PoseWithCovarianceStamped, and its covariance (3, 3) of x, y, yaw.

    Variances never fall below those of ``floor`` (3, 3), diagonal: a tracker reports none, and zero means the same.
    """
    if isinstance(message, PoseStamped):
        return message.pose, floor
    covariance = np.array(message.pose.covariance, dtype=np.float64).reshape(6, 6)[_PLANAR]
    covariance[np.diag_indices(3)] = np.maximum(covariance.diagonal(), floor.diagonal())
    return message.pose.pose, covariance


def set_odometry(message: Odometry, nanoseconds: int, state: Vector) -> None:
    """Write stamp and (x, y, theta, v, omega) into a nav_msgs/Odometry."""
    set_stamp(message.header.stamp, nanoseconds)
    set_pose(message.pose.pose, state[0], state[1], state[2])
    message.twist.twist.linear.x = float(state[3])
    message.twist.twist.angular.z = float(state[4])


def set_planar_covariance(covariance: Any, xx: float, xy: float, yy: float, tt: float) -> None:
    """Write planar variances into a row-major 6 x 6 covariance; what is not estimated is not certain either."""
    covariance[0], covariance[1], covariance[6], covariance[7], covariance[35] = xx, xy, xy, yy, tt
    # z, roll, pitch are held by the floor.
    covariance[14] = covariance[21] = covariance[28] = 1e-6


def command_type(stamped: bool) -> type:
    """The message type of cmd_vel."""
    return TwistStamped if stamped else Twist


def command_values(message: Any) -> tuple[float, float]:
    """(v, omega) of a Twist or TwistStamped."""
    twist = message.twist if isinstance(message, TwistStamped) else message
    return twist.linear.x, twist.angular.z


def set_command(message: Any, nanoseconds: int, v: float, omega: float) -> None:
    """Write (v, omega), and the stamp where it has one, into a Twist or TwistStamped."""
    twist = message
    if isinstance(message, TwistStamped):
        set_stamp(message.header.stamp, nanoseconds)
        twist = message.twist
    twist.linear.x = float(v)
    twist.angular.z = float(omega)


def key_values(values: dict[str, str]) -> list[KeyValue]:
    """Diagnostic key-value pairs."""
    return [KeyValue(key=key, value=value) for key, value in values.items()]

"""Worlds of Gazebo classic (SDF 1.6) from the start of an episode, the robots and the physics; pure.

Everything stands on the plane z = 0 of the map frame.  A robot's model frame is the middle of its axle, on the
floor, so that a model's pose (x, y, yaw) is the unicycle's state.
"""

from __future__ import annotations

from collections.abc import Mapping

from pe_core.robot import RobotModel
from pe_core.scenario import Layout
from pe_gazebo.physics import Physics

WORLD = "pursuit"
POSE_SENSOR = "pose"


def world_sdf(
    layout: Layout, robots: Mapping[str, RobotModel], physics: Physics, control_period: float
) -> str:
    """A world with the arena of ``layout`` and one differential drive for every role in ``robots``.

    The models are named by their roles and stand at the layout's poses.  Each takes ``~/<role>/vel_cmd``
    (gazebo.msgs.Pose: position.x = v [m/s], yaw of the orientation = omega [rad/s], so |omega| < pi) and publishes
    ``~/<role>/base_link/pose/scan`` (gazebo.msgs.LaserScanStamped) once every ``control_period`` [s]: its time is
    the time, and its world_pose is the pose of the robot.

    Raises:
        ConfigurationError: the control period is no multiple of the physics step, or a robot cannot be built.
    """
    return ""

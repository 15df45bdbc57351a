"""Worlds of Gazebo classic (SDF 1.6) from the start of an episode, the robots and the physics; pure.

Everything stands on the plane z = 0 of the map frame.  A robot's model frame is the middle of its axle, on the
floor, so that a model's pose (x, y, yaw) is the unicycle's state.
"""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree.ElementTree import Element

from pe_core.config import ConfigurationError
from pe_core.robot import RobotModel
from pe_core.roles import ROLES
from pe_core.scenario import Layout
from pe_gazebo.arena_models import BODIES, GROUND, arena_models, surroundings
from pe_gazebo.drive import LEFT, RIGHT, contact_of, drive
from pe_gazebo.lidar import Lidar
from pe_gazebo.physics import Physics
from pe_gazebo.sdf import document, element, pose

WORLD = "pursuit"
POSE_SENSOR = "pose"
MOTION_SENSOR = "motion"
SDF_VERSION = "1.6"
UPDATE_RATE = 8_000.0
"""Physics steps in a second of wall time, about as many as Gazebo takes: a world that is paused looks for messages as
often, and without any limit it burns the core that its client needs."""


def world_sdf(
    layout: Layout,
    robots: Mapping[str, RobotModel],
    physics: Physics,
    control_period: float,
    *,
    update_rate: float = UPDATE_RATE,
    lidar: Lidar | None = None,
) -> str:
    """A world with the arena of ``layout`` and one differential drive for every role in ``robots``.

    The models are named by their roles and stand at the layout's poses.  Each takes ``~/<role>/vel_cmd``
    (gazebo.msgs.Pose: position.x = v [m/s], yaw of the orientation = omega [rad/s], so |omega| < pi) and publishes
    ``~/<role>/base_link/pose/scan`` (gazebo.msgs.LaserScanStamped) once every ``control_period`` [s]: its time is
    the time, and its world_pose is the pose of the robot.

    Args:
        layout: arena and starting poses in the map frame.
        robots: the profile of each role.
        physics: floor, wheels and contacts.
        control_period: [s].
        update_rate: physics steps in a second of wall time, at most; 0: no limit.
        lidar: a lidar for every robot, on ``~/<role>/base_link/lidar/scan``; None: none.

    Raises:
        ConfigurationError: the control period is no multiple of the physics step, or a robot cannot be built.
    """
    physics.steps_in(control_period)
    unknown = [role for role in robots if role not in ROLES]
    if unknown:
        raise ConfigurationError(f"role '{unknown[0]}': allowed: {', '.join(ROLES)}")
    models = [_robot(role, robots[role], layout, physics, control_period, lidar) for role in robots]
    world = element(
        "world",
        _engine(physics, update_rate),
        *surroundings(),
        *arena_models(layout.arena, contact_of(physics, GROUND | BODIES)),
        *models,
        name=WORLD,
    )
    return document(SDF_VERSION, world)


def _engine(physics: Physics, update_rate: float) -> Element:
    constraints = element("constraints", element("contact_max_correcting_vel", physics.contact_max_vel))
    solver = element("solver", element("type", "quick"), element("iters", physics.iterations))
    return element(
        "physics",
        element("max_step_size", physics.step),
        element("real_time_update_rate", update_rate),
        element("ode", solver, constraints),
        name="ode",
        type="ode",
    )


def _robot(
    role: str, robot: RobotModel, layout: Layout, physics: Physics, period: float, lidar: Lidar | None
) -> Element:
    x, y, yaw = (float(value) for value in getattr(layout, role))
    sensors = [_pose_sensor(period), _motion_sensor()]
    if lidar is not None:
        sensors.append(lidar.classic(robot))
    # The plugin's left joint goes faster for a positive turn rate, which is the right one by REP 103.
    plugin = element(
        "plugin", element("left_joint", RIGHT), element("right_joint", LEFT),
        name=f"{role}_drive", filename="libDiffDrivePlugin.so",
    )  # fmt: skip
    return element("model", pose(x, y, yaw=yaw), *drive(role, robot, physics, *sensors), plugin, name=role)


def _motion_sensor() -> Element:
    """With it the world publishes the velocity of the base at every physics step (``~/<role>::base_link``)."""
    return element(
        "sensor", element("always_on", True), element("update_rate", 1.0), name=MOTION_SENSOR, type="imu"
    )  # fmt: skip


def _pose_sensor(period: float) -> Element:
    """One short beam whose scans carry the time and the pose of the base, exactly once a control period."""
    beam = [("samples", 1), ("resolution", 1.0), ("min_angle", 0.0), ("max_angle", 0.0)]
    horizontal = element("horizontal", *(element(name, value) for name, value in beam))
    reach = element("range", element("min", 0.001), element("max", 0.01), element("resolution", 0.001))
    return element(
        "sensor",
        pose(),
        element("always_on", True),
        element("update_rate", 1.0 / period),
        element("ray", element("scan", horizontal), reach),
        name=POSE_SENSOR,
        type="ray",
    )

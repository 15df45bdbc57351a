"""Worlds, models and bridge of Gazebo Harmonic (gz-sim 8, SDF 1.9, ros_gz on Jazzy) from the same numbers; pure.

Written by the documentation and source of gz-sim 8 and ros_gz; a test holds every name against theirs.  The arena is a
world of its own; robots are spawned into it, each with a namespace, so that one world serves many starts.
"""

from __future__ import annotations

import dataclasses
from xml.etree.ElementTree import Element

import yaml

from pe_core.arena import Arena
from pe_core.robot import RobotModel
from pe_gazebo.arena_models import BODIES, GROUND, arena_models, surroundings
from pe_gazebo.body import body_of, wheel_track
from pe_gazebo.drive import LEFT, RIGHT, contact_of, drive
from pe_gazebo.lidar import Lidar
from pe_gazebo.physics import Physics
from pe_gazebo.sdf import document, element
from pe_nodes.deployment_settings import MOCAP_TOPIC

WORLD = "pursuit"
SDF_VERSION = "1.9"
_POSE_RATE = 100.0
WORLD_SYSTEMS = {
    "gz-sim-physics-system": "gz::sim::systems::Physics",
    "gz-sim-user-commands-system": "gz::sim::systems::UserCommands",
    "gz-sim-scene-broadcaster-system": "gz::sim::systems::SceneBroadcaster",
}
SENSORS = ("gz-sim-sensors-system", "gz::sim::systems::Sensors")
DRIVE = ("gz-sim-diff-drive-system", "gz::sim::systems::DiffDrive")
POSE = ("gz-sim-pose-publisher-system", "gz::sim::systems::PosePublisher")


@dataclasses.dataclass(frozen=True)
class Frames:
    """Frames of one robot: ``odom`` and ``base_link``, or with its role before them."""

    map: str
    odom: str
    base: str

    @classmethod
    def of(cls, role: str, prefixed: bool) -> Frames:
        """The frames of a role; ``prefixed`` as TurtleBot3 has them, else as TurtleBot4 and Nav2 have them."""
        prefix = f"{role}/" if prefixed else ""
        return cls("map", f"{prefix}odom", f"{prefix}base_link")


def world_sdf(arena: Arena, physics: Physics, *, rate: float = 1.0, lidar: bool = False) -> str:
    """The arena as a world without robots.

    Args:
        arena: walls and obstacles.
        physics: its step, and what the floor is like; ODE's own settings mean nothing to gz-sim's engine.
        rate: simulated over wall time.
        lidar: whether robots will have one, which takes the rendering system.
    """
    systems = [_system(name, kind) for name, kind in WORLD_SYSTEMS.items()]
    if lidar:
        systems.append(_system(*SENSORS, element("render_engine", "ogre2")))
    engine = element(
        "physics",
        element("max_step_size", physics.step),
        element("real_time_factor", rate),
        name="fixed",
        type="ignored",
    )
    models = arena_models(arena, contact_of(physics, GROUND | BODIES))
    return document(SDF_VERSION, element("world", engine, *systems, *surroundings(), *models, name=WORLD))


def model_sdf(
    role: str, robot: RobotModel, physics: Physics, frames: Frames, lidar: Lidar | None = None
) -> str:
    """One robot, to be spawned with its role as its name.

    It takes ``/model/<role>/cmd_vel`` (gz.msgs.Twist) and publishes odometry of its wheels at the profile's rate
    (twist, and pose from where it began), the transform of that, and where it truly is.
    """
    sensors = [] if lidar is None else [lidar.harmonic(robot, f"/model/{role}/scan", frames.base)]
    limits = [
        ("max_linear_velocity", robot.v_max),
        ("min_linear_velocity", robot.v_min),
        ("max_angular_velocity", robot.omega_max),
        ("min_angular_velocity", -robot.omega_max),
    ]
    moving = _system(
        *DRIVE,
        element("left_joint", LEFT),
        element("right_joint", RIGHT),
        element("wheel_separation", wheel_track(robot)),
        element("wheel_radius", body_of(robot).wheel_radius),
        element("odom_publish_frequency", robot.odometry_rate),
        element("topic", f"/model/{role}/cmd_vel"),
        element("odom_topic", f"/model/{role}/odometry"),
        element("tf_topic", f"/model/{role}/tf"),
        element("frame_id", frames.odom),
        element("child_frame_id", frames.base),
        *(element(name, value) for name, value in limits),
    )
    poses = _system(
        *POSE,
        element("publish_model_pose", True),
        element("publish_link_pose", False),
        # There is none nested; but before gz-sim 8.8 it must be asked for, or the model's own pose is not sent.
        element("publish_nested_model_pose", True),
        element("use_pose_vector_msg", False),
        element("update_frequency", _POSE_RATE),
        element("topic", f"/model/{role}/pose"),
    )
    parts = drive(role, robot, physics, *sensors)
    return document(SDF_VERSION, element("model", *parts, moving, poses, name=role))


def bridges(
    roles: tuple[str, ...], command_topic: str, stamped: bool, prefixed: bool, lidar: bool = False
) -> list[dict[str, str]]:
    """What ros_gz_bridge's parameter_bridge connects.

    Args:
        roles: namespaces of the robots.
        command_topic: where the robots' commands come from, below the namespace.
        stamped: it is a TwistStamped, else a Twist.
        prefixed: frames carry the role, so that transforms share /tf; else each robot has a /tf of its own.
        lidar: scans too.
    """
    command = "geometry_msgs/msg/TwistStamped" if stamped else "geometry_msgs/msg/Twist"
    entries = [_bridge("/clock", f"/world/{WORLD}/clock", "rosgraph_msgs/msg/Clock", "gz.msgs.Clock")]
    for role in roles:
        model = f"/model/{role}"
        tf = "/tf" if prefixed else f"/{role}/tf"
        entries += [
            _bridge(f"/{role}/{command_topic}", f"{model}/cmd_vel", command, "gz.msgs.Twist", "ROS_TO_GZ"),
            _bridge(f"/{role}/odom", f"{model}/odometry", "nav_msgs/msg/Odometry", "gz.msgs.Odometry"),
            _bridge(
                f"/{role}/{MOCAP_TOPIC}", f"{model}/pose", "geometry_msgs/msg/PoseStamped", "gz.msgs.Pose"
            ),
            _bridge(tf, f"{model}/tf", "tf2_msgs/msg/TFMessage", "gz.msgs.Pose_V"),
        ]
        if lidar:
            entries.append(
                _bridge(f"/{role}/scan", f"{model}/scan", "sensor_msgs/msg/LaserScan", "gz.msgs.LaserScan")
            )
    return entries


def bridge_yaml(entries: list[dict[str, str]]) -> str:
    """The configuration file of parameter_bridge."""
    return yaml.safe_dump(entries, sort_keys=False)


def _bridge(
    ros: str, gazebo: str, ros_type: str, gazebo_type: str, direction: str = "GZ_TO_ROS"
) -> dict[str, str]:
    return {
        "ros_topic_name": ros,
        "gz_topic_name": gazebo,
        "ros_type_name": ros_type,
        "gz_type_name": gazebo_type,
        "direction": direction,
    }


def _system(filename: str, name: str, *parts: Element) -> Element:
    return element("plugin", *parts, filename=filename, name=name)

"""Gazebo Harmonic, which does not run here: every name is held against the documentation of gz-sim 8 and ros_gz."""

from __future__ import annotations

import importlib.util
import shlex
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest
import yaml

from pe_core.config import ConfigurationError
from pe_core.paths import config_names
from pe_core.robot import load_robot
from pe_core.roles import ROLES
from pe_gazebo import harmonic
from pe_gazebo.body import body_of, wheel_track
from pe_gazebo.harmonic_run import HarmonicArguments, layout, records, server_words, write_files
from pe_gazebo.lidar import Lidar
from pe_gazebo.physics import load_physics
from pe_nodes import launch_arguments, process_launch
from tests.support.sdf_description import faults

SYSTEMS = {
    "gz-sim-physics-system": ("gz::sim::systems::Physics", ()),
    "gz-sim-user-commands-system": ("gz::sim::systems::UserCommands", ()),
    "gz-sim-scene-broadcaster-system": ("gz::sim::systems::SceneBroadcaster", ()),
    "gz-sim-sensors-system": ("gz::sim::systems::Sensors", ("render_engine",)),
    "gz-sim-diff-drive-system": (
        "gz::sim::systems::DiffDrive",
        ("left_joint", "right_joint", "wheel_separation", "wheel_radius", "odom_publish_frequency", "topic",
         "odom_topic", "tf_topic", "frame_id", "child_frame_id", "min_linear_velocity", "max_linear_velocity",
         "min_angular_velocity", "max_angular_velocity"),
    ),
    "gz-sim-pose-publisher-system": (
        "gz::sim::systems::PosePublisher",
        ("publish_model_pose", "publish_link_pose", "publish_nested_model_pose", "use_pose_vector_msg",
         "update_frequency", "topic"),
    ),
}  # fmt: skip
"""File and class names that gz-sim 8 registers its systems by, and the parameters that their headers document."""

PAIRS = {
    ("geometry_msgs/msg/Twist", "gz.msgs.Twist"),
    ("geometry_msgs/msg/TwistStamped", "gz.msgs.Twist"),
    ("geometry_msgs/msg/PoseStamped", "gz.msgs.Pose"),
    ("nav_msgs/msg/Odometry", "gz.msgs.Odometry"),
    ("rosgraph_msgs/msg/Clock", "gz.msgs.Clock"),
    ("sensor_msgs/msg/LaserScan", "gz.msgs.LaserScan"),
    ("tf2_msgs/msg/TFMessage", "gz.msgs.Pose_V"),
}
"""Of the message types that ros_gz_bridge's table names, on its branch for Jazzy."""

KEYS = {"ros_topic_name", "gz_topic_name", "ros_type_name", "gz_type_name", "direction"}
DIRECTIONS = {"GZ_TO_ROS", "ROS_TO_GZ", "BIDIRECTIONAL"}
SINCE_1_7 = {"sdf/model/link/sensor/gz_frame_id", "sdf/model/link/sensor/lidar"}
"""What SDF 1.9 has and the description of 1.7, the newest that Gazebo classic brings, has not."""


def arguments(**given: object) -> HarmonicArguments:
    return launch_arguments.from_texts({name: str(value) for name, value in given.items()}, HarmonicArguments)


def model(robot: str = "turtlebot4", role: str = "pursuer", lidar: Lidar | None = None) -> Element:
    frames = harmonic.Frames.of(role, prefixed=False)
    text = harmonic.model_sdf(role, load_robot(robot), load_physics("nominal"), frames, lidar)
    return ElementTree.fromstring(text)


def world(lidar: bool = False) -> Element:
    arena = layout(arguments()).arena
    return ElementTree.fromstring(harmonic.world_sdf(arena, load_physics("nominal"), lidar=lidar))


def test_systems_and_their_parameters_are_those_of_gz_sim() -> None:
    plugins = [*world(lidar=True).iter("plugin"), *model(lidar=Lidar()).iter("plugin")]
    assert {str(plugin.get("filename")) for plugin in plugins} == set(SYSTEMS)
    for plugin in plugins:
        name, parameters = SYSTEMS[str(plugin.get("filename"))]
        assert plugin.get("name") == name
        assert {child.tag for child in plugin} <= set(parameters), name


def test_the_models_own_pose_is_published_by_every_gz_sim_8() -> None:
    """Before 8.8 PosePublisher sends it only where poses of nested models are asked for, too."""
    poses = model().find("model/plugin[@filename='gz-sim-pose-publisher-system']")
    assert poses is not None
    asked = {child.tag: child.text for child in poses}
    assert asked["publish_model_pose"] == asked["publish_nested_model_pose"] == "true"
    assert asked["publish_link_pose"] == "false" and not model().findall("model/model")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, ["-r"]),
        ({"lidar": "true"}, ["-r"]),
        ({"gui": "false"}, ["-r", "-s"]),
        ({"gui": "false", "lidar": "true"}, ["-r", "-s", "--headless-rendering"]),
    ],
)
def test_the_server_renders_without_a_screen_only_for_lidars(given: dict[str, str], words: list[str]) -> None:
    """As a shell splits it, for which gz_args is meant."""
    world = Path("/runs/my chase (2)/world.sdf")
    assert shlex.split(server_words(arguments(**given), world)) == [*words, str(world)]


def test_only_a_world_with_lidars_renders() -> None:
    assert not [
        plugin for plugin in world().iter("plugin") if plugin.get("filename") == "gz-sim-sensors-system"
    ]


@pytest.mark.parametrize("name", config_names("robots"))
def test_a_drive_has_the_measures_of_its_profile(name: str) -> None:
    robot = load_robot(name)
    drive = model(name).find("model/plugin[@filename='gz-sim-diff-drive-system']")
    assert drive is not None
    values = {child.tag: str(child.text) for child in drive}
    assert float(values["wheel_separation"]) == wheel_track(robot)
    assert float(values["wheel_radius"]) == body_of(robot).wheel_radius
    assert float(values["max_linear_velocity"]) == robot.v_max
    assert float(values["max_angular_velocity"]) == -float(values["min_angular_velocity"]) == robot.omega_max
    assert values["left_joint"] == "left_wheel_joint", "gz-sim's left is left"


def test_sdf_knows_every_element(gazebo: Path) -> None:
    described = gazebo / "usr/share/sdformat9/1.7"
    assert faults(world(lidar=True), described) == []
    assert set(faults(model(lidar=Lidar()), described)) <= SINCE_1_7
    assert model().get("version") == "1.9"


@pytest.mark.parametrize("stamped", [True, False])
@pytest.mark.parametrize("prefixed", [True, False])
def test_the_bridge_pairs_types_that_ros_gz_converts(stamped: bool, prefixed: bool) -> None:
    entries = yaml.safe_load(
        harmonic.bridge_yaml(harmonic.bridges(ROLES, "driver/cmd_vel", stamped, prefixed, lidar=True))
    )
    for entry in entries:
        assert set(entry) == KEYS and entry["direction"] in DIRECTIONS
        assert (entry["ros_type_name"], entry["gz_type_name"]) in PAIRS
    towards = [entry["ros_topic_name"] for entry in entries if entry["direction"] == "ROS_TO_GZ"]
    assert towards == ["/pursuer/driver/cmd_vel", "/evader/driver/cmd_vel"]
    kind = "geometry_msgs/msg/TwistStamped" if stamped else "geometry_msgs/msg/Twist"
    assert {entry["ros_type_name"] for entry in entries if entry["direction"] == "ROS_TO_GZ"} == {kind}


def test_both_ends_of_the_bridge_exist(tmp_path: Path) -> None:
    """Gazebo's topics are those that the models name; ROS's are those that our nodes hear or publish."""
    given = arguments(robot="turtlebot3_burger", lidar="true")
    files = write_files(given, tmp_path)
    entries = yaml.safe_load(files.bridge.read_text())
    named = {f"/world/{harmonic.WORLD}/clock"}
    for path in files.models.values():
        tags = ("topic", "odom_topic", "tf_topic")
        named |= {str(each.text) for tag in tags for each in ElementTree.parse(path).getroot().iter(tag)}
    assert {entry["gz_topic_name"] for entry in entries} == named
    nodes = {node.full_name: node for node in records(given)}
    for role in ROLES:
        heard = {entry["ros_topic_name"] for entry in entries}
        pose = nodes[f"/{role}/state_estimator"].remappings["pose"]
        assert {f"/{role}/odom", f"/{role}/{pose}", f"/{role}/driver/cmd_vel"} <= heard
        assert f"/{role}/{nodes['/referee'].parameters['truth_topic']}" in heard


@pytest.mark.parametrize("robot", ["turtlebot3_burger", "turtlebot4"])
def test_frames_of_gazebo_are_those_of_the_nodes(robot: str, tmp_path: Path) -> None:
    given = arguments(robot=robot)
    files = write_files(given, tmp_path)
    nodes = {node.full_name: node for node in records(given)}
    for role, path in files.models.items():
        drive = ElementTree.parse(path).getroot()
        parameters = nodes[f"/{role}/state_estimator"].parameters
        assert [each.text for each in drive.iter("frame_id")] == [parameters["odom_frame"]]
        assert [each.text for each in drive.iter("child_frame_id")] == [parameters["base_frame"]]


def test_robots_are_put_where_the_referee_wants_them(tmp_path: Path) -> None:
    given = arguments(seed=5, first_episode=2, scenario="head_on")
    files = write_files(given, tmp_path)
    start = layout(given)
    for role in ROLES:
        assert files.starts[role] == tuple(getattr(start, role))
    referee = records(given)[-1]
    assert referee.name == "referee" and referee.parameters["use_sim_time"] is True
    assert (referee.parameters["seed"], referee.parameters["first_episode"]) == (5, 2)


def test_nothing_moves_before_it_is_armed() -> None:
    for node in records(arguments()):
        if node.name == "safety":
            assert node.parameters["require_arming"] is True and node.parameters["use_sim_time"] is True


def test_unknown_names_are_refused() -> None:
    with pytest.raises(
        ConfigurationError, match="gazebo 'ice' is unknown; known: dragging, nominal, slippery, slipping"
    ):
        write_files(arguments(physics="ice"), Path("unused"))
    with pytest.raises(ConfigurationError, match="safety = 'none': refused"):
        records(arguments(safety="none"))


def test_the_launch_file_is_a_launch_file() -> None:
    module = process_launch.load("gazebo_harmonic.launch.py")
    assert module.ARGUMENTS is HarmonicArguments and callable(module.generate_launch_description)
    rows = {row[0]: row for row in launch_arguments.table(HarmonicArguments)}
    assert "slippery" in rows["physics"][2]


@pytest.mark.skipif(importlib.util.find_spec("launch_ros") is None, reason="launch_ros is not installed")
def test_launch_ros_takes_it() -> None:
    module = process_launch.load("gazebo_harmonic.launch.py")
    assert module.generate_launch_description().entities

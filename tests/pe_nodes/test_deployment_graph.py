"""The records of robot, referee and emulated robot."""

from __future__ import annotations

import dataclasses
import json

import pytest
import yaml

from pe_core.config import ConfigurationError
from pe_core.paths import share_directory
from pe_core.robot import load_robot
from pe_nodes import launch_arguments
from pe_nodes.deployment_arguments import ArenaArguments, EmulatedArguments, RobotArguments
from pe_nodes.deployment_graph import arena_records, emulated_records, robot_records
from pe_nodes.launch_actions import parameters_of
from pe_nodes.process_launch import check_startable
from pe_safety.parameters import load_safety


def robot(*words: str) -> dict:
    return {record.name: record for record in robot_records(launch_arguments.parse(words, RobotArguments))}


def arena(*words: str) -> dict:
    return {record.name: record for record in arena_records(launch_arguments.parse(words, ArenaArguments))}


def test_one_robot_is_these_nodes_in_its_namespace():
    nodes = robot("role:=evader")
    assert list(nodes) == ["evaluation_recorder", "state_estimator", "policy", "safety", "watchdog"]
    assert {record.namespace for record in nodes.values()} == {"/evader"}
    assert nodes["safety"].parameters["require_arming"] is True
    assert nodes["safety"].remappings == {"opponent_state": "/pursuer/state"}
    assert nodes["watchdog"].respawn and not nodes["safety"].respawn
    assert all(record.parameters["use_sim_time"] is False for record in nodes.values())


def test_other_namespaces_are_heard_and_recorded_by_role():
    nodes = robot("namespace:=tb1", "opponent_namespace:=/tb2")
    assert nodes["policy"].namespace == "/tb1"
    assert nodes["policy"].remappings["opponent_state"] == "/tb2/state"
    recorder = nodes["evaluation_recorder"]
    assert "/pursuer/state nav_msgs/msg/Odometry reliable" in recorder.parameters["topics"]
    assert recorder.remappings["/pursuer/state"] == "/tb1/state"
    assert recorder.remappings["/evader/state"] == "/tb2/state"


@pytest.mark.parametrize(
    ("words", "odom", "tf"),
    [
        (("robot:=turtlebot3_burger",), "pursuer/odom", {}),
        (("robot:=turtlebot4",), "odom", {"/tf": "tf", "/tf_static": "tf_static"}),
        (("robot:=turtlebot3_burger", "frames:=plain"), "odom", {"/tf": "tf", "/tf_static": "tf_static"}),
    ],
)
def test_frames_are_prefixed_or_tf_is(words, odom, tf):
    estimator = robot(*words)["state_estimator"]
    assert estimator.parameters["odom_frame"] == odom
    assert estimator.remappings == tf


@pytest.mark.parametrize(
    ("words", "frame"),
    [
        (("robot:=turtlebot3_burger",), "pursuer/base_footprint"),
        (("robot:=turtlebot3_waffle", "frames:=plain"), "base_footprint"),
        (("robot:=turtlebot4",), "base_link"),
        (("robot:=turtlebot3_burger", "base_frame:=base_link", "namespace:=tb1"), "tb1/base_link"),
    ],
)
def test_the_body_s_frame_is_the_driver_s(words, frame):
    nodes = robot(*words)
    assert {nodes[name].parameters["base_frame"] for name in ("state_estimator", "policy", "safety", "watchdog")} == {
        frame
    }
    other = robot(*words, "estimator:=robot_localization")["state_estimator"]
    assert other.parameters["base_link_frame"] == frame


@pytest.mark.parametrize("profile", ["turtlebot3_burger", "turtlebot3_waffle", "turtlebot4"])
def test_an_emulated_robot_has_the_frames_that_its_nodes_expect(profile):
    (emulated,) = emulated_records(launch_arguments.parse((f"robot:={profile}",), EmulatedArguments))
    estimator = robot(f"robot:={profile}")["state_estimator"]
    for name in ("odom_frame", "base_frame"):
        assert emulated.parameters[name] == estimator.parameters[name]


@pytest.mark.parametrize(
    ("localisation", "topic", "stamped"),
    [("amcl", "amcl_pose", False), ("mocap", "mocap/pose", True), ("apriltag", "apriltag/pose", True)],
)
def test_poses_come_from_where_the_localisation_says(localisation, topic, stamped):
    estimator = robot(f"localisation:={localisation}")["state_estimator"]
    assert estimator.remappings["pose"] == topic
    assert estimator.parameters["pose0_stamped"] is stamped
    assert estimator.parameters["pose0_deviation"] > 1e-3
    other = robot(f"localisation:={localisation}", "pose_topic:=/tracker/tb1")["state_estimator"]
    assert other.remappings["pose"] == "/tracker/tb1"


def test_a_driver_that_cannot_be_remapped_is_reached_by_cmd_vel():
    nodes = robot("driver_topic:=cmd_vel", "stamped_cmd_vel:=false")
    assert nodes["safety"].remappings["cmd_vel"] == "cmd_vel_safe"
    assert nodes["watchdog"].remappings == {"cmd_vel": "cmd_vel_safe", "driver/cmd_vel": "cmd_vel"}
    assert nodes["watchdog"].parameters["stamped_output"] is False


@pytest.mark.parametrize("records", [robot, arena])
@pytest.mark.parametrize(
    ("driver_topic", "said", "driven"),
    [
        ("driver/cmd_vel", "cmd_vel", "driver/cmd_vel"),
        ("cmd_vel", "cmd_vel_safe", "cmd_vel"),
        ("base/cmd_vel", "cmd_vel", "base/cmd_vel"),
    ],
)
@pytest.mark.parametrize("namespace", ["pursuer", "tb1"])
def test_a_bag_has_the_safety_node_s_command_and_the_driver_s_under_their_own_names(
    records, driver_topic, said, driven, namespace
):
    key = "namespace" if records is robot else "pursuer_namespace"
    recorder = records(f"driver_topic:={driver_topic}", f"{key}:={namespace}")["evaluation_recorder"]
    topics = [entry.split()[0] for entry in recorder.parameters["topics"]]
    for recorded, heard in (("cmd_vel", said), ("driver/cmd_vel", driven)):
        name = f"/pursuer/{recorded}"
        assert topics.count(name) == 1
        assert recorder.remappings.get(name, name) == f"/{namespace}/{heard}"


def test_without_a_watchdog_a_bag_has_one_command():
    topics = robot("driver_topic:=cmd_vel", "watchdog:=false")["evaluation_recorder"].parameters["topics"]
    assert [entry.split()[0] for entry in topics if "cmd_vel " in entry] == ["/pursuer/cmd_vel"]


def test_a_robot_s_own_bag_says_all_that_its_audit_needs():
    words = ("role:=evader", "robot:=turtlebot4", "opponent:=turtlebot3_burger", "speed_ratio:=0.8")
    manifest = json.loads(robot(*words)["evaluation_recorder"].parameters["manifest"])
    assert (manifest["robots"]["pursuer"]["name"], manifest["robots"]["evader"]["name"]) == (
        "turtlebot3_burger", "turtlebot4",
    )  # fmt: skip
    assert manifest["robots"]["evader"]["v_max"] == pytest.approx(0.8 * load_robot("turtlebot4").v_max)
    assert manifest["safety"] == dataclasses.asdict(load_safety("rcbf_robust"))
    assert manifest["bundles"]["evader"]["name"] and "pursuer" not in manifest["bundles"]
    assert manifest["arguments"]["stamped_cmd_vel"] is True


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("role:=referee", "one of pursuer, evader"),
        ("safety:=none", "every robot stands behind a filter"),
        ("robot:=turtlebot9", "known: reference"),
        ("policy:=lookahead", "lookahead"),
        ("namespace:=evader", "allowed: another than the robot's own"),
        ("arena:=turtlebot3 robot:=turtlebot4", "capture_radius"),
        ("estimator:=robot_localization localisation:=mocap", "allowed: odom, amcl"),
        ("watchdog:=false driver_topic:=base/cmd_vel", "without a watchdog nobody relays"),
        ("base_frame:=/", "base_frame = '/': allowed: a name"),
        ("stop_timeout:=-1", "allowed: [0, 10] s"),
        ("lokalisation:=odom", "known: role, namespace"),
    ],
)
def test_what_a_robot_may_not_be_told_is_refused(words, said):
    with pytest.raises(ConfigurationError) as caught:
        robot(*words.split())
    assert said in str(caught.value)


def test_robot_localization_stands_in_for_the_estimator():
    nodes = robot("estimator:=robot_localization", "localisation:=amcl")
    record = nodes["state_estimator"]
    assert (record.package, record.executable) == ("robot_localization", "ekf_node")
    assert record.remappings == {"odometry/filtered": "state", "set_pose": "initialpose"}
    file, own = parameters_of(record)
    assert own["pose0"] == "amcl_pose" and own["odom0"] == "odom" and "params_file" not in own
    assert own["odom_frame"] == "pursuer/odom"
    with pytest.raises(ConfigurationError, match="robot_localization/ekf_node: ./pe launch starts this project's"):
        check_startable(list(nodes.values()))
    assert yaml.safe_load(open(file).read())


@pytest.mark.parametrize("name", ["odom", "amcl"])
def test_parameter_files_of_robot_localization_are_whole(name):
    path = share_directory() / "config" / "robot_localization" / f"{name}.yaml"
    values = yaml.safe_load(path.read_text())["/**"]["ros__parameters"]
    assert values["two_d_mode"] and values["world_frame"] == values["map_frame"] == "map"
    # x y z, roll pitch yaw, their rates, accelerations: the twist of wheels only.
    assert [i for i, used in enumerate(values["odom0_config"]) if used] == [6, 7, 11]
    assert len(values["odom0_config"]) == 15
    if name == "amcl":
        assert [i for i, used in enumerate(values["pose0_config"]) if used] == [0, 1, 5]
    noise = values["process_noise_covariance"]
    assert len(noise) == 225 and all(isinstance(value, float) for value in noise)
    assert all(noise[16 * i] > 0.0 for i in range(15)), "a state without noise would become certain"
    assert sum(value != 0.0 for value in noise) == 15


def test_the_referee_s_machine_records_both_robots_and_knows_what_they_run():
    nodes = arena("truth:=mocap", "pursuer_namespace:=tb1")
    assert list(nodes) == ["evaluation_recorder", "referee"]
    topics = {entry.split()[0] for entry in nodes["evaluation_recorder"].parameters["topics"]}
    for role in ("pursuer", "evader"):
        assert {f"/{role}/{t}" for t in ("odom", "state", "cmd_vel", "ground_truth", "driver/cmd_vel")} <= topics
    assert nodes["evaluation_recorder"].remappings["/pursuer/odom"] == "/tb1/odom"
    manifest = json.loads(nodes["evaluation_recorder"].parameters["manifest"])
    assert manifest["bundles"]["pursuer"]["sha256"] == nodes["referee"].parameters["pursuer_bundle"]
    assert manifest["deployment"]["truth"] == "mocap"
    assert manifest["robots"]["evader"]["name"] == "turtlebot3_burger"


@pytest.mark.parametrize(("localisation", "by_hand"), [("odom", True), ("amcl", True), ("mocap", False)])
def test_who_must_be_told_where_the_robots_stand(localisation, by_hand):
    assert arena(f"localisation:={localisation}")["referee"].parameters["placed_by_hand"] is by_hand


def test_an_emulated_robot_stands_on_its_start_and_speaks_as_its_base():
    words = ("role:=evader", "robot:=turtlebot4", "scenario:=checks/wall")
    (record,) = emulated_records(launch_arguments.parse(words, EmulatedArguments))
    assert record.parameters["device"] == "create3" and record.parameters["odom_frame"] == "odom"
    assert record.parameters["base_frame"] == "base_link"
    assert record.parameters["x"] == pytest.approx(-1.2 * 3.0 / 2.2)
    assert record.parameters["heading"] == pytest.approx(3.14159, abs=1e-4)
    assert record.remappings == {"cmd_vel": "driver/cmd_vel", "/tf": "tf"}


@pytest.mark.parametrize("kind", [RobotArguments, ArenaArguments, EmulatedArguments])
def test_every_argument_is_explained(kind):
    for name, _, allowed, text in launch_arguments.table(kind):
        assert allowed and text, name


def test_the_guide_names_everything_that_robots_and_referee_must_be_told_alike():
    robots, referee = ({field.name for field in dataclasses.fields(kind)} for kind in (RobotArguments, ArenaArguments))
    own = {"record", "out", "bag_size", "log_level"}
    text = (share_directory() / "docs" / "deployment.md").read_text()
    said = text[text.index("What both launch files take") :].split("\n\n")[0]
    assert [name for name in sorted(robots & referee - own) if f"`{name}:=`" not in said] == []


@pytest.mark.parametrize(
    ("name", "v", "omega", "radius", "rate"),
    [
        ("turtlebot3_burger", 0.211, 2.635, (0.105, 0.105), 20.0),
        ("turtlebot3_waffle", 0.266, 1.854, (0.220, 0.220), 20.0),
        ("turtlebot4", 0.306, 1.9, (0.164, 0.175), 62.0),
    ],
)
def test_profiles_keep_what_firmware_and_data_sheets_say(name, v, omega, radius, rate):
    model = load_robot(name)
    assert 0.95 * v < model.v_max <= v and model.v_min == 0.0
    assert 0.95 * omega < model.omega_max <= omega
    assert model.wheel_speed_max <= v
    assert radius[0] <= model.radius <= radius[1]
    assert model.radius == radius[1], "of what is said of a body, the largest"
    assert model.odometry_rate == rate

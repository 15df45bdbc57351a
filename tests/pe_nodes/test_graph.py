"""Launch arguments and the records of a run."""

from __future__ import annotations

import json

import pytest

from pe_core.config import ConfigurationError
from pe_nodes import graph, launch_arguments
from pe_nodes.launch_arguments import LaunchArguments, parse


def test_defaults_need_no_argument():
    assert parse([]) == LaunchArguments()


def test_values_are_converted():
    arguments = parse(["episodes:=12", "rate:=0", "record:=false", "pursuer:=pure"])
    assert (arguments.episodes, arguments.rate, arguments.record, arguments.pursuer) == (12, 0.0, False, "pure")


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("epsodes:=1", "known: episodes, seed"),
        ("episodes=1", "allowed: name:=value"),
        ("episodes:=0", "allowed: [1, 1000000]"),
        ("episodes:=many", "episodes = 'many'"),
        ("rate:=-1", "allowed: [0, 100]"),
        ("record:=maybe", "allowed: true, false"),
        ("noise:=loud", "one of none, turtlebot3"),
        ("safety:=none", "refused for nodes"),
        ("pursuer:=lead safety:=barriernet", "neither policy has a BarrierNet head"),
        ("speed_ratio:=0.05", "allowed: 0 (the scenario's) or [0.1, 3]"),
        ("out:=", "allowed: a directory"),
        ("device:=roomba", "one of auto, ideal, turtlebot3, create3"),
    ],
)
def test_what_is_not_allowed_is_refused_with_what_is(word, said):
    with pytest.raises(ConfigurationError) as caught:
        parse(word.split())
    assert said in str(caught.value)


def test_a_watchdog_needs_wall_time():
    with pytest.raises(ConfigurationError, match="a watchdog keeps wall time"):
        parse(["watchdog:=true", "rate:=0"])


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("device:=turtlebot3", "device turtlebot3: robot reference: track = 0.000 m: allowed: 0.160 m or 0.287 m"),
        ("robot:=turtlebot9", "known: reference, turtlebot3_burger"),
        ("arena:=moon", "known: reference, turtlebot3"),
        ("scenario:=zzz", "known: "),
        ("pursuer:=nobody", "known: "),
        ("safety:=zzz", "known: barriernet, rcbf"),
        ("feasibility:=zzz", "feasibility 'zzz' is unknown; known: network"),
        ("evader:=lead", "made for role pursuer; wanted: evader"),
    ],
)
def test_unknown_names_are_refused_with_the_known_ones(word, said):
    with pytest.raises(ConfigurationError) as caught:
        graph.records(parse([word]))
    assert said in str(caught.value)


def test_obstacle_over_a_starting_pose_is_refused(tmp_path):
    file = tmp_path / "over.yaml"
    file.write_text("name: over\nobstacles: [[-5.0, 0.0, 1.0]]\npursuer: [-5.0, 0.5, 0.0]\nevader: [5.0, 0.0, 0.0]\n")
    with pytest.raises(ConfigurationError) as caught:
        graph.records(parse([f"scenario:={file}"]))
    assert "body margin to walls and obstacles is -0.650 m" in str(caught.value)


def test_one_safety_node_a_robot_and_crossed_states():
    nodes = graph.records(parse(["rate:=0", "seed:=3"]))
    assert [node.full_name for node in nodes] == [
        "/evaluation_recorder",
        "/pursuer/state_estimator",
        "/pursuer/policy",
        "/pursuer/safety",
        "/evader/state_estimator",
        "/evader/policy",
        "/evader/safety",
        "/arena_sim",
    ]
    by_name = {node.full_name: node for node in nodes}
    assert by_name["/pursuer/safety"].remappings == {"opponent_state": "/evader/state"}
    assert by_name["/evader/policy"].remappings == {"opponent_state": "/pursuer/state"}
    assert all(by_name[name].parameters["lockstep"] for name in by_name if name.count("/") == 2)
    expected = by_name["/arena_sim"].parameters["expected_nodes"]
    assert set(expected) == set(by_name) - {"/arena_sim"}


def test_speed_ratio_comes_from_the_scenario_unless_given(tmp_path):
    file = tmp_path / "fast.yaml"
    file.write_text("name: fast\nspeed_ratio: 1.2\n")
    assert graph.check(parse([f"scenario:={file}"])).speed_ratio == 1.2
    assert graph.check(parse([f"scenario:={file}", "speed_ratio:=1.1"])).speed_ratio == 1.1


@pytest.mark.parametrize(
    ("robot", "arena"), [("reference", "reference"), ("turtlebot3_burger", "turtlebot3"), ("turtlebot4", "turtlebot4")]
)
def test_arena_follows_the_robot(robot, arena):
    assert graph.check(parse([f"robot:={robot}"])).arena == arena


def by_name(*words):
    return {node.full_name: node for node in graph.records(parse(words))}


def test_a_device_brings_its_frames():
    nodes = by_name("device:=turtlebot3", "robot:=turtlebot3_burger")
    assert nodes["/arena_sim"].parameters["evader_device"] == "turtlebot3"
    assert nodes["/pursuer/safety"].parameters["base_frame"] == "pursuer/base_link"
    nodes = by_name("device:=create3", "robot:=turtlebot4")
    assert nodes["/pursuer/state_estimator"].parameters["odom_frame"] == "odom"
    assert by_name()["/arena_sim"].parameters["pursuer_device"] == "ideal"


def test_a_watchdog_stands_between_the_safety_node_and_the_base():
    nodes = by_name("watchdog:=true", "rate:=0.5", "robot:=turtlebot3_burger", "stamped_cmd_vel:=false")
    assert nodes["/arena_sim"].remappings == {
        "/pursuer/cmd_vel": "/pursuer/driver/cmd_vel", "/evader/cmd_vel": "/evader/driver/cmd_vel"
    }  # fmt: skip
    watchdog = nodes["/evader/watchdog"].parameters
    assert (watchdog["timeout"], watchdog["stamped_output"], watchdog["role"]) == (0.4, False, "evader")
    recorded = nodes["/evaluation_recorder"].parameters["topics"]
    assert "/pursuer/driver/cmd_vel geometry_msgs/msg/Twist reliable" in recorded
    assert not any("watchdog" in name for name in by_name()), "the simulator's ideal base needs none"


def test_prefixed_frames():
    nodes = {node.full_name: node.parameters for node in graph.records(parse(["frames:=prefixed"]))}
    assert nodes["/evader/state_estimator"]["odom_frame"] == "evader/odom"
    assert nodes["/arena_sim"]["base_frame"] == "{ns}/base_link"


def test_manifest_names_everything_that_ran():
    recorder = graph.records(parse(["seed:=4", "evader:=flee"]))[0]
    said = json.loads(recorder.parameters["manifest"])
    assert said["seed"] == 4 and said["bundles"]["evader"]["name"] == "flee"
    assert len(said["configuration_sha256"]) == 64 and len(said["bundles"]["pursuer"]["sha256"]) == 64
    assert said["robots"]["pursuer"]["v_max"] == 1.0 and said["safety"]["gamma"] == 0.2
    assert said["feasibility"]["name"] == "network" and len(said["feasibility"]["sha256"]) == 64
    assert set(said["arguments"]) == {row[0] for row in launch_arguments.table()}


def test_who_warns_is_told_to_the_safety_nodes():
    assert by_name()["/pursuer/safety"].parameters["feasibility"] == "network"
    nodes = by_name("feasibility:=")
    assert nodes["/evader/safety"].parameters["feasibility"] == ""
    said = json.loads(nodes["/evaluation_recorder"].parameters["manifest"])
    assert said["feasibility"] == {"name": "", "sha256": None}


def test_every_command_is_recorded_by_its_type():
    entries, required = graph.recorded_topics(parse(["stamped_cmd_vel:=false"]))
    assert "/pursuer/cmd_vel geometry_msgs/msg/Twist reliable" in entries
    assert "/evader/safety/status" in required


def test_in_lockstep_odometry_is_recorded_reliably():
    for rate, wanted in (("0", "reliable"), ("1", "best_effort")):
        entries, _ = graph.recorded_topics(parse([f"rate:={rate}"]))
        assert [entry.split()[2] for entry in entries if "/odom " in entry] == [wanted, wanted]


def test_the_recorder_is_told_where_to_split():
    nodes = graph.records(parse(["bag_size:=7"]))
    (recorder,) = [node for node in nodes if node.name == graph.RECORDER]
    assert recorder.parameters["bag_size"] == 7
    with pytest.raises(ConfigurationError, match="bag_size = .-1.: allowed"):
        parse(["bag_size:=-1"])

"""What the doctor says of a robot: each thing that can be wrong is found, named, and has a remedy."""

from __future__ import annotations

import copy

import pytest

from pe_core.robot import load_robot
from pe_nodes.robot_checks import Observed, Topic, findings

STAMPED, PLAIN = "geometry_msgs/msg/TwistStamped", "geometry_msgs/msg/Twist"
ODOMETRY = "nav_msgs/msg/Odometry"
POSE, WITH_COVARIANCE = "geometry_msgs/msg/PoseStamped", "geometry_msgs/msg/PoseWithCovarianceStamped"


def messages(rate: float, **last) -> Topic:
    times = [i / rate for i in range(60)]
    return Topic([("/x/driver", ODOMETRY)], [], times, times, [-0.002] * 60, {"finite": True, **last})


def tracked(seen: Observed, name: str = "mocap/pose", kind: str = POSE) -> Topic:
    """Absolute poses that the estimator hears, as they should be."""
    topic = messages(50.0, frame="map")
    topic.publishers = [("/tracker", kind)]
    seen.pose_topic, seen.pose_type = f"/pursuer/{name}", kind
    seen.topics[seen.pose_topic] = topic
    seen.parameters["state_estimator"] |= {"map_frame": "map", "sensor_timeout": 0.2, "pose0_deviation": 0.005}
    return topic


def simulated(seen: Observed) -> None:
    """As under a simulator: stamps count from its start, and /clock says so."""
    seen.parameters["state_estimator"]["use_sim_time"] = True
    for topic in seen.topics.values():
        if topic.offsets:
            topic.offsets, topic.sim_offsets = [-1.7e9] * 60, [-0.01] * 60
    seen.topics["/clock"] = messages(100.0)
    seen.topics["/clock"].publishers = [("/bridge", "rosgraph_msgs/msg/Clock")]
    seen.topics["/clock"].offsets = []


def healthy() -> Observed:
    seen = Observed("pursuer", "pursuer", load_robot("turtlebot3_burger"), 3.0, "42")
    seen.nodes = {f"/pursuer/{n}" for n in ("diff_drive", "state_estimator", "policy", "safety", "watchdog")}
    seen.topics = {
        "/pursuer/odom": messages(20.0, certain=True, frame="pursuer/odom", child="pursuer/base_footprint"),
        "/pursuer/state": messages(20.0, frame="map", deviations=(0.02, 0.02)),
        "/evader/state": messages(20.0, frame="map", deviations=(0.02, 0.02)),
        "/pursuer/cmd_vel": Topic([("/pursuer/safety", STAMPED)], [("/pursuer/watchdog", STAMPED)]),
        "/pursuer/driver/cmd_vel": Topic([("/pursuer/watchdog", STAMPED)], [("/pursuer/diff_drive", STAMPED)]),
        "/emergency_stop": Topic(
            [("/referee", "b")], [("/pursuer/safety", "b"), ("/pursuer/watchdog", "b"), ("/evader/safety", "b")]
        ),
    }
    seen.topics["/evader/state"].subscribers = [("/pursuer/safety", ODOMETRY)]
    frames = {"odom_frame": "pursuer/odom", "base_frame": "pursuer/base_footprint"}
    common = {"robot": "turtlebot3_burger", "role": "pursuer", "dt": 0.05}
    seen.parameters = {
        "state_estimator": common | frames,
        "policy": dict(common),
        "safety": common | {"require_arming": True, "profile": "rcbf_robust"},
        "watchdog": {"robot": "turtlebot3_burger", "role": "pursuer"},
    }
    names = ("state_estimator", "policy", "watchdog")
    seen.heartbeats = {f"/pursuer/{name}": (0, "well", {}) for name in names}
    seen.heartbeats["/pursuer/safety"] = (0, "waiting", {"armed": "no", "refused": ""})
    seen.transforms = {("map", "pursuer/odom"), ("pursuer/odom", "pursuer/base_footprint")}
    seen.stop = "released"
    return seen


def failed(seen: Observed, stage: str = "game") -> list:
    return [finding for finding in findings(seen, stage) if finding.status == "FAIL"]


def test_a_healthy_robot_is_well():
    assert failed(healthy()) == []
    assert {f.subject for f in findings(healthy(), "game")} >= {"odometry", "clock", "cmd_vel", "limits", "transforms"}


def spoil(name):
    """Changes one thing of a healthy robot."""
    return {
        "domain": lambda s: s.nodes.clear(),
        "no odometry": lambda s: s.topics.pop("/pursuer/odom"),
        "slow": lambda s: s.topics.update({"/pursuer/odom": messages(12.0)}),
        "two drivers": lambda s: s.topics["/pursuer/odom"].publishers.append(("/y/driver", ODOMETRY)),
        "not finite": lambda s: s.topics["/pursuer/odom"].last.update(finite=False),
        "frames": lambda s: s.topics["/pursuer/odom"].last.update(frame="odom"),
        "body": lambda s: s.topics["/pursuer/odom"].last.update(child="pursuer/base_link"),
        "body's prefix": lambda s: s.topics["/pursuer/odom"].last.update(child="base_footprint"),
        "type": lambda s: setattr(s.topics["/pursuer/driver/cmd_vel"], "subscribers", [("/base", PLAIN)]),
        "teleop": lambda s: s.topics["/pursuer/cmd_vel"].publishers.append(("/teleop", STAMPED)),
        "deaf": lambda s: s.topics["/pursuer/driver/cmd_vel"].subscribers.clear(),
        "clock": lambda s: s.topics["/evader/state"].offsets.__setitem__(slice(None), [0.4] * 60),
        "no policy": lambda s: s.nodes.remove("/pursuer/policy"),
        "error": lambda s: s.heartbeats.update({"/pursuer/state_estimator": (2, "odometry is frozen", {})}),
        "robot": lambda s: s.parameters["watchdog"].update(robot="turtlebot4"),
        "period": lambda s: s.parameters["policy"].update(dt=0.1),
        "unguarded": lambda s: s.parameters["safety"].update(require_arming=False),
        "no state": lambda s: s.topics.pop("/pursuer/state"),
        "no opponent": lambda s: s.topics.pop("/evader/state"),
        "certain": lambda s: s.topics["/pursuer/state"].last.update(certain=True),
        "vague": lambda s: s.topics["/pursuer/state"].last.update(deviations=(0.5, 0.02)),
        "tf": lambda s: s.transforms.remove(("map", "pursuer/odom")),
        "base tf": lambda s: s.transforms.remove(("pursuer/odom", "pursuer/base_footprint")),
        "no stop": lambda s: s.topics["/emergency_stop"].publishers.clear(),
        "pressed": lambda s: setattr(s, "stop", "pressed"),
        "refused": lambda s: s.heartbeats["/pursuer/safety"][2].update(refused="margin to wall_east is used up"),
    }[name]


@pytest.mark.parametrize(
    ("name", "subject", "said", "remedy"),
    [
        ("domain", "network", "domain 42: no node below /pursuer", "ROS_DOMAIN_ID"),
        ("no odometry", "odometry", "nobody publishes /pursuer/odom", "bringup"),
        ("slow", "odometry", "12.0 Hz (profile turtlebot3_burger: 20 Hz)", "network"),
        ("two drivers", "odometry", "2 publishers: /x/driver, /y/driver", "namespace"),
        ("not finite", "odometry", "not finite", "driver"),
        ("frames", "frames", "frame 'odom', the estimator odom_frame 'pursuer/odom'", "frames:="),
        ("body", "frames", "child frame 'pursuer/base_link', the estimator base_frame", "base_frame:=base_link"),
        ("body's prefix", "frames", "child frame 'base_footprint'", "frames:=plain"),
        ("base tf", "transforms", "pursuer/odom -> pursuer/base_footprint is missing", "base_frame:="),
        ("type", "cmd_vel", "two types, which never meet", "stamped_cmd_vel:=false"),
        ("teleop", "cmd_vel", "2 publishers: /pursuer/safety, /teleop", "teleoperation"),
        ("deaf", "cmd_vel", "nobody listens on /pursuer/driver/cmd_vel", "driver_topic:=cmd_vel"),
        ("clock", "clock", "/evader/state: stamps are 400 ms ahead", "chrony"),
        ("no policy", "nodes", "/pursuer/policy does not run", "robot.launch.py"),
        ("error", "nodes", "odometry is frozen", ""),
        ("robot", "limits", "/pursuer/watchdog: robot is turtlebot4, not turtlebot3_burger", "robot:="),
        ("period", "limits", "control periods differ: [0.05, 0.1] s", "arena:="),
        ("unguarded", "limits", "needs no arming", "robot.launch.py"),
        ("no state", "state", "no /pursuer/state for 3 s", "placed"),
        ("no opponent", "opponent", "no /evader/state for 3 s", "other robot"),
        ("certain", "state", "covariance is zero", "noise"),
        ("vague", "state", "deviations 0.500 m", "localisation:="),
        ("tf", "transforms", "map -> pursuer/odom is missing", "estimator"),
        ("no stop", "stop", "nobody says anything", "arena.launch.py"),
        ("pressed", "stop", "pressed", "release"),
        ("refused", "arming", "would be refused: margin to wall_east", ""),
    ],
)
def test_what_is_wrong_is_named_with_its_remedy(name, subject, said, remedy):
    seen = copy.deepcopy(healthy())
    spoil(name)(seen)
    found = [finding for finding in failed(seen) if finding.subject == subject]
    assert found, failed(seen)
    assert any(said in each.text and remedy in each.remedy for each in found), found


def test_before_the_launch_only_the_driver_is_asked_for():
    seen = healthy()
    seen.nodes, seen.parameters, seen.heartbeats = {"/pursuer/diff_drive"}, {}, {}
    for name in ("/pursuer/state", "/evader/state", "/emergency_stop", "/pursuer/cmd_vel"):
        seen.topics.pop(name)
    seen.topics["/pursuer/driver/cmd_vel"].publishers.clear()
    assert failed(seen, "driver") == []
    assert {finding.subject for finding in failed(seen, "stack")} >= {"nodes", "state", "opponent"}


def test_without_tf2_msgs_transforms_are_not_judged():
    seen = healthy()
    seen.transforms = None
    (finding,) = [f for f in findings(seen, "game") if f.subject == "transforms"]
    assert finding.status == "note" and "tf2_msgs" in finding.text


def test_what_was_lost_on_the_way_is_no_low_rate():
    seen = healthy()
    topic = seen.topics["/pursuer/odom"]
    topic.stamps, topic.arrivals = topic.stamps[:20] + topic.stamps[40:], topic.arrivals[:20] + topic.arrivals[40:]
    assert failed(seen) == []
    (note,) = [f for f in findings(seen, "driver") if "did not arrive" in f.text]
    assert note.status == "note" and "34 %" in note.text


def test_without_absolute_poses_the_wheels_are_all_there_is():
    seen = healthy()
    # As the estimator hears where robot.launch.py was told localisation:=odom.
    seen.pose_topic, seen.pose_type = "/pursuer/pose", WITH_COVARIANCE
    assert failed(seen) == []
    assert [f.text for f in findings(seen, "game") if f.subject == "poses"] == [
        "none, wheels only (localisation:=odom)"
    ]


def test_absolute_poses_as_they_should_be_are_well():
    seen = healthy()
    tracked(seen)
    assert failed(seen) == []
    (finding,) = [f for f in findings(seen, "stack") if f.subject == "poses"]
    assert (finding.status, finding.text) == ("ok", "/pursuer/mocap/pose: 50.0 Hz, PoseStamped")


def spoil_poses(name):
    """Changes one thing of good poses."""
    return {
        "none": lambda t: t.publishers.clear(),
        "type": lambda t: setattr(t, "publishers", [("/tracker", WITH_COVARIANCE)]),
        "two": lambda t: t.publishers.append(("/tracker_of_the_other", POSE)),
        "unseen": lambda t: t.arrivals.clear(),
        "late": lambda t: setattr(t, "offsets", [-0.3] * 60),
        "ahead": lambda t: setattr(t, "offsets", [0.2] * 60),
        "frame": lambda t: t.last.update(frame="world"),
    }[name]


@pytest.mark.parametrize(
    ("name", "said", "remedy"),
    [
        ("none", "nobody publishes /pursuer/mocap/pose", "pose_topic:="),
        ("type", "of another type (/tracker: geometry_msgs/msg/PoseWithCovarianceStamped)", "localisation:=amcl"),
        ("two", "2 publishers: /tracker, /tracker_of_the_other", "one source"),
        ("unseen", "no /pursuer/mocap/pose for 3 s", "tracker"),
        ("late", "stamps are 300 ms behind, and are refused", "at most 200 ms behind"),
        ("ahead", "stamps are 200 ms ahead, and are refused", "chrony"),
        ("frame", "is in frame 'world', the estimator takes it for 'map'", "middle of the arena"),
    ],
)
def test_what_is_wrong_with_absolute_poses_is_named_with_its_remedy(name, said, remedy):
    seen = healthy()
    spoil_poses(name)(tracked(seen))
    (found,) = failed(seen)
    assert found.subject == "poses" and said in found.text and remedy in found.remedy


def test_poses_of_a_topic_named_pose_are_missed_where_a_localisation_was_asked_for():
    seen = healthy()
    tracked(seen, "pose").publishers.clear()
    assert [finding.text for finding in failed(seen)] == ["nobody publishes /pursuer/pose"]


def test_amcl_is_silent_while_the_robot_rests():
    seen = healthy()
    tracked(seen, "amcl_pose", WITH_COVARIANCE).arrivals.clear()
    assert failed(seen) == []
    (note,) = [f for f in findings(seen, "game") if f.subject == "poses"]
    assert note.status == "note" and "AMCL" in note.text


def test_seldom_or_unstamped_poses_are_noted():
    seen = healthy()
    topic = tracked(seen)
    times = [0.5 * i for i in range(7)]
    topic.arrivals, topic.stamps, topic.offsets = times, [], []
    assert failed(seen) == []
    notes = [f.text for f in findings(seen, "game") if f.subject == "poses" and f.status == "note"]
    assert any("2.0 Hz" in text for text in notes) and any("stamps are zero" in text for text in notes)


def test_under_a_simulator_stamps_are_judged_by_its_clock():
    seen = healthy()
    tracked(seen).last["frame"] = "pursuit"
    simulated(seen)
    assert failed(seen) == []
    said = [f for f in findings(seen, "game") if f.status == "note"]
    assert any("judged by /clock" in f.text for f in said), said
    assert any("in frame 'pursuit'" in f.text for f in said), "a simulator names its world as it likes"
    seen.topics["/evader/state"].sim_offsets = [0.4] * 60
    (found,) = failed(seen)
    assert "400 ms ahead" in found.text and "/clock" in found.remedy


def test_before_the_launch_a_published_clock_is_that_of_the_driver():
    seen = healthy()
    simulated(seen)
    seen.parameters = {}
    assert not [f for f in failed(seen, "driver") if f.subject == "clock"]


def test_simulated_time_that_nobody_says_is_named():
    seen = healthy()
    seen.parameters["state_estimator"]["use_sim_time"] = True
    (found,) = failed(seen)
    assert found.subject == "clock" and "/clock, which says nothing" in found.text and "use_sim_time" in found.remedy


def test_a_simulator_with_nodes_in_wall_time_is_told_of_use_sim_time():
    seen = healthy()
    simulated(seen)
    seen.parameters["state_estimator"]["use_sim_time"] = False
    found = failed(seen)
    assert found and all(f.subject == "clock" and "use_sim_time:=true" in f.remedy for f in found)


def test_robot_localization_is_held_to_its_own_names_of_frames():
    seen = healthy()
    frame = seen.parameters["state_estimator"].pop("base_frame")
    seen.parameters["state_estimator"]["base_link_frame"] = frame
    assert failed(seen) == []
    seen.topics["/pursuer/odom"].last["child"] = "pursuer/base_link"
    assert [f.subject for f in failed(seen)] == ["frames"]

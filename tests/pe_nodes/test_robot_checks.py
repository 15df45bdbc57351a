"""What the doctor says of a robot: each thing that can be wrong is found, named, and has a remedy."""

from __future__ import annotations

import copy

import pytest

from pe_core.robot import load_robot
from pe_nodes.robot_checks import Observed, Topic, findings

STAMPED, PLAIN = "geometry_msgs/msg/TwistStamped", "geometry_msgs/msg/Twist"
ODOMETRY = "nav_msgs/msg/Odometry"


def messages(rate: float, **last) -> Topic:
    times = [i / rate for i in range(60)]
    return Topic([("/x/driver", ODOMETRY)], [], times, times, [-0.002] * 60, {"finite": True, **last})


def healthy() -> Observed:
    seen = Observed("pursuer", "pursuer", load_robot("turtlebot3_burger"), 3.0, "42")
    seen.nodes = {f"/pursuer/{n}" for n in ("diff_drive", "state_estimator", "policy", "safety", "watchdog")}
    seen.topics = {
        "/pursuer/odom": messages(20.0, certain=True, frame="pursuer/odom", child="pursuer/base_link"),
        "/pursuer/state": messages(20.0, frame="map", deviations=(0.02, 0.02)),
        "/evader/state": messages(20.0, frame="map", deviations=(0.02, 0.02)),
        "/pursuer/cmd_vel": Topic([("/pursuer/safety", STAMPED)], [("/pursuer/watchdog", STAMPED)]),
        "/pursuer/driver/cmd_vel": Topic([("/pursuer/watchdog", STAMPED)], [("/pursuer/diff_drive", STAMPED)]),
        "/emergency_stop": Topic(
            [("/referee", "b")], [("/pursuer/safety", "b"), ("/pursuer/watchdog", "b"), ("/evader/safety", "b")]
        ),
    }
    seen.topics["/evader/state"].subscribers = [("/pursuer/safety", ODOMETRY)]
    frames = {"odom_frame": "pursuer/odom", "base_frame": "pursuer/base_link"}
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
    seen.transforms = {("map", "pursuer/odom"), ("pursuer/odom", "pursuer/base_link")}
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

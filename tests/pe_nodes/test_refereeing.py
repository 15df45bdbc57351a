"""The referee's poses, rules and reasons to wait."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from pe_core.arena import Arena, load_arena
from pe_core.robot import load_robot
from pe_core.rules import Outcome
from pe_core.scenario import Layout
from pe_nodes.heartbeats import ESTIMATOR, INITIAL_POSE, LISTENERS, UNPUBLISHED
from pe_nodes.referee_topics import Placement
from pe_nodes.refereeing import GAP_MOST, Hearing, Match, PoseTrack, Word, off_start, with_time

SECOND = 1_000_000_000
BURGER = load_robot("turtlebot3_burger")


def track(*rows) -> PoseTrack:
    made = PoseTrack()
    for at, x, y, theta in rows:
        assert made.add(round(at * SECOND), x, y, theta)
    return made


def test_between_two_poses_it_is_where_a_straight_line_says():
    made = track((1.0, 0.0, 0.0, 0.0), (1.2, 0.04, 0.0, 0.0))
    assert made.at(round(1.05 * SECOND)) == pytest.approx([0.01, 0.0, 0.0, 0.2, 0.0])


@pytest.mark.parametrize("at", [1.0, 1.1, 1.2])
def test_at_a_pose_it_is_that_pose(at):
    made = track((1.0, 0.0, 0.0, 0.1), (1.1, 0.02, 0.0, 0.1), (1.2, 0.04, 0.0, 0.1))
    assert made.at(round(at * SECOND))[:3] == pytest.approx([0.2 * (at - 1.0), 0.0, 0.1])


def test_headings_are_interpolated_the_short_way():
    made = track((1.0, 0.0, 0.0, math.pi - 0.1), (1.2, 0.0, 0.0, -math.pi + 0.1))
    theta, omega = made.at(round(1.1 * SECOND))[[2, 4]]
    assert abs(theta) == pytest.approx(math.pi) and omega == pytest.approx(1.0)


def test_backwards_is_a_negative_speed():
    assert track((1.0, 0.0, 0.0, 0.0), (1.1, -0.02, 0.0, 0.0)).at(round(1.05 * SECOND))[3] == pytest.approx(-0.2)


@pytest.mark.parametrize("at", [0.9, 1.3, 1.0 + 0.5 * (GAP_MOST + 0.1)])
def test_before_after_and_in_a_gap_nobody_knows(at):
    made = track((1.0, 0.0, 0.0, 0.0), (1.0 + GAP_MOST + 0.1, 0.1, 0.0, 0.0))
    assert at > 1.0 + GAP_MOST + 0.1 or made.at(round(at * SECOND)) is None


def test_what_is_not_finite_or_not_newer_is_not_taken():
    made = track((1.0, 0.0, 0.0, 0.0))
    assert not made.add(2 * SECOND, math.nan, 0.0, 0.0)
    assert not made.add(SECOND, 1.0, 0.0, 0.0)
    assert made.newest_ns == SECOND


def match(max_time: float = 1.0) -> Match:
    arena = with_time(load_arena("turtlebot3"), max_time)
    layout = Layout(Arena(2.2, np.array([[0.0, 1.0, 0.3]])), np.zeros(3), np.array([1.0, 0.0, 0.0]))
    return Match(layout, arena, (BURGER, BURGER))


def state(x: float, y: float = 0.0) -> np.ndarray:
    return np.array([x, y, 0.0, 0.0, 0.0])


def test_the_start_is_no_step_and_the_time_runs_out():
    played = match()
    outcomes = [played.judge(state(0.0), state(1.0)) for _ in range(21)]
    assert outcomes[:-1] == [Outcome.RUNNING] * 20 and outcomes[-1] is Outcome.TIMEOUT
    assert played.account("timeout")["steps"] == 20 and played.account("timeout")["time_s"] == pytest.approx(1.0)


def test_a_capture_and_contacts_are_counted():
    played = match()
    played.judge(state(0.0), state(1.0))
    played.judge(state(-1.0), state(0.2, 0.8))
    assert played.violations == 1 and played.min_margin < 0.0, "the evader is in the obstacle"
    assert played.judge(state(0.0), state(0.35)) is Outcome.CAPTURE


def test_no_time_is_the_arena_s_own():
    arena = load_arena("turtlebot3")
    assert with_time(arena, 0.0) is arena
    assert with_time(arena, 5.0) == dataclasses.replace(arena, max_time=5.0)


def test_a_robot_off_its_start_is_told_by_how_much():
    start = np.array([1.0, 0.0, 0.0])
    assert off_start(np.array([1.1, 0.0, 0.1]), start, 0.15, 0.35) == ""
    assert "0.20 m and 0 deg" in off_start(np.array([1.2, 0.0, 0.0]), start, 0.15, 0.35)
    assert "90 deg" in off_start(np.array([1.0, 0.0, -1.5708]), start, 0.15, 0.35)


def words(policy=None, safety=None) -> Hearing:
    hearing = Hearing()
    hearing.words["/a/policy"] = Word(10.0, 0, "", {"bundle": "lead", "bundle_sha256": "1"} | (policy or {}))
    hearing.words["/a/safety"] = Word(10.0, 0, "waiting", {"armed": "yes"} | (safety or {}))
    return hearing


def test_an_armed_robot_with_the_policy_that_was_named_is_ready():
    assert words().unready("a", "1", 11.0) == []
    assert words().unready("a", "", 11.0) == []


@pytest.mark.parametrize(
    ("hearing", "bundle", "now", "said"),
    [
        (words(), "1", 14.0, "/a/policy is not heard"),
        (Hearing(), "1", 1.0, "/a/safety is not heard"),
        (words(), "2", 11.0, "/a/policy plays lead, which the referee was not told"),
        (words(safety={"armed": "no", "refused": "no own state"}), "1", 11.0, "would be refused: no own state"),
    ],
)
def test_who_is_not_ready_says_why(hearing, bundle, now, said):
    assert any(said in reason for reason in hearing.unready("a", bundle, now))


@pytest.mark.parametrize(
    ("said", "untold"),
    [
        ({INITIAL_POSE: "-1"}, True),
        ({INITIAL_POSE: "6"}, True),
        ({INITIAL_POSE: "7"}, False),
        ({}, False),
        (None, False),
    ],
)
def test_an_estimator_that_has_another_initial_pose_is_untold(said, untold):
    hearing = words()
    if said is not None:
        hearing.words[f"/a/{ESTIMATOR}"] = Word(10.0, 0, "estimating", said)
    assert hearing.untold("a", 7) is untold


@pytest.mark.parametrize(
    ("recorder", "listeners", "silent", "reason"),
    [
        ("/evaluation_recorder", "/a/safety /evaluation_recorder", "", ""),
        ("/evaluation_recorder", None, "/a/odom", ""),
        ("/evaluation_recorder", "/a/safety", "", "/evaluation_recorder is not yet connected with /a/policy"),
        ("/evaluation_recorder", "/evaluation_recorder", "/a/odom /a/cmd_vel_nominal", "not yet connected"),
        ("/a/evaluation_recorder", "/a/safety", "", "/a/evaluation_recorder is not yet connected"),
        ("/b/evaluation_recorder", "/evaluation_recorder", "/a/cmd_vel_nominal", ""),
    ],
)
def test_an_episode_waits_for_the_links_between_recorder_and_policy(recorder, listeners, silent, reason):
    hearing = words(policy={} if listeners is None else {LISTENERS: listeners})
    hearing.words["/evaluation_recorder"] = Word(10.0, 0, "recording", {UNPUBLISHED: ""})
    hearing.words[recorder] = Word(10.0, 0, "recording", {UNPUBLISHED: silent})
    if recorder.startswith("/a/") and listeners:
        hearing.words["/a/policy"].values[LISTENERS] += " /evaluation_recorder"
    found = hearing.unrecorded("a", True, 11.0)
    assert (found == []) if not reason else (len(found) == 1 and reason in found[0])


def test_a_recorder_that_is_not_heard_is_waited_for_only_where_a_bag_is_asked_for():
    assert words().unrecorded("a", True, 11.0) == ["/evaluation_recorder is not heard"]
    assert words().unrecorded("a", False, 11.0) == []


class Told:
    """The topics of one robot, and what was said on them."""

    def __init__(self, namespace: str) -> None:
        self.namespace, self.said = namespace, []

    def publish_initial(self, stamp_ns, pose):
        self.said.append((stamp_ns, tuple(pose)))


def statuses(robot: str, initial_pose: int) -> list[DiagnosticStatus]:
    value = KeyValue(key=INITIAL_POSE, value=str(initial_pose))
    return [DiagnosticStatus(name=f"/{robot}/{ESTIMATOR}", values=[value])]


def test_a_placement_is_said_again_to_who_does_not_know_and_no_longer_to_who_does():
    hearing, robots = Hearing(), (Told("a"), Told("b"))
    placement = Placement(robots, hearing, by_hand=True)

    def beat(robot: str, initial_pose: int) -> None:
        hearing.hear(statuses(robot, initial_pose), 0.0)
        placement.remind(statuses(robot, initial_pose))

    beat("a", -1)
    assert not placement.known and "robots_placed" in placement.obstacles()[0]
    assert robots[0].said == []
    placement.tell(7, ((0.0, 1.0, 2.0), (3.0, 4.0, 5.0)))
    assert [robot.said for robot in robots] == [[(7, (0.0, 1.0, 2.0))], [(7, (3.0, 4.0, 5.0))]]
    assert placement.obstacles() == ["a's estimator does not know its start"], "b is not heard yet"
    beat("b", -1)
    assert len(robots[0].said) == 1 and robots[1].said[1:] == [(7, (3.0, 4.0, 5.0))]
    beat("a", 7)
    beat("b", 7)
    assert (len(robots[0].said), len(robots[1].said)) == (1, 2) and placement.obstacles() == []
    placement.forget()
    beat("a", 7)
    assert not placement.known and len(robots[0].said) == 1


def test_robots_that_are_not_placed_by_hand_need_nobody_to_say_so():
    placement = Placement((Told("a"), Told("b")), words(), by_hand=False)
    assert placement.known and placement.obstacles() == []


def test_a_robot_that_no_longer_plays_is_named():
    assert words().halted(["a"], 5.0) == ""
    assert words(safety={"armed": "no"}).halted(["a"], 5.0) == "a was disarmed"
    assert words(safety={"armed": "no"}).halted(["a"], 1.0) == "", "its heartbeat may be older than the episode"
    faulty = words()
    faulty.words["/a/safety"].message = "fault: emergency stop"
    assert faulty.halted(["a"], 5.0) == "a: fault: emergency stop"

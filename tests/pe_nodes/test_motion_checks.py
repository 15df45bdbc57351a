"""Reported states against what robots can do, odometry against itself."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pe_core import ekf
from pe_core.unicycle import arc_step
from pe_nodes.motion_checks import OdometryCheck, ResponseCheck, StepCheck, arc_between
from pe_nodes.odometry_track import PoseDoubt, Track

DT = 0.05
NOISE = np.diag([1e-4, 1e-4])


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((0.05, 0.0, 0.1), ""),
        ((0.17, 0.0, 0.0), ""),
        ((0.2, 0.0, 0.0), "jumped by 0.20 m in 0.05 s"),
        ((0.0, 0.0, 0.6), "turned by 0.60 rad"),
        ((0.0, 0.0, 2.0 * math.pi), ""),
    ],
)
def test_a_step_that_no_robot_makes(values, said):
    assert StepCheck(1.0, 2.84, 0.1, 0.3)((0.0, 0.0, 0.0), values, DT).startswith(said or "\0") == bool(said)


def responses(command, follows, steps=40, jump=0.0):
    """The first verdict of a robot that follows its commands, or not; its clock may be set forward on the way."""
    check, state, now = ResponseCheck(1.0, 2.84, 0.0, 0.0), (0.0, 0.0, 0.0), 1.0
    for step in range(steps):
        now += DT + (jump if step == 20 else 0.0)
        check.seen(round(now * 1e9), state)
        if said := check.verdict():
            return step, said
        check.sent(round(now * 1e9), command)
        state = arc_step(*state, *command, DT) if follows else state
    return None


@pytest.mark.parametrize("command", [(1.0, 0.0), (0.0, 2.0), (0.3, 0.1), (0.02, 0.1)])
def test_a_robot_that_follows_is_not_suspected_even_when_its_clock_is_set(command):
    assert responses(command, True) is None
    assert responses(command, True, jump=1.0) is None


def test_a_sensor_that_stands_still_is_found_within_a_third_of_a_second():
    step, said = responses((1.0, 0.0), False)
    assert said.startswith("is frozen") and step * DT <= 0.4


def test_standing_still_as_told_is_no_fault():
    assert responses((0.0, 0.0), False) is None
    assert responses((0.05, 0.1), False) is None, "a motor's dead zone"


@pytest.mark.parametrize(("v", "omega"), [(0.7, 0.0), (0.7, 1.3), (-0.2, -2.0), (0.0, 1.0)])
def test_the_arc_between_two_poses_is_the_one_that_was_driven(v, omega):
    begin = (1.0, -2.0, 3.1)
    assert arc_between(begin, arc_step(*begin, v, omega, 0.3), 0.3) == pytest.approx((v, omega, 0.0), abs=1e-12)


class Drive:
    """A robot on an arc, its odometry, and the estimate of it."""

    def __init__(self) -> None:
        self.track = Track(OdometryCheck(1.5, 4.2, DT), 0.2)
        self.true = self.start = (2.0, 1.0, 3.0)
        self.pose = (0.0, 0.0, 0.0)
        self.estimate = ekf.initial(np.array(self.start), np.eye(3) * 1e-6)
        self.reading()

    def step(self, v=0.8, omega=0.9):
        self.true = arc_step(*self.true, v, omega, DT)
        self.pose = arc_step(*self.pose, v, omega, DT)
        self.twist = (v, omega)

    def reading(self, pose=None, twist=None, elapsed=0.0):
        values = (*(pose or self.pose), *(twist or (self.twist if elapsed else (0.0, 0.0))))
        self.estimate = self.track.advance(self.estimate, values, elapsed, NOISE)

    def error(self):
        return math.dist(self.estimate.mean[:2], self.true[:2])


def test_readings_that_are_missing_cost_nothing():
    drive = Drive()
    for step in range(60):
        drive.step(omega=0.9 if step < 30 else -2.0)
        if step % 7 == 0:
            drive.reading(elapsed=7 * DT if step else DT)
    for _ in range(7 - step % 7):
        drive.step()
    drive.reading(elapsed=7 * DT)
    assert drive.error() < 1e-9


def test_a_spike_of_the_turn_rate_is_replaced_by_the_turn_of_the_yaw():
    drive = Drive()
    for step in range(60):
        drive.step()
        drive.reading(twist=(0.8, -125.0) if step % 3 == 0 else None, elapsed=DT)
    assert drive.error() < 1e-9 and drive.track.gated == 20 and not drive.track.fault


def test_a_jump_of_the_pose_is_not_followed():
    drive = Drive()
    for step in range(20):
        drive.step()
        moved = (drive.pose[0] + 2.0, drive.pose[1], drive.pose[2]) if step > 9 else None
        drive.reading(pose=moved, elapsed=DT)
    assert drive.error() < 1e-9 and drive.track.jumps == 1


def test_a_rate_that_stays_impossible_is_a_fault_and_ends_with_it():
    drive = Drive()
    for _ in range(6):
        drive.step()
        drive.reading(twist=(90.0, 0.9), elapsed=DT)
    assert drive.track.fault.startswith("odometry is beyond the robot's limits: 90.00 m/s")
    drive.step()
    drive.reading(elapsed=DT)
    assert not drive.track.fault


def test_frozen_odometry_is_a_fault_and_its_end_tells_where_the_robot_went():
    drive = Drive()
    for _ in range(5):
        drive.step()
        drive.reading(elapsed=DT)
    last = (drive.pose, drive.twist)
    for step in range(10):
        drive.step(*((0.8, 0.9) if step < 4 else (0.0, 0.0)))
        drive.reading(*last, elapsed=DT)
        assert bool(drive.track.fault) == (step >= 2)
    drive.step(0.1, 0.0)
    drive.reading(elapsed=DT)
    assert not drive.track.fault
    assert drive.error() < 0.02


def test_what_a_pose_has_corrected_stays_corrected_after_missing_readings():
    drive = Drive()
    drive.step()
    drive.reading(elapsed=DT)
    drive.estimate = ekf.Estimate(drive.estimate.mean + [0.3, 0.0, 0.0], drive.estimate.covariance)
    drive.track.corrected(drive.estimate)
    for _ in range(4):
        drive.step()
    drive.reading(elapsed=4 * DT)
    assert drive.error() == pytest.approx(0.3, abs=1e-6)


def test_a_clock_that_is_set_does_not_lose_the_way():
    drive = Drive()
    for _ in range(3):
        drive.step()
        drive.reading(elapsed=DT)
    drive.step()
    drive.reading()
    assert drive.error() < 1e-9


def test_poses_that_disagree_for_long_are_a_fault_until_they_agree():
    doubt = PoseDoubt(1.0)
    for tenth in range(10):
        doubt.judged(False, round((5.0 + 0.1 * tenth) * 1e9), 9.0)
    assert not doubt.fault
    doubt.judged(False, round(6.0 * 1e9), 9.0)
    assert "disagree for 1 s (distance 9.0)" in doubt.fault
    doubt.judged(True, round(6.1 * 1e9), 1.0)
    assert not doubt.fault

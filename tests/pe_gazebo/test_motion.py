"""Poses from velocities, step by step, and their correction by scans."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pe_core.plant import Plant
from pe_core.robot import load_robot
from pe_core.unicycle import arc_step
from pe_gazebo.messages import LinkData, PoseScan
from pe_gazebo.motion import corrected, moved
from pe_gazebo.plant import Drive
from pe_gazebo.stepping import Batch
from pe_gazebo.track import Track
from pe_gazebo.transport import GazeboError

STEP = 0.001


def circle(steps: int, v: float = 0.5, omega: float = 1.0) -> list[tuple[float, float, float]]:
    """World velocities of an origin that drives an exact arc, at the middle of each step."""
    headings = [(k + 0.5) * STEP * omega for k in range(steps)]
    return [(v * math.cos(h), v * math.sin(h), omega) for h in headings]


def motions(steps: int, begin: int = 0) -> list[LinkData]:
    found = circle(begin + steps)[begin:]
    return [LinkData((begin + k + 1) * 1_000_000, (vx, vy, 0.0), (0.0, 0.0, w)) for k, (vx, vy, w) in enumerate(found)]


@pytest.mark.parametrize("behind", [0.0, -0.03])
def test_steps_add_up_to_the_arc(behind: float) -> None:
    pose = (0.0, 0.0, 0.0)
    for velocity in circle(1000):
        pose = moved(pose, velocity, STEP, behind)
    assert pose == pytest.approx(arc_step(0.0, 0.0, 0.0, 0.5, 1.0, 1.0), abs=2e-5)


@pytest.mark.parametrize("late", [0, 1])
def test_a_scan_corrects_whichever_of_two_steps_it_shows(late: int) -> None:
    last = (0.0, 0.0, 0.0)
    poses = [(0.001 * (k + 1), 0.0, 0.0) for k in range(50)]
    off = (3e-6, -2e-6)
    shown = poses[48 - late]
    found = corrected(last, poses, (shown[0] + off[0], shown[1] + off[1], 1e-6), 48)
    assert found == pytest.approx((0.05 + off[0], off[1] + 1e-6 * 0.001 * (1 + late), 1e-6), abs=1e-12)


def test_velocities_that_come_late_are_made_up_for() -> None:
    whole, torn = (Track("pursuer", np.zeros(3), STEP, -0.03) for _ in range(2))
    whole.add(Batch(motions(100), None))
    torn.add(Batch(motions(45), None))
    ahead = torn.state(50 * 1_000_000)
    assert ahead[:2] == pytest.approx(arc_step(0.0, 0.0, 0.0, 0.5, 1.0, 0.05)[:2], abs=5e-5)
    torn.add(Batch(motions(55, 45), None))
    assert torn.state(100 * 1_000_000) == whole.state(100 * 1_000_000)


@pytest.mark.parametrize(("heard", "next_", "after"), [(0, 150, "0"), (2, 3, "0.002"), (120, 121, "0.12")])
def test_a_lost_velocity_is_an_error(heard: int, next_: int, after: str) -> None:
    track = Track("evader", np.zeros(3), STEP, 0.0)
    track.add(Batch(motions(heard), None))
    with pytest.raises(GazeboError, match=f"evader: velocity of {1e-3 * (next_ + 1):g} s after {after} s"):
        track.add(Batch(motions(1, next_), None))


def test_before_the_first_velocity_that_is_heard_a_robot_stands() -> None:
    # A busy server takes its first steps before it has heard that somebody listens.
    track, pose = Track("evader", np.array([1.0, 2.0, 0.5]), STEP, 0.0), (1.0, 2.0, 0.5)
    track.add(Batch(motions(1, 40), None))
    assert track.state(41_000_000)[:3] == pytest.approx(moved(pose, circle(41)[40], STEP, 0.0))
    track.add(Batch(motions(10, 41), PoseScan(50_000_000, 3.0, 3.0, 0.0, 0.0, 0.0, 0.0, ())))
    assert track.state(51_000_000)[:2] == pytest.approx((3.0, 3.0), abs=2e-3), "and the next scan says where"


def test_a_scan_of_another_batch_corrects_nothing() -> None:
    track = Track("pursuer", np.zeros(3), STEP, 0.0)
    track.add(Batch(motions(10), PoseScan(50_000_000, 9.0, 9.0, 0.0, 0.0, 0.0, 0.0, ())))
    assert track.state(10_000_000)[0] == pytest.approx(0.005, abs=1e-6)


def test_the_wheels_follow_the_profiles_dead_time_and_lag() -> None:
    robot = load_robot("turtlebot3_burger")
    drive, plant = Drive(robot), Plant(robot, np.zeros(3))
    pose = (0.0, 0.0, 0.0)
    random = np.random.default_rng(1)
    for _ in range(40):
        command = (random.uniform(0.0, 0.1), random.uniform(-1.0, 1.0))
        drive.take(command)
        for k in range(2):
            v, omega = drive.wheels(0.05, 0.025 * k, 0.025)
            pose = arc_step(*pose, v, omega, 0.025)
        plant.follow(command, 0.05)
    assert pose[2] == pytest.approx(plant.state[2], abs=1e-9)
    # Within a piece the model drives no arc: its chord leaves the middle heading by micrometres.
    assert pose[:2] == pytest.approx(tuple(plant.state[:2]), abs=2e-5)

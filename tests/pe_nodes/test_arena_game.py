"""The simulator's world is the evaluator's world."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pe_core.arena import load_arena
from pe_core.ekf import initial, predict
from pe_core.robot import load_robot
from pe_core.rules import Outcome
from pe_core.scenario import Scenario, sample_layout
from pe_nodes.arena_game import ArenaGame


def game(robot="reference", arena="reference", noisy=False, device="ideal", lockstep=True, **scenario):
    config, model = load_arena(arena), load_robot(robot)
    layout = sample_layout(Scenario(**scenario), config, model, model, 5, 0)
    return ArenaGame(layout, config, (model, model), 5, 0, noisy, (device, device), lockstep)


def test_capture_ends_the_game():
    played = game(obstacles=[], pursuer=[-1.0, 0.0, 0.0], evader=[1.0, 0.0, 0.0])
    while played.step([(1.0, 0.0), (0.0, 0.0)]) is Outcome.RUNNING:
        assert played.distance() > 0.5
    assert played.outcome is Outcome.CAPTURE and played.steps == 30
    assert played.violations == 0


def test_timeout_ends_the_game():
    played = game()
    while played.step([(0.0, 0.0), (0.0, 0.0)]) is Outcome.RUNNING:
        pass
    assert played.outcome is Outcome.TIMEOUT and played.steps == played.config.max_steps


def test_contact_with_a_wall_is_counted():
    played = game(obstacles=[], pursuer=[9.0, 0.0, 0.0], evader=[-5.0, 0.0, 0.0])
    for _ in range(40):
        played.step([(1.0, 0.0), (0.0, 0.0)])
    # 10 - 0.15 - 9 = 0.85 m are left: the body touches with step 17.
    assert played.violations == 40 - 16
    assert played.min_margin == pytest.approx(-1.15)


@pytest.mark.parametrize("robot", ["reference", "turtlebot3_burger"])
def test_dead_reckoning_follows_noiseless_odometry(robot):
    played = game(robot, "reference" if robot == "reference" else "turtlebot3", obstacles=[])
    estimate = initial(played.layout.pursuer, np.eye(3))
    for step in range(100):
        played.step([(0.2, 0.7 * math.sin(0.1 * step)), (0.0, 0.0)])
        _, _, _, v, omega = played.odometers[0].reading
        estimate = predict(estimate, v, omega, 0.05, np.eye(2))
    # Exact where the velocity is constant over a step; a lagging robot's step is not quite one arc.
    tolerance = 0.0 if robot == "reference" else 2e-4
    assert np.abs(estimate.mean - played.plants[0].state[:3]).max() <= tolerance


def test_noise_is_repeatable_and_of_the_stated_size():
    first, second = game(noisy=True, obstacles=[]), game(noisy=True, obstacles=[])
    ways = []
    for _ in range(800):
        for played in (first, second):
            played.step([(0.0, 1.0), (0.0, 0.0)])
        assert np.array_equal(first.odometers[0].reading, second.odometers[0].reading)
        ways.append(first.odometers[0].reading[3] * 0.05)
    assert np.std(ways) == pytest.approx(0.005, rel=0.1)


def test_odometry_faster_than_control_comes_between_control_steps():
    fast = game("turtlebot4", "turtlebot4", device="create3", lockstep=False, obstacles=[])
    slow = game("turtlebot4", "turtlebot4", device="create3", obstacles=[])
    assert fast.tick == pytest.approx(0.05 / 3) and slow.tick == 0.05
    total, steps = 0, []
    for k in range(300):
        command = (0.2, 0.5 if k < 150 else -0.5)
        fast.step([command, command])
        total += fast.tick_ns()
        steps.append(fast.steps)
        if k % 3 == 2:
            slow.step([command, command])
            assert total == slow.steps * 50_000_000 and fast.steps == slow.steps
    assert steps[:6] == [0, 0, 1, 1, 1, 2]
    # Dead time and lag are followed exactly whatever the tick; the way while the velocity changes is one of short
    # arcs, and these are of other lengths.
    difference = np.abs(fast.plants[0].state - slow.plants[0].state)
    assert difference[2:].max() < 1e-12 and difference[:2].max() < 1e-6
    assert np.abs(fast.odometers[0].reading[:3] - slow.odometers[0].reading[:3]).max() < 1e-3


def test_what_a_base_does_without_a_new_command_is_up_to_its_device():
    held = game("turtlebot3_burger", "turtlebot3", device="turtlebot3", obstacles=[])
    stopped = game("turtlebot4", "turtlebot4", device="create3", obstacles=[])
    for played in (held, stopped):
        played.step([(0.2, 0.0), (0.0, 0.0)])
        for _ in range(30):
            played.step()
    assert held.plants[0].state[3] == pytest.approx(0.2, abs=1e-3)
    assert stopped.plants[0].state[3] == pytest.approx(0.0, abs=1e-3)


def test_turn_rate_of_turtlebot3_spikes_where_yaw_passes_pi():
    played = game("turtlebot3_burger", "turtlebot3", device="turtlebot3", obstacles=[])
    readings = []
    for _ in range(80):
        played.step([(0.1, 1.0), (0.0, 0.0)])
        readings.append(played.odometers[0].reading.copy())
    readings = np.array(readings)
    spikes = np.flatnonzero(np.abs(readings[:, 4]) > 10.0)
    assert len(spikes) == 1
    at = spikes[0]
    assert readings[at, 4] == pytest.approx(readings[at - 1, 4] - 2.0 * math.pi / 0.05, abs=1e-6)
    assert readings[at, 2] < 0.0 < readings[at - 1, 2], "the yaw itself is right"
    heading = readings[at - 1, 2]
    step = readings[at, :2] - readings[at - 1, :2]
    assert step @ (math.cos(heading), math.sin(heading)) < 0.0, "and the way of that step points backwards"

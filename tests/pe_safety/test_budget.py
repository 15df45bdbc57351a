"""The margin budget covers what it says: predicted against true stopping poses, opponents within their reach."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from pe_core.arena import Arena
from pe_core.plant import plant_step, state_at_actuation, stopping_pose
from pe_core.robot import ACCELERATION_MAX, DELAY, LAG, RobotModel, load_robot
from pe_core.unicycle import arc_step
from pe_safety.budget import (
    HEADING_BOUND,
    OTHER,
    OVER,
    PATH,
    STATE,
    STATIC,
    TERMS,
    WAY,
    barrier_margin,
    heading_margin,
    opponent_extent,
    opponent_leaves,
)
from pe_safety.filter import SafetyFilter
from pe_safety.parameters import SafetyParameters
from pe_safety.pending import PENDING_SIZE, write_limits, write_pending
from tests.support.safety_states import DT, budget_of, steady

COVERED = SafetyParameters(gain_error=0.2, delay_error=0.025, lag_error=0.02, sigmas=4.0, map_error=0.01)
PROFILES = ("reference", "turtlebot3_burger", "turtlebot3_waffle", "turtlebot4")


def believed(name: str) -> RobotModel:
    return dataclasses.replace(load_robot(name), delay=0.025)


def test_an_exact_world_needs_no_margin_but_the_control_points() -> None:
    out = budget_of(RobotModel())
    assert dict(zip(TERMS, out, strict=False)) == {**dict.fromkeys(TERMS, 0.0), "vcp": 0.05}
    assert out[STATIC] == out[OTHER] == out[OVER] == 0.0


def test_terms_are_those_of_the_equations() -> None:
    """A robot that was sent (0.4, 1.0) for long."""
    robot = RobotModel(v_max=0.5, omega_max=2.0, delay=0.02, lag=0.05, vcp_offset=0.04)
    parameters = dataclasses.replace(COVERED, acceleration_min=1.0, position_error=0.002, heading_error=0.01)
    pending = steady(robot, parameters, 0.4, 1.0)
    budget = budget_of(robot, robot, parameters, (0.003, 0.004), pending, 0.1)
    out = dict(zip(TERMS, budget, strict=False))
    e_theta, turn = 4 * 0.004 + 0.01, 1.2 * (0.045 + 0.07) - 0.07
    way, over = 0.4 * 0.07, 0.4 * turn
    ramp = (1.2 * 0.4 - 0.07) ** 2 / 2
    expected = {
        "constant": 0.0,
        "vcp": 0.04,
        "state": 4 * 0.003 + 0.002,
        "heading": 0.04 * (e_theta + turn),
        "delay": 1.2 * (0.045 - 0.02) * 0.4,
        "lag": 1.2 * 0.02 * 0.4,
        "acceleration": ramp,
        "gain": 0.2 * 0.07 * 0.4,
        "path": (way + over + ramp) * math.sin(e_theta + max(turn, 0.07)),
        "map": 0.01,
        "opponent_state": 4 * math.hypot(0.003, 0.003) + 0.004 - (4 * 0.003 + 0.002),
        "opponent_age": 1.2 * 0.5 * 0.1,
        "opponent_reaction": 1.2 * 0.5 * (0.045 + 0.07 + 0.5 * 1.2 * 0.5),
    }
    assert out == pytest.approx(expected, abs=1e-9)
    assert budget[HEADING_BOUND] == pytest.approx(e_theta + turn, abs=1e-9)


@njit
def drive(plant: np.ndarray, commands: np.ndarray, start: np.ndarray) -> np.ndarray:
    """States (N + 1, 5), the first ``start``, each command held for a period."""
    history = np.zeros((64, 2))
    states = np.empty((len(commands) + 1, 5))
    states[0] = start
    for k in range(len(commands)):
        for row in range(63, 0, -1):
            history[row] = history[row - 1]
        history[0] = commands[k]
        states[k + 1] = states[k]
        plant_step(states[k + 1], history, plant, 0.05)
    return states


WORLDS = {
    "scale 1": COVERED,
    "scale 2": dataclasses.replace(COVERED, gain_error=0.4, delay_error=0.05, lag_error=0.04),
    "ramp": dataclasses.replace(COVERED, acceleration_min=0.4),
    "reversing": COVERED,
}


def drawn_commands(rng: np.random.Generator, robot: RobotModel, trial: int) -> np.ndarray:
    """Steady ones, any, and those that end with a stop, of which the robot still feels some."""
    count = int(rng.integers(4, 30))
    commands = np.column_stack(
        [rng.uniform(robot.v_min, robot.v_max, count), robot.omega_max * rng.uniform(-1, 1, count)]
    )
    if trial % 3 == 0:
        commands[:] = [robot.v_max, robot.omega_max * rng.uniform(-1, 1)]
    if trial % 2 == 0:
        commands[count - int(rng.integers(0, min(count, 8))) :, 0] = 0.0
    return commands


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("name", PROFILES)
def test_the_true_stopping_pose_is_within_the_budget_of_the_predicted_one(name: str, world: str) -> None:
    """Any gains, dead time and lag within the bounds, any commands before: body and control point."""
    bounds = WORLDS[world]
    robot = believed(name)
    if world == "ramp":
        bounds = dataclasses.replace(bounds, acceleration_min=2.0 * robot.v_max)
    if world == "reversing":
        robot = dataclasses.replace(robot, v_min=-robot.v_max)
    model, parameters = robot.as_array(), bounds.as_array(DT)
    rng = np.random.default_rng(1)
    pending = np.empty(PENDING_SIZE)
    tightest = 0.0
    for trial in range(400):
        corner = rng.random() < 0.5
        pick = (lambda: rng.choice([-1.0, 1.0])) if corner else (lambda: rng.uniform(-1.0, 1.0))
        plant = model.copy()
        plant[DELAY] = max(model[DELAY] + bounds.delay_error * pick(), 0.0)
        plant[LAG] = max(model[LAG] + bounds.lag_error * pick(), 0.0)
        plant[ACCELERATION_MAX] = bounds.acceleration_min
        commands = drawn_commands(rng, robot, trial)
        # Gains may differ from command to command.
        varying = (len(commands), 2) if trial % 5 == 0 else 2
        gains = 1.0 + bounds.gain_error * np.array([pick() for _ in range(int(np.prod(varying)))]).reshape(varying)
        rest = np.zeros((400 if world == "ramp" else 80, 2))
        start = np.array([0.0, 0.0, rng.uniform(-3, 3), 0.0, 0.0])
        states = drive(plant, np.vstack([gains * commands, rest]), start)
        # What the filter knows: a true pose, perhaps an old one; the velocity of its own model under the same commands.
        old = int(rng.integers(0, min(4, len(commands)))) if trial % 4 == 0 else 0
        seen = len(commands) - old
        known = states[seen].copy()
        known[3:] = drive(model, commands, np.zeros(5))[seen, 3:]
        history = np.zeros((64, 2))
        history[: len(commands)] = commands[::-1]
        ahead, predicted = np.empty(5), np.empty(5)
        state_at_actuation(known, history, model, DT, DT - old * DT, old * DT, ahead)
        stopping_pose(ahead, model[LAG], predicted)
        write_pending(history, DT, old * DT, model, parameters, DT, pending)
        out = budget_of(robot, robot, bounds, (0.0, 0.0), pending)
        end = states[-1]
        assert abs(math.remainder(end[2] - predicted[2], 2 * math.pi)) <= out[HEADING_BOUND] + 1e-6
        for bearing in np.linspace(-math.pi, math.pi, 24, endpoint=False):
            toward = np.array([math.cos(predicted[2] + bearing), math.sin(predicted[2] + bearing)])
            seen_from = (-toward[0], -toward[1], math.cos(bearing), math.sin(bearing))
            margin = barrier_margin(*seen_from, False, np.zeros(5), model, model, out) - out[STATIC]
            # Short of the prediction it is on its way there, where it has been verified before.
            way = max(float((known[:2] - predicted[:2]) @ toward), 0.0)
            beyond = float((end[:2] - predicted[:2]) @ toward) - way
            assert beyond <= margin + 1e-6, (trial, bearing)
            tips = [
                np.array([math.cos(pose[2]), math.sin(pose[2])]) * robot.vcp_offset + pose[:2]
                for pose in (end, predicted)
            ]
            wider = margin + heading_margin(math.cos(bearing), math.sin(bearing), model, out)
            assert float((tips[0] - tips[1]) @ toward) - way <= wider + 1e-6, (trial, bearing)
            if margin > 0.01 * robot.v_max:
                tightest = max(tightest, beyond / margin)
    # The bound is one that robots come near to.
    assert tightest > (0.6 if world == "reversing" else 0.9 if world != "ramp" else 0.5)


@pytest.mark.parametrize("world", WORLDS)
def test_nothing_is_larger_than_where_no_command_is_known(world: str) -> None:
    robot = dataclasses.replace(believed("turtlebot4"), v_min=-0.3 if world == "reversing" else 0.0)
    model, parameters = robot.as_array(), WORLDS[world].as_array(DT)
    rng = np.random.default_rng(2)
    limits, pending, history = np.empty(PENDING_SIZE), np.empty(PENDING_SIZE), np.zeros((64, 2))
    write_limits(model, parameters, DT, 0.0, limits)
    most = budget_of(robot, robot, WORLDS[world], (0.0, 0.0), limits)
    for trial in range(200):
        commands = drawn_commands(rng, robot, trial)
        history[:] = 0.0
        history[: len(commands)] = commands[::-1]
        write_pending(history, DT, 0.0, model, parameters, DT, pending)
        out = budget_of(robot, robot, WORLDS[world], (0.0, 0.0), pending)
        for quantity in (OVER, WAY, HEADING_BOUND, PATH):
            assert out[quantity] <= most[quantity] + 1e-9, (trial, quantity)


def test_a_robot_at_rest_has_nothing_pending() -> None:
    robot = believed("turtlebot3_burger")
    pending = np.empty(PENDING_SIZE)
    write_pending(np.zeros((64, 2)), DT, 0.1, robot.as_array(), COVERED.as_array(DT), DT, pending)
    assert np.delete(pending, 6).tolist() == [0.0] * 12


@settings(max_examples=300, deadline=None)
@given(
    heading=st.floats(-math.pi, math.pi),
    bearing=st.floats(-math.pi, math.pi),
    age=st.floats(0.0, 0.3),
    seed=st.integers(0, 10_000),
    reverse=st.booleans(),
)
def test_an_opponent_comes_no_nearer_than_its_extent(
    heading: float, bearing: float, age: float, seed: int, reverse: bool
) -> None:
    robot = RobotModel(lag=0.05, delay=0.02, v_min=-0.4 if reverse else 0.0)
    model = robot.as_array()
    out = budget_of(robot, robot, COVERED, age=age)
    rng = np.random.default_rng(seed)
    nx, ny = math.cos(bearing), math.sin(bearing)
    extent = opponent_extent(nx, ny, np.array([0.0, 0.0, heading, 0.0, 0.0]), model, out)
    # Any velocities within the limits (and the gains) for all of the window.
    window = age + 0.045 + 0.07
    pose = (0.0, 0.0, heading)
    n = 40
    v = 1.2 * rng.choice([robot.v_min, 0.0, robot.v_max], n) if seed % 2 else np.full(n, 1.2 * robot.v_max)
    omega = (
        1.2 * robot.omega_max * (rng.choice([-1.0, 1.0]) if seed % 3 else rng.uniform(-1, 1, n)) * np.ones(n)
    )
    for i in range(n):
        pose = arc_step(*pose, v[i], omega[i], window / n)
        assert nx * pose[0] + ny * pose[1] <= extent + 1e-9
    opponent = np.array([0.0, 0.0, heading, 0.0, 0.0])
    if opponent_leaves(nx, ny, opponent, model, out):
        assert extent == 0.0 and not reverse


def test_margins_of_barriers_count_what_lies_ahead() -> None:
    robot = believed("turtlebot3_burger")
    model = robot.as_array()
    out = budget_of(robot, robot, COVERED, (0.005, 0.005), steady(robot, COVERED, robot.v_max, 0.0))
    nobody = np.zeros(5)
    ahead = barrier_margin(-1.0, 0.0, 1.0, 0.0, False, nobody, model, model, out)
    behind = barrier_margin(1.0, 0.0, -1.0, 0.0, False, nobody, model, model, out)
    straight = 1.0 - math.cos(4 * 0.005)
    assert ahead == pytest.approx(out[STATIC] + out[OVER] + out[WAY] * straight)
    assert behind == pytest.approx(out[STATIC])
    assert out[STATIC] == pytest.approx(out[STATE] + 0.01)


def test_the_opponents_heading_errs_by_more_than_its_covariance_says() -> None:
    """An estimator's heading error is the opponent's estimator's too: seen across, it may come that much nearer."""
    robot, seen = RobotModel(delay=0.05), np.array([0.0, 0.0, 0.0, 1.0, 0.0])
    reaches = []
    for error in (0.0, 0.1):
        terms = budget_of(robot, robot, SafetyParameters(heading_error=error), age=0.1)
        reaches.append(opponent_extent(math.cos(1.0), math.sin(1.0), seen, robot.as_array(), terms))
    rate = robot.omega_max
    arcs = [(math.sin(off) - math.sin(off - 0.15 * rate)) / rate for off in (1.0, 0.9)]
    assert reaches == pytest.approx(arcs)


@pytest.mark.parametrize("distance", [0.3, 0.6, 1.2, 2.4, 4.8])
def test_a_margin_that_a_faster_command_makes_grow_counts_from_afar(distance: float) -> None:
    """A robot at rest told to go at full speed: h(x+) >= (1 - gamma) h(x) with the margin that will hold then."""
    parameters, robot = SafetyParameters(acceleration_min=1.0), RobotModel()
    safety, arena = SafetyFilter(parameters, robot, robot, DT), Arena(10.0, np.zeros((0, 3)))
    start, far = np.array([9.8 - distance, 0.0, 0.0, 0.0, 0.0]), np.array([-9.0, 9.0, 0.0, 0.0, 0.0])
    result = safety.step(start, (1.0, 0.0), far, arena, pending=steady(robot, parameters, 0.0, 0.0))
    v, omega = result.command
    assert v > 0.0
    moved = start + [v * DT, 0.0, 0.0, v, omega]
    history, pending = np.array([[v, omega], [0.0, 0.0]]), np.empty(PENDING_SIZE)
    write_pending(history, DT, 0.0, robot.as_array(), parameters.as_array(DT), DT, pending)
    later = safety.barriers(moved, far, arena, pending=pending)
    assert later["wall_east"] >= 0.8 * result.barriers["wall_east"] - 1e-9

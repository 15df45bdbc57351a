"""The margin budget covers what it says: predicted against true stopping poses, opponents within their reach."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pe_core.arena import Arena
from pe_core.plant import plant_step, state_at_actuation, stopping_pose
from pe_core.robot import DELAY, LAG, RobotModel, load_robot
from pe_safety.budget import (
    DELAY_TERM,
    GAIN_TERM,
    GROWTH,
    HEADING,
    LAG_TERM,
    OTHER,
    PATH,
    PEAK,
    SIZE,
    SPREAD,
    STATE,
    STATIC,
    TERMS,
    along,
    barrier_margin,
    opponent_extent,
    opponent_leaves,
    peaks,
    write_budget,
)
from pe_safety.filter import SafetyFilter
from pe_safety.parameters import DELAY_ERROR, SafetyParameters

DT = 0.05
COVERED = SafetyParameters(gain_error=0.2, delay_error=0.025, lag_error=0.02, sigmas=4.0, map_error=0.01)
PROFILES = ("reference", "turtlebot3_burger", "turtlebot3_waffle", "turtlebot4")


def budget(
    robot: RobotModel,
    parameters: SafetyParameters,
    deviations: tuple[float, float] = (0.0, 0.0),
    peak: tuple[float, float] = (math.inf, math.inf),
    age: float = 0.0,
) -> np.ndarray:
    out = np.empty(SIZE)
    model = robot.as_array()
    write_budget(model, model, parameters.as_array(DT), deviations, deviations, *peak, age, DT, out)
    return out


def believed(name: str) -> RobotModel:
    return dataclasses.replace(load_robot(name), delay=0.025)


def test_an_exact_world_needs_no_margin_but_the_control_points() -> None:
    out = budget(RobotModel(), SafetyParameters(), (math.inf, math.inf))
    assert dict(zip(TERMS, out, strict=False)) == {**dict.fromkeys(TERMS, 0.0), "vcp": 0.05}
    assert out[STATIC] == out[OTHER] == out[GROWTH] == 0.0


def test_terms_are_those_of_the_equations() -> None:
    robot = RobotModel(v_max=0.5, omega_max=2.0, delay=0.02, lag=0.05, vcp_offset=0.04)
    parameters = dataclasses.replace(COVERED, acceleration_min=1.0, position_error=0.002, heading_error=0.01)
    out = dict(zip(TERMS, budget(robot, parameters, (0.003, 0.004), (0.4, 1.0), 0.1), strict=False))
    late = 1.2 * (0.025 + 0.02)
    bound = 4 * 0.004 + 0.01 + (0.2 * 0.07 + late) * 2.0
    expected = {
        "constant": 0.0,
        "vcp": 0.04,
        "state": 4 * 0.003 + 0.002,
        "heading": 0.04 * bound,
        "delay": 1.2 * 0.025 * 0.4,
        "lag": 1.2 * 0.02 * 0.4,
        "acceleration": 0.4 * 0.5 / 2.0,
        "gain": 0.2 * 0.07 * 0.4,
        "path": bound * (0.045 + 0.07) * 0.5 + 0.5 * 0.5 * 2.0 * 0.07**2,
        "map": 0.01,
        "opponent_state": 4 * math.hypot(0.003, 0.003) + 0.004 - (4 * 0.003 + 0.002),
        "opponent_age": 1.2 * 0.5 * 0.1,
        "opponent_reaction": 1.2 * 0.5 * (0.045 + 0.07 + 0.25),
    }
    assert out == pytest.approx(expected, abs=1e-12)


def drive(
    plant: np.ndarray, commands: np.ndarray, gain: np.ndarray, start: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """States after each of ``commands``, and the resting state after them."""
    history = np.zeros((16, 2))
    state = start.copy()
    states = []
    for command in commands:
        history[1:] = history[:-1]
        history[0] = gain * command
        plant_step(state, history, plant, DT)
        states.append(state.copy())
    for _ in range(60):
        history[1:] = history[:-1]
        history[0] = 0.0
        plant_step(state, history, plant, DT)
    return np.array(states), state


@pytest.mark.parametrize("name", PROFILES)
def test_the_true_stopping_pose_is_within_the_budget_of_the_predicted_one(name: str) -> None:
    """Any gains, dead time and lag within the bounds, any commands before: body and control point."""
    robot = believed(name)
    model, parameters = robot.as_array(), COVERED.as_array(DT)
    rng = np.random.default_rng(1)
    tightest = 0.0
    for trial in range(1500):
        corner = rng.random() < 0.5
        pick = (lambda: rng.choice([-1.0, 1.0])) if corner else (lambda: rng.uniform(-1.0, 1.0))
        plant = model.copy()
        plant[DELAY] = max(model[DELAY] + 0.025 * pick(), 0.0)
        plant[LAG] = max(model[LAG] + 0.02 * pick(), 0.0)
        gain = 1.0 + 0.2 * np.array([pick(), pick()])
        count = int(rng.integers(4, 12))
        if trial % 3 == 0:
            commands = np.tile([robot.v_max, robot.omega_max * rng.uniform(-1, 1)], (count, 1))
        else:
            commands = np.column_stack(
                [rng.uniform(0, robot.v_max, count), robot.omega_max * rng.uniform(-1, 1, count)]
            )
        states, rest = drive(plant, commands, gain, np.array([0.0, 0.0, rng.uniform(-3, 3), 0.0, 0.0]))
        # What the filter knows: the true pose, the velocity that its own model has under the same commands.
        modelled, _ = drive(model, commands, np.ones(2), np.zeros(5))
        known = states[-1].copy()
        known[3:] = modelled[-1, 3:]
        history = np.zeros((16, 2))
        history[:count] = commands[::-1]
        ahead, predicted = np.empty(5), np.empty(5)
        state_at_actuation(known, history, model, DT, DT, 0.0, ahead)
        stopping_pose(ahead, model[LAG], predicted)
        peak = peaks(known[3], known[4], history, model[DELAY] + parameters[DELAY_ERROR], DT)
        out = np.empty(SIZE)
        write_budget(model, model, parameters, (0.0, 0.0), (0.0, 0.0), *peak, 0.0, DT, out)
        for bearing in np.linspace(-math.pi, math.pi, 24, endpoint=False):
            toward = np.array([math.cos(predicted[2] + bearing), math.sin(predicted[2] + bearing)])
            share = along(math.cos(bearing), math.sin(bearing), out[SPREAD], False)
            margin = out[GROWTH] * out[PEAK] * share + out[PATH]
            # Short of the prediction it is on its way there, where it has been verified before.
            way = max(float((known[:2] - predicted[:2]) @ toward), 0.0)
            beyond = float((rest[:2] - predicted[:2]) @ toward) - way
            assert beyond <= margin + 1e-9, (name, trial, bearing)
            tips = [
                np.array([math.cos(pose[2]), math.sin(pose[2])]) * robot.vcp_offset + pose[:2]
                for pose in (rest, predicted)
            ]
            assert float((tips[0] - tips[1]) @ toward) - way <= margin + out[HEADING] + 1e-9, (
                name,
                trial,
                bearing,
            )
            tightest = max(tightest, beyond / margin)
    # The bound is one that robots come near to.
    assert tightest > 0.5


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
    out = budget(robot, COVERED, age=age)
    rng = np.random.default_rng(seed)
    nx, ny = math.cos(bearing), math.sin(bearing)
    extent = opponent_extent(nx, ny, np.array([0.0, 0.0, heading, 0.0, 0.0]), model, out)
    # Any velocities within the limits (and the gains) for all of the window.
    window = age + 0.045 + 0.07
    pose = np.array([0.0, 0.0, heading])
    n = 40
    v = 1.2 * rng.choice([robot.v_min, 0.0, robot.v_max], n) if seed % 2 else np.full(n, 1.2 * robot.v_max)
    omega = (
        1.2 * robot.omega_max * (rng.choice([-1.0, 1.0]) if seed % 3 else rng.uniform(-1, 1, n)) * np.ones(n)
    )
    for i in range(n):
        pose[2] += omega[i] * window / n
        pose[:2] += v[i] * window / n * np.array([math.cos(pose[2]), math.sin(pose[2])])
        assert nx * pose[0] + ny * pose[1] <= extent + 1e-9
    opponent = np.array([0.0, 0.0, heading, 0.0, 0.0])
    if opponent_leaves(nx, ny, opponent, model, out):
        assert extent == 0.0 and not reverse


def test_margins_of_barriers_count_what_lies_ahead() -> None:
    robot = believed("turtlebot3_burger")
    model = robot.as_array()
    out = budget(robot, COVERED, (0.005, 0.005), (robot.v_max, 0.0))
    nobody = np.zeros(5)
    ahead = barrier_margin(-1.0, 0.0, 1.0, 0.0, False, nobody, model, model, out)
    behind = barrier_margin(1.0, 0.0, -1.0, 0.0, False, nobody, model, model, out)
    assert ahead == pytest.approx(out[STATIC] + out[DELAY_TERM] + out[LAG_TERM] + out[GAIN_TERM])
    assert behind == pytest.approx(out[STATIC])
    assert out[STATIC] == pytest.approx(out[STATE] + out[PATH] + 0.01)


def test_peaks_look_back_over_the_window_only() -> None:
    history = np.array([[0.1, 0.0], [0.5, -2.0], [0.9, 0.0]])
    assert peaks(0.05, 0.3, history, 0.0, DT) == (0.1, 0.3)
    assert peaks(0.05, 0.3, history, 0.05, DT) == (0.5, 2.0)
    assert peaks(-0.7, 0.3, history, 0.05, DT) == (0.7, 2.0)
    assert peaks(0.0, 0.0, history, 9.0, DT) == (0.9, 2.0)


def test_the_opponents_heading_errs_by_more_than_its_covariance_says() -> None:
    """An estimator's heading error is the opponent's estimator's too: seen across, it may come that much nearer."""
    robot, seen = RobotModel(delay=0.05), np.array([0.0, 0.0, 0.0, 1.0, 0.0])
    reaches = []
    for error in (0.0, 0.1):
        terms = budget(robot, SafetyParameters(heading_error=error), age=0.1)
        reaches.append(opponent_extent(math.cos(1.0), math.sin(1.0), seen, robot.as_array(), terms))
    turn = robot.omega_max * 0.15
    assert reaches == pytest.approx([0.15 * math.cos(1.0 - turn), 0.15 * math.cos(1.0 - turn - 0.1)])


@pytest.mark.parametrize("distance", [0.3, 0.6, 1.2, 2.4, 4.8])
def test_a_margin_that_a_faster_command_makes_grow_counts_from_afar(distance: float) -> None:
    """A robot at rest told to go at full speed: h(x+) >= (1 - gamma) h(x) with the margin that will hold then."""
    parameters, robot = SafetyParameters(acceleration_min=1.0), RobotModel()
    safety, arena = SafetyFilter(parameters, robot, robot, DT), Arena(10.0, np.zeros((0, 3)))
    start, far = np.array([9.8 - distance, 0.0, 0.0, 0.0, 0.0]), np.array([-9.0, 9.0, 0.0, 0.0, 0.0])
    result = safety.step(start, (1.0, 0.0), far, arena, peaks=(0.0, 0.0))
    v, omega = result.command
    assert v > 0.0
    moved = start + [v * DT, 0.0, 0.0, v, omega]
    later = safety.barriers(moved, far, arena, peaks=(v, abs(omega)))
    assert later["wall_east"] >= 0.8 * result.barriers["wall_east"] - 1e-9

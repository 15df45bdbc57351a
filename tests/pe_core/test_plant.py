"""The plant: one exact arc without lag and delay; exact lag, dead time, truncation and coupling with them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from pe_core.plant import HISTORY, Plant, plant_step, state_at_actuation, stopping_pose
from pe_core.robot import RobotModel, load_robot
from pe_core.unicycle import arc_step

DT = 0.05
BOUNDED = settings(derandomize=True, max_examples=40)


def simulate(model: RobotModel, commands: list[tuple[float, float]], dt: float = DT) -> np.ndarray:
    """(x, y, theta, v, omega) after the commands, from rest at the origin, integrated between switching times."""

    def command_at(t: float) -> tuple[float, float]:
        k = math.floor((t - model.delay) / dt + 1e-9)
        return commands[min(k, len(commands) - 1)] if k >= 0 else (0.0, 0.0)

    end = dt * len(commands)
    edges = sorted({0.0, end, *(t for k in range(len(commands)) if 0.0 < (t := k * dt + model.delay) < end)})
    state = np.zeros(5)
    for start, stop in zip(edges, edges[1:], strict=False):
        v, omega = command_at(0.5 * (start + stop))
        if model.lag == 0.0:
            state[3:] = v, omega

        def flow(_: float, s: np.ndarray, v: float = v, omega: float = omega) -> list[float]:
            rates = [0.0, 0.0] if model.lag == 0.0 else [(v - s[3]) / model.lag, (omega - s[4]) / model.lag]
            return [s[3] * math.cos(s[2]), s[3] * math.sin(s[2]), s[4], *rates]

        state = solve_ivp(flow, (start, stop), state, method="DOP853", rtol=1e-11, atol=1e-12).y[:, -1]
    return state


def test_without_lag_and_delay_a_step_is_one_arc_bit_for_bit() -> None:
    pose = np.array([1.0, -2.0, 0.3])
    plant = Plant(RobotModel(), pose)
    for v, omega in ((0.7, 1.3), (0.0, -2.84), (1.0, 0.0)):
        wanted = arc_step(pose[0], pose[1], pose[2], v, omega, DT)
        state = plant.step((v, omega), DT)
        assert tuple(state) == (*wanted, v, omega)
        pose = state[:3].copy()


def test_lag_is_the_exact_first_order_response() -> None:
    plant = Plant(RobotModel(lag=0.08), np.zeros(3))
    for k in range(1, 11):
        state = plant.step((0.8, 1.5), DT)
        rise = 1.0 - math.exp(-k * DT / 0.08)
        assert state[3] == pytest.approx(0.8 * rise, abs=1e-12)
        assert state[4] == pytest.approx(1.5 * rise, abs=1e-12)


def test_straight_run_under_lag_covers_the_exact_distance() -> None:
    plant = Plant(RobotModel(lag=0.08), np.zeros(3))
    for _ in range(7):
        plant.step((1.0, 0.0), DT)
    t = 7 * DT
    assert plant.state[0] == pytest.approx(t - 0.08 * (1.0 - math.exp(-t / 0.08)), abs=1e-12)


@pytest.mark.parametrize("delay", [0.01, 0.02, 0.0371, 0.05, 0.12, 0.5])
def test_dead_time_of_any_fraction_of_the_period(delay: float) -> None:
    plant = Plant(RobotModel(delay=delay), np.zeros(3))
    for k in range(1, 15):
        plant.step((1.0, 0.0), DT)
        assert plant.state[0] == pytest.approx(max(k * DT - delay, 0.0), abs=1e-9)


@BOUNDED
@given(
    st.floats(0.02, 0.3),
    st.floats(0.0, 0.15),
    st.lists(st.tuples(st.floats(0.0, 1.0), st.floats(-2.8, 2.8)), min_size=1, max_size=6),
)
def test_lag_and_delay_together_equal_numerical_integration(
    lag: float, delay: float, commands: list[tuple[float, float]]
) -> None:
    model = RobotModel(lag=lag, delay=delay)
    plant = Plant(model, np.zeros(3))
    for command in commands:
        plant.step(command, DT)
    wanted = simulate(model, commands)
    assert np.abs(plant.state[3:] - wanted[3:]).max() < 1e-8
    assert abs(math.remainder(plant.state[2] - wanted[2], 2 * math.pi)) < 1e-8
    # Arcs of a mean velocity over a tenth of a period: the path's error is of third order in the substep.
    assert np.abs(plant.state[:2] - wanted[:2]).max() < 1e-5


def test_turtlebots_truncate_toward_zero() -> None:
    plant = Plant(RobotModel(v_quantum=0.01, omega_quantum=0.01), np.zeros(3))
    assert tuple(plant.step((0.0199, -0.0199), DT)[3:]) == (0.01, -0.01)
    assert tuple(plant.step((0.0099, 0.0099), DT)[3:]) == (0.0, 0.0)


def test_wheel_speed_limit_acts_in_the_plant() -> None:
    waffle = load_robot("turtlebot3_waffle")
    ideal = RobotModel(
        v_max=waffle.v_max, omega_max=waffle.omega_max, track=waffle.track, wheel_speed_max=0.266
    )
    v, omega = Plant(ideal, np.zeros(3)).step((0.26, 1.82), DT)[3:]
    assert v + 0.5 * waffle.track * omega == pytest.approx(0.266)
    assert omega / v == pytest.approx(7.0)


@pytest.mark.parametrize("model", [RobotModel(), RobotModel(lag=0.05, delay=0.02), load_robot("turtlebot4")])
def test_commands_that_are_not_finite_stop_the_axis(model: RobotModel) -> None:
    plant = Plant(model, np.zeros(3))
    for _ in range(60):
        plant.step((math.nan, math.inf), DT)
    assert np.isfinite(plant.state).all()
    np.testing.assert_allclose(plant.state, 0.0, atol=1e-12)


def test_reset_forgets_motion_and_commands_under_way() -> None:
    plant = Plant(RobotModel(lag=0.1, delay=0.1), np.zeros(3))
    plant.step((1.0, 1.0), DT)
    plant.reset(np.array([1.0, 2.0, 3.0]))
    for _ in range(5):
        plant.step((0.0, 0.0), DT)
    assert tuple(plant.state) == (1.0, 2.0, 3.0, 0.0, 0.0)


def test_short_history_gives_what_the_long_one_gives() -> None:
    model = RobotModel(lag=0.05, delay=0.12)
    array = model.as_array()
    long, short = np.zeros((HISTORY, 2)), np.zeros((math.ceil(0.12 / DT) + 2, 2))
    a, b = np.zeros(5), np.zeros(5)
    for k in range(20):
        command = (0.5 + 0.5 * math.sin(k), 2.0 * math.cos(k))
        for history in (long, short):
            history[1:] = history[:-1].copy()
            history[0] = command
        plant_step(a, long, array, DT)
        plant_step(b, short, array, DT)
        np.testing.assert_array_equal(a, b)


@BOUNDED
@given(st.floats(0.01, 0.3), st.floats(-1, 1), st.floats(-2.8, 2.8))
def test_stopping_pose_is_where_a_stopped_robot_comes_to_rest(lag: float, v: float, omega: float) -> None:
    state = np.array([0.4, -0.3, 0.9, v, omega])
    pose = np.empty(5)
    stopping_pose(state, lag, pose)
    array = RobotModel(lag=lag).as_array()
    for _ in range(math.ceil(25 * lag / 0.005)):
        plant_step(state, np.zeros((1, 2)), array, 0.005)
    assert np.abs(state[:2] - pose[:2]).max() < 1e-6
    assert abs(math.remainder(state[2] - pose[2], 2 * math.pi)) < 1e-8


def test_stopping_pose_without_lag_is_the_pose() -> None:
    state, pose = np.array([0.4, -0.3, 0.9, 1.0, 2.0]), np.empty(5)
    stopping_pose(state, 0.0, pose)
    np.testing.assert_array_equal(pose, state)


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.05, 0.12])
def test_state_at_actuation_is_where_the_plant_will_be(delay: float) -> None:
    model = RobotModel(lag=0.05, delay=delay)
    array = model.as_array()
    plant, history = Plant(model, np.zeros(3)), np.zeros((8, 2))
    for k in range(10):
        history[1:] = history[:-1].copy()
        history[0] = (0.5 + 0.5 * math.sin(k), 2.0 * math.cos(k))
        plant.step(history[0], DT)
    predicted = np.empty(5)
    state_at_actuation(plant.state, history, array, DT, DT, 0.0, predicted)
    # Whatever is sent from here on acts only after the dead time: run the plant on in small steps until then.
    fine = 0.01
    assert predicted[2] == pytest.approx(
        _run_on(model, plant.state.copy(), history, delay, fine)[2], abs=1e-9
    )
    np.testing.assert_allclose(predicted, _run_on(model, plant.state.copy(), history, delay, fine), atol=1e-5)


def _run_on(
    model: RobotModel, state: np.ndarray, history: np.ndarray, duration: float, fine: float
) -> np.ndarray:
    """The plant at a finer control period, each command repeated."""
    repeats = round(DT / fine)
    commands = np.repeat(history, repeats, axis=0)
    for _ in range(round(duration / fine)):
        commands = np.concatenate([[[9.9, 9.9]], commands])  # not yet in force
        plant_step(state, commands, model.as_array(), fine)
    return state

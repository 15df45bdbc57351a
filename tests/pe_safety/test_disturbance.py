"""The learned disturbance in a control step: residuals, gate, cold start, kappa."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pe_core.config import ConfigurationError
from pe_core.robot import DELAY, RobotModel
from pe_core.unicycle import wrap_angle
from pe_safety.disturbance.kappa import KappaSchedule
from pe_safety.disturbance.model import AHEAD, LearnedDisturbance
from pe_safety.disturbance.parameters import DisturbanceParameters
from pe_safety.disturbance.residual import acting_command, displaced, residual, write_inputs
from pe_safety.disturbance.simulation import Imperfection, ImperfectRobot, simulated_residuals

ROBOT = RobotModel()
PARAMETERS = DisturbanceParameters()
DT = 0.05
HALF_SIDE = 10.0

finite = st.floats(-20.0, 20.0)
angle = st.floats(-math.pi, math.pi)
pose = st.tuples(finite, finite, angle).map(np.array)


def test_residual_of_known_motion() -> None:
    start, nominal = np.array([1.0, 2.0, math.pi / 2]), np.array([1.0, 2.05, math.pi / 2])
    observed = np.array([0.99, 2.06, math.pi / 2 + 0.02])
    # The robot looks along +y: what it did beyond the plan is 1 cm ahead and 1 cm to the left, in 50 ms.
    assert residual(start, nominal, observed, DT) == pytest.approx((0.2, 0.2, 0.4))


@given(pose, pose, st.tuples(*[st.floats(-3.0, 3.0)] * 3).map(np.array))
def test_residual_and_displacement_are_inverse(start: np.ndarray, nominal: np.ndarray, d: np.ndarray) -> None:
    observed = np.array(displaced(start, nominal, d, DT))
    assert residual(start, nominal, observed, DT) == pytest.approx(tuple(d), abs=1e-9)
    again = displaced(start, nominal, np.array(residual(start, nominal, observed, DT)), DT)
    assert again[:2] == pytest.approx(tuple(observed[:2]), abs=1e-9)
    assert wrap_angle(again[2] - observed[2]) == pytest.approx(0.0, abs=1e-9)


def test_residual_has_no_seam_at_half_a_turn() -> None:
    start = np.array([0.0, 0.0, math.pi - 0.01])
    nominal, observed = np.array([0.0, 0.0, math.pi - 0.005]), np.array([0.0, 0.0, -math.pi + 0.005])
    assert residual(start, nominal, observed, DT)[2] == pytest.approx(0.2)
    z = np.empty((2, 8))
    for i, theta in enumerate((math.pi, -math.pi)):
        write_inputs(np.array([1.0, 2.0, theta, 0.0, 0.0]), 0.5, 0.1, np.array([10.0, 1.0, 2.84]), z[i])
    np.testing.assert_allclose(z[0], z[1], atol=1e-12)


@pytest.mark.parametrize(("delay", "wanted"), [(0.0, 1.0), (0.05, 2.0), (0.06, 2.2), (0.02, 1.4), (9.0, 4.0)])
def test_acting_command_is_the_mean_over_the_step(delay: float, wanted: float) -> None:
    model = ROBOT.as_array()
    model[DELAY] = delay
    history = np.array([[1.0, -1.0], [2.0, -2.0], [3.0, -3.0], [4.0, -4.0]])
    assert acting_command(history, model, DT) == pytest.approx((wanted, -wanted))


def test_kappa_decays_from_twice_its_nominal() -> None:
    schedule = KappaSchedule(1.5, factor=2.0, tau=50.0, end=0.01)
    assert schedule.value == pytest.approx(3.0)
    values = [schedule.step(0.5) for _ in range(300)]
    assert values[49] == pytest.approx(1.5 * (1.0 + math.exp(-1.0)))
    assert values[99] == pytest.approx(1.5 * (1.0 + math.exp(-2.0)))
    assert all(b < a for a, b in zip(values, values[1:], strict=False))
    assert values[-1] == pytest.approx(1.5, rel=0.01) and not schedule.ended


def test_kappa_ends_early_and_stays_so_until_reset() -> None:
    schedule = KappaSchedule(2.0)
    assert schedule.step(math.nan) > 2.0
    assert schedule.step(0.01) > 2.0
    assert schedule.step(0.0099) == 2.0
    assert schedule.step(1.0) == 2.0 and schedule.ended
    schedule.reset()
    assert schedule.value == 4.0


@pytest.mark.parametrize(
    "values", [(-1.0, 2.0, 50.0), (1.0, 0.5, 50.0), (1.0, 2.0, 0.0), (math.nan, 2.0, 50.0)]
)
def test_kappa_refuses_what_makes_no_sense(values: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="kappa"):
        KappaSchedule(*values)


def test_parameters_are_bounded() -> None:
    with pytest.raises(ConfigurationError, match="window"):
        DisturbanceParameters(window=3)


@pytest.fixture(scope="module")
def shared() -> LearnedDisturbance:
    return LearnedDisturbance(ROBOT, PARAMETERS, DT, HALF_SIDE)


@pytest.fixture
def model(shared: LearnedDisturbance) -> Iterator[LearnedDisturbance]:
    """A model at its cold start."""
    shared.reset()
    yield shared


def drive(
    model: LearnedDisturbance, imperfection: Imperfection, steps: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[float]]:
    """Drive an imperfect robot; per step: what was predicted (mean, sigma), what came, and kappa."""
    rng = np.random.default_rng(seed)
    robot = ImperfectRobot(model.robot, imperfection, np.zeros(3), HALF_SIDE)
    means, sigmas, residuals, kappas = [], [], [], []
    command = (0.0, 0.0)
    for k in range(steps):
        if k % 7 == 0:
            command = (rng.uniform(0.0, ROBOT.v_max), rng.uniform(-1.0, 1.0) * ROBOT.omega_max)
        state = robot.state.copy()
        observed = model.observe(state, k * DT)
        if k:
            assert observed is not None
            residuals.append(observed)
        prediction = model.predict(state, command)
        means.append(prediction.mean)
        sigmas.append(prediction.sigma)
        kappas.append(model.kappa)
        model.command(command)
        robot.step(command, DT)
        if np.abs(robot.state[:2]).max() > 0.95 * HALF_SIDE:
            raise AssertionError("the test drove out of the arena")
    return np.array(means[:-1]), np.array(sigmas[:-1]), np.array(residuals), kappas


@pytest.mark.parametrize(
    "imperfection",
    [
        Imperfection(gain_v=0.85, gain_omega=1.15),
        Imperfection(slip=0.1, side_slip=0.03),
        Imperfection(slope_x=0.1, slope_y=-0.05),
        Imperfection(lag=0.1),
    ],
    ids=["gain", "slip", "slope", "lag"],
)
def test_what_is_learnt_predicts_the_robot(model: LearnedDisturbance, imperfection: Imperfection) -> None:
    mean, sigma, came, kappa = drive(model, imperfection, 260)
    early, late = slice(0, 10), slice(100, None)
    assert (np.abs(came - mean)[late] <= 2.0 * sigma[late]).mean() >= 0.95
    # The error that is left against that of a filter which learns nothing.
    error = np.sqrt(np.mean((came - mean)[late] ** 2, axis=0))
    assert (error <= 0.15 * np.sqrt(np.mean(came[late] ** 2, axis=0)) + 2e-3).all()
    # The margin shrinks as data come.
    assert (sigma[late].mean(axis=0) < 0.2 * sigma[early].mean(axis=0)).all()
    assert kappa[0] == 2.0 * PARAMETERS.kappa
    assert kappa[AHEAD - 1] > PARAMETERS.kappa, "no end before the mean deviation is known"
    assert kappa[-1] == PARAMETERS.kappa and model.mean_sigma < PARAMETERS.kappa_end


def test_a_wild_robot_keeps_kappa_up(model: LearnedDisturbance) -> None:
    rng = np.random.default_rng(0)
    state = np.zeros(5)
    for k in range(120):
        model.observe(state, k * DT)
        model.command((0.5, 0.0))
        state = np.array([*displaced(state, state, rng.normal(0.0, (0.2, 0.1, 0.3)), DT), 0.5, 0.0])
    assert model.mean_sigma > 0.05
    assert model.kappa == pytest.approx(PARAMETERS.kappa * (1.0 + math.exp(-119 / 50.0)))
    # What is not explained stays in sigma: the robot does move by it.
    assert model.predict(state, (0.5, 0.0)).sigma[0] > 0.12


def test_measurement_noise_is_not_taken_for_disturbance() -> None:
    noise = 0.1
    parameters = dataclasses.replace(
        PARAMETERS, measured_forward=noise, measured_lateral=noise, measured_turn=noise, prefilled=0
    )
    model = LearnedDisturbance(ROBOT, parameters, DT, HALF_SIDE)
    rng = np.random.default_rng(0)
    state = np.array([0.0, 0.0, 0.0, 0.5, 0.0])
    for k in range(200):
        model.observe(state, k * DT)
        model.command((0.5, 0.0))
        nominal = np.array([state[0] + 0.5 * DT, state[1], state[2]])
        state = np.array([*displaced(state, nominal, rng.normal(0.0, noise, 3), DT), 0.5, 0.0])
    sigma = model.predict(state, (0.5, 0.0)).sigma
    assert (sigma < 0.6 * noise).all()


def test_slope_by_the_command_is_the_derivative(model: LearnedDisturbance) -> None:
    drive(model, Imperfection(gain_v=0.85, gain_omega=1.15, side_slip=0.02), 120)
    state, command, step = np.array([0.3, -0.2, 0.4, 0.4, 0.3]), np.array([0.5, 0.2]), 1e-5
    slope = model.predict(state, command).slope
    for j in range(2):
        offset = step * np.eye(2)[j]
        up, down = (model.predict(state, command + sign * offset).mean for sign in (1.0, -1.0))
        np.testing.assert_allclose(slope[:, j], (up - down) / (2.0 * step), rtol=1e-4, atol=1e-6)
    # A forward gain of 0.85 is a residual of -0.15 m/s for each m/s.
    assert slope[0, 0] == pytest.approx(-0.15, abs=0.03)
    assert slope[2, 1] == pytest.approx(0.15, abs=0.03)


def test_sigma_is_at_least_the_prior_where_nothing_is_known(model: LearnedDisturbance) -> None:
    drive(model, Imperfection(gain_v=0.85), 200)
    sigma = model.predict((1000.0, -1000.0, 0.0, 0.0, 0.0), (0.0, 0.0)).sigma
    scale = np.array([ROBOT.v_max, ROBOT.v_max, ROBOT.omega_max])
    prior = np.array([PARAMETERS.prior_forward, PARAMETERS.prior_lateral, PARAMETERS.prior_turn])
    assert (sigma >= prior * scale * (1.0 - 1e-9)).all()
    np.testing.assert_allclose(
        model.predict((1000.0, -1000.0, 0.0, 0.0, 0.0), (0.0, 0.0)).mean, 0.0, atol=1e-9
    )


def test_nothing_that_is_not_finite_gets_in_or_out(model: LearnedDisturbance) -> None:
    for k in range(40):
        state = np.array([0.01 * k, 0.0, 0.0, 0.2, 0.0])
        if k % 4 == 2:
            state[k % 5] = (math.nan, math.inf)[k % 8 == 2]
        model.observe(state, k * DT)
        model.command((math.nan, 0.0) if k == 5 else (0.2, 0.0))
    assert model.counts.not_finite == 10
    assert model.counts.accepted == 19, "a pair of finite states is needed"
    for query in (math.nan, math.inf, -math.inf, 1e300):
        for place in range(7):
            values = np.zeros(7)
            values[place] = query
            prediction = model.predict(values[:5], values[5:])
            assert np.isfinite(prediction.mean).all() and np.isfinite(prediction.slope).all()
            assert np.isfinite(prediction.sigma).all() and (prediction.sigma > 0.0).all()


def test_a_yaw_spike_is_an_outlier_and_is_forgotten(model: LearnedDisturbance) -> None:
    for k in range(60):
        state = np.array([0.025 * k, 0.0, 3.0 if k == 30 else 0.0, 0.5, 0.0])
        model.observe(state, k * DT)
        model.command((0.5, 0.0))
    assert model.counts.outliers == 2, "the jump there and the jump back"
    assert model.counts.accepted == 57
    assert np.abs(model.predict(np.array([1.5, 0.0, 0.0, 0.5, 0.0]), (0.5, 0.0)).mean).max() < 0.01


def test_a_world_that_changed_is_learnt_anew(model: LearnedDisturbance) -> None:
    state = np.array([0.0, 0.0, 0.0, 0.5, 0.0])
    speed = 0.5
    for k in range(200):
        if k == 120:
            speed = 2.5  # far outside the gate, for good
        model.observe(state, k * DT)
        model.command((0.5, 0.0))
        if k == 119:
            assert model.kappa == PARAMETERS.kappa
        if k == 120 + PARAMETERS.distrust_after:
            assert model.counts.forgotten == 1
            assert model.kappa == 2.0 * PARAMETERS.kappa
        state = np.array([state[0] + speed * DT, 0.0, 0.0, 0.5, 0.0])
    assert model.counts.forgotten >= 1


def test_teleport_is_no_residual(model: LearnedDisturbance) -> None:
    model.observe((0.0, 0.0, 0.0, 0.0, 0.0), 0.0)
    model.command((0.0, 0.0))
    model.interrupt()
    assert model.observe((0.05, 0.0, 0.0, 0.0, 0.0), DT) is None
    assert model.counts.outliers == 0 and model.counts.accepted == 0
    assert model.observe((0.05, 0.0, 0.0, 0.0, 0.0), 2 * DT) is not None


@pytest.mark.parametrize("elapsed", [0.0, -0.05, 0.02, 0.2, math.nan])
def test_an_irregular_step_is_no_residual(model: LearnedDisturbance, elapsed: float) -> None:
    model.observe(np.zeros(5), 1.0)
    model.command((0.0, 0.0))
    assert model.observe(np.zeros(5), 1.0 + elapsed) is None
    assert model.counts.irregular == 1


def test_reset_is_a_cold_start(model: LearnedDisturbance) -> None:
    state, command = (0.5, 0.5, 0.5, 0.5, 0.5), (0.5, 0.5)
    before = model.predict(state, command)
    drive(model, Imperfection(gain_v=0.8, gain_omega=0.8), 130)
    learnt = model.predict(state, command)
    assert abs(learnt.mean[0] - before.mean[0]) > 0.05
    model.reset()
    after = model.predict(state, command)
    np.testing.assert_array_equal(after.mean, before.mean)
    np.testing.assert_array_equal(after.sigma, before.sigma)
    assert model.kappa == 2.0 * PARAMETERS.kappa
    assert model.counts.accepted == 0 and model.mean_sigma == math.inf


def test_simulated_residuals_do_not_pass_for_knowledge_of_this_robot(model: LearnedDisturbance) -> None:
    """200 residuals of other robots must not make sigma small: gains differ by 20 %."""
    prediction = model.predict((0.0, 0.0, 0.0, 0.8, 0.0), (0.8, 0.0))
    assert prediction.sigma[0] > 0.07
    assert len(model.posterior.inputs) == 200


def test_the_seed_decides_everything() -> None:
    first, again = (simulated_residuals(ROBOT, HALF_SIDE, DT, 50, 3) for _ in range(2))
    other = simulated_residuals(ROBOT, HALF_SIDE, DT, 50, 4)
    np.testing.assert_array_equal(first[1], again[1])
    assert not np.array_equal(first[1], other[1])
    models = [LearnedDisturbance(ROBOT, PARAMETERS, DT, HALF_SIDE) for _ in range(2)]
    runs = [drive(each, Imperfection(gain_v=0.9, side_slip=0.02), 60) for each in models]
    for left, right in zip(runs[0], runs[1], strict=True):
        np.testing.assert_array_equal(left, right)


def test_window_keeps_the_newest(model: LearnedDisturbance) -> None:
    size = PARAMETERS.window
    for k in range(size + 11):
        model.observe((0.001 * k, 0.0, 0.0, 0.02, 0.0), k * DT)
        model.command((0.02, 0.0))
    inputs = model.posterior.inputs
    assert len(inputs) == size
    # x / L of the newest residual's start is the last but one before the last refit; all are this robot's.
    assert np.allclose(np.diff(inputs[:, 2]), 0.0001, atol=1e-9)


@pytest.mark.parametrize("profile", [dataclasses.replace(ROBOT, lag=0.1, delay=0.07), ROBOT])
def test_a_robot_as_modelled_has_no_residual(profile: RobotModel) -> None:
    model = LearnedDisturbance(profile, dataclasses.replace(PARAMETERS, prefilled=0), DT, HALF_SIDE)
    _, _, came, _ = drive(model, Imperfection(), 40)
    np.testing.assert_allclose(came, 0.0, atol=1e-9)


def test_a_small_robot_has_small_deviations() -> None:
    small = dataclasses.replace(ROBOT, v_max=0.22, radius=0.1)
    model = LearnedDisturbance(small, PARAMETERS, DT, 2.2)
    assert model.predict(np.zeros(5), (0.0, 0.0)).sigma[0] < 0.22 * 0.5


def test_no_data_at_all_gives_the_prior() -> None:
    model = LearnedDisturbance(ROBOT, dataclasses.replace(PARAMETERS, prefilled=0), DT, HALF_SIDE)
    mean, sigma = model.predict(np.zeros(5), (0.5, 0.0))
    assert (mean == 0.0).all() and sigma[0] >= PARAMETERS.prior_forward


def test_sigma_grows_at_once_where_the_floor_changes(model: LearnedDisturbance) -> None:
    """A change too small for the gate, after which a sure posterior would be wrong until the window is new."""
    rng = np.random.default_rng(0)
    state, errors, bare = np.array([0.0, 0.0, 0.0, 0.5, 0.0]), [], []
    prediction, inflation = model.predict(state, (0.5, 0.0)), 1.0
    for k in range(160):
        accepted = model.observe(state, k * DT)
        if k > 130:
            assert accepted is not None
            errors.append(abs(accepted[1] - prediction.mean[1]) / prediction.sigma[1])
            bare.append(errors[-1] * inflation)
        prediction, inflation = model.predict(state, (0.5, 0.0)), model.inflation[1]
        model.command((0.5, 0.0))
        d = np.array([0.0, 0.1 if k >= 130 else 0.0, 0.0]) + rng.normal(0.0, 0.003, 3)
        nominal = np.array([state[0] + 0.5 * DT, state[1], state[2]])
        state = np.array([*displaced(state, nominal, d, DT), 0.5, 0.0])
    assert model.counts.outliers == 0
    assert min(bare[1:5]) > 5.0, "the posterior alone is wrong and sure"
    assert max(errors[2:]) < 3.3

"""The Gaussian process itself: against a plain dense reference, calibration, duplicates."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.linalg
from scipy.stats import multivariate_normal

from pe_core.robot import RobotModel
from pe_safety.disturbance.likelihood import descend, factorise, objective
from pe_safety.disturbance.posterior import Posterior, Window, fit, generic_hyperparameters
from pe_safety.disturbance.residual import INPUTS, OUTPUTS
from pe_safety.disturbance.simulation import Imperfection, draw_imperfection, drive, simulated_hyperparameters

ROBOT = RobotModel()
DT, HALF_SIDE = 0.05, 10.0
SCALE = np.array([ROBOT.v_max, ROBOT.v_max, ROBOT.omega_max])
PRIOR, MEASURED = np.array([0.1, 0.05, 0.1]), np.zeros(3)
GENERIC = generic_hyperparameters(PRIOR, MEASURED)


def dense(inputs: np.ndarray, others: np.ndarray, phi: np.ndarray) -> np.ndarray:
    """The kernel, written plainly."""
    offset = (inputs[:, None] - others[None]) / np.exp(phi[:-2])
    return np.exp(2.0 * phi[-2]) * np.exp(-0.5 * (offset**2).sum(-1))


def learn(inputs: np.ndarray, residuals: np.ndarray, evaluations: int = 30) -> Posterior:
    hyperparameters = simulated_hyperparameters(ROBOT, HALF_SIDE, DT, 0, GENERIC)
    window = Window(inputs, residuals / SCALE, np.zeros(residuals.shape))
    result = fit(window, hyperparameters, evaluations, SCALE, SCALE[[0, 2]], MEASURED, PRIOR)
    assert result is not None
    return result


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    return drive(ROBOT, draw_imperfection(rng, ROBOT), HALF_SIDE, DT, 240, rng)


def test_likelihood_and_gradient(data: tuple[np.ndarray, np.ndarray]) -> None:
    n = 40
    inputs, targets = data[0][:n], data[1][:n, 0].copy()
    rng = np.random.default_rng(0)
    extra = rng.uniform(0.0, 0.1, n)
    center, width = GENERIC.center[0], GENERIC.width[0]
    phi = center + 0.3 * rng.standard_normal(INPUTS + 2)
    room = [np.empty((n, n)) for _ in range(3)]
    gradient = np.empty(INPUTS + 2)

    def value(at: np.ndarray) -> float:
        return objective(inputs, targets, extra, at, center, width, *room, gradient)

    covariance = dense(inputs, inputs, phi) + np.diag(math.exp(2.0 * phi[-1]) + extra**2)
    wanted = -multivariate_normal(np.zeros(n), covariance).logpdf(targets) - 0.5 * n * math.log(2.0 * math.pi)
    wanted += 0.5 * (((phi - center) / width) ** 2).sum()
    assert value(phi) == pytest.approx(wanted, rel=1e-7)
    exact = gradient.copy()
    numeric = [(value(phi + 1e-5 * e) - value(phi - 1e-5 * e)) / 2e-5 for e in np.eye(INPUTS + 2)]
    np.testing.assert_allclose(exact, numeric, rtol=1e-4, atol=1e-4)


def test_prediction_equals_the_dense_formula(data: tuple[np.ndarray, np.ndarray]) -> None:
    inputs, residuals = data
    posterior = learn(inputs[:200], residuals[:200])
    for o in range(OUTPUTS):
        phi = posterior.hyperparameters.phi[o]
        covariance = dense(inputs[:200], inputs[:200], phi) + math.exp(2.0 * phi[-1]) * np.eye(200)
        factor = scipy.linalg.cho_factor(covariance)
        cross = dense(inputs[200:], inputs[:200], phi)
        mean = cross @ scipy.linalg.cho_solve(factor, residuals[:200, o] / SCALE[o])
        variance = math.exp(2.0 * phi[-2]) - np.einsum("ij,ji->i", cross, scipy.linalg.cho_solve(factor, cross.T))
        sigma = np.sqrt(variance + math.exp(2.0 * phi[-1]))
        predictions = [posterior.predict(z) for z in inputs[200:]]
        np.testing.assert_allclose([p.mean[o] for p in predictions], mean * SCALE[o], atol=1e-6)
        np.testing.assert_allclose([p.sigma[o] for p in predictions], sigma * SCALE[o], rtol=1e-4)


def test_descent_lowers_the_objective_and_respects_bounds(data: tuple[np.ndarray, np.ndarray]) -> None:
    inputs, targets = data[0][:100], data[1][:100, 2] / SCALE[2]
    bounds = [each[2].copy() for each in (GENERIC.center, GENERIC.width, GENERIC.low, GENERIC.high)]
    phi, steps = GENERIC.phi[2].copy(), np.full(INPUTS + 2, 0.15)
    values = [
        descend(inputs, targets.copy(), np.zeros(100), np.array([0, 100]), phi, steps, *bounds, count)
        for count in (1, 10, 30)
    ]
    assert values[2] < values[1] < values[0] - 3.0
    assert (phi >= bounds[2]).all() and (phi <= bounds[3]).all()


def test_the_95_percent_interval_covers_90_to_99() -> None:
    """Twelve robots unlike one another; learnt from 200 noisy residuals each, asked about the next 100."""
    inside = []
    for seed in range(12):
        rng = np.random.default_rng(1000 + seed)
        inputs, residuals = drive(ROBOT, draw_imperfection(rng, ROBOT), HALF_SIDE, DT, 300, rng)
        posterior = learn(inputs[:200], residuals[:200])
        for z, d in zip(inputs[200:], residuals[200:], strict=True):
            mean, sigma = posterior.predict(z)
            inside.append(np.abs(d - mean) <= 1.96 * sigma)
    coverage = np.mean(inside, axis=0)
    assert (coverage >= 0.90).all() and (coverage <= 0.99).all(), coverage


def test_irrelevant_inputs_get_long_lengths() -> None:
    rng = np.random.default_rng(2)
    noise = (0.01, 0.01, 0.02)
    inputs, residuals = drive(ROBOT, Imperfection(gain_v=0.8, noise=noise), HALF_SIDE, DT, 200, rng)
    length = np.exp(learn(inputs, residuals).hyperparameters.phi[0, :INPUTS])
    inputs, residuals = drive(ROBOT, Imperfection(slope_x=0.2, noise=noise), HALF_SIDE, DT, 200, rng)
    sloped = np.exp(learn(inputs, residuals).hyperparameters.phi[0, :INPUTS])
    # A gain error depends on v and not on the heading, a slope the other way round.
    assert length[4] < 0.7 * length[0]
    assert sloped[0] < min(0.8 * sloped[4], 0.7 * length[0])


def test_duplicates_are_no_trouble() -> None:
    inputs = np.tile(np.array([1.0, 0.0, 0.1, 0.1, 0.0, 0.0, 0.0, 0.0]), (200, 1))
    posterior = learn(inputs, np.zeros((200, 3)))
    mean, sigma = posterior.predict(inputs[0])
    np.testing.assert_allclose(mean, 0.0, atol=1e-6)
    assert np.isfinite(sigma).all() and (sigma < 0.01).all()


def test_jitter_rescues_a_singular_covariance() -> None:
    inputs = np.zeros((50, INPUTS))
    phi = np.full(INPUTS + 2, 0.0)
    phi[-1] = math.log(1e-12)
    kernel, factor = np.empty((50, 50)), np.empty((50, 50))
    assert factorise(inputs, phi, np.zeros(50), kernel, factor) >= 1e-10
    inputs[3, 3] = math.nan
    assert factorise(inputs, phi, np.zeros(50), kernel, factor) == -1.0


def test_a_window_that_is_not_finite_has_no_posterior() -> None:
    window = Window(np.full((20, INPUTS), math.nan), np.zeros((20, 3)), np.zeros((20, 3)))
    assert fit(window, GENERIC, 3, SCALE, SCALE[[0, 2]], MEASURED, PRIOR) is None


def test_simulated_hyperparameters_are_repeatable() -> None:
    first, again = (simulated_hyperparameters(ROBOT, HALF_SIDE, DT, 7, GENERIC) for _ in range(2))
    other = simulated_hyperparameters(ROBOT, HALF_SIDE, DT, 8, GENERIC)
    np.testing.assert_array_equal(first.phi, again.phi)
    assert not np.array_equal(first.phi, other.phi)
    assert (first.phi >= GENERIC.low).all() and (first.phi <= GENERIC.high).all()

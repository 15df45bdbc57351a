"""The planar EKF: Jacobians, consistency, wrapping, rejection, floors."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pe_core import ekf
from pe_core.unicycle import arc_step, wrap_angle

TWIST = np.diag([0.02**2, 0.03**2])
POSE = np.diag([0.01**2, 0.01**2, math.radians(0.5) ** 2])


def finite_difference(function, values, step=1e-6):
    columns = []
    for k in range(len(values)):
        ahead, behind = np.array(values, float), np.array(values, float)
        ahead[k] += step
        behind[k] -= step
        columns.append((np.array(function(*ahead)) - np.array(function(*behind))) / (2.0 * step))
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("omega", [0.0, 1e-6, 0.003, 0.9, -2.84])
@pytest.mark.parametrize("theta", [-2.9, 0.0, 1.2])
def test_jacobians_match_finite_differences(theta, omega):
    v, dt = 0.7, 0.05
    by_state, by_twist = ekf.jacobians(theta, v, omega, dt)
    wanted_state = finite_difference(lambda x, y, t: arc_step(x, y, t, v, omega, dt), [0.3, -0.4, theta])
    wanted_twist = finite_difference(lambda a, b: arc_step(0.3, -0.4, theta, a, b, dt), [v, omega])
    assert np.allclose(by_state, wanted_state, atol=1e-8)
    assert np.allclose(by_twist, wanted_twist, atol=1e-8)


def test_prediction_is_the_exact_arc():
    estimate = ekf.initial(np.array([1.0, 2.0, 3.1]), np.zeros((3, 3)))
    after = ekf.predict(estimate, 0.8, 2.0, 0.05, TWIST)
    assert tuple(after.mean) == arc_step(1.0, 2.0, 3.1, 0.8, 2.0, 0.05)
    assert -math.pi < after.mean[2] <= math.pi


def test_no_time_no_change():
    estimate = ekf.initial(np.array([1.0, 2.0, 0.5]), POSE)
    assert ekf.predict(estimate, 1.0, 1.0, 0.0, TWIST) is estimate


def test_normalised_error_is_that_of_three_degrees_of_freedom():
    random = np.random.default_rng(4)
    runs, steps, dt = 60, 100, 0.05
    squares = np.zeros((runs, steps))
    for run in range(runs):
        truth = np.array([0.0, 0.0, random.uniform(-3.0, 3.0)])
        estimate = ekf.initial(truth + random.multivariate_normal(np.zeros(3), POSE), POSE)
        for step in range(steps):
            v, omega = 0.6, 1.5 * math.sin(0.1 * step)
            truth = np.array(arc_step(*truth, v, omega, dt))
            noisy = random.multivariate_normal([v, omega], TWIST)
            estimate = ekf.predict(estimate, noisy[0], noisy[1], dt, TWIST)
            if step % 5 == 0:
                measured = truth + random.multivariate_normal(np.zeros(3), POSE)
                estimate, _, accepted = ekf.correct(estimate, measured, POSE, 10.0)
                assert accepted
            error = truth - estimate.mean
            error[2] = wrap_angle(error[2])
            squares[run, step] = error @ np.linalg.solve(estimate.covariance, error)
    # The mean of 60 x 100 correlated chi-square(3) values; 2.5 to 3.5 is far outside its spread of about 0.15.
    assert 2.5 < squares.mean() < 3.5
    assert np.mean(squares > 11.34) < 0.03  # the 99 % quantile


def test_correction_across_the_cut_of_the_heading():
    estimate = ekf.initial(np.array([0.0, 0.0, math.pi - 0.01]), np.eye(3) * 0.01)
    corrected, distance, accepted = ekf.correct(estimate, np.array([0.0, 0.0, -math.pi + 0.01]), POSE, 3.0)
    assert accepted and distance < 0.3
    assert abs(wrap_angle(corrected.mean[2] - math.pi)) < 0.011


def test_outlier_is_rejected_and_changes_nothing():
    estimate = ekf.initial(np.zeros(3), POSE)
    after, distance, accepted = ekf.correct(estimate, np.array([1.0, 0.0, 0.0]), POSE, 3.0)
    assert not accepted and after is estimate and distance > 3.0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_measurement_that_is_not_finite_is_rejected(bad):
    estimate = ekf.initial(np.zeros(3), POSE)
    after, distance, accepted = ekf.correct(estimate, np.array([bad, 0.0, 0.0]), POSE, 3.0)
    assert not accepted and after is estimate and distance == math.inf


def test_covariance_is_never_zero():
    estimate = ekf.initial(np.zeros(3), np.zeros((3, 3)))
    for _ in range(200):
        estimate, _, _ = ekf.correct(estimate, np.zeros(3), np.zeros((3, 3)), 5.0)
        assert (np.linalg.eigvalsh(estimate.covariance) > 0.0).all()
    assert (np.diag(estimate.covariance) >= np.diag(ekf.POSE_FLOOR)).all()


def test_reported_zero_covariance_is_not_certainty():
    assert np.array_equal(ekf.twist_covariance(np.zeros((2, 2)), 0.1, 0.2), np.diag([0.1**2, 0.2**2]))
    assert np.array_equal(ekf.twist_covariance(np.full((2, 2), math.nan), 0.1, 0.2), np.diag([0.1**2, 0.2**2]))
    assert ekf.twist_covariance(np.diag([1.0, 1.0]), 0.1, 0.2)[0, 0] == 1.0


def test_turn_rate_spike_is_gated():
    assert ekf.gate_twist(0.2, 125.0, (0.1, 0.4), 1.0, 3.0) == (0.2, 0.4, True)
    assert ekf.gate_twist(0.2, 2.9, (0.1, 0.4), 1.0, 3.0) == (0.2, 2.9, False)

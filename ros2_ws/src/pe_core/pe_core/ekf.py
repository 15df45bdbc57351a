"""Planar extended Kalman filter: dead reckoning by odometry twist, corrected by absolute poses.

State m = (x, y, theta) [m, m, rad] in the map frame with covariance P (3, 3).  Prediction over dt with the
twist u = (v, omega) of the odometry is the exact arc m' = f(m, u, dt) of :func:`pe_core.unicycle.arc_step`:

    P' = F P F^T + B Q B^T,      F = df/dm,  B = df/du,  Q = cov(v, omega)

Correction by a pose z with covariance R, H = I, innovation y = z - m with its heading wrapped:

    S = P + R,   K = P S^-1,   rejected where sqrt(y^T S^-1 y) > threshold (Mahalanobis),
    P <- (I - K) P (I - K)^T + K R K^T                                     (Joseph form)

Odometry that reports zero covariance says that it reports none, not that it is certain: Q and R never fall
below a floor, and neither does P.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

from pe_core.unicycle import arc_step, wrap_angle

Matrix = NDArray[np.float64]

# Standard deviations that are never undercut: 0.1 mm and 0.006 degrees.
POSE_FLOOR = np.diag([1e-8, 1e-8, 1e-8])


@dataclasses.dataclass(frozen=True, eq=False)
class Estimate:
    """Mean (3,): x, y, theta [m, m, rad], map frame; covariance (3, 3), symmetric, positive definite."""

    mean: Matrix
    covariance: Matrix


def initial(pose: Matrix, covariance: Matrix) -> Estimate:
    """The estimate at a given pose (3,) with covariance (3, 3), floored; the heading is wrapped."""
    return Estimate(np.array([pose[0], pose[1], wrap_angle(float(pose[2]))]), _floored(covariance))


def predict(estimate: Estimate, v: float, omega: float, dt: float, twist_covariance: Matrix) -> Estimate:
    """Advance by ``dt`` [s] of constant (v [m/s], omega [rad/s]); ``twist_covariance`` is (2, 2)."""
    if dt <= 0.0:
        return estimate
    x, y, theta = (float(value) for value in estimate.mean)
    mean = np.array(arc_step(x, y, theta, v, omega, dt))
    by_state, by_twist = jacobians(theta, v, omega, dt)
    covariance = by_state @ estimate.covariance @ by_state.T + by_twist @ twist_covariance @ by_twist.T
    return Estimate(mean, _floored(covariance))


def jacobians(theta: float, v: float, omega: float, dt: float) -> tuple[Matrix, Matrix]:
    """df/dm (3, 3) and df/du (3, 2) of the arc step.

    With half = omega dt / 2, chord c = v dt s(half), s(a) = sin(a) / a, middle angle phi = theta + half:
    x' = x + c cos(phi), y' = y + c sin(phi), theta' = theta + omega dt.
    """
    half = 0.5 * omega * dt
    if abs(half) < 1e-4:
        ratio, slope = 1.0 - half * half / 6.0, -half / 3.0
    else:
        ratio = math.sin(half) / half
        slope = (math.cos(half) - ratio) / half
    middle = theta + half
    c, s = math.cos(middle), math.sin(middle)
    chord = v * dt * ratio
    chord_by_omega = 0.5 * v * dt * dt * slope
    by_state = np.array([[1.0, 0.0, -chord * s], [0.0, 1.0, chord * c], [0.0, 0.0, 1.0]])
    by_twist = np.array(
        [
            [dt * ratio * c, chord_by_omega * c - 0.5 * dt * chord * s],
            [dt * ratio * s, chord_by_omega * s + 0.5 * dt * chord * c],
            [0.0, dt],
        ]
    )
    return by_state, by_twist


def correct(
    estimate: Estimate, pose: Matrix, covariance: Matrix, rejection_threshold: float
) -> tuple[Estimate, float, bool]:
    """Correct by an absolute pose (3,) with covariance (3, 3).

    Returns:
        The estimate (unchanged where rejected), the Mahalanobis distance of the innovation, accepted or not.
        A pose or covariance that is not finite is rejected at an infinite distance.
    """
    if not (np.isfinite(pose).all() and np.isfinite(covariance).all()):
        return estimate, math.inf, False
    noise = _floored(covariance)
    innovation = pose - estimate.mean
    innovation[2] = wrap_angle(float(innovation[2]))
    total = estimate.covariance + noise
    distance = math.sqrt(max(float(innovation @ np.linalg.solve(total, innovation)), 0.0))
    if distance > rejection_threshold:
        return estimate, distance, False
    gain = np.linalg.solve(total, estimate.covariance).T
    mean = estimate.mean + gain @ innovation
    mean[2] = wrap_angle(float(mean[2]))
    rest = np.eye(3) - gain
    joseph = rest @ estimate.covariance @ rest.T + gain @ noise @ gain.T
    return Estimate(mean, _floored(joseph)), distance, True


def twist_covariance(reported: Matrix, v_deviation: float, omega_deviation: float) -> Matrix:
    """Covariance (2, 2) of (v, omega): the reported one (2, 2), but at least the given standard deviations.

    A reported matrix that is not finite or not positive (semi-)definite counts as not reported.
    """
    floor = np.diag([v_deviation**2, omega_deviation**2])
    usable = (
        np.isfinite(reported).all()
        and reported[0, 0] >= 0.0
        and reported[1, 1] >= 0.0
        and reported[0, 1] * reported[1, 0] <= reported[0, 0] * reported[1, 1]
    )
    return np.maximum(reported, floor) if usable else floor


def gate_twist(
    v: float, omega: float, last: tuple[float, float], v_limit: float, omega_limit: float
) -> tuple[float, float, bool]:
    """The twist without spikes: a speed beyond what the robot can do is replaced by the last good one.

    Odometry that differentiates a yaw wrapped at +-pi reports about 2 pi / dt [rad/s] for one sample.

    Returns:
        (v, omega, gated).
    """
    good_v, good_omega = abs(v) <= v_limit, abs(omega) <= omega_limit
    return (v if good_v else last[0]), (omega if good_omega else last[1]), not (good_v and good_omega)


def _floored(covariance: Matrix) -> Matrix:
    symmetric = 0.5 * (covariance + covariance.T)
    low = np.diag(symmetric) < np.diag(POSE_FLOOR)
    if not low.any():
        return symmetric
    return symmetric + np.diag(np.where(low, np.diag(POSE_FLOOR) - np.diag(symmetric), 0.0))

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
from numba import njit
from numpy.typing import NDArray

from pe_core.unicycle import arc_step, half_angle_sinc, wrap_angle

Matrix = NDArray[np.float64]

# Standard deviations that are never undercut: 0.1 mm and 0.006 degrees.
_FLOOR = 1e-8
POSE_FLOOR = np.diag([_FLOOR, _FLOOR, _FLOOR])


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


@njit(cache=True)
def deviations(p: Matrix) -> tuple[float, float]:
    """Standard deviations of a pose from its covariance (3, 3): of the position in its worst direction [m], the
    root of the largest eigenvalue of the 2 x 2 block, and of the heading [rad]; infinite where not finite."""
    middle = 0.5 * (p[0, 0] + p[1, 1])
    largest = middle + math.hypot(0.5 * (p[0, 0] - p[1, 1]), 0.5 * (p[0, 1] + p[1, 0]))
    if not (math.isfinite(largest) and math.isfinite(p[2, 2])):
        return math.inf, math.inf
    return math.sqrt(max(largest, 0.0)), math.sqrt(max(p[2, 2], 0.0))


def usual_deviations(
    odometry: tuple[float, float], pose: tuple[float, float], every: int, dt: float
) -> tuple[float, float]:
    """Deviations [m, rad] of an estimate after its first seconds.

    Args:
        odometry: deviations of its (v, omega) [m/s, rad/s].
        pose: deviations of absolute poses, position and heading [m, rad], which come every ``every`` control periods.
        dt: control period [s].
    """
    mean = np.zeros(3)
    covariance = np.diag([pose[0] ** 2, pose[0] ** 2, pose[1] ** 2])
    for step in range(20 * every):
        advance_in_place(mean, covariance, 0.0, 0.0, dt, odometry[0], odometry[1])
        if step % every == 0:
            correct_in_place(mean, covariance, mean.copy(), pose[0], pose[1])
    position, heading = deviations(covariance)
    return position, heading


@njit(cache=True)
def advance_in_place(
    mean: Matrix, p: Matrix, v: float, omega: float, dt: float, v_deviation: float, omega_deviation: float
) -> None:
    """:func:`predict` with Q = diag(v_deviation^2, omega_deviation^2), compiled, on mean (3,) and p (3, 3)."""
    half = 0.5 * omega * dt
    ratio = half_angle_sinc(half)
    slope = -half / 3.0 if abs(half) < 1e-4 else (math.cos(half) - ratio) / half
    c, s = math.cos(mean[2] + half), math.sin(mean[2] + half)
    chord = v * dt * ratio
    bend = 0.5 * v * dt * dt * slope
    fx, fy = -chord * s, chord * c
    bx, by = bend * c - 0.5 * dt * chord * s, bend * s + 0.5 * dt * chord * c
    mean[0], mean[1], mean[2] = arc_step(mean[0], mean[1], mean[2], v, omega, dt)
    # F = I but for its last column (fx, fy, 1).
    xx = p[0, 0] + 2.0 * fx * p[0, 2] + fx * fx * p[2, 2]
    xy = p[0, 1] + fx * p[1, 2] + fy * p[0, 2] + fx * fy * p[2, 2]
    yy = p[1, 1] + 2.0 * fy * p[1, 2] + fy * fy * p[2, 2]
    xt, yt = p[0, 2] + fx * p[2, 2], p[1, 2] + fy * p[2, 2]
    qv, qw = (dt * ratio * v_deviation) ** 2, omega_deviation**2
    p[0, 0] = max(xx + qv * c * c + qw * bx * bx, _FLOOR)
    p[1, 1] = max(yy + qv * s * s + qw * by * by, _FLOOR)
    p[2, 2] = max(p[2, 2] + qw * dt * dt, _FLOOR)
    p[0, 1] = p[1, 0] = xy + qv * c * s + qw * bx * by
    p[0, 2] = p[2, 0] = xt + qw * bx * dt
    p[1, 2] = p[2, 1] = yt + qw * by * dt


@njit(cache=True)
def correct_in_place(
    mean: Matrix, p: Matrix, pose: Matrix, position_deviation: float, heading_deviation: float
) -> None:
    """:func:`correct` with R = diag of the squared deviations and no rejection, compiled: R is diagonal, so the
    three components are taken one after the other."""
    innovation = np.empty(3)
    for i in range(3):
        innovation[i] = pose[i] - mean[i]
    innovation[2] = wrap_angle(innovation[2])
    moved = np.zeros(3)
    gain = np.empty(3)
    row = np.empty(3)
    for i in range(3):
        noise = max((position_deviation if i < 2 else heading_deviation) ** 2, _FLOOR)
        total = p[i, i] + noise
        residual = innovation[i] - moved[i]
        for j in range(3):
            gain[j] = p[j, i] / total
            row[j] = p[i, j]
        for j in range(3):
            moved[j] += gain[j] * residual
            for n in range(3):
                p[j, n] -= gain[j] * row[n]
    for i in range(3):
        mean[i] += moved[i]
        p[i, i] = max(p[i, i], _FLOOR)
    mean[2] = wrap_angle(mean[2])


def _floored(covariance: Matrix) -> Matrix:
    symmetric = 0.5 * (covariance + covariance.T)
    low = np.diag(symmetric) < np.diag(POSE_FLOOR)
    if not low.any():
        return symmetric
    return symmetric + np.diag(np.where(low, np.diag(POSE_FLOOR) - np.diag(symmetric), 0.0))

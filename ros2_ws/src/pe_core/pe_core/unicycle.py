"""Unicycle kinematics with exact arc integration.

State (x, y, theta) in metres and radians (REP-103: x forward at theta = 0, positive turn to the left),
command (v, omega) in m/s and rad/s:

    x' = v cos(theta),   y' = v sin(theta),   theta' = omega

With constant (v, omega) over dt the chord of the arc has length v dt sinc(omega dt / 2) and points along
theta + omega dt / 2, which is exact for every omega, zero included.
"""

from __future__ import annotations

import math

from numba import njit


@njit(cache=True)
def wrap_angle(angle: float) -> float:
    """The same angle in (-pi, pi] [rad]."""
    if -math.pi < angle <= math.pi:
        return angle
    wrapped = angle - 2.0 * math.pi * math.floor((angle + math.pi) / (2.0 * math.pi))
    return wrapped if wrapped > -math.pi else math.pi


@njit(cache=True)
def half_angle_sinc(half: float) -> float:
    """sin(half) / half, one at zero; ``half`` [rad]."""
    if abs(half) < 1e-4:
        return 1.0 - half * half / 6.0
    return math.sin(half) / half


@njit(cache=True)
def arc_step(
    x: float, y: float, theta: float, v: float, omega: float, dt: float
) -> tuple[float, float, float]:
    """The pose after ``dt`` seconds of constant (v, omega): exact arc, heading wrapped to (-pi, pi]."""
    half = 0.5 * omega * dt
    chord = v * dt * half_angle_sinc(half)
    middle = theta + half
    return x + chord * math.cos(middle), y + chord * math.sin(middle), wrap_angle(theta + omega * dt)

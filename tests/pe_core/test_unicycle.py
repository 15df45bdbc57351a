"""Exact arcs: against high-resolution integration, near omega = 0, and the wrapped heading."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from pe_core.unicycle import arc_step, half_angle_sinc, wrap_angle

BOUNDED = settings(derandomize=True, max_examples=60)


def integrate(pose: tuple[float, float, float], v: float, omega: float, dt: float) -> np.ndarray:
    """The pose after dt by an adaptive Runge-Kutta method at tolerance 1e-12."""

    def flow(_: float, s: np.ndarray) -> list[float]:
        return [v * math.cos(s[2]), v * math.sin(s[2]), omega]

    return solve_ivp(flow, (0.0, dt), pose, method="DOP853", rtol=1e-12, atol=1e-12).y[:, -1]


@BOUNDED
@given(
    st.tuples(st.floats(-10, 10), st.floats(-10, 10), st.floats(-3.1, 3.1)),
    st.floats(-2, 2),
    st.floats(-10, 10),
    st.floats(0.001, 0.5),
)
def test_arc_equals_numerical_integration(
    pose: tuple[float, float, float], v: float, omega: float, dt: float
) -> None:
    x, y, theta = arc_step(*pose, v, omega, dt)
    wanted = integrate(pose, v, omega, dt)
    assert math.hypot(x - wanted[0], y - wanted[1]) < 1e-9
    assert abs(math.remainder(theta - wanted[2], 2.0 * math.pi)) < 1e-9


def test_arc_is_continuous_where_the_turn_vanishes() -> None:
    straight = np.array(arc_step(1.0, 2.0, 0.7, 1.0, 0.0, 0.05))
    assert straight == pytest.approx([1.0 + 0.05 * math.cos(0.7), 2.0 + 0.05 * math.sin(0.7), 0.7], abs=1e-15)
    for omega in (1e-12, 1e-8, 1e-5, 1e-3):
        for sign in (1.0, -1.0):
            bent = np.array(arc_step(1.0, 2.0, 0.7, 1.0, sign * omega, 0.05))
            assert np.abs(bent - straight).max() < 0.06 * omega + 1e-15


def test_sinc_series_meets_the_quotient_at_the_switch() -> None:
    for half in (0.99e-4, 1e-4, 1.01e-4, -1e-4):
        assert half_angle_sinc(half) == pytest.approx(math.sin(half) / half, abs=1e-15)
    assert half_angle_sinc(0.0) == 1.0


def test_arc_of_two_halves_is_the_arc_of_the_whole() -> None:
    half = arc_step(0.3, -0.2, 1.1, 0.8, -2.5, 0.025)
    assert arc_step(*half, 0.8, -2.5, 0.025) == pytest.approx(
        arc_step(0.3, -0.2, 1.1, 0.8, -2.5, 0.05), abs=1e-15
    )


def test_reversing_the_command_undoes_the_arc() -> None:
    there = arc_step(0.3, -0.2, 1.1, 0.8, 2.5, 0.1)
    assert arc_step(*there, -0.8, -2.5, 0.1) == pytest.approx((0.3, -0.2, 1.1), abs=1e-15)


def test_turn_in_place_does_not_move() -> None:
    assert arc_step(1.5, -2.5, 0.4, 0.0, 2.84, 0.05)[:2] == (1.5, -2.5)


@BOUNDED
@given(st.floats(-1e6, 1e6))
def test_wrapped_angle_is_the_same_direction_in_the_half_open_interval(angle: float) -> None:
    wrapped = wrap_angle(angle)
    assert -math.pi < wrapped <= math.pi
    error = 1e-15 + 4.0 * abs(angle) * np.finfo(float).eps
    assert (
        math.hypot(math.cos(wrapped) - math.cos(angle), math.sin(wrapped) - math.sin(angle))
        < 4.0 * error + 1e-14
    )


def test_wrapping_at_the_ends_of_the_interval() -> None:
    assert wrap_angle(math.pi) == math.pi
    assert wrap_angle(-math.pi) == math.pi
    assert wrap_angle(math.nextafter(-math.pi, 0.0)) == math.nextafter(-math.pi, 0.0)
    for angle in (math.nextafter(math.pi, 4.0), math.nextafter(-math.pi, -4.0), 3 * math.pi, -3 * math.pi):
        assert -math.pi < wrap_angle(angle) <= math.pi
    assert wrap_angle(0.3 + 2.0 * math.pi) == pytest.approx(0.3, abs=1e-15)

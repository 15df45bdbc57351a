"""Yaw through a quaternion: every bit comes back."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pe_core.quaternion import quaternion_of_yaw, yaw_of_quaternion


def test_every_heading_comes_back_exactly():
    random = np.random.default_rng(0)
    headings = np.concatenate([random.uniform(-math.pi, math.pi, 200_000), random.normal(0.0, 1e-3, 1000)])
    missed = [theta for theta in headings if yaw_of_quaternion(*quaternion_of_yaw(theta)) != theta]
    assert missed == []


@pytest.mark.parametrize("theta", [0.0, math.pi, -math.pi / 2, math.pi / 2, 1e-300, -1e-17, math.nextafter(math.pi, 0)])
def test_special_headings(theta):
    z, w = quaternion_of_yaw(theta)
    assert yaw_of_quaternion(z, w) == theta
    assert math.isclose(math.hypot(z, w), 1.0, abs_tol=1e-15)


def test_both_signs_and_any_length_are_the_same_rotation():
    z, w = quaternion_of_yaw(2.5)
    assert yaw_of_quaternion(-z, -w) == 2.5
    assert math.isclose(yaw_of_quaternion(3.0 * z, 3.0 * w), 2.5)

"""Yaw as a unit quaternion about z, and back without losing a bit.

A heading that changes in its last bit on every message would make a recorded game differ from the same game
played in process, once a policy decides between two equally good commands.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

_REACH = 3


@njit(cache=True)
def quaternion_of_yaw(theta: float) -> tuple[float, float]:
    """(z, w) of the rotation by ``theta`` in (-pi, pi] [rad] about z, with ``yaw_of_quaternion(z, w) == theta``.

    Rounded sine and cosine may miss the angle by its last bit; then neighbours within 3 units in the last place are
    tried.  Where none gives the angle exactly, the rounded pair is returned.
    """
    z, w = math.sin(0.5 * theta), math.cos(0.5 * theta)
    if yaw_of_quaternion(z, w) == theta:
        return z, w
    near_z = z
    for _ in range(_REACH):
        near_z = np.nextafter(near_z, -2.0)
    for _ in range(2 * _REACH + 1):
        near_w = w
        for _ in range(_REACH):
            near_w = np.nextafter(near_w, -2.0)
        for _ in range(2 * _REACH + 1):
            if yaw_of_quaternion(near_z, near_w) == theta:
                return near_z, near_w
            near_w = np.nextafter(near_w, 2.0)
        near_z = np.nextafter(near_z, 2.0)
    return z, w


@njit(cache=True)
def yaw_of_quaternion(z: float, w: float) -> float:
    """The angle [rad] in (-pi, pi] of the rotation (0, 0, z, w); any length but zero, either sign."""
    if w < 0.0:
        z, w = -z, -w
    return 2.0 * math.atan2(z, w)

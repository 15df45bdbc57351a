r"""What the robot did beyond what the nominal plant predicts, and the inputs by which it is explained.

Over one control step of length dt from the pose p_0 = (x, y, theta), with the observed end p and the end p_n of
the nominal plant under the executed command,

    d = (R(theta_0)^T (p - p_n)_xy, wrap(p - p_n)_theta) / dt      [m/s, m/s, rad/s], body frame at the start

Inputs, dimensionless (L: half-side of the arena; c: command that acts in the step; u: velocity at its start):

    z = (cos theta, sin theta, x / L, y / L, c_v / V, c_omega / W, (c_v - u_v) / V, (c_omega - u_omega) / W)

The heading turns a slope's pull, fixed in the map, into the body frame; cosine and sine have no seam.  The
position tells where the floor changes.  The command carries gain error and slip, which vanish at rest; the change
of velocity that is asked for carries lag that the nominal plant does not know.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pe_core.robot import DELAY
from pe_core.unicycle import wrap_angle

INPUTS = 8
OUTPUTS = 3
# Places in z of (c_v, c_omega) and of (c - u), for derivatives by the command.
COMMAND = 4
CHANGE = 6

Array = NDArray[np.float64]


@njit(cache=True)
def residual(start: Array, nominal: Array, observed: Array, dt: float) -> tuple[float, float, float]:
    """(d_x, d_y, d_theta) of poses (x, y, theta, ...) in the map frame; the inverse is :func:`displaced`."""
    dx = (observed[0] - nominal[0]) / dt
    dy = (observed[1] - nominal[1]) / dt
    c, s = math.cos(start[2]), math.sin(start[2])
    return c * dx + s * dy, -s * dx + c * dy, wrap_angle(observed[2] - nominal[2]) / dt


@njit(cache=True)
def displaced(start: Array, nominal: Array, d: Array, dt: float) -> tuple[float, float, float]:
    """The pose (x, y, theta) that a robot reaches under disturbance ``d`` where ``nominal`` is predicted."""
    c, s = math.cos(start[2]), math.sin(start[2])
    return (
        nominal[0] + dt * (c * d[0] - s * d[1]),
        nominal[1] + dt * (s * d[0] + c * d[1]),
        wrap_angle(nominal[2] + dt * d[2]),
    )


@njit(cache=True)
def acting_command(history: Array, model: Array, dt: float) -> tuple[float, float]:
    """The command's mean over the step that starts when the newest of ``history`` (K, 2) is sent.

    With dead time m dt + r the command sent m + 1 steps ago acts for r, then the one sent m steps ago.
    """
    periods = math.floor(model[DELAY] / dt + 1e-9)
    share = max(model[DELAY] / dt - periods, 0.0)
    last = history.shape[0] - 1
    new, old = min(periods, last), min(periods + 1, last)
    return (
        (1.0 - share) * history[new, 0] + share * history[old, 0],
        (1.0 - share) * history[new, 1] + share * history[old, 1],
    )


@njit(cache=True)
def write_inputs(state: Array, v: float, omega: float, scale: Array, z: Array) -> None:
    """Write z (INPUTS,) of ``state`` (5,) and the acting command; ``scale`` = (L, V, W) [m, m/s, rad/s]."""
    z[0] = math.cos(state[2])
    z[1] = math.sin(state[2])
    z[2] = state[0] / scale[0]
    z[3] = state[1] / scale[0]
    z[4] = v / scale[1]
    z[5] = omega / scale[2]
    z[6] = (v - state[3]) / scale[1]
    z[7] = (omega - state[4]) / scale[2]

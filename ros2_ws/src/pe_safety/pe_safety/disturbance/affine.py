r"""The learned disturbance as the safety rows take it: affine in the command, with a bound that may grow with it.

The rows hold for every command at once, the Gaussian process knows one command at a time.  Where the command is
expected to be u_1, each axis is written as

    d(u) = m_0 + s^T u +- (b_0 + b_v |v| + b_omega |omega|)

with the mean exact at rest and at u_1 (m_0 = mean(0), s the mean's gradient at u_1 moved by the least, in units of
the robot's limits, for which m_0 + s^T u_1 = mean(u_1)), and with a bound that is B(u_1) at u_1 and, where the
process is surer there, B(0) at rest, so that a robot of which the data say that it stands still when told to may do
so.  Anywhere else this is a guess; :func:`excess` says by how much it falls short of the process at a command.

    B_x = kappa sigma_x + d D dt (|omega| + D / 2)
    B_y = kappa sigma_y + d D dt^2 (|omega| + D)^2 / 2
    B_theta = kappa sigma_theta,    D = |mean_theta| + kappa sigma_theta

The terms with D: the rows take the control point, d ahead, to move across the heading at the start of the step when
d_theta turns it; it moves across that at the end, |omega| dt + D dt further.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pe_safety.disturbance.model import LearnedDisturbance

Array = NDArray[np.float64]

COLUMNS = 6
REST = (0.0, 0.0)
# Commands slower than this share of the limits are rest: a direction to them says nothing.
_NEAR_REST = 1e-6


def mean_and_bound(
    model: LearnedDisturbance, state: Sequence[float] | Array, command: Sequence[float] | Array
) -> tuple[Array, Array, Array]:
    """Mean (3,), bound B (3,) and gradient of the mean by the command (3, 2) where ``command`` acts at ``state``.

    Body frame, m/s and rad/s; equations in the module docstring.
    """
    prediction = model.predict(state, command)
    bound = model.kappa * prediction.sigma
    turn = abs(prediction.mean[2]) + bound[2]
    turned = abs(float(command[1])) * model.dt
    offset = model.robot.vcp_offset
    bound[0] += offset * turn * (turned + 0.5 * turn * model.dt)
    bound[1] += 0.5 * offset * turn * (turned + turn * model.dt) ** 2
    return prediction.mean, bound, prediction.slope


def affine_rows(
    model: LearnedDisturbance,
    state: Sequence[float] | Array,
    expected: Sequence[float] | Array,
    tolerance: float = 0.0,
) -> Array:
    """The disturbance (3, 6) for :func:`pe_safety.rows.barrier_rows`, about the command ``expected`` (v, omega).

    Args:
        state: (x, y, theta, v, omega) at which the command begins to act.
        tolerance: addition to each bound, over v_max (omega_max for d_theta), within which :func:`excess` need not
            be looked at.
    """
    robot = model.robot
    rest, rest_bound, gradient = mean_and_bound(model, state, REST)
    out = np.zeros((3, COLUMNS))
    out[:, 0], out[:, 1:3], out[:, 3] = rest, gradient, rest_bound
    limits = np.array([max(robot.v_max, -robot.v_min), robot.omega_max])
    share = np.asarray(expected, dtype=np.float64) / limits
    size = float(share @ share)
    if size > _NEAR_REST**2:
        mean, bound, gradient = mean_and_bound(model, state, expected)
        missing = mean - rest - gradient @ np.asarray(expected, dtype=np.float64)
        out[:, 1:3] = gradient + missing[:, None] * share / size / limits
        out[:, 3] = np.minimum(rest_bound, bound)
        out[:, 4:] = _cone(np.maximum(bound - rest_bound, 0.0), share, size, limits)
    out[:, 3] += tolerance * limits[[0, 0, 1]]
    return out


def excess(
    rows: Array, model: LearnedDisturbance, state: Sequence[float] | Array, command: Sequence[float] | Array
) -> Array:
    """What the bound of ``rows`` lacks (3,) at ``command``: above 0 where the process may exceed it."""
    mean, bound, _ = mean_and_bound(model, state, command)
    v, omega = float(command[0]), float(command[1])
    written = rows[:, 0] + rows[:, 1] * v + rows[:, 2] * omega
    covered = rows[:, 3] + rows[:, 4] * abs(v) + rows[:, 5] * abs(omega)
    return np.abs(mean - written) + bound - covered


def widened(
    rows: Array, missing: Array, model: LearnedDisturbance, command: Sequence[float] | Array
) -> Array:
    """``rows`` with bounds that are larger at ``command`` by what is ``missing`` (3,), and as they were at rest."""
    robot = model.robot
    limits = np.array([max(robot.v_max, -robot.v_min), robot.omega_max])
    share = np.asarray(command, dtype=np.float64) / limits
    size = float(share @ share)
    out = rows.copy()
    if size > _NEAR_REST**2:
        out[:, 4:] += _cone(np.maximum(missing, 0.0), share, size, limits)
    else:
        out[:, 3] += np.maximum(missing, 0.0)
    return out


def _cone(height: Array, share: Array, size: float, limits: Array) -> Array:
    """Slopes (3, 2) by |v| and |omega| of the flattest cone, in units of the limits, of ``height`` at ``share``."""
    return height[:, None] * np.abs(share) / size / limits

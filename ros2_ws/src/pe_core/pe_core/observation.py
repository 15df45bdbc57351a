"""The observation encoder: the only one, for training, evaluation, the policy node and audits.

Every entry is dimensionless: lengths over the arena's half side L, speeds over the robot's own v_max, turn
rates over its own omega_max, so that one policy serves any scale.  Positions relative to the robot are in its
body frame (x forward, y left).  Obstacles are ordered by the gap to their surface, nearest first; missing ones
are zero.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pe_core.arena import OBSTACLES_MAX
from pe_core.robot import OMEGA_MAX, RADIUS, V_MAX, VCP_OFFSET

_FIXED = (
    "own_x",
    "own_y",
    "own_cos",
    "own_sin",
    "own_v",
    "own_omega",
    "opponent_x_body",
    "opponent_y_body",
    "opponent_cos_relative",
    "opponent_sin_relative",
    "opponent_v",
    "opponent_omega",
    "speed_ratio",
    "turn_radius",
    "capture_radius",
    "body_radius",
    "opponent_radius",
    "vcp_offset",
    "time_left",
    "step_length",
)
FIXED_SIZE = len(_FIXED)
OBSTACLE_SIZE = 4
NAMES: tuple[str, ...] = _FIXED + tuple(
    f"obstacle_{i}_{part}" for i in range(OBSTACLES_MAX) for part in ("x_body", "y_body", "radius", "present")
)
SIZE = len(NAMES)
VERSION = 1


@njit(cache=True)
def encode(
    own: NDArray[np.float64],
    opponent: NDArray[np.float64],
    own_model: NDArray[np.float64],
    opponent_model: NDArray[np.float64],
    half_side: float,
    obstacles: NDArray[np.float64],
    obstacle_count: int,
    capture_radius: float,
    time_left: float,
    dt: float,
    out: NDArray[np.float64],
) -> None:
    """Write the observation of one robot into ``out``, shape (SIZE,).

    Args:
        own, opponent: states (x, y, theta, v, omega), shape (5,), map frame.
        own_model, opponent_model: ``RobotModel.as_array()``.
        half_side: half the arena's side [m].
        obstacles: rows x, y, radius [m]; only the first ``obstacle_count`` count.
        capture_radius: [m].
        time_left: fraction of the episode that is left, in [0, 1].
        dt: control period [s].
    """
    c = math.cos(own[2])
    s = math.sin(own[2])
    v_max = own_model[V_MAX]
    omega_max = own_model[OMEGA_MAX]
    dx = opponent[0] - own[0]
    dy = opponent[1] - own[1]
    relative = opponent[2] - own[2]
    out[0] = own[0] / half_side
    out[1] = own[1] / half_side
    out[2] = c
    out[3] = s
    out[4] = own[3] / v_max
    out[5] = own[4] / omega_max
    out[6] = (c * dx + s * dy) / half_side
    out[7] = (-s * dx + c * dy) / half_side
    out[8] = math.cos(relative)
    out[9] = math.sin(relative)
    out[10] = opponent[3] / v_max
    out[11] = opponent[4] / omega_max
    out[12] = opponent_model[V_MAX] / v_max
    out[13] = v_max / (omega_max * half_side)
    out[14] = capture_radius / half_side
    out[15] = own_model[RADIUS] / half_side
    out[16] = opponent_model[RADIUS] / half_side
    out[17] = own_model[VCP_OFFSET] / half_side
    out[18] = time_left
    out[19] = v_max * dt / half_side
    for k in range(FIXED_SIZE, SIZE):
        out[k] = 0.0
    gaps = np.empty(OBSTACLES_MAX)
    for i in range(obstacle_count):
        gaps[i] = math.hypot(obstacles[i, 0] - own[0], obstacles[i, 1] - own[1]) - obstacles[i, 2]
    taken = 0
    for rank in range(obstacle_count):
        best = -1
        for i in range(obstacle_count):
            if not (taken >> i) & 1 and (best < 0 or gaps[i] < gaps[best]):
                best = i
        taken |= 1 << best
        ox = obstacles[best, 0] - own[0]
        oy = obstacles[best, 1] - own[1]
        base = FIXED_SIZE + OBSTACLE_SIZE * rank
        out[base] = (c * ox + s * oy) / half_side
        out[base + 1] = (-s * ox + c * oy) / half_side
        out[base + 2] = obstacles[best, 2] / half_side
        out[base + 3] = 1.0


@njit(cache=True)
def encode_batch(
    own: NDArray[np.float64],
    opponent: NDArray[np.float64],
    own_model: NDArray[np.float64],
    opponent_model: NDArray[np.float64],
    half_side: float,
    obstacles: NDArray[np.float64],
    obstacle_count: NDArray[np.int64],
    capture_radius: float,
    time_left: NDArray[np.float64],
    dt: float,
    out: NDArray[np.float64],
) -> None:
    """:func:`encode` for N games: states (N, 5), obstacles (N, 6, 3), counts and time_left (N,), out (N, SIZE)."""
    for n in range(own.shape[0]):
        encode(
            own[n],
            opponent[n],
            own_model,
            opponent_model,
            half_side,
            obstacles[n],
            obstacle_count[n],
            capture_radius,
            time_left[n],
            dt,
            out[n],
        )

r"""What decides whether the QP is feasible, without units.

A barrier's row reads  approach <= rate h / |grad h|,  so that its right-hand side over v_max,

    s_k = clip(rate h_k / (|grad h_k| v_max), -S, S)

is how much room it leaves, whatever the scale of the arena.  Of the barriers of walls and obstacles the FACING with
the least room count, and the opponent's: room, direction (cos, sin of beta, the barrier's direction from the control
point in the body frame), margin in the same measure; of the opponent also its closing speed and v_max over ours.
Then the robot's own velocity and what its model makes of a command within one period.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pe_core.robot import LAG, OMEGA_MAX, V_MAX, VCP_OFFSET
from pe_safety.barriers import BARRIERS_MAX, barrier_values, facing, vcp
from pe_safety.budget import GAIN, HEADING_BOUND, OVER
from pe_safety.parameters import COOPERATIVE, RATE

FACING = 4
ROOM_MAX = 4.0
_PER_BARRIER = 4
_OPPONENT = FACING * _PER_BARRIER
_OWN = _OPPONENT + 6
_BARRIER_PARTS = ("room", "cos", "sin", "margin")
NAMES: tuple[str, ...] = (
    *(f"{part}_{i}" for i in range(FACING) for part in _BARRIER_PARTS),
    *(f"opponent_{part}" for part in (*_BARRIER_PARTS, "closing", "speed")),
    "v", "omega", "lever", "turn", "lag", "over", "gain", "heading_error", "cooperative",
)  # fmt: skip
SIZE = len(NAMES)


@njit(cache=True, nogil=True)
def write_features(
    pose: NDArray[np.float64],
    opponent: NDArray[np.float64],
    has_opponent: bool,
    half_side: float,
    obstacles: NDArray[np.float64],
    obstacle_count: int,
    model: NDArray[np.float64],
    rival: NDArray[np.float64],
    parameters: NDArray[np.float64],
    budget: NDArray[np.float64],
    dt: float,
    out: NDArray[np.float64],
) -> None:
    """Write the features, shape (SIZE,), order of ``NAMES``.

    Args:
        pose: stopping pose and velocity (x, y, theta, v, omega) of the state where a command begins to act, shape
            (5,) (``pe_core.plant.stopping_pose``).
        opponent, half_side, obstacles, obstacle_count, model, rival, parameters, budget, dt: as in
            :func:`pe_safety.ladder.filter_step`.
    """
    h = np.empty(BARRIERS_MAX)
    margins = np.empty(BARRIERS_MAX)
    barrier_values(
        pose, opponent, has_opponent, half_side, obstacles, obstacle_count, model, rival, budget, h, margins
    )
    qx, qy = vcp(pose[0], pose[1], pose[2], model[VCP_OFFSET])
    c, s = math.cos(pose[2]), math.sin(pose[2])
    per_metre = parameters[RATE] / model[V_MAX]
    count = 4 + obstacle_count
    room = np.empty(BARRIERS_MAX)
    taken = np.zeros(BARRIERS_MAX, np.bool_)
    for k in range(count + 1 if has_opponent else count):
        rho = facing(qx, qy, k, half_side, obstacles, obstacle_count, opponent)[2]
        slope = 1.0 if k < 4 else 2.0 * max(rho, 1e-9)
        room[k] = min(max(per_metre * h[k] / slope, -ROOM_MAX), ROOM_MAX)
    for place in range(FACING):
        best = -1
        for k in range(count):
            if not taken[k] and (best < 0 or room[k] < room[best]):
                best = k
        taken[best] = True
        nx, ny, _, _ = facing(qx, qy, best, half_side, obstacles, obstacle_count, opponent)
        base = _PER_BARRIER * place
        out[base] = room[best]
        out[base + 1], out[base + 2] = -(nx * c + ny * s), nx * s - ny * c
        out[base + 3] = min(per_metre * margins[best], ROOM_MAX)
    out[_OPPONENT : _OPPONENT + 6] = 0.0
    out[_OPPONENT] = ROOM_MAX
    if has_opponent:
        nx, ny, _, _ = facing(qx, qy, count, half_side, obstacles, obstacle_count, opponent)
        out[_OPPONENT] = room[count]
        out[_OPPONENT + 1], out[_OPPONENT + 2] = -(nx * c + ny * s), nx * s - ny * c
        out[_OPPONENT + 3] = min(per_metre * margins[count], ROOM_MAX)
        closing = opponent[3] * (nx * math.cos(opponent[2]) + ny * math.sin(opponent[2]))
        out[_OPPONENT + 4] = closing / model[V_MAX]
        out[_OPPONENT + 5] = rival[V_MAX] / model[V_MAX]
    out[_OWN] = pose[3] / model[V_MAX]
    out[_OWN + 1] = pose[4] / model[OMEGA_MAX]
    out[_OWN + 2] = model[VCP_OFFSET] * model[OMEGA_MAX] / model[V_MAX]
    out[_OWN + 3] = model[OMEGA_MAX] * dt
    out[_OWN + 4] = model[LAG] / dt
    out[_OWN + 5] = budget[OVER] / (model[V_MAX] * dt)
    out[_OWN + 6] = budget[GAIN]
    out[_OWN + 7] = budget[HEADING_BOUND]
    out[_OWN + 8] = parameters[COOPERATIVE]

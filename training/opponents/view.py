"""The observation of one robot, unpacked; twin of ``pe_core.scripted.view``.

Units are dimensionless: lengths over half_side, time over half_side / v_max of the observing robot.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pe_core.observation import FIXED_SIZE, OBSTACLE_SIZE

OBSTACLE_ROWS = 6


class View(NamedTuple):
    """One observation; ``rx``, ``ry``, ``radius`` have shape (6,), of which the first ``known`` are obstacles."""

    x: float
    y: float
    c: float
    s: float
    dx: float
    dy: float
    ox: float
    oy: float
    opponent_v: float
    ratio: float
    turn_radius: float
    capture: float
    body: float
    opponent_body: float
    offset: float
    dt: float
    turn_step: float
    rx: NDArray[np.float64]
    ry: NDArray[np.float64]
    radius: NDArray[np.float64]
    known: int


@njit(cache=True, nogil=True)
def decode(observation: NDArray[np.float64], obstacles: NDArray[np.float64]) -> View:
    """Unpack an observation (SIZE,); ``obstacles`` (3, 6) is scratch that the view refers to.

    Obstacles come first in the observation, so that the first one missing ends them.
    """
    f = observation
    c, s = f[2], f[3]
    count = 0
    for i in range(OBSTACLE_ROWS):
        base = FIXED_SIZE + OBSTACLE_SIZE * i
        if not f[base + 3] > 0.5:
            break
        obstacles[0, i] = c * f[base] - s * f[base + 1]
        obstacles[1, i] = s * f[base] + c * f[base + 1]
        obstacles[2, i] = f[base + 2]
        count += 1
    turn_radius = max(f[13], 1e-6)
    dt = max(f[19], 1e-6)
    return View(
        f[0],
        f[1],
        c,
        s,
        c * f[6] - s * f[7],
        s * f[6] + c * f[7],
        c * f[8] - s * f[9],
        s * f[8] + c * f[9],
        f[10] * f[12],
        f[12],
        turn_radius,
        f[14],
        f[15],
        f[16],
        f[17],
        dt,
        max(dt / turn_radius, 1e-6),
        obstacles[0],
        obstacles[1],
        obstacles[2],
        count,
    )

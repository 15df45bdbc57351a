"""The rules of the game on true states, compiled: body margins, contacts, capture."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pe_core.robot import RADIUS, V_MAX, V_MIN, V_QUANTUM
from pe_core.rules import game_margin, is_capture
from pe_safety.parameters import GAIN_ERROR
from pe_safety.rows import CREEP

# Columns of what is counted of each robot.
INTERVENTIONS, INFEASIBLE, BACKUPS, CONTACTS, MOVING_CONTACTS = range(5)
COUNTS = 5
# A robot up to this multiple of its creeping speed (and gain error) counts as standing.
_CREEPING = 1.05


@njit(cache=True, nogil=True)
def judge(
    n: int,
    states: NDArray[np.float64],
    half_side: NDArray[np.float64],
    obstacles: NDArray[np.float64],
    obstacle_count: NDArray[np.int64],
    models: NDArray[np.float64],
    parameters: NDArray[np.float64],
    capture_radius: float,
    captured: NDArray[np.bool_],
    min_margin: NDArray[np.float64],
    violations: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> None:
    """Judge game ``n`` on its true states: margin, contacts, capture; arguments as in
    :func:`pe_safety.closed_loop.step_games`."""
    there = obstacles[n, 1, : obstacle_count[n]]
    margin = game_margin(
        states[n, 0], states[n, 1], models[n, 0, RADIUS], models[n, 1, RADIUS], half_side[n, 1], there
    )
    min_margin[n] = min(min_margin[n], margin)
    violations[n] += margin <= 0.0
    distance = math.hypot(states[n, 0, 0] - states[n, 1, 0], states[n, 0, 1] - states[n, 1, 1])
    if distance <= models[n, 0, RADIUS] + models[n, 1, RADIUS]:
        for r in range(2):
            counts[n, r, CONTACTS] += 1
            creep = max(CREEP * max(models[n, r, V_MAX], -models[n, r, V_MIN]), models[n, r, V_QUANTUM])
            limit = _CREEPING * (1.0 + parameters[r, GAIN_ERROR]) * creep
            counts[n, r, MOVING_CONTACTS] += abs(states[n, r, 3]) > limit
    captured[n] = is_capture(states[n, 0], states[n, 1], capture_radius)

"""Warning margins H_1 of many games at once, on what each filter sees (:mod:`pe_safety.closed_loop`)."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pe_core.plant import stopping_pose
from pe_core.robot import LAG
from pe_safety.budget import SIZE as BUDGET_SIZE
from pe_safety.feasibility.features import SIZE, write_features
from pe_safety.feasibility.model import logit
from pe_safety.pending import PENDING_SIZE
from pe_safety.sight import write_sight


@njit(cache=True, nogil=True)
def margins_of_games(
    active: NDArray[np.int64],
    states: NDArray[np.float64],
    sent: NDArray[np.float64],
    half_side: NDArray[np.float64],
    obstacles: NDArray[np.float64],
    obstacle_count: NDArray[np.int64],
    models: NDArray[np.float64],
    parameters: NDArray[np.float64],
    dt: float,
    randomised: bool,
    seen: NDArray[np.float64],
    deviations: NDArray[np.float64],
    ages: NDArray[np.int64],
    weights: NDArray[np.float64],
    width: int,
    alarm: float,
    out: NDArray[np.float64],
) -> None:
    """Write H_1 (k, 2) of both robots in the games ``active``; arguments as in
    :func:`pe_safety.closed_loop.step_games`, before whose step it is called."""
    budget, pending = np.empty(BUDGET_SIZE), np.empty(PENDING_SIZE)
    ahead, pose, features = np.empty(5), np.empty(5), np.empty(SIZE)
    for k in range(active.shape[0]):
        n = active[k]
        for r in range(2):
            model, rival = models[n, r], models[n, 1 - r]
            other = write_sight(
                n, r, ages[k, r] if randomised else 0, states, sent, models, parameters, dt, randomised, seen,
                deviations, pending, budget, ahead,
            )  # fmt: skip
            stopping_pose(ahead, model[LAG], pose)
            write_features(
                pose, other, True, half_side[n, 0], obstacles[n, 0], obstacle_count[n], model, rival, parameters[r],
                budget, dt, features,
            )  # fmt: skip
            out[k, r] = alarm - logit(features, weights, width)

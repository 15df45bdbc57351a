"""The feasibility margin as a constraint on actions: a nominal command is slowed until H(x+) >= min(H(x), 0).

The predicted state x+ is one control period on, under the command, with its velocity: what counts is where the robot
would come to rest from there.  Turning is left as it is; of SPEEDS, shares of the nominal speed, the largest that
keeps it is taken, and where none does, the one with the largest H.  What is outside already may drive as long as it
does not get worse: to stop there would be to stay there.  The filter still has the last word.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pe_core.plant import stopping_pose
from pe_core.robot import LAG
from pe_core.unicycle import arc_step
from pe_safety.feasibility.features import SIZE, write_features
from pe_safety.feasibility.model import logit

SPEEDS = (1.0, 0.75, 0.5, 0.25, 0.0)


@njit(cache=True, nogil=True)
def bend(
    state: NDArray[np.float64],
    nominal_v: float,
    nominal_omega: float,
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
    weights: NDArray[np.float64],
    width: int,
    threshold: float,
) -> tuple[float, float, float]:
    """The bent nominal command and the H(x+) [1] that it keeps.

    Args:
        state: own state where a command begins to act, shape (5,).
        weights, width, threshold: of the :class:`~pe_safety.feasibility.model.FeasibilityModel`; the others as in
            :func:`pe_safety.ladder.filter_step`.
    """
    features = np.empty(SIZE)
    pose = np.empty(5)
    ahead = np.empty(5)
    there = opponent.copy()
    if has_opponent:
        there[0], there[1], there[2] = arc_step(
            opponent[0], opponent[1], opponent[2], opponent[3], opponent[4], dt
        )
    stopping_pose(state, model[LAG], pose)
    write_features(
        pose, opponent, has_opponent, half_side, obstacles, obstacle_count, model, rival, parameters, budget, dt,
        features,
    )  # fmt: skip
    floor = min(threshold - logit(features, weights, width), 0.0)
    best, best_v = -np.inf, 0.0
    for share in SPEEDS:
        v = share * nominal_v
        ahead[0], ahead[1], ahead[2] = arc_step(state[0], state[1], state[2], v, nominal_omega, dt)
        ahead[3], ahead[4] = v, nominal_omega
        stopping_pose(ahead, model[LAG], pose)
        write_features(
            pose, there, has_opponent, half_side, obstacles, obstacle_count, model, rival, parameters, budget, dt,
            features,
        )  # fmt: skip
        margin = threshold - logit(features, weights, width)
        if margin >= floor:
            return v, nominal_omega, margin
        if margin > best:
            best, best_v = margin, v
    return best_v, nominal_omega, best

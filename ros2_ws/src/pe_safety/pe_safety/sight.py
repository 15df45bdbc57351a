"""What one robot of many games knows when it filters a command, compiled."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pe_core.arena import Arena
from pe_core.plant import state_at_actuation
from pe_safety.budget import write_budget
from pe_safety.pending import write_pending


class Sight(NamedTuple):
    """What one robot knows when it filters a command: arguments of :meth:`pe_safety.filter.SafetyFilter.step`.

    ``own`` is its state now as it knows it, ``ahead`` the one where a command sent now begins to act; ``age`` [s];
    deviations of position and heading [m, rad].
    """

    own: NDArray[np.float64]
    ahead: NDArray[np.float64]
    opponent: NDArray[np.float64]
    arena: Arena
    age: float
    deviations: tuple[float, float]
    opponent_deviations: tuple[float, float]
    pending: NDArray[np.float64]


@njit(cache=True, nogil=True)
def write_sight(
    n: int,
    r: int,
    late: int,
    states: NDArray[np.float64],
    sent: NDArray[np.float64],
    models: NDArray[np.float64],
    parameters: NDArray[np.float64],
    dt: float,
    randomised: bool,
    seen: NDArray[np.float64],
    deviations: NDArray[np.float64],
    pending: NDArray[np.float64],
    budget: NDArray[np.float64],
    ahead: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Write what robot ``r`` of game ``n`` knows of itself; arguments as in :func:`pe_safety.closed_loop.step_games`.

    Args:
        late: age of the opponent's state that it sees [control steps].
        pending, budget: written, shapes (PENDING_SIZE,) and (budget.SIZE,).
        ahead: written, (5,): its state where a command sent now begins to act.

    Returns:
        The opponent's state (5,) as it sees it: a view.
    """
    own, other = states[n, r], states[n, 1 - r]
    sigma, rival_sigma, age = (0.0, 0.0), (0.0, 0.0), 0.0
    if randomised:
        own, other, age = seen[n, r, 0], seen[n, 1 - r, late], late * dt
        sigma = (deviations[n, r, 0, 0], deviations[n, r, 0, 1])
        rival_sigma = (deviations[n, 1 - r, late, 0], deviations[n, 1 - r, late, 1])
    model, rival = models[n, r], models[n, 1 - r]
    write_pending(sent[n, r], dt, 0.0, model, parameters[r], dt, pending)
    write_budget(model, rival, parameters[r], sigma, rival_sigma, pending, age, dt, budget)
    state_at_actuation(own, sent[n, r], model, dt, dt, 0.0, ahead)
    return other

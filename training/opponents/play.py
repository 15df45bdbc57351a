"""The compiled opponents by number, for the kernels, and by name, for everyone else."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pe_core.config import ConfigurationError
from pe_core.scripted.build import POLICIES
from training.opponents import evaders, pursuers
from training.opponents.view import decode

LOOKAHEAD, FLEE, BOUNDARY, HIDER, RANDOM, PURE, LEAD = range(7)
GIVEN = -1
"""No opponent: the action is given from outside, by a learner or a learned opponent."""
NUMBERS = {
    "lookahead": LOOKAHEAD,
    "flee": FLEE,
    "boundary": BOUNDARY,
    "hider": HIDER,
    "random": RANDOM,
    "pure": PURE,
    "lead": LEAD,
}
WORK_SHAPE, TABLE_SHAPE, OBSTACLES_SHAPE = (4, 13), (evaders.TABLE_ROWS, evaders.HEADINGS), (3, 6)
NOISE_HOLD = POLICIES["random"].noise_hold
"""Control steps for which the noise of the random walk is held."""


def number_of(name: str, role: str) -> int:
    """The number of the compiled opponent ``name``.

    Raises:
        ConfigurationError: there is none, or it plays the other role.
    """
    known = [each for each in NUMBERS if POLICIES[each].role == role]
    if name not in known:
        raise ConfigurationError(f"opponent '{name}' is unknown for role {role}; known: {', '.join(known)}")
    return NUMBERS[name]


@njit(cache=True, nogil=True)
def act(
    number: int,
    observation: NDArray[np.float64],
    noise: NDArray[np.float64],
    obstacles: NDArray[np.float64],
    work: NDArray[np.float64],
    table: NDArray[np.float64],
    action: NDArray[np.float64],
) -> None:
    """Write the action (2,) of opponent ``number`` on one observation (SIZE,).

    ``noise`` (2,) is uniform in [0, 1), read by the random walk alone; ``obstacles`` (3, 6), ``work`` (4, 13) and
    ``table`` (10, 16) are scratch.
    """
    view = decode(observation, obstacles)
    if number == LOOKAHEAD:
        evaders.look_ahead(view, work, table, action)
    elif number == FLEE:
        evaders.flee(view, work, action)
    elif number == BOUNDARY:
        evaders.boundary_runner(view, work, action)
    elif number == HIDER:
        evaders.hider(view, work, table, action)
    elif number == RANDOM:
        evaders.random_walk(view, noise, work, action)
    elif number == PURE:
        pursuers.pure_pursuit(view, work, action)
    elif number == LEAD:
        pursuers.lead_pursuit(view, work, action)


@njit(cache=True, nogil=True)
def act_batch(
    number: int,
    observations: NDArray[np.float64],
    noise: NDArray[np.float64],
    actions: NDArray[np.float64],
) -> None:
    """:func:`act` for observations (N, SIZE) and noise (N, 2): actions (N, 2)."""
    obstacles, work, table = np.empty(OBSTACLES_SHAPE), np.empty(WORK_SHAPE), np.empty(TABLE_SHAPE)
    for n in range(observations.shape[0]):
        act(number, observations[n], noise[n], obstacles, work, table, actions[n])

"""Random numbers inside the kernels: each a function of (seed, episode, step, index) alone.

The counter is mixed by SplitMix64 (:func:`pe_core.randomness.mix`), so that a game draws the same numbers whatever
batch or thread it is played in.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from pe_core.randomness import GOLDEN, mix

INDICES = 32
"""Numbers that one step may draw."""


@njit(cache=True, nogil=True)
def uniform(seed: int, episode: int, step: int, index: int) -> float:
    """A number in [0, 1)."""
    key = mix(mix(np.uint64(seed) + GOLDEN) + np.uint64(episode) * GOLDEN)
    bits = mix(key + np.uint64(step * INDICES + index + 1) * GOLDEN)
    return float(bits >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@njit(cache=True, nogil=True)
def normal(seed: int, episode: int, step: int, index: int) -> float:
    """A standard normal number, by Box and Muller's transform of the numbers ``2 index`` and ``2 index + 1``."""
    radius = math.sqrt(-2.0 * math.log(1.0 - uniform(seed, episode, step, 2 * index)))
    return radius * math.cos(2.0 * math.pi * uniform(seed, episode, step, 2 * index + 1))

"""Random numbers inside the kernels: each a function of (seed, episode, step, index) alone.

The counter is mixed by the finaliser of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number
generators, OOPSLA 2014), so that a game draws the same numbers whatever batch or thread it is played in.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
INDICES = 32
"""Numbers that one step may draw."""


@njit(cache=True, nogil=True)
def _mix(z: np.uint64) -> np.uint64:
    z = (z ^ (z >> np.uint64(30))) * _FIRST
    z = (z ^ (z >> np.uint64(27))) * _SECOND
    return z ^ (z >> np.uint64(31))


@njit(cache=True, nogil=True)
def uniform(seed: int, episode: int, step: int, index: int) -> float:
    """A number in [0, 1)."""
    key = _mix(_mix(np.uint64(seed) + _GOLDEN) + np.uint64(episode) * _GOLDEN)
    bits = _mix(key + np.uint64(step * INDICES + index + 1) * _GOLDEN)
    return float(bits >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@njit(cache=True, nogil=True)
def normal(seed: int, episode: int, step: int, index: int) -> float:
    """A standard normal number, by Box and Muller's transform of the numbers ``2 index`` and ``2 index + 1``."""
    radius = math.sqrt(-2.0 * math.log(1.0 - uniform(seed, episode, step, 2 * index)))
    return radius * math.cos(2.0 * math.pi * uniform(seed, episode, step, 2 * index + 1))

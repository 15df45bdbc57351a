"""Counter-based random numbers: any draw of any episode can be repeated without the draws before it.

Philox is keyed by (seed, episode, stream), so that the in-process evaluator and the ROS nodes, which visit
episodes in another order and in other processes, see the same numbers.  Inside compiled kernels a counter is mixed by
SplitMix64 (:func:`mix`) to the same end.

Source: Steele, Lea and Flood 2014, Fast splittable pseudorandom number generators (SplitMix64).
"""

from __future__ import annotations

import zlib

import numpy as np
from numba import njit

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""What SplitMix64 counts in."""
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


@njit(cache=True, nogil=True)
def mix(z: np.uint64) -> np.uint64:
    """The finaliser of SplitMix64: 64 bits of which each depends on all of ``z``."""
    z = (z ^ (z >> np.uint64(30))) * _FIRST
    z = (z ^ (z >> np.uint64(27))) * _SECOND
    return z ^ (z >> np.uint64(31))


def generator(seed: int, episode: int, stream: str) -> np.random.Generator:
    """The random generator of one named ``stream`` (``layout``, ``noise/pursuer`` ...) of one episode.

    Raises:
        ValueError: ``seed`` or ``episode`` is negative.
    """
    if seed < 0 or episode < 0:
        raise ValueError(f"seed {seed} and episode {episode} must not be negative")
    key = np.random.SeedSequence([seed, episode, zlib.crc32(stream.encode())])
    return np.random.Generator(np.random.Philox(key))

"""Counter-based random numbers: any draw of any episode can be repeated without the draws before it.

Philox is keyed by (seed, episode, stream), so that the in-process evaluator and the ROS nodes, which visit
episodes in another order and in other processes, see the same numbers.
"""

from __future__ import annotations

import zlib

import numpy as np


def generator(seed: int, episode: int, stream: str) -> np.random.Generator:
    """The random generator of one named ``stream`` (``layout``, ``noise/pursuer`` ...) of one episode.

    Raises:
        ValueError: ``seed`` or ``episode`` is negative.
    """
    if seed < 0 or episode < 0:
        raise ValueError(f"seed {seed} and episode {episode} must not be negative")
    key = np.random.SeedSequence([seed, episode, zlib.crc32(stream.encode())])
    return np.random.Generator(np.random.Philox(key))

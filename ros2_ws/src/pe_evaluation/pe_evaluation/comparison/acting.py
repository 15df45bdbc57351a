"""How an approach turns its policy into actions: its mean, its mean with noise, or a draw from its density.

What is drawn depends on (seed, episode, step) alone, not on the games that are played beside.
"""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from pe_core.bundle import BundleError, PolicyBundle
from pe_core.randomness import generator
from pe_evaluation.comparison.plan import DENSITY, MEAN, NOISE
from pe_safety.beta_sampling import draw_keys, sample
from pe_safety.closed_loop import Games
from pe_safety.polygon import Box, polygons

_BOX = Box(0.0, 1.0, 1.0)
_STREAM = "comparison/exploration"


class Actor:
    """Acts for the pursuer in the games of one batch.

    mean      u = policy(observation)
    noise     u = policy(observation) + sigma * n,  n standard normal, sigma as the bundle's provenance says
    density   u ~ pi / pi(C): the Beta densities truncated to the polygon C = {u : G u <= b} of safe actions
    """

    def __init__(self, bundle: PolicyBundle, acts: str, seed: int, episodes: range, steps: int) -> None:
        """Raises:
        BundleError: the bundle does not keep what ``acts`` wants of it.
        """
        self.bundle, self.acts = bundle, acts
        random = [generator(seed, episode, _STREAM) for episode in episodes]
        if acts == NOISE:
            self._deviation = exploration(bundle)
            self._noise = np.stack([each.standard_normal((steps, 2)) for each in random])
        elif acts == DENSITY:
            self._keys = np.stack([draw_keys(int(each.integers(2**62)), 0, steps) for each in random])

    def __call__(self, games: Games, observations: NDArray[np.float64], step: int) -> NDArray[np.float64]:
        """Actions (k, 2) in the active games."""
        return self._act(observations, np.arange(len(games.active)), games, step)

    def time(self, games: Games, observations: NDArray[np.float64], step: int, k: int) -> float:
        """Seconds for the action of the ``k``-th active game, alone."""
        one = np.array([k])
        start = time.perf_counter()
        self._act(observations[k : k + 1], one, games, step)
        return time.perf_counter() - start

    def _act(
        self, observations: NDArray[np.float64], rows: NDArray[np.int64], games: Games, step: int
    ) -> NDArray[np.float64]:
        n = games.active[rows]
        if self.acts == MEAN:
            return self.bundle.act(observations)
        if self.acts == NOISE:
            return self.bundle.act(observations) + self._noise[n, step] * self._deviation
        g, b = games.rows(0, n)
        found = polygons(g, b, _BOX)
        drawn = sample(self.bundle.density(observations), found, self._keys[n, step])
        actions: NDArray[np.float64] = drawn * [1.0, 2.0] - [0.0, 1.0]
        return actions


def exploration(bundle: PolicyBundle) -> NDArray[np.float64]:
    """Deviations (2,) of the noise that the policy explored with at the end of its training.

    Raises:
        BundleError: the bundle does not say.
    """
    spread = bundle.schema.provenance.get("spread") or {}
    if set(spread) != {"deviation_v", "deviation_omega"}:
        raise BundleError(f"policy '{bundle.schema.name}': does not say how far it explored; export it anew")
    return np.array([spread["deviation_v"], spread["deviation_omega"]])

"""What a policy does under the mechanism of its training, and under the one of its deployment, in the same episodes.

    sampled      as it was trained: drawn from its density, truncated or filtered as in training
    deployed     without noise, behind the filter: what the nodes run
    alone        without noise, and its robot has no filter: what the network itself guarantees

The evader is filtered in all three.  Episode i has the layout that ``./pe evaluate --seed`` has in episode i.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pe_core.bundle import BundleError, PolicyBundle, load_bundle
from pe_core.config import ConfigurationError
from pe_core.randomness import generator
from pe_core.roles import ROLES
from pe_safety.beta_sampling import draw_keys, sample
from pe_safety.polygon import polygons
from training.batch import (
    CAPTURES,
    LENGTH,
    PURSUER_INFEASIBLE,
    PURSUER_INTERVENED,
    PURSUER_RETURN,
    VIOLATIONS,
)
from training.games import LEARNER, BatchedGames, Task
from training.learning.beta_policy import BOX
from training.learning.parameters import BARRIERNET, CBF_BETA, NOMINAL

SAMPLED, DEPLOYED, ALONE = "sampled", "deployed", "alone"
CONDITIONS = (SAMPLED, DEPLOYED, ALONE)
Act = Callable[[BatchedGames, int], NDArray[np.float64]]
"""Actions (N, 2) in all games at a step."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Of the episodes of one condition: each episode's capture and return (E,), totals over the episodes.

    ``interventions`` and ``infeasible`` are cycles of the pursuer, of ``steps`` in all.
    """

    captured: NDArray[np.bool_]
    returns: NDArray[np.float64]
    steps: int
    violating_episodes: int
    interventions: int
    infeasible: int


def actor_of(bundle: PolicyBundle, condition: str, seed: int) -> Act:
    """How ``bundle`` acts under ``condition``.

    Raises:
        BundleError: it does not keep what it was trained to draw from.
        ConfigurationError: it drew before its program, and what it keeps is what comes out of it.
    """
    if condition != SAMPLED:
        return lambda games, step: bundle.act(games.observe(0))
    learned = bundle.schema.provenance.get("learning", {})
    if bundle.schema.kind == BARRIERNET and learned.get("exploration") == NOMINAL:
        raise ConfigurationError(
            f"policy '{bundle.schema.name}': condition = '{SAMPLED}': allowed: {DEPLOYED}, {ALONE}; it was trained "
            f"with exploration = '{NOMINAL}', noise before its program, which a bundle cannot repeat"
        )
    if bundle.schema.kind == CBF_BETA:

        def draw(games: BatchedGames, step: int) -> NDArray[np.float64]:
            g, b, _ = games.rows(0)
            found = polygons(g, b, BOX)
            keys = draw_keys(seed, step * len(games), len(games))
            drawn: NDArray[np.float64] = sample(bundle.density(games.observe(0)), found, keys)
            return drawn * [1.0, 2.0] - [0.0, 1.0]

        return draw
    spread = bundle.schema.provenance.get("spread", {})
    if set(spread) != {"deviation_v", "deviation_omega"}:
        raise BundleError(f"policy '{bundle.schema.name}': does not say how far it explored; export it anew")
    deviation = [spread["deviation_v"], spread["deviation_omega"]]
    random = generator(seed, 0, "gap")
    return lambda games, step: bundle.act(games.observe(0)) + random.normal(size=(len(games), 2)) * deviation


def play(
    pursuer: str,
    evader: str,
    condition: str,
    speed_ratio: float,
    episodes: int,
    seed: int,
    robot: str = "reference",
    safety: str = "rcbf",
    randomise: float = 0.0,
) -> Outcome:
    """Play ``episodes`` of the game of a ``robot``; ``safety`` and ``randomise`` as in :class:`training.games.Task`.

    Raises:
        ConfigurationError: a name is unknown, or a bundle refused.
    """
    task = Task(
        pursuer=LEARNER,
        evader=evader,
        speed_ratio=speed_ratio,
        starts=episodes,
        seed=seed,
        filtered=(condition != ALONE, True),
        robot=robot,
        safety=safety,
        randomise=randomise,
    )
    games = BatchedGames(task, episodes)
    bundle = load_bundle(pursuer, role=ROLES[0], dt=games.config.dt)
    act = actor_of(bundle, condition, seed)
    totals = np.full((episodes, games.batch.ended.shape[1]), math.nan)
    missing, step = np.ones(episodes, np.bool_), 0
    while missing.any():
        batch = games.step(act(games, step), 0)
        over = missing & (batch.terminated | batch.truncated)
        totals[over] = batch.ended[over]
        missing &= ~over
        step += 1
    return Outcome(
        captured=totals[:, CAPTURES] > 0.0,
        returns=totals[:, PURSUER_RETURN],
        steps=int(totals[:, LENGTH].sum()),
        violating_episodes=int((totals[:, VIOLATIONS] > 0.0).sum()),
        interventions=int(totals[:, PURSUER_INTERVENED].sum()),
        infeasible=int(totals[:, PURSUER_INFEASIBLE].sum()),
    )

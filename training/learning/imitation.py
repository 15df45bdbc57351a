"""Warm start: imitate a scripted policy before learning by reward.

The learner drives half of the games, so that it is also shown what to do where the teacher would not have come
(DAgger).  Source: Ross, Gordon and Bagnell 2011.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from pe_core.roles import ROLES
from training.features import FEATURES
from training.games import BatchedGames
from training.learning.parameters import Learning
from training.learning.policies import Policy
from training.learning.rollout import Eyes
from training.opponents.play import act_batch, number_of

_PASSES = 2
_RATE = 1e-3
_MINIBATCH = 2048


def imitate(
    learning: Learning,
    games: BatchedGames,
    policy: Policy,
    eyes: Eyes,
    generator: torch.Generator,
    progress: Callable[[int, float], None],
) -> None:
    """Fit the mean to the teacher for ``learning.imitation`` environment steps.

    ``progress`` gets the steps taken so far and the mean square error of the last rollout, before its fit.
    """
    role = ROLES.index(learning.role)
    number = number_of(learning.teacher, learning.role)
    optimiser = torch.optim.Adam(policy.parameters(), _RATE)
    n, horizon = len(games), learning.horizon
    seen = torch.zeros(horizon, n, FEATURES)
    shown = torch.zeros(horizon, n, 2)
    action, noise = np.zeros((n, 2)), np.zeros((n, 2))
    driven = np.arange(n) % 2 == 1
    taken = 0
    while taken < learning.imitation:
        for t in range(horizon):
            observation = np.ascontiguousarray(games.observe(role))
            act_batch(number, observation, noise, action)
            with torch.inference_mode():
                seen[t], sign = eyes(observation)
                own = policy.nominal(seen[t]).double().numpy()
            back = np.concatenate([np.ones((n, 1)), sign.double().numpy()], 1)
            shown[t] = torch.from_numpy(action * back)
            games.step(np.where(driven[:, None], own * back, action), role)
        taken += n * horizon
        error = _fit(policy, optimiser, seen.flatten(0, 1), shown.flatten(0, 1), generator)
        progress(taken, error)


def _fit(
    policy: Policy,
    optimiser: torch.optim.Adam,
    seen: torch.Tensor,
    shown: torch.Tensor,
    generator: torch.Generator,
) -> float:
    with torch.inference_mode():
        before = float(policy.imitate(seen, shown))
    for _ in range(_PASSES):
        for part in torch.randperm(len(seen), generator=generator).split(_MINIBATCH):
            optimiser.zero_grad(set_to_none=True)
            policy.imitate(seen[part], shown[part]).backward()
            nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
            optimiser.step()
    return before

"""Rollouts: what one learner saw, did and was paid, in N games over T steps."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.batch import (
    CAPTURES,
    LENGTH,
    PURSUER_CORRECTION,
    PURSUER_INTERVENED,
    PURSUER_RETURN,
    VIOLATIONS,
)
from training.features import FEATURES
from training.games import BatchedGames
from training.learning.policies import Context, Policy, Rows

Eyes = Callable[[NDArray[np.float64]], tuple[Tensor, Tensor]]
"""Observations (N, SIZE) to features (N, FEATURES), and the sign (N, 1) that turn rates have in their frame."""
RowReader = Callable[[], Rows]
Price = Callable[[], NDArray[np.float64]]


@dataclasses.dataclass
class Rollout:
    """T steps of N games; every tensor begins with (T, N).  The context is of the states that were acted in: of a
    BarrierNet the safety rows, so that the quadratic program of every sample can be solved again."""

    features: Tensor  # (T, N, FEATURES)
    actions: Tensor  # (T, N, 2), as drawn
    log_prob: Tensor
    values: Tensor  # (T + 1, N)
    rewards: Tensor
    done: Tensor  # bool: the episode ended with this step
    context: Context

    @classmethod
    def empty(cls, steps: int, games: int, context: Context = ()) -> Rollout:
        """Room for ``steps`` of ``games``, and for contexts like the one of the games, ``context``."""
        shape = (steps, games)
        return cls(
            features=torch.zeros(*shape, FEATURES),
            actions=torch.zeros(*shape, 2),
            log_prob=torch.zeros(shape),
            values=torch.zeros(steps + 1, games),
            rewards=torch.zeros(shape),
            done=torch.zeros(shape, dtype=torch.bool),
            context=tuple(torch.zeros(steps, *value.shape, dtype=value.dtype) for value in context),
        )

    def flat_context(self) -> Context:
        """Context of all T N samples."""
        return tuple(value.flatten(0, 1) for value in self.context)

    def advantages(self, discount: float, trace: float) -> Tensor:
        """Generalised advantage estimates (T, N).

        An episode that ended is worth nothing beyond, by time too: what is left of it is in the observation.
        Source: Schulman et al. 2016.
        """
        result, running = torch.zeros_like(self.rewards), torch.zeros_like(self.rewards[0])
        for t in range(len(self.rewards) - 1, -1, -1):
            alive = (~self.done[t]).float()
            error = self.rewards[t] + discount * alive * self.values[t + 1] - self.values[t]
            running = error + discount * trace * alive * running
            result[t] = running
        return result


@dataclasses.dataclass
class Account:
    """Episodes that ended: opponent and totals of each (``training.batch``)."""

    opponents: list[NDArray[np.int64]] = dataclasses.field(default_factory=list)
    totals: list[NDArray[np.float64]] = dataclasses.field(default_factory=list)

    def add(
        self, over: NDArray[np.bool_], opponents: NDArray[np.int64], ended: NDArray[np.float64]
    ) -> None:
        """The games (N,) that are ``over``, of all games' opponents (N,) and totals (N, TOTALS)."""
        if over.any():
            self.opponents.append(opponents[over])
            self.totals.append(ended[over])

    def summary(self, role: int) -> dict[str, float]:
        """What a curve shows; empty where no episode ended."""
        if not self.totals:
            return {}
        totals, opponents = np.concatenate(self.totals), np.concatenate(self.opponents)
        captured, steps = totals[:, CAPTURES], totals[:, LENGTH]
        result = {
            "episodes": float(len(totals)),
            "capture_rate": float(captured.mean()),
            "capture_steps": float(steps[captured > 0].mean()) if captured.any() else 0.0,
            "return": float(totals[:, PURSUER_RETURN + role].mean()),
            "violations": float(totals[:, VIOLATIONS].sum()),
            "intervention_rate": float(totals[:, PURSUER_INTERVENED + role].sum() / steps.sum()),
            "correction": float(totals[:, PURSUER_CORRECTION + role].sum() / steps.sum()),
        }
        for number in np.unique(opponents):
            against = opponents == number
            result[f"episodes/{number}"] = float(against.sum())
            result[f"capture_rate/{number}"] = float(captured[against].mean())
        return result


def collect(
    games: BatchedGames,
    role: int,
    policy: Policy,
    critic: nn.Module,
    eyes: Eyes,
    generator: torch.Generator,
    rollout: Rollout,
    read_rows: RowReader | None,
    reward_scale: float,
    account: Account,
    price: Price | None = None,
) -> None:
    """Play ``rollout`` full with what ``policy`` draws; ended episodes go to ``account``.

    ``price`` is what is taken from the reward beside (``pe_core.rewards``), for the states that were reached.
    """
    steps, n = rollout.rewards.shape
    other = 1 - role
    batch = games.batch
    with torch.inference_mode():
        for t in range(steps):
            seen, sign = eyes(games.observe(role))
            rollout.features[t] = seen
            rollout.values[t] = critic(seen)[:, 0]
            rows = None if read_rows is None else read_rows().mirrored(sign)
            context = policy.context(rows)
            for kept, value in zip(rollout.context, context, strict=True):
                kept[t] = value
            rollout.actions[t], rollout.log_prob[t] = policy.draw(seen, context, generator)
            opponents = batch.opponents[:, other].copy()
            action = torch.cat([rollout.actions[t, :, :1], rollout.actions[t, :, 1:] * sign], 1)
            games.step(action.double().numpy(), role)
            rollout.rewards[t] = torch.from_numpy(batch.rewards[:, role]).float() * reward_scale
            over = batch.terminated | batch.truncated
            rollout.done[t] = torch.from_numpy(over)
            if price is not None:
                taken = torch.from_numpy(np.where(over, 0.0, price())).float()
                rollout.rewards[t] -= taken * reward_scale
            account.add(over, opponents, batch.ended)
        rollout.values[steps] = critic(eyes(games.observe(role))[0])[:, 0]

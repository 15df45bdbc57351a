"""One training: a run folder that can be interrupted and continued as if it had not been.

OUT/run.json          parameters, seed, command, revision, hashes: written at the start
OUT/curves.jsonl      one line a rollout
OUT/events.*          the same for TensorBoard, where it is installed
OUT/checkpoint.pt     networks, optimisers, random state and the running games, replaced whole
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pe_core.arena import arena_of, load_arena
from pe_core.config import ConfigurationError
from pe_core.files import replaced, write_text
from pe_core.paths import boundary_path
from pe_core.provenance import git_revision
from pe_core.rewards import load_rewards
from pe_core.roles import ROLES
from pe_safety.feasibility.model import load_feasibility
from training.games import LEARNER, BatchedGames, Task
from training.learning.beta_policy import CbfBetaPolicy
from training.learning.curves import read_curves
from training.learning.imitation import imitate
from training.learning.parameters import BARRIERNET, CBF_BETA, SHAC, Learning
from training.learning.policies import BarrierNetPolicy, GaussianPolicy, Policy, Rows
from training.learning.ppo import Optimisers, update
from training.learning.rollout import Account, Price, Rollout, collect
from training.learning.shac import ShortHorizon
from training.learning.start import CHECKPOINT, RUN, begin_with
from training.networks import perceptron
from training.opponents.learned import players_of

CURVES = "curves.jsonl"
CHECKPOINT_EVERY_S = 120.0


def task_of(learning: Learning, opponents: str, seed: int) -> Task:
    """The task that ``learning`` is about, against the mix ``opponents``."""
    players = [opponents, opponents]
    players[ROLES.index(learning.role)] = LEARNER
    return Task(
        pursuer=players[0],
        evader=players[1],
        safety=learning.safety,
        robot=learning.robot,
        speed_ratio=(learning.ratio_low, learning.ratio_high),
        obstacles=(learning.obstacles_low, learning.obstacles_high),
        rewards=learning.rewards,
        randomise=learning.randomise,
        starts=learning.starts,
        seed=seed,
    )


def make_policy(learning: Learning) -> Policy:
    """A policy of ``learning.algorithm`` with fresh weights."""
    if learning.algorithm in (BARRIERNET, SHAC):
        return BarrierNetPolicy(learning)
    if learning.algorithm == CBF_BETA:
        return CbfBetaPolicy(learning)
    return GaussianPolicy(learning)


class Training:
    """A training that is stepped rollout by rollout."""

    def __init__(
        self,
        learning: Learning,
        seed: int,
        out: Path,
        threads: int,
        command: str,
        resume: bool,
        opponents: str | None = None,
        start: Path | None = None,
        match: dict[str, Any] | None = None,
    ) -> None:
        """Begin in the empty folder ``out``, or ``resume`` what is there.

        ``opponents`` is another mix than the parameters name; games are begun anew where a training that is resumed
        had another one.  ``start`` is what this one begins with (:func:`training.learning.start.begin_with`), ``match``
        what is to be told of the self-play that it is part of.

        Raises:
            ConfigurationError: something is there already; there is nothing to resume, or something else; the networks
                of ``start`` are others.
        """
        self.learning, self.seed, self.out = learning, seed, out
        self.role = ROLES.index(learning.role)
        torch.set_num_threads(threads)
        torch.manual_seed(seed)
        self.opponents = opponents or learning.opponents
        task = task_of(learning, self.opponents, seed)
        players = players_of(self.opponents, learning.role, load_arena(arena_of(task.arena, task.robot)).dt)
        self.games = BatchedGames(task, learning.games, min(threads, learning.games), players=players)
        self.policy = make_policy(learning)
        self.critic = perceptron([learning.hidden] * learning.layers, 1, learning.activation, 1.0)
        self.optimisers = Optimisers(
            torch.optim.Adam(self.policy.parameters(), learning.learning_rate, eps=1e-5),
            torch.optim.Adam(self.critic.parameters(), learning.learning_rate, eps=1e-5),
        )
        self.generator = torch.Generator().manual_seed(seed)
        self.reward_scale = 1.0 / max(load_rewards(learning.rewards).capture, 1.0)
        self.short = self._short_horizon() if learning.algorithm == SHAC else None
        self.read_rows = self._row_reader() if self.policy.needs_rows and self.short is None else None
        context = () if self.short else self.policy.context(self.read_rows() if self.read_rows else None)
        self.rollout = Rollout.empty(learning.horizon, learning.games, context)
        self.price = self._price() if learning.feasibility > 0.0 else None
        self.steps, self.rollouts, self.wall = 0, 0, 0.0
        self._speed_ratio = learning.ratio_low, learning.ratio_high
        self._saved_at = time.monotonic()
        if resume:
            self._load()
        else:
            self._begin(command, start, match)

    @property
    def finished(self) -> bool:
        """Whether all steps have been taken."""
        return self.steps >= self.learning.steps

    def see(self, observations: NDArray[np.float64]) -> tuple[torch.Tensor, torch.Tensor]:
        """Features and signs of observations, as the policy has them (``training.features``)."""
        mean = self.policy.mean
        seen, sign = mean.canonical(torch.from_numpy(observations).float())
        return mean.features(seen), sign

    def imitate(self, progress: Callable[[int, float], None]) -> None:
        """The warm start, where one is asked for and nothing has been learned yet."""
        if self.steps == 0 and self.learning.imitation:
            start = time.perf_counter()
            imitate(self.learning, self.games, self.policy, self.see, self.generator, progress)
            self.steps = self.learning.imitation
            self.wall += time.perf_counter() - start
            self.save()

    def advance(self) -> dict[str, float]:
        """One rollout and what is learned from it; returns the line that the curves got."""
        start = time.perf_counter()
        learning = self.learning
        share = min(self.steps / learning.steps, 1.0)
        self._set_speeds()
        self.optimisers.set_rate(learning.learning_rate * (1.0 - 0.9 * share))
        account = Account()
        value_only = self.rollouts < learning.critic_only
        if self.short is not None:
            with torch.set_grad_enabled(not value_only):
                loss = self.short.roll(self.generator, self.rollout, account)
            middle = time.perf_counter()
            found = self.short.improve(loss, self.rollout, self.optimisers, self.generator)
        else:
            collect(
                self.games, self.role, self.policy, self.critic, self.see, self.generator, self.rollout,
                self.read_rows, self.reward_scale, account, self.price,
            )  # fmt: skip
            middle = time.perf_counter()
            found = update(
                learning, self.policy, self.critic, self.optimisers, self.rollout, self.generator, value_only
            )
        self.rollouts += 1
        self.steps += learning.games * learning.horizon
        end = time.perf_counter()
        self.wall += end - start
        line = {
            "rollout": float(self.rollouts),
            "steps": float(self.steps),
            "wall_s": self.wall,
            "steps_per_s": learning.games * learning.horizon / (end - start),
            "collect_share": (middle - start) / (end - start),
            **account.summary(self.role),
            **found,
        }
        with (self.out / CURVES).open("a") as file:
            file.write(json.dumps(line) + "\n")
        if time.monotonic() - self._saved_at > CHECKPOINT_EVERY_S or self.finished:
            self.save()
        return line

    def _set_speeds(self) -> None:
        """Bring the starts to where the curriculum is."""
        wanted = self.learning.speed_ratio(self.steps)
        if wanted != self._speed_ratio:
            self.games.set_speed_ratio(*wanted)
            self._speed_ratio = wanted

    def save(self) -> None:
        """Replace the checkpoint."""
        state = {
            "learning_sha256": self.learning.sha256(),
            "opponents": self.opponents,
            "seed": self.seed,
            "policy": self.policy.state_dict(),
            "critic": self.critic.state_dict(),
            "policy_optimiser": self.optimisers.policy.state_dict(),
            "critic_optimiser": self.optimisers.critic.state_dict(),
            "generator": self.generator.get_state(),
            "games": {
                key: torch.from_numpy(value.copy()) for key, value in self.games.batch._asdict().items()
            },
            "steps": self.steps,
            "rollouts": self.rollouts,
            "wall": self.wall,
        }
        with replaced(self.out / CHECKPOINT) as temporary:
            torch.save(state, temporary)
        self._saved_at = time.monotonic()

    def _begin(self, command: str, start: Path | None, match: dict[str, Any] | None) -> None:
        if (self.out / CHECKPOINT).exists():
            raise ConfigurationError(
                f"{self.out}: holds a training already; allowed: another folder, or --resume"
            )
        data: dict[str, Any] = {
            "command": command,
            "revision": git_revision(),
            "seed": self.seed,
            "torch": torch.__version__.split("+")[0],
            "learning": dataclasses.asdict(self.learning),
            "learning_sha256": self.learning.sha256(),
        }
        if start is not None:
            data["start"] = begin_with(start, self.learning.role, self.policy, self.critic)
        if match is not None:
            data["self_play"] = match
        write_text(self.out / RUN, json.dumps(data, indent=1) + "\n")
        (self.out / CURVES).write_text("")

    def _load(self) -> None:
        path = self.out / CHECKPOINT
        if not path.is_file():
            raise ConfigurationError(f"{self.out}: no {CHECKPOINT} to resume")
        state = torch.load(path, weights_only=True)
        if state["learning_sha256"] != self.learning.sha256() or state["seed"] != self.seed:
            raise ConfigurationError(f"{self.out}: {CHECKPOINT} is of other parameters or another seed")
        self.policy.load_state_dict(state["policy"])
        self.critic.load_state_dict(state["critic"])
        self.optimisers.policy.load_state_dict(state["policy_optimiser"])
        self.optimisers.critic.load_state_dict(state["critic_optimiser"])
        self.generator.set_state(state["generator"])
        if state["opponents"] == self.opponents:
            for key, value in state["games"].items():
                np.copyto(getattr(self.games.batch, key), value.numpy())
        self.steps, self.rollouts, self.wall = state["steps"], state["rollouts"], state["wall"]
        kept = [line for line in read_curves(self.out / CURVES) if line["rollout"] <= self.rollouts]
        write_text(self.out / CURVES, "".join(json.dumps(line) + "\n" for line in kept))
        self._note_revision()

    def _note_revision(self) -> None:
        """In the run's account, from which step on another revision of the code goes on."""
        data, now = json.loads((self.out / RUN).read_text()), git_revision()
        resumed = data.get("resumed", [])
        if now != (resumed[-1] if resumed else data)["revision"]:
            data["resumed"] = [*resumed, {"steps": self.steps, "revision": now}]
            write_text(self.out / RUN, json.dumps(data, indent=1) + "\n")

    def _short_horizon(self) -> ShortHorizon:
        assert isinstance(self.policy, BarrierNetPolicy)
        return ShortHorizon(self.learning, self.games, self.policy, self.critic, self.reward_scale)

    def _row_reader(self) -> Callable[[], Rows]:
        """Reads the safety rows of the learner in every game."""

        def read() -> Rows:
            g, b, barrier = self.games.rows(self.role, self.learning.least_share)
            return Rows(torch.from_numpy(g).float(), torch.from_numpy(b).float(), torch.from_numpy(barrier))

        return read

    def _price(self) -> Price:
        """What it costs the learner to be where the program is expected to become infeasible: H < 0, up to 1."""
        model, weight = load_feasibility(boundary_path(self.learning.boundary)), self.learning.feasibility
        return lambda: weight * np.clip(-self.games.feasibility(model)[:, self.role], 0.0, 1.0)

    def close(self) -> None:
        """End the games' threads."""
        self.games.close()

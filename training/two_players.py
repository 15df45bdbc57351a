"""The game as a PettingZoo environment: both robots are played from outside, at the same time."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from pettingzoo import ParallelEnv

from pe_core.config import ConfigurationError
from pe_core.roles import ROLES
from training.environment import action_space, information, observation_space
from training.games import LEARNER, BatchedGames, Task
from training.render import Picture

Seen = dict[str, NDArray[np.float64]]


class TwoPlayers(ParallelEnv):
    """Agents ``pursuer`` and ``evader``; a batch of one game."""

    metadata = {"name": "pursuit_evasion_v0", "render_modes": ["rgb_array"], "render_fps": 20}

    def __init__(self, task: Task | None = None, render_mode: str | None = None) -> None:
        """The game ``task``, in which both roles are ``learner``."""
        self.task = task or Task(evader=LEARNER)
        self.render_mode = render_mode
        self._games = BatchedGames(self.task, 1)
        if len(self._games.learners) != 2:
            raise ConfigurationError("task: pursuer and evader must both be 'learner'")
        self.possible_agents = list(ROLES)
        self.agents: list[str] = []
        self._observations = {name: observation_space() for name in ROLES}
        self._actions = {
            name: action_space(robot.v_min / robot.v_max)
            for name, robot in zip(ROLES, self._games.robots, strict=True)
        }
        self._picture = Picture() if render_mode else None
        self._episode = 0

    def observation_space(self, agent: str) -> spaces.Box:
        """What ``agent`` may see."""
        return self._observations[agent]

    def action_space(self, agent: str) -> spaces.Box:
        """What ``agent`` may do."""
        return self._actions[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Seen, dict[str, dict[str, Any]]]:
        """Begin the next episode, or with ``seed`` the episode of that number."""
        if seed is not None:
            self._episode = seed
        self._games.reset(self._episode)
        self._episode += 1
        self.agents = list(ROLES)
        if self._picture is not None:
            self._picture.begin(self._games)
        seen = {name: self._games.observe(r)[0].copy() for r, name in enumerate(ROLES)}
        return seen, {name: {"episode": self._episode - 1} for name in ROLES}

    def step(
        self, actions: Seen
    ) -> tuple[Seen, dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]]:
        """One control step of both."""
        batch = self._games.step(np.stack([np.asarray(actions[name], np.float64) for name in ROLES])[None])
        terminated, truncated = bool(batch.terminated[0]), bool(batch.truncated[0])
        source = batch.final if terminated or truncated else batch.observations
        if terminated or truncated:
            self.agents = []
        elif self._picture is not None:
            self._picture.see(self._games)
        return (
            {name: source[0, r].copy() for r, name in enumerate(ROLES)},
            {name: float(batch.rewards[0, r]) for r, name in enumerate(ROLES)},
            dict.fromkeys(ROLES, terminated),
            dict.fromkeys(ROLES, truncated),
            {name: information(batch, r) for r, name in enumerate(ROLES)},
        )

    def render(self) -> NDArray[np.uint8] | None:
        """The game as an image (height, width, 3), where ``render_mode`` is ``rgb_array``."""
        return None if self._picture is None else self._picture.draw()

    def close(self) -> None:
        """End the games."""
        self._games.close()

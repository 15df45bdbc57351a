"""The game as a Gymnasium environment: one learner against a mix of scripted and learned opponents.

It is a batch of one game (:class:`training.games.BatchedGames`), so that what is learned on many is tried on one.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from pe_core.arena import arena_of, load_arena
from pe_core.config import ConfigurationError
from pe_core.observation import SIZE
from pe_core.roles import ROLES
from pe_safety.closed_loop import BACKUPS, INFEASIBLE, INTERVENTIONS
from training.batch import Batch
from training.field import parse_mix
from training.games import LEARNER, BatchedGames, Task
from training.opponents.learned import players_of
from training.render import Picture

RGB_ARRAY = "rgb_array"


def action_space(speed_min: float) -> spaces.Box:
    """Actions (2,): v / v_max in [speed_min, 1] and omega / omega_max in [-1, 1]."""
    return spaces.Box(np.array([speed_min, -1.0]), np.ones(2), dtype=np.float64)


def observation_space() -> spaces.Box:
    """Observations (SIZE,), dimensionless (``pe_core.observation``)."""
    return spaces.Box(-np.inf, np.inf, (SIZE,), np.float64)


def information(batch: Batch, role: int) -> dict[str, Any]:
    """What the last step of a game of one was, for robot ``role``."""
    counts = batch.counts[0, role]
    return {
        "captured": bool(batch.terminated[0]),
        "violated": bool(batch.violated[0]),
        "margin": float(batch.margins[0, role]),
        "intervened": bool(counts[INTERVENTIONS]),
        "infeasible": bool(counts[INFEASIBLE]),
        "backup": bool(counts[BACKUPS]),
        "correction": float(batch.corrections[0, role, 0]),
    }


class PursuitEvasion(gymnasium.Env):
    """One robot of the game; the other is played by the task's mix of opponents: compiled ones, or bundles by name."""

    metadata = {"render_modes": [RGB_ARRAY], "render_fps": 20}

    def __init__(self, task: Task | None = None, render_mode: str | None = None) -> None:
        """The game ``task``, in which exactly one role is ``learner`` (None: the pursuer against look-ahead).

        Raises:
            ConfigurationError: none or both roles are, or the task or a bundle is refused.
        """
        if render_mode not in (None, RGB_ARRAY):
            raise ConfigurationError(f"render_mode = {render_mode!r}: allowed: none, rgb_array")
        self.render_mode = render_mode
        self.task = task or Task()
        mixes = self.task.pursuer, self.task.evader
        learners = [role for role, mix in enumerate(mixes) if LEARNER in parse_mix(mix)]
        if len(learners) != 1:
            raise ConfigurationError("task: exactly one of pursuer and evader must be 'learner'")
        self.role = learners[0]
        dt = load_arena(arena_of(self.task.arena, self.task.robot)).dt
        players = players_of(mixes[1 - self.role], ROLES[self.role], dt)
        self._games = BatchedGames(self.task, 1, players=players)
        robot = self._games.robots[self.role]
        self.action_space = action_space(robot.v_min / robot.v_max)
        self.observation_space = observation_space()
        self._picture = Picture() if render_mode else None
        self._episode = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float64], dict[str, Any]]:
        """Begin the next episode, or with ``seed`` the episode of that number."""
        super().reset(seed=seed)
        if seed is not None:
            self._episode = seed
        self._games.reset(self._episode)
        self._episode += 1
        if self._picture is not None:
            self._picture.begin(self._games)
        return self._games.observe(self.role)[0].copy(), {"episode": self._episode - 1}

    def step(
        self, action: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], float, bool, bool, dict[str, Any]]:
        """One control step; the observation is that of the episode's end where it has ended."""
        batch = self._games.step(np.asarray(action, dtype=np.float64)[None], self.role)
        over = bool(batch.terminated[0] or batch.truncated[0])
        seen = batch.final[0, self.role] if over else batch.observations[0, self.role]
        if self._picture is not None and not over:
            self._picture.see(self._games)
        return (
            seen.copy(),
            float(batch.rewards[0, self.role]),
            bool(batch.terminated[0]),
            bool(batch.truncated[0]),
            information(batch, self.role),
        )

    def render(self) -> NDArray[np.uint8] | None:
        """The game as an image (height, width, 3), where ``render_mode`` is ``rgb_array``."""
        return None if self._picture is None else self._picture.draw()

    def close(self) -> None:
        """End the games."""
        self._games.close()

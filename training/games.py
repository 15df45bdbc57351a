"""Many games at once, for learning: the batched environment.

The learner gives the actions of the roles that no scripted opponent plays; a finished game begins anew by itself.
Random numbers depend on (seed, episode, step), never on the batch: game n plays episodes n, n + N, n + 2 N ...
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pe_core.arena import arena_of, load_arena
from pe_core.config import ConfigurationError
from pe_core.randomisation import load_randomisation
from pe_core.rewards import Rewards, load_rewards
from pe_core.robot import load_robot
from pe_core.roles import ROLES
from pe_core.rules import check_game
from pe_core.scenario import load_scenario
from pe_safety.disturbance.parameters import load_disturbance
from pe_safety.feasibility.games import margins_of_games
from pe_safety.feasibility.model import FeasibilityModel
from pe_safety.game_rows import ROWS, rows_of_games
from pe_safety.parameters import SafetyParameters, load_safety
from pe_safety.pending import history_rows
from training.batch import Batch, Rules, begin_all, empty_batch, step_batch
from training.field import Field, check_ranges, parse_mix
from training.opponents.play import GIVEN, number_of
from training.starts import delay_rows, deviations_of, draw_starts

LEARNER = "learner"
SIGMAS = 4.0
ROWS_ADAPTED = 48
"""Rows of a game whose gain is adapted: all that a robot which cannot reverse may have are 8 + 11 + 22."""
Player = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""A policy that is not compiled: observations (k, SIZE) to actions (k, 2)."""


@dataclasses.dataclass(frozen=True)
class Task:
    """What is played: who plays each role, and the names of configurations.

    A role is played by ``learner`` or by a mix of opponents (:func:`training.field.parse_mix`), of which one is drawn
    for every start: scripted ones, or players that :class:`BatchedGames` is given.  ``speed_ratio`` and ``obstacles``
    are a value or a range to draw from, None: the scenario's.  ``safety`` is a filter or ``none``; ``randomise`` > 0
    draws worlds from ``randomisation``, that many times as wide, which the filters' bounds then cover; ``starts`` is
    the number of different starts; ``filtered`` can leave out one robot's filter.
    """

    pursuer: str = LEARNER
    evader: str = "lookahead"
    safety: str = "rcbf"
    scenario: str = "random"
    robot: str = "reference"
    arena: str = "auto"
    speed_ratio: float | tuple[float, float] | None = None
    obstacles: int | tuple[int, int] | None = None
    rewards: str = "reference"
    randomise: float = 0.0
    randomisation: str = "turtlebot3"
    starts: int = 4096
    seed: int = 0
    filtered: tuple[bool, bool] = (True, True)

    def __post_init__(self) -> None:
        if self.starts < 1 or self.seed < 0 or not 0.0 <= self.randomise < math.inf:
            raise ConfigurationError(
                f"starts = {self.starts!r}, seed = {self.seed!r}, randomise = {self.randomise!r}: allowed: at least "
                "1, 0 and 0"
            )
        if load_disturbance(self.safety) is not None:
            raise ConfigurationError(
                f"safety = '{self.safety}': learns while it drives, which games played in one batch do not"
            )


class BatchedGames:
    """``games`` games of a task, stepped together over ``threads`` threads.

    Attributes:
        rules: what holds in every game (``training.batch.Rules``).
        batch: the arrays of all games (``training.batch.Batch``): observations, rewards, ended and so on after each
            :meth:`step`, overwritten by the next.
    """

    def __init__(
        self,
        task: Task,
        games: int,
        threads: int = 1,
        rewards: Rewards | None = None,
        players: Mapping[str, Player] | None = None,
    ) -> None:
        """Load what ``task`` names, draw the starts and begin every game.

        ``players`` are policies by name that are not compiled; a mix of the task may name them.

        Raises:
            ConfigurationError: a name is unknown or the game makes no sense.
        """
        if not 1 <= threads <= games:
            raise ConfigurationError(
                f"games = {games!r}, threads = {threads!r}: allowed: 1 <= threads <= games"
            )
        self.task = task
        self.config = load_arena(arena_of(task.arena, task.robot))
        scenario, base = load_scenario(task.scenario), load_robot(task.robot)
        self._players = dict(players or {})
        self._usual_ratio = scenario.speed_ratio
        field = self._field(task)
        self.robots = (base, base.with_speed_ratio(field.speed_ratio[1]))
        for ratio in field.speed_ratio:
            check_game(self.config, base, base.with_speed_ratio(ratio))
        ranges = (
            load_randomisation(task.randomisation).scaled(task.randomise) if task.randomise > 0.0 else None
        )
        filtered = task.safety != "none"
        chosen = load_safety(task.safety) if filtered else SafetyParameters()
        if ranges is not None:
            chosen = chosen.covering(ranges, SIGMAS)
        parameters = np.stack([chosen.as_array(self.config.dt)] * 2)
        both = (filtered and task.filtered[0], filtered and task.filtered[1])
        self.learners = tuple(r for r in range(2) if LEARNER in parse_mix((task.pursuer, task.evader)[r]))
        age = 0 if ranges is None else int(ranges.opponent_age / self.config.dt + 1e-9)
        numbers = [
            self.config.capture_radius,
            self.config.dt,
            self.config.max_steps,
            float(ranges is not None),
            1 if ranges is None else ranges.pose_every,
            age,
            task.seed,
            games,
        ]
        self.rules = Rules(
            numbers=np.array(numbers, dtype=np.float64),
            deviation=np.zeros(4) if ranges is None else deviations_of(ranges, self.config.dt),
            weights=(rewards or load_rewards(task.rewards)).as_array(),
            parameters=parameters,
            filtered=np.array(both),
        )
        self._draw = partial(
            draw_starts, scenario, self.config, base, parameters=parameters, filtered=both, ranges=ranges,
            seed=task.seed, count=task.starts,
        )  # fmt: skip
        self._starts = self._draw(field)
        delay = max(robot.delay for robot in self.robots)
        if ranges is not None:
            delay = max(delay, ranges.delay)
        history = max(
            delay_rows(delay, self.config.dt), history_rows(self._starts.models, parameters, self.config.dt)
        )
        width = self._starts.models.shape[2]
        self.batch = empty_batch(games, history, age + 1, width, 0)
        edges = np.linspace(0, games, threads + 1).astype(int)
        self._shares = [
            Batch._make(array[low:high] for array in self.batch)
            for low, high in zip(edges, edges[1:], strict=False)
        ]
        self._active = [np.arange(len(share.episode)) for share in self._shares]
        self._everyone = np.arange(games)
        self._row_arrays: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]] | None = None
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None
        self.reset()

    def _field(self, task: Task) -> Field:
        """What ``task`` draws from; a learner has the number GIVEN, player k the number GIVEN - 1 - k."""
        names = list(self._players)
        mixes: list[dict[int, float]] = []
        for text, role in zip((task.pursuer, task.evader), ROLES, strict=True):
            mix = parse_mix(text)
            if LEARNER in mix and len(mix) > 1:
                raise ConfigurationError(
                    f"{role} = '{text}': allowed: '{LEARNER}' alone, or a mix of opponents"
                )
            numbers: dict[int, float] = {}
            for name, weight in mix.items():
                if name == LEARNER:
                    numbers[GIVEN] = weight
                elif name in names:
                    numbers[GIVEN - 1 - names.index(name)] = weight
                else:
                    numbers[number_of(name, role)] = weight
            mixes.append(numbers)
        asked = self._usual_ratio if task.speed_ratio is None else task.speed_ratio
        ratio = asked if isinstance(asked, tuple) else (asked, asked)
        count = task.obstacles
        obstacles = (count, count) if isinstance(count, int) else count
        check_ranges(ratio, obstacles)
        return Field((mixes[0], mixes[1]), ratio, obstacles)

    def __len__(self) -> int:
        return len(self.batch.episode)

    def reset(self, first: int = 0) -> None:
        """Begin every game anew; game n plays episode ``first`` + n."""
        self.batch.episode[:] = np.arange(first, first + len(self))
        begin_all(self.batch, self._starts, self.rules)

    def set_speed_ratio(self, low: float, high: float) -> None:
        """Draw the speed ratios of all starts from another range, from the next episodes on; the rest stays.

        Raises:
            ConfigurationError: the range makes no sense, or its end is above the task's own.
        """
        first, last = self._field(self.task).speed_ratio
        if not (first <= low and high <= last):
            raise ConfigurationError(
                f"speed_ratio = {low:g} to {high:g}: allowed: within the task's {first:g} to {last:g}"
            )
        self._starts = self._draw(self._field(dataclasses.replace(self.task, speed_ratio=(low, high))))

    def observe(self, role: int) -> NDArray[np.float64]:
        """What robot ``role`` of each game sees, (N, SIZE): a view."""
        return self.batch.observations[:, role]

    def rows(
        self, role: int, least_share: float = 1.0
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
        """Safety rows G (N, M, 2), b (N, M) of robot ``role`` in the next step, in action units: those of the filter.

        The third array (N, M) says which are rows of barriers and bodies; with ``least_share`` < 1 all are there that
        can bind once b > 0 of those is multiplied by it.  The arrays are overwritten by the next call.

        Raises:
            ConfigurationError: a robot has more rows than M.
        """
        b = self.batch
        most = ROWS if least_share == 1.0 else ROWS_ADAPTED
        if self._row_arrays is None or self._row_arrays[1].shape[1] != most:
            n = len(self)
            self._row_arrays = np.zeros((n, most, 2)), np.zeros((n, most)), np.zeros((n, most), np.bool_)
        g, right, barrier = self._row_arrays
        crowded = rows_of_games(
            role, self._everyone, b.states, b.sent, b.half_side, b.obstacles, b.obstacle_count, b.models,
            self.rules.parameters, self.config.dt, self.task.randomise > 0.0, b.seen, b.deviations, b.ages,
            least_share, g, right, barrier,
        )  # fmt: skip
        if crowded:
            raise ConfigurationError(
                f"robot '{self.task.robot}': {crowded} games have more than {most} safety rows; allowed: robots that "
                "cannot reverse"
            )
        return g, right, barrier

    def feasibility(self, model: FeasibilityModel) -> NDArray[np.float64]:
        """Margin H (N, 2) of both robots: negative where the QP is expected to become infeasible."""
        out = np.empty((len(self), 2))
        b = self.batch
        margins_of_games(
            self._everyone, b.states, b.sent, b.half_side, b.obstacles, b.obstacle_count, b.models,
            self.rules.parameters, self.config.dt, self.task.randomise > 0.0, b.seen, b.deviations, b.ages,
            model.weights, model.width, model.threshold, out,
        )  # fmt: skip
        return out

    def step(self, actions: NDArray[np.float64], role: int | None = None) -> Batch:
        """One control step under ``actions``: (N, 2, 2) of both roles, or (N, 2) of ``role`` alone.

        Actions of roles that others play are overwritten by what they do.
        """
        if role is None:
            self.batch.actions[:] = actions
        else:
            self.batch.actions[:, role] = actions
        for k, player in enumerate(self._players.values()):
            for r in range(2):
                games = np.flatnonzero(self.batch.opponents[:, r] == GIVEN - 1 - k)
                if len(games):
                    self.batch.actions[games, r] = player(self.batch.observations[games, r])
        if self._pool is None:
            step_batch(self.batch, self._starts, self.rules, self._active[0])
        else:
            list(self._pool.map(self._step_share, range(len(self._shares))))
        return self.batch

    def _step_share(self, k: int) -> None:
        step_batch(self._shares[k], self._starts, self.rules, self._active[k])

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()

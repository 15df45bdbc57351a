"""Batches of games with one approach as the pursuer, every control step kept.

Games are those of :class:`pe_safety.closed_loop.Games`, with its rules.  Where the pursuer's filter learns while it
drives, its commands are filtered here, game by game, by the object that the safety node runs, and handed to the same
games (``apart``); the rest of the step, the evader's filter, plants, estimates and rules, is that of all others.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pe_core.bundle import PolicyBundle
from pe_core.config import ConfigurationError
from pe_core.plant import Bodies, Simulator
from pe_core.rewards import Rewards, load_rewards
from pe_core.robot import OMEGA_MAX, V_MAX, RobotModel, command_from_action
from pe_evaluation.comparison.acting import Actor
from pe_evaluation.comparison.plan import RANDOMISED, Approach, Job, Plan
from pe_evaluation.comparison.track import Track
from pe_evaluation.evaluate import Setup, noise_source, prepare, start
from pe_evaluation.metrics import BACKUP, EXACT, RELAXED, body_margins
from pe_safety.closed_loop import BACKUPS, INFEASIBLE, INTERVENTIONS, Games
from pe_safety.disturbance.filter import LearnedFilter
from pe_safety.disturbance.model import LearnedDisturbance
from pe_safety.disturbance.parameters import DisturbanceParameters, load_disturbance
from pe_safety.disturbance.refit import InCaller
from pe_safety.filter import FilterResult, SafetyFilter, Tier
from pe_safety.parameters import SafetyParameters, load_safety

STRIDE = 100
"""Control steps between two measurements of times."""
CROSSING = 10.0
"""Time [s] in which a robot drives the length that is the scale of positions of what is learnt, as on the nodes."""


@dataclasses.dataclass(frozen=True, eq=False)
class Played:
    """One episode, T control steps: the track and what it does not hold.

    ``intervened``, ``infeasible``: (T, 2); ``filtered``: whether each robot has a filter; ``policy_us``, ``filter_us``:
    times [µs] at batch one, of every :data:`STRIDE`-th step (where the filter learns: of every step).
    """

    track: Track
    intervened: NDArray[np.bool_]
    infeasible: NDArray[np.bool_]
    filtered: tuple[bool, bool]
    limits: NDArray[np.float64]
    max_steps: int
    policy_us: NDArray[np.float64]
    filter_us: NDArray[np.float64]


@dataclasses.dataclass(frozen=True, eq=False)
class Stage:
    """Everything loaded that the jobs of one approach in one cell, seed and scenario need."""

    approach: Approach
    setup: Setup
    parameters: tuple[SafetyParameters | None, SafetyParameters]
    disturbance: DisturbanceParameters | None
    rewards: Rewards

    @property
    def bundle(self) -> PolicyBundle:
        """The pursuer's policy."""
        return self.setup.policies[0]


def prepare_stage(plan: Plan, job: Job, simulator: Simulator | None = None) -> Stage:
    """Load and check what ``job`` names; ``simulator`` moves the robots, None: the plants of ``pe_core``.

    Raises:
        ConfigurationError: a name is unknown, or a file or bundle refused.
    """
    approach = plan.approach(job.approach)
    setup = prepare(plan.match(job), simulator)
    assert setup.parameters is not None
    evader = setup.parameters[1]
    if approach.safety == "none":
        own = None
    elif job.cell.world == RANDOMISED:
        own = evader
    else:
        own = load_safety(approach.safety)
    learning = load_disturbance(approach.safety) if approach.safety != "none" else None
    stage = Stage(approach, setup, (own, evader), learning, load_rewards(plan.rewards))
    stage.bundle.warm_up()
    return stage


class Pilot:
    """The pursuer's filter of one game, outside the games' kernel: learning, or plain."""

    def __init__(self, stage: Stage, robots: tuple[RobotModel, RobotModel]) -> None:
        own, rival = robots
        parameters, dt = stage.parameters[0], stage.setup.config.dt
        assert parameters is not None
        self.dt, self.step, self.filter = dt, 0, SafetyFilter(parameters, own, rival, dt)
        if stage.disturbance is not None:
            learned = LearnedDisturbance(own, stage.disturbance, dt, CROSSING * own.v_max, InCaller())
            self.filter = LearnedFilter(parameters, own, rival, dt, learned)

    def __call__(self, games: Games, n: int, nominal: NDArray[np.float64]) -> FilterResult:
        """Filter ``nominal`` (2,) [m/s, rad/s] in game ``n``."""
        sight = games.sight(n, 0)
        known: dict[str, Any] = {
            "opponent_age": sight.age,
            "deviations": sight.deviations,
            "opponent_deviations": sight.opponent_deviations,
            "pending": sight.pending,
        }
        if isinstance(self.filter, LearnedFilter):
            self.filter.observe(sight.own, self.step * self.dt)
            result = self.filter.step(sight.ahead, nominal, sight.opponent, sight.arena, **known)
            self.filter.sent(result.command)
        else:
            result = self.filter.step(sight.ahead, nominal, sight.opponent, sight.arena, **known)
        self.step += 1
        return result


class _Log:
    """Every control step of a batch, by game."""

    def __init__(self, games: Games, max_steps: int) -> None:
        n = len(games.states)
        self.poses = np.empty((n, max_steps + 1, 2, 3))
        self.nominal, self.command = np.empty((n, max_steps, 2, 2)), np.empty((n, max_steps, 2, 2))
        self.tiers = np.zeros((n, max_steps, 2), np.int8)
        self.intervened = np.zeros((n, max_steps, 2), np.bool_)
        self.infeasible = np.zeros((n, max_steps, 2), np.bool_)
        self.poses[:, 0] = games.states[:, :, :3]
        self.policy: list[list[float]] = [[] for _ in range(n)]
        self.filter: list[list[float]] = [[] for _ in range(n)]

    def note(
        self, games: Games, rows: NDArray[np.int64], step: int, nominal: NDArray[np.float64], done: NDArray[np.int64]
    ) -> None:
        """The step that was just taken in the games ``rows``; ``done`` (k, 2, 5), what it added to the counts."""
        self.nominal[rows, step] = nominal
        self.command[rows, step] = games.commands(rows)
        self.poses[rows, step + 1] = games.states[rows, :, :3]
        backup, infeasible = done[:, :, BACKUPS] > 0, done[:, :, INFEASIBLE] > 0
        self.tiers[rows, step] = np.where(backup, BACKUP, np.where(infeasible, RELAXED, EXACT))
        self.intervened[rows, step], self.infeasible[rows, step] = done[:, :, INTERVENTIONS] > 0, infeasible

    def note_pilot(self, n: int, step: int, result: FilterResult) -> None:
        """What the pursuer's own filter did in game ``n``."""
        self.tiers[n, step, 0] = {Tier.EXACT: EXACT, Tier.RELAXED: RELAXED, Tier.BACKUP: BACKUP}[result.tier]
        self.intervened[n, step, 0], self.infeasible[n, step, 0] = result.intervened, result.infeasible
        self.filter[n].append(1e6 * result.solve_time)


def play(stage: Stage, job: Job, apart: bool | None = None) -> list[Played]:
    """Play the episodes of ``job`` in one batch, or one after the other where a simulator moves the robots.

    ``apart`` filters the pursuer's commands game by game; None: where its filter learns.
    """
    setup = stage.setup
    if setup.simulator is None:
        return _play(stage, job, apart, None)
    played = []
    for episode in range(job.first, job.first + job.count):
        layouts, _ = start(setup, range(episode, episode + 1))
        with contextlib.closing(setup.simulator.bodies(layouts[0], setup.config, setup.robots)) as bodies:
            played += _play(stage, dataclasses.replace(job, first=episode, count=1), apart, bodies)
    return played


def _play(stage: Stage, job: Job, apart: bool | None, bodies: Bodies | None) -> list[Played]:
    setup = stage.setup
    episodes, config = range(job.first, job.first + job.count), setup.config
    layouts, worlds = start(setup, episodes)
    robots = [setup.robots if worlds is None else _believed(world) for world in worlds or layouts]
    moved = None if bodies is None else [bodies]
    games = Games(layouts, config, setup.robots, stage.parameters, worlds, moved)
    pilots: list[Pilot] = []
    if apart or (apart is None and stage.disturbance is not None):
        if stage.parameters[0] is None:
            raise ConfigurationError(f"approach '{stage.approach.name}': safety = 'none': there is nothing to filter")
        pilots = [Pilot(stage, pair) for pair in robots]
        games.take_over(0)
    clocks = [] if pilots or stage.parameters[0] is None else _clocks(stage, robots)
    actor = Actor(stage.bundle, stage.approach.acts, setup.match.seed, episodes, config.max_steps)
    evader, noise = setup.policies[1], noise_source(setup.policies[1], setup.match.seed, episodes, config.max_steps)
    log, step = _Log(games, config.max_steps), 0
    while len(games.active):
        rows = games.active
        seen, actions = games.observe(0), np.empty((len(rows), 2, 2))
        actions[:, 0] = actor(games, seen, step)
        actions[:, 1] = evader.act(games.observe(1), None if noise is None else noise(rows, step))
        nominal = _nominal(actions, games.models_of(rows))
        for k, n in enumerate(rows if step % STRIDE == 0 else ()):
            log.policy[n].append(1e6 * actor.time(games, seen, step, k))
            if clocks:
                log.filter[n].append(1e6 * _time(clocks[n % len(clocks)], games, n, nominal[k, 0]))
        for k, n in enumerate(rows if pilots else ()):
            result = pilots[n](games, n, nominal[k, 0])
            log.note_pilot(n, step, result)
            actions[k, 0] = _action(result.command, games.models_of(rows)[k, 0])
        before = games.counts[rows]
        games.step(actions)
        done = games.counts[rows] - before
        if pilots:
            kept = log.tiers[rows, step, 0], log.intervened[rows, step, 0], log.infeasible[rows, step, 0]
            log.note(games, rows, step, nominal, done)
            log.tiers[rows, step, 0], log.intervened[rows, step, 0], log.infeasible[rows, step, 0] = kept
        else:
            log.note(games, rows, step, nominal, done)
        step += 1
    return [_played(stage, job, games, log, n, episode) for n, episode in enumerate(episodes)]


def _believed(world: Any) -> tuple[RobotModel, RobotModel]:
    return world.robots[0].model, world.robots[1].model


def _clocks(stage: Stage, robots: list[tuple[RobotModel, RobotModel]]) -> list[SafetyFilter]:
    """Filters to measure: one where the robots of all games are the same, else one a game."""
    parameters = stage.parameters[0]
    assert parameters is not None
    used = robots if stage.setup.ranges is not None else robots[:1]
    return [SafetyFilter(parameters, own, rival, stage.setup.config.dt) for own, rival in used]


def _time(clock: SafetyFilter, games: Games, n: int, nominal: NDArray[np.float64]) -> float:
    sight = games.sight(n, 0)
    begin = time.perf_counter()
    clock.step(
        sight.ahead, nominal, sight.opponent, sight.arena, sight.age, sight.deviations, sight.opponent_deviations,
        sight.pending,
    )  # fmt: skip
    return time.perf_counter() - begin


@njit(cache=True)
def _nominal(actions: NDArray[np.float64], models: NDArray[np.float64]) -> NDArray[np.float64]:
    """Nominal commands (k, 2, 2) of actions (k, 2, 2) of robots (k, 2, .)."""
    out = np.empty(actions.shape)
    for k in range(actions.shape[0]):
        for r in range(2):
            out[k, r, 0], out[k, r, 1] = command_from_action(actions[k, r, 0], actions[k, r, 1], models[k, r])
    return out


def _action(command: tuple[float, float], model: NDArray[np.float64]) -> list[float]:
    """The action that comes to ``command``, to the last bit where there is one."""
    action = []
    for value, limit in zip(command, (float(model[V_MAX]), float(model[OMEGA_MAX])), strict=True):
        near = value / limit
        tries = (near, math.nextafter(near, math.inf), math.nextafter(near, -math.inf))
        action.append(next((each for each in tries if each * limit == value), near))
    return action


def _played(stage: Stage, job: Job, games: Games, log: _Log, n: int, episode: int) -> Played:
    steps, setup = int(games.steps[n]), stage.setup
    models, arena = games.models_of(np.array([n]))[0], games.arena(n)
    radii = (setup.robots[0].radius, setup.robots[1].radius)
    poses = log.poses[n, : steps + 1].copy()
    track = Track(
        name=stage.approach.title,
        evader=job.cell.evader,
        scenario=job.scenario,
        speed_ratio=job.cell.speed_ratio,
        seed=job.seed,
        episode=episode,
        dt=setup.config.dt,
        arena=arena,
        capture_radius=setup.config.capture_radius,
        radii=radii,
        poses=poses,
        nominal=log.nominal[n, :steps].copy(),
        command=log.command[n, :steps].copy(),
        margins=body_margins(poses[:, 0], poses[:, 1], radii, arena),
        tiers=log.tiers[n, :steps].astype(np.int64),
        captured=bool(games.captured[n]),
    )
    return Played(
        track=track,
        intervened=log.intervened[n, :steps].copy(),
        infeasible=log.infeasible[n, :steps].copy(),
        filtered=(stage.parameters[0] is not None, True),
        limits=models[:, [V_MAX, OMEGA_MAX]].copy(),
        max_steps=setup.config.max_steps,
        policy_us=np.array(log.policy[n]),
        filter_us=np.array(log.filter[n]),
    )

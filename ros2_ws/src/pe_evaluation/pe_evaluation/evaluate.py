"""Episodes in process: the same bundles, encoder, filter, plants and rules as on the nodes, in batches.

Episodes are independent of one another and of the batch that they run in (layout and noise come from (seed,
episode) alone), so that they can be spread over processes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import as_completed
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pe_core.arena import OBSTACLES_MAX, ArenaConfig, arena_of, load_arena
from pe_core.bundle import NoiseSource, PolicyBundle, load_bundle
from pe_core.config import ConfigurationError
from pe_core.paths import BOUNDARY, boundary_path, config_names
from pe_core.plant import Bodies, Simulator
from pe_core.randomisation import Randomisation, WorldDraw, draw, load_randomisation
from pe_core.robot import RobotModel, load_robot
from pe_core.rules import check_game
from pe_core.scenario import Layout, Scenario, load_scenario, sample_layout
from pe_evaluation.metrics import CAPTURE, ROLES, TIMEOUT, EpisodeRecord, RobotCounts
from pe_evaluation.watch import Watch
from pe_evaluation.workers import worker_pool
from pe_safety.closed_loop import BACKUPS, INFEASIBLE, INTERVENTIONS, Games
from pe_safety.disturbance.parameters import load_disturbance
from pe_safety.feasibility.model import FeasibilityModel, load_feasibility
from pe_safety.filter import REASONS
from pe_safety.parameters import SafetyParameters, check_mechanism, load_safety

CHUNK = 500


@dataclasses.dataclass(frozen=True)
class Match:
    """What is played: names of bundles, filter, scenario, robot profile and arena; speeds; seed.

    ``randomise`` > 0 draws the world of each episode from the ranges ``randomisation``, that many times as wide; the
    filter's bounds cover them (``covered``, with ``sigmas`` deviations of the estimates) or stay as configured.
    ``feasibility`` is the boundary that warns beside the filter, models/feasibility/<name>.npz; empty: none.
    ``obstacles`` are drawn in every episode, 0 to 6; None: as many as scenario and arena say.
    """

    pursuer: str
    evader: str
    safety: str = "rcbf"
    scenario: str = "random"
    robot: str = "reference"
    arena: str = "auto"
    speed_ratio: float | None = None
    seed: int = 0
    randomise: float = 0.0
    randomisation: str = "turtlebot3"
    covered: bool = True
    sigmas: float = 4.0
    feasibility: str = BOUNDARY
    obstacles: int | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.randomise) and self.randomise >= 0.0):
            raise ConfigurationError(f"randomise = {self.randomise!r}: allowed: 0 (off) or a positive scale")
        check_mechanism(self.safety, (self.pursuer, self.evader))
        if load_disturbance(self.safety) is not None:
            learning = config_names("disturbance")
            raise ConfigurationError(
                f"safety = '{self.safety}': learns while it drives, which games played in one batch do not; "
                "allowed: none, "
                + ", ".join(name for name in config_names("safety") if name not in learning)
                + f" (with it: ./pe launch pursuit.launch.py safety:={self.safety})"
            )
        if self.seed < 0:
            raise ConfigurationError(f"seed = {self.seed!r}: allowed: 0 or more")
        if self.obstacles is not None and not 0 <= self.obstacles <= OBSTACLES_MAX:
            raise ConfigurationError(f"obstacles = {self.obstacles!r}: allowed: 0 to {OBSTACLES_MAX}")


@dataclasses.dataclass(frozen=True)
class Setup:
    """A match with everything loaded and checked."""

    match: Match
    config: ArenaConfig
    scenario: Scenario
    robots: tuple[RobotModel, RobotModel]
    policies: tuple[PolicyBundle, PolicyBundle]
    parameters: tuple[SafetyParameters, SafetyParameters] | None
    ranges: Randomisation | None = None
    boundary: FeasibilityModel | None = None
    simulator: Simulator | None = None

    def identity(self) -> dict[str, Any]:
        """Hashes of the bundles and of the whole configuration."""
        configuration = {
            "arena": dataclasses.asdict(self.config),
            "scenario": self.scenario.played(),
            "robots": [dataclasses.asdict(robot) for robot in self.robots],
            "safety": dataclasses.asdict(self.parameters[0]) if self.parameters else None,
        }
        if self.ranges is not None:
            configuration["randomisation"] = dataclasses.asdict(self.ranges)
        moved = {} if self.simulator is None else {"simulator": self.simulator.identity()}
        configuration |= moved
        text = json.dumps(configuration, sort_keys=True).encode()
        return {
            "bundles": {
                role: {"name": policy.schema.name, "sha256": policy.schema.sha256}
                for role, policy in zip(ROLES, self.policies, strict=True)
            },
            "configuration_sha256": hashlib.sha256(text).hexdigest(),
            "seed": self.match.seed,
            "match": dataclasses.asdict(self.match),
            **moved,
        }


def prepare(match: Match, simulator: Simulator | None = None) -> Setup:
    """Load and check everything that a match names; ``simulator`` moves the robots, None: the plants of ``pe_core``.

    Raises:
        ConfigurationError: a name is unknown, a file or bundle is refused, or the game makes no sense.
    """
    if simulator is not None and match.randomise > 0.0:
        name = simulator.identity()["name"]
        raise ConfigurationError(f"randomise = {match.randomise!r}: allowed: 0 with simulator = {name}")
    config = load_arena(arena_of(match.arena, match.robot))
    scenario = load_scenario(match.scenario)
    if match.obstacles is not None:
        if scenario.obstacles is not None:
            raise ConfigurationError(
                f"obstacles = {match.obstacles!r}: scenario {scenario.name} places its own; allowed: a scenario that "
                "draws them, such as random"
            )
        scenario = dataclasses.replace(scenario, obstacle_count=match.obstacles)
    base = load_robot(match.robot)
    ratio = scenario.speed_ratio if match.speed_ratio is None else match.speed_ratio
    robots = (base, base if ratio == 1.0 else base.with_speed_ratio(ratio))
    check_game(config, *robots)
    policies = (
        load_bundle(match.pursuer, role="pursuer", dt=config.dt),
        load_bundle(match.evader, role="evader", dt=config.dt),
    )
    parameters, boundary = None, None
    ranges = load_randomisation(match.randomisation).scaled(match.randomise) if match.randomise > 0.0 else None
    if match.safety != "none":
        chosen = load_safety(match.safety)
        if ranges is not None and match.covered:
            chosen = chosen.covering(ranges, match.sigmas)
        parameters = (chosen, chosen)
        if match.feasibility:
            boundary = load_feasibility(boundary_path(match.feasibility))
    return Setup(match, config, scenario, robots, policies, parameters, ranges, boundary, simulator)


def play(setup: Setup, episodes: range) -> list[EpisodeRecord]:
    """Play ``episodes`` in one batch, or one after the other where a simulator moves the robots."""
    if setup.simulator is None:
        return _play(setup, episodes, None)
    records = []
    for episode in episodes:
        alone = range(episode, episode + 1)
        layouts, _ = start(setup, alone)
        with contextlib.closing(setup.simulator.bodies(layouts[0], setup.config, setup.robots)) as bodies:
            records += _play(setup, alone, bodies)
    return records


def _play(setup: Setup, episodes: range, bodies: Bodies | None) -> list[EpisodeRecord]:
    config, seed = setup.config, setup.match.seed
    layouts, worlds = start(setup, episodes)
    moved = None if bodies is None else [bodies]
    games = Games(layouts, config, setup.robots, setup.parameters, worlds, moved)
    watch = None if setup.boundary is None else Watch(games, setup.boundary)
    noise = [noise_source(policy, seed, episodes, config.max_steps) for policy in setup.policies]
    step = 0
    while len(games.active):
        actions = np.empty((len(games.active), 2, 2))
        for role, policy in enumerate(setup.policies):
            source = noise[role]
            drawn = None if source is None else source(games.active, step)
            actions[:, role] = policy.act(games.observe(role), drawn)
        if watch is not None:
            watch.look()
        games.step(actions)
        if watch is not None:
            watch.note()
        step += 1
    return [_record(games, watch, row, episode, seed) for row, episode in enumerate(episodes)]


def start(setup: Setup, episodes: range) -> tuple[list[Layout], list[WorldDraw] | None]:
    """Layouts of ``episodes`` as the map shows them, and their drawn worlds where the match is randomised."""
    scenario, config, seed = setup.scenario, setup.config, setup.match.seed
    if setup.ranges is None:
        return [sample_layout(scenario, config, *setup.robots, seed, episode) for episode in episodes], None
    worlds = [draw(setup.ranges, config, setup.robots, seed, episode) for episode in episodes]
    layouts = []
    for world in worlds:
        first, second = (robot.model for robot in world.robots)
        drawn = sample_layout(scenario, world.config, first, second, seed, world.episode)
        layouts.append(world.surveyed(drawn))
    return layouts, worlds


def evaluate(
    match: Match,
    episodes: int,
    workers: int | None = None,
    progress: Callable[[int], None] | None = None,
    simulator: Simulator | None = None,
) -> tuple[list[EpisodeRecord], dict[str, Any]]:
    """Play ``episodes`` episodes, in order, over ``workers`` processes; returns records and identity.

    ``progress`` is called with the number of episodes that a finished chunk held; ``simulator`` as in :func:`prepare`.
    """
    if episodes < 1:
        raise ConfigurationError(f"episodes = {episodes!r}: allowed: 1 or more")
    setup = prepare(match, simulator)
    count = workers or len(os.sched_getaffinity(0))
    chunk = max(1, min(CHUNK, -(-episodes // count))) if simulator is None else 1
    chunks = [range(start, min(start + chunk, episodes)) for start in range(0, episodes, chunk)]
    records: dict[int, list[EpisodeRecord]] = {}
    for part, played in _play_all(match, setup, chunks, count):
        records[part.start] = played
        if progress is not None:
            progress(len(part))
    return [record for start in sorted(records) for record in records[start]], setup.identity()


def _play_all(
    match: Match, setup: Setup, chunks: list[range], workers: int
) -> Iterator[tuple[range, list[EpisodeRecord]]]:
    if workers == 1 or len(chunks) == 1:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            for part in chunks:
                yield part, play(setup, part)
        finally:
            torch.set_num_threads(threads)
        return
    moved = setup.simulator is not None
    with worker_pool(workers, _initialise, (match, setup.simulator), own_cores=moved) as pool:
        futures = {pool.submit(_play_chunk, part): part for part in chunks}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


_worker_setup: Setup | None = None


def _initialise(match: Match, simulator: Simulator | None) -> None:
    global _worker_setup
    _worker_setup = prepare(match, simulator)


def _play_chunk(part: range) -> list[EpisodeRecord]:
    assert _worker_setup is not None
    return play(_worker_setup, part)


def noise_source(
    policy: PolicyBundle, seed: int, episodes: range, steps: int
) -> Callable[[NDArray[np.int64], int], NDArray[np.float64]] | None:
    """The random inputs (k, size) of ``policy`` by rows and control step; None where it draws nothing."""
    if not policy.schema.noise_size:
        return None
    sources = [NoiseSource(policy.schema, seed, episode, steps) for episode in episodes]

    def draw(active: NDArray[np.int64], step: int) -> NDArray[np.float64]:
        return np.concatenate([sources[row].at(step) for row in active])

    return draw


def _record(games: Games, watch: Watch | None, row: int, episode: int, seed: int) -> EpisodeRecord:
    steps, dt = int(games.steps[row]), games.config.dt
    told = [(None, None) if watch is None else watch.counts(row, r) for r in range(2)]
    captured = bool(games.captured[row])
    robots = {
        role: RobotCounts(
            steps=steps,
            interventions=int(games.counts[row, r, INTERVENTIONS]),
            infeasible=int(games.counts[row, r, INFEASIBLE]),
            backup=int(games.counts[row, r, BACKUPS]),
            correction_sum=float(games.corrections[row, r, 0]),
            correction_max=float(games.corrections[row, r, 1]),
            reasons={
                REASONS[reason]: int(count)
                for reason, count in enumerate(games.reasons[row, r])
                if count and REASONS[reason]
            },
            warned=told[r][0],
            foreseen=told[r][1],
        )
        for r, role in enumerate(ROLES)
    }
    return EpisodeRecord(
        index=episode,
        outcome=CAPTURE if captured else TIMEOUT,
        steps=steps,
        dt=dt,
        capture_time=steps * dt if captured else None,
        min_margin=float(games.min_margin[row]),
        violations=int(games.violations[row]),
        robots=robots,
        seed=seed,
    )

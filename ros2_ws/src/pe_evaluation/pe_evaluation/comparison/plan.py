"""What a comparison plays: approaches, cells, worlds; ``config/comparison/<name>.yaml`` is its one source."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pe_core.config import ConfigurationError, check_range, from_mapping, quantity, read_yaml
from pe_core.paths import bundle_path, config_path
from pe_evaluation.evaluate import Match
from pe_safety.disturbance.parameters import load_disturbance

IDEAL, RANDOMISED, RECORDED = "ideal", "randomised", "recorded"
DRAWN = "random"
"""The scenario whose starts are drawn; others have a fixed start each."""
MEAN, DENSITY, NOISE = "mean", "density", "noise"
TRAINED, DEPLOYED, REFERENCE = "trained", "deployed", "reference"
REFERENCE_ROBOT = "reference"
SIDE_BY_SIDE = 4
BATCH = 100
"""Episodes that are played, and stored, together, in a second or two; where the filter learns, or a simulator moves the
robots, they are played and stored one by one."""


@dataclasses.dataclass(frozen=True)
class Approach:
    """One way to drive the pursuer."""

    name: str = quantity(description="in files and on the command line")
    title: str = quantity(description="as a reader sees it")
    bundle: str = quantity(description="policy bundle of the pursuer")
    acts: str = quantity(MEAN, choices=(MEAN, DENSITY, NOISE), description="how an action comes from the policy")
    safety: str = quantity("rcbf", description="filter of the pursuer: a name in config/safety, or none")
    setting: str = quantity(
        DEPLOYED, choices=(TRAINED, DEPLOYED, REFERENCE), description="as during training, or on a robot"
    )
    episodes_most: int = quantity(0, low=0, high=10**9, description="of each cell and seed; 0: all")
    other_seeds: tuple[str, ...] = quantity((), description="bundles of other trainings, for the seeds after the first")

    def __post_init__(self) -> None:
        check_range(self, f"approach {self.name}")

    @property
    def bundles(self) -> tuple[str, ...]:
        """Its policies, by training."""
        return (self.bundle, *self.other_seeds)

    @property
    def learns(self) -> bool:
        """Whether its filter learns while it drives."""
        return self.safety != "none" and load_disturbance(self.safety) is not None


@dataclasses.dataclass(frozen=True, order=True)
class Cell:
    """An opponent at a speed, in a world."""

    world: str
    evader: str
    speed_ratio: float

    def __str__(self) -> str:
        drawn = "" if self.world == IDEAL else f", {self.world}"
        return f"{self.evader} {self.speed_ratio:g}{drawn}"


def cell_of(row: Mapping[str, Any]) -> Cell | None:
    """The cell that an episode counts in; None where it is a scenario of the plan, which is shown and not averaged.

    In recordings every scenario is a cell of its own: ``evader@scenario``.
    """
    world, evader, scenario = str(row["world"]), str(row["evader"]), str(row["scenario"])
    if scenario != DRAWN and world != RECORDED:
        return None
    return Cell(world, evader if scenario == DRAWN else f"{evader}@{scenario}", float(row["speed_ratio"]))


@dataclasses.dataclass(frozen=True)
class Randomised:
    """The world that is drawn anew in every episode."""

    cells: tuple[Cell, ...]
    approaches: tuple[str, ...]
    scale: float = quantity(1.0, low=0.01, high=10.0, description="width of the ranges")
    ranges: str = quantity("turtlebot3", description="a name in config/randomisation")
    safety: str = quantity("rcbf_robust", description="bounds of every filter there")
    episodes_most: int = quantity(0, low=0, high=10**9, description="of each cell and seed; 0: all")

    def __post_init__(self) -> None:
        check_range(self, "randomised")


@dataclasses.dataclass(frozen=True)
class Tracks:
    """Which episodes are kept as arrays."""

    evader: str = quantity("lookahead", description="opponent in the scenarios")
    speed_ratio: float = quantity(1.0, low=0.1, high=3.0, description="its speed over the pursuer's")
    scenarios: tuple[str, ...] = quantity((), description="names in config/scenarios")
    first_episodes: int = quantity(1, low=0, high=1000, description="of the first seed of every cell")
    replayed: tuple[str, ...] = quantity((), description="approaches side by side in the replay; none: no replay")

    def __post_init__(self) -> None:
        check_range(self, "tracks")
        if len(self.replayed) > SIDE_BY_SIDE:
            raise ConfigurationError(
                f"tracks: replayed = {', '.join(self.replayed)}: allowed: at most {SIDE_BY_SIDE} approaches"
            )


@dataclasses.dataclass(frozen=True)
class GapDefinition:
    """Two approaches with the same policy: as trained and as deployed."""

    name: str = quantity(description="candidate of the decision")
    title: str = quantity(description="as a reader sees it")
    trained: str = quantity(description="approach")
    deployed: str = quantity(description="approach")


@dataclasses.dataclass(frozen=True)
class Job:
    """A batch of episodes: the unit of work and of storage."""

    approach: str
    cell: Cell
    seed: int
    first: int
    count: int
    scenario: str = "random"

    @property
    def name(self) -> str:
        """Unique within a plan, and fit for a file."""
        scenario = "" if self.scenario == "random" else f"_{self.scenario}"
        return (
            f"{self.cell.world}_{self.approach}_{self.cell.evader}_{self.cell.speed_ratio:g}{scenario}"
            f"_s{self.seed}_e{self.first}"
        )


@dataclasses.dataclass(frozen=True)
class Plan:
    """A whole comparison; ``name`` is that of its file."""

    name: str
    description: str
    approaches: tuple[Approach, ...]
    cells: tuple[Cell, ...]
    evader_safety: str
    randomised: Randomised | None
    tracks: Tracks
    gaps: tuple[GapDefinition, ...]
    pairs: tuple[tuple[str, str], ...]
    rewards: str
    robot: str = REFERENCE_ROBOT
    episodes: int = 200
    seeds: tuple[int, ...] = (0, 1, 2)
    batch: int = BATCH

    def __post_init__(self) -> None:
        if self.episodes < 1:
            raise ConfigurationError(f"episodes = {self.episodes!r}: allowed: 1 or more")
        if self.batch < 1:
            raise ConfigurationError(f"batch = {self.batch!r}: allowed: 1 or more")
        if not self.seeds or min(self.seeds) < 0 or len(set(self.seeds)) < len(self.seeds):
            text = " ".join(map(str, self.seeds))
            raise ConfigurationError(f"seeds = {text!r}: allowed: one or more numbers from 0, each once")

    def approach(self, name: str) -> Approach:
        """The approach of that name.

        Raises:
            ConfigurationError: there is none.
        """
        found = {approach.name: approach for approach in self.approaches}
        if name not in found:
            raise ConfigurationError(f"approach '{name}' is unknown; known: {', '.join(found)}")
        return found[name]

    def jobs(self) -> Iterator[Job]:
        """Everything to be played, approaches side by side, so that an early end leaves all of them something."""
        for scenario in self.tracks.scenarios:
            cell = Cell(IDEAL, self.tracks.evader, self.tracks.speed_ratio)
            for approach in self.approaches:
                yield Job(approach.name, cell, self.seeds[0], 0, 1, scenario)
        for seed in self.seeds:
            for cell in self.all_cells():
                for approach in self.approaches:
                    total = self.episodes_of(approach, cell)
                    batch = 1 if approach.learns else self.batch
                    for first in range(0, total, batch):
                        yield Job(approach.name, cell, seed, first, min(batch, total - first))

    @property
    def world(self) -> str:
        """The world that approaches are compared in; another stands beside it."""
        return self.cells[0].world if self.cells else IDEAL

    @property
    def worlds(self) -> tuple[str, ...]:
        """All worlds, the one that approaches are compared in first."""
        return tuple(dict.fromkeys((self.world, *(cell.world for cell in self.all_cells()))))

    def all_cells(self) -> tuple[Cell, ...]:
        """Cells of all worlds."""
        return self.cells + (self.randomised.cells if self.randomised else ())

    def episodes_of(self, approach: Approach, cell: Cell) -> int:
        """How many episodes of each seed ``approach`` plays in ``cell``."""
        limits = [self.episodes, approach.episodes_most or self.episodes]
        if cell.world == RANDOMISED:
            assert self.randomised is not None
            if approach.name not in self.randomised.approaches:
                return 0
            limits.append(self.randomised.episodes_most or self.episodes)
        return min(limits)

    def match(self, job: Job) -> Match:
        """What :mod:`pe_evaluation.evaluate` would play for ``job``; the pursuer's filter is chosen apart."""
        cell, drawn = job.cell, self.randomised if job.cell.world == RANDOMISED else None
        approach = self.approach(job.approach)
        number = self.seeds.index(job.seed)
        return Match(
            approach.bundles[number % len(approach.bundles)],
            cell.evader,
            drawn.safety if drawn else self.evader_safety,
            job.scenario,
            robot=self.robot,
            speed_ratio=cell.speed_ratio,
            seed=job.seed,
            randomise=drawn.scale if drawn else 0.0,
            randomisation=drawn.ranges if drawn else "turtlebot3",
            feasibility="",
        )

    def narrowed(self, approaches: Sequence[str] = (), evaders: Sequence[str] = ()) -> Plan:
        """Only these approaches and evaders, where named; gaps and pairs that lack a part are left out.

        Raises:
            ConfigurationError: one is not in the plan, or named twice.
        """
        for kind, names in (("approaches", approaches), ("evaders", evaders)):
            if len(set(names)) < len(names):
                raise ConfigurationError(f"{kind} = {','.join(names)!r}: allowed: each once")
        kept = tuple(self.approach(name) for name in approaches) or self.approaches
        known = list(dict.fromkeys(cell.evader for cell in self.all_cells()))
        for evader in evaders:
            if evader not in known:
                raise ConfigurationError(f"evader '{evader}' is not in plan '{self.name}'; known: {', '.join(known)}")
        chosen = set(evaders or known)
        played = {approach.name for approach in kept}
        drawn = self.randomised
        if drawn is not None:
            cells = tuple(cell for cell in drawn.cells if cell.evader in chosen)
            runs = tuple(name for name in drawn.approaches if name in played)
            drawn = dataclasses.replace(drawn, cells=cells, approaches=runs) if cells and runs else None
        return dataclasses.replace(
            self,
            approaches=tuple(approach for approach in self.approaches if approach.name in played),
            cells=tuple(cell for cell in self.cells if cell.evader in chosen),
            randomised=drawn,
            gaps=tuple(gap for gap in self.gaps if {gap.trained, gap.deployed} <= played),
            pairs=tuple(pair for pair in self.pairs if set(pair) <= played),
        )


def load_plan(name: str, episodes: int, seeds: Sequence[int]) -> Plan:
    """The plan ``config/comparison/<name>.yaml`` (or a path to a YAML file), every bundle in it known.

    Raises:
        ConfigurationError: a key or value is not allowed, or a name is not known.
    """
    path = config_path("comparison", name)
    return plan_of(read_yaml(path), str(path), Path(path).stem, episodes, seeds)


_KEYS = {
    "description", "approaches", "evader_safety", "cells", "randomised", "tracks", "gaps", "pairs", "rewards", "robot",
}  # fmt: skip


def plan_of(data: Mapping[str, Any], source: str, name: str, episodes: int, seeds: Sequence[int]) -> Plan:
    """A plan from what its file holds."""
    unknown = [str(key) for key in data if key not in _KEYS]
    if unknown:
        raise ConfigurationError(f"{source}: unknown key '{unknown[0]}'; allowed: {', '.join(sorted(_KEYS))}")
    approaches = tuple(
        from_mapping(Approach, _mapping(entry, source), source) for entry in _list(data, "approaches", source)
    )
    names = [approach.name for approach in approaches]
    if not names or len(set(names)) < len(names):
        raise ConfigurationError(f"{source}: approaches = {', '.join(names)}: allowed: one or more, each name once")
    drawn = data.get("randomised")
    randomised = None
    if drawn is not None:
        values = dict(_mapping(drawn, source))
        values["cells"] = _cells(values.get("cells", ()), RANDOMISED, source)
        values["approaches"] = tuple(values.get("approaches", ()))
        randomised = from_mapping(Randomised, values, source)
    plan = Plan(
        name=name,
        description=str(data.get("description") or name),
        approaches=approaches,
        cells=_cells(data.get("cells", ()), IDEAL, source),
        evader_safety=str(data.get("evader_safety", "rcbf")),
        randomised=randomised,
        tracks=from_mapping(Tracks, _mapping(data.get("tracks", {}), source), source),
        gaps=tuple(from_mapping(GapDefinition, _mapping(entry, source), source) for entry in data.get("gaps", ())),
        pairs=tuple((str(first), str(second)) for first, second in data.get("pairs", ())),
        rewards=str(data.get("rewards", "reference")),
        robot=str(data.get("robot", REFERENCE_ROBOT)),
        episodes=episodes,
        seeds=tuple(seeds),
    )
    _check(plan, source)
    return plan


def _check(plan: Plan, source: str) -> None:
    known = [approach.name for approach in plan.approaches]
    used = [name for gap in plan.gaps for name in (gap.trained, gap.deployed)]
    used += [name for pair in plan.pairs for name in pair]
    used += plan.randomised.approaches if plan.randomised else ()
    used += plan.tracks.replayed
    for name in used:
        if name not in known:
            raise ConfigurationError(f"{source}: approach '{name}' is unknown; known: {', '.join(known)}")
    if not plan.cells:
        raise ConfigurationError(f"{source}: cells = []: allowed: one or more")
    for approach in plan.approaches:
        for bundle in approach.bundles:
            bundle_path(bundle, "pursuer")
        if approach.safety != "none":
            config_path("safety", approach.safety)
    for cell in plan.all_cells():
        bundle_path(cell.evader, "evader")
    for scenario in plan.tracks.scenarios:
        config_path("scenarios", scenario)
    config_path("robots", plan.robot)


def _cells(entries: Any, world: str, source: str) -> tuple[Cell, ...]:
    cells = []
    for entry in entries:
        values = _mapping(entry, source)
        ratios = values.get("speed_ratios")
        if set(values) != {"evader", "speed_ratios"} or not isinstance(ratios, list) or not ratios:
            raise ConfigurationError(f"{source}: cell = {entry!r}: allowed: an evader and a list of speed_ratios")
        for ratio in ratios:
            if isinstance(ratio, bool) or not isinstance(ratio, (int, float)) or not 0.1 <= ratio <= 3.0:
                raise ConfigurationError(f"{source}: speed ratio = {ratio!r}: allowed: [0.1, 3]")
            cells.append(Cell(world, str(values["evader"]), float(ratio)))
    if len(set(cells)) < len(cells):
        raise ConfigurationError(f"{source}: cells: one is named twice; allowed: each evader and speed ratio once")
    return tuple(cells)


def _mapping(entry: Any, source: str) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise ConfigurationError(f"{source}: {entry!r}: allowed: a mapping of keys to values")
    return entry


def _list(data: Mapping[str, Any], key: str, source: str) -> list[Any]:
    entries = data.get(key)
    if not isinstance(entries, list):
        raise ConfigurationError(f"{source}: {key} = {entries!r}: allowed: a list")
    return entries

"""The scenario suite: which scenarios ask for something, and whether a run gave it.

A scenario is in the suite where its file has a ``criteria`` block.  What is judged are the metrics of
``pe_evaluation.metrics``, so that a run in process and one through the nodes are judged alike.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pe_core.arena import ArenaConfig, arena_of, load_arena
from pe_core.config import ConfigurationError
from pe_core.criteria import Criteria
from pe_core.files import write_text
from pe_core.lengths import Measures
from pe_core.paths import config_names, config_path
from pe_core.robot import RobotModel, load_robot
from pe_core.scenario import Scenario, load_scenario, measures_of
from pe_evaluation.evaluate import Match, evaluate, prepare
from pe_evaluation.metrics import Metrics, json_safe

FEW = 500
"""Up to so many episodes a scenario is played in one process: others would take longer to start than to play."""


@dataclasses.dataclass(frozen=True)
class Players:
    """Who plays the suite, and how often."""

    pursuer: str
    evader: str = "lookahead"
    safety: str = "rcbf"
    robot: str = "reference"
    arena: str = "auto"
    episodes: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        if self.episodes < 1:
            raise ConfigurationError(f"episodes = {self.episodes!r}: allowed: 1 or more")


@dataclasses.dataclass(frozen=True)
class Case:
    """One scenario of the suite, loaded: ``source`` is the name or path by which it is found again."""

    source: str
    scenario: Scenario
    criteria: Criteria
    config: ArenaConfig
    robot: RobotModel

    @property
    def measures(self) -> Measures:
        """What the scenario's units of length are worth."""
        return measures_of(self.scenario, self.config, self.robot, self.robot)

    @property
    def time_scale(self) -> float:
        """How much longer this robot crosses its arena than one of 1 m/s crosses the reference arena."""
        return self.measures.scale / self.robot.v_max


@dataclasses.dataclass(frozen=True)
class Verdict:
    """One criterion: ``measured`` must be ``relation`` (>= or <=) ``limit``; None: there was nothing to measure."""

    criterion: str
    relation: str
    limit: float
    measured: float | None

    @property
    def passed(self) -> bool:
        """Whether it holds; what could not be measured does not."""
        if self.measured is None:
            return False
        return self.measured >= self.limit if self.relation == ">=" else self.measured <= self.limit


@dataclasses.dataclass(frozen=True)
class Outcome:
    """One scenario played and judged; ``wall`` is the time that it took [s]."""

    case: Case
    metrics: Metrics
    verdicts: tuple[Verdict, ...]
    wall: float
    through_nodes: bool = False

    @property
    def passed(self) -> bool:
        """Whether every criterion holds."""
        return all(verdict.passed for verdict in self.verdicts)

    def row(self) -> dict[str, Any]:
        """The outcome as one line of the JSON file."""
        identity = self.metrics.get("identity", {})
        more = {key: value for key, value in self.metrics.items() if key not in ("identity", "per_episode")}
        row = {
            "scenario": self.case.scenario.name,
            "description": self.case.scenario.description,
            "passed": self.passed,
            "criteria": [{**dataclasses.asdict(verdict), "passed": verdict.passed} for verdict in self.verdicts],
            "robot": self.case.robot.name,
            "through_nodes": self.through_nodes,
            "seed": identity.get("seed"),
            "wall_s": self.wall,
            "identity": identity,
            "metrics": more,
        }
        return dict(json_safe(row))


def suite_names() -> list[str]:
    """The scenarios of ``config/scenarios`` that have criteria."""
    return [name for name in config_names("scenarios") if load_scenario(name).criteria is not None]


def load_cases(names: Sequence[str], robot: str = "reference", arena: str = "auto") -> list[Case]:
    """The named scenarios (names or paths), or the whole suite where none is named; for this robot and arena.

    Raises:
        ConfigurationError: a name is unknown or given twice, a file is refused, or a scenario has no criteria.
    """
    model = load_robot(robot)
    config = load_arena(arena_of(arena, robot))
    cases: list[Case] = []
    for name in names or suite_names():
        if any(case.source == name for case in cases):
            raise ConfigurationError(f"scenario '{name}' is given twice")
        scenario = load_scenario(name)
        if scenario.criteria is None:
            known = ", ".join(suite_names())
            raise ConfigurationError(
                f"scenario '{name}': has no criteria, so there is nothing to judge; known with criteria: {known}"
            )
        source = str(config_path("scenarios", name).resolve()) if name.endswith((".yaml", ".yml")) else name
        cases.append(Case(source, scenario, scenario.criteria, config, model))
    return cases


def judge(case: Case, metrics: Mapping[str, Any]) -> tuple[Verdict, ...]:
    """The criteria of a scenario against what was measured (``pe_evaluation.metrics``); lengths and times scaled."""
    asked = case.criteria
    verdicts = []
    if asked.captures_least is not None:
        verdicts.append(Verdict("captures_least", ">=", asked.captures_least, metrics["capture_rate"]))
    if asked.capture_time_most is not None:
        limit = asked.capture_time_most * case.time_scale
        verdicts.append(Verdict("capture_time_most", "<=", limit, metrics["capture_time_s"]["mean"]))
    verdicts.append(Verdict("violations_most", "<=", asked.violations_most, metrics["violations"]))
    limit = case.measures.metres(asked.margin_least)
    verdicts.append(Verdict("margin_least", ">=", limit, metrics["min_margin_m"]))
    verdicts.append(Verdict("infeasible_most", "<=", asked.infeasible_most, metrics["infeasible_rate"]))
    if asked.interventions_most is not None:
        verdicts.append(
            Verdict("interventions_most", "<=", asked.interventions_most, metrics["intervention_rate"])
        )
    return tuple(verdicts)


def match_of(case: Case, players: Players) -> Match:
    """What the in-process evaluator plays for a scenario.

    Raises:
        ConfigurationError: safety and policies do not go together, or a value is not allowed.
    """
    return Match(
        players.pursuer, players.evader, players.safety, case.source, players.robot, players.arena, None, players.seed
    )


def check(cases: Sequence[Case], players: Players) -> None:
    """Load what every scenario needs, so that a run is refused before the first is played; raises like prepare."""
    for case in cases:
        prepare(match_of(case, players))


def play(case: Case, players: Players, workers: int | None = None) -> Metrics:
    """Play a scenario in process: the same for the same players, however many workers."""
    from pe_core.provenance import git_revision
    from pe_evaluation.metrics import identity_of, summarise

    if workers is None and players.episodes <= FEW:
        workers = 1
    records, identity = evaluate(match_of(case, players), players.episodes, workers)
    return summarise(records, identity_of(git_revision=git_revision(), **identity))


def write_rows(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Write JSON lines, one a scenario, atomically."""
    write_text(path, "".join(json.dumps(outcome.row(), allow_nan=False) + "\n" for outcome in outcomes))

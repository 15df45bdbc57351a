"""``./pe bench learned``: what learned pursuers reach, beside scripted lead pursuit, evader by evader.

2,000 episodes for each pursuer and case, 500 of the slower ones; both robots behind the filter, the same layouts for
all.  The reference game with two obstacles where a case does not say otherwise; at the TurtleBot's scale every robot,
sensor and map differs from what the filter believes, which covers that.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from pe_core.paths import bundle_names
from pe_core.scripted.build import HELD_OUT
from pe_evaluation.evaluate import Match, evaluate
from pe_evaluation.metrics import EpisodeRecord, write_json
from tests.bench.rows import Row, renewed

BENCH = "learned"
PURSUERS = ("lead", "ppo", "barriernet", "cbf-beta", "cbf-beta-polygon")
SCRIPTED = ("lookahead", "flee", "boundary", "random", "hider")
LEARNED_EVADERS = ("ppo-selfplay", "barriernet-evader")
BURGER = "turtlebot3_burger"


class Case(NamedTuple):
    """Evader, its speed over the pursuer's, obstacles (None: the scenario's two), robot (randomised if not the
    reference), episodes."""

    evader: str
    ratio: float = 1.0
    obstacles: int | None = None
    robot: str = "reference"
    episodes: int = 2000

    def __str__(self) -> str:
        text = f"{self.evader}, {self.ratio:g}"
        if self.obstacles is not None:
            text += f", {self.obstacles} obstacles"
        return text if self.robot == "reference" else f"{text}, {self.robot}"


CASES = (
    *(Case(name) for name in SCRIPTED),
    *(Case("lookahead", ratio) for ratio in (1.1, 1.2, 1.3)),
    *(Case("boundary", ratio) for ratio in (1.1, 1.2, 1.3)),
    *(Case(name, ratio) for name in HELD_OUT for ratio in (1.0, 1.2)),
    *(
        Case(name, ratio, count, episodes=500)
        for name in HELD_OUT
        for ratio in (1.0, 1.2)
        for count in (0, 6)
    ),
    *(Case(name) for name in LEARNED_EVADERS),
    *(Case(name, robot=BURGER, episodes=500) for name in ("lookahead", "boundary")),
)
EPISODES = None
"""As many as each case says."""
SHOWN = ("capture_rate", "capture_time", "violating_episodes", "min_margin", "intervention_rate")
UNITS = {"capture_time": "s", "min_margin": "m", "violating_episodes": "1"}


def account(records: list[EpisodeRecord]) -> dict[str, float]:
    """Capture rate, mean time of captures [s], episodes with a contact, smallest margin [m], and of the pursuer's
    cycles the shares that the filter corrected and that were infeasible."""
    times = [record.capture_time for record in records if record.capture_time is not None]
    robots = [record.robots["pursuer"] for record in records]
    steps = sum(robot.steps for robot in robots)
    return {
        "capture_rate": len(times) / len(records),
        "capture_time": sum(times) / len(times) if times else 0.0,
        "violating_episodes": float(sum((record.violations or 0) > 0 for record in records)),
        "min_margin": min(record.min_margin for record in records),
        "intervention_rate": sum(robot.interventions for robot in robots) / steps,
        "infeasible_rate": sum(robot.infeasible for robot in robots) / steps,
    }


def world_of(robot: str) -> dict[str, Any]:
    """Robot, filter and scale of the drawn worlds: all but the reference robot with everything drawn."""
    drawn = robot != "reference"
    return {"robot": robot, "safety": "rcbf_robust" if drawn else "rcbf", "randomise": 1.0 if drawn else 0.0}


def match_of(pursuer: str, case: Case) -> Match:
    """What is played in ``case``."""
    return Match(
        pursuer,
        case.evader,
        speed_ratio=case.ratio,
        obstacles=case.obstacles,
        seed=0,
        feasibility="",
        **world_of(case.robot),
    )


def run(
    json_path: Path | None = None,
    episodes: int | None = EPISODES,
    pursuers: Sequence[str] = (),
    cases: Sequence[Case] = CASES,
) -> list[Row]:
    """Play, print a table, return the rows; bundles that there are not (yet) are left out.

    Rows that the file has of other pursuers and cases are kept: pursuers can be measured one after the other.
    """
    known = bundle_names()
    chosen = list(pursuers) or [name for name in PURSUERS if name in known]
    rows: list[Row] = (
        json.loads(json_path.read_text()) if json_path is not None and json_path.is_file() else []
    )
    table = Table(title="one bundle for all cases")
    for column in ("case", "pursuer", *SHOWN):
        table.add_column(column)
    for case in (case for case in cases if case.evader in known):
        for pursuer in chosen:
            records, _ = evaluate(match_of(pursuer, case), episodes or case.episodes)
            found: dict[str, Any] = account(records)
            table.add_row(str(case), pursuer, *(f"{found[key]:.4g}" for key in SHOWN))
            rows = renewed(
                rows,
                (
                    Row(
                        bench=BENCH, subject=pursuer, case=str(case), metric=metric, value=value,
                        unit=UNITS.get(metric, "1"),
                    )
                    for metric, value in found.items()
                ),
            )  # fmt: skip
            print(f"{pursuer} v {case}: {100 * found['capture_rate']:.2f} % captured", flush=True)
            if json_path is not None:
                write_json(json_path, rows)
    Console().print(table)
    return rows

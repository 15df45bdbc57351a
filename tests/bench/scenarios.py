"""``./pe bench scenarios``: the scenario suite for the committed pursuers, at both scales, as rows and a page."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pe_core.config import ConfigurationError
from pe_core.files import write_text
from pe_evaluation import suite
from pe_evaluation.metrics import write_json
from pe_evaluation.suite import Case, Outcome, Players
from tests.bench.scenarios_page import page

PURSUERS = ("lead", "ppo", "cbf-beta", "cbf-beta-polygon", "barriernet")
ROBOTS = ("reference", "turtlebot3_burger")
SAFETY = "rcbf"
EPISODES = 50


def run(
    json_path: Path | None = None,
    episodes: int = EPISODES,
    pursuers: Sequence[str] = PURSUERS,
    robots: Sequence[str] = ROBOTS,
    names: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Play, and return one row for each pursuer, robot and scenario; with ``json_path`` a page (.md) beside it.

    Rows that the file has of other pursuers are kept, so that a pursuer that was trained anew can be measured alone.

    Raises:
        ConfigurationError: a bundle or a scenario is unknown, or a kept row is of other episodes or other criteria.
    """
    earlier = json.loads(json_path.read_text()) if json_path is not None and json_path.is_file() else []
    kept = [row for row in earlier if pursuer_of(row) not in pursuers]
    cases = {robot: suite.load_cases(names, robot) for robot in robots}
    jobs = [
        (Players(pursuer, safety=SAFETY, robot=robot, episodes=episodes), case)
        for robot in robots
        for pursuer in pursuers
        for case in cases[robot]
    ]
    for pursuer in pursuers:
        for robot in robots:
            suite.check(cases[robot][:1], Players(pursuer, safety=SAFETY, robot=robot))
    check_kept(kept, cases, episodes)
    rows = kept + _played(jobs)
    rows.sort(key=lambda row: (row["robot"], _place(pursuer_of(row)), row["scenario"]))
    if json_path is not None:
        write_json(json_path, rows)
        write_text(json_path.with_suffix(".md"), page(rows, SAFETY))
    return rows


def check_kept(kept: Sequence[dict[str, Any]], cases: dict[str, list[Case]], episodes: int) -> None:
    """Refuse to put rows side by side that were not played or not judged alike.

    Raises:
        ConfigurationError: naming the pursuer, robot and scenario of the row.
    """
    asked = {(robot, case.scenario.name): _bounds_of(case) for robot, list_ in cases.items() for case in list_}
    for row in kept:
        found = {item["criterion"]: item["limit"] for item in row["criteria"]}
        count = row["metrics"]["episodes"]
        if count != episodes or found != asked.get((row["robot"], row["scenario"])):
            raise ConfigurationError(
                f"row of {pursuer_of(row)}, {row['robot']}, {row['scenario']}: {count} episodes, criteria {found}: "
                f"allowed: {episodes} episodes and the criteria that the suite has now; measure all pursuers anew"
            )


def pursuer_of(row: dict[str, Any]) -> str:
    """Name of the pursuer's bundle."""
    return str(row["identity"]["match"]["pursuer"])


def _bounds_of(case: Case) -> dict[str, float]:
    nothing = {
        "capture_rate": None, "capture_time_s": {"mean": None}, "violations": None, "min_margin_m": None,
        "infeasible_rate": None, "intervention_rate": None,
    }  # fmt: skip
    return {verdict.criterion: verdict.limit for verdict in suite.judge(case, nothing)}


def _place(pursuer: str) -> tuple[int, str]:
    return (PURSUERS.index(pursuer) if pursuer in PURSUERS else len(PURSUERS), pursuer)


def _played(jobs: Sequence[tuple[Players, Case]]) -> list[dict[str, Any]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    rows = []
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=len(jobs))
        for players, case in jobs:
            progress.update(task, description=f"{players.pursuer}, {players.robot}, {case.scenario.name}")
            start = time.perf_counter()
            metrics = suite.play(case, players)
            rows.append(Outcome(case, metrics, suite.judge(case, metrics), time.perf_counter() - start).row())
            progress.advance(task)
    return rows

"""What ``./pe falsify`` does: search every robot and mode, print and save the worst cases; replay saved ones."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from pe_core.config import ConfigurationError
from pe_core.paths import config_names, config_path
from pe_core.provenance import git_revision
from pe_evaluation.falsify.case import Scenario, load_case, save_case, scenario_of, thing_name
from pe_evaluation.falsify.differentiable import descend
from pe_evaluation.falsify.play import MODES
from pe_evaluation.falsify.search import Found, Result, search
from pe_evaluation.falsify.space import Space, space_of
from pe_evaluation.metrics import write_json

SHOWN = 3
_GRADIENT_STARTS = 8
# A replay on another processor or with another mathematical library may differ by this [m].
TOLERANCE = 1e-6


@dataclasses.dataclass(frozen=True)
class Job:
    """What is searched: names of profiles and modes, scale of the ranges, steps of each profile, seed, robots."""

    robots: tuple[str, ...]
    modes: tuple[str, ...] = MODES
    scale: float = 1.0
    steps: int = 1_000_000
    seed: int = 0
    acceleration: float = 0.0
    reverse: bool = False
    open_field: bool = False


def job_of(robot: str, mode: str, **values: Any) -> Job:
    """A job of a profile and a mode, or of ``all`` of them.

    Raises:
        ConfigurationError: a name is unknown, or a number not allowed.
    """
    robots = tuple(config_names("robots")) if robot == "all" else (robot,)
    modes = MODES if mode == "all" else (mode,)
    job = Job(robots, modes, **values)
    if job.steps < 1:
        raise ConfigurationError(f"steps = {job.steps!r}: allowed: 1 or more")
    for name in robots:
        for each in modes:
            _space(job, name, each)
    return job


def run(job: Job, out: Path, json_path: Path | None = None, workers: int | None = None) -> int:
    """Search, print, save; returns the exit code: 1 where a contact was found.

    Raises:
        ConfigurationError: ``out`` or ``json_path`` cannot be written.
    """
    if out.exists() and not out.is_dir():
        raise ConfigurationError(f"out = {out}: allowed: a directory")
    if json_path is not None and (json_path.is_dir() or not json_path.resolve().parent.is_dir()):
        raise ConfigurationError(f"json = {json_path}: allowed: a file in an existing directory")
    count = workers or len(os.sched_getaffinity(0))
    rows: list[dict[str, Any]] = []
    begin = time.perf_counter()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[least]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as progress:
        for name in job.robots:
            gradient = descend(_space(job, name, job.modes[0]), _GRADIENT_STARTS, job.seed)
            for mode in job.modes:
                space = _space(job, name, mode)
                budget = -(-job.steps // len(job.modes))
                task = progress.add_task(f"{name}, {mode}", total=budget, least="")

                def report(done: int, least: float, task: Any = task, budget: int = budget) -> None:
                    progress.update(task, completed=min(done, budget), least=f"{1000.0 * least:.1f} mm")

                start = time.perf_counter()
                starts = _known(space) + gradient
                result = search(space, budget, job.seed, count, starts, report)
                progress.remove_task(task)
                rows.append(
                    _row(name, space, result, time.perf_counter() - start, _save(out, name, space, result))
                )
    console = Console()
    console = console if console.is_terminal else Console(width=140)
    console.print(_table(job, rows))
    console.print(f"saved in {out}; again: ./pe falsify --replay FILE", soft_wrap=True)
    if json_path is not None:
        identity = {"git_revision": git_revision(), "job": dataclasses.asdict(job)}
        write_json(json_path, {**identity, "wall_s": time.perf_counter() - begin, "searches": rows})
    return 1 if any(row["contacts"] for row in rows) else 0


def replay(paths: Sequence[Path], record: bool = False) -> int:
    """Replay saved cases and print their margins; returns 1 where one is a contact or differs from the recorded one.

    Args:
        record: write the margins into the files instead of comparing.

    Raises:
        ConfigurationError: a file is refused.
    """
    table = Table(title="replayed")
    for column in ("case", "margin [mm]", "recorded [mm]", "nearest to", "at [s]", ""):
        table.add_column(column, justify="right" if "[" in column else "left", overflow="fold")
    failed = False
    for path in paths:
        scenario = load_case(path)
        outcome = scenario.replay()
        margin, lack = float(outcome.margin[0]), float(outcome.lack[0])
        said = verdict(scenario, margin, lack, record)
        failed = failed or bool(said)
        if record and lack == 0.0 and margin != scenario.margin:
            save_case(path, dataclasses.replace(scenario, margin=margin))
        table.add_row(
            scenario.name, f"{1000.0 * margin:.4f}", f"{1000.0 * scenario.margin:.4f}",
            thing_name(int(outcome.thing[0])), f"{outcome.time[0]:.3f}", said or "as recorded",
        )  # fmt: skip
    Console().print(table)
    return 1 if failed else 0


def verdict(scenario: Scenario, margin: float, lack: float, record: bool = False) -> str:
    """What is wrong with a replayed case; empty: nothing."""
    if lack > 0.0:
        return f"start not admissible by {1000.0 * lack:.2f} mm"
    if margin <= 0.0:
        return "contact"
    if not record and abs(margin - scenario.margin) > TOLERANCE:
        return "differs"
    return ""


def _space(job: Job, robot: str, mode: str) -> Space:
    return space_of(robot, mode, job.scale, job.acceleration, job.reverse, job.open_field)


def _known(space: Space) -> list[tuple[str, NDArray[np.float64]]]:
    """Vectors of the cases in config/falsified of the same robot and mode."""
    found = []
    for name in config_names("falsified"):
        scenario = load_case(config_path("falsified", name))
        same = scenario.mode == space.mode and scenario.models[0].name == space.robot.name
        if same and len(scenario.genes) == space.size:
            found.append((f"known {name}", np.array(scenario.genes, dtype=np.float64)))
    return found


def _save(out: Path, name: str, space: Space, result: Result) -> list[str]:
    files = []
    for rank, found in enumerate(result.worst[:SHOWN], start=1):
        title = (
            f"{Path(name).stem}_{space.mode}{'_open' if space.open_field else ''}_scale{space.scale:g}_{rank}"
        )
        save_case(out / f"{title}.yaml", scenario_from(space, title, found))
        files.append(str(out / f"{title}.yaml"))
    return files


def scenario_from(space: Space, title: str, found: Found) -> Scenario:
    """The file of a case that a search has found."""
    scenario = scenario_of(
        title, f"{space.robot.name}, {space.mode}, ranges x {space.scale:g}; {found.origin}", space.mode,
        space.parameters, space.robot, found.case, found.outcome, space.steps, space.dt,
    )  # fmt: skip
    return dataclasses.replace(scenario, genes=np.round(found.vector, 5).tolist())


def _row(name: str, space: Space, result: Result, wall: float, files: list[str]) -> dict[str, Any]:
    return {
        "robot": name,
        "mode": space.mode,
        "scale": space.scale,
        "steps": result.steps,
        "cases": result.cases,
        "contacts": result.contacts,
        "wall_s": wall,
        "worst": [
            {
                "margin_m": found.margin,
                "thing": thing_name(int(found.outcome.thing[0])),
                "time_s": float(found.outcome.time[0]),
                "found_by": found.origin,
                "file": file,
            }
            for found, file in zip(result.worst, files, strict=False)
        ],
    }


def _table(job: Job, rows: list[dict[str, Any]]) -> Table:
    total = sum(row["steps"] for row in rows)
    contacts = sum(row["contacts"] for row in rows)
    robots = sorted({row["robot"] for row in rows})
    table = Table(title=f"ranges x {job.scale:g}, {total:,} steps of both robots ({', '.join(robots)}), "
                  f"{contacts} cases with contact")  # fmt: skip
    for column in (
        "robot",
        "mode",
        "steps",
        "cases",
        "margin [mm]",
        "nearest to",
        "at [s]",
        "found by",
        "saved",
    ):
        numeric = column in ("steps", "cases") or "[" in column
        table.add_column(column, justify="right" if numeric else "left", no_wrap=column != "found by")
    for row in rows:
        head = (row["robot"], row["mode"], f"{row['steps']:,}", f"{row['cases']:,}")
        for worst in row["worst"]:
            margin = f"{1000.0 * worst['margin_m']:.3f}"
            table.add_row(*head, margin, worst["thing"], f"{worst['time_s']:.2f}", worst["found_by"])
            head = ("", "", "", "")
    return table

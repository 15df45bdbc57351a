"""What ``./pe compare`` does: plays a plan, or goes on with it, and writes the decision report."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from pe_core.files import replaced, write_text
from pe_evaluation.comparison import maps
from pe_evaluation.comparison.document import markdown
from pe_evaluation.comparison.figures.gallery import Drawn, draw_all, page_sections, report_sections
from pe_evaluation.comparison.page import TITLE, render
from pe_evaluation.comparison.plan import Job, Plan, load_plan
from pe_evaluation.comparison.replays import replay_section
from pe_evaluation.comparison.results import Results
from pe_evaluation.comparison.rules import load_rules
from pe_evaluation.comparison.runner import run as play_jobs
from pe_evaluation.comparison.sections import sections_of
from pe_evaluation.comparison.store import Store, missing, read_part
from pe_evaluation.comparison.summary import summarise
from pe_evaluation.comparison.words import interval_of, mean_of, percent, points
from pe_evaluation.metrics import write_json

MAPS = "maps"
Sections = Callable[[Path], Sequence[tuple[str, str]]]
"""Makes (title, SVG or HTML) for the page from the folder of a comparison that has been played."""


@dataclasses.dataclass(frozen=True)
class Request:
    """What a user asks for."""

    episodes: int
    seeds: tuple[int, ...]
    out: Path
    plan: str = "default"
    decision: str = "default"
    approaches: tuple[str, ...] = ()
    evaders: tuple[str, ...] = ()
    workers: int | None = None


def run(request: Request, more: Sequence[Sections] = ()) -> int:
    """Play what is missing, write reports, print the outcome.

    ``more`` makes further sections of the page.  Returns 0, or 1 where a robot with a filter touched something.

    Raises:
        ConfigurationError: something in the request is not allowed, or the folder holds another comparison.
    """
    rules = load_rules(request.decision)
    plan = load_plan(request.plan, request.episodes, request.seeds).narrowed(
        request.approaches, request.evaders
    )
    store = Store(request.out, plan)
    console = Console(stderr=True)
    try:
        _play(store, plan, request.workers, console)
    except KeyboardInterrupt:
        console.print(f"stopped; the same command goes on from here: {request.out}")
        raise
    console.print("statistics ...")
    results = Results(plan, store.rows())
    summary = summarise(results, rules, store.identity)
    merge_maps(store)
    write_json(request.out / "summary.json", summary)
    drawn = _draw(request.out, console)
    sections = [*sections_of(summary), *report_sections(drawn)]
    write_text(request.out / "decision_report.md", markdown(TITLE, sections))
    others = [part for make in (replay_section, *more) for part in make(request.out)]
    write_text(request.out / "report.html", render(summary, [*page_sections(drawn), *others]))
    _print(summary, request.out)
    touched = [
        row for row in summary["accounts"] if row["episodes"] and row["violating_episodes"]
        and not isinstance(row["infeasible"], str)
    ]  # fmt: skip
    return 1 if touched else 0


def _play(store: Store, plan: Plan, workers: int | None, console: Console) -> None:
    jobs = list(plan.jobs())
    total = sum(job.count for job in jobs)
    left = sum(job.count for job in missing(plan, store.played))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        task = progress.add_task("episodes", total=total, completed=total - left)

        def tell(job: Job) -> None:
            progress.update(task, advance=job.count, description=f"{job.cell}")

        play_jobs(store, workers, tell)


def _draw(out: Path, console: Console) -> list[Drawn]:
    with console.status("figures ...") as status:
        return draw_all(out, lambda name: status.update(f"figures ... {name}"))


def merge_maps(store: Store) -> None:
    """Write ``maps/<world>_<approach>.npz``: the sums over all jobs of drawn starts."""
    groups: dict[str, list[str]] = {}
    for job in store.plan.jobs():
        if job.scenario == "random":
            groups.setdefault(f"{job.cell.world}_{job.approach}", []).append(job.name)
    for name, jobs in groups.items():
        total = maps.empty()
        for part in jobs:
            maps.add(total, read_part(store.folder, part))
        with replaced(store.folder / MAPS / f"{name}.npz") as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, margin_edges=maps.MARGIN_EDGES, action_edges=maps.ACTION_EDGES, **total)


def _print(summary: dict[str, Any], out: Path) -> None:
    console = Console()
    found = Table(title=f"{summary['episodes']:,} episodes")
    for column in ("approach", "world", "captured", "time", "contacts", "interventions"):
        found.add_column(column, justify="left" if column in ("approach", "world") else "right")
    for row in summary["accounts"]:
        if row["episodes"]:
            found.add_row(
                row["title"],
                row["world"],
                interval_of(row["captured"], percent),
                mean_of(row["capture_time_s"], "s", 1, with_interval=False),
                str(row["violating_episodes"]),
                mean_of(row["intervention_rate"], "", 4, with_interval=False),
            )
    console.print(found)
    for gap in summary["gaps"]:
        if "captured" in gap:
            console.print(
                f"gap of {gap['title']}: {points(gap['captured'])}, return {points(gap['return_relative'], '%')}"
            )
    decision = summary["decision"]
    if "reason" in decision:
        console.print(f"no recommendation: {decision['reason']}")
    else:
        console.print(
            f"recommended: [bold]{decision['title']}[/bold] ({percent(decision['confidence'])} of the resamples)"
        )
    failed = [gate["gate"] for gate in summary["gates"] if not gate["passed"]]
    console.print(f"gates failed: {', '.join(failed)}" if failed else "all gates passed")
    console.print(f"{out / 'decision_report.md'}, report.html, summary.json, figures/")

"""What ``./pe compare`` does: plays a plan, or goes on with it, and writes the decision report."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
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
from pe_evaluation.comparison.account import is_filtered, touched
from pe_evaluation.comparison.document import markdown
from pe_evaluation.comparison.figures.gallery import Drawn, draw_all, page_sections, report_sections
from pe_evaluation.comparison.page import TITLE, render
from pe_evaluation.comparison.plan import BATCH, Job, Plan, load_plan
from pe_evaluation.comparison.replays import replay_section
from pe_evaluation.comparison.results import Results
from pe_evaluation.comparison.rules import Rules, load_rules
from pe_evaluation.comparison.runner import run as play_jobs
from pe_evaluation.comparison.sections import sections_of
from pe_evaluation.comparison.store import Store, missing, read_part
from pe_evaluation.comparison.summary import summarise
from pe_evaluation.comparison.tracking import Tracking
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
    tracking: Tracking = Tracking()
    batch: int = BATCH

    def load_plan(self) -> Plan:
        """The plan that is asked for.

        Raises:
            ConfigurationError: something in the request is not allowed.
        """
        plan = load_plan(self.plan, self.episodes, self.seeds).narrowed(self.approaches, self.evaders)
        return dataclasses.replace(plan, batch=self.batch)


def run(request: Request, more: Sequence[Sections] = ()) -> int:
    """Play what is missing, write reports, print the outcome.

    ``more`` makes further sections of the page.  Returns 0, or 1 where a robot with a filter touched something.

    Raises:
        ConfigurationError: something in the request is not allowed, or the folder holds another comparison.
    """
    rules = load_rules(request.decision)
    plan = request.load_plan()
    request.tracking.check()
    store = Store(request.out, plan)
    console = Console(stderr=True)
    play(store, plan, request.workers, console)
    merge_maps(store)
    return report(request.out, Results(plan, store.rows()), rules, store.identity, console, request.tracking, more)


def report(
    out: Path,
    results: Results,
    rules: Rules,
    identity: Mapping[str, Any],
    console: Console,
    tracking: Tracking = Tracking(),  # noqa: B008  # frozen
    more: Sequence[Sections] = (),
    added: Mapping[str, Any] | None = None,
) -> int:
    """Write summary, figures and reports of what lies in ``out``, and print the outcome.

    ``added`` joins the summary; its ``notes`` follow those that are there.  Returns 0, or 1 where a robot with a filter
    touched something.
    """
    console.print("statistics ...")
    summary = joined(summarise(results, rules, identity), added or {})
    write_json(out / "summary.json", summary)
    drawn = _draw(out, console)
    sections = [*sections_of(summary), *report_sections(drawn)]
    write_text(out / "decision_report.md", markdown(TITLE, sections))
    others = [part for make in (replay_section, *more) for part in make(out)]
    write_text(out / "report.html", render(summary, [*page_sections(drawn), *others]))
    _print(summary, out)
    told = tracking.write(out, summary, drawn)
    if told:
        console.print(told, markup=False)
    return exit_status(summary)


def joined(summary: Mapping[str, Any], added: Mapping[str, Any]) -> dict[str, Any]:
    """A summary with what is added to it; lists that both have follow one another."""
    return dict(summary) | {key: [*summary.get(key, []), *value] for key, value in added.items()}


def exit_status(summary: Mapping[str, Any]) -> int:
    """1 where a robot with a filter touched something, else 0."""
    return int(any(row["episodes"] and touched(row) and is_filtered(row) for row in summary["accounts"]))


def play(store: Store, plan: Plan, workers: int | None, console: Console, what: str = "episodes") -> None:
    """Play what is missing, with a bar on the console that says ``what``."""
    jobs = list(plan.jobs())
    total = sum(job.count for job in jobs)
    left = sum(job.count for job in missing(plan, store.played))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        task = progress.add_task(what, total=total, completed=total - left)

        def tell(job: Job) -> None:
            progress.update(task, advance=job.count, description=f"{job.cell}")

        try:
            play_jobs(store, workers, tell)
        except KeyboardInterrupt:
            console.print(f"stopped; the same command goes on from here: {store.folder}")
            raise


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

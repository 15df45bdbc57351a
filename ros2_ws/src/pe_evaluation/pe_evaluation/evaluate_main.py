"""What ``./pe evaluate`` does: episodes in process, a table on the terminal, the metrics as JSON."""

from __future__ import annotations

import time
from pathlib import Path

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

from pe_core.config import ConfigurationError
from pe_core.plant import Simulator
from pe_core.provenance import git_revision, version
from pe_evaluation.evaluate import Match, evaluate
from pe_evaluation.metrics import Metrics, identity_of, summarise, write_json


def run(
    match: Match,
    episodes: int,
    json_path: Path | None = None,
    workers: int | None = None,
    simulator: Simulator | None = None,
) -> int:
    """Evaluate, print, write; returns the exit code (0).  ``simulator`` moves the robots; None: the plants of ours.

    Raises:
        ConfigurationError: something named in ``match`` is refused, or ``json_path`` cannot be written.
    """
    if json_path is not None and (json_path.is_dir() or not json_path.resolve().parent.is_dir()):
        raise ConfigurationError(f"json = {json_path}: allowed: a file in an existing directory")
    console = Console(stderr=True)
    start = time.perf_counter()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        task = progress.add_task(f"{match.pursuer} v {match.evader}", total=episodes)
        records, identity = evaluate(
            match, episodes, workers, lambda done: progress.advance(task, done), simulator
        )
    metrics = summarise(records, identity_of(git_revision=git_revision(), version=version(), **identity))
    wall = time.perf_counter() - start
    Console().print(table(match, metrics, wall))
    if json_path is not None:
        write_json(json_path, metrics)
    return 0


def table(match: Match, metrics: Metrics, wall: float) -> Table:
    """The metrics as a table for the terminal."""
    ratio = "scenario's" if match.speed_ratio is None else f"{match.speed_ratio:g}"
    obstacles = "" if match.obstacles is None else f", obstacles {match.obstacles}"
    out = Table(title=f"{match.pursuer} v {match.evader}, safety {match.safety}, speed ratio {ratio}{obstacles}")
    out.add_column("metric")
    out.add_column("value", justify="right")
    low, high = metrics["capture_rate_ci"]
    times = metrics["capture_time_s"]
    rows = [
        ("episodes", f"{metrics['episodes']}"),
        ("capture rate", f"{_percent(metrics['capture_rate'])}  [{100 * low:.2f}, {100 * high:.2f}]"),
        ("capture time, mean / median / longest", " / ".join(_seconds(times[key]) for key in ("mean", "p50", "max"))),
        ("violations (steps / episodes)", f"{metrics['violations']} / {metrics['violation_episodes']}"),
        ("violating episodes, upper bound", f"{100 * metrics['violation_episode_rate_upper']:.4f} %"),
        ("smallest body margin", f"{metrics['min_margin_m']:.4f} m"),
        (
            "interventions, both / pursuer / evader",
            f"{_percent(metrics['intervention_rate'])} / {_percent(metrics['intervention_rate_pursuer'])} / "
            f"{_percent(metrics['intervention_rate_evader'])}",
        ),
        ("infeasible / backup (steps)", f"{metrics['infeasible']} / {metrics['backup']}"),
    ]
    if metrics["infeasibility_warnings"] is not None:
        foreseen = f"{metrics['infeasible_foreseen']} of {metrics['infeasible']}"
        rows.append(("warnings (steps) / infeasible foreseen", f"{metrics['infeasibility_warnings']} / {foreseen}"))
    rows.append(("wall time", f"{wall:.1f} s"))
    for row in rows:
        out.add_row(*row)
    return out


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f} %"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"

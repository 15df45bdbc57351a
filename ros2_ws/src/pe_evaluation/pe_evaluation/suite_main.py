"""What ``./pe scenarios`` does: every scenario played and judged, a table, JSON lines, an exit status."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from pe_core.config import ConfigurationError
from pe_core.files import write_text
from pe_evaluation import suite
from pe_evaluation.metrics import Metrics
from pe_evaluation.suite import Case, Outcome, Players, Verdict

Play = Callable[[Case], Metrics]
PASSED, FAILED = "pass", "FAIL"
COLUMNS = ("scenario", "episodes", "captured", "mean time", "margin", "violations", "interventions", "infeasible",
           "verdict")  # fmt: skip


def run(
    cases: Sequence[Case],
    players: Players,
    play: Play,
    json_path: Path | None = None,
    markdown: Path | None = None,
    through_nodes: bool = False,
) -> int:
    """Play every case, print the table; 0 where every criterion holds, 1 where one does not.

    ``json_path`` is rewritten after every scenario, so that a run which is cut off leaves whole lines.

    Raises:
        ConfigurationError: ``json_path`` cannot be written, or a run is refused.
    """
    if json_path is not None and (json_path.is_dir() or not json_path.resolve().parent.is_dir()):
        raise ConfigurationError(f"json = {json_path}: allowed: a file in an existing directory")
    outcomes: list[Outcome] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=len(cases))
        for case in cases:
            progress.update(task, description=case.scenario.name)
            start = time.perf_counter()
            metrics = play(case)
            wall = time.perf_counter() - start
            outcomes.append(Outcome(case, metrics, suite.judge(case, metrics), wall, through_nodes))
            if json_path is not None:
                suite.write_rows(json_path, outcomes)
            progress.advance(task)
    Console().print(table(outcomes, players))
    if markdown is not None:
        write_text(markdown, as_markdown(outcomes, players))
    return 0 if all(outcome.passed for outcome in outcomes) else 1


def listing(cases: Sequence[Case]) -> Table:
    """The scenarios and what each asks for."""
    out = Table("scenario", "what it tries", "criteria")
    for case in cases:
        asked = case.criteria
        words = []
        if asked.captures_least is None:
            words.append("safety alone")
        else:
            words.append(f"captured >= {100 * asked.captures_least:g} %")
        if asked.capture_time_most is not None:
            words.append(f"mean time <= {asked.capture_time_most * case.time_scale:.1f} s")
        words.append(f"contacts <= {asked.violations_most}")
        words.append(f"margin >= {case.measures.metres(asked.margin_least):.3f} m")
        words.append(f"infeasible <= {100 * asked.infeasible_most:g} %")
        if asked.interventions_most is not None:
            words.append(f"interventions <= {100 * asked.interventions_most:g} %")
        out.add_row(case.scenario.name, case.scenario.description, ", ".join(words))
    return out


def table(outcomes: Sequence[Outcome], players: Players) -> Table:
    """The outcomes for the terminal: each judged number with its bound and whether it holds."""
    out = Table(title=_title(outcomes, players))
    for name in COLUMNS:
        out.add_column(name, justify="left" if name in ("scenario", "verdict") else "right", no_wrap=name == "scenario")
    for outcome in outcomes:
        cells = [_coloured(text, verdict) for text, verdict in _cells(outcome)]
        colour = "green" if outcome.passed else "bold red"
        last = f"[{colour}]{PASSED if outcome.passed else FAILED}[/]"
        out.add_row(outcome.case.scenario.name, str(outcome.metrics["episodes"]), *cells, last)
    return out


def as_markdown(outcomes: Sequence[Outcome], players: Players) -> str:
    """The same table for a page."""
    lines = [f"{_title(outcomes, players)}", "", "| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
    for outcome in outcomes:
        cells = [text for text, _ in _cells(outcome)]
        last = PASSED if outcome.passed else f"**{FAILED}**"
        row = [outcome.case.scenario.name, str(outcome.metrics["episodes"]), *cells, last]
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines) + "\n"


def _title(outcomes: Sequence[Outcome], players: Players) -> str:
    way = ", through the nodes" if any(outcome.through_nodes for outcome in outcomes) else ""
    return (
        f"{players.pursuer} v {players.evader}, safety {players.safety}, robot {players.robot}, seed {players.seed}{way}"
    )


def _cells(outcome: Outcome) -> list[tuple[str, Verdict | None]]:
    """Captured, time, margin, violations, interventions, infeasible: the text and what was asked of it."""
    metrics, verdicts = outcome.metrics, {verdict.criterion: verdict for verdict in outcome.verdicts}

    def cell(key: str, value: float | None, show: Callable[[float], str]) -> tuple[str, Verdict | None]:
        verdict = verdicts.get(key)
        text = "-" if value is None else show(value)
        if verdict is not None:
            sign = "≥" if verdict.relation == ">=" else "≤"
            text += f" ({sign} {show(verdict.limit)}{'' if verdict.passed else ', ' + FAILED})"
        return text, verdict

    return [
        cell("captures_least", metrics["capture_rate"], _percent),
        cell("capture_time_most", metrics["capture_time_s"]["mean"], lambda value: f"{value:.1f} s"),
        cell("margin_least", metrics["min_margin_m"], lambda value: f"{value:.3f} m"),
        cell("violations_most", metrics["violations"], lambda value: f"{value:.0f}"),
        cell("interventions_most", metrics["intervention_rate"], _percent),
        cell("infeasible_most", metrics["infeasible_rate"], _percent),
    ]


def _coloured(text: str, verdict: Verdict | None) -> str:
    if verdict is None:
        return text
    return f"[green]{text}[/]" if verdict.passed else f"[bold red]{text}[/]"


def _percent(value: float) -> str:
    return f"{100 * value:.2f}".rstrip("0").rstrip(".") + " %"


def describe(metrics: Any) -> str:
    """One line of a run's numbers, for messages."""
    return f"{metrics['captures']} of {metrics['episodes']} captured, smallest body margin {metrics['min_margin_m']}"

"""What every benchmark shares: rows, runs in turn, a table.

A row is {"bench", "subject", "case", "metric", "value", "unit"}.
"""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypedDict

from rich.console import Console
from rich.table import Table


class Row(TypedDict):
    """One measured value."""

    bench: str
    subject: str
    case: str
    metric: str
    value: float
    unit: str


def in_turn(
    subjects: Mapping[str, Callable[[], object]], rounds: int, warm_up: int = 3, least: float = 0.03
) -> dict[str, list[float]]:
    """CPU times [s] of a call of every subject: all once, then all again, so that a busy machine slows them alike.

    A turn repeats the call for at least ``least`` seconds, so that a quick subject does not pay for the caches that
    a slow one before it has emptied.  On one thread the CPU time is the wall time less what other processes took.
    """
    repeats: dict[str, int] = {}
    for name, call in subjects.items():
        for _ in range(warm_up):
            start = time.process_time()
            call()
            took = time.process_time() - start
        repeats[name] = max(1, math.ceil(least / max(took, 1e-6)))
    times: dict[str, list[float]] = {name: [] for name in subjects}
    for _ in range(rounds):
        for name, call in subjects.items():
            start = time.process_time()
            for _ in range(repeats[name]):
                call()
            times[name].append((time.process_time() - start) / repeats[name])
    return times


def renewed(rows: Iterable[Row], new: Iterable[Row]) -> list[Row]:
    """``rows`` with the ``new`` ones in place of what they had of the same subjects and cases."""
    added = list(new)
    measured = {(row["subject"], row["case"]) for row in added}
    return [row for row in rows if (row["subject"], row["case"]) not in measured] + added


def timing_rows(
    bench: str, case: str, times: Mapping[str, Iterable[float]], scale: float, unit: str
) -> list[Row]:
    """Median, least and largest of each subject's times, in ``unit`` (``scale`` of it make a second)."""
    rows: list[Row] = []
    for subject, values in times.items():
        listed = [scale * value for value in values]
        for metric, value in (
            ("median", statistics.median(listed)),
            ("least", min(listed)),
            ("largest", max(listed)),
        ):
            rows.append(Row(bench=bench, subject=subject, case=case, metric=metric, value=value, unit=unit))
    return rows


def find(rows: Iterable[Row], subject: str, case: str, metric: str) -> float | None:
    """The value of one row, or None."""
    for row in rows:
        if (row["subject"], row["case"], row["metric"]) == (subject, case, metric):
            return row["value"]
    return None


def ratio_rows(rows: list[Row], ours: str, case: str, metric: str = "median") -> list[Row]:
    """How many times the time of ``ours`` each other subject of ``case`` takes."""
    base = find(rows, ours, case, metric)
    return [
        Row(
            bench=row["bench"],
            subject=row["subject"],
            case=case,
            metric="ratio",
            value=row["value"] / base,
            unit="x",
        )
        for row in rows
        if base and row["case"] == case and row["metric"] == metric and row["subject"] != ours
    ]


def print_table(title: str, rows: list[Row], metrics: list[str]) -> None:
    """One line for each (case, subject), one column for each metric."""
    table = Table(title=title)
    table.add_column("case")
    table.add_column("subject")
    for metric in metrics:
        table.add_column(metric, justify="right")
    last = ""
    for case, subject in dict.fromkeys((row["case"], row["subject"]) for row in rows):
        cells = []
        for metric in metrics:
            match = [r for r in rows if (r["subject"], r["case"], r["metric"]) == (subject, case, metric)]
            cells.append(f"{match[0]['value']:.3g} {match[0]['unit']}" if match else "")
        table.add_row(case if case != last else "", subject, *cells, end_section=False)
        last = case
    Console(width=140 if not Console().is_terminal else None).print(table)


def write_rows(path: Path, rows: list[Row]) -> None:
    """Write the raw rows as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")

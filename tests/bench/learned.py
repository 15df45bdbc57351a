"""``./pe bench learned``: what learned pursuers reach, beside scripted lead pursuit, evader by evader.

2,000 episodes of the reference game for each pursuer and row, both robots behind ``rcbf``; the same layouts for all.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from pe_core.scripted.build import HELD_OUT
from pe_evaluation.evaluate import Match, evaluate
from pe_evaluation.metrics import EpisodeRecord, write_json
from tests.bench.rows import Row

BENCH = "learned"
PURSUERS = ("lead", "barriernet", "cbf-beta")
SCRIPTED = ("lookahead", "flee", "boundary", "random", "hider")
CASES = (
    *((name, 1.0) for name in SCRIPTED),
    *(("lookahead", ratio) for ratio in (1.1, 1.2, 1.3)),
    *(("boundary", ratio) for ratio in (1.1, 1.2, 1.3)),
    *((name, ratio) for name in HELD_OUT for ratio in (1.0, 1.2)),
)
EPISODES = 2000
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
        "violating_episodes": float(sum(record.violations > 0 for record in records)),
        "min_margin": min(record.min_margin for record in records),
        "intervention_rate": sum(robot.interventions for robot in robots) / steps,
        "infeasible_rate": sum(robot.infeasible for robot in robots) / steps,
    }


def run(json_path: Path | None = None, episodes: int = EPISODES) -> list[Row]:
    """Play, print a table, return the rows."""
    rows: list[Row] = []
    table = Table(title=f"{episodes} episodes each")
    for column in ("evader", "ratio", "pursuer", *SHOWN):
        table.add_column(column)
    for evader, ratio in CASES:
        for pursuer in PURSUERS:
            match = Match(pursuer, evader, "rcbf", speed_ratio=ratio, seed=0, feasibility="")
            records, _ = evaluate(match, episodes)
            found: dict[str, Any] = account(records)
            table.add_row(evader, f"{ratio:g}", pursuer, *(f"{found[key]:.4g}" for key in SHOWN))
            for metric, value in found.items():
                rows.append(
                    Row(
                        bench=BENCH, subject=pursuer, case=f"{evader}, {ratio:g}", metric=metric, value=value,
                        unit=UNITS.get(metric, "1"),
                    )
                )  # fmt: skip
            print(f"{pursuer} v {evader} at {ratio:g}: {100 * found['capture_rate']:.2f} % captured", flush=True)
            if json_path is not None:
                write_json(json_path, rows)
    Console().print(table)
    return rows

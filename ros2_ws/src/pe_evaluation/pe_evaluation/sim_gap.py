"""``./pe compare --simulator``: the same episodes in several simulators, and the gap between them.

A comparison with the arena simulator, and one with each of the others, each in a folder of its own below the given
one; then one table.  A row is one approach against one evader in one simulator; differences are to the arena
simulator in the same episodes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from pe_core.config import ConfigurationError
from pe_core.files import write_text
from pe_core.plant import Simulator
from pe_evaluation.compare_main import Request, play
from pe_evaluation.comparison.plan import Plan, load_plan
from pe_evaluation.comparison.store import Row, Store
from pe_evaluation.metrics import write_json

ARENA = "arena"


@dataclasses.dataclass(frozen=True)
class Gap:
    """Means over the episodes of one approach against one evader in one simulator.

    ``captured`` is a share, ``captured_change`` its difference to the arena simulator in the same episodes, with the
    half width of its 95 % interval (normal, of paired differences); ``apart_s`` is the median difference of the lengths
    of paired episodes; ``violating_own``: episodes in which the pursuer's own body touched something.
    """

    simulator: str
    approach: str
    title: str
    evader: str
    episodes: int
    captured: float
    captured_change: float
    captured_change_half: float
    capture_time_s: float | None
    apart_s: float
    violating_episodes: int
    violating_own: int
    margin_min_m: float
    margin_median_m: float
    intervention_rate: float | None
    infeasible: int


def gaps(plan: Plan, rows: Mapping[str, Sequence[Row]]) -> list[Gap]:
    """One entry for every approach, evader and simulator; ``rows`` by simulator, the arena's first."""
    found = []
    for approach in plan.approaches:
        for cell in plan.cells:
            reference = _of(rows[ARENA], approach.name, cell.evader)
            for simulator, played in rows.items():
                found.append(_gap(simulator, approach.name, approach.title, cell.evader,
                                  _of(played, approach.name, cell.evader), reference))  # fmt: skip
    return found


def _of(rows: Sequence[Row], approach: str, evader: str) -> dict[tuple[int, int], Row]:
    return {
        (row["seed"], row["episode"]): row
        for row in rows
        if (row["approach"], row["evader"], row["scenario"]) == (approach, evader, "random")
    }


def _gap(
    simulator: str, approach: str, title: str, evader: str,
    rows: dict[tuple[int, int], Row], reference: dict[tuple[int, int], Row],
) -> Gap:  # fmt: skip
    both = sorted(rows.keys() & reference.keys())
    change = np.array([float(rows[key]["captured"]) - float(reference[key]["captured"]) for key in both])
    apart = np.array([abs(rows[key]["time_s"] - reference[key]["time_s"]) for key in both])
    values = list(rows.values())
    times = [row["capture_time_s"] for row in values if row["captured"]]
    used = [row["intervention_rate"] for row in values if not isinstance(row["intervention_rate"], str)]
    infeasible = [row["infeasible"] for row in values if not isinstance(row["infeasible"], str)]
    margins = [row["margin_min_m"] for row in values]
    half = 1.96 * float(change.std(ddof=1)) / len(change) ** 0.5 if len(change) > 1 else float("nan")
    return Gap(
        simulator, approach, title, evader, len(values), float(np.mean([row["captured"] for row in values])),
        float(change.mean()), half, float(np.mean(times)) if times else None, float(np.median(apart)),
        sum(row["violations"] > 0 for row in values), sum(row["violations_own"] > 0 for row in values),
        float(min(margins)), float(np.median(margins)), float(np.mean(used)) if used else None, int(sum(infeasible)),
    )  # fmt: skip


def markdown(plan: Plan, found: Sequence[Gap]) -> str:
    """The table as Markdown."""
    lines = [
        f"# The same episodes in other simulators ({plan.episodes} of each cell, seeds "
        f"{' '.join(map(str, plan.seeds))})",
        "",
        "| approach | evader | simulator | captured | change, points | time s | apart s | contacts (own) | "
        "least margin m | interventions | infeasible |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for gap in found:
        time = "-" if gap.capture_time_s is None else f"{gap.capture_time_s:.1f}"
        change = apart = ""
        if gap.simulator != ARENA:
            change = f"{100 * gap.captured_change:+.1f} ± {100 * gap.captured_change_half:.1f}"
            apart = f"{gap.apart_s:.2f}"
        used = "-" if gap.intervention_rate is None else f"{gap.intervention_rate:.4f}"
        lines.append(
            f"| {gap.title} | {gap.evader} | {gap.simulator} | {100 * gap.captured:.1f} % | {change} | {time} "
            f"| {apart} | {gap.violating_episodes} ({gap.violating_own}) | {gap.margin_min_m:.3f} | {used} "
            f"| {gap.infeasible} |"
        )
    return "\n".join(lines) + "\n"


def run(request: Request, simulators: Mapping[str, Simulator]) -> int:
    """Play what is missing in the arena simulator and in ``simulators``, by name; write and print the table.

    Returns 0, or 1 where a robot with a filter touched something in the arena simulator.

    Raises:
        ConfigurationError: something in the request is not allowed, or a folder holds another comparison.
    """
    plan = load_plan(request.plan, request.episodes, request.seeds).narrowed(
        request.approaches, request.evaders
    )
    if plan.randomised is not None:
        raise ConfigurationError(
            f"plan '{plan.name}': is randomised: allowed: one that is not, such as gazebo"
        )
    console = Console(stderr=True)
    rows: dict[str, list[Row]] = {}
    every: dict[str, Simulator | None] = {ARENA: None, **simulators}
    for name, simulator in every.items():
        store = Store(request.out / name, plan, simulator)
        play(store, plan, request.workers, console, name)
        rows[name] = store.rows()
    found = gaps(plan, rows)
    write_json(request.out / "sim_gap.json", {"gaps": [dataclasses.asdict(gap) for gap in found]})
    write_text(request.out / "sim_gap.md", markdown(plan, found))
    _print(found, request.out)
    return 1 if any(gap.violating_episodes for gap in found if gap.simulator == ARENA) else 0


def _print(found: Sequence[Gap], out: Path) -> None:
    columns: list[tuple[str, Any]] = [
        ("approach", lambda gap: gap.approach), ("evader", lambda gap: gap.evader),
        ("simulator", lambda gap: gap.simulator), ("episodes", lambda gap: gap.episodes),
        ("captured", lambda gap: f"{100 * gap.captured:.1f} %"),
        ("change", lambda gap: f"{100 * gap.captured_change:+.1f}"),
        ("contacts", lambda gap: gap.violating_episodes), ("least margin", lambda gap: f"{gap.margin_min_m:.3f} m"),
    ]  # fmt: skip
    table = Table(*(name for name, _ in columns), title="the same episodes in other simulators")
    for gap in found:
        table.add_row(*(str(value(gap)) for _, value in columns))
    Console().print(table)
    print(f"{out / 'sim_gap.md'}, sim_gap.json")

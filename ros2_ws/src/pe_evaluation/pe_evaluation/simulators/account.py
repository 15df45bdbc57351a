"""From episodes to the gap between simulators.

For each approach and evader, over the n starts that both simulators have played:

    points   100 (captures there - captures in the arena simulator) / n, with the exact test of McNemar
    time     mean capture time there over that in the arena simulator, less 1, of the starts captured in both
    apart    median of the difference of the lengths of paired episodes [s]
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pe_evaluation.comparison.account import cells_of
from pe_evaluation.comparison.inference import mcnemar
from pe_evaluation.comparison.plan import Cell, Plan
from pe_evaluation.comparison.results import Results
from pe_evaluation.comparison.store import Row

ARENA = "arena"
POINTS_MOST, TIME_SHARE_MOST = 3.0, 0.15
"""What a simulator may differ by in captures [points] and in mean capture time before the report says so."""
_COMPARED = (
    "capture_rate", "capture_time_s", "violation_episodes", "margin_min_m", "intervention_rate", "infeasible"
)  # fmt: skip
Starts = Mapping[tuple[int, int], Row]
"""Rows of one simulator, approach and cell, by seed and episode."""


def account(plan: Plan, rows: Mapping[str, Sequence[Row]]) -> dict[str, Any]:
    """Cells, gaps and pairs of ``rows``, by simulator, the arena's among them; what nobody has played is left out."""
    found = {simulator: Results(plan, played) for simulator, played in rows.items()}
    cells: list[dict[str, Any]] = []
    gaps: list[dict[str, Any]] = []
    for approach in plan.approaches:
        for simulator, results in found.items():
            named = {"simulator": simulator, "title": approach.title}
            cells += [named | cell for cell in cells_of(results, approach)]
        for cell in plan.cells:
            played = {name: _starts(results, approach.name, cell) for name, results in found.items()}
            for simulator, starts in played.items():
                if simulator != ARENA and set(starts) & set(played[ARENA]):
                    who = {"simulator": simulator, "approach": approach.name, "title": approach.title}
                    whom = {"evader": cell.evader, "speed_ratio": cell.speed_ratio}
                    gaps.append(who | whom | _gap(played[ARENA], starts))
    for row in cells:
        row["violation_episodes"], row["capture_rate"] = row["violating_episodes"], row["captured"]["mean"]
    return {"cells": cells, "gaps": gaps, "pairs": _pairs(plan, cells)}


def _starts(results: Results, approach: str, cell: Cell) -> Starts:
    return {
        (row["seed"], row["episode"]): row
        for seed in results.plan.seeds
        for row in results.rows(approach, (cell, seed))
    }


def _gap(reference: Starts, starts: Starts) -> dict[str, Any]:
    both = sorted(set(reference) & set(starts))
    here = [bool(reference[start]["captured"]) for start in both]
    there = [bool(starts[start]["captured"]) for start in both]
    captured = [start for start, one, other in zip(both, here, there, strict=True) if one and other]
    times = [_mean([rows[start]["capture_time_s"] for start in captured]) for rows in (reference, starts)]
    points = 100.0 * (sum(there) - sum(here)) / len(both)
    share = times[1] / times[0] - 1.0 if captured else math.nan
    contacts = sum(starts[start]["violations"] > 0 for start in both)
    within = {
        "captures": abs(points) <= POINTS_MOST,
        "time": math.isfinite(share) and abs(share) <= TIME_SHARE_MOST,
        "contacts": contacts == 0,
    }
    return {
        "starts": len(both),
        "points": points,
        "p": mcnemar(_only(there, here), _only(here, there)),
        "captured_in_both": len(captured),
        "time_share": share,
        "apart_s": float(np.median([abs(starts[start]["time_s"] - reference[start]["time_s"]) for start in both])),
        "violation_episodes": contacts,
        "within": within,
        "passed": all(within.values()),
    }


def _pairs(plan: Plan, cells: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Of each pair of the plan the second approach's cells beside the first's, where both have as many episodes."""
    by_name = {(cell["simulator"], cell["evader"], cell["speed_ratio"], cell["approach"]): cell for cell in cells}
    out = []
    for learning, without in plan.pairs:
        for (simulator, evader, ratio, name), first in by_name.items():
            second = by_name.get((simulator, evader, ratio, learning))
            if name != without or second is None or first["episodes"] != second["episodes"]:
                continue
            named = {"simulator": simulator, "evader": evader, "speed_ratio": ratio, "starts": first["episodes"]}
            named |= {"first": first["title"], "second": second["title"]}
            out.append(named | {key: [first[key], second[key]] for key in _COMPARED})
    return out


def _only(one: Sequence[bool], other: Sequence[bool]) -> int:
    return sum(a and not b for a, b in zip(one, other, strict=True))


def _mean(values: Sequence[Any]) -> float:
    numbers = [value for value in values if not isinstance(value, str)]
    return sum(numbers) / len(numbers) if numbers else math.nan

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

from pe_evaluation.comparison.inference import mcnemar
from pe_evaluation.comparison.plan import DRAWN, Plan
from pe_evaluation.comparison.store import Row
from pe_evaluation.statistics import clopper_pearson, clopper_pearson_upper

ARENA = "arena"
POINTS_MOST, TIME_SHARE_MOST = 3.0, 0.15
"""What a simulator may differ by in captures [points] and in mean capture time before the report says so."""
Starts = Mapping[tuple[int, int], Row]
"""Rows of one simulator, approach and cell, by seed and episode."""


def account(plan: Plan, rows: Mapping[str, Sequence[Row]]) -> dict[str, Any]:
    """Cells, gaps and pairs of ``rows``, by simulator, the arena's among them; what nobody has played is left out."""
    found: dict[tuple[str, str, str, float], dict[tuple[int, int], Row]] = {}
    for simulator, played in rows.items():
        for row in played:
            if row["scenario"] == DRAWN:
                key = (simulator, row["approach"], row["evader"], float(row["speed_ratio"]))
                found.setdefault(key, {})[(row["seed"], row["episode"])] = row
    cells, gaps, pairs = [], [], []
    for approach in plan.approaches:
        for cell in plan.cells:
            reference = found.get((ARENA, approach.name, cell.evader, cell.speed_ratio), {})
            for simulator in rows:
                starts = found.get((simulator, approach.name, cell.evader, cell.speed_ratio), {})
                named = {
                    "simulator": simulator, "approach": approach.name, "title": approach.title, "evader": cell.evader,
                    "speed_ratio": cell.speed_ratio,
                }  # fmt: skip
                if starts:
                    cells.append(named | _cell(starts))
                if simulator != ARENA and set(starts) & set(reference):
                    gaps.append(named | _gap(reference, starts))
    titles = {approach.name: approach.title for approach in plan.approaches}
    for learning, without in plan.pairs:
        for cell in plan.cells:
            for simulator in rows:
                first, second = (
                    found.get((simulator, name, cell.evader, cell.speed_ratio), {}) for name in (without, learning)
                )
                if set(first) & set(second):
                    named = {"simulator": simulator, "evader": cell.evader, "speed_ratio": cell.speed_ratio}
                    sides = {"first": titles[without], "second": titles[learning]}
                    pairs.append(named | sides | _pair(first, second))
    return {"cells": cells, "gaps": gaps, "pairs": pairs}


def _cell(starts: Starts) -> dict[str, Any]:
    rows = list(starts.values())
    captures = sum(bool(row["captured"]) for row in rows)
    contacts = sum(row["violations"] > 0 for row in rows)
    return {
        "episodes": len(rows),
        "capture_rate": captures / len(rows),
        "capture_rate_ci": list(clopper_pearson(captures, len(rows))),
        "capture_time_s": _mean([row["capture_time_s"] for row in rows if row["captured"]]),
        "violation_episodes": contacts,
        "violation_episodes_own": sum(row["violations_own"] > 0 for row in rows),
        "violation_rate_upper": clopper_pearson_upper(contacts, len(rows)),
        "min_margin_m": min(row["margin_min_m"] for row in rows),
        "intervention_rate": _mean([row["intervention_rate"] for row in rows]),
        "infeasible": int(sum(row["infeasible"] for row in rows if not isinstance(row["infeasible"], str))),
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


def _pair(first: Starts, second: Starts) -> dict[str, Any]:
    both = sorted(set(first) & set(second))
    sides = [_cell({start: rows[start] for start in both}) for rows in (first, second)]
    keys = ("capture_rate", "capture_time_s", "violation_episodes", "min_margin_m", "intervention_rate", "infeasible")
    return {"starts": len(both)} | {key: [side[key] for side in sides] for key in keys}


def _only(one: Sequence[bool], other: Sequence[bool]) -> int:
    return sum(a and not b for a, b in zip(one, other, strict=True))


def _mean(values: Sequence[Any]) -> float:
    numbers = [value for value in values if not isinstance(value, str)]
    return sum(numbers) / len(numbers) if numbers else math.nan

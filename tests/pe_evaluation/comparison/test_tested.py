"""A difference, its interval, its effect size and its tests are of the same pairs, all with the same weight."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pe_evaluation.comparison.account import mean_of
from pe_evaluation.comparison.plan import IDEAL
from pe_evaluation.comparison.results import Results
from pe_evaluation.comparison.tested import compare, pairs_of
from tests.support.comparison import small_plan

NAMES = ("cbf-trained", "cbf")
CELLS = [{"evader": "random", "speed_ratios": [1.0]}, {"evader": "flee", "speed_ratios": [1.2]}]


def row(approach: str, evader: str, ratio: float, seed: int, episode: int, time: float | None) -> dict[str, Any]:
    return {
        "world": IDEAL, "scenario": "random", "approach": approach, "evader": evader, "speed_ratio": ratio,
        "seed": seed, "episode": episode, "captured": time is not None, "return": 1.0,
        "capture_time_s": "not captured" if time is None else time,
    }  # fmt: skip


def uneven() -> Results:
    """40 captures each in one cell, where the first takes 1 s less; one in the other, where it takes 30 s more."""
    plan = small_plan(20, (0, 1), NAMES, cells=CELLS, pairs=[list(NAMES)])
    rows = []
    for seed in plan.seeds:
        for n in range(20):
            jitter = 0.1 * np.sin(7.0 * n + seed)
            rows += [row("cbf-trained", "random", 1.0, seed, n, 9.0 + jitter), row("cbf", "random", 1.0, seed, n, 10.0)]
            caught = seed == 0 and n == 0
            rows.append(row("cbf-trained", "flee", 1.2, seed, n, 50.0 if caught else None))
            rows.append(row("cbf", "flee", 1.2, seed, n, 20.0 if caught else None))
    return Results(plan, rows)


def test_a_cell_of_one_pair_counts_as_one_pair() -> None:
    results = uneven()
    found = compare(results, *NAMES, "capture_time_s", results.strata(NAMES))
    assert found["pairs"] == 41
    assert found["difference"] == pytest.approx((40 * -1.0 + 30.0) / 41, abs=0.02)
    first, second = found["means"]
    assert first - second == pytest.approx(found["difference"])
    assert found["low"] <= found["difference"] <= found["high"]


def test_difference_effect_and_welch_have_one_sign() -> None:
    found = {row["metric"]: row for row in pairs_of(uneven())}["capture_time_s"]
    assert np.sign(found["difference"]) == np.sign(found["cohens_d"]) == np.sign(found["welch_episodes"]["t"]) == -1.0


def test_the_time_of_captures_is_the_mean_over_captures() -> None:
    results = uneven()
    found = mean_of(results, "cbf", "capture_time_s", results.strata(["cbf"]))
    assert found["episodes"] == 41
    assert found["mean"] == pytest.approx((40 * 10.0 + 20.0) / 41)
    assert found["low"] <= found["mean"] <= found["high"] < 11.0
    captured = mean_of(results, "cbf", "captured", results.strata(["cbf"]))
    assert captured["mean"] == pytest.approx(0.5 * (1.0 + 1.0 / 40.0))

"""What is tested against what: pairs of approaches in the same episodes, and the gap from training to deployment.

Capture is tested by McNemar's exact test, returns and times of capture (where both captured) by signed ranks; Welch's
t beside, over episodes and over seeds, takes the two as independent.  All of them, the difference and its interval
weigh every pair the same: a cell in which both seldom captured holds few pairs of times, and counts as little.
Holm's correction covers all pairs and these three metrics as one family, and captures by cell as another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pe_evaluation.comparison.inference import (
    cliffs_delta,
    cohens_d,
    cohens_h,
    holm,
    interval,
    mcnemar,
    paired_t,
    resampled_means,
    stratified_mean,
    wilcoxon,
)
from pe_evaluation.comparison.plan import GapDefinition
from pe_evaluation.comparison.results import Results, Stratum, cell_weights
from pe_evaluation.statistics import welch_t_test

METRICS = ("captured", "capture_time_s", "return")
LEVEL = 0.05
FEW_SEEDS = "fewer than two seeds"
NO_PAIRS = "no episode in which both have a value"
NOT_PAIRED = "not played in the same cells"
NO_GAP = "no policy is here both as in its training and as deployed"
ONE_VALUE = "does not vary"


def pairs_of(results: Results) -> list[dict[str, Any]]:
    """A row for each pair of the plan and metric, first less second, with Holm's p."""
    rows = []
    for first, second in results.plan.pairs:
        strata = results.strata([first, second])
        for metric in METRICS:
            row: dict[str, Any] = {"first": first, "second": second, "metric": metric}
            rows.append(row | (compare(results, first, second, metric, strata) if strata else {"reason": NOT_PAIRED}))
    return _adjusted(rows)


def cell_pairs_of(results: Results) -> list[dict[str, Any]]:
    """Captures of each pair by cell, with Holm's p over all of them."""
    rows = []
    for first, second in results.plan.pairs:
        strata = results.strata([first, second])
        for cell in dict.fromkeys(cell for cell, _ in strata):
            values = _pooled(results, (first, second), "captured", [s for s in strata if s[0] == cell])
            table = _table(values)
            rows.append(
                {
                    "first": first,
                    "second": second,
                    "evader": cell.evader,
                    "speed_ratio": cell.speed_ratio,
                    "pairs": len(values),
                    "difference": float((values[:, 0] - values[:, 1]).mean()),
                    "first_only": table[0],
                    "second_only": table[1],
                    "p": mcnemar(*table),
                }
            )
    return _adjusted(rows)


def compare(
    results: Results, first: str, second: str, metric: str, strata: Sequence[Stratum]
) -> dict[str, Any]:
    """One metric of two approaches in the episodes that both have played."""
    by_stratum = results.paired((first, second), metric, strata)
    # Where only one has a value there is no pair.
    by_stratum = [values[np.isfinite(values).all(axis=1)] for values in by_stratum]
    kept = [(stratum, values) for stratum, values in zip(strata, by_stratum, strict=True) if len(values)]
    if not kept:
        return {"pairs": 0, "reason": NO_PAIRS}
    differences = [values[:, :1] - values[:, 1:] for _, values in kept]
    values = np.concatenate([values for _, values in kept])
    found = interval(float((values[:, 0] - values[:, 1]).mean()), resampled_means(differences, None)[:, 0])
    row: dict[str, Any] = {
        "pairs": len(values),
        "means": [float(value) for value in values.mean(axis=0)],
        "difference": found.value,
        "low": found.low,
        "high": found.high,
        "welch_episodes": _welch(values[:, 0], values[:, 1]),
        "welch_seeds": _welch_seeds(kept),
        "paired_t_p": _known(paired_t(values[:, 0] - values[:, 1])),
        "cohens_d": _known(cohens_d(values[:, 0], values[:, 1])),
        "cliffs_delta": cliffs_delta(values[:, 0], values[:, 1]),
    }
    if metric == "captured":
        table = _table(values)
        rates = values.mean(axis=0)
        row |= {"test": "McNemar, exact", "p": mcnemar(*table), "first_only": table[0], "second_only": table[1]}
        row["cohens_h"] = cohens_h(float(rates[0]), float(rates[1]))
    else:
        row |= {"test": "Wilcoxon, signed ranks", "p": wilcoxon(values[:, 0] - values[:, 1])}
    return row


def gap_of(results: Results, gap: GapDefinition, strata: Sequence[Stratum] | None = None) -> dict[str, Any]:
    """Training less deployment of one policy: capture rate, and return, absolute and over the size of training's.

    A positive gap means that the deployed mechanism loses what was learned.
    """
    names = (gap.trained, gap.deployed)
    strata = results.strata(names) if strata is None else strata
    row: dict[str, Any] = {"name": gap.name, "title": gap.title, "trained": names[0], "deployed": names[1]}
    if not strata:
        return row | {"reason": NOT_PAIRED}
    weights = cell_weights(strata)
    for metric in ("captured", "return"):
        values = results.paired(names, metric, strata)
        means, drawn = stratified_mean(values, weights), resampled_means(values, weights)
        found = interval(float(means[0] - means[1]), drawn[:, 0] - drawn[:, 1])
        row[metric] = {
            "trained": float(means[0]),
            "deployed": float(means[1]),
            "gap": found.value,
            "low": found.low,
            "high": found.high,
            "episodes": int(sum(map(len, values))),
        }
        if metric == "return":
            scale = abs(float(means[0]))
            relative = interval(
                found.value / scale if scale else 0.0, (drawn[:, 0] - drawn[:, 1]) / np.abs(drawn[:, 0])
            )
            row["return_relative"] = dict(zip(("gap", "low", "high"), relative, strict=True))
    return row


def gap_cells_of(results: Results, gap: GapDefinition) -> list[dict[str, Any]]:
    """The same by cell."""
    strata = results.strata((gap.trained, gap.deployed))
    rows = []
    for cell in dict.fromkeys(cell for cell, _ in strata):
        row = gap_of(results, gap, [stratum for stratum in strata if stratum[0] == cell])
        rows.append(row | {"evader": cell.evader, "speed_ratio": cell.speed_ratio, "world": cell.world})
    return rows


def _pooled(
    results: Results, names: Sequence[str], metric: str, strata: Sequence[Stratum]
) -> NDArray[np.float64]:
    return np.concatenate(results.paired(names, metric, strata))


def _table(values: NDArray[np.float64]) -> tuple[int, int]:
    """How often only the first, only the second is 1."""
    return int((values[:, 0] > values[:, 1]).sum()), int((values[:, 0] < values[:, 1]).sum())


def _welch(first: NDArray[np.float64], second: NDArray[np.float64]) -> dict[str, Any]:
    if min(len(first), len(second)) < 2:
        return {"reason": "fewer than two values"}
    found = welch_t_test(first, second)
    finite = np.isfinite(found.t)
    return {"t": found.t if finite else ONE_VALUE, "degrees": found.degrees, "p": found.p}


def _welch_seeds(kept: Sequence[tuple[Stratum, NDArray[np.float64]]]) -> dict[str, Any]:
    seeds = sorted({seed for (_, seed), _ in kept})
    if len(seeds) < 2:
        return {"reason": FEW_SEEDS}
    means = []
    for seed in seeds:
        means.append(np.concatenate([values for stratum, values in kept if stratum[1] == seed]).mean(axis=0))
    by_seed = np.array(means)
    return _welch(by_seed[:, 0], by_seed[:, 1]) | {"means": by_seed.tolist()}


def _known(value: float) -> float | str:
    return value if np.isfinite(value) else ONE_VALUE


def _adjusted(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    adjusted = holm([row.get("p", np.nan) for row in rows])
    for row, p in zip(rows, adjusted, strict=True):
        if np.isfinite(p):
            row["p_holm"], row["significant"] = float(p), bool(p < LEVEL)
        else:
            row.setdefault("reason", "not tested")
    return rows

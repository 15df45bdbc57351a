"""Every approach as one row of numbers with intervals, over the cells and in each; no cell of it is empty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pe_evaluation.comparison.episode import NO_FILTER
from pe_evaluation.comparison.inference import interval, resampled_means, stratified_mean
from pe_evaluation.comparison.plan import Approach
from pe_evaluation.comparison.results import Results, Stratum, cell_weights, number, reasons
from pe_evaluation.statistics import clopper_pearson, clopper_pearson_upper

MEANS = {
    "captured": "captured",
    "capture_time_s": "capture time [s]",
    "return": "return",
    "intervention_rate": "interventions",
    "correction_mean": "mean correction",
    "jerk_v": "jerk of v [m/s³]",
    "jerk_omega": "jerk of ω [rad/s³]",
}
"""Metrics given as the mean over cells with a bootstrap interval, and what a reader calls them."""
POOLED = ("capture_time_s",)
"""Those of them that are the mean over all episodes: a cell of one capture says little of times."""
Value = dict[str, Any]
NOT_PLAYED = "not played"


def account_of(results: Results, approach: Approach, world: str | None = None) -> dict[str, Any]:
    """The row of one approach in one world, the plan's where it is not given."""
    world = results.plan.world if world is None else world
    strata = results.strata([approach.name], world)
    if not strata:
        return {"approach": approach.name, "title": approach.title, "episodes": 0, "note": NOT_PLAYED}
    rows = [row for stratum in strata for row in results.rows(approach.name, stratum)]
    steps = sum(row["steps"] for row in rows)
    out: dict[str, Any] = {
        "approach": approach.name,
        "title": approach.title,
        "setting": approach.setting,
        "world": world,
        "episodes": len(rows),
        "steps": steps,
        "cells": len({cell for cell, _ in strata}),
    }
    out |= {metric: mean_of(results, approach.name, metric, strata) for metric in MEANS}
    captures = sum(row["captured"] for row in rows)
    out["captures"] = captures
    out["captured_pooled_interval"] = list(clopper_pearson(captures, len(rows)))
    out |= _contacts(rows)
    out["margin_min_m"] = _of(rows, "margin_min_m", np.min)
    out["margin_min_q05_m"] = _of(rows, "margin_min_m", lambda values: np.quantile(values, 0.05))
    out["margin_min_q50_m"] = _of(rows, "margin_min_m", np.median)
    for key in ("interventions", "infeasible", "backup"):
        known = _known(rows, key)
        counted = sum(row["steps"] for row in known)
        out[key] = _total(rows, key)
        out[f"{key}_share"] = out[key] / counted if known and counted else out[key]
        out[f"{key}_steps"], out[f"{key}_episodes"] = counted, len(known)
    out["correction_max"] = _of(rows, "correction_max", np.max)
    for key in ("steering_braking", "policy_us", "filter_us"):
        out[key] = _of(rows, key, np.median)
    out["filter_us_p95"] = _of(rows, "filter_us", lambda values: np.quantile(values, 0.95))
    out["policy_us_p95"] = _of(rows, "policy_us", lambda values: np.quantile(values, 0.95))
    for key in ("margin_q01_m", "margin_q05_m", "margin_q25_m", "margin_q50_m"):
        out[key] = _of(rows, key, np.mean)
    return out


def mean_of(results: Results, approach: str, metric: str, strata: Sequence[Stratum]) -> Value:
    """Mean over cells (``POOLED``: over all episodes), its interval, and how many have a value; else the reason."""
    values = results.paired([approach], metric, strata)
    count = int(sum(np.isfinite(each).sum() for each in values))
    if not count:
        found = reasons(row[metric] for stratum in strata for row in results.rows(approach, stratum))
        return {"reason": found, "episodes": 0}
    weights = None if metric in POOLED else cell_weights(strata)
    mean = float(stratified_mean(values, weights)[0])
    bounds = interval(mean, resampled_means(values, weights)[:, 0])
    return {"mean": mean, "low": bounds.low, "high": bounds.high, "episodes": count}


def cells_of(results: Results, approach: Approach) -> list[dict[str, Any]]:
    """One row for each cell that the approach has played, in every world."""
    out = []
    for world in results.worlds(approach.name):
        strata = results.strata([approach.name], world)
        for cell in dict.fromkeys(cell for cell, _ in strata):
            own = [stratum for stratum in strata if stratum[0] == cell]
            rows = [row for stratum in own for row in results.rows(approach.name, stratum)]
            captures, contacts = sum(row["captured"] for row in rows), _contacts(rows)
            low, high = clopper_pearson(captures, len(rows))
            out.append(
                {
                    "approach": approach.name,
                    "world": world,
                    "evader": cell.evader,
                    "speed_ratio": cell.speed_ratio,
                    "episodes": len(rows),
                    "captured": {"mean": captures / len(rows), "low": low, "high": high, "episodes": len(rows)},
                    "capture_time_s": mean_of(results, approach.name, "capture_time_s", own),
                    "return": mean_of(results, approach.name, "return", own),
                    "violating_episodes": contacts["violating_episodes"],
                    "violation_upper": contacts["violation_upper"],
                    "margin_min_m": _of(rows, "margin_min_m", np.min),
                    "intervention_rate": mean_of(results, approach.name, "intervention_rate", own),
                    "infeasible": _total(rows, "infeasible"),
                }
            )
    return out


def is_filtered(row: Mapping[str, Any]) -> bool:
    """Whether the approach of an account, or the episode of a row, had a filter; so it is where a bag does not say."""
    return bool(row["infeasible"] != NO_FILTER)


def touched(row: Mapping[str, Any]) -> int:
    """Episodes with a contact of an account; 0 where none could be looked at."""
    found = row["violating_episodes"]
    return 0 if isinstance(found, str) else int(found)


def _contacts(rows: list[dict[str, Any]]) -> Value:
    """Contacts in the episodes whose true poses are known, with the bound that their number gives; else the reason."""
    known = _known(rows, "violations")
    keys = ("violations", "violating_episodes", "violating_episodes_own", "violation_upper")
    if not known:
        return dict.fromkeys(keys, reasons(row["violations"] for row in rows)) | {"contact_episodes": 0}
    count = sum(row["violations"] > 0 for row in known)
    own = sum(row["violations_own"] > 0 for row in known)
    found = (sum(row["violations"] for row in known), count, own, clopper_pearson_upper(count, len(known)))
    return dict(zip(keys, found, strict=True)) | {"contact_episodes": len(known)}


def _known(rows: list[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    return [row for row in rows if not isinstance(row[key], str)]


def _total(rows: list[dict[str, Any]], key: str) -> Any:
    known = _known(rows, key)
    return sum(row[key] for row in known) if known else reasons(row[key] for row in rows)


def _of(rows: list[dict[str, Any]], key: str, function: Any) -> Any:
    values = np.array([number(row[key]) for row in rows])
    values = values[np.isfinite(values)]
    return float(function(values)) if values.size else reasons(row[key] for row in rows)

"""The numbers that a candidate is judged by, each with its bootstrap replicates where it is a measured mean."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pe_core.bundle import load_bundle
from pe_core.config import ConfigurationError
from pe_evaluation.comparison.cost import closure, code_lines, resampled_speeds, speed_of, trainings_of
from pe_evaluation.comparison.inference import RESAMPLES, resampled_means, stratified_mean
from pe_evaluation.comparison.plan import GapDefinition, Plan
from pe_evaluation.comparison.results import Results, cell_weights, number, reasons
from pe_evaluation.comparison.rules import Rules


@dataclasses.dataclass(frozen=True, eq=False)
class Evidence:
    """Of one candidate; ``drawn``: replicates (R,) of ``capture_gap``, ``return_gap``, ``violations``, ``task``, and of
    ``training_speed``, for which trainings are drawn.
    """

    name: str
    title: str
    deployed: str
    numbers: Mapping[str, float]
    drawn: Mapping[str, NDArray[np.float64]]
    sources: Mapping[str, str]


def evidence_of(results: Results, gap: GapDefinition, rules: Rules, rivals: Sequence[str] = ()) -> Evidence | str:
    """The evidence of one candidate; the reason where there is none.

    Captures are those in the episodes that the approaches ``rivals`` have played too: the first of a cell may be easy.
    """
    names = (gap.trained, gap.deployed)
    strata = results.strata(names)
    if not strata:
        return "its approaches were not played in the same cells"
    weights = cell_weights(strata)
    numbers: dict[str, float] = {}
    drawn: dict[str, NDArray[np.float64]] = {}
    for key, metric in (("capture_gap", "captured"), ("return_gap", "return")):
        values = results.paired(names, metric, strata)
        means, again = stratified_mean(values, weights), resampled_means(values, weights)
        scale, scales = (1.0, 1.0) if metric == "captured" else (abs(means[0]), np.abs(again[:, 0]))
        numbers[key] = float((means[0] - means[1]) / scale)
        drawn[key] = (again[:, 0] - again[:, 1]) / scales
    together = [gap.deployed, *(name for name in rivals if name != gap.deployed)]
    own = results.strata(together)
    if not own:
        return "the candidates were not played in the same cells"
    captured = [values[:, :1] for values in results.paired(together, "captured", own)]
    numbers["task"] = float(stratified_mean(captured, cell_weights(own))[0])
    drawn["task"] = resampled_means(captured, cell_weights(own))[:, 0]
    touched = [np.array(each) for each in _contacts(results, gap.deployed) if each]
    if not touched:
        return "no ground truth of its episodes: contacts are unknown"
    shares = np.array([len(each) for each in touched]) / sum(map(len, touched))
    numbers["violations"] = float(stratified_mean(touched, shares)[0])
    drawn["violations"] = resampled_means(touched, shares)[:, 0]
    unfit = unfit_bundles(results.plan, gap)
    if unfit:
        return unfit
    trainings = trainings_of(results.plan.approach(gap.deployed).bundles)
    numbers["training_speed"], numbers["training_s"] = float(speed_of(trainings)), float(trainings[:, 1].mean())
    drawn["training_speed"] = resampled_speeds(trainings, len(drawn["task"]))
    rows = results.all_rows(gap.deployed)
    times = np.array([[number(row["policy_us"]), number(row["filter_us"])] for row in rows]).sum(axis=1)
    if not np.isfinite(times).any():
        lacking = reasons(row[key] for row in rows for key in ("policy_us", "filter_us"))
        return f"the time of its control step is unknown ({lacking})"
    numbers["step_us"], numbers["step_us_p95"] = map(float, np.nanquantile(times, [0.5, 0.95]))
    modules = [*rules.modules.get("all", ()), *rules.modules.get(gap.name, ())]
    counted = closure(f"pe_safety.{module}" for module in modules)
    numbers["code_lines"] = float(sum(map(code_lines, counted)))
    sources = {
        "title": results.plan.approach(gap.deployed).title,
        "gap": f"episodes of {gap.trained} and {gap.deployed}",
        "violations": f"episodes of {gap.deployed}, all worlds",
        "task": f"{sum(map(len, captured)):,} episodes that all candidates have played",
        "training_speed": f"provenance in bundle.json, trainings: {len(trainings)}",
        "complexity": f"{len(counted)} modules of pe_safety; times of {gap.deployed} at batch one",
    }
    return Evidence(gap.name, gap.title, gap.deployed, numbers, drawn, sources)


def _contacts(results: Results, approach: str) -> list[list[list[float]]]:
    """Of each stratum in every world, whether its episodes had a contact (1 or 0), where that is known."""
    return [
        [
            [float(row["violations"] > 0)]
            for row in results.rows(approach, stratum)
            if not isinstance(row["violations"], str)
        ]
        for world in results.worlds(approach)
        for stratum in results.strata([approach], world)
    ]


def unfit_bundles(plan: Plan, gap: GapDefinition) -> str:
    """Why nothing is known of the training of a gap's policies; empty where all is."""
    names = [bundle for name in (gap.trained, gap.deployed) for bundle in plan.approach(name).bundles]
    for bundle in dict.fromkeys(names):
        try:
            load_bundle(bundle, role="pursuer")
        except ConfigurationError:
            return f"its policy '{bundle}' is not among the bundles here, so nothing is known of its training"
    return ""


def replicates(evidence: Sequence[Evidence]) -> int:
    """How many replicates the evidence has."""
    return len(evidence[0].drawn["task"]) if evidence else RESAMPLES

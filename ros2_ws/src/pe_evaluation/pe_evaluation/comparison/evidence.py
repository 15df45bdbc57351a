"""The numbers that a candidate is judged by, each with its bootstrap replicates where it is a measured mean."""

from __future__ import annotations

import dataclasses
import importlib.util
import io
import tokenize
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pe_core.bundle import load_bundle
from pe_core.config import ConfigurationError
from pe_evaluation.comparison.inference import RESAMPLES, resampled_means, stratified_mean
from pe_evaluation.comparison.plan import GapDefinition, Plan
from pe_evaluation.comparison.results import Results, cell_weights, number, reasons
from pe_evaluation.comparison.rules import Rules


@dataclasses.dataclass(frozen=True, eq=False)
class Evidence:
    """Of one candidate; ``drawn``: replicates (R,) of ``capture_gap``, ``return_gap``, ``violations``, ``task``."""

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
    for role in ("trained", "deployed"):
        approach = results.plan.approach(getattr(gap, role))
        provenance = load_bundle(approach.bundle, role="pursuer").schema.provenance
        numbers["training_speed"], numbers["training_s"] = training_of(provenance)
    rows = results.all_rows(gap.deployed)
    times = np.array([[number(row["policy_us"]), number(row["filter_us"])] for row in rows]).sum(axis=1)
    if not np.isfinite(times).any():
        lacking = reasons(row[key] for row in rows for key in ("policy_us", "filter_us"))
        return f"the time of its control step is unknown ({lacking})"
    numbers["step_us"], numbers["step_us_p95"] = map(float, np.nanquantile(times, [0.5, 0.95]))
    modules = [*rules.modules.get("all", ()), *rules.modules.get(gap.name, ())]
    numbers["code_lines"] = float(sum(code_lines(f"pe_safety.{module}") for module in modules))
    sources = {
        "title": results.plan.approach(gap.deployed).title,
        "gap": f"episodes of {gap.trained} and {gap.deployed}",
        "violations": f"episodes of {gap.deployed}, all worlds",
        "task": f"{sum(map(len, captured)):,} episodes that all candidates have played",
        "training_speed": "provenance in the policy's bundle.json",
        "complexity": f"{len(modules)} modules of pe_safety; times of {gap.deployed} at batch one",
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
    for name in (gap.trained, gap.deployed):
        bundle = plan.approach(name).bundle
        try:
            load_bundle(bundle, role="pursuer")
        except ConfigurationError:
            return f"its policy '{bundle}' is not among the bundles here, so nothing is known of its training"
    return ""


def training_of(provenance: Mapping[str, Any]) -> tuple[float, float]:
    """Environment steps a second, and seconds, of a whole training: the part that it started from included."""
    parts = [provenance, provenance.get("start") or {}]
    steps = sum(float(part.get("steps", 0.0)) for part in parts)
    seconds = sum(float(part.get("wall_s", 0.0)) for part in parts)
    return (steps / seconds if seconds > 0.0 else 0.0), seconds


def code_lines(module: str) -> int:
    """Lines of a module that hold code: neither blank nor comment nor docstring."""
    found = importlib.util.find_spec(module)
    if found is None or found.origin is None:
        return 0
    text = Path(found.origin).read_text(encoding="utf-8")
    lines: set[int] = set()
    skipped = {
        tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING,
        tokenize.ENDMARKER,
    }  # fmt: skip
    begins = True
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.STRING and begins:
            continue
        if token.type not in skipped:
            lines.update(range(token.start[0], token.end[0] + 1))
            begins = False
        elif token.type in (tokenize.NEWLINE, tokenize.INDENT):
            begins = True
    return len(lines)


def replicates(evidence: Sequence[Evidence]) -> int:
    """How many replicates the evidence has."""
    return len(evidence[0].drawn["task"]) if evidence else RESAMPLES

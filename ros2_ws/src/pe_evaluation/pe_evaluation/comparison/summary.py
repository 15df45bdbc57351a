"""Everything that the reports say, as one mapping: ``summary.json``."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from pe_evaluation.comparison.account import account_of, cells_of
from pe_evaluation.comparison.decision import decide
from pe_evaluation.comparison.evidence import Evidence, evidence_of
from pe_evaluation.comparison.gates import gates_of
from pe_evaluation.comparison.plan import RECORDED
from pe_evaluation.comparison.results import Results
from pe_evaluation.comparison.rules import Rules
from pe_evaluation.comparison.tested import cell_pairs_of, gap_cells_of, gap_of, pairs_of
from pe_evaluation.metrics import json_safe


def summarise(results: Results, rules: Rules, identity: Mapping[str, Any]) -> dict[str, Any]:
    """The summary of a comparison that has been played."""
    plan = results.plan
    accounts = [
        account_of(results, approach, world)
        for world in plan.worlds
        for approach in plan.approaches
        if world == plan.world or results.strata([approach.name], world)
    ]
    gaps = [gap_of(results, gap) for gap in plan.gaps]
    pairs = pairs_of(results)
    evidence: list[Evidence] = []
    notes = []
    rivals = [gap.deployed for gap in plan.gaps if results.strata([gap.deployed])]
    for gap in plan.gaps:
        found = evidence_of(results, gap, rules, rivals)
        if isinstance(found, str):
            notes.append(f"{gap.title} is no candidate: {found}.")
        else:
            evidence.append(found)
    decision = decide(evidence, rules, notes)
    few = {row["title"]: row["episodes"] for row in accounts if row["episodes"] and row["world"] == plan.world}
    most = max(few.values(), default=0)
    notes += [
        f"{title} played {count:,} episodes, the first of every cell and seed, others up to {most:,}: its row is of "
        "fewer starts; the matrix and the tests compare episodes that both have played."
        for title, count in few.items()
        if count < most and plan.world != RECORDED
    ]
    revisions = identity.get("git_revisions", [])
    if len(revisions) > 1:
        notes.append(
            f"Episodes were played by {len(revisions)} revisions of the program: {', '.join(revisions)}."
        )
    summary = {
        "identity": dict(identity),
        "episodes": sum(row["episodes"] for row in accounts) + len(results.scenarios),
        "accounts": accounts,
        "cells": [row for approach in plan.approaches for row in cells_of(results, approach)],
        "gaps": gaps,
        "gap_cells": [row for gap in plan.gaps for row in gap_cells_of(results, gap)],
        "pairs": pairs,
        "cell_pairs": cell_pairs_of(results),
        "decision": decision,
        "gates": gates_of(results, accounts, gaps, pairs, evidence, decision, rules),
        "rules": {
            "weights": dict(rules.weights),
            "knots": {key: [list(pair) for pair in value] for key, value in rules.knots.items()},
            "gates": dataclasses.asdict(rules.gates),
        },
        "notes": notes,
    }
    return dict(json_safe(summary))


def empty_cells(value: Any, path: str = "") -> Iterator[str]:
    """Paths to what is empty in a summary: null, or text of nothing (CF-01: there is none)."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from empty_cells(item, f"{path}/{key}")
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            yield from empty_cells(item, f"{path}/{number}")
    elif value is None or (isinstance(value, str) and not value.strip()):
        yield path

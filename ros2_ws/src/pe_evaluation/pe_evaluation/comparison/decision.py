"""From evidence to a recommendation: the rule of the gap, the weighted matrix, how sure and how robust both are.

    gap = max(0, capture gap, return gap over the size of training's return)
    score of a criterion = linear between its knots;  total = sum of weight x score, in [1, 5]

Replicates draw episodes, and of a policy that was trained several times the trainings whose speed counts.

The rule looks at the gap of one candidate and names what to build.  A candidate with a contact is not acceptable; in
its place comes the best of the matrix that had none.  The matrix is a second opinion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pe_evaluation.comparison.evidence import Evidence, replicates
from pe_evaluation.comparison.rules import CRITERIA, HIGH, LOW, Rules
from pe_evaluation.comparison.tested import NO_GAP

Scores = dict[str, dict[str, NDArray[np.float64]]]
NOBODY = "none"


def gap_size(numbers: Mapping[str, Any]) -> NDArray[np.float64]:
    """The gap that counts, of an estimate or of replicates."""
    return np.maximum(0.0, np.maximum(numbers["capture_gap"], numbers["return_gap"]))


def scores_of(evidence: Sequence[Evidence], rules: Rules, drawn: bool = False) -> Scores:
    """Scores by candidate and criterion, (1,) of the estimates or (R,) of the replicates."""
    out: Scores = {}
    for each in evidence:
        numbers: dict[str, Any] = {**each.numbers, **(each.drawn if drawn else {})}
        n = replicates(evidence) if drawn else 1
        simple = 0.5 * (
            rules.score("code_lines", each.numbers["code_lines"])
            + rules.score("step_us", each.numbers["step_us"])
        )
        found = {
            "gap": rules.score("gap", gap_size(numbers)),
            "violations": rules.score("violations", numbers["violations"]),
            "task": rules.score("task", numbers["task"]),
            "training_speed": rules.score("training_speed", numbers["training_speed"]),
            "complexity": simple,
        }
        out[each.name] = {key: np.broadcast_to(np.atleast_1d(value), (n,)) for key, value in found.items()}
    return out


def totals_of(scores: Scores, weights: Mapping[str, float]) -> NDArray[np.float64]:
    """Weighted totals (candidates, R)."""
    return np.stack([sum(weights[key] * own[key] for key in CRITERIA) for own in scores.values()])


def recommend(evidence: Sequence[Evidence], rules: Rules, drawn: bool = False) -> list[str]:
    """The recommendation of the rule, of the estimates or of every replicate."""
    names = [each.name for each in evidence]
    asked = next((each for each in evidence if each.name == rules.asked), None)
    totals = totals_of(scores_of(evidence, rules, drawn), rules.weights)
    safe = np.stack([np.atleast_1d(_of(each, "violations", drawn)) <= 0.0 for each in evidence])
    best = np.argmax(np.where(safe, totals, -np.inf), axis=0)
    out = []
    gaps = (
        None
        if asked is None
        else np.atleast_1d(gap_size({**asked.numbers, **asked.drawn} if drawn else asked.numbers))
    )
    for r in range(totals.shape[1]):
        wanted = None if gaps is None else rules.verdicts[rules.band(float(gaps[r]))].candidate
        if wanted in names and safe[names.index(wanted), min(r, safe.shape[1] - 1)]:
            out.append(wanted)
        else:
            out.append(names[best[r]] if safe[:, min(r, safe.shape[1] - 1)].any() else NOBODY)
    return out


def decide(evidence: Sequence[Evidence], rules: Rules, lacking: Sequence[str] = ()) -> dict[str, Any]:
    """The matrix, the recommendation, how sure it is and what would change it.

    ``lacking``: sentences, why others are no candidates.
    """
    if not evidence:
        why = " ".join(["no candidate has evidence.", *lacking]) if lacking else f"{NO_GAP}."
        return {"recommended": NOBODY, "reason": why, "matrix": []}
    scores, drawn = scores_of(evidence, rules), scores_of(evidence, rules, drawn=True)
    totals, again = totals_of(scores, rules.weights)[:, 0], totals_of(drawn, rules.weights)
    order = np.argsort(-totals, kind="stable")
    names = [each.name for each in evidence]
    chosen, resampled = recommend(evidence, rules)[0], recommend(evidence, rules, drawn=True)
    leader = names[int(order[0])]
    matrix = []
    for i in order:
        each = evidence[i]
        low, high = np.quantile(again[i], [0.025, 0.975])
        matrix.append(
            {
                "candidate": each.name,
                "title": each.title,
                "deployed": each.deployed,
                "scores": {key: float(scores[each.name][key][0]) for key in CRITERIA},
                "total": float(totals[i]),
                "total_low": float(low),
                "total_high": float(high),
                "numbers": dict(each.numbers) | {"gap": float(gap_size(each.numbers))},
                "sources": dict(each.sources),
                "first_share": float((again.argmax(axis=0) == i).mean()),
                "acceptable": each.numbers["violations"] == 0.0,
            }
        )
    asked = next((each for each in evidence if each.name == rules.asked), None)
    band = rules.band(float(gap_size(asked.numbers))) if asked else None
    return {
        "recommended": chosen,
        "title": next((each.sources["title"] for each in evidence if each.name == chosen), NOBODY),
        "verdict": rules.verdicts[band].verdict if band else "the rule's candidate was not played",
        "band": band,
        "asked": rules.asked,
        "limits": list(rules.limits),
        "by_rule": band is not None and rules.verdicts[band].candidate == chosen,
        "asked_gap": float(gap_size(asked.numbers)) if asked else "not played",
        "confidence": resampled.count(chosen) / len(resampled),
        "resampled": {name: resampled.count(name) / len(resampled) for name in sorted(set(resampled))},
        "resamples": len(resampled),
        "matrix_first": leader,
        "matrix_agrees": leader == chosen,
        "weights": dict(rules.weights),
        "matrix": matrix,
        "sensitivity": sensitivity(evidence, rules, scores),
    }


def sensitivity(evidence: Sequence[Evidence], rules: Rules, scores: Scores) -> dict[str, Any]:
    """What would change the rule's answer, and the first of the matrix.

    ``weights``: of each criterion the interval, about its weight, in which the first of the matrix stays first while
    the other weights keep their proportions; who is first outside.  ``scores``: of each rival and criterion the score
    that would make it first, all else equal; ``gap``: how far the asked gap is from the limits of the rule.
    """
    names = list(scores)
    totals = totals_of(scores, rules.weights)[:, 0]
    first = int(np.argmax(totals))
    weights = {key: _weight_range(key, scores, rules.weights, names[first]) for key in CRITERIA}
    rivals = []
    for i, name in enumerate(names):
        if i == first:
            continue
        short = float(totals[first] - totals[i])
        wanted = {}
        for key in CRITERIA:
            need = float(scores[name][key][0]) + short / rules.weights[key] if rules.weights[key] else np.inf
            wanted[key] = need if need <= HIGH + 1e-12 else "not by this alone"
        rivals.append({"candidate": name, "short": short, "score_wanted": wanted})
    out: dict[str, Any] = {"first": names[first], "weights": weights, "rivals": rivals, "lowest_score": LOW}
    asked = next((each for each in evidence if each.name == rules.asked), None)
    if asked is not None:
        gaps = gap_size(asked.drawn)
        out["gap"] = {
            "estimate": float(gap_size(asked.numbers)),
            "capture_alone": rules.band(max(0.0, asked.numbers["capture_gap"])),
            "return_alone": rules.band(max(0.0, asked.numbers["return_gap"])),
            "to_limits": [float(limit - gap_size(asked.numbers)) for limit in rules.limits],
            "bands": {
                band: float(np.mean([rules.band(float(gap)) == band for gap in gaps]))
                for band in rules.verdicts
            },
        }
    return out


def _weight_range(key: str, scores: Scores, weights: Mapping[str, float], first: str) -> dict[str, Any]:
    rest = 1.0 - weights[key]
    grid = np.linspace(0.0, 1.0, 1001)
    names = list(scores)
    winners = []
    for weight in grid:
        scale = (1.0 - weight) / rest if rest > 0.0 else 0.0
        tried = {other: weight if other == key else scale * weights[other] for other in CRITERIA}
        totals = totals_of(scores, tried)[:, 0]
        ahead = totals[names.index(first)] >= totals.max() - 1e-12
        winners.append(first if ahead else names[int(np.argmax(totals))])
    here = int(round(weights[key] * 1000))
    low = high = here
    while low > 0 and winners[low - 1] == first:
        low -= 1
    while high < 1000 and winners[high + 1] == first:
        high += 1
    return {
        "weight": weights[key],
        "low": float(grid[low]),
        "high": float(grid[high]),
        "below": winners[low - 1] if low > 0 else first,
        "above": winners[high + 1] if high < 1000 else first,
    }


def _of(each: Evidence, key: str, drawn: bool) -> Any:
    return each.drawn[key] if drawn else each.numbers[key]

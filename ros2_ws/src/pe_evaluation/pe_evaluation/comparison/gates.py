"""Phase gates PG-01 to PG-05: what must be shown before a decision may be built on, each with its evidence.

PG-01  safety mathematics   programs of filtered robots have solutions; backups are rare
PG-02  trained              every candidate says how it was trained, and catches who does not flee
PG-03  no violation         no contact with any filter, with the bound that the number of episodes gives
PG-04  gap measured         every gap has an interval narrow enough; BarrierNet's is closed
PG-05  decision supported   resamples decide the same; tests were made; policy and filter are in time
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pe_core.bundle import load_bundle
from pe_evaluation.comparison.account import is_filtered
from pe_evaluation.comparison.evidence import Evidence
from pe_evaluation.comparison.plan import RANDOMISED
from pe_evaluation.comparison.results import Results
from pe_evaluation.comparison.rules import GateLimits, Rules
from pe_evaluation.comparison.tested import NO_GAP
from pe_evaluation.comparison.words import points
from pe_evaluation.statistics import clopper_pearson_upper

PAIRS_LEAST = 30
"""Pairs below which the resamples of a gap, of PG-04, are too few outcomes to bound it."""
UNFILTERED = "no approach with a filter is here"
EPISODES_LEAST = 200
"""Episodes without a contact that PG-03 asks of every filtered approach."""


def gates_of(
    results: Results,
    accounts: Sequence[Mapping[str, Any]],
    gaps: Sequence[Mapping[str, Any]],
    pairs: Sequence[Mapping[str, Any]],
    evidence: Sequence[Evidence],
    decision: Mapping[str, Any],
    rules: Rules,
) -> list[dict[str, Any]]:
    """The five gates in order; each is passed when all of its checks are."""
    limits = rules.gates
    filtered = [row for row in accounts if row["episodes"] and is_filtered(row)]
    return [
        _gate("PG-01", "safety mathematics", "summary.json: accounts", _mathematics(filtered, limits)),
        _gate(
            "PG-02", "trained", "bundle.json of every policy; summary.json",
            _trained(results, evidence, decision, limits),
        ),
        _gate("PG-03", "no violation", "summary.json: accounts; episodes.jsonl", _violations(results, filtered)),
        _gate("PG-04", "gap measured", "summary.json: gaps", _gaps(gaps, limits)),
        _gate(
            "PG-05", "decision supported", "summary.json: decision, pairs",
            _supported(decision, pairs, evidence, limits),
        ),
    ]  # fmt: skip


Check = tuple[str, bool]


def _gate(name: str, title: str, where: str, checks: list[Check]) -> dict[str, Any]:
    return {
        "gate": name,
        "title": title,
        "passed": all(passed for _, passed in checks),
        "checks": [{"evidence": text, "passed": passed} for text, passed in checks],
        "where": where,
    }


def _mathematics(filtered: Sequence[Mapping[str, Any]], limits: GateLimits) -> list[Check]:
    checks = [] if filtered else [(UNFILTERED, False)]
    for row in filtered:
        for key, most in (("infeasible", limits.infeasible_most), ("backup", limits.backup_most)):
            share = row[f"{key}_share"]
            if isinstance(share, str):
                checks.append((f"{row['title']}{_world(row)}: {key} is unknown: {share}", False))
                continue
            text = f"{row['title']}{_world(row)}: {key} in {row[key]} of {row[f'{key}_steps']:,} steps ({share:.4%})"
            checks.append((f"{text}, at most {most:.0%} allowed", share <= most))
    return checks


def _trained(
    results: Results, evidence: Sequence[Evidence], decision: Mapping[str, Any], limits: GateLimits
) -> list[Check]:
    checks = [] if evidence else [(f"no candidate: {decision['reason']}", False)]
    for each in evidence:
        bundle = load_bundle(results.plan.approach(each.deployed).bundle, role="pursuer")
        said = bundle.schema.provenance
        speed, seconds = each.numbers["training_speed"], each.numbers["training_s"]
        text = f"{each.title}: {said.get('command', 'no command')}; {seconds:,.0f} s a training, {speed:,.0f} steps/s"
        checks.append((text, seconds > 0.0 and "command" in said))
        for stratum in results.strata([each.deployed]):
            cell, _ = stratum
            own = [s for s in results.strata([each.deployed]) if s[0] == cell]
            if cell.evader != "random" or cell.speed_ratio != 1.0 or stratum != own[0]:
                continue
            rows = [row for s in own for row in results.rows(each.deployed, s)]
            rate = sum(row["captured"] for row in rows) / len(rows)
            text = f"{each.title} catches the random evader in {rate:.1%} of {len(rows)}"
            checks.append(
                (f"{text}, at least {limits.capture_least:.0%} wanted", rate >= limits.capture_least)
            )
    found = {each.name: each.numbers["training_s"] for each in evidence}
    if {"barriernet", "cbf-beta"} <= set(found):
        ratio = found["barriernet"] / found["cbf-beta"] if found["cbf-beta"] else float("inf")
        most = limits.training_ratio_most
        text = f"BarrierNet's training took {ratio:.2f} times CBF-Beta's, less than {most:g} wanted"
        checks.append((text, ratio < most))
    return checks


def _violations(results: Results, filtered: Sequence[Mapping[str, Any]]) -> list[Check]:
    checks = [] if filtered else [(UNFILTERED, False)]
    for row in filtered:
        if isinstance(row["violating_episodes"], str):
            text = f"{row['title']}{_world(row)}: contacts are unknown: {row['violating_episodes']}"
            checks.append((text, False))
            continue
        text = (
            f"{row['title']}{_world(row)}: contacts in {row['violating_episodes']} of {row['contact_episodes']:,} "
            f"episodes, so at most {row['violation_upper']:.3%} (95 %)"
        )
        checks.append((text, row["violating_episodes"] == 0))
    for name in dict.fromkeys(row["approach"] for row in filtered):
        total = sum(row["contact_episodes"] for row in filtered if row["approach"] == name)
        if total < EPISODES_LEAST:
            checks.append((f"{name}: {total} episodes, at least {EPISODES_LEAST} wanted", False))
    played = [row for row in results.scenarios if is_filtered(row)]
    if played:
        touched = sum(row["violations"] > 0 for row in played)
        upper = clopper_pearson_upper(touched, len(played))
        checks.append(
            (
                f"scenarios: contacts in {touched} of {len(played)} episodes (at most {upper:.1%})",
                touched == 0,
            )
        )
    return checks


def _gaps(gaps: Sequence[Mapping[str, Any]], limits: GateLimits) -> list[Check]:
    checks = [] if gaps else [(NO_GAP, False)]
    for gap in gaps:
        if "reason" in gap:
            checks.append((f"{gap['title']}: {gap['reason']}", False))
            continue
        found = gap["captured"]
        width = found["high"] - found["low"]
        text = f"{gap['title']}: {points(found)}"
        text += f" in {found['episodes']:,} pairs, interval at most {100 * limits.gap_interval_most:g} points wanted"
        checks.append((text, width <= limits.gap_interval_most))
        if found["episodes"] < PAIRS_LEAST:
            checks.append((f"{gap['title']}: {found['episodes']} pairs, at least {PAIRS_LEAST} wanted", False))
        if gap["name"] == "barriernet":
            most, lost = limits.barriernet_gap_most, gap["return_relative"]["gap"]
            text = f"BarrierNet, deployed, loses {100 * found['gap']:+.2f} points of its captures and "
            text += f"{100 * lost:+.2f} % of its return, less than {100 * most:g} wanted"
            checks.append((text, max(found["gap"], lost) < most))
    return checks


def _supported(
    decision: Mapping[str, Any],
    pairs: Sequence[Mapping[str, Any]],
    evidence: Sequence[Evidence],
    limits: GateLimits,
) -> list[Check]:
    if "reason" in decision:
        return [(f"no recommendation: {decision['reason']}", False)]
    confidence = float(decision.get("confidence", 0.0))
    checks = [
        (
            f"the same recommendation in {confidence:.1%} of {decision.get('resamples', 0)} resamples, at least "
            f"{limits.confidence_least:.0%} wanted",
            confidence >= limits.confidence_least,
        )
    ]
    tested = [row for row in pairs if "p_holm" in row]
    found = sum(row["significant"] for row in tested)
    captured = {each.name: each.numbers["task"] for each in evidence}
    if {"barriernet", "cbf-beta"} <= set(captured):
        apart = abs(captured["barriernet"] - captured["cbf-beta"])
        text = f"BarrierNet and CBF-Beta capture {100 * apart:.1f} points apart, within "
        text += f"{100 * limits.capture_difference_most:g} wanted"
        checks.append((text, apart <= limits.capture_difference_most))
    checks.append(
        (f"{len(tested)} tests of pairs were made, {found} find a difference after Holm", bool(tested))
    )
    for each in evidence:
        time_ms = each.numbers["step_us_p95"] / 1e3
        text = f"{each.title}: policy and filter take {time_ms:.2f} ms (p95), less than {limits.step_ms_most:g} wanted"
        checks.append((text, time_ms < limits.step_ms_most))
    return checks


def _world(row: Mapping[str, Any]) -> str:
    return f", {row['world']}" if row["world"] == RANDOMISED else ""

"""Metrics in words, for the terminal and for the report."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pe_evaluation.metrics import Metrics


def rows_of(metrics: Metrics) -> list[tuple[str, str, str]]:
    """The aggregate as (quantity, value, remark)."""
    level = f"{100.0 * metrics['confidence']:.0f} %"
    low, high = (percent(value) for value in metrics["capture_rate_ci"])
    times = metrics["capture_time_s"]
    violations = metrics["violations"]
    by_role = [percent(metrics["intervention_rate_pursuer"]), percent(metrics["intervention_rate_evader"])]
    upper = percent(metrics["violation_episode_rate_upper"])
    interrupted = f"and {metrics['interrupted']} interrupted" if metrics["interrupted"] else ""
    rows = [
        ("episodes", number(metrics["episodes"]), interrupted),
        ("captures", number(metrics["captures"]), f"{metrics['timeouts']} timeouts"),
        ("capture rate", percent(metrics["capture_rate"]), f"{level} interval {low} to {high}"),
        ("capture time, mean", unit(times["mean"], "s", 2), _median_and_longest(times, "s")),
        (
            "violations",
            "unknown" if violations is None else f"{violations:,}",
            "no true poses were recorded"
            if violations is None
            else f"samples, in {metrics['violation_episodes']} episodes; at {level} at most {upper} of episodes",
        ),
        ("smallest body margin", unit(metrics["min_margin_m"], "m", 4), ""),
        (
            "interventions",
            percent(metrics["intervention_rate"]),
            f"{metrics['interventions']:,} of {metrics['control_steps']:,} control steps; "
            f"pursuer {by_role[0]}, evader {by_role[1]}",
        ),
        ("correction, mean", unit(metrics["correction_mean"], "", 4), "length in (v / v_max, ω / ω_max)"),
        ("infeasible QPs", number(metrics["infeasible"]), percent(metrics["infeasible_rate"])),
        ("backup controller", number(metrics["backup"]), percent(metrics["backup_rate"])),
    ]
    if metrics["infeasibility_warnings"] is not None:
        told = f"{percent(metrics['infeasibility_warning_rate'])} of cycles; {metrics['infeasible_foreseen']:,} of "
        rows.insert(-1, (
            "warnings of infeasible QPs", number(metrics["infeasibility_warnings"]),
            told + f"{metrics['infeasible']:,} infeasible QPs foreseen",
        ))  # fmt: skip
    if metrics["stopped"]:
        rows.append(("stopped", number(metrics["stopped"]), "control steps without valid input, or in a fault"))
    for key, name, suffix in (
        ("control_period_ms", "control period", "ms"),
        ("odom_to_command_ms", "odometry to command", "ms"),
        ("solve_time_us", "filter solve time", "µs"),
    ):
        value: Mapping[str, Any] = metrics.get(key) or {"count": 0}  # type: ignore[assignment]
        if value["count"]:
            tail = f"median; p99 {unit(value['p99'], suffix, 2)}, longest {unit(value['max'], suffix, 2)}"
            rows.append((name, unit(value["p50"], suffix, 2), tail))
    return rows


def audit_line(audit: Mapping[str, Any]) -> tuple[str, str]:
    """(verdict, details) of the audit."""
    if audit["passed"] is None and not audit["values"]:
        return "nothing to check", "the bag holds no barrier values"
    if audit["passed"] is None:
        return "not judged", "the robots' profiles are unknown, and the reference robot does not fit the barriers"
    details = (
        f"{audit['values']:,} barrier values of {audit['cycles']:,} cycles recomputed, largest difference "
        f"{brief(audit['max_barrier_difference'])}; cmd_vel differs from the recorded command by at most "
        f"{brief(audit['max_command_difference'])} and exceeds the robots' limits by at most "
        f"{brief(audit['max_limit_excess'])}"
    )
    return ("passed" if audit["passed"] else "FAILED"), details


def worst_line(audit: Mapping[str, Any]) -> str:
    """The largest difference of a failed audit, empty where it did not fail by a barrier."""
    worst = audit.get("worst")
    if audit["passed"] is not False or not worst:
        return ""
    return (
        f"{worst['robot']}, episode {worst['episode']}, step {worst['step']}: {worst['barrier']} is "
        f"{worst['expected']!r} by the recorded states, {worst['recorded']!r} in the status"
    )


def _median_and_longest(times: Mapping[str, Any], name: str) -> str:
    if times["mean"] is None:
        return ""
    return f"median {unit(times['p50'], name, 2)}, longest {unit(times['max'], name, 2)}"


def number(value: float | None) -> str:
    """A count, or a dash."""
    return "–" if value is None else f"{value:,}"


def percent(value: float | None) -> str:
    """A rate in percent with the digits that it needs."""
    if value is None:
        return "–"
    scaled = 100.0 * value
    if scaled in (0.0, 100.0):
        return f"{scaled:.0f} %"
    if scaled > 99.9:
        return f"{scaled:.3f} %"
    return f"{scaled:.2g} %" if scaled < 0.1 else f"{scaled:.1f} %"


def unit(value: float | None, name: str, digits: int) -> str:
    """A number with its unit, or a dash."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.{digits}f} {name}".strip()


def brief(value: float | None) -> str:
    """A number in three digits, or a dash."""
    return "–" if value is None else f"{value:.3g}"

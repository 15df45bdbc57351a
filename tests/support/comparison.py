"""Small comparisons for tests: two policies as trained and as deployed, against evaders that are soon caught."""

from __future__ import annotations

from typing import Any

from pe_evaluation.comparison.plan import Plan, plan_of
from pe_evaluation.comparison.store import Row

APPROACHES = {
    "ppo-alone": {"title": "plain PPO", "bundle": "ppo", "acts": "mean", "safety": "none", "setting": "reference"},
    "cbf-trained": {"title": "CBF-Beta, trained", "bundle": "cbf-beta", "acts": "density", "setting": "trained"},
    "cbf": {"title": "CBF-Beta", "bundle": "cbf-beta", "acts": "mean"},
    "net-trained": {
        "title": "Net, trained", "bundle": "barriernet", "acts": "noise", "safety": "barriernet", "setting": "trained",
    },
    "net": {"title": "Net", "bundle": "barriernet", "acts": "mean", "safety": "barriernet"},
    "hybrid": {"title": "Hybrid", "bundle": "barriernet", "acts": "mean", "safety": "rcbf_gp", "episodes_most": 1},
}  # fmt: skip


def described(
    approaches: tuple[str, ...] = ("cbf-trained", "cbf", "net-trained", "net"), **more: Any
) -> dict[str, Any]:
    """What the file of a small plan holds."""
    found = {"cbf-trained", "cbf"} <= set(approaches)
    net = {"net-trained", "net"} <= set(approaches)
    gaps = (
        [{"name": "cbf-beta", "title": "CBF-Beta", "trained": "cbf-trained", "deployed": "cbf"}]
        if found
        else []
    )
    gaps += (
        [{"name": "barriernet", "title": "Net", "trained": "net-trained", "deployed": "net"}] if net else []
    )
    data = {
        "approaches": [{"name": name, **APPROACHES[name]} for name in approaches],
        "cells": [{"evader": "random", "speed_ratios": [1.0]}],
        "gaps": gaps,
        "pairs": [["net", "cbf"], ["cbf-trained", "cbf"]] if found and net else [],
    }
    return data | more


def small_plan(
    episodes: int = 3,
    seeds: tuple[int, ...] = (0, 1),
    approaches: tuple[str, ...] = ("cbf-trained", "cbf"),
    **more: Any,
) -> Plan:
    """A small plan."""
    return plan_of(described(approaches, **more), "test", "test", episodes, seeds)


def without_times(rows: list[Row]) -> list[Row]:
    """Rows without what differs between two runs of the same seed."""
    return [
        {key: value for key, value in row.items() if key not in ("policy_us", "filter_us")} for row in rows
    ]

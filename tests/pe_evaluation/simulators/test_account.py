"""Gaps between simulators: points and shares of the starts that both have played, limits, words for what is missing."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from pe_core.config import ConfigurationError
from pe_evaluation.comparison.document import markdown
from pe_evaluation.comparison.plan import Plan, load_plan, plan_of
from pe_evaluation.comparison.store import identity_of_plan
from pe_evaluation.simulators.account import ARENA, account
from pe_evaluation.simulators.report import page, sections_of

DESCRIBED: dict[str, Any] = {
    "approaches": [
        {"name": "lead", "title": "Lead", "bundle": "lead", "safety": "rcbf"},
        {"name": "learning", "title": "Lead, learning", "bundle": "lead", "safety": "rcbf_gp"},
    ],
    "cells": [{"evader": "random", "speed_ratios": [1.0]}],
    "pairs": [["learning", "lead"]],
}


def plan(episodes: int = 10, **more: Any) -> Plan:
    return plan_of(DESCRIBED | more, "test", "test", episodes, (0,))


def row(episode: int, captured: bool, time: float = 10.0, **more: Any) -> dict[str, Any]:
    values = {
        "approach": "lead", "evader": "random", "speed_ratio": 1.0, "scenario": "random", "seed": 0, "episode": episode,
        "captured": captured, "time_s": time, "capture_time_s": time if captured else "not captured", "violations": 0,
        "violations_own": 0, "margin_min_m": 0.1, "intervention_rate": 0.05, "infeasible": 0, "world": "ideal",
        "return": 1.0,
    }  # fmt: skip
    return values | more


def test_gaps_are_of_the_starts_that_both_have_played() -> None:
    rows = {
        ARENA: [row(n, True) for n in range(10)],
        "ice": [row(n, n < 8, 12.0) for n in range(9)] + [row(0, True, scenario="corner")],
    }
    (gap,) = account(plan(), rows)["gaps"]
    assert gap["starts"] == 9 and gap["points"] == pytest.approx(-100 / 9) and gap["captured_in_both"] == 8
    assert gap["time_share"] == pytest.approx(0.2) and gap["apart_s"] == pytest.approx(2.0) and gap["p"] == 1.0
    assert gap["within"] == {"captures": False, "time": False, "contacts": True} and not gap["passed"]


def test_a_contact_fails_a_cell_although_captures_and_times_agree() -> None:
    found = account(plan(), {ARENA: [row(0, True)], "ice": [row(0, True, violations=3, margin_min_m=-0.01)]})
    assert found["gaps"][0]["within"] == {"captures": True, "time": True, "contacts": False}
    assert [cell["violation_episodes"] for cell in found["cells"]] == [0, 1]


def test_a_cell_without_a_capture_in_both_says_so_and_does_not_pass() -> None:
    (gap,) = account(plan(), {ARENA: [row(0, False)], "ice": [row(0, True)]})["gaps"]
    assert math.isnan(gap["time_share"]) and not gap["within"]["time"]


def test_what_learning_changes_stands_side_by_side() -> None:
    rows = {ARENA: [row(0, False, 60.0), row(0, True, approach="learning", infeasible=2)]}
    (pair,) = account(plan(), rows)["pairs"]
    assert (pair["first"], pair["second"]) == ("Lead", "Lead, learning")
    assert pair["capture_rate"] == [0.0, 1.0] and pair["infeasible"] == [0, 2]


def test_the_report_has_no_empty_cell_and_no_bare_nan(tmp_path: Path) -> None:
    rows = {ARENA: [row(0, False), row(0, True, approach="learning")], "ice": [row(0, True)]}
    identity = {"git_revisions": ["abc"], "bundles": {"pursuer lead": "0" * 64}}
    ice = identity | {"simulator": {"name": "ice"}}
    found = account(plan(), rows) | {"identities": {ARENA: identity, "ice": ice}}
    text = markdown("x", sections_of(plan(), found))
    assert "| Lead | random, 1 | ice | 1 | +100.0 points |" in text and "none captured in both" in text
    assert "nan" not in text
    assert "What the filter that learns changes" in page(plan(), found, tmp_path)


def test_a_plan_may_name_the_robot_which_then_belongs_to_its_identity() -> None:
    burger = identity_of_plan(plan(robot="turtlebot3_burger"))
    assert {"robots/turtlebot3_burger", "arena/turtlebot3"} <= set(burger["configuration"])
    assert burger["plan"]["robot"] == "turtlebot3_burger" and "robot" not in identity_of_plan(plan())["plan"]
    with pytest.raises(ConfigurationError, match="hovercraft"):
        plan(robot="hovercraft")


def test_the_committed_plan_holds_what_is_to_be_shown() -> None:
    found = load_plan("gazebo", 100, (0,))
    assert {"cbf-beta-rcbf", "barriernet", "lead-rcbf"} <= {approach.name for approach in found.approaches}
    assert {"lookahead", "ppo-selfplay"} == {cell.evader for cell in found.cells}
    learning = {approach.name for approach in found.approaches if approach.learns}
    assert found.pairs and all(pair[0] in learning and pair[1] not in learning for pair in found.pairs)

"""The page of the scenario bench says what its rows say, failures first of all."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from pe_core.config import ConfigurationError
from pe_evaluation.suite import load_cases
from tests.bench.scenarios import check_kept, run
from tests.bench.scenarios_page import page


def row(pursuer: str, scenario: str, robot: str = "reference", **measured: Any) -> dict[str, Any]:
    metrics = {
        "episodes": 50, "capture_rate": 1.0, "capture_time_s": {"mean": 12.34}, "violation_episodes": 0,
        "min_margin_m": 0.1, "intervention_rate": 0.0, "infeasible_rate": 0.0,
    } | measured  # fmt: skip
    rate = metrics["capture_rate"]
    criterion = {
        "criterion": "captures_least", "relation": ">=", "limit": 0.95, "measured": rate, "passed": rate >= 0.95
    }  # fmt: skip
    identity = {"git_revision": "abc", "match": {"pursuer": pursuer, "evader": "lookahead"}}
    return {
        "scenario": scenario, "robot": robot, "seed": 0, "passed": criterion["passed"], "criteria": [criterion],
        "identity": identity, "metrics": metrics,
    }  # fmt: skip


def test_every_criterion_that_does_not_hold_is_named_and_marked() -> None:
    small = "turtlebot3_burger"
    rows = [
        row("lead", "corner"), row("ppo", "corner", capture_rate=0.9),
        row("lead", "corner", small, capture_rate=0.0, capture_time_s={"mean": None}), row("ppo", "corner", small),
    ]  # fmt: skip
    text = page(rows, "rcbf")
    assert "| corner | 100 %, 12.3 s | 90 %, 12.3 s ✗ |" in text
    assert "| corner | 0 % ✗ | 100 %, 12.3 s |" in text
    assert "2 of 4 criteria." in text
    assert "| reference, ppo | corner | captures_least | ≥ 0.95 | 0.9 |" in text
    assert "| turtlebot3_burger, lead | corner | captures_least | ≥ 0.95 | 0 |" in text


def test_contacts_and_the_worst_of_each_number_are_shown_with_their_scenario() -> None:
    rows = [
        row("lead", "corner", violation_episodes=2, intervention_rate=0.25),
        row("lead", "head_on", min_margin_m=-0.004, infeasible_rate=0.01),
    ]
    line = next(line for line in page(rows, "rcbf").splitlines() if line.startswith("| reference, lead |"))
    # 2 of 100 episodes: the one-sided exact bound is 6.16 %.
    assert line == "| reference, lead | 100 | 2 | 6.16 % | -4.0 mm (head_on) | 25 % (corner) | 1 % (head_on) | abc |"


def test_what_was_not_played_is_not_shown_as_a_number() -> None:
    text = page([row("lead", "corner"), row("lead", "head_on"), row("ppo", "corner")], "rcbf")
    assert "| head_on | 100 %, 12.3 s | not played |" in text


@pytest.mark.slow
def test_a_pursuer_measured_anew_keeps_the_rows_of_the_others(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    names, robots = ("corner", "head_on"), ("reference",)
    both = run(path, 2, ("lead", "ppo"), robots, names)
    assert [(r["identity"]["match"]["pursuer"], r["scenario"]) for r in both] == [
        ("lead", "corner"), ("lead", "head_on"), ("ppo", "corner"), ("ppo", "head_on")
    ]  # fmt: skip
    marked = copy.deepcopy(both)
    for each in marked:
        each["wall_s"] = -1.0
    path.write_text(json.dumps(marked))
    again = run(path, 2, ("ppo",), robots, names)
    assert [r["wall_s"] == -1.0 for r in again] == [True, True, False, False]
    assert [r["metrics"] for r in again] == [r["metrics"] for r in both]
    assert json.loads(path.read_text()) == again
    assert path.with_suffix(".md").read_text() == page(again, "rcbf")
    with pytest.raises(ConfigurationError, match="row of lead, reference, corner: 2 episodes.*allowed: 3 episodes"):
        run(path, 3, ("ppo",), robots, names)


def test_rows_judged_by_other_criteria_are_not_put_beside_new_ones() -> None:
    cases = {"reference": load_cases(["corner"])}
    with pytest.raises(ConfigurationError, match="row of lead, reference, corner: .*measure all pursuers anew"):
        check_kept([row("lead", "corner")], cases, 50)

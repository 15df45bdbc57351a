"""The scenario suite: what is in it, how it is judged, what it writes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from pe_core.config import ConfigurationError
from pe_core.criteria import Criteria
from pe_evaluation import suite, suite_main
from pe_evaluation.scenario_figure import draw
from pe_evaluation.suite import Players, judge, load_cases, play

SPECIFIED = {
    "open_field", "central_obstacle", "boundary_chase", "corner", "full_speed_at_obstacle", "head_on", "corridor",
    "boundary_wrap", "obstacle_shadow", "many_obstacles", "fast_evader",
}  # fmt: skip
MEASURED = {
    "episodes": 10, "capture_rate": 0.9, "capture_time_s": {"mean": 20.0, "p50": 20.0, "max": 30.0}, "violations": 0,
    "min_margin_m": 0.05, "infeasible_rate": 0.001, "intervention_rate": 0.02,
}  # fmt: skip
HEAD_ON = load_cases(["head_on"])[0]


def verdicts(measured: dict, **criteria: object) -> dict[str, bool]:
    case = dataclasses.replace(HEAD_ON, criteria=Criteria(**criteria))
    return {verdict.criterion: verdict.passed for verdict in judge(case, measured)}


def test_the_suite_is_what_was_specified() -> None:
    assert set(suite.suite_names()) == SPECIFIED
    assert [case.source for case in load_cases([])] == suite.suite_names()


def test_every_file_says_what_it_is_for_and_whether_capture_is_judged(repository: Path) -> None:
    for name in SPECIFIED:
        text = (repository / "config" / "scenarios" / f"{name}.yaml").read_text()
        comment = "".join(line for line in text.splitlines() if line.startswith("#"))
        assert len(comment) > 200, name
        if "captures_least" not in text:
            assert "afety alone" in comment or "capture is not judged" in comment, name


@pytest.mark.parametrize(
    ("criterion", "holds", "fails"),
    [
        ("captures_least", 0.9, 0.91),
        ("violations_most", 0, None),
        ("margin_least", 0.05, 0.051),
        ("infeasible_most", 0.001, 0.0009),
        ("interventions_most", 0.02, 0.0199),
    ],
)
def test_each_criterion_holds_up_to_its_bound_and_not_beyond(
    criterion: str, holds: float, fails: float | None
) -> None:
    assert verdicts(MEASURED, **{criterion: holds})[criterion]
    if fails is not None:
        assert not verdicts(MEASURED, **{criterion: fails})[criterion]


def test_contacts_are_judged_although_nobody_asked() -> None:
    assert not verdicts({**MEASURED, "violations": 1})["violations_most"]
    assert verdicts({**MEASURED, "violations": None})["violations_most"] is False, "not measured is not passed"


def test_mean_time_is_judged_and_without_a_capture_it_fails() -> None:
    assert verdicts(MEASURED, captures_least=0.0, capture_time_most=20.0)["capture_time_most"]
    assert not verdicts(MEASURED, captures_least=0.0, capture_time_most=19.9)["capture_time_most"]
    nobody = {**MEASURED, "capture_rate": 0.0, "capture_time_s": {"mean": None, "p50": None, "max": None}}
    assert not verdicts(nobody, captures_least=0.0, capture_time_most=60.0)["capture_time_most"]
    assert set(verdicts(nobody)) == {"violations_most", "margin_least", "infeasible_most"}


def test_bounds_scale_with_robot_and_arena() -> None:
    case = load_cases(["head_on"], "turtlebot3_burger")[0]
    assert case.time_scale == pytest.approx(0.22 / 0.21)
    asked = dataclasses.replace(case, criteria=Criteria(margin_least="0.1 widths + 0.1 m"))
    limit = next(v.limit for v in judge(asked, MEASURED) if v.criterion == "margin_least")
    assert limit == pytest.approx(0.021 + 0.022)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["nowhere"], "scenario 'nowhere' is unknown; known: .*head_on"),
        (["random"], "'random': has no criteria.*known with criteria: .*head_on"),
        (["corner", "corner"], "'corner' is given twice"),
    ],
)
def test_names_that_are_no_part_of_the_suite_are_refused(names: list[str], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        load_cases(names)


def test_safety_that_does_not_fit_is_refused_before_anything_is_played() -> None:
    with pytest.raises(ConfigurationError, match="rcbf_gp"):
        suite.check([HEAD_ON], Players("lead", safety="rcbf_gp"))
    with pytest.raises(ConfigurationError, match="episodes = 0"):
        Players("lead", episodes=0)


@pytest.mark.slow
def test_a_run_is_the_same_for_the_same_seed_and_differs_for_another() -> None:
    first, again, other = (play(HEAD_ON, Players("lead", episodes=4, seed=seed)) for seed in (5, 5, 6))
    assert first == again
    assert first["min_margin_m"] != other["min_margin_m"]


@pytest.mark.slow
def test_a_run_passes_or_fails_by_its_criteria_and_writes_a_line_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    players, lines, page = Players("lead", episodes=3), tmp_path / "rows.jsonl", tmp_path / "table.md"
    impossible = dataclasses.replace(HEAD_ON, criteria=Criteria(captures_least=1.0, capture_time_most=0.1))
    cases = load_cases(["corner"])
    assert suite_main.run(cases, players, lambda case: play(case, players)) == 0
    assert "✗" not in capsys.readouterr().out
    cases = [*cases, impossible]
    assert suite_main.run(cases, players, lambda case: play(case, players), lines, page) == 1
    assert "≤ 0.1 s ✗" in capsys.readouterr().out and "**FAIL**" in page.read_text()
    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [(row["scenario"], row["passed"]) for row in rows] == [("corner", True), ("head_on", False)]
    for row in rows:
        assert set(row) == {
            "scenario", "description", "passed", "criteria", "robot", "through_nodes", "seed", "wall_s", "identity",
            "metrics",
        }  # fmt: skip
        assert row["seed"] == 0 and row["metrics"]["episodes"] == 3
        assert {"git_revision", "bundles", "configuration_sha256"} <= set(row["identity"])
        for criterion in row["criteria"]:
            assert set(criterion) == {"criterion", "relation", "limit", "measured", "passed"}
    failed = [criterion["criterion"] for criterion in rows[1]["criteria"] if not criterion["passed"]]
    assert failed == ["capture_time_most"]


def test_a_file_that_cannot_be_written_is_refused_before_anything_is_played(tmp_path: Path) -> None:
    def never(_: object) -> None:
        raise AssertionError("was played")

    with pytest.raises(ConfigurationError, match="json = .*allowed: a file in an existing directory"):
        suite_main.run([HEAD_ON], Players("lead"), never, tmp_path / "none" / "rows.jsonl")  # type: ignore[arg-type]


def test_layouts_are_drawn(tmp_path: Path) -> None:
    draw(load_cases([]), tmp_path / "layouts.png")
    assert (tmp_path / "layouts.png").read_bytes().startswith(b"\x89PNG")

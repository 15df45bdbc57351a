"""What another mechanism would have commanded in the cycles of a bag."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pe_evaluation import what_if_main
from pe_evaluation.audit.cycle import TOLERANCE
from pe_evaluation.what_if.replay import WhatIf
from pe_safety.parameters import SafetyParameters
from tests.support.damaged_bags import cut, rewritten, without


def asked(bag: Path, mechanism: str, tmp_path: Path, expected: int = 0, **options: Any) -> dict[str, Any]:
    target = tmp_path / "what_if.json"
    assert what_if_main.main(bag, mechanism, json=target, **options) == expected
    return dict(json.loads(target.read_text()))


def test_the_recorded_mechanism_gives_what_was_recorded(bag: Path, tmp_path: Path) -> None:
    found = asked(bag, "rcbf", tmp_path)
    for row in found["robots"].values():
        assert row["steps"] > 50 and row["skipped"] == {} and row["different"] == 0
        assert max(row["v"]["max"], row["omega"]["max"]) <= TOLERANCE
        assert row["recorded"]["again_max_difference"] <= TOLERANCE
        assert row["recorded"]["interventions"] == row["other"]["interventions"]
        assert row["recorded"]["tiers"] == row["other"]["tiers"]
        assert row["recorded"]["breaks_rows_of_other"]["steps"] == 0


def test_a_wider_margin_differs_only_where_its_rows_are_broken(bag: Path) -> None:
    differs = 0
    for steps in WhatIf(bag, "rcbf_robust"):
        apart = np.abs(steps.other - steps.recorded).max(axis=1) > 1e-6
        differs += int(apart.sum())
        assert (steps.recorded_excess[apart & (steps.other_tier == 0)] > 1e-9).all()
        assert (np.isfinite(steps.other_excess)).all()
    assert differs > 20


def test_the_program_agrees_with_the_filter_of_an_ideal_robot(bag: Path, tmp_path: Path) -> None:
    found = asked(bag, "barriernet", tmp_path)
    assert found["programs"] == ["pursuer", "evader"]
    assert any("is not here" in line for line in found["warnings"])
    for row in found["robots"].values():
        assert max(row["v"]["max"], row["omega"]["max"]) <= TOLERANCE


def test_one_robot_a_picture_and_every_nth_cycle(bag: Path, tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    found = asked(bag, "rcbf_robust", tmp_path, robot="evader", picture=picture, episode=1, sample=5)
    every = asked(bag, "rcbf_robust", tmp_path, robot="evader")
    assert list(found["robots"]) == ["evader"] and picture.stat().st_size > 10_000
    assert 0 <= 5 * found["robots"]["evader"]["steps"] - every["robots"]["evader"]["steps"] < 10


def test_a_bag_whose_commands_are_others_is_not_reproduced(game: Any, write_bag: Any, tmp_path: Path) -> None:
    recording = game(episodes=1)
    recording.manifest["safety"] = dataclasses.asdict(SafetyParameters(margin=0.5))
    found = asked(write_bag(recording, tmp_path / "bag"), "rcbf", tmp_path, expected=1)
    assert found["reproduced"] is False


def test_without_status_cycles_are_found_by_time(bag: Path, tmp_path: Path) -> None:
    damaged = rewritten(bag, tmp_path / "bag", without("/pursuer/safety/status", "/evader/safety/status"))
    found = asked(damaged, "rcbf", tmp_path)
    assert any("the newest before it" in line for line in found["warnings"])
    for row in found["robots"].values():
        assert row["steps"] > 50 and max(row["v"]["max"], row["omega"]["max"]) <= TOLERANCE
        assert row["recorded"]["tiers"] is None and row["recorded"]["interventions"] is None


def test_without_cmd_vel_the_status_says_what_was_sent(bag: Path, tmp_path: Path) -> None:
    found = asked(rewritten(bag, tmp_path / "bag", without("/pursuer/cmd_vel")), "rcbf", tmp_path)
    assert any("the commands are those of /pursuer/safety/status" in line for line in found["warnings"])
    assert found["robots"]["pursuer"]["v"]["max"] <= TOLERANCE


def test_steps_without_their_messages_are_counted(bag: Path, tmp_path: Path) -> None:
    found = asked(rewritten(bag, tmp_path / "bag", cut("/pursuer/cmd_vel_nominal", 10, 14)), "rcbf", tmp_path)
    assert found["robots"]["pursuer"]["skipped"] == {"its nominal command is missing": 5}
    assert found["robots"]["evader"]["skipped"] == {}


def test_a_bag_without_manifest_has_unknown_rows(played: Any, write_bag: Any, tmp_path: Path) -> None:
    found = asked(write_bag(dataclasses.replace(played, manifest=None), tmp_path / "bag"), "rcbf", tmp_path)
    assert found["recorded_mechanism"] == "unknown" and found["reproduced"] is None
    assert found["robots"]["pursuer"]["other"]["breaks_rows_of_recorded"] is None
    assert any("does not say which filter ran" in line for line in found["warnings"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mechanism": "nothing"}, "safety 'nothing' is unknown; known: barriernet, rcbf"),
        ({"mechanism": "rcbf", "robot": "umpire"}, "robot = 'umpire': allowed: pursuer or evader"),
        ({"mechanism": "rcbf_gp", "sample": 2}, "'rcbf_gp' learns from every cycle"),
        ({"mechanism": "rcbf", "episode": 9, "picture": Path("x.png")}, "has no episode 9 to draw; known: 0, 1"),
    ],
)
def test_what_cannot_be_asked_is_said(
    bag: Path, capsys: pytest.CaptureFixture[str], options: dict[str, Any], words: str
) -> None:
    assert what_if_main.main(bag, **options) == 2
    assert words in capsys.readouterr().err

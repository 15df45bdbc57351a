"""What a comparison tells TensorBoard and Weights & Biases, read back from their files."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from pe_core.config import ConfigurationError
from pe_evaluation.bags_main import BagRequest, run
from pe_evaluation.comparison.tracking import Group, Tracking, groups_of
from tests.support.wandb_files import lines_of

CELL = {
    "approach": "a", "world": "recorded", "evader": "flee", "speed_ratio": 1.2, "episodes": 3,
    "captured": {"mean": 0.5, "low": 0.25, "high": 0.75, "episodes": 3},
    "capture_time_s": {"reason": "not captured", "episodes": 0}, "return": {"reason": "no ground truth", "episodes": 0},
    "intervention_rate": {"mean": 0.0, "low": 0.0, "high": 0.0, "episodes": 3},
    "violating_episodes": "no ground truth", "violation_upper": "no ground truth", "margin_min_m": "no ground truth",
    "infeasible": 2,
}  # fmt: skip


def test_reasons_give_no_number() -> None:
    plan = {"cells": [{"world": "recorded"}]}
    summary = {"identity": {"plan": plan}, "cells": [CELL], "decision": {"matrix": []}, "gaps": [{"reason": "x"}]}
    numbers = {"infeasible": 2, "captured": 0.5, "captured_low": 0.25, "captured_high": 0.75}
    numbers |= dict.fromkeys(("intervention_rate", "intervention_rate_low", "intervention_rate_high"), 0.0)
    assert list(groups_of(summary)) == [Group("a/flee_1.2", 3, numbers)]


def test_what_is_not_installed_is_said_with_its_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"tensorboard is not installed; .*'pursuit-evasion\[train\]'"):
        Tracking(tmp_path).check()
    with pytest.raises(ConfigurationError, match=r"wandb is not installed; .*'pursuit-evasion\[wandb\]'"):
        Tracking(wandb="offline").check()
    Tracking().check()


@pytest.mark.slow
@pytest.mark.skipif(
    None in map(importlib.util.find_spec, ("tensorboard", "wandb")), reason="tensorboard or wandb is not installed"
)
def test_reports_of_bags_and_what_is_told_of_them(bag: Path, tmp_path: Path) -> None:
    out, names = tmp_path / "out", ("cbf-beta-trained", "cbf-beta-rcbf")
    asked = BagRequest((str(bag), str(bag)), out, names, tracking=Tracking(wandb="offline"))
    assert run(asked) == 0
    summary: dict[str, Any] = json.loads((out / "summary.json").read_text())
    report, page = (out / "decision_report.md").read_text(), (out / "report.html").read_text()
    assert "## Recorded bags" in report and "## Figures: trajectories" in report and ">Replay</h2>" in page
    (cell,) = (row for row in summary["cells"] if row["approach"] == names[1])
    found = accumulated(out / "tensorboard" / names[1] / "scripted-evader_1")
    for key, value in (("captured_low", cell["captured"]["low"]), ("margin_min_m", cell["margin_min_m"])):
        (event,) = found.Scalars(key)
        assert event.value == pytest.approx(value) and event.step == 2
    (gap,) = accumulated(out / "tensorboard" / "gap" / "cbf-beta").Scalars("return_relative")
    assert gap.value == summary["gaps"][0]["return_relative"]["gap"] == 0.0
    (image,) = accumulated(out / "tensorboard" / "figures").Images("gap")
    assert image.encoded_image_string == (out / "figures" / "gap.png").read_bytes()
    assert (image.width, image.height) > (500, 100)
    (line,) = lines_of(out, 1)
    assert line[f"{names[1]}/scripted-evader_1/margin_min_m"] == cell["margin_min_m"]
    assert line["gap/cbf-beta/captured"] == 0.0 and line["figures/gap/_type"] == "image-file"


def accumulated(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder))
    found.Reload()
    return found

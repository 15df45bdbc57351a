"""The worst cases that searches have found, replayed: no contact, and the margin that was recorded."""

from __future__ import annotations

import pytest

from pe_core.paths import config_names, config_path
from pe_evaluation.falsify.case import load_case
from pe_evaluation.falsify.play import MODES
from pe_evaluation.falsify_main import TOLERANCE

CASES = config_names("falsified")


@pytest.mark.parametrize("name", CASES)
def test_case_keeps_its_margin(name: str) -> None:
    """Another margin is no fault by itself: `./pe falsify --replay FILE --record` takes it over, once understood."""
    scenario = load_case(config_path("falsified", name))
    outcome = scenario.replay()
    assert scenario.name == name
    assert outcome.lack[0] == 0.0
    assert outcome.margin[0] > 0.0
    assert outcome.margin[0] == pytest.approx(scenario.margin, abs=TOLERANCE)


def test_every_robot_and_mode_has_cases() -> None:
    kept = [load_case(config_path("falsified", name)) for name in CASES]
    assert {(case.models[0].name, case.mode) for case in kept} >= {
        (robot, mode) for robot in config_names("robots") for mode in MODES
    }

"""Machines whose clocks disagree, drift, or are set while robots move."""

from __future__ import annotations

import pytest

from tests.support.fault_run import FaultRun, Recording

pytestmark = [pytest.mark.integration, pytest.mark.slow]

FAULTS = [
    {"kind": "clock", "target": "pursuer", "at": 2.0, "duration": 4.0, "drift": 0.015},
    {"kind": "clock", "target": "pursuer", "at": 9.0, "duration": 3.0, "step": 1.0},
    {"kind": "clock", "target": "pursuer", "at": 16.0, "duration": 3.0, "step": -0.5},
    {"kind": "clock", "target": "evader/policy", "at": 23.0, "duration": 2.0, "step": -0.8},
]
END = 28.0


@pytest.fixture(scope="module")
def recording(module_processes, module_probe, tmp_path_factory) -> Recording:
    words = ("rate:=1.2", "evader:=boundary", "speed_ratio:=1.5")
    run = FaultRun(module_processes, module_probe, tmp_path_factory.mktemp("clocks"), FAULTS, *words)
    # A clock of 20 Hz: the reading after the jump is 0.05 s later.
    run.until_time(12.0)
    run.until_latched("pursuer", "the clock went back by 0.95 s")
    run.recover("pursuer", 12.5)
    run.until_time(16.0)
    run.until_latched("pursuer", "the clock went back by 0.45 s")
    run.recover("pursuer", 19.5)
    run.until_time(END)
    return run.finish()


def test_nobody_touches_anything(recording):
    assert recording.margin() > 0.0
    assert recording.finite()


def test_a_drift_below_the_tolerance_stops_nobody(recording):
    for role in ("pursuer", "evader"):
        assert recording.moved(role, 2.0, 8.0)
        assert recording.active(role, 2.0, 8.0) > 0.95


def test_a_clock_ahead_stops_both_robots_each_for_its_reason(recording):
    for role, why in (("pursuer", "stale stamp"), ("evader", "stamp in the future")):
        assert recording.stopped_at(role, 9.0, 12.0) <= 0.8
        said = recording.reasons(role, 10.0, 11.9)
        assert said and all("opponent state is" in text and why in text for text in said), said
    assert recording.moved("evader", 14.0, 15.0), "the clock is right again"


@pytest.mark.parametrize(("at", "by"), [(12.0, "0.95 s"), (16.0, "0.45 s")])
def test_a_clock_that_goes_back_latches_until_it_is_cleared(recording, at, by):
    assert recording.stopped_at("pursuer", at, at + 0.5) <= 0.3
    assert any(text.startswith(f"the clock went back by {by}") for text in recording.reasons("pursuer", at, at + 1.0))
    right = 12.5 if at == 12.0 else 19.5
    assert recording.moved("pursuer", right + 1.5, right + 3.0), "cleared, it moves again"


def test_a_policy_with_a_wrong_clock_commands_nothing(recording):
    assert recording.stopped_at("evader", 23.0, 25.0) <= 0.6
    assert all("nominal command is" in text for text in recording.reasons("evader", 23.7, 25.0))
    assert recording.moved("evader", 26.5, 28.0)

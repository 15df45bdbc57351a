"""Sensors of real robots that lie: what the estimator repairs, and what the safety node stops and latches."""

from __future__ import annotations

import pytest

from tests.support.fault_run import FaultRun, Recording

pytestmark = [pytest.mark.integration, pytest.mark.slow]

REPAIRED = [
    {"kind": "jump", "target": "pursuer/odom", "at": 2.0, "duration": 2.0, "dx": 2.0, "turn": 1.0},
    {"kind": "jump", "target": "pursuer/pose", "at": 5.0, "duration": 0.5, "dy": 3.0},
    {"kind": "yaw_spike", "target": "pursuer/odom", "at": 7.0, "duration": 2.0, "every": 0.5},
    {"kind": "nan", "target": "pursuer/odom", "at": 10.0, "duration": 1.5},
    {"kind": "nan", "target": "pursuer/pose", "at": 12.5, "duration": 1.0, "value": "-inf"},
]
LATCHED = [
    ({"kind": "jump", "target": "pursuer/pose", "at": 15.0, "duration": 2.5, "dy": 3.0},
     "state estimator: absolute pose and odometry disagree", 1.5),
    ({"kind": "frozen", "target": "pursuer/odom", "at": 20.0, "duration": 2.0},
     "state estimator: odometry is frozen", 0.6),
    ({"kind": "frozen", "target": "pursuer/odom", "at": 25.0, "duration": 2.0, "stamps": "frozen"},
     "own state is frozen: ", 0.8),
    ({"kind": "frozen", "target": "pursuer/state", "at": 30.0, "duration": 2.0},
     "own state is frozen: it moved by 0.000 m", 0.8),
    ({"kind": "jump", "target": "pursuer/state", "at": 35.0, "duration": 2.0, "dx": 2.0},
     "own state jumped by ", 0.8),
    ({"kind": "jump", "target": "pursuer/state", "at": 40.0, "duration": 2.0, "turn": 1.5},
     "own state turned by ", 0.8),
]  # fmt: skip
CAUSE_IS_KNOWN = ("state estimator: ",)
END = 45.0


@pytest.fixture(scope="module")
def answers() -> dict[float, tuple[bool, str]]:
    """What a safety node said when it was asked to clear a fault while the cause persisted, by the fault's begin."""
    return {}


@pytest.fixture(scope="module")
def recording(module_processes, module_probe, tmp_path_factory, answers) -> Recording:
    words = ("rate:=1.5", "noise:=turtlebot3", "evader:=boundary", "speed_ratio:=2.0")
    faults = REPAIRED + [fault for fault, _, _ in LATCHED]
    run = FaultRun(module_processes, module_probe, tmp_path_factory.mktemp("sensors"), faults, *words)
    for fault, reason, _ in LATCHED:
        run.until_time(fault["at"])
        run.until_latched("pursuer", reason)
        if reason.startswith(CAUSE_IS_KNOWN):
            answers[fault["at"]] = run.clear("pursuer")
        run.recover("pursuer", fault["at"] + fault["duration"])
    run.until_time(END)
    return run.finish()


def test_nobody_touches_anything_and_no_command_is_not_a_number(recording):
    assert recording.margin() > 0.0
    assert recording.finite()


@pytest.mark.parametrize(
    ("begin", "end"), [(2.0, 4.5), (5.0, 6.5), (7.0, 9.5), (12.5, 14.0)],
    ids=["odometry jump", "pose jump", "yaw spike", "pose not finite"],
)  # fmt: skip
def test_what_can_be_told_from_the_truth_is_not_believed_and_stops_nobody(recording, begin, end):
    assert recording.error("pursuer", begin, end) < 0.15
    assert recording.moved("pursuer", begin, end)
    assert recording.active("pursuer", begin, end) > 0.9


def test_odometry_that_is_not_finite_stops_the_robot_until_it_is_back(recording):
    assert recording.stopped_at("pursuer", 10.0, 11.5) <= 0.8
    assert all("own state is" in text for text in recording.reasons("pursuer", 10.9, 11.5))
    assert recording.moved("pursuer", 12.0, 13.0)
    assert recording.error("pursuer", 12.0, 13.0) < 0.15


@pytest.mark.parametrize(
    ("fault", "reason", "within"), LATCHED, ids=[f"{f['kind']} {f['target']} at {f['at']:g} s" for f, _, _ in LATCHED]
)
def test_what_cannot_be_repaired_latches_with_its_reason(recording, answers, fault, reason, within):
    begin, end = fault["at"], fault["at"] + fault["duration"]
    assert recording.stopped_at("pursuer", begin, end) <= within
    said = recording.reasons("pursuer", begin + within, end)
    assert said and all(text.startswith(reason) for text in said), said
    if begin in answers:
        cleared, text = answers[begin]
        assert not cleared and text.startswith(reason)
    assert recording.moved("pursuer", end + 1.5, end + 3.0), "cleared, it moves again"

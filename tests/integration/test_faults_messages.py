"""Messages between real nodes that come late, twice, out of order, spoilt or not at all."""

from __future__ import annotations

import pytest

from pe_nodes.settings import ROLES
from tests.support.fault_run import FaultRun, Recording

pytestmark = [pytest.mark.integration, pytest.mark.slow]

FAULTS = [
    {"kind": "drop", "target": "pursuer/odom", "at": 2.0, "duration": 3.0, "probability": 0.3},
    {"kind": "duplicate", "target": "pursuer/state", "at": 6.0, "duration": 3.0, "copies": 3},
    {"kind": "reorder", "target": "pursuer/state", "at": 10.0, "duration": 3.0, "window": 3},
    {"kind": "delay", "target": "pursuer/opponent_state", "at": 14.0, "duration": 3.0, "delay": 0.1, "jitter": 0.1},
    {"kind": "delay", "target": "pursuer/state", "at": 18.0, "duration": 2.0, "delay": 0.6},
    {"kind": "nan", "target": "pursuer/cmd_vel_nominal", "at": 22.0, "duration": 2.0},
    {"kind": "nan", "target": "pursuer/state", "at": 26.0, "duration": 2.0, "value": "inf", "fields": "twist"},
    {"kind": "drop", "target": "pursuer/opponent_state", "at": 30.0, "duration": 2.0},
    {"kind": "network", "at": 34.0, "duration": 2.0},
    {"kind": "slow", "target": "pursuer/state_estimator", "at": 38.0, "duration": 2.0, "share": 1.0},
    {"kind": "slow", "target": "pursuer/policy", "at": 42.0, "duration": 2.0, "share": 0.5, "period": 1.6},
    {"kind": "hog", "at": 46.0, "duration": 2.0, "processes": 4},
]
END = 50.0


@pytest.fixture(scope="module")
def recording(module_processes, module_probe, tmp_path_factory) -> Recording:
    words = ("rate:=1.5", "evader:=boundary", "speed_ratio:=2.0", "episodes:=1")
    run = FaultRun(module_processes, module_probe, tmp_path_factory.mktemp("messages"), FAULTS, *words)
    run.until_time(END)
    assert all(run.status(role)["mode"] == "active" for role in ROLES)
    return run.finish()


def test_nobody_touches_anything_and_no_command_is_not_a_number(recording):
    assert recording.margin() > 0.0
    assert recording.finite()


@pytest.mark.parametrize(
    ("begin", "end"), [(2.0, 5.0), (6.0, 9.0), (10.0, 13.0), (14.0, 17.0)], ids=["loss", "twice", "order", "late"]
)
def test_what_is_only_a_little_wrong_does_not_stop_a_robot(recording, begin, end):
    assert recording.moved("pursuer", begin, end)
    assert recording.active("pursuer", begin, end) > 0.9
    assert recording.error("pursuer", begin, end) < 0.1


@pytest.mark.parametrize(
    ("begin", "end", "within", "reason"),
    [
        (18.0, 20.0, 0.6, "own state is"),
        (22.0, 24.0, 0.6, "nominal command is"),
        (26.0, 28.0, 0.6, "own state is"),
        (30.0, 32.0, 0.8, "opponent state is"),
        (34.0, 36.0, 0.8, "opponent state is"),
        (38.0, 40.0, 0.8, "own state is"),
        (42.0, 42.8, 0.6, "nominal command is"),
    ],
    ids=["late state", "nan command", "inf state", "lost opponent", "lost network", "hung estimator", "slow policy"],
)
def test_what_is_lost_stops_the_robot_and_what_comes_back_lets_it_go_on(recording, begin, end, within, reason):
    assert recording.stopped_at("pursuer", begin, end) <= within
    said = recording.reasons("pursuer", begin + within, end)
    assert said and all(reason in text for text in said), said
    assert recording.moved("pursuer", end + 1.0, end + 2.0)


def test_both_robots_stop_without_a_network(recording):
    assert recording.stopped_at("evader", 34.0, 36.0) <= 0.8
    assert recording.moved("evader", 37.0, 38.0)


def test_the_reason_names_what_was_rejected(recording):
    assert any("rejected since: not finite" in text for text in recording.reasons("pursuer", 26.5, 28.0))
    assert any("rejected since: stale stamp" in text for text in recording.reasons("pursuer", 18.8, 20.0))


def test_margin_to_a_silent_opponent_grows_before_the_robot_stops(recording):
    rows = recording.rows("pursuer", 30.0, 30.6)
    ages = [age for age, mode in zip(rows.column("opponent_age_ms"), rows.mode, strict=True) if mode == "active"]
    assert 300.0 < max(ages) <= 500.0


def test_a_busy_machine_is_slower_but_no_less_safe(recording):
    assert recording.moved("pursuer", 49.0, 50.0)

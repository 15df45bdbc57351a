"""Nodes that are killed: those that are started again, and those whose end is the end of the run."""

from __future__ import annotations

import numpy as np
import pytest

from pe_nodes.settings import ROLES
from tests.support.fault_run import FaultRun, Recording

pytestmark = [pytest.mark.integration, pytest.mark.slow]

POLICY, ESTIMATOR, SAFETY = 2.0, 3.0, 4.0
LIMIT = 60.0
"""Wall time [s] within which a killed node must be back on a slow machine."""


@pytest.fixture(scope="module")
def recording(module_processes, module_probe, tmp_path_factory) -> Recording:
    faults = [
        {"kind": "kill", "target": "pursuer/policy", "at": POLICY},
        {"kind": "kill", "target": "evader/state_estimator", "at": ESTIMATOR},
        {"kind": "kill", "target": "evader/safety", "at": SAFETY},
    ]
    words = ("rate:=1.5", "noise:=turtlebot3", "watchdog:=true", "evader:=boundary", "speed_ratio:=1.3")
    run = FaultRun(module_processes, module_probe, tmp_path_factory.mktemp("processes"), faults, *words)
    run.until_time(SAFETY + 1.0)
    run.until(lambda: all(run.status(role).get("mode") == "active" for role in ROLES), LIMIT)
    back = run.now()
    run.until_time(back + 2.0)
    made = run.finish()
    made.back = back  # type: ignore[attr-defined]
    return made


def test_nobody_touches_anything(recording):
    assert recording.margin() > 0.0
    assert recording.finite()


def test_a_killed_policy_stops_its_robot(recording):
    assert recording.stopped_at("pursuer", POLICY, POLICY + 1.5) <= 0.6
    assert any("nominal command is" in text for text in recording.reasons("pursuer", POLICY + 0.6, POLICY + 1.5))


def test_a_killed_safety_node_leaves_the_robot_to_the_watchdog(recording):
    # The estimator was killed a second before: the robot stands, and nobody moves it while nobody guards it.
    assert recording.stopped_at("evader", ESTIMATOR, SAFETY + 2.0) <= 1.0


def test_all_come_back_into_the_running_episode_without_being_asked(recording):
    for role in ROLES:
        assert recording.moved(role, recording.back, recording.back + 2.0)
        assert recording.error(role, recording.back, recording.back + 2.0) < 0.2


def test_a_safety_node_that_comes_back_waits_for_its_former_life_and_for_rest(recording):
    rows = recording.rows("evader", SAFETY + 0.5, recording.back + 1.0)
    assert "fault" not in rows.mode, "its own ghost is not a second publisher"
    first = rows.mode.index("active")
    commands = np.abs(rows.columns("command_v", "command_omega"))[:first]
    assert not np.any(commands > 0.0)


@pytest.mark.parametrize("target", ["arena_sim", "evaluation_recorder", "pursuer/safety"])
def test_a_killed_node_that_stays_dead_ends_the_run_by_name(processes, probe, tmp_path, target):
    faults = [{"kind": "kill", "target": target, "at": 0.5, "restart": False}]
    run = FaultRun(processes, probe, tmp_path, faults, "rate:=1", "watchdog:=true")
    assert run.process.wait(60) == 1
    said = " ".join(run.output().split())
    assert f"error: {target} ended with exit code -9; the run was stopped" in said
    if target != "evaluation_recorder":
        assert Recording(run.out).margin() > 0.0

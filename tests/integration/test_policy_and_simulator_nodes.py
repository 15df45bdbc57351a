"""What the policy node refuses, and what the simulator makes of bad commands and missing nodes."""

from __future__ import annotations

import json
import math
import shutil
import signal

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import TwistStamped
from nav_msgs.msg import Odometry
from std_msgs.msg import String

from pe_core.bundle import MODEL_FILE, SCHEMA_FILE, _schema_digest
from pe_core.paths import bundle_path
from pe_nodes import qos
from pe_nodes.messages import odometry_values, set_command

pytestmark = pytest.mark.integration


def tampered(path):
    data = json.loads((path / SCHEMA_FILE).read_text())
    data["dt"] = 0.1
    (path / SCHEMA_FILE).write_text(json.dumps(data))


def of_another_schema(path):
    data = json.loads((path / SCHEMA_FILE).read_text())
    data["observation"]["names"][3] = "own_heading"
    data["sha256"] = _schema_digest(data)
    (path / SCHEMA_FILE).write_text(json.dumps(data))


def truncated(path):
    content = (path / MODEL_FILE).read_bytes()
    (path / MODEL_FILE).write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (tampered, "was changed: its SHA-256 does not match"),
        (of_another_schema, "observation schema mismatch (3: 'own_heading' is not 'own_sin')"),
        (truncated, "model.pt is truncated or was changed"),
    ],
)
def test_bundle_is_refused_with_the_reason(processes, tmp_path, damage, said):
    bundle = tmp_path / "bundle"
    shutil.copytree(bundle_path("lead"), bundle)
    damage(bundle)
    process = processes.node("policy", role="pursuer", bundle=str(bundle))
    assert process.wait(60) == 2
    text = processes.output(process)
    assert "configuration refused" in text and said in text


def test_parameter_out_of_range_is_refused_with_what_is_allowed(processes):
    process = processes.node("safety", role="pursuer", nominal_timeout=3.0)
    assert process.wait(60) == 2
    text = processes.output(process)
    assert "nominal_timeout" in text and "allowed: number, [0.05, 0.5] s" in text


def test_simulator_ignores_commands_that_are_not_finite_and_stops_at_a_signal(processes, probe):
    probe.listen(Odometry, "/pursuer/ground_truth", qos.EVENT)
    probe.listen(String, "/episode", qos.LATCHED)
    process = processes.node("arena_sim", namespace="/", rate=2.0)
    truth = probe.received["/pursuer/ground_truth"]
    probe.until(lambda: len(truth) > 5, 30.0)

    def command(v, omega):
        message = TwistStamped()
        set_command(message, 0, v, omega)
        probe.publish("/pursuer/cmd_vel", message, qos.COMMAND)

    probe.until(lambda: odometry_values(truth[-1][1])[4] == 0.5, 5.0, lambda: command(0.0, 0.5))
    for _ in range(10):
        command(math.nan, math.inf)
        probe.spin(0.05)
    assert all(math.isfinite(value) for _, message in truth for value in odometry_values(message))
    assert odometry_values(truth[-1][1])[4] == 0.5, "like a base, it holds the last good command"
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == 0
    probe.spin(0.3)
    end = json.loads(probe.received["/episode"][-1][1].data)
    assert (end["event"], end["outcome"]) == ("end", "interrupted")


def test_simulator_names_the_nodes_that_are_missing(processes):
    process = processes.node(
        "arena_sim", namespace="/", rate=0.0, ready_timeout=2.0, expected_nodes=["/pursuer/policy", "/evader/safety"]
    )
    assert process.wait(60) == 3
    assert "not ready after 2 s: /evader/safety, /pursuer/policy" in processes.output(process)


def test_policy_lost_in_lockstep_stops_the_robot_and_the_game_goes_on(processes, probe):
    common = {"use_sim_time": True, "lockstep": True, "clock_guard": 1.0}
    probe.listen(DiagnosticArray, "/pursuer/safety/status", qos.LATCHED)
    probe.listen(Odometry, "/pursuer/ground_truth", qos.EVENT)
    policies = {}
    for role, bundle in (("pursuer", "pure"), ("evader", "random")):
        space = f"/{role}"
        settings = {key: value for key, value in common.items() if key != "clock_guard"}
        processes.node("state_estimator", space, role=role, **settings)
        policies[role] = processes.crossed("policy", role, bundle=bundle, **settings)
        processes.crossed("safety", role, **common)
    expected = [f"/{role}/{name}" for role in policies for name in ("state_estimator", "policy", "safety")]
    simulator = processes.node("arena_sim", "/", rate=0.0, scenario="open_field", expected_nodes=expected)
    truth, status = probe.received["/pursuer/ground_truth"], probe.received["/pursuer/safety/status"]
    probe.until(lambda: len(truth) > 20, 60.0)
    policies["pursuer"].kill()

    def mode():
        return {pair.key: pair.value for pair in status[-1][1].status[0].values}["mode"]

    probe.until(lambda: mode() == "stopped", 10.0)
    seen = len(truth)
    probe.until(lambda: len(truth) > seen + 20, 10.0)
    assert all(odometry_values(message)[3:] == (0.0, 0.0) for _, message in truth[seen + 1 :])
    assert simulator.poll() is None

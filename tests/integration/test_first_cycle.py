"""Nothing is compiled or loaded once a game is being played: the first control step is as quick as the others."""

from __future__ import annotations

import json

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from std_msgs.msg import Header, String

from pe_nodes import qos
from pe_nodes.messages import set_stamp
from pe_nodes.settings import ROLES

pytestmark = pytest.mark.integration

LAST = "/probe"


@pytest.mark.parametrize("rate", [0.0, 8.0])
def test_every_kernel_is_there_before_the_first_step(processes, probe, rate):
    processes.environment["NUMBA_DEBUG_CACHE"] = "1"  # says whenever a kernel is loaded or compiled
    kinds = ("state_estimator", "policy", "safety")
    started = {}
    for role, bundle in zip(ROLES, ("lead", "lookahead"), strict=True):
        for kind in kinds:
            more = {"bundle": bundle} if kind == "policy" else {}
            started[f"/{role}/{kind}"] = processes.crossed(
                kind, role, use_sim_time=True, lockstep=rate == 0.0, **more
            )
    expected = [*started, LAST]
    started["/arena_sim"] = processes.node("arena_sim", "/", rate=rate, expected_nodes=expected, episodes=1)
    probe.listen(DiagnosticArray, "/diagnostics", qos.EVENT)
    probe.listen(String, "/episode", qos.LATCHED)

    def only_the_probe_is_awaited():
        messages = [status.message for _, array in probe.received["/diagnostics"] for status in array.status]
        return f"waiting for {LAST}" in messages[-20:] and probe.received["/episode"]

    probe.until(only_the_probe_is_awaited, 90.0)
    before = {name: processes.output(process).count("[cache]") for name, process in started.items()}
    assert all(before.values()), before
    ready = Header(frame_id=LAST)
    set_stamp(ready.stamp, json.loads(probe.received["/episode"][0][1].data)["start_ns"])
    probe.until(
        lambda: started["/arena_sim"].poll() is not None, 60.0,
        lambda: probe.publish("/episode_ready", ready, qos.EVENT),
    )  # fmt: skip
    assert started["/arena_sim"].returncode == 0, processes.output(started["/arena_sim"])
    for name, process in started.items():
        lines = [line for line in processes.output(process).splitlines() if "[cache]" in line]
        assert lines[before[name] :] == [], f"{name} loaded kernels while it played"

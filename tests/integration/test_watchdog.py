"""The watchdog alone, against bad commands; and what it changes when the safety node is killed while driving."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Twist, TwistStamped
from nav_msgs.msg import Odometry
from std_msgs.msg import String
from std_srvs.srv import Trigger

from pe_nodes import qos
from pe_nodes.messages import command_values, odometry_values, set_command, stamp_ns
from tests.support.patience import patience

pytestmark = pytest.mark.integration

SECOND = 1_000_000_000
DRIVER = "/pursuer/driver/cmd_vel"
ZERO = (0.0, 0.0)
RESTING = 0.005


class Bench:
    """One watchdog, a sender of cmd_vel, and the place of the driver."""

    def __init__(self, processes, probe) -> None:
        self.probe = probe
        probe.listen(Twist, DRIVER, qos.COMMAND)
        probe.listen(DiagnosticArray, "/diagnostics", qos.EVENT)
        self.process = processes.node(
            "watchdog", role="pursuer", robot="turtlebot3_burger", stamped_output=False, stamped_input=True
        )
        probe.until(lambda: probe.received[DRIVER], 20.0)

    def send(self, v=0.15, omega=0.2, late=0.0) -> None:
        message = TwistStamped()
        set_command(message, self.probe.now_ns() - round(late * SECOND), v, omega)
        self.probe.publish("/pursuer/cmd_vel", message, qos.COMMAND)

    def commands(self):
        return [command_values(message) for _, message in self.probe.received[DRIVER]]

    def driving(self) -> None:
        """A sound command passes; what was heard before is forgotten."""
        self.probe.until(lambda: self.commands() and self.commands()[-1] == (0.15, 0.2), 5.0, self.send)
        self.probe.received[DRIVER].clear()

    def heartbeat(self):
        messages = self.probe.received["/diagnostics"]
        seen = len(messages)
        status = self.probe.until(
            lambda: [s for _, a in messages[seen:] for s in a.status if s.name == "/pursuer/watchdog"], 5.0
        )[-1]
        return {"message": status.message, "level": status.level, **{p.key: p.value for p in status.values}}


@pytest.fixture(scope="module")
def bench(module_processes, module_probe) -> Iterator[Bench]:
    yield Bench(module_processes, module_probe)


def test_zeros_before_the_first_command(bench):
    assert set(bench.commands()) == {ZERO}
    assert "no command received" in bench.heartbeat()["message"]


def test_a_fresh_command_passes_as_the_other_type(bench):
    for _ in range(5):
        bench.driving()
        sent = []
        for _ in range(10):
            bench.send()
            sent.append(time.monotonic())
            bench.probe.spin(0.05)
        if max(np.diff(sent)) < 0.12:  # else this machine was too busy to send in time
            break
    assert set(bench.commands()) == {(0.15, 0.2)}, "nothing but what was sent"


def test_no_fresh_command_and_zeros_come_and_go_on_coming(bench):
    bench.driving()
    bench.send()
    bench.probe.spin(1.5)
    passed = [at for at, message in bench.probe.received[DRIVER] if command_values(message) != ZERO][-1]
    zeros = [at for at, message in bench.probe.received[DRIVER] if command_values(message) == ZERO and at > passed]
    assert 0.1 < zeros[0] - passed < patience(0.35), "time-out 0.2 s, and its timer"
    assert len(zeros) / (zeros[-1] - zeros[0]) > 20.0 / patience(1.0)
    said = bench.heartbeat()
    assert "no fresh command for 0.2 s" in said["message"] and int(said["expired"]) >= 1


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ({"v": math.nan}, "not finite"),
        ({"omega": math.inf}, "not finite"),
        ({"v": 0.3}, "beyond the robot's limits"),
        ({"v": -0.1}, "beyond the robot's limits"),
        ({"omega": -3.0}, "beyond the robot's limits"),
    ],
)
def test_an_unsound_command_is_a_zero_at_once(bench, command, said):
    bench.driving()
    bench.send(**command)
    bench.probe.until(lambda: ZERO in bench.commands(), 1.0)
    assert all(abs(v) <= 0.15 and abs(omega) <= 0.2 for v, omega in bench.commands())
    assert int(bench.heartbeat()[f"rejected: {said}"]) >= 1
    bench.driving()


def test_a_command_that_lay_in_a_queue_does_not_pass(bench):
    bench.driving()
    for _ in range(20):  # of two that arrive while the node cannot run, the newer one is heard
        bench.send(late=0.5)
        bench.probe.spin(0.05)
    assert bench.commands()[-1] == ZERO
    assert int(bench.heartbeat()["rejected: stale stamp"]) >= 10


def test_a_second_publisher_of_the_drivers_topic_is_a_fault(bench):
    bench.driving()
    intruder = bench.probe.node.create_publisher(Twist, DRIVER, qos.COMMAND)

    def stopped():
        return set(bench.commands()[-5:]) == {ZERO}

    bench.probe.until(stopped, 3.0, bench.send)
    said = bench.heartbeat()["message"]
    assert "fault: 2 publishers on /pursuer/driver/cmd_vel" in said
    bench.probe.node.destroy_publisher(intruder)
    bench.probe.spin(0.5)
    assert stopped(), "it stands until it is cleared"
    name = "/pursuer/watchdog/clear_faults"
    bench.probe.until(lambda: bench.probe.call(Trigger, name, Trigger.Request()).success, 5.0)
    bench.driving()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_at_a_signal_it_sends_zeros_last(processes, probe, number):
    bench = Bench(processes, probe)
    bench.driving()
    bench.send()
    probe.spin(0.02)
    bench.process.send_signal(number)
    probe.until(lambda: bench.process.poll() is not None, 5.0)
    probe.spin(0.2)
    assert bench.process.returncode == 0
    assert bench.commands()[-4:] == [ZERO] * 4


def test_it_loads_neither_the_policy_nor_the_filter():
    program = "import sys, pe_nodes.watchdog_node; print([m for m in ('torch', 'pe_safety') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("guarded", [False, True])
def test_a_turtlebot3_whose_safety_node_is_killed_while_it_drives_at_a_wall(processes, probe, tmp_path, guarded):
    """Without the watchdog it drives on, into the wall; with it, it rests 0.6 s after the time-out at the latest.

    (Timer 0.04 s, control step 0.05 s, dead time 0.02 s, four time constants of 0.05 s; the rest is scheduling.)
    """
    scenario = tmp_path / "ahead.yaml"
    scenario.write_text(
        "name: ahead\nreference_half_side: 2.2\nobstacles: []\npursuer: [1.2, 0.0, 0.0]\nevader: [-1.5, 1.5, 0.0]\n"
    )
    robots = {"robot": "turtlebot3_burger", "opponent_robot": "turtlebot3_burger", "use_sim_time": True}
    probe.listen(Odometry, "/pursuer/ground_truth", qos.EVENT)
    probe.listen(String, "/episode", qos.LATCHED)
    for role in ("pursuer", "evader"):
        processes.node("state_estimator", f"/{role}", role=role, **robots)
    safety = processes.crossed("safety", "pursuer", **robots)
    remappings = {}
    if guarded:
        processes.node("watchdog", role="pursuer", robot="turtlebot3_burger", use_sim_time=True)
        remappings = {"/pursuer/cmd_vel": DRIVER}
    nominal = TwistStamped()
    set_command(nominal, 0, 0.21, 0.0)

    def ahead():
        probe.publish("/pursuer/cmd_vel_nominal", nominal, qos.COMMAND)

    ahead()
    simulator = processes.node(
        "arena_sim", "/", remappings, rate=1.0, scenario=str(scenario), arena="turtlebot3",
        pursuer_robot="turtlebot3_burger", evader_robot="turtlebot3_burger", pursuer_device="turtlebot3",
        evader_device="turtlebot3",
        expected_nodes=["/pursuer/state_estimator", "/pursuer/safety", "/evader/state_estimator"],
    )  # fmt: skip
    messages = probe.received["/pursuer/ground_truth"]

    def truth():
        """(time [s], x, v) of every sample."""
        rows = [(m, odometry_values(m)) for _, m in messages]
        return np.array([(1e-9 * stamp_ns(m.header.stamp), values[0], values[3]) for m, values in rows])

    # The wall is at 2.2 m, the body's radius 0.105 m.
    probe.until(lambda: messages and truth()[-1, 1] > 1.8, 60.0, ahead)
    safety.kill()
    killed, _, v = truth()[-1]
    assert v > 0.2
    probe.until(lambda: truth()[-1, 0] > killed + 2.0, 10.0, ahead)
    after = truth()[truth()[:, 0] > killed]
    simulator.terminate()
    assert simulator.wait(5) == 0
    end = json.loads(probe.until(lambda: [m.data for _, m in probe.received["/episode"] if '"end"' in m.data], 5.0)[-1])
    if guarded:
        resting = after[np.abs(after[:, 2]) < RESTING]
        assert resting[0, 0] - killed < 0.2 + 0.6
        assert np.abs(after[after[:, 0] > resting[0, 0], 2]).max() < RESTING, "and stays at rest"
        assert end["violations"] == 0 and end["min_margin_m"] > 0.05
    else:
        assert after[:, 2].min() > 0.2, "its driver lives, and so does the last command"
        assert end["violations"] > 0

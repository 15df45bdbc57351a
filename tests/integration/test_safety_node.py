"""The safety node against everything that can be wrong with its inputs; one process for all tests of this file."""

from __future__ import annotations

import json
import math
import signal
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import Twist, TwistStamped
from nav_msgs.msg import Odometry
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from std_msgs.msg import String
from std_srvs.srv import Trigger

from pe_core.arena import Arena
from pe_core.unicycle import arc_step
from pe_nodes import qos
from pe_nodes.episode import Episode
from pe_nodes.messages import set_command, set_odometry
from tests.support.patience import patience

pytestmark = pytest.mark.integration

SECOND = 1_000_000_000
COMMAND, STATUS = "/pursuer/cmd_vel", "/pursuer/safety/status"


class Bench:
    """Feeds one safety node and watches what it does."""

    parameters: ClassVar[dict[str, Any]] = {}

    def __init__(self, processes, probe) -> None:
        self.probe = probe
        self.processes = processes
        probe.listen(TwistStamped, COMMAND, qos.COMMAND)
        probe.listen(DiagnosticArray, STATUS, qos.LATCHED)
        probe.listen(DiagnosticArray, "/diagnostics", qos.EVENT)
        self.process = processes.node("safety", role="pursuer", **self.parameters)
        probe.until(lambda: probe.received[COMMAND], 30.0)
        self.streams = {"nominal", "own", "opponent"}
        self.nominal = (0.6, 0.2)
        self.pose, self.fed_ns = (0.0, 0.0, 0.0), 0

    def begin(self, *pose: float) -> None:
        self.pose, self.fed_ns = pose or (0.0, 0.0, 0.0), 0
        arena = Arena(10.0, np.zeros((0, 3)))
        episode = Episode(
            0, 0, self.probe.now_ns(), 0.05, "test", arena, 0.5, 600.0, (0.0, 0.0, 0.0), (5.0, 0.0, 0.0), 1.0
        )
        self.probe.publish("/episode", String(data=json.dumps(episode.announcement())), qos.LATCHED)

    def feed(self) -> None:
        now = self.probe.now_ns()
        if "own" in self.streams:
            self.send_state("state", self.moved(now), now)
        if "opponent" in self.streams:
            self.send_state("opponent_state", (5.0, 0.0, 0.0, 0.0, 0.0), now)
        if "nominal" in self.streams:
            self.send_nominal(*self.nominal, now)

    def moved(self, now: int) -> tuple[float, ...]:
        """The state of a robot that obeys the last command."""
        v, omega = self.last()
        if self.fed_ns:
            self.pose = arc_step(*self.pose, v, omega, (now - self.fed_ns) / SECOND)
        self.fed_ns = now
        return (*self.pose, v, omega)

    def send_state(self, name, values, stamp) -> None:
        message = Odometry()
        finite = math.isfinite(values[0])
        set_odometry(message, stamp, values if finite else (0.0, *values[1:]))
        message.pose.pose.position.x = values[0]
        self.probe.publish(f"/pursuer/{name}", message, qos.STATE)

    def send_nominal(self, v, omega, stamp) -> None:
        message = TwistStamped()
        set_command(message, stamp, v, omega)
        self.probe.publish("/pursuer/cmd_vel_nominal", message, qos.COMMAND)

    def last(self) -> tuple[float, float]:
        twist = self.probe.received[COMMAND][-1][1].twist
        return twist.linear.x, twist.angular.z

    def status(self) -> dict[str, str]:
        return {pair.key: pair.value for pair in self.probe.received[STATUS][-1][1].status[0].values}

    def told(self) -> dict[str, str]:
        """The status of the cycle that gave the last command, or of a later one: it is sent after the command."""
        header = self.probe.received[COMMAND][-1][1].header.stamp

        def caught_up() -> bool:
            mine = self.probe.received[STATUS][-1][1].header.stamp
            return (mine.sec, mine.nanosec) >= (header.sec, header.nanosec)

        if not caught_up():
            self.probe.until(caught_up, 1.0)
        return self.status()

    def heartbeat(self) -> dict[str, str]:
        """The next heartbeat."""
        messages = self.probe.received["/diagnostics"]
        seen = len(messages)
        mine = self.probe.until(
            lambda: [m for _, a in messages[seen:] for m in a.status if m.name == "/pursuer/safety"], 5.0, self.feed
        )[-1]
        return {"message": mine.message, "level": mine.level, **{pair.key: pair.value for pair in mine.values}}

    def moves(self) -> bool:
        return self.status()["mode"] == "active" and self.last()[0] > 0.1

    def stands(self) -> bool:
        return self.last() == (0.0, 0.0)

    def settle(self) -> None:
        """All inputs good, and the robot moves."""
        self.streams = {"nominal", "own", "opponent"}
        self.probe.until(self.moves, 10.0, self.feed)
        for messages in self.probe.received.values():
            del messages[:-1]

    def commands(self) -> list[tuple[float, float]]:
        return [(m.twist.linear.x, m.twist.angular.z) for _, m in self.probe.received[COMMAND]]


@pytest.fixture(scope="module")
def shared(module_processes, module_probe) -> Iterator[Bench]:
    yield Bench(module_processes, module_probe)


@pytest.fixture
def bench(shared) -> Bench:
    if shared.probe.received[STATUS] and shared.status()["mode"] != "waiting":
        shared.settle()
    return shared


def test_zeros_before_the_first_valid_state(bench):
    bench.streams = {"nominal", "opponent"}
    bench.begin()
    for _ in range(20):
        bench.feed()
        bench.probe.spin(0.05)
    assert set(bench.commands()) == {(0.0, 0.0)}
    assert bench.told()["reason"] == "no own state received"
    bench.settle()
    assert bench.told()["tier"] == "exact"
    assert bench.last() == pytest.approx(bench.nominal, abs=1e-9)


def test_nominal_command_that_is_not_finite(bench):
    bench.streams = {"own", "opponent"}
    for bad in (math.nan, math.inf, -math.inf):
        for command in ((bad, 0.0), (0.0, bad)):
            bench.feed()
            bench.send_nominal(*command, bench.probe.now_ns())
            bench.probe.spin(0.05)
    bench.probe.until(bench.stands, 3.0, bench.feed)
    assert all(math.isfinite(v) and math.isfinite(omega) for v, omega in bench.commands())
    assert "nominal command is" in bench.told()["reason"]
    assert int(bench.heartbeat()["nominal command: not finite"]) >= 6


def test_own_state_that_is_not_finite(bench):
    bench.streams = {"nominal", "opponent"}

    def step():
        bench.feed()
        bench.send_state("state", (math.nan, 0.0, 0.0, math.inf, 0.0), bench.probe.now_ns())

    bench.probe.until(bench.stands, 3.0, step)
    assert all(math.isfinite(v) and math.isfinite(omega) for v, omega in bench.commands())
    assert bench.told()["mode"] == "stopped" and "own state is" in bench.told()["reason"]
    assert int(bench.heartbeat()["own state: not finite"]) > 1


@pytest.mark.parametrize(("offset", "counted"), [(-1.0, "stale stamp"), (1.0, "stamp in the future")])
def test_stamp_that_is_not_of_now(bench, offset, counted):
    bench.streams = {"nominal", "opponent"}

    def step():
        bench.feed()
        bench.send_state("state", (0.0, 0.0, 0.0, 0.0, 0.0), bench.probe.now_ns() + round(offset * SECOND))

    bench.probe.until(bench.stands, 3.0, step)
    assert bench.told()["mode"] == "stopped"
    assert int(bench.heartbeat()[f"own state: {counted}"]) > 1


def test_zero_stamp_means_now(bench):
    bench.streams = {"own", "opponent"}

    def step():
        bench.feed()
        bench.send_nominal(0.4, 0.0, 0)

    bench.probe.until(lambda: bench.moves() and bench.last()[0] == pytest.approx(0.4), 3.0, step)
    text = bench.processes.output(bench.process)
    assert text.count("nominal command has no stamp: taken as now") == 1


def test_policy_lost(bench):
    bench.streams = {"own", "opponent"}
    started = bench.probe.now_ns()
    bench.probe.until(bench.stands, 3.0, bench.feed)
    assert (bench.probe.now_ns() - started) / SECOND < patience(1.0)
    assert "nominal command is" in bench.told()["reason"]
    seen = len(bench.commands())
    # Zeros go on while the robot is stopped.
    bench.probe.until(lambda: len(bench.commands()) - seen >= 8, 0.5)
    assert bench.stands()


def test_opponent_lost(bench):
    bench.streams = {"own", "nominal"}
    bench.probe.until(bench.stands, 3.0, bench.feed)
    assert "opponent state is" in bench.told()["reason"]
    # Before it stopped, the circle around the opponent grew by what a unicycle can do towards us within that age.
    ages: list[float] = []
    for _, message in bench.probe.received[STATUS]:
        row = {pair.key: pair.value for pair in message.status[0].values}
        if row["mode"] != "active":
            continue
        x, y, theta = (float(row[f"state_{name}"]) for name in ("x", "y", "theta"))
        point = (x + 0.05 * math.cos(theta), y + 0.05 * math.sin(theta))
        gap = math.dist(point, (5.0, 0.0))
        age = 1e-3 * float(row["opponent_age_ms"])
        ages.append(age)
        bearing = math.atan2(point[1], point[0] - 5.0) - float(row["opponent_theta"])
        turned = max(abs(math.remainder(bearing, 2.0 * math.pi)) - 2.84 * age, 0.0)
        reach = 1.0 * age * max(math.cos(turned), 0.0)
        assert float(row["m/opponent"]) == pytest.approx(reach, abs=1e-9)
        assert float(row["h/opponent"]) == pytest.approx(gap**2 - (0.15 + 0.15 + 0.05 + reach) ** 2)
    assert 0.3 < max(ages) <= 0.5


def test_everything_lost_and_back(bench):
    bench.streams = set()
    bench.probe.until(bench.stands, 3.0)
    bench.settle()


def test_second_publisher_is_a_fault_that_latches(bench):
    intruder = bench.probe.node.create_publisher(TwistStamped, COMMAND, qos.COMMAND)
    bench.probe.until(lambda: bench.stands() and bench.status()["mode"] == "fault", 3.0, bench.feed)
    assert "2 publishers on /pursuer/cmd_vel" in bench.told()["reason"]
    refused = bench.probe.call(Trigger, "/pursuer/safety/clear_faults", Trigger.Request())
    assert not refused.success and "only one is allowed" in refused.message
    bench.probe.node.destroy_publisher(intruder)
    for _ in range(10):
        bench.feed()
        bench.probe.spin(0.05)
    assert bench.stands(), "a fault stands although its cause is gone"
    bench.probe.until(
        lambda: bench.probe.call(Trigger, "/pursuer/safety/clear_faults", Trigger.Request()).success, 5.0
    )
    bench.settle()


def test_two_safety_nodes_for_one_robot(bench):
    other = bench.processes.node("safety", role="pursuer")
    bench.probe.until(lambda: bench.status()["mode"] == "fault", 20.0, bench.feed)
    assert "publishers on /pursuer/cmd_vel (/pursuer/safety)" in bench.told()["reason"]
    bench.probe.until(lambda: set(bench.commands()[-6:]) == {(0.0, 0.0)}, 3.0, bench.feed)
    other.terminate()
    assert other.wait(5) == 0
    bench.probe.until(
        lambda: bench.probe.call(Trigger, "/pursuer/safety/clear_faults", Trigger.Request()).success, 5.0
    )
    bench.settle()


def test_subscriber_of_the_wrong_type_is_named(bench, another_probe):
    another_probe.listen(Twist, COMMAND, qos.COMMAND)
    bench.heartbeat()
    said = bench.heartbeat()
    if "wants" not in said["message"]:
        said = bench.heartbeat()
    assert "geometry_msgs/msg/TwistStamped, but a subscriber wants geometry_msgs/msg/Twist" in said["message"]


def test_parameters_are_read_only_while_active(bench):
    value = ParameterValue(type=ParameterType.PARAMETER_DOUBLE, double_value=0.9)
    request = SetParameters.Request(parameters=[Parameter(name="filter.gamma", value=value)])
    result = bench.probe.call(SetParameters, "/pursuer/safety/set_parameters", request).results[0]
    assert not result.successful
    assert "read-only while the node is active" in result.reason


def test_near_the_wall_the_command_is_corrected(bench):
    bench.begin(9.6, 0.0, 0.0)
    bench.probe.until(lambda: bench.status().get("intervened") == "1", 3.0, bench.feed)
    assert bench.last()[0] < bench.nominal[0]
    assert float(bench.told()["h/wall_east"]) < 0.2


def test_a_cornered_robot_is_warned_of(bench):
    """The margin of the learned boundary stands in the status: positive in the open, negative in a corner."""
    bench.begin(0.0, 0.0, 0.7)
    bench.probe.until(lambda: bench.moves() and float(bench.status()["feasibility"]) > 0.0, 5.0, bench.feed)
    # Inside both margins: pressed into the corner, as far as the filter lets it.
    bench.begin(9.84, 9.84, 0.7)
    bench.probe.until(lambda: float(bench.status().get("feasibility", "1")) < 0.0, 3.0, bench.feed)
    warned = bench.probe.received[STATUS][-1][1].status[0]
    assert warned.level == DiagnosticStatus.WARN
    assert int(bench.heartbeat()["warned"]) > 0
    # Only cycles in which the filter ran have one.
    bench.streams = {"own", "opponent"}
    bench.probe.until(bench.stands, 3.0, bench.feed)
    assert bench.told()["mode"] == "stopped" and "feasibility" not in bench.told()
    bench.begin(0.0, 0.0, 0.0)


def test_terminated_while_moving_it_sends_zeros_last(bench):
    bench.process.send_signal(signal.SIGTERM)
    bench.probe.until(lambda: bench.process.poll() is not None, 5.0)
    bench.probe.spin(0.2)
    assert bench.process.returncode == 0
    assert bench.commands()[-1] == (0.0, 0.0)
    assert len([c for c in bench.commands()[-5:] if c == (0.0, 0.0)]) >= 3

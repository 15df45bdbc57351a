"""The state estimator against bad sensors; one process for all tests of this file."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseWithCovarianceStamped
from nav_msgs.msg import Odometry

from pe_core.unicycle import arc_step
from pe_nodes import qos
from pe_nodes.messages import odometry_values, set_odometry, set_planar_covariance, set_pose, set_stamp

pytestmark = pytest.mark.integration

STATE = "/pursuer/state"


class Bench:
    """Feeds one estimator and watches what it says."""

    def __init__(self, processes, probe) -> None:
        self.probe = probe
        probe.listen(Odometry, STATE, qos.STATE)
        probe.listen(DiagnosticArray, "/diagnostics", qos.EVENT)
        self.process = processes.node("state_estimator", role="pursuer")
        self.twist = (0.5, 0.0)
        self.reading, self.read_ns = (0.0, 0.0, 0.0), 0
        probe.until(lambda: probe.received["/diagnostics"], 30.0)

    def odometry(self, v=None, omega=None) -> None:
        message = Odometry()
        v, omega = self.twist[0] if v is None else v, self.twist[1] if omega is None else omega
        now = self.probe.now_ns()
        if self.read_ns and math.isfinite(v):
            # Wheels that turn move the pose too; one that stands still while they turn is a frozen sensor.
            turn = omega if abs(omega) < 10.0 else self.twist[1]
            self.reading = arc_step(*self.reading, v, turn, (now - self.read_ns) / 1e9)
        self.read_ns = now
        set_odometry(message, now, (*self.reading, v, omega))
        self.probe.publish("/pursuer/odom", message, qos.SENSOR)

    def pose(self, topic, x, y, theta, deviation=0.01) -> None:
        message = PoseWithCovarianceStamped()
        set_stamp(message.header.stamp, self.probe.now_ns())
        set_pose(message.pose.pose, 0.0, y, theta)
        message.pose.pose.position.x = x
        set_planar_covariance(message.pose.covariance, deviation**2, 0.0, deviation**2, deviation**2)
        self.probe.publish(f"/pursuer/{topic}", message, qos.EVENT if topic == "initialpose" else qos.SENSOR)

    def states(self):
        return [odometry_values(message) for _, message in self.probe.received[STATE]]

    def heartbeat(self) -> dict[str, str]:
        messages = self.probe.received["/diagnostics"]
        seen = len(messages)
        status = self.probe.until(lambda: [m for _, a in messages[seen:] for m in a.status], 5.0, self.odometry)[-1]
        return {"message": status.message, **{pair.key: pair.value for pair in status.values}}

    def reset(self) -> None:
        self.pose("initialpose", 1.0, 2.0, 0.0)
        self.probe.spin(0.2)
        self.probe.received[STATE].clear()
        self.probe.until(lambda: len(self.states()) >= 3, 5.0, self.odometry)


@pytest.fixture(scope="module")
def shared(module_processes, module_probe) -> Iterator[Bench]:
    yield Bench(module_processes, module_probe)


@pytest.fixture
def bench(shared) -> Bench:
    return shared


def test_nothing_is_said_before_a_pose_is_known(bench):
    for _ in range(10):
        bench.odometry()
        bench.probe.spin(0.05)
    assert bench.states() == []
    assert bench.heartbeat()["message"] == "no initial pose received"


def test_dead_reckoning_from_the_initial_pose(bench):
    bench.reset()
    before = bench.states()[-1]
    bench.probe.until(lambda: bench.states()[-1][0] > before[0] + 0.1, 3.0, bench.odometry)
    assert bench.states()[-1][1:3] == pytest.approx((2.0, 0.0))
    covariance = bench.probe.received[STATE][-1][1].pose.covariance
    assert all(covariance[7 * i] > 0.0 for i in range(6)), "odometry without covariance is not certain"


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_odometry_that_is_not_finite_is_dropped(bench, bad):
    bench.reset()
    for _ in range(5):
        bench.odometry(v=bad)
        bench.odometry()
        bench.probe.spin(0.05)
    assert all(math.isfinite(value) for state in bench.states() for value in state)
    assert int(bench.heartbeat()["odometry: not finite"]) >= 3


def test_turn_rate_spike_is_gated(bench):
    bench.reset()
    bench.odometry(omega=120.0)
    bench.probe.spin(0.1)
    bench.odometry()
    bench.probe.spin(0.1)
    assert abs(bench.states()[-1][2]) < 1e-6
    assert int(bench.heartbeat()["twists_gated"]) >= 1


def test_absolute_pose_corrects_and_an_outlier_does_not(bench):
    bench.reset()
    x = bench.states()[-1][0]
    for _ in range(10):
        bench.pose("pose", x + 9.0, 2.0, 0.0)
        bench.odometry(v=0.0)
        bench.probe.spin(0.03)
    assert bench.states()[-1][0] < x + 0.5
    assert int(bench.heartbeat()["poses_rejected"]) >= 5
    bench.reset()
    for _ in range(20):
        bench.pose("pose", bench.states()[-1][0], 2.03, 0.0)
        bench.odometry(v=0.0)
        bench.probe.spin(0.03)
    assert bench.states()[-1][1] == pytest.approx(2.03, abs=0.01)


def test_odometry_lost_is_predicted_for_a_moment_and_then_silence(bench):
    bench.reset()
    bench.probe.spin(0.25)
    bench.probe.received[STATE].clear()
    bench.probe.spin(0.8)
    assert bench.states() == [], "whoever needs the state must see that it is lost"
    assert int(bench.heartbeat()["predicted_only"]) >= 1


def test_terminated_it_ends_at_once(bench):
    bench.process.terminate()
    assert bench.process.wait(3) == 0

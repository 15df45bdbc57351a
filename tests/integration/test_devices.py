"""The habits of real bases, seen from outside, through real processes; one simulator for the tests of this file.

The pursuer's base is a TurtleBot3 Burger, the evader's a Create 3.  Times are those of the simulator's stamps.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

import numpy as np
import pytest
from geometry_msgs.msg import Twist, TwistStamped
from nav_msgs.msg import Odometry
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_typestore

from pe_nodes import qos
from pe_nodes.messages import odometry_values, set_command, stamp_ns

pytestmark = pytest.mark.integration

RESTING = 0.005
ROBOTS = {"pursuer": "turtlebot3_burger", "evader": "turtlebot4"}


class Bench:
    """A simulator of both bases, an estimator for each, and a probe that drives them."""

    def __init__(self, processes, probe) -> None:
        self.probe = probe
        scenario = processes.folder / "apart.yaml"
        scenario.write_text(
            "name: apart\nreference_half_side: 3.0\nobstacles: []\n"
            "pursuer: [-2.0, -1.5, 0.0]\nevader: [-2.0, 1.5, 0.0]\n"
        )
        for role, robot in ROBOTS.items():
            for topic in ("odom", "state", "ground_truth"):
                probe.listen(Odometry, f"/{role}/{topic}", qos.SENSOR)
            processes.node("state_estimator", f"/{role}", role=role, robot=robot, use_sim_time=True)
        self.simulator = processes.node(
            "arena_sim", "/", rate=1.0, scenario=str(scenario), arena="turtlebot4", pursuer_robot=ROBOTS["pursuer"],
            evader_robot=ROBOTS["evader"], pursuer_device="turtlebot3", evader_device="create3",
            expected_nodes=["/pursuer/state_estimator", "/evader/state_estimator"],
        )  # fmt: skip
        # Each writer is discovered for itself: the state may be heard seconds before the simulator is.
        topics = [(role, topic) for role in ROBOTS for topic in ("odom", "state", "ground_truth")]
        probe.until(lambda: all(len(self.messages(*each)) > 5 for each in topics), 40.0)

    def messages(self, role, topic):
        return [message for _, message in self.probe.received[f"/{role}/{topic}"]]

    def rows(self, role, topic):
        """(time [s], x, y, theta, v, omega) of every message."""
        return np.array(
            [(1e-9 * stamp_ns(m.header.stamp), *odometry_values(m)) for m in self.messages(role, topic)]
        )

    def now(self) -> float:
        return self.rows("pursuer", "ground_truth")[-1, 0]

    def velocity(self, role):
        return tuple(self.rows(role, "ground_truth")[-1, 4:])

    def command(self, role, v, omega=0.0) -> None:
        message = TwistStamped()
        set_command(message, 0, v, omega)
        self.probe.publish(f"/{role}/cmd_vel", message, qos.COMMAND)


@pytest.fixture(scope="module")
def bench(module_processes, module_probe) -> Iterator[Bench]:
    yield Bench(module_processes, module_probe)


def test_turtlebot3_drives_on_with_its_last_command(bench):
    bench.probe.until(
        lambda: bench.velocity("pursuer")[0] > 0.14, 5.0, lambda: bench.command("pursuer", 0.1599)
    )
    silent = bench.now()
    bench.probe.until(lambda: bench.now() > silent + 1.5, 10.0)
    v, _ = bench.velocity("pursuer")
    assert 0.15 - 0.001 <= v <= 0.15 + 1e-6, "truncated to 0.15 m/s, and held"


def test_turtlebot3_does_not_hear_the_wrong_type(bench, another_probe):
    def stop():
        another_probe.publish("/pursuer/cmd_vel", Twist(), qos.COMMAND)
        another_probe.spin(0.01)

    for _ in range(20):
        stop()
        bench.probe.spin(0.02)
    assert bench.velocity("pursuer")[0] > 0.14


def test_turtlebot3_reports_no_covariance_and_the_state_is_not_certain(bench):
    for message in bench.messages("pursuer", "odom"):
        assert not np.any(message.pose.covariance) and not np.any(message.twist.covariance)
    variances = np.array(
        [[m.pose.covariance[7 * i] for i in range(6)] for m in bench.messages("pursuer", "state")]
    )
    assert (variances > 0.0).all()
    assert variances[-1, 0] > variances[5, 0] > 1e-8, "without a correction it grows"
    twist = bench.messages("pursuer", "state")[-1].twist.covariance
    assert twist[0] >= 0.02**2 and twist[35] >= 0.05**2


def test_turtlebot3_turns_over_pi_and_the_state_does_not_follow_the_spike(bench):
    begun = bench.now()
    bench.probe.until(
        lambda: bench.now() > begun + 3.6, 10.0, lambda: bench.command("pursuer", 0.05, 2.0)
    )
    odometry = bench.rows("pursuer", "odom")
    spikes = odometry[np.abs(odometry[:, 5]) > 50.0]
    assert len(spikes) >= 1, "2 pi / 0.05 s"
    assert np.allclose(np.abs(spikes[:, 5]), 2.0 * math.pi / 0.05 - 2.0, atol=0.2)
    states, truth = bench.rows("pursuer", "state"), bench.rows("pursuer", "ground_truth")
    assert np.abs(states[:, 5]).max() < 3.0
    stamps, first, second = np.intersect1d(np.round(states[:, 0], 6), np.round(truth[:, 0], 6), return_indices=True)
    assert len(stamps) > 60
    turned = states[first, 3] - truth[second, 3]
    error = np.abs(np.arctan2(np.sin(turned), np.cos(turned))).max()
    assert error < 0.02, "the gate lets the last good turn rate stand for the spike"
    bench.probe.until(
        lambda: abs(bench.velocity("pursuer")[1]) < 1e-3, 5.0, lambda: bench.command("pursuer", 0.0)
    )


def test_create3_stops_itself_half_a_second_after_the_last_command(bench):
    bench.probe.until(lambda: bench.velocity("evader")[0] > 0.19, 5.0, lambda: bench.command("evader", 0.2))
    silent = bench.now()
    bench.probe.until(lambda: abs(bench.velocity("evader")[0]) < RESTING, 5.0)
    truth = bench.rows("evader", "ground_truth")
    after = truth[truth[:, 0] > silent]
    driving = after[after[:, 4] > 0.19][-1, 0] - silent
    resting = after[np.abs(after[:, 4]) < RESTING][0, 0] - silent
    assert driving > 0.35, "until then it drove on"
    assert resting < 0.5 + 0.5, "its own time-out, dead time, and five time constants of 0.08 s"


def test_create3_refuses_reverse_and_zeroes_both(bench):
    bench.probe.until(
        lambda: bench.velocity("evader")[1] > 0.9, 5.0, lambda: bench.command("evader", 0.1, 1.0)
    )
    bench.probe.until(
        lambda: np.abs(bench.velocity("evader")).max() < RESTING, 5.0, lambda: bench.command("evader", -0.1, 1.0)
    )
    begun = bench.now()
    bench.probe.until(lambda: bench.now() > begun + 0.5, 5.0, lambda: bench.command("evader", -0.1, 1.0))
    assert np.abs(bench.velocity("evader")).max() < RESTING, "refused for as long as it is asked for"


def test_odometry_comes_at_the_rate_of_the_base(bench):
    for role, rate in (("pursuer", 20.0), ("evader", 60.0)):
        stamps = bench.rows(role, "odom")[:, 0]
        assert 1.0 / np.median(np.diff(stamps)) == pytest.approx(rate, rel=1e-6)
    assert bench.messages("evader", "odom")[-1].twist.covariance[0] > 0.0


def test_turtlebot3_takes_what_is_not_finite(bench):
    bench.probe.until(
        lambda: bench.velocity("pursuer")[0] < -0.2, 5.0, lambda: bench.command("pursuer", math.nan)
    )
    bench.command("evader", math.nan)
    bench.probe.spin(0.3)
    assert np.abs(bench.velocity("evader")).max() < RESTING
    bench.simulator.terminate()
    assert bench.simulator.wait(5) == 0


@pytest.mark.parametrize(
    ("words", "frame"),
    [
        (("device:=turtlebot3", "robot:=turtlebot3_burger", "rate:=0"), "pursuer/odom"),
        (("device:=create3", "robot:=turtlebot4", "rate:=3", "watchdog:=true"), "odom"),
    ],
)
def test_an_episode_between_two_of_them(processes, tmp_path, words, frame):
    out, scenario = tmp_path / "out", tmp_path / "near.yaml"
    scenario.write_text(
        "name: near\nreference_half_side: 3.0\nobstacles: [[0.0, 0.9, 0.3]]\n"
        "pursuer: [-0.8, 0.0, 90.0]\nevader: [0.8, 0.4, 180.0]\n"
    )
    process = processes.launch(*words, "evader:=random", f"scenario:={scenario}", f"out:={out}")
    assert process.wait(120) == 0, processes.output(process)
    metrics = json.loads((out / "metrics.json").read_text())
    assert (metrics["episodes"], metrics["violations"], metrics["infeasible"]) == (1, 0, 0)
    assert metrics["min_margin_m"] > 0.0
    assert metrics["audit"]["passed"] is True, metrics["audit"]
    store = get_typestore(Stores.ROS2_JAZZY)
    with Reader(out / "bag") as reader:
        counts = {connection.topic: connection.msgcount for connection in reader.connections}
        connections = [c for c in reader.connections if c.topic == "/pursuer/odom"]
        _, _, data = next(reader.messages(connections))
        first = store.deserialize_cdr(data, connections[0].msgtype)
    assert first.header.frame_id == frame
    if "device:=create3" in words:
        assert counts["/pursuer/odom"] > 2.5 * counts["/pursuer/cmd_vel_nominal"], "the policy keeps its period"
        assert counts["/pursuer/driver/cmd_vel"] > 0.8 * counts["/pursuer/cmd_vel_nominal"]

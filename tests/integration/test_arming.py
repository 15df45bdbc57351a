"""Nothing moves before it is armed, and everything stands when the stop is pressed; one safety node for this file."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import numpy as np
import pytest
from nav_msgs.msg import Odometry
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from std_msgs.msg import Bool, String
from std_srvs.srv import Trigger

from pe_core.arena import Arena
from pe_nodes import emergency_stop, qos
from pe_nodes.arming import NEXT_EPISODE
from pe_nodes.episode import Episode
from pe_nodes.messages import set_odometry
from tests.integration.test_safety_node import Bench as Fed
from tests.support.patience import patience

pytestmark = pytest.mark.integration

VOLATILE = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
CARELESS = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT, durability=DurabilityPolicy.VOLATILE)


class Bench(Fed):
    """A safety node that must be armed, an operator, and the heartbeat of the stop."""

    parameters = {"require_arming": True, "stop_timeout": 1.0, "profile": "rcbf_robust"}

    def __init__(self, processes, probe) -> None:
        super().__init__(processes, probe)
        self.pressed: bool | None = False
        self.said: list[str] = []

    def feed(self) -> None:
        super().feed()
        if self.pressed is not None:
            self.probe.publish(emergency_stop.TOPIC, Bool(data=self.pressed), emergency_stop.PUBLISHER)

    def say(self, topic: str, start_ns: int) -> None:
        arena = Arena(10.0, np.array([[5.0, 5.0, 1.0]]))
        episode = Episode(
            0, 0, start_ns, 0.05, "test", arena, 0.5, 600.0, (0.0, 0.0, 0.0), (5.0, 0.0, 0.0), 1.0
        )
        self.said.append(json.dumps(episode.announcement()))
        self.probe.publish(topic, String(data=self.said[-1]), qos.LATCHED)

    def call(self, name: str) -> Trigger.Response:
        """A service of the node, while it goes on being fed."""
        client = self.probe.node.create_client(Trigger, f"/pursuer/safety/{name}")
        self.probe.until(client.service_is_ready, 10.0, self.feed)
        future = client.call_async(Trigger.Request())
        self.probe.until(future.done, 10.0, self.feed)
        return future.result()

    def fed(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        self.probe.until(lambda: time.monotonic() > end, seconds + 1.0, self.feed)

    def armed_and_moving(self) -> None:
        """Whatever was before: cleared, armed, in an episode, and driving."""
        self.pressed, self.streams = False, {"nominal", "own", "opponent"}
        self.pose = (0.0, 0.0, 0.0)
        self.say(NEXT_EPISODE, self.probe.now_ns())
        self.fed(0.3)
        self.probe.until(lambda: self.call("clear_faults").success, 10.0, self.feed)
        self.probe.until(lambda: self.call("arm").success, 10.0, self.feed)
        self.say("/episode", self.probe.now_ns())
        self.probe.until(self.moves, 10.0, self.feed)


@pytest.fixture(scope="module")
def bench(module_processes, module_probe) -> Iterator[Bench]:
    made = Bench(module_processes, module_probe)
    yield made


def test_before_anything_is_known_arming_is_refused_with_every_reason(bench):
    bench.streams, bench.pressed = set(), None
    answer = bench.call("arm")
    assert not answer.success
    for reason in ("no word on /emergency_stop yet", "no arena is known", "no own state", "no opponent state"):
        assert reason in answer.message


@pytest.mark.parametrize(
    ("pose", "said"),
    [
        ((10.5, 0.0, 0.0), "outside the free arena"),
        ((9.84, 0.0, 0.0), "margin to "),
        ((4.3, 4.4, 0.0), "outside the free arena"),
        ((4.6, 0.0, 0.0), "margin to "),
    ],
)  # fmt: skip
def test_a_robot_in_the_wrong_place_is_not_armed(bench, pose, said):
    bench.streams, bench.pressed = {"nominal", "own", "opponent"}, False
    bench.say(NEXT_EPISODE, bench.probe.now_ns())
    bench.pose, bench.fed_ns = pose, 0
    bench.probe.until(lambda: said in bench.call("arm").message, 5.0, bench.feed)
    assert bench.stands()


def test_an_episode_moves_nobody_who_is_not_armed(bench):
    bench.pose, bench.fed_ns = (0.0, 0.0, 0.0), 0
    bench.say("/episode", bench.probe.now_ns())
    bench.fed(1.0)
    assert set(bench.commands()) == {(0.0, 0.0)}
    assert bench.told()["reason"] == "not armed" and bench.told()["armed"] == "0"


def test_a_rolling_robot_is_not_armed(bench):
    rolling = Odometry()

    def roll():
        now = bench.probe.now_ns()
        set_odometry(rolling, now, (0.3 * (now - begun) / 1e9 - 3.0, 0.0, 0.0, 0.3, 0.0))
        bench.probe.publish("/pursuer/state", rolling, qos.STATE)

    bench.streams, begun = {"nominal", "opponent"}, bench.probe.now_ns()
    end = time.monotonic() + 0.6
    bench.probe.until(lambda: time.monotonic() > end, 2.0, lambda: (bench.feed(), roll()))
    client = bench.probe.node.create_client(Trigger, "/pursuer/safety/arm")
    future = client.call_async(Trigger.Request())
    bench.probe.until(future.done, 10.0, lambda: (bench.feed(), roll()))
    assert "the robot moves (0.30 m/s" in future.result().message


def test_armed_it_moves_and_disarmed_it_stands(bench):
    bench.armed_and_moving()
    assert bench.call("disarm").success
    bench.probe.until(bench.stands, 1.0, bench.feed)
    bench.fed(0.5)
    assert bench.stands() and bench.told()["reason"] == "not armed (by its service)"


@pytest.mark.parametrize(
    "profile", [emergency_stop.PUBLISHER, VOLATILE, CARELESS], ids=["latched", "volatile", "best effort"]
)
def test_the_stop_is_heard_whatever_its_quality_of_service_and_latches(bench, profile):
    bench.armed_and_moving()
    button = bench.probe.node.create_publisher(Bool, emergency_stop.TOPIC, profile)
    bench.probe.until(lambda: button.get_subscription_count() > 0, 5.0, bench.feed)
    pressed = time.monotonic()
    # Once, and the heartbeat goes on saying that nobody has pressed it.
    button.publish(Bool(data=True))
    bench.probe.until(bench.stands, 1.0, bench.feed)
    at = next(at for at, m in bench.probe.received["/pursuer/cmd_vel"] if at > pressed and m.twist.linear.x == 0.0)
    assert at - pressed < patience(0.2)
    bench.fed(0.5)
    assert bench.stands() and bench.told()["reason"] == "emergency stop"
    assert "refused: emergency stop" in bench.call("arm").message, "the fault stands until it is cleared"
    assert bench.call("clear_faults").success
    bench.fed(0.3)
    assert bench.stands(), "cleared is not armed"
    bench.probe.node.destroy_publisher(button)


def test_a_pressed_stop_cannot_be_cleared(bench):
    bench.armed_and_moving()
    bench.pressed = True
    bench.probe.until(bench.stands, 1.0, bench.feed)
    answer = bench.call("clear_faults")
    assert (answer.success, answer.message) == (False, "emergency stop")


def test_silence_about_the_stop_is_a_stop(bench):
    bench.armed_and_moving()
    bench.pressed = None
    silent = time.monotonic()
    bench.probe.until(bench.stands, 3.0, bench.feed)
    assert time.monotonic() - silent < patience(1.5)
    assert bench.told()["reason"] == "no word on /emergency_stop for 1 s"


def test_the_service_stops_too(bench):
    bench.armed_and_moving()
    assert bench.call("emergency_stop").success
    bench.probe.until(bench.stands, 1.0, bench.feed)
    assert bench.told()["reason"] == "emergency stop"


def test_an_episode_that_ends_disarms(bench):
    bench.armed_and_moving()
    end = json.loads(bench.said[-1]) | {"event": "end", "outcome": "timeout"}
    bench.probe.publish("/episode", String(data=json.dumps(end)), qos.LATCHED)
    bench.probe.until(bench.stands, 1.0, bench.feed)
    assert bench.heartbeat()["armed"] == "no"
    bench.say("/episode", bench.probe.now_ns())
    bench.fed(0.5)
    assert bench.stands(), "the next episode must be armed anew"

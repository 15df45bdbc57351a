"""What an operator says to robots and referee where there is no ros2 command: services, one after the other."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from pe_nodes import emergency_stop

WAIT = 10.0
"""Time [s] in which a service must be found and must answer; a node that starts may need it."""
REFEREE = "/referee"
REFEREES = {"placed": "robots_placed", "release": "release", "stop": "emergency_stop"}


@dataclasses.dataclass(frozen=True)
class Answer:
    """What one service said."""

    service: str
    success: bool
    message: str


def services(word: str, namespaces: Sequence[str]) -> list[str]:
    """The services that ``word`` means, in order; those of robots for each of ``namespaces``."""
    robots = [f"/{name.strip('/')}" for name in namespaces]
    if word in REFEREES:
        return [f"{REFEREE}/{REFEREES[word]}"]
    if word == "clear":
        return [f"{robot}/{node}/clear_faults" for robot in robots for node in ("watchdog", "safety")]
    return [f"{robot}/safety/{word}" for robot in robots]


class Operator:
    """A node of its own, in the domain of the environment; a context manager."""

    def __enter__(self) -> Operator:
        self._context = rclpy.Context()
        rclpy.init(context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self._node = Node("operator", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.shutdown(context=self._context)

    def call(self, names: Sequence[str], wait: float = WAIT) -> list[Answer]:
        """Call each service and say what it answered; one that is not there within ``wait`` [s] in all fails."""
        end, answers = time.monotonic() + wait, []
        clients = {name: self._node.create_client(Trigger, name) for name in names}
        for name, client in clients.items():
            while not client.service_is_ready() and time.monotonic() < end:
                self._executor.spin_once(timeout_sec=0.05)
            if not client.service_is_ready():
                why = f"is not there after {wait:g} s: is the node running, in this domain?"
                answers.append(Answer(name, False, why))
                continue
            future = client.call_async(Trigger.Request())
            self._executor.spin_until_future_complete(future, timeout_sec=max(end - time.monotonic(), 1.0))
            result = future.result() if future.done() else None
            if result is None:
                answers.append(Answer(name, False, "does not answer"))
            else:
                answers.append(Answer(name, result.success, result.message))
        return answers

    def say_stop(self, pressed: bool, seconds: float = 1.0) -> int:
        """Say on the stop's topic for ``seconds`` whether it is pressed; returns how many listened at most."""
        publisher = self._node.create_publisher(Bool, emergency_stop.TOPIC, emergency_stop.PUBLISHER)
        end, listening = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            publisher.publish(Bool(data=pressed))
            listening = max(listening, publisher.get_subscription_count())
            self._executor.spin_once(timeout_sec=0.05)
        return listening

"""The emergency stop as a node hears it: /emergency_stop (std_msgs/Bool) of any quality of service."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

TOPIC = "/emergency_stop"
PRESSED = "emergency stop"
PUBLISHER = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)
"""As a stop should be said: whoever comes later hears it too."""
ANY = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
WATCH = 0.05
BEAT = 0.2


class EmergencyStop:
    """Calls ``on_stop(reason)`` when the stop is pressed, or when its heartbeat is lost.

    A subscription hears only publishers that promise at least what it asks for.  A stop must not depend on how it
    was published, so there are two: one that asks for nothing, one that also hears what was said before it came.

    Attributes:
        pressed: what was said last.
    """

    def __init__(self, node: Node, timeout: float, on_stop: Callable[[str], None]) -> None:
        """``timeout`` [s] without a word, true or false, counts as a stop; 0: it does not."""
        self._timeout = timeout
        self._on_stop = on_stop
        self._heard = -1.0
        self.pressed = False
        for profile in (ANY, PUBLISHER):
            node.create_subscription(Bool, TOPIC, self._on_message, profile)
        if timeout > 0.0:
            node.create_timer(WATCH, self._watch, clock=node.steady)

    def why(self) -> str:
        """Why a robot must not move, or nothing."""
        if self.pressed:
            return PRESSED
        if self._timeout > 0.0:
            if self._heard < 0.0:
                return f"no word on {TOPIC} yet"
            if time.monotonic() - self._heard > self._timeout:
                return f"no word on {TOPIC} for {self._timeout:g} s"
        return ""

    def _on_message(self, message: Bool) -> None:
        self._heard = time.monotonic()
        before, self.pressed = self.pressed, bool(message.data)
        if self.pressed and not before:
            self._on_stop(PRESSED)

    def _watch(self) -> None:
        if self._heard >= 0.0 and (reason := self.why()):
            self._on_stop(reason)


class StopHeartbeat:
    """Says every ``BEAT`` whether the stop is pressed; services ``~/emergency_stop`` and ``~/release`` decide.

    Attributes:
        pressed: what it says.
    """

    def __init__(self, node: Node, on_press: Callable[[], None]) -> None:
        self._on_press = on_press
        self._publisher = node.create_publisher(Bool, TOPIC, PUBLISHER)
        self.pressed = False
        node.create_service(Trigger, "~/emergency_stop", self._press)
        node.create_service(Trigger, "~/release", self._release)
        node.create_timer(BEAT, self._say, clock=node.steady)

    def _say(self) -> None:
        self._publisher.publish(Bool(data=self.pressed))

    def _press(self, _: Any, response: Trigger.Response) -> Trigger.Response:
        self.pressed = True
        self._say()
        self._on_press()
        response.success, response.message = True, "stopped"
        return response

    def _release(self, _: Any, response: Trigger.Response) -> Trigger.Response:
        self.pressed = False
        self._say()
        response.success, response.message = True, "released; the robots stand until they are cleared and armed"
        return response

"""The safety node's cmd_vel: sending, the burst of zeros, and whether anybody else commands the robot too."""

from __future__ import annotations

import math
import time

from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import QoSProfile

from pe_nodes import qos
from pe_nodes.messages import command_type, set_command
from pe_nodes.timing import Timing

ZERO = (0.0, 0.0)
_BURST = 5
_BURST_GAP = 0.01
FORMER_SEEN, FORMER_GONE = 2.0, 30.0
"""Wall times [s] from the first look: a namesake seen by then may be an earlier life of this node that was killed,
whose announcement the middleware keeps until its lease ends (20 s by default of Fast DDS)."""


class CommandOutput:
    """Publisher of cmd_vel, or of the topic of a driver behind it.

    Attributes:
        last: the command sent last (v, omega); last_wall: when [s], monotonic.
        periods: wall times between commands.
        former: why the robot must wait for a namesake to vanish, or nothing.
        type_error: set where a subscriber wants the other message type, which would fail silently.
    """

    def __init__(
        self,
        node: Node,
        stamped: bool,
        base_frame: str,
        dt: float,
        topic: str = "cmd_vel",
        profile: QoSProfile = qos.COMMAND,
    ) -> None:
        kind = command_type(stamped)
        self._node = node
        self._parameter = "stamped_cmd_vel" if topic == "cmd_vel" else "stamped_output"
        self._type = f"geometry_msgs/msg/{kind.__name__}"
        self._message = kind()
        if stamped:
            self._message.header.frame_id = base_frame
        self._publisher = node.create_publisher(kind, topic, profile)
        self.last: tuple[float, float] = ZERO
        self.last_wall = time.monotonic()
        self.periods = Timing(deadline=2.0 * dt)
        self.type_error = self.former = ""
        self._self = node.get_fully_qualified_name()
        self._first_look = -math.inf
        self._former = 0

    def look(self) -> None:
        """Begin to look for others now."""
        self._first_look = time.monotonic()
        self._former = 0

    def send(self, stamp_ns: int, command: tuple[float, float]) -> None:
        """Publish one command."""
        set_command(self._message, stamp_ns, *command)
        self._publisher.publish(self._message)
        self.last = command
        wall = time.monotonic()
        self.periods.add(wall - self.last_wall)
        self.last_wall = wall

    def burst(self, stamp_ns: int) -> None:
        """Several zero commands: the base holds its last command for ever, and one message may be lost."""
        for _ in range(_BURST):
            self.send(stamp_ns, ZERO)
            time.sleep(_BURST_GAP)
        self._publisher.wait_for_all_acked(Duration(seconds=0.2))

    def linked(self) -> bool:
        """Whether anybody takes the commands."""
        return bool(self._publisher.get_subscription_count() > 0)

    def check(self) -> str:
        """Look at the topic's publishers and subscribers; returns why the robot must not move, or nothing."""
        topic = self._publisher.topic_name
        wanted = {info.topic_type for info in self._node.get_subscriptions_info_by_topic(topic)} - {self._type}
        error = ""
        if wanted:
            kinds = ", ".join(sorted(wanted))
            error = f"{topic} is {self._type}, but a subscriber wants {kinds}: set {self._parameter}"
            if error != self.type_error:
                self._node.get_logger().error(error)
        self.type_error = error
        publishers = self._node.get_publishers_info_by_topic(topic)
        self.former = ""
        if len(publishers) <= 1:
            self._former = 0
            return ""
        since = time.monotonic() - self._first_look
        namesakes = [i for i in publishers if f"{i.node_namespace.rstrip('/')}/{i.node_name}" == self._self]
        if since <= FORMER_SEEN:
            self._former = len(namesakes)
        if 1 < len(namesakes) == len(publishers) <= self._former and since <= FORMER_GONE:
            self.former = f"{self._self} was there before this one: waiting until it has left {topic}"
            return ""
        # A publisher is seen a moment before the node that it belongs to.
        known = [info for info in publishers if "_UNKNOWN_" not in info.node_name]
        names = sorted({f"{info.node_namespace.rstrip('/')}/{info.node_name}" for info in known})
        return f"{len(publishers)} publishers on {topic} ({', '.join(names)}); only one is allowed"

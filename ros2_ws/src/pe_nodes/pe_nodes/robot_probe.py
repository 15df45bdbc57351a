"""Looks at one robot in the running graph for a while; what it sees is judged by :mod:`pe_nodes.robot_checks`."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import Odometry
from rcl_interfaces.srv import GetParameters, ListParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node, NodeNameNonExistentError
from rclpy.signals import SignalHandlerOptions
from rosgraph_msgs.msg import Clock
from std_msgs.msg import Bool

from pe_core.robot import RobotModel
from pe_nodes import emergency_stop, qos
from pe_nodes.message_types import message_class
from pe_nodes.messages import odometry_values, stamp_ns, state_values
from pe_nodes.robot_checks import CLOCK, POSE_TYPES, Observed, Topic

DISCOVERY = 2.0
FIRST = 5.0
CALL = 2.0
NAMES = (
    "role", "robot", "dt", "odom_frame", "base_frame", "base_link_frame", "map_frame", "profile", "require_arming",
    "bundle", "use_sim_time", "sensor_timeout", "pose0_deviation",
)  # fmt: skip
MINE = ("state_estimator", "policy", "safety", "watchdog")


class RobotProbe:
    """A node of its own, in the domain of the environment."""

    def __init__(self, namespace: str, role: str, robot: RobotModel, seconds: float) -> None:
        domain = os.environ.get("ROS_DOMAIN_ID", "0")
        self.seen = Observed(namespace.strip("/"), role, robot, seconds, domain)
        self._simulated_ns = 0
        self._heard: set[str] = set()

    def run(self) -> Observed:
        """Look for ``seconds`` and return what was seen."""
        context = rclpy.Context()
        rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
        self._node = Node("robot_doctor", context=context)
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(self._node)
        try:
            self._node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, qos.EVENT)
            for profile in (emergency_stop.ANY, emergency_stop.PUBLISHER):
                self._node.create_subscription(Bool, emergency_stop.TOPIC, self._on_stop, profile)
            self._spin(DISCOVERY)
            self._listen_to_transforms()
            self._listen()
            # Before both ends of a connection know of one another nothing comes, and that is no low rate.
            end = time.monotonic() + FIRST
            while time.monotonic() < end and not all(
                topic.arrivals for name, topic in self.seen.topics.items() if name != self.seen.pose_topic
            ):
                self._spin(0.1)
                self._listen()
            self._spin(self.seen.seconds)
            if self._listen():
                # Discovered late, as on a busy network: what is new is looked at as long as the rest.
                self._spin(self.seen.seconds)
            self._look()
            self._ask()
        finally:
            self._executor.shutdown()
            self._node.destroy_node()
            rclpy.shutdown(context=context)
        return self.seen

    def _spin(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0.0:
            self._executor.spin_once(timeout_sec=left)

    def _listen(self) -> bool:
        """Hear what has been discovered; returns whether something is new."""
        before = len(self._heard)
        own = self.seen.namespace
        names = {name for name, kinds in self._node.get_topic_names_and_types() if "nav_msgs/msg/Odometry" in kinds}
        states = {name for name in names if name.endswith("/state") and name.count("/") == 2}
        for name in sorted(({f"/{own}/odom", f"/{own}/state"} & names | states) - self._heard):
            self._hear(name, Odometry, self._on_odometry(name, name.endswith("/state")))
        if CLOCK not in self._heard and self._node.count_publishers(CLOCK):
            self.seen.topics[CLOCK] = Topic()
            self._hear(CLOCK, Clock, self._on_clock)
        self._listen_to_poses()
        return len(self._heard) > before

    def _hear(self, name: str, kind: type, handler: Callable[[Any], None]) -> None:
        self._heard.add(name)
        self._node.create_subscription(kind, name, handler, qos.SENSOR)

    def _listen_to_transforms(self) -> None:
        own = self.seen.namespace
        try:
            kind = importlib.import_module("tf2_msgs.msg").TFMessage
        except ModuleNotFoundError:
            return
        self.seen.transforms = set()
        for topic in ("/tf", f"/{own}/tf"):
            self._node.create_subscription(kind, topic, self._on_transforms, 100)

    def _listen_to_poses(self) -> None:
        """What the estimator hears poses on is a matter of its remappings, so the graph is asked."""
        seen = self.seen
        try:
            heard = self._node.get_subscriber_names_and_types_by_node("state_estimator", f"/{seen.namespace}")
        except NodeNameNonExistentError:
            return
        for name, kinds in heard:
            taken = [kind for kind in kinds if kind in POSE_TYPES]
            if taken and name != seen.node("initialpose"):
                seen.pose_topic, seen.pose_type = name, taken[0]
        if not seen.pose_topic or seen.pose_topic in self._heard:
            return
        topic = seen.topics.setdefault(seen.pose_topic, Topic())
        said = {info.topic_type for info in self._node.get_publishers_info_by_topic(seen.pose_topic)}
        # One participant cannot hear two types of one topic; a wrong one is judged without hearing it.
        if said == {seen.pose_type}:

            def take(message: Any) -> None:
                self._received(topic, message)

            self._hear(seen.pose_topic, message_class(seen.pose_type), take)

    def _on_clock(self, message: Clock) -> None:
        self._simulated_ns = stamp_ns(message.clock)
        self.seen.topics[CLOCK].arrivals.append(time.monotonic())

    def _received(self, topic: Topic, message: Any) -> None:
        topic.arrivals.append(time.monotonic())
        topic.last["frame"] = message.header.frame_id
        if stamp := stamp_ns(message.header.stamp):
            topic.stamps.append(stamp / 1e9)
            topic.offsets.append((stamp - time.time_ns()) / 1e9)
            if self._simulated_ns:
                topic.sim_offsets.append((stamp - self._simulated_ns) / 1e9)

    def _on_odometry(self, name: str, is_state: bool) -> Callable[[Odometry], None]:
        topic = self.seen.topics.setdefault(name, Topic())

        def take(message: Odometry) -> None:
            self._received(topic, message)
            values = odometry_values(message)
            topic.last |= {
                "finite": bool(np.isfinite(values).all()),
                "certain": not np.any(message.pose.covariance),
                "child": message.child_frame_id,
            }
            if is_state:
                topic.last["deviations"] = state_values(message)[5:]

        return take

    def _on_transforms(self, message: Any) -> None:
        pairs = {(each.header.frame_id, each.child_frame_id) for each in message.transforms}
        self.seen.transforms = (self.seen.transforms or set()) | pairs

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            values = {pair.key: pair.value for pair in status.values}
            self.seen.heartbeats[status.name] = (int.from_bytes(status.level, "little"), status.message, values)

    def _on_stop(self, message: Bool) -> None:
        self.seen.stop = "pressed" if message.data else "released"

    def _look(self) -> None:
        node, own, seen = self._node, self.seen.namespace, self.seen
        seen.nodes = {
            f"{space.rstrip('/')}/{name}"
            for name, space in node.get_node_names_and_namespaces()
            if name != node.get_name()
        }
        commands = [f"/{own}/{name}" for name in ("odom", "state", "cmd_vel", "cmd_vel_safe", "driver/cmd_vel")]
        for name in {*commands, *seen.topics, emergency_stop.TOPIC}:
            topic = seen.topics.setdefault(name, Topic())
            for ends, infos in (
                (topic.publishers, node.get_publishers_info_by_topic(name)),
                (topic.subscribers, node.get_subscriptions_info_by_topic(name)),
            ):
                ends += [
                    (f"{info.node_namespace.rstrip('/')}/{info.node_name}", info.topic_type)
                    for info in infos
                    if info.node_name != node.get_name()
                ]

    def _ask(self) -> None:
        for name in MINE:
            full = self.seen.node(name)
            if full not in self.seen.nodes:
                continue
            listed = self._call(ListParameters, f"{full}/list_parameters", ListParameters.Request())
            known = [each for each in NAMES if listed is not None and each in listed.result.names]
            answer = self._call(GetParameters, f"{full}/get_parameters", GetParameters.Request(names=known))
            if answer is not None:
                values = (rclpy.parameter.parameter_value_to_python(value) for value in answer.values)
                self.seen.parameters[name] = dict(zip(known, values, strict=True))

    def _call(self, kind: Any, service: str, request: Any) -> Any:
        client = self._node.create_client(kind, service)
        end = time.monotonic() + CALL
        while not client.service_is_ready() and time.monotonic() < end:
            self._executor.spin_once(timeout_sec=0.05)
        future = client.call_async(request)
        self._executor.spin_until_future_complete(future, timeout_sec=CALL)
        return future.result() if future.done() else None

"""A bare rclpy node that answers every message with one of another type and the same stamp: a peer's floor."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from typing import Any

import rclpy
from rclpy.signals import SignalHandlerOptions


def message_type(name: str) -> Any:
    """``package.msg:Type`` as a class."""
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def main(source_type: str, source: str, target_type: str, target: str) -> None:
    """Relay ``/pursuer/<source>`` to ``/pursuer/<target>``."""
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    node = rclpy.create_node(f"relay_{target}")
    answer = message_type(target_type)()
    publisher = node.create_publisher(message_type(target_type), f"/pursuer/{target}", 10)

    def relay(message: Any) -> None:
        answer.header.stamp = message.header.stamp
        publisher.publish(answer)

    node.create_subscription(message_type(source_type), f"/pursuer/{source}", relay, rclpy.qos.qos_profile_sensor_data)
    rclpy.spin(node)


if __name__ == "__main__":
    main(*sys.argv[1:5])

"""The process around a node: signals, autostart, and an end without last words lost."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from typing import NoReturn

import rclpy
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.signals import SignalHandlerOptions

from pe_core.config import ConfigurationError
from pe_nodes.executor import DirectExecutor
from pe_nodes.game_node import GameNode
from pe_nodes.respawn import CONFIGURATION_FAILED

EXPECT_MOST = 2.0
"""Longest time [s] that a node which expects more outlives the signal; a launcher kills after five."""
EXPECT_STEP = 0.05
CRASHED = 1


def run(make: Callable[[], GameNode], args: list[str] | None = None) -> int:
    """Make the node and run it until a signal, a failure or its own end; returns the exit code.

    rclpy's own signal handlers invalidate the context before a last command could be sent, so they are off.
    """
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = make()
    except ConfigurationError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        rclpy.try_shutdown()
        return CONFIGURATION_FAILED
    executor = DirectExecutor(node)
    node.stop = executor.stop
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: executor.stop())
    started = True
    if node.get_parameter("autostart").value:
        success = TransitionCallbackReturn.SUCCESS
        started = node.trigger_configure() == success and node.trigger_activate() == success
    if started:
        try:
            executor.run()
        except Exception as error:  # noqa: BLE001  # whatever it is, the robot is stopped before the process ends
            traceback.print_exc()
            node.fail(CRASHED, f"internal error: {error!r}")
    else:
        node.exit_code = node.exit_code or CONFIGURATION_FAILED
    if node.active:
        end = time.monotonic() + EXPECT_MOST
        while node.expects_more() and time.monotonic() < end:
            executor.run_for(EXPECT_STEP)
        executor.run_for(node.linger)
        node.trigger_deactivate()
    node.destroy_node()
    context = rclpy.get_default_context()
    rclpy.try_shutdown()
    # Leaves the graph, so that nobody takes the node for a living one.
    context.destroy()
    return node.exit_code


def run_process(make: Callable[[], GameNode]) -> NoReturn:
    """Entry point of a node's executable.

    The process ends without tearing the interpreter down, which takes seconds with the libraries loaded here,
    and everything that matters has been closed.
    """
    code = run(make)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)

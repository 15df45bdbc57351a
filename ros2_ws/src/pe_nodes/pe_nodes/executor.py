"""A single-threaded executor whose subscriptions and timers take a short path.

The executor of rclpy builds a coroutine, a task and a new wait set for every callback, which costs more than
the callback itself in nodes as small as these (0.76 ms a round trip of two messages against 0.3 ms here).  This
one waits on subscriptions and timers only and calls them directly (raw subscriptions with the message's
information); services, guards and event handlers, which
are rare, are swept at ``SWEEP_PERIOD`` by the executor it extends, so that nothing of rclpy is missing.
"""

from __future__ import annotations

import time
from typing import Any

from rclpy.executors import SingleThreadedExecutor, TimeoutException
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node

SWEEP_PERIOD = 0.25
WAIT_MOST = 0.05
BURST = 4
SWEEP_MOST = 50


class DirectExecutor(SingleThreadedExecutor):
    """Runs the callbacks of one node; ``stop`` ends ``run`` from a callback or a signal handler."""

    def __init__(self, node: Node) -> None:
        super().__init__()
        self._changed = True
        self._running = True
        self._node = node
        self._subscriptions: list[Any] = []
        self._timers: list[Any] = []
        self._wait_set: Any = None
        self._next_sweep = 0.0
        self.add_node(node)

    def wake(self) -> None:
        """Called by rclpy when entities were created or destroyed, and by ``stop``."""
        self._changed = True
        super().wake()

    def stop(self) -> None:
        """Let ``run`` return after the callback that is running; safe in a signal handler."""
        self._running = False
        self.wake()

    def run(self) -> None:
        """Execute callbacks until ``stop``."""
        while self._running:
            self.run_once(WAIT_MOST)

    def run_for(self, duration: float) -> None:
        """Execute callbacks for ``duration`` [s], after ``stop`` too."""
        end = time.monotonic() + duration
        while (left := end - time.monotonic()) > 0.0:
            self.run_once(min(left, WAIT_MOST))

    def run_once(self, timeout: float) -> None:
        """Wait up to ``timeout`` [s] for a message or a timer, then execute everything that is ready."""
        now = time.monotonic()
        if now >= self._next_sweep or self._changed:
            self._sweep()
            self._next_sweep = now + SWEEP_PERIOD
        wait_set = self._fill_wait_set()
        wait_set.wait(int(timeout * 1e9))
        ready = wait_set.get_ready_entities("subscription")
        if ready:
            for subscription in self._subscriptions:
                if subscription.handle.pointer in ready:
                    self._take(subscription)
        ready = wait_set.get_ready_entities("timer")
        if ready:
            for timer in self._timers:
                if timer.handle.pointer in ready and timer.handle.is_timer_ready():
                    timer.handle.call_timer()
                    timer.callback()

    def _fill_wait_set(self) -> Any:
        if self._changed:
            self._changed = False
            self._subscriptions = list(self._node.subscriptions)
            self._timers = list(self._node.timers)
            self._wait_set = rclpy_implementation.WaitSet(
                len(self._subscriptions), 1, len(self._timers), 0, 0, 0, self._context.handle
            )
        wait_set = self._wait_set
        wait_set.clear_entities()
        for subscription in self._subscriptions:
            wait_set.add_subscription(subscription.handle)
        for timer in self._timers:
            wait_set.add_timer(timer.handle)
        wait_set.add_guard_condition(self._guard.handle)
        return wait_set

    @staticmethod
    def _take(subscription: Any) -> None:
        # Bounded, so that a fast publisher cannot starve the timers.
        for _ in range(BURST):
            taken = subscription.handle.take_message(subscription.msg_type, subscription.raw)
            if taken is None:
                return
            if subscription.raw:
                subscription.callback(*taken)
            else:
                subscription.callback(taken[0])

    def _sweep(self) -> None:
        try:
            for _ in range(SWEEP_MOST):
                handler, _, _ = self.wait_for_ready_callbacks(timeout_sec=0.0)
                handler()
                if handler.exception() is not None:
                    raise handler.exception()
        except TimeoutException:
            return

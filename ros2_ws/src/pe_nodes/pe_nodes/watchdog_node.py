"""Watchdog node: runs on the robot, between cmd_vel and the driver of a base that holds its last command for ever.

It relays what is sound and fresh, and says zero, again and again, when nothing is.  It stands in for the safety
node where that one is gone: killed, cut off, or on another computer behind a network that is down.
"""

from __future__ import annotations

import time
from typing import Any, NoReturn

from std_srvs.srv import Trigger

from pe_core.robot import load_robot
from pe_nodes import command_gate, qos
from pe_nodes.command_gate import ZERO, CommandGate
from pe_nodes.command_output import CommandOutput
from pe_nodes.emergency_stop import PRESSED, EmergencyStop
from pe_nodes.game_node import ERROR, OK, WARN, GameNode
from pe_nodes.messages import command_type, command_values, stamp_ns
from pe_nodes.node_process import run_process
from pe_nodes.robot_models import scaled
from pe_nodes.settings import DRIVER_TOPIC, WatchdogSettings
from pe_nodes.timing import Rate

GRAPH_CHECK = 0.2


class WatchdogNode(GameNode):
    """Relays cmd_vel to driver/cmd_vel, of which it is the only publisher."""

    def __init__(self) -> None:
        super().__init__("watchdog", WatchdogSettings())

    def setup(self, settings: WatchdogSettings) -> None:
        self.settings = settings
        robot = load_robot(settings.robot)
        if settings.role == "evader":
            robot = scaled(robot, settings.speed_ratio)
        self._gate = CommandGate(
            robot, settings.timeout, settings.future_tolerance, settings.limit_tolerance, settings.synchronised_clocks
        )
        self._fault = ""
        self._why = ""
        self._rate = Rate()
        self._output = CommandOutput(
            self, settings.stamped_output, settings.base_frame, 1.0 / settings.publish_rate, DRIVER_TOPIC
        )
        kind = command_type(settings.stamped_input)
        self.create_subscription(kind, "cmd_vel", self._on_command, qos.COMMAND)
        self.create_service(Trigger, "~/clear_faults", self._on_clear)
        self._stop = EmergencyStop(self, settings.stop_timeout, self._on_stop)
        # The clock of ROS may stand still or jump; zeros must not.
        self.create_timer(1.0 / settings.publish_rate, self._on_timer, clock=self.steady)
        self.create_timer(GRAPH_CHECK, self._check_graph, clock=self.steady)

    def activate(self) -> None:
        self._gate.clear()
        self._check_graph()

    def deactivate(self) -> None:
        self._output.burst(self.now_ns())

    def _on_command(self, message: Any) -> None:
        if not self.active:
            return
        command = command_values(message)
        stamp = stamp_ns(message.header.stamp) if self.settings.stamped_input else None
        now = self.now_ns()
        verdict = self._gate.offer(command, stamp, now, time.monotonic())
        if verdict != command_gate.ACCEPTED:
            self.get_logger().error(f"cmd_vel {command} refused: {verdict}", throttle_duration_sec=2.0)
            self._on_timer()
        elif not (self._fault or self._stop.why()):
            # As it is, its stamp too: whoever listens further down may ask how old it is.
            self._why = ""
            self._output.send(stamp or now, command)
            self._rate.tick()

    def _on_timer(self) -> None:
        if not self.active:
            return
        now = self.now_ns()
        _, why = self._gate.command(now, time.monotonic())
        why = self._fault or self._stop.why() or why
        if why:
            if self._output.last != ZERO:
                self.get_logger().warning(f"stopped: {why}", throttle_duration_sec=2.0)
            self._output.send(now, ZERO)
        self._why = why

    def _on_stop(self, reason: str) -> None:
        # A press stands until it is cleared; silence only for as long as it lasts.
        if reason == PRESSED and self.active and not self._fault:
            self._fault = reason
            self._on_timer()

    def _check_graph(self) -> None:
        fault = self._output.check()
        if fault and self.active and not self._fault:
            self._fault = fault
            self._on_timer()

    def _on_clear(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if self._stop.pressed:
            response.success, response.message = False, PRESSED
            return response
        cleared, self._fault = self._fault, ""
        self._check_graph()
        response.success = not self._fault
        response.message = self._fault or (f"cleared: {cleared}" if cleared else "no fault was latched")
        return response

    def diagnose(self, now: float) -> tuple[Any, str, dict[str, str]]:
        values = {
            "relayed_hz": f"{self._rate.read(now):.1f}",
            "accepted": str(self._gate.accepted),
            "expired": str(self._gate.expired),
            "zero_stamps": str(self._gate.zero_stamps),
            **{f"rejected: {reason}": str(count) for reason, count in self._gate.rejected.items()},
            **{f"period_{key}": value for key, value in self._output.periods.summary_ms().items()},
        }
        if self._output.type_error or self._fault:
            return ERROR, self._output.type_error or f"fault: {self._fault}", values
        if not self._output.linked():
            return WARN, f"nobody listens on {DRIVER_TOPIC}", values
        if self._why:
            return ERROR if self._gate.accepted else WARN, f"stopped: {self._why}", values
        return OK, "relaying", values


def main() -> NoReturn:
    """Entry point of the executable ``watchdog``."""
    run_process(WatchdogNode)


if __name__ == "__main__":
    main()

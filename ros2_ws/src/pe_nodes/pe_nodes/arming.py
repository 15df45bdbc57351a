"""Arming: on a robot nothing moves before somebody has said that it may, and the place has been looked at.

The pure part says why a robot may not be armed; the gate holds the answer, and takes the services and the stop.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from std_msgs.msg import String
from std_srvs.srv import Trigger

from pe_core.arena import Arena
from pe_core.config import ConfigurationError
from pe_core.robot import RobotModel
from pe_nodes import episode as episodes
from pe_nodes import qos
from pe_nodes.command_output import CommandOutput
from pe_nodes.emergency_stop import PRESSED, EmergencyStop
from pe_nodes.inputs import StampedInput
from pe_nodes.safety_inputs import SafetyInputs
from pe_nodes.settings import SafetySettings
from pe_safety.filter import SafetyFilter
from pe_safety.sent_commands import SentCommands

NEXT_EPISODE = "/next_episode"
"""Arena and starting poses of the episode that will be played, as on /episode, before anybody may move."""
NOT_ARMED = "not armed"
STANDING_V, STANDING_OMEGA = 0.02, 0.1
"""A robot at rest is slower: above the noise of wheel odometry [m/s, rad/s]."""


def refusals(
    heard: SafetyInputs,
    output: CommandOutput,
    safety: SafetyFilter,
    sent: SentCommands,
    parameters: NDArray[np.float64],
    arena: Arena | None,
    now_ns: int,
) -> list[str]:
    """Every reason why a robot with these inputs may not be armed at ``now_ns``; ``parameters`` are the filter's."""
    found = [why for why in (heard.fault, heard.estimator, heard.obstacle, output.type_error) if why]
    if not output.linked():
        found.append("nobody listens to its commands: no driver, no watchdog")
    found += refusals_of_inputs((heard.own, heard.opponent), now_ns, safety.robot)
    if found or arena is None:
        return found
    own, known = heard.own_at(now_ns, sent), heard.uncertainty(now_ns, sent, parameters)
    opponent, age = heard.opponent_at(now_ns)
    barriers = safety.barriers(own, opponent, arena, age, **known)
    return refusals_of_place(barriers, arena, float(own[0]), float(own[1]), safety.robot.radius)


def refusals_of_inputs(inputs: tuple[StampedInput, StampedInput], now_ns: int, robot: RobotModel) -> list[str]:
    """What is wrong with own state and opponent's state, before anything can be said of the place."""
    own = inputs[0]
    found = [source.describe(now_ns) for source in inputs if source.lost(now_ns)]
    if own.values is not None and not own.lost(now_ns):
        v, omega = own.values[3], own.values[4]
        if abs(v) > STANDING_V + 0.02 * robot.v_max or abs(omega) > STANDING_OMEGA:
            found.append(f"the robot moves ({v:.2f} m/s, {omega:.2f} rad/s)")
    return found


def refusals_of_place(barriers: Mapping[str, float], arena: Arena, x: float, y: float, radius: float) -> list[str]:
    """Where the robot is too near to something: each barrier h (margins included) that is not positive."""
    clear = arena.body_margin(x, y, radius)
    found = []
    if not (math.isfinite(clear) and clear > 0.0):
        found.append(f"the body is {-clear:.2f} m outside the free arena at ({x:.2f}, {y:.2f})")
    for name, value in barriers.items():
        if not value > 0.0:
            found.append(f"margin to {name} is used up (h = {value:.3f})")
    return found


class ArmingGate:
    """Whether a robot may move: services ``~/arm``, ``~/disarm``, ``~/emergency_stop``, ``~/clear_faults``, and the
    emergency stop's topic.

    What it decides stands in ``heard``: ``unarmed`` holds the robot, a latched fault too.

    Attributes:
        armed: it may move, as far as this gate is concerned.
        arena: of the announced episode, None before the first.
    """

    def __init__(
        self,
        node: Node,
        settings: SafetySettings,
        heard: SafetyInputs,
        refusals: Callable[[Arena | None], list[str]],
        look: Callable[[], None],
        act: Callable[[], None],
    ) -> None:
        """``refusals``: what is wrong in an arena; ``look`` latches a fault of the graph; ``act`` commands at once."""
        self._node = node
        self._required = settings.require_arming
        self._heard, self._refusals, self._look, self._act = heard, refusals, look, act
        self.arena: Arena | None = None
        self.armed = not self._required
        heard.unarmed = "" if self.armed else NOT_ARMED
        self._stop = EmergencyStop(node, settings.stop_timeout, self._on_stop)
        node.create_subscription(String, NEXT_EPISODE, self._on_next, qos.LATCHED)
        for name, answer in (
            ("arm", self._on_arm), ("disarm", self._on_disarm), ("emergency_stop", self._on_stop_service),
            ("clear_faults", self._on_clear),
        ):  # fmt: skip
            node.create_service(Trigger, f"~/{name}", answer)

    def disarm(self, why: str) -> None:
        """From now on the robot stands."""
        if self.armed:
            self._node.get_logger().info(f"disarmed: {why}")
        self.armed, self._heard.unarmed = False, f"{NOT_ARMED} ({why})"

    def ended(self) -> None:
        """The episode is over: people walk in, so every episode is armed anew."""
        if self._required:
            self.disarm("the episode is over")

    def refusals(self) -> list[str]:
        """Every reason not to arm now."""
        found = [reason] if (reason := self._stop.why()) else []
        if self.arena is None and self._required:
            found.append(f"no arena is known: nothing was announced on {NEXT_EPISODE}")
        return found + [why for why in self._refusals(self.arena) if why not in found]

    def values(self) -> dict[str, str]:
        """For the heartbeat: whether it is armed, and what stands in the way."""
        if self.armed or not self._required:
            return {"armed": "yes" if self.armed else "no"}
        return {"armed": "no", "refused": "; ".join(self.refusals())}

    def _on_next(self, message: String) -> None:
        try:
            _, episode = episodes.parse(message.data)
        except ConfigurationError as error:
            self._node.get_logger().error(str(error), throttle_duration_sec=5.0)
            return
        self.arena = episode.arena

    def _on_stop(self, reason: str) -> None:
        # Silence before anybody could be armed is no fault: it is among the reasons not to arm.
        if reason == PRESSED or self.armed:
            self.disarm(reason)
            self._heard.latch(reason)
            self._act()

    def _on_arm(self, _: Any, response: Trigger.Response) -> Trigger.Response:
        if self.armed:
            response.success, response.message = True, "armed already"
            return response
        if found := self.refusals():
            response.success, response.message = False, "refused: " + "; ".join(found)
            self._node.get_logger().warning(response.message)
            return response
        self.armed, self._heard.unarmed = True, ""
        self._node.get_logger().info("armed")
        response.success, response.message = True, "armed"
        return response

    def _on_disarm(self, _: Any, response: Trigger.Response) -> Trigger.Response:
        self.disarm("by its service")
        self._act()
        response.success, response.message = True, "disarmed"
        return response

    def _on_stop_service(self, _: Any, response: Trigger.Response) -> Trigger.Response:
        self._on_stop(PRESSED)
        response.success, response.message = True, "stopped; ~/clear_faults, then ~/arm, let it move again"
        return response

    def _on_clear(self, _: Any, response: Trigger.Response) -> Trigger.Response:
        if self._stop.pressed:
            response.success, response.message = False, PRESSED
            return response
        response.success, response.message = self._heard.clear()
        self._look()
        if self._heard.fault:
            response.success, response.message = False, self._heard.fault
        return response

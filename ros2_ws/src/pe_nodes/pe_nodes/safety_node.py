"""Safety node: the only publisher of a robot's cmd_vel.  Mathematics in pe_safety, conditions in safety_inputs.

A cycle runs when nominal command and states of one instant are there, and from the node's own timer when they
are not; a wall-clock guard publishes zeros where ROS time itself stands still.
"""

from __future__ import annotations

import math
import time
from functools import partial
from typing import Any, NoReturn

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import TwistStamped
from nav_msgs.msg import Odometry

from pe_core.arena import Arena
from pe_nodes import inputs, parameters, qos
from pe_nodes.arming import ArmingGate, refusals
from pe_nodes.command_output import ZERO, CommandOutput
from pe_nodes.episode import Episode
from pe_nodes.feasibility_warning import make_look
from pe_nodes.game_node import GameNode
from pe_nodes.inputs import StampedInput
from pe_nodes.learned_disturbance import make_filter
from pe_nodes.messages import command_values, stamp_ns, state_values
from pe_nodes.node_process import run_process
from pe_nodes.robot_models import models
from pe_nodes.safety_inputs import ESTIMATOR, Mode, SafetyInputs
from pe_nodes.safety_status import UNFILTERED, Counts, Cycle, SafetyStatus, account, judge
from pe_nodes.settings import SafetySettings
from pe_nodes.timing import Rate, Timing
from pe_safety.parameters import SafetyParameters, load_safety
from pe_safety.sent_commands import SentCommands

GRAPH_CHECK = 0.2


class SafetyNode(GameNode):
    """Filters cmd_vel_nominal into cmd_vel."""

    def __init__(self) -> None:
        super().__init__("safety", SafetySettings())
        profile = self.get_parameter("profile").value
        self.guarded |= set(parameters.declare(self, load_safety(str(profile)), "filter."))

    def setup(self, settings: SafetySettings) -> None:
        self.settings = settings
        own, opponent = models(settings)
        chosen = parameters.read(self, SafetyParameters, "filter.")
        heard = self._inputs = SafetyInputs(settings, own, opponent, f"{self.get_namespace()}/{ESTIMATOR}")
        heard.modelled = chosen.moves_otherwise
        self._sent, self._bounds = SentCommands(own.as_array(), settings.dt), chosen.as_array(settings.dt)
        self._sent.warm_up()
        self._filter = make_filter(settings, chosen, (own, opponent), heard, self._sent)
        self._look = make_look(settings, chosen, (own, opponent))
        self._status = SafetyStatus(f"{self.get_namespace()}/safety", self.get_namespace())
        self._last_ns, self._nominal_wall = -1, 0.0
        self._mode, self._reason = Mode.WAITING, "no episode is being played"
        self._guarding = False
        self._counts = Counts()
        self._timing, self._rate = Timing(deadline=0.5 * settings.dt), Rate()
        command, status = (qos.kept(profile, settings.lockstep) for profile in (qos.COMMAND, qos.LATCHED))
        self._output = CommandOutput(self, settings.stamped_cmd_vel, settings.base_frame, settings.dt, profile=command)
        self._status_publisher = self.create_publisher(DiagnosticArray, "safety/status", status)
        self._links = [
            self.create_subscription(TwistStamped, "cmd_vel_nominal", self._on_nominal, qos.COMMAND),
            self.create_subscription(Odometry, "state", partial(self._on_state, heard.own), qos.STATE),
            self.create_subscription(Odometry, "opponent_state", partial(self._on_state, heard.opponent), qos.STATE),
        ]
        self.create_subscription(DiagnosticArray, "/diagnostics", self._inputs.hear, qos.EVENT)
        self._gate = ArmingGate(self, settings, heard, self._refusals, self._check_graph, self._act)
        self.follow_episodes()
        self._period = 1.0 / settings.publish_rate
        if settings.lockstep:
            self._period = max(self._period, settings.dt)
        self.create_timer(self._period, self._on_timer)
        self.create_timer(0.05, self._on_guard, clock=self.steady)
        self.create_timer(GRAPH_CHECK, self._check_graph, clock=self.steady)

    def activate(self) -> None:
        self._output.last_wall = time.monotonic()
        self._output.look()
        self._check_graph()

    def deactivate(self) -> None:
        self._output.burst(max(self.now_ns(), self._last_ns))

    # -- inputs -------------------------------------------------------------------------------------------

    def episode_started(self, episode: Episode) -> None:
        self._inputs.begin(episode.start_ns)
        self._sent.clear()
        self._last_ns = -1
        self._guarding = False
        self._output.last = ZERO
        self._output.last_wall = time.monotonic()

    def episode_ended(self, episode: Episode) -> None:
        self._inputs.playing = False
        self._gate.ended()

    def clock_went_back(self, seconds: float) -> None:
        self._inputs.forget()
        self._sent.clear()
        self._last_ns = -1
        if self.active and self._inputs.playing:
            self._inputs.latch(f"the clock went back by {seconds:.2f} s")
            self._cycle(self.now_ns())

    def ready_for(self, episode: Episode) -> bool:
        linked = all(link.get_publisher_count() > 0 for link in self._links)
        return linked and self._output.linked()

    def _on_nominal(self, message: TwistStamped) -> None:
        self._nominal_wall = time.perf_counter()
        self._offer(self._inputs.nominal, command_values(message), stamp_ns(message.header.stamp))

    def _on_state(self, source: StampedInput, message: Odometry) -> None:
        self._offer(source, state_values(message), stamp_ns(message.header.stamp))

    def _offer(self, source: StampedInput, values: tuple[float, ...], stamp: int) -> None:
        now = self.now_ns()
        if self.settings.lockstep and 0 < stamp - now <= round(1e9 * self.settings.dt):
            # The instant that is being played; the clock message that announces it may come after it.
            now = stamp
        verdict = self._inputs.offer(source, values, stamp, now)
        if verdict not in (inputs.ACCEPTED, inputs.DUPLICATE):
            self.get_logger().error(f"{source.name} rejected: {verdict}", throttle_duration_sec=5.0)
            return
        if stamp == 0 and source.zero_stamps == 1:
            self.get_logger().warning(f"{source.name} has no stamp: taken as now")
        if not self.active or not self._inputs.playing:
            return
        event = self._inputs.nominal.stamp_ns
        lockstep = self.settings.lockstep
        if lockstep and verdict == inputs.DUPLICATE and event == self._last_ns:
            self._output.send(event, self._output.last)  # the simulator asks again: the answer was lost
        elif lockstep and event > max(self._last_ns, 0) and self._inputs.complete(event):
            self._guarding = False
            self._cycle(event)
        elif not lockstep and source is self._inputs.nominal and verdict == inputs.ACCEPTED:
            # At once, also where the timer's cycle was stamped later than the state behind this command.
            self._cycle(max(now, self._last_ns + 1))

    # -- cycles -------------------------------------------------------------------------------------------

    def _on_timer(self) -> None:
        now = self.clock_ns()
        if not self.active or now <= self._last_ns:
            return
        if self.settings.lockstep:
            # The simulator waits for us; answer without inputs only when the guard has found them missing.
            lost = self._inputs.nominal.lost(now) or self._inputs.own.lost(now)
            if self._inputs.fault or (self._guarding and lost):
                self._cycle(now)
        elif now - self._last_ns >= 1.5e9 * self._period or self._mode is not Mode.ACTIVE:
            self._cycle(now)

    def _on_guard(self) -> None:
        if self.active and time.monotonic() - self._output.last_wall > self.settings.clock_guard:
            self._counts.guarded()
            # In lockstep a zero stamped like a step answers for that step: not before something was received in it.
            self._guarding = any(source.values is not None for source in self._inputs.all)
            now = self.clock_ns()
            if not self._guarding and self.episode is not None:
                now = min(now, self.episode.start_ns - round(1e9 * self.settings.dt))
            mode, reason = self._inputs.decide(now)
            if mode is Mode.ACTIVE:
                mode, reason = Mode.STOPPED, "no new inputs while the clock stands still"
            self._finish(now, mode, reason, ZERO)

    def _cycle(self, stamp: int) -> None:
        mode, reason = self._inputs.decide(stamp)
        if mode is not Mode.ACTIVE:
            self._finish(stamp, mode, reason, ZERO)
            return
        own = self._inputs.own_at(stamp, self._sent)
        opponent, age = self._inputs.opponent_at(stamp)
        episode, nominal = self.episode, self._inputs.nominal.values
        if episode is None or nominal is None:
            return
        known = self._inputs.uncertainty(stamp, self._sent, self._bounds)
        result = self._filter.step(own, nominal, opponent, episode.arena, opponent_age=age, **known)
        command = result.command
        if not (math.isfinite(command[0]) and math.isfinite(command[1])):
            self._inputs.latch(f"the filter gave {command}")
            mode, reason, command = Mode.FAULT, self._inputs.fault, ZERO
        look = partial(self._look, own, opponent, episode.arena, age, **known)
        self._finish(stamp, mode, reason, command, Cycle(nominal, own, opponent, result, look))

    def _finish(
        self, stamp: int, mode: Mode, reason: str, command: tuple[float, float], cycle: Cycle = UNFILTERED
    ) -> None:
        self._output.send(stamp, command)
        self._sent.add(stamp, command)
        self._inputs.response.sent(stamp, command)
        if (mode, reason) != (self._mode, self._reason) and mode in (Mode.STOPPED, Mode.FAULT):
            self.get_logger().warning(f"{mode}: {reason}", throttle_duration_sec=2.0)
        self._mode, self._reason, self._last_ns = mode, reason, stamp
        episode = -1 if self.episode is None else self.episode.index
        margin = cycle.look()  # only now: a warning delays no command
        self._status_publisher.publish(
            self._status.fill(stamp, mode, reason, episode, self._inputs, command, cycle, margin)
        )
        result = cycle.result
        if result is not None:
            self._timing.add(time.perf_counter() - self._nominal_wall)
            self._counts.add(result, margin)
        self._rate.tick()

    # -- faults -------------------------------------------------------------------------------------------

    def _check_graph(self) -> None:
        fault = self._output.check()
        self._inputs.obstacle = self._output.former
        if fault and self.active:
            self._inputs.latch(fault)

    def _refusals(self, arena: Arena | None) -> list[str]:
        safety, bounds = self._filter, self._bounds
        return refusals(self._inputs, self._output, safety, self._sent, bounds, arena, self.now_ns())

    def _act(self) -> None:
        if self.active:
            self._cycle(self.now_ns())

    def diagnose(self, now: float) -> tuple[Any, str, dict[str, str]]:
        ros_now = self.now_ns()
        values = {"mode": str(self._mode), "rate_hz": f"{self._rate.read(now):.1f}"} | account(self._inputs, ros_now)
        values |= self._counts.texts() | self._gate.values()
        values |= {f"cycle_{key}": value for key, value in self._timing.summary_ms().items()}
        values |= {f"period_{key}": value for key, value in self._output.periods.summary_ms().items()}
        return *judge(self._mode, self._reason, self._output.type_error, self._inputs), values


def main() -> NoReturn:
    """Entry point of the executable ``safety``."""
    run_process(SafetyNode)


if __name__ == "__main__":
    main()

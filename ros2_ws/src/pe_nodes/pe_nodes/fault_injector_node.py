"""Fault injector node: stands between nodes and does to messages, clocks and processes what a plan says.

It says on ``/faults`` (std_msgs/String, JSON) when each fault begins and ends.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any, NoReturn

from rosgraph_msgs.msg import Clock
from std_msgs.msg import String

from pe_core.config import ConfigurationError
from pe_nodes import fault_wiring, qos
from pe_nodes.episode import Episode
from pe_nodes.fault_messages import FaultyTopic, shifted
from pe_nodes.fault_processes import ProcessFault
from pe_nodes.fault_wiring import Relay
from pe_nodes.faults import MACHINE, ClockError, Fault, Hog, Kill, Slow, parse_plan
from pe_nodes.game_node import OK, WARN, GameNode
from pe_nodes.message_types import message_class
from pe_nodes.messages import NANO, set_stamp, stamp_ns
from pe_nodes.node_process import run_process
from pe_nodes.settings import FaultSettings

TICK = 0.01
OUTSIDE = -1.0
"""Time [s] of an episode when none is played: no fault acts."""


class FaultInjectorNode(GameNode):
    """Passes on what it hears, except where and when a fault acts."""

    def __init__(self) -> None:
        super().__init__("fault_injector", FaultSettings())

    def setup(self, settings: FaultSettings) -> None:
        self.settings = settings
        try:
            self._plan = parse_plan(json.loads(settings.plan), "plan")
        except ValueError as error:
            raise ConfigurationError(f"plan: {error}") from error
        self._playing = False
        self._dt = settings.dt
        self._true_ns, self._true_wall = 0, time.monotonic()
        self._topics: dict[str, FaultyTopic] = {}
        self._outputs: dict[str, Any] = {}
        self._links: list[Any] = []
        for relay in fault_wiring.relays(self._plan, settings.poses):
            self._add(relay)
        self._clocks = {
            target: self.create_publisher(Clock, topic, qos.CLOCK)
            for target, topic in fault_wiring.clocks(self._plan).items()
        }
        self._clock_message = Clock()
        self._events = self.create_publisher(String, fault_wiring.EVENTS, qos.LATCHED)
        self._processes = {
            number: ProcessFault(fault, settings.rate, os.environ)
            for number, fault in enumerate(self._plan.faults)
            if isinstance(fault, (Kill, Slow, Hog))
        }
        self._acting: set[int] = set()
        self.create_subscription(Clock, "/clock", self._on_clock, qos.CLOCK)
        self.follow_episodes()
        self.create_timer(TICK, self._update, clock=self.steady)

    def _add(self, relay: Relay) -> None:
        active = fault_wiring.message_faults(self._plan, relay.target)
        topic = self._topics[relay.target] = FaultyTopic(relay.target, active, self._plan.seed, self._dt)
        profile = qos.SENSOR if relay.reliability == "best_effort" else qos.STATE
        kind = message_class(relay.kind)
        output = self._outputs[relay.target] = self.create_publisher(kind, relay.output, profile)

        def pass_on(message: Any) -> None:
            topic.offer(message, self._index(), self._time())
            self._send(topic, output)

        self._links.append(self.create_subscription(kind, relay.source, pass_on, profile))

    def deactivate(self) -> None:
        for process in self._processes.values():
            process.end()

    # -- time ---------------------------------------------------------------------------------------------

    def _index(self) -> int:
        return -1 if self.episode is None else self.episode.index

    def _time(self) -> float:
        """Simulated time [s] since the start of the episode, also between two messages of the clock."""
        if self.episode is None or not self._playing or not self._true_ns:
            return OUTSIDE
        since = min((time.monotonic() - self._true_wall) * self.settings.rate, 2.0 * self._dt)
        return (self._true_ns - self.episode.start_ns) / NANO + since

    def episode_started(self, episode: Episode) -> None:
        self._end_all()
        for topic in self._topics.values():
            topic.clear()
        self._playing = True

    def episode_ended(self, episode: Episode) -> None:
        self._end_all()
        self._playing = False

    def ready_for(self, episode: Episode) -> bool:
        outputs = [*self._outputs.values(), *self._clocks.values()]
        heard = all(output.get_subscription_count() > 0 for output in outputs)
        return heard and all(link.get_publisher_count() > 0 for link in self._links)

    # -- faults -------------------------------------------------------------------------------------------

    def _on_clock(self, message: Clock) -> None:
        self._true_ns, self._true_wall = stamp_ns(message.clock), time.monotonic()
        index, now = self._index(), self._time()
        for target, publisher in self._clocks.items():
            offset = sum(
                fault.offset(now)
                for fault in self._plan.faults
                if isinstance(fault, ClockError) and fault.target == target and fault.acts(index, now)
            )
            set_stamp(self._clock_message.clock, shifted(self._true_ns, offset))
            publisher.publish(self._clock_message)

    def _send(self, topic: FaultyTopic, output: Any) -> None:
        for message in topic.due(self._time()):
            output.publish(message)

    def _update(self) -> None:
        if not self.active:
            return
        index, now = self._index(), self._time()
        for target, topic in self._topics.items():
            topic.update(index, now)
            self._send(topic, self._outputs[target])
        for number, fault in enumerate(self._plan.faults):
            acts = fault.acts(index, now)
            if acts and number not in self._acting:
                self._begin(number, fault, now)
            elif not acts and number in self._acting:
                self._end(number, now)
            elif acts and number in self._processes:
                self._processes[number].update(now)

    def _begin(self, number: int, fault: Fault, now: float) -> None:
        self._acting.add(number)
        done = self._processes[number].begin() if number in self._processes else ""
        self._say("begin", number, fault, now, done)

    def _end(self, number: int, now: float) -> None:
        self._acting.discard(number)
        if number in self._processes:
            self._processes[number].end()
        self._say("end", number, self._plan.faults[number], now, "")

    def _end_all(self) -> None:
        for number in sorted(self._acting):
            self._end(number, self._time())

    def _say(self, event: str, number: int, fault: Fault, now: float, done: str) -> None:
        said = {
            "event": event,
            "number": number,
            "episode": self._index(),
            "time_s": round(now, 3),
            "done": done,
        }
        said |= {"stamp_ns": self._true_ns, "fault": fault.as_mapping()}
        self._events.publish(String(data=json.dumps(said)))
        where = "" if fault.target == MACHINE else f" on {fault.target}"
        self.get_logger().warning(f"fault {event}s: {fault.kind}{where} at {now:.2f} s {done}".rstrip())

    def diagnose(self, now: float) -> tuple[Any, str, dict[str, str]]:
        acting = [
            f"{fault.kind} {fault.target}" for n, fault in enumerate(self._plan.faults) if n in self._acting
        ]
        values = {"faults": str(len(self._plan.faults)), "acting": str(len(acting))}
        return (WARN, "injecting " + ", ".join(acting), values) if acting else (OK, "no fault acts", values)


def main() -> NoReturn:
    """Entry point of the executable ``fault_injector``."""
    run_process(FaultInjectorNode)


if __name__ == "__main__":
    main()

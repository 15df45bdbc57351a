"""Arena simulator node: plays the robots' part, physics by pe_core.plant.

``rate`` 0 is lockstep: clock and odometry of t_k go out, both commands stamped t_k come back, the world steps.
Any other rate steps from a wall timer; what a base does without a new command is up to its device.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable
from typing import Any, NoReturn

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.duration import Duration
from rosgraph_msgs.msg import Clock
from std_msgs.msg import Header, String

from pe_core.arena import load_arena
from pe_core.robot import load_robot
from pe_core.rules import Outcome, check_game
from pe_core.scenario import load_scenario, sample_layout
from pe_nodes import arena_game, qos
from pe_nodes.arena_game import ArenaGame
from pe_nodes.game_node import OK, WARN, GameNode
from pe_nodes.lockstep import Lockstep, describe_silence
from pe_nodes.markers import MarkerPublisher
from pe_nodes.messages import NANO, command_values, set_stamp, stamp_ns
from pe_nodes.node_process import run_process
from pe_nodes.robot_models import scaled
from pe_nodes.settings import ROLES, SimSettings
from pe_nodes.sim_progress import RUNNING, Progress
from pe_nodes.sim_topics import RobotTopics

WATCH = 0.02
ANNOUNCE = 0.5
PROGRESS = 0.1
# Both ends of a connection learn of one another at different times; the first samples may get lost before.
SETTLE = 0.5
LINGER = 0.2
GAP_NS = NANO  # between the stamps of two episodes
NOT_READY = 3


class ArenaSimNode(GameNode):
    """Plays ``episodes`` episodes, then ends with exit code 0."""

    def __init__(self, settings: SimSettings | None = None) -> None:
        super().__init__("arena_sim", settings or SimSettings())

    def setup(self, settings: SimSettings) -> None:
        self.settings = settings
        self.linger = LINGER
        self._arena = load_arena(settings.arena)
        self._scenario = load_scenario(settings.scenario)
        robots = (load_robot(settings.pursuer_robot), load_robot(settings.evader_robot))
        self._robots = (robots[0], scaled(robots[1], settings.speed_ratio))
        check_game(self._arena, *self._robots)
        self._game = self._make_game(settings.first_episode).rehearsed()
        self._index = settings.first_episode
        self._topics = {
            role: RobotTopics(self, settings, role, self._game, self._on_command, self._on_ready) for role in ROLES
        }
        self.create_subscription(Header, "/episode_ready", self._on_ready, qos.EVENT)
        self._progress = Progress(settings.episodes)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._progress.on_diagnostics, qos.EVENT)
        self._clock_publisher = self.create_publisher(Clock, "/clock", qos.CLOCK)
        self._episodes = self.create_publisher(String, "/episode", qos.LATCHED)
        self._markers = MarkerPublisher(self, settings.map_frame)
        self._clock_message = Clock()
        self._missing: set[str] = set()
        self._playing = self._settled = False
        self._time_ns = NANO
        self._lockstep = Lockstep(ROLES, settings.answer_timeout)
        self._sent = self._shown = self._begun = 0.0
        self.create_timer(WATCH, self._watch, clock=self.steady)
        if settings.rate > 0.0:
            self.create_timer(self._game.tick / settings.rate, self._on_tick, clock=self.steady)

    def _make_game(self, index: int) -> ArenaGame:
        seed = self.settings.seed
        layout = sample_layout(self._scenario, self._arena, *self._robots, seed, index)
        noisy, lockstep = self.settings.noise != "none", self.settings.rate == 0.0
        return ArenaGame(layout, self._arena, self._robots, seed, index, noisy, self.settings.devices, lockstep)

    def activate(self) -> None:
        self._begin()

    def deactivate(self) -> None:
        if self._playing:
            self._finish_episode("interrupted")
        end = time.monotonic() + 0.5  # what was said last must have arrived before this process is gone
        for publisher in self.publishers:
            publisher.wait_for_all_acked(Duration(seconds=max(end - time.monotonic(), 0.0)))

    # -- episodes -----------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self.episode = self._game.episode(
            self._index, self._time_ns, self._scenario.name, self.settings.speed_ratio
        )
        self._missing = set(self.settings.expected_nodes)
        self._begun = time.monotonic()
        self._announce()
        if not self._missing and self._settled:
            self._play()

    def _announce(self) -> None:
        if self.episode is None:
            return
        self._sent = time.monotonic()
        # One step before the start, so that no command of the time before is stamped like one of the episode.
        self._publish_clock(self.episode.start_ns - round(self._arena.dt * NANO))
        for topics, plant in zip(self._topics.values(), self._game.plants, strict=True):
            topics.publish_initial(self.episode.start_ns, plant.state)
        self._episodes.publish(String(data=json.dumps(self.episode.announcement())))

    def _on_ready(self, message: Header) -> None:
        if self.episode is not None and stamp_ns(message.stamp) == self.episode.start_ns and self._missing:
            self._missing.discard(message.frame_id)
            self._sent = time.monotonic()
            if not self._missing and self._settled:
                self._play()

    def _play(self) -> None:
        self._playing = True
        self._begun = time.monotonic()
        self._publish_step()

    def _finish_episode(self, outcome: str) -> None:
        self._playing = False
        if self.episode is not None:
            event = self.episode.announcement() | self._game.account(outcome)
            self._episodes.publish(String(data=json.dumps(event)))
        self._progress.show(self._index - self.settings.first_episode, self._game, outcome)

    def _next(self) -> None:
        self._index += 1
        if self._index >= self.settings.first_episode + self.settings.episodes:
            self.stop()
            return
        self._game = self._make_game(self._index)
        self._time_ns += GAP_NS
        self._begin()

    # -- steps --------------------------------------------------------------------------------------------

    def _publish_clock(self, time_ns: int) -> None:
        set_stamp(self._clock_message.clock, time_ns)
        self._clock_publisher.publish(self._clock_message)

    def _publish_step(self) -> None:
        self._lockstep.begin(time.monotonic())
        self._ask(ROLES)
        game = self._game
        if game.between_steps:
            return
        self._publish_truth()
        if self.settings.noise != "none" and game.steps % max(round(arena_game.POSE_PERIOD / self._arena.dt), 1) == 0:
            for topics, plant, odometer in zip(self._topics.values(), game.plants, game.odometers, strict=True):
                topics.publish_pose(self._time_ns, odometer.absolute_pose(plant.state))

    def _publish_truth(self) -> None:
        for topics, plant in zip(self._topics.values(), self._game.plants, strict=True):
            topics.publish_truth(self._time_ns, plant.state)

    def _ask(self, roles: Iterable[str]) -> None:
        self._publish_clock(self._time_ns)
        for role, odometer, due in zip(ROLES, self._game.odometers, self._game.due, strict=True):
            if role in roles and due:
                self._topics[role].publish_odometry(self._time_ns, odometer.reading)

    def _on_command(self, role: str, message: Any) -> None:
        v, omega = command_values(message)
        if not (math.isfinite(v) and math.isfinite(omega)):
            self.get_logger().error(f"/{role}/cmd_vel is not finite", throttle_duration_sec=5.0)
        answers = self._playing and self.settings.rate == 0.0
        if answers and self.settings.stamped_cmd_vel and stamp_ns(message.header.stamp) != self._time_ns:
            return
        self._game.receive(ROLES.index(role), (v, omega))
        if answers and self._lockstep.answer(role):
            self._advance()

    def _on_tick(self) -> None:
        if self._playing:
            self._advance()

    def _advance(self) -> None:
        outcome = self._game.step()
        self._time_ns += self._game.tick_ns()
        if outcome is Outcome.RUNNING:
            self._publish_step()
            return
        self._publish_clock(self._time_ns)
        self._publish_truth()
        self._finish_episode(outcome.name.lower())
        self._next()

    # -- watching -----------------------------------------------------------------------------------------

    def _watch(self) -> None:
        now = time.monotonic()
        if not self.active or self.exit_code:
            return
        if self._missing:
            if now - self._begun > self.settings.ready_timeout:
                names = ", ".join(sorted(self._missing))
                self.fail(NOT_READY, f"not ready after {self.settings.ready_timeout:.0f} s: {names}")
            elif now - self._sent > ANNOUNCE:
                self._announce()
        elif not self._playing and not self._settled:
            if now - self._sent > SETTLE:
                self._settled = True
                self._play()
        elif self._playing:
            if self.settings.rate == 0.0 and (late := self._lockstep.late(now)):
                self._late(late, now)
            if now - self._shown > PROGRESS:
                self._shown = now
                self._progress.show(self._index - self.settings.first_episode, self._game, RUNNING)
        self._markers.update(now, self._time_ns, self._game)

    def _late(self, late: set[str], now: float) -> None:
        step, silent = self._lockstep.give_up(late, now)
        if not step:
            self._ask(late)
            return
        present = [f"{space.rstrip('/')}/{name}" for name, space in self.get_node_names_and_namespaces()]
        for role in silent:
            waited = self._lockstep.waited(now)
            self.get_logger().error(describe_silence(role, waited, self.settings.expected_nodes, present))
        self._advance()

    def diagnose(self, now: float) -> tuple[Any, str, dict[str, str]]:
        values = {"episode": str(self._index), "time_s": f"{self._time_ns / NANO:.2f}"}
        if self._missing:
            return WARN, "waiting for " + ", ".join(sorted(self._missing)), values
        if self._lockstep.silent:
            return WARN, "no commands for " + ", ".join(sorted(self._lockstep.silent)), values
        return OK, "playing" if self._playing else "idle", values


def main() -> NoReturn:
    """Entry point of the executable ``arena_sim``."""
    run_process(ArenaSimNode)


if __name__ == "__main__":
    main()

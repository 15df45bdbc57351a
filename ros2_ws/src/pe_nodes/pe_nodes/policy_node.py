"""Policy node: states in, nominal command out; the encoder and the model are those of pe_core."""

from __future__ import annotations

import time
from typing import Any, NoReturn

import numpy as np
import torch
from geometry_msgs.msg import TwistStamped
from nav_msgs.msg import Odometry

from pe_core import observation
from pe_core.bundle import NoiseSource, load_bundle
from pe_core.robot import RADIUS, command_from_action
from pe_core.unicycle import arc_step
from pe_nodes import inputs, qos
from pe_nodes.episode import Episode
from pe_nodes.game_node import ERROR, OK, WARN, GameNode
from pe_nodes.heartbeats import LISTENERS, NOMINAL
from pe_nodes.inputs import StampedInput
from pe_nodes.messages import odometry_values, set_command, stamp_ns
from pe_nodes.node_process import run_process
from pe_nodes.robot_models import models
from pe_nodes.settings import PolicySettings
from pe_nodes.timing import Rate, Timing


class PolicyNode(GameNode):
    """Publishes cmd_vel_nominal stamped like the own state it was computed from."""

    def __init__(self) -> None:
        super().__init__("policy", PolicySettings())
        # One thread: more of them only wait for one another in a model this small.
        torch.set_num_threads(1)

    def setup(self, settings: PolicySettings) -> None:
        self.settings = settings
        own_model, opponent_model = models(settings)
        self._bundle = load_bundle(settings.bundle, settings.role, settings.dt)
        self._bundle.warm_up()
        self._own_array, self._opponent_array = own_model.as_array(), opponent_model.as_array()
        self._own_array[RADIUS] += settings.body_margin
        self._own = StampedInput("own state", settings.state_timeout, settings.future_tolerance)
        self._opponent = StampedInput("opponent state", settings.opponent_timeout, settings.future_tolerance)
        # Odometry of a base may come faster than the control period that the policy was made for (62 Hz, Create 3):
        # a state counts when it is nearer to the next control instant than the one after it would be.
        faster = not settings.lockstep and own_model.odometry_rate * settings.dt > 1.5
        self._least_ns = round(1e9 * (settings.dt - 0.5 / own_model.odometry_rate)) if faster else 0
        self._observation = np.zeros((1, observation.SIZE))
        self._message = TwistStamped()
        self._message.header.frame_id = settings.base_frame
        self._noise: NoiseSource | None = None
        self._done_ns = -1
        self._arrived = 0.0
        self._playing = False
        self._timing = Timing(deadline=0.5 * settings.dt)
        self._rate = Rate()
        self._invalid_actions = 0
        self._publisher = self.create_publisher(
            TwistStamped, NOMINAL, qos.kept(qos.COMMAND, settings.lockstep)
        )
        self._links = [
            self.create_subscription(Odometry, "state", self._on_own, qos.STATE),
            self.create_subscription(Odometry, "opponent_state", self._on_opponent, qos.STATE),
        ]
        self.follow_episodes()
        if not settings.lockstep:
            self.create_timer(max(settings.pairing_wait, 0.002), self._pair_late, clock=self.steady)
        encode_once = np.zeros(5)
        observation.encode(
            encode_once, encode_once, self._own_array, self._opponent_array, 1.0, np.zeros((0, 3)), 0, 1.0, 1.0,
            settings.dt, self._observation[0],
        )  # fmt: skip
        command_from_action(0.0, 0.0, self._own_array)

    def episode_started(self, episode: Episode) -> None:
        schema = self._bundle.schema
        self._noise = NoiseSource(schema, episode.seed, episode.index, episode.max_steps)
        self._own.clear()
        self._opponent.clear()
        self._done_ns = -1
        self._playing = True

    def episode_ended(self, episode: Episode) -> None:
        self._playing = False

    def clock_went_back(self, seconds: float) -> None:
        self._own.clear()
        self._opponent.clear()
        self._done_ns = -1

    def ready_for(self, episode: Episode) -> bool:
        linked = all(link.get_publisher_count() > 0 for link in self._links)
        return linked and self._publisher.get_subscription_count() > 0

    def _on_own(self, message: Odometry) -> None:
        verdict = self._own.offer(odometry_values(message), stamp_ns(message.header.stamp), self.now_ns())
        if verdict == inputs.ACCEPTED:
            self._arrived = time.monotonic()
            self._step(paired=True)
        elif verdict == inputs.DUPLICATE and self._own.stamp_ns == self._done_ns and self.active:
            self._publisher.publish(self._message)

    def _on_opponent(self, message: Odometry) -> None:
        verdict = self._opponent.offer(odometry_values(message), stamp_ns(message.header.stamp), self.now_ns())
        if verdict == inputs.ACCEPTED:
            self._step(paired=True)

    def _pair_late(self) -> None:
        # The opponent's state of this instant did not come in time: go on with the one that is there.
        if self._own.stamp_ns != self._done_ns and time.monotonic() - self._arrived >= self.settings.pairing_wait:
            self._step(paired=False)

    def _step(self, paired: bool) -> None:
        stamp = self._own.stamp_ns
        if not (self.active and self._playing) or stamp == self._done_ns:
            return
        if self._done_ns >= 0 and 0 < stamp - self._done_ns < self._least_ns:
            return
        if self._own.values is None or self._opponent.values is None or self.episode is None:
            return
        behind = (stamp - self._opponent.stamp_ns) / 1e9
        if paired and abs(behind) > 0.5 * self.settings.dt:
            return
        now = self.now_ns()
        if self._own.lost(now) or self._opponent.lost(now):
            return
        start = time.perf_counter()
        self._compute(stamp, behind)
        self._timing.add(time.perf_counter() - start)
        self._rate.tick()

    def _compute(self, stamp: int, behind: float) -> None:
        episode = self.episode
        if episode is None or self._noise is None:
            return
        own, opponent = np.array(self._own.values), np.array(self._opponent.values)
        if behind > 0.0:
            opponent[:3] = arc_step(*opponent, min(behind, self.settings.opponent_timeout))
        step = episode.step_at(stamp)
        obstacles = episode.arena.obstacles
        observation.encode(
            own, opponent, self._own_array, self._opponent_array, episode.arena.half_side, obstacles,
            len(obstacles), episode.capture_radius, max(1.0 - step / episode.max_steps, 0.0), self.settings.dt,
            self._observation[0],
        )  # fmt: skip
        action = self._bundle.act(self._observation, self._noise.at(step))[0]
        self._done_ns = stamp
        if not np.isfinite(action).all():
            # Never forwarded: without a command the safety node stops the robot.
            self._invalid_actions += 1
            self.get_logger().error(f"policy '{self._bundle.schema.name}' gave {action}", throttle_duration_sec=5.0)
            return
        v, omega = command_from_action(action[0], action[1], self._own_array)
        set_command(self._message, stamp, v, omega)
        self._publisher.publish(self._message)

    def _listeners(self) -> list[str]:
        found = self.get_subscriptions_info_by_topic(self._publisher.topic_name)
        return sorted({f"{info.node_namespace.rstrip('/')}/{info.node_name}" for info in found})

    def diagnose(self, now: float) -> tuple[Any, str, dict[str, str]]:
        ros_now = self.now_ns()
        values = {
            "bundle": self._bundle.schema.name,
            "bundle_sha256": self._bundle.schema.sha256,
            "rate_hz": f"{self._rate.read(now):.1f}",
            "own_state_age_s": f"{self._own.age(ros_now):.3f}",
            "opponent_state_age_s": f"{self._opponent.age(ros_now):.3f}",
            "invalid_actions": str(self._invalid_actions),
            **{f"inference_{key}": value for key, value in self._timing.summary_ms().items()},
        }
        for source in (self._own, self._opponent):
            values |= {f"{source.name}: {reason}": str(count) for reason, count in source.rejected.items()}
        if self._invalid_actions:
            return ERROR, "the policy gave actions that are not finite", values
        if not self._playing:
            return OK, "waiting for an episode", values | {LISTENERS: " ".join(self._listeners())}
        for source in (self._own, self._opponent):
            if source.lost(ros_now):
                return WARN, source.describe(ros_now), values
        return OK, "playing", values


def main() -> NoReturn:
    """Entry point of the executable ``policy``."""
    run_process(PolicyNode)


if __name__ == "__main__":
    main()

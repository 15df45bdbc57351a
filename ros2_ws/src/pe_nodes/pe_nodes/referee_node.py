"""Referee node of robots: announces arena and starts, begins when both are armed, judges, scores, ends.

    /next_episode     where the robots must stand, and the arena that arming looks at
    ~/robots_placed   (where placed by hand) both stand there: the estimators are told so
    /episode          start, when both are armed; end, when the rules say so
    /emergency_stop   a heartbeat of false; ~/emergency_stop and ~/release say otherwise

It judges at the control instants t_k = start + k dt, on a tracker's poses (published as ``ground_truth``) or, where
there is none, on the robots' own estimates: then violations are those of the estimates, and no ground truth exists.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, NoReturn

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry
from numpy.typing import NDArray
from std_msgs.msg import String
from std_srvs.srv import Trigger

from pe_core.arena import load_arena
from pe_core.robot import load_robot
from pe_core.rules import Outcome, check_game
from pe_core.scenario import load_scenario, sample_layout
from pe_nodes import qos
from pe_nodes.arming import NEXT_EPISODE
from pe_nodes.deployment_settings import RefereeSettings
from pe_nodes.emergency_stop import StopHeartbeat
from pe_nodes.episode import Episode
from pe_nodes.game_node import OK, WARN, GameNode
from pe_nodes.markers import MarkerPublisher
from pe_nodes.messages import odometry_values, stamp_ns, yaw_of
from pe_nodes.node_process import run_process
from pe_nodes.referee_topics import Placement, RobotTopics
from pe_nodes.refereeing import Hearing, Match, PoseTrack, off_start, with_time
from pe_nodes.robot_models import scaled
from pe_nodes.sim_progress import RUNNING, Progress

TICK = 0.04
SAY = 2.0
HOLD = 1.0
"""Time [s] between two episodes, for the last one's messages to arrive."""


class RefereeNode(GameNode):
    """Plays ``episodes`` episodes with the robots of two namespaces, then ends with exit code 0."""

    def __init__(self) -> None:
        super().__init__("referee", RefereeSettings())

    def setup(self, settings: RefereeSettings) -> None:
        self.settings = settings
        self.linger = 0.5
        self._arena = with_time(load_arena(settings.arena), settings.max_time)
        self._scenario = load_scenario(settings.scenario)
        pursuer, evader = load_robot(settings.pursuer_robot), load_robot(settings.evader_robot)
        self._robots = (pursuer, scaled(evader, settings.speed_ratio))
        check_game(self._arena, *self._robots)
        self._names = (settings.pursuer_namespace.strip("/"), settings.evader_namespace.strip("/"))
        self._bundles = (settings.pursuer_bundle, settings.evader_bundle)
        self._index, self._begin_at = settings.first_episode, 0.0
        # Judged once here, so that nothing is compiled in the first step of an episode.
        self._make_match().judge(np.zeros(5), np.full(5, 50.0))
        self._match = self._make_match()
        self._tracks = (PoseTrack(), PoseTrack())
        self._topics = tuple(RobotTopics(self, settings, name) for name in self._names)
        self._hearing, self._progress = Hearing(), Progress(settings.episodes)
        self._placement = Placement(self._topics, self._hearing, settings.placed_by_hand)
        self._playing = False
        self._said, self._shown = "", 0.0
        for name, track in zip(self._names, self._tracks, strict=True):
            if settings.truth == "mocap":
                topic = f"/{name}/{settings.truth_topic}"
                self.create_subscription(PoseStamped, topic, partial(self._on_pose, track), qos.SENSOR)
            else:
                self.create_subscription(Odometry, f"/{name}/state", partial(self._on_state, track), qos.STATE)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, qos.EVENT)
        self._next = self.create_publisher(String, NEXT_EPISODE, qos.LATCHED)
        self._episodes = self.create_publisher(String, "/episode", qos.LATCHED)
        self._stop = StopHeartbeat(self, self._on_press)
        self._markers = MarkerPublisher(self, settings.map_frame)
        self.create_service(Trigger, "~/robots_placed", self._on_placed)
        self.create_timer(TICK, self._tick, clock=self.steady)

    def _make_match(self) -> Match:
        layout = sample_layout(self._scenario, self._arena, *self._robots, self.settings.seed, self._index)
        return Match(layout, self._arena, self._robots)

    def activate(self) -> None:
        self._announce()

    def deactivate(self) -> None:
        if self._playing:
            self._finish("interrupted", "the referee was stopped")

    # -- hearing ------------------------------------------------------------------------------------------

    def _on_pose(self, track: PoseTrack, message: PoseStamped) -> None:
        pose = message.pose
        track.add(stamp_ns(message.header.stamp), pose.position.x, pose.position.y, yaw_of(pose.orientation))

    def _on_state(self, track: PoseTrack, message: Odometry) -> None:
        track.add(stamp_ns(message.header.stamp), *odometry_values(message)[:3])

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        self._progress.on_diagnostics(message)
        self._hearing.hear(message.status, time.monotonic())
        if not self._playing:
            self._placement.remind(message.status)

    def _on_placed(self, _: Any, response: Trigger.Response) -> Trigger.Response:
        if self._playing:
            response.success, response.message = False, "refused: an episode is being played"
            return response
        layout = self._match.layout
        self._placement.tell(self.clock_ns(), (layout.pursuer, layout.evader))
        if self.settings.truth == "state":
            for track in self._tracks:  # where the robots were said to be before tells nothing
                track.clear()
        response.success, response.message = True, "the estimators are told until they know; arm both robots now"
        return response

    def _on_press(self) -> None:
        if self._playing:
            self._finish("interrupted", "emergency stop")

    # -- before an episode --------------------------------------------------------------------------------

    def _announce(self) -> None:
        layout = self._match.layout
        self._placement.forget()
        self.episode = self._make_episode(self.clock_ns(), (layout.pursuer, layout.evader))
        self._next.publish(String(data=json.dumps(self.episode.announcement())))

    def _make_episode(self, start_ns: int, poses: Sequence[NDArray[np.float64]]) -> Episode:
        settings = self.settings
        return self._match.announced(
            self._index, settings.seed, start_ns, self._scenario.name, settings.speed_ratio, poses
        )

    def _obstacles(self, now: float) -> list[str]:
        """Why the episode may not begin."""
        settings, found = self.settings, []
        if self._stop.pressed:
            found.append("emergency stop; ~/release lets it go")
        ros_now, layout = self.clock_ns(), self._match.layout
        starts = (layout.pursuer, layout.evader)
        tolerances = (settings.start_tolerance, settings.start_heading_tolerance)
        for name, track, start, bundle in zip(self._names, self._tracks, starts, self._bundles, strict=True):
            pose = track.newest()
            if pose is None or (ros_now - track.newest_ns) / 1e9 > settings.truth_timeout:
                found.append(f"no pose of {name}")
            elif self._placement.known and (off := off_start(pose, start, *tolerances)):
                found.append(f"{name} {off}")
            found += self._hearing.unready(name, bundle, now)
            found += self._hearing.unrecorded(name, settings.recorded, now)
        return found + self._placement.obstacles()

    def _wait(self, now: float) -> None:
        found = self._obstacles(now)
        text = "; ".join(found)
        if text != self._said and (not text or now - self._shown > SAY):
            self._said, self._shown = text, now
            self.get_logger().info(f"waiting: {text}" if text else "both robots are ready")
        if found:
            return
        start = self.clock_ns()
        poses = [pose for track in self._tracks if (pose := track.newest()) is not None]
        self.episode = self._make_episode(start, poses)
        self._playing = True
        self._episodes.publish(String(data=json.dumps(self.episode.announcement())))

    # -- an episode ---------------------------------------------------------------------------------------

    def _tick(self) -> None:
        now = time.monotonic()
        if not self.active or self._index >= self.settings.first_episode + self.settings.episodes:
            return
        if self._playing:
            self._play(now)
        elif now >= self._begin_at:
            if self._begin_at > 0.0:
                self._begin_at = 0.0
                self._announce()
            self._wait(now)
        states = tuple(track.newest() for track in self._tracks)
        self._markers.draw(now, self.clock_ns(), self._match.layout, self._robots, states)

    def _play(self, now: float) -> None:
        episode, match = self.episode, self._match
        if episode is None:
            return
        while self._playing:
            stamp = episode.stamp_of(match.step + 1)
            first, second = (track.at(stamp) for track in self._tracks)
            if first is None or second is None:
                break
            outcome = match.judge(first, second)
            if self.settings.truth == "mocap":
                for topics, state in zip(self._topics, (first, second), strict=True):
                    topics.publish_truth(stamp, state)
            if outcome is not Outcome.RUNNING:
                self._finish(outcome.name.lower())
                return
        behind = (self.clock_ns() - episode.stamp_of(match.step + 1)) / 1e9
        if behind > self.settings.truth_timeout:
            self._finish("interrupted", f"no poses of both robots for {behind:.2f} s")
        elif halted := self._hearing.halted(self._names, episode_age=behind + match.steps * episode.dt):
            self._finish("interrupted", halted)
        elif now - self._shown > 0.5:
            self._shown = now
            self._progress.show(self._index - self.settings.first_episode, match, RUNNING)

    def _finish(self, outcome: str, why: str = "") -> None:
        self._playing = False
        if self.episode is not None:
            event = self.episode.announcement() | self._match.account(outcome) | ({"reason": why} if why else {})
            self._episodes.publish(String(data=json.dumps(event)))
        if why:
            self.get_logger().error(f"interrupted: {why}")
        self._progress.show(self._index - self.settings.first_episode, self._match, outcome)
        self._index += 1
        if self._index >= self.settings.first_episode + self.settings.episodes:
            self.stop()
            return
        self._match = self._make_match()
        self._begin_at = time.monotonic() + HOLD

    def diagnose(self, now: float) -> tuple[Any, str, dict[str, str]]:
        stop = "pressed" if self._stop.pressed else "released"
        values = {"episode": str(self._index), "waiting": self._said, "stop": stop}
        if self._playing:
            return OK, "playing", values
        return WARN if self._said else OK, f"waiting: {self._said}" if self._said else "ready", values


def main() -> NoReturn:
    """Entry point of the executable ``referee``."""
    run_process(RefereeNode)


if __name__ == "__main__":
    main()

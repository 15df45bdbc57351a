"""What every node of the game has in common: lifecycle, autostart, signals, episodes, heartbeat."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from std_msgs.msg import Header, String

from pe_core.config import ConfigurationError
from pe_nodes import episode as episodes
from pe_nodes import messages, parameters, qos
from pe_nodes.episode import Episode
from pe_nodes.launcher import LAUNCHER_GONE, Launcher
from pe_nodes.messages import key_values, set_stamp

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
HEARTBEAT = 1.0
LOOK = 0.5
"""Period [s] of a look at whether the launcher still runs."""
CLOCK_BACK = 0.1
"""A clock that goes back by more [s] is reported; less is within the tolerance of stamps."""


class GameNode(LifecycleNode):
    """A lifecycle node that configures and activates itself unless ``autostart`` is false.

    Subclasses give ``setup`` (called at configure, may raise ConfigurationError), ``activate``, ``deactivate``,
    ``diagnose``, and where they follow episodes ``episode_started``, ``episode_ended`` and ``ready_for``.
    """

    def __init__(self, name: str, settings: Any) -> None:
        super().__init__(name)
        self.active = False
        self.exit_code = 0
        self.linger = 0.0
        self.episode: Episode | None = None
        self._newest_ns = 0
        self.stop: Callable[[], None] = lambda: None
        self._kept: list[Any] = []
        self.steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._settings_type = type(settings)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", qos.EVENT)
        self._own_status = DiagnosticStatus(name=self.get_fully_qualified_name(), hardware_id=self.get_namespace())
        self.declare_parameter("autostart", True)
        self.guarded = set(parameters.declare(self, settings))
        self.add_on_set_parameters_callback(self._check_change)
        self.create_timer(HEARTBEAT, self.heartbeat, clock=self.steady)
        self._launcher = Launcher()
        self.create_timer(LOOK, self._look_at_launcher, clock=self.steady)

    # -- for subclasses -----------------------------------------------------------------------------------

    def setup(self, settings: Any) -> None:
        """Build everything from checked settings; raise ConfigurationError to refuse."""

    def warm_up(self) -> None:
        """Load what every callback needs, so that the first message does not wait for it."""
        messages.warm_up()

    def activate(self) -> None:
        """Begin to act."""

    def deactivate(self) -> None:
        """Stop acting; called on deactivation, shutdown and signals alike."""

    def diagnose(self, now: float) -> tuple[Any, str, dict[str, str]]:
        """Level, message and values of the heartbeat at wall time ``now`` [s]."""
        return OK, "", {}

    def episode_started(self, episode: Episode) -> None:
        """Adopt a new episode."""

    def episode_ended(self, episode: Episode) -> None:
        """The episode is over."""

    def clock_went_back(self, seconds: float) -> None:
        """ROS time is ``seconds`` less than it was: no stamp received before can be compared with one to come."""

    def ready_for(self, episode: Episode) -> bool:
        """Whether the node may answer that it is ready to play."""
        return True

    def expects_more(self) -> bool:
        """Whether something is on its way that the node must have before its process ends."""
        return False

    # -- time and episodes --------------------------------------------------------------------------------

    def clock_ns(self) -> int:
        """ROS time [ns]; notices when it has gone back."""
        now = int(self.get_clock().now().nanoseconds)
        if now < self._newest_ns - CLOCK_BACK * 1e9:
            gone, self._newest_ns = (self._newest_ns - now) / 1e9, now
            self.get_logger().error(f"the clock went back by {gone:.2f} s")
            self.clock_went_back(gone)
        self._newest_ns = max(self._newest_ns, now)
        return now

    def now_ns(self) -> int:
        """ROS time [ns], but not before the start of the adopted episode: its first clock message may be late."""
        now = self.clock_ns()
        return now if self.episode is None else max(now, self.episode.start_ns)

    def follow_episodes(self) -> None:
        """Subscribe to /episode and answer on episode_ready."""
        self._ready = self.create_publisher(Header, "episode_ready", qos.EVENT)
        self.create_subscription(String, "/episode", self._on_episode, qos.LATCHED)

    def answer_ready(self) -> None:
        """Tell the simulator that the adopted episode may begin, when that is so."""
        if self.active and self.episode is not None and self.ready_for(self.episode):
            message = Header(frame_id=self.get_fully_qualified_name())
            set_stamp(message.stamp, self.episode.start_ns)
            self._ready.publish(message)

    def _on_episode(self, message: String) -> None:
        try:
            event, episode = episodes.parse(message.data)
        except ConfigurationError as error:
            self.get_logger().error(str(error), throttle_duration_sec=5.0)
            return
        if event == episodes.END:
            if self.episode is not None and self.episode.start_ns == episode.start_ns:
                self.episode_ended(self.episode)
            return
        if self.episode is None or self.episode.start_ns != episode.start_ns:
            self.episode = episode
            self.episode_started(episode)
        self.answer_ready()

    # -- lifecycle ----------------------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._kept = self._entities()
        self.warm_up()
        try:
            self.setup(parameters.read(self, self._settings_type))
        except ConfigurationError as error:
            self.get_logger().error(f"configuration refused: {error}")
            self.publish_diagnostics(ERROR, f"configuration refused: {error}", {})
            self._tear_down()
            return TransitionCallbackReturn.FAILURE
        return super().on_configure(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._tear_down()
        return super().on_cleanup(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.active = True
        self.activate()
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._halt()
        return super().on_deactivate(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._halt()
        return super().on_shutdown(state)

    def _entities(self) -> list[Any]:
        return [*self.publishers, *self.subscriptions, *self.timers, *self.services]

    def _tear_down(self) -> None:
        """Destroy what ``setup`` created, so that the node can be configured again."""
        self.episode = None
        destroy = {
            "Publisher": self.destroy_publisher,
            "Subscription": self.destroy_subscription,
            "Timer": self.destroy_timer,
            "Service": self.destroy_service,
        }
        for entity in self._entities():
            if not any(entity is kept for kept in self._kept):
                destroy[type(entity).__name__](entity)

    def _halt(self) -> None:
        if self.active:
            self.active = False
            self.deactivate()

    def _check_change(self, changed: list[Any]) -> SetParametersResult:
        for parameter in changed:
            if self.active and parameter.name in self.guarded:
                return SetParametersResult(
                    successful=False, reason=f"{parameter.name} is read-only while the node is active; deactivate first"
                )
        return SetParametersResult(successful=True)

    # -- diagnostics --------------------------------------------------------------------------------------

    def heartbeat(self) -> None:
        """Publish /diagnostics; also called once a second by the node's own timer."""
        if self.active:
            level, text, values = self.diagnose(time.monotonic())
            self.publish_diagnostics(level, text, values)
        else:
            self.publish_diagnostics(WARN, "inactive", {})

    def _look_at_launcher(self) -> None:
        if self._launcher.gone() and not self.exit_code:
            self.fail(LAUNCHER_GONE, "what has launched this node is gone")

    def publish_diagnostics(self, level: Any, text: str, values: dict[str, str]) -> None:
        """Publish one status of this node on /diagnostics."""
        message = DiagnosticArray()
        message.header.stamp = self.get_clock().now().to_msg()
        self._own_status.level, self._own_status.message, self._own_status.values = level, text, key_values(values)
        message.status.append(self._own_status)
        self._diagnostics.publish(message)

    def fail(self, code: int, reason: str) -> None:
        """End the process with ``code`` after an orderly stop."""
        self.get_logger().error(reason)
        self.publish_diagnostics(ERROR, reason, {})
        self.exit_code = code
        self.stop()

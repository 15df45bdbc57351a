"""Evaluation recorder node: every topic of the run, as serialised bytes, into one MCAP bag, split by size."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.time import Duration
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)

from pe_core.config import ConfigurationError
from pe_nodes.bag_writer import BagWriteError, BagWriter
from pe_nodes.episode import Episode
from pe_nodes.game_node import OK, WARN, GameNode
from pe_nodes.heartbeats import RECORDER, UNPUBLISHED
from pe_nodes.message_types import message_class
from pe_nodes.node_process import run_process
from pe_nodes.settings import RecorderSettings
from pe_nodes.timing import Rate

DEPTH = 1000
WRITE_FAILED = 4
MEGABYTE = 1_000_000


class EvaluationRecorderNode(GameNode):
    """Records from activation to the end of the process; log time is the wall time of receipt."""

    def __init__(self) -> None:
        super().__init__(RECORDER, RecorderSettings())

    def setup(self, settings: RecorderSettings) -> None:
        self.linger = settings.drain_time
        self._kinds: dict[str, str] = {}
        self._latched: set[str] = set()
        self._rate = Rate()
        self._required = set(settings.required)
        self._links: dict[str, Any] = {}
        try:
            json.loads(settings.manifest)
        except ValueError as error:
            raise ConfigurationError(f"manifest: is not JSON: {error}") from error
        entries = [entry.split() for entry in settings.topics]
        classes = {topic: message_class(kind) for topic, kind, _ in entries}
        try:
            self._bag: BagWriter | None = BagWriter(
                Path(settings.out) / "bag", {"pe": settings.manifest}, settings.bag_size * MEGABYTE
            )
        except BagWriteError as error:
            raise ConfigurationError(str(error)) from error
        for topic, kind, reliability in entries:
            self._kinds[topic] = kind
            if reliability == "latched":
                self._latched.add(topic)
            self._links[topic] = self.create_subscription(
                classes[topic], topic, self._writer_of(topic), _profile(reliability), raw=True
            )
        self.follow_episodes()
        self.create_timer(0.25, self._flush, clock=self.steady)

    def warm_up(self) -> None:
        """Nothing: messages are kept as they are."""

    def ready_for(self, episode: Episode) -> bool:
        return all(
            self._links[topic].get_publisher_count() > 0 for topic in self._required if topic in self._links
        )

    def expects_more(self) -> bool:
        # The robots' last commands, zeros, follow the signal that ends the run.
        others = (link for topic, link in self._links.items() if topic != "/diagnostics")
        return self._bag is not None and any(link.get_publisher_count() > 0 for link in others)

    def _writer_of(self, topic: str) -> Callable[[bytes, dict[str, int]], None]:
        def write(data: bytes, information: dict[str, int]) -> None:
            bag = self._bag
            if bag is None or not self.active:
                return
            try:
                if not bag.knows(topic):
                    bag.add_topic(topic, self._kinds[topic], self._offered(topic), topic in self._latched)
                bag.write(topic, information.get("received_timestamp") or time.time_ns(), data)
            except BagWriteError as error:
                self._give_up(error)
            self._rate.tick()

        return write

    def _flush(self) -> None:
        if self._bag is not None and self.active:
            try:
                self._bag.flush()
            except BagWriteError as error:
                self._give_up(error)

    def _give_up(self, error: BagWriteError) -> None:
        self._bag = None
        self.linger = 0.0
        self.fail(WRITE_FAILED, f"recording failed: {error}")

    def deactivate(self) -> None:
        bag, self._bag = self._bag, None
        if bag is None:
            return
        try:
            bag.close()
            self.get_logger().info(
                f"{bag.directory}: closed with {bag.messages} messages in {bag.files} files"
            )
        except BagWriteError as error:
            self.fail(WRITE_FAILED, f"recording failed: {error}")

    def _offered(self, topic: str) -> list[Qos]:
        profiles = [info.qos_profile for info in self.get_publishers_info_by_topic(topic)]
        return list(dict.fromkeys(_as_recorded(profile) for profile in profiles))

    def diagnose(self, now: float) -> tuple[Any, str, dict[str, str]]:
        values = {
            "rate_hz": f"{self._rate.read(now):.1f}",
            "messages": str(self._bag.messages if self._bag else 0),
            "files": str(self._bag.files if self._bag else 0),
            UNPUBLISHED: " ".join(link.topic_name for link in self._links.values() if not link.get_publisher_count()),
        }
        return (OK, "recording", values) if self._bag is not None else (WARN, "not recording", values)


def _profile(reliability: str) -> QoSProfile:
    latched = DurabilityPolicy.TRANSIENT_LOCAL if reliability == "latched" else DurabilityPolicy.VOLATILE
    best_effort = reliability == "best_effort"
    return QoSProfile(
        depth=DEPTH,
        reliability=ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE,
        durability=latched,
    )


def _as_recorded(profile: QoSProfile) -> Qos:
    return Qos(
        QosHistory(int(profile.history)),
        profile.depth,
        QosReliability(int(profile.reliability)),
        QosDurability(int(profile.durability)),
        _time(profile.deadline),
        _time(profile.lifespan),
        QosLiveliness(int(profile.liveliness)),
        _time(profile.liveliness_lease_duration),
        bool(profile.avoid_ros_namespace_conventions),
    )


def _time(duration: Duration) -> QosTime:
    return QosTime(*divmod(duration.nanoseconds, 1_000_000_000))


def main() -> NoReturn:
    """Entry point of the executable ``evaluation_recorder``."""
    run_process(EvaluationRecorderNode)


if __name__ == "__main__":
    main()

"""Copies of recorded bags with something wrong in them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from pe_evaluation.mcap_scan import Message
from pe_evaluation.storage import open_bag

STORE = get_typestore(Stores.ROS2_JAZZY)
Change = Callable[[Message], Iterator[Message]]


def rewritten(
    source: Path,
    target: Path,
    change: Change,
    manifest: bool = True,
    storage: StoragePlugin = StoragePlugin.MCAP,
) -> Path:
    """A copy of ``source`` in which ``change`` stands for every message."""
    raw = open_bag(source)
    for scan in raw.scans:
        list(scan.messages(()))
    topics = {topic for scan in raw.scans for topic in scan.topics}
    with Writer(target, version=9, storage_plugin=storage) as writer:
        if manifest:
            writer.set_custom_data("pe", json.dumps(raw.custom["pe"]))
        connections: dict[str, Any] = {}
        for message in raw.messages(topics):
            for kept in change(message):
                if kept.topic not in connections:
                    try:
                        connections[kept.topic] = writer.add_connection(kept.topic, kept.type, typestore=STORE)
                    except KeyError:  # a type that the library does not know
                        continue
                writer.write(connections[kept.topic], kept.log_ns, kept.data)
    return target


def same(message: Message) -> Iterator[Message]:
    """Nothing is wrong."""
    yield message


def without(*topics: str) -> Change:
    """Topics are missing."""

    def change(message: Message) -> Iterator[Message]:
        if message.topic not in topics:
            yield message

    return change


def cut(topic: str, first: int, last: int) -> Change:
    """Messages ``first`` to ``last`` of a topic are missing."""
    seen = -1

    def change(message: Message) -> Iterator[Message]:
        nonlocal seen
        seen += message.topic == topic
        if message.topic != topic or not first <= seen <= last:
            yield message

    return change


def shifted(role: str, ahead_ns: int) -> Change:
    """The clock of a robot is ahead: whatever it stamps itself, and whatever others name by its stamps."""

    def later(text: str) -> str:
        return str(int(text) + ahead_ns)

    def change(message: Message) -> Iterator[Message]:
        own = message.topic.startswith(f"/{role}/") and not message.topic.endswith("/ground_truth")
        status = message.topic.endswith("/safety/status")
        if not (own or status):
            yield message
            return
        content = STORE.deserialize_cdr(message.data, message.type)
        if own:
            stamp = content.header.stamp.sec * 10**9 + content.header.stamp.nanosec + ahead_ns
            content.header.stamp.sec, content.header.stamp.nanosec = divmod(stamp, 10**9)
        if status:
            keys = ("state_stamp_ns", "nominal_stamp_ns") if own else ("opponent_stamp_ns",)
            for pair in content.status[0].values:
                if pair.key in keys:
                    pair.value = later(pair.value)
        yield message._replace(data=bytes(STORE.serialize_cdr(content, message.type)))

    return change


def truncated(source: Path, target: Path, size: int) -> Path:
    """The first ``size`` bytes of a bag of one file, without metadata.yaml: its recorder was killed."""
    target.mkdir()
    (file,) = source.glob("*.mcap")
    with file.open("rb") as stream:
        (target / file.name).write_bytes(stream.read(size))
    return target


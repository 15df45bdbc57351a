"""A rosbag2 bag (MCAP) that stays readable when the disk does not hold out; pure, no rclpy.

Messages are kept in chunks.  A chunk is closed every ``FLUSH_PERIOD`` at the latest, so a process that is
killed loses no more than that.  When a write fails, what the file holds beyond its last whole chunk is cut off,
a reserve is given back to the disk, and the bag is closed with index and metadata as if it had ended there.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections import defaultdict
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from rosbags.interfaces import Qos
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.rosbag2.errors import WriterError
from rosbags.typesys import Stores, get_typestore

FLUSH_PERIOD = 1.0
RESERVE = 512 * 1024


class BagWriteError(RuntimeError):
    """The bag cannot be written (any more); the message says why and what is left."""


@dataclasses.dataclass(frozen=True)
class _Mark:
    """A state to which the bag can be cut back: file length and counts after a whole chunk."""

    length: int
    chunks: int
    counts: dict[int, int]
    first: int
    last: int


class BagWriter:
    """Writes serialised messages to ``<directory>/<name>.mcap`` with metadata.yaml."""

    def __init__(self, directory: Path, custom: dict[str, str]) -> None:
        """Create the bag.

        Raises:
            BagWriteError: the directory exists or cannot be written.
        """
        self.directory = directory
        self._reserve = directory.parent / f".{directory.name}.reserve"
        try:
            directory.parent.mkdir(parents=True, exist_ok=True)
            self._reserve.write_bytes(bytes(RESERVE))
            self._writer = Writer(directory, version=9, storage_plugin=StoragePlugin.MCAP)
            for key, value in custom.items():
                self._writer.set_custom_data(key, value)
            self._writer.open()
        except (OSError, WriterError) as error:
            with contextlib.suppress(OSError):
                self._reserve.unlink(missing_ok=True)
            raise BagWriteError(f"{directory}: cannot be written: {error}") from error
        self._types = get_typestore(Stores.ROS2_JAZZY)
        self._connections: dict[str, Any] = {}
        self._flushed = time.monotonic()
        self.messages = 0
        self._marks = [self._mark()]

    def knows(self, topic: str) -> bool:
        """Whether the topic has been added."""
        return topic in self._connections

    def add_topic(self, topic: str, kind: str, profiles: Sequence[Qos]) -> None:
        """Add a topic of message type ``kind`` with the profiles its publishers offer."""
        self._connections[topic] = self._writer.add_connection(
            topic, kind, typestore=self._types, offered_qos_profiles=profiles
        )

    def write(self, topic: str, log_ns: int, data: bytes) -> None:
        """Append one serialised message received at wall time ``log_ns`` [ns].

        Raises:
            BagWriteError: the disk does not take it; the bag has been closed at its last whole chunk.
        """
        try:
            chunks = len(self._storage.chunks)
            self._writer.write(self._connections[topic], log_ns, data)
            self.messages += 1
            if len(self._storage.chunks) > chunks:
                self._settle()
        except OSError as error:
            self._salvage(error)

    def flush(self) -> None:
        """Close the pending chunk when ``FLUSH_PERIOD`` has passed; raises like :meth:`write`."""
        if time.monotonic() - self._flushed < FLUSH_PERIOD:
            return
        try:
            if self._storage.chunk.bio.tell():
                self._storage.close_chunk()
            self._settle()
        except OSError as error:
            self._salvage(error)

    def close(self) -> None:
        """Write index and metadata; raises like :meth:`write`."""
        try:
            if self._storage.chunk.bio.tell():
                self._storage.close_chunk()
            self._settle()
            self._writer.close()
        except OSError as error:
            self._salvage(error)
        self._reserve.unlink(missing_ok=True)

    @property
    def _storage(self) -> Any:
        return self._writer.storage

    def _settle(self) -> None:
        self._storage.bio.flush()
        self._flushed = time.monotonic()
        self._marks.append(self._mark())

    def _mark(self) -> _Mark:
        storage = self._storage
        return _Mark(
            storage.bio.tell(),
            len(storage.chunks),
            dict(storage.channel_stats),
            self._writer.min_timestamp,
            self._writer.max_timestamp,
        )

    def _salvage(self, cause: OSError) -> None:
        """Cut back to the last whole chunk that leaves room for the index, and close; raises BagWriteError."""
        storage = self._storage
        reason = cause.strerror or str(cause)
        with contextlib.suppress(OSError):
            storage.bio.close()
        self._reserve.unlink(missing_ok=True)
        written = self.messages
        while self._marks:
            mark = self._marks.pop()
            try:
                self._cut(storage, mark)
                self._writer.storage = storage
                self._writer.close()
            except OSError:
                with contextlib.suppress(OSError):
                    storage.bio.close()
                continue
            kept = sum(mark.counts.values())
            raise BagWriteError(
                f"{self.directory}: {reason}; the bag is closed with {kept} of {written} messages"
            ) from cause
        raise BagWriteError(f"{self.directory}: {reason}; the bag could not be closed") from cause

    def _cut(self, storage: Any, mark: _Mark) -> None:
        storage.bio = storage.path.open("r+b")
        storage.bio.truncate(mark.length)
        storage.bio.seek(mark.length)
        del storage.chunks[mark.chunks :]
        storage.chunk = type(storage.chunk)(2**63 - 1, 0, BytesIO(), defaultdict(list))
        for key in storage.channel_stats:
            storage.channel_stats[key] = self._writer.counts[key] = mark.counts.get(key, 0)
        storage.message_start_time = self._writer.min_timestamp = mark.first
        storage.message_end_time = self._writer.max_timestamp = mark.last

"""A rosbag2 bag (MCAP), split by size, that stays readable when the disk or the process does not hold out; pure.

Messages are kept in chunks.  A chunk is closed every ``FLUSH_PERIOD`` at the latest, so a process that is
killed loses no more than that.  When a write fails, what the file holds beyond its last whole chunk is cut off,
a reserve is given back to the disk, and the bag is closed with index and metadata as if it had ended there.

Files are ``<name>_0.mcap``, ``<name>_1.mcap`` ... as rosbag2 names them.  Each begins with the custom data, so that
it can say what it is although it was never closed, and after a split with all topics and the last message of every
latched one, so that it can be understood alone.  ``metadata.yaml`` appears last, at once and whole.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from rosbags.interfaces import Qos
from rosbags.typesys import Stores, get_typestore

from pe_nodes.mcap_file import Channel, Mark, McapFile

FLUSH_PERIOD = 1.0
RESERVE = 512 * 1024
_VERSION = 9


class BagWriteError(RuntimeError):
    """The bag cannot be written (any more); the message says why and what is left."""


class BagWriter:
    """Writes serialised messages to ``<directory>/<name>_<n>.mcap`` with metadata.yaml."""

    def __init__(self, directory: Path, custom: Mapping[str, str], split_bytes: int = 0) -> None:
        """Create the bag; a file that has reached ``split_bytes`` is closed and the next begun (0: never).

        Raises:
            BagWriteError: the directory exists or cannot be written.
        """
        self.directory = directory
        self.messages = 0
        self._custom = dict(custom)
        self._split_bytes = split_bytes
        self._types = get_typestore(Stores.ROS2_JAZZY)
        self._topics: dict[str, dict[str, Any]] = {}
        self._channels: dict[str, Channel] = {}
        self._numbers: dict[str, int] = {}
        self._latched: dict[str, bytes | None] = {}
        self._counts: dict[str, int] = {}
        self._closed: list[dict[str, Any]] = []
        self._reserve = directory.parent / f".{directory.name}.reserve"
        if directory.exists():
            raise BagWriteError(f"{directory}: exists already, and is not overwritten")
        try:
            directory.parent.mkdir(parents=True, exist_ok=True)
            self._reserve.write_bytes(bytes(RESERVE))
            directory.mkdir()
            self._file = self._new_file()
        except OSError as error:
            with contextlib.suppress(OSError):
                self._reserve.unlink(missing_ok=True)
            raise BagWriteError(f"{directory}: cannot be written: {error}") from error
        self._flushed = time.monotonic()
        self._marks: list[Mark] = [self._file.mark()]

    def knows(self, topic: str) -> bool:
        """Whether the topic has been added."""
        return topic in self._channels

    @property
    def files(self) -> int:
        """Files begun so far."""
        return len(self._closed) + 1

    def add_topic(self, topic: str, kind: str, profiles: Sequence[Qos], latched: bool = False) -> None:
        """Add a topic of message type ``kind`` with the profiles its publishers offer.

        The last message of a ``latched`` topic is repeated at the beginning of every further file.
        """
        definition, _ = self._types.generate_msgdef(kind, ros_version=2)
        offered = [_profile(profile) for profile in profiles]
        self._topics[topic] = {
            "name": topic,
            "type": kind,
            "serialization_format": "cdr",
            "offered_qos_profiles": offered,
            "type_description_hash": self._types.hash_rihs01(kind),
        }
        described = {"offered_qos_profiles": _dump(offered).strip() if offered else ""}
        self._channels[topic] = Channel(topic, kind, str(definition), described)
        self._numbers[topic] = self._file.add(self._channels[topic])
        self._counts[topic] = 0
        if latched:
            self._latched[topic] = None

    def write(self, topic: str, log_ns: int, data: bytes) -> None:
        """Append one serialised message received at wall time ``log_ns`` [ns].

        Raises:
            BagWriteError: the disk does not take it; the bag has been closed at its last whole chunk.
        """
        try:
            if self._split_bytes and self._file.size >= self._split_bytes:
                self._split(log_ns)
            chunks = self._file.chunks
            self._put(topic, log_ns, data)
            if topic in self._latched:
                self._latched[topic] = data
            if self._file.chunks > chunks:
                self._settle()
        except OSError as error:
            self._salvage(error)

    def flush(self) -> None:
        """Close the pending chunk when ``FLUSH_PERIOD`` has passed; raises like :meth:`write`."""
        if time.monotonic() - self._flushed < FLUSH_PERIOD:
            return
        try:
            self._file.flush()
            self._settle()
        except OSError as error:
            self._salvage(error)

    def close(self) -> None:
        """Write index and metadata; raises like :meth:`write`."""
        try:
            self._file.flush()
            self._settle()
            self._close_file()
            self._write_metadata()
        except OSError as error:
            self._salvage(error)
        self._reserve.unlink(missing_ok=True)

    def _put(self, topic: str, log_ns: int, data: bytes) -> None:
        self._file.write(self._numbers[topic], log_ns, data)
        self._counts[topic] += 1
        self.messages += 1

    def _new_file(self) -> McapFile:
        name = f"{self.directory.name}_{len(self._closed)}.mcap"
        return McapFile(
            self.directory / name, {"rosbag2": {"serialized_metadata": self._of_file(name, None)}}
        )

    def _split(self, log_ns: int) -> None:
        self._file.flush()
        self._settle()
        self._close_file()
        self._file = self._new_file()
        self._marks = [self._file.mark()]
        for topic, channel in self._channels.items():
            self._numbers[topic] = self._file.add(channel)
        for topic, data in self._latched.items():
            if data is not None:
                self._put(topic, log_ns, data)

    def _close_file(self) -> None:
        file = self._file
        entry = _extent(file)
        file.close({"rosbag2": {"serialized_metadata": self._of_file(file.path.name, file)}})
        self._closed.append({"path": file.path.name, **entry})

    def _settle(self) -> None:
        self._flushed = time.monotonic()
        self._marks.append(self._file.mark())

    def _salvage(self, cause: OSError) -> None:
        """Cut back to the last whole chunk that leaves room for the index, and close; raises BagWriteError."""
        reason = cause.strerror or str(cause)
        self._reserve.unlink(missing_ok=True)
        written = self.messages
        # The next file could not be begun, or metadata.yaml not be written: what there is may be closed already.
        closed = bool(self._closed) and self._closed[-1]["path"] == self._file.path.name
        with contextlib.suppress(OSError):
            if closed:
                self._write_metadata()
                self._marks.clear()
        while self._marks:
            closed = False
            if self._closed and self._closed[-1]["path"] == self._file.path.name:
                self._closed.pop()
            try:
                self._cut(self._marks.pop())
                self._close_file()
                self._write_metadata()
            except OSError:
                continue
            closed = True
            break
        if not closed:
            raise BagWriteError(f"{self.directory}: {reason}; the bag could not be closed") from cause
        kept = sum(self._counts.values())
        text = f"{self.directory}: {reason}; the bag is closed with {kept} of {written} messages"
        raise BagWriteError(text) from cause

    def _cut(self, mark: Mark) -> None:
        before = list(self._file.counts)
        self._file.cut(mark)
        for topic, number in self._numbers.items():
            if number < len(before):
                self._counts[topic] -= before[number] - self._file.counts[number]

    def _of_file(self, name: str, file: McapFile | None) -> str:
        """What rosbag2 keeps in a file itself: the metadata of a bag that is this file alone."""
        counts = dict.fromkeys(self._topics, 0)
        if file is not None:
            counts = {topic: file.counts[number] for topic, number in self._numbers.items()}
        entry = {"path": name, **(_extent(file) if file is not None else _EMPTY)}
        return _dump(self._information([entry], counts)).strip()

    def _information(self, files: list[dict[str, Any]], counts: Mapping[str, int]) -> dict[str, Any]:
        known = [entry for entry in files if entry["message_count"]] or files
        first = min(entry["starting_time"]["nanoseconds_since_epoch"] for entry in known)
        last = max(
            entry["starting_time"]["nanoseconds_since_epoch"] + entry["duration"]["nanoseconds"]
            for entry in known
        )
        return {
            "version": _VERSION,
            "storage_identifier": "mcap",
            "relative_file_paths": [entry["path"] for entry in files],
            "duration": {"nanoseconds": last - first},
            "starting_time": {"nanoseconds_since_epoch": first},
            "message_count": sum(counts.values()),
            "topics_with_message_count": [
                {"topic_metadata": topic, "message_count": counts[name]}
                for name, topic in self._topics.items()
            ],
            "compression_format": "",
            "compression_mode": "",
            "files": files,
            "custom_data": self._custom or None,
            "ros_distro": "jazzy",
        }

    def _write_metadata(self) -> None:
        """Write metadata.yaml whole or not at all."""
        path = self.directory / "metadata.yaml"
        draft = self.directory / ".metadata.yaml"
        with draft.open("w", encoding="utf-8") as stream:
            stream.write(
                _dump({"rosbag2_bagfile_information": self._information(self._closed, self._counts)})
            )
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)


_EMPTY: dict[str, Any] = {
    "starting_time": {"nanoseconds_since_epoch": 0},
    "duration": {"nanoseconds": 0},
    "message_count": 0,
}


def _extent(file: McapFile) -> dict[str, Any]:
    if not file.messages:
        return dict(_EMPTY)
    return {
        "starting_time": {"nanoseconds_since_epoch": file.first_ns},
        "duration": {"nanoseconds": file.last_ns - file.first_ns},
        "message_count": file.messages,
    }


def _profile(profile: Qos) -> dict[str, Any]:
    """A profile as rosbag2 writes it since version 9."""
    named = {
        key: getattr(profile, key).name.lower()
        for key in ("history", "reliability", "durability", "liveliness")
    }
    durations = {
        key: {"sec": getattr(profile, key).sec, "nsec": getattr(profile, key).nsec}
        for key in ("deadline", "lifespan", "liveliness_lease_duration")
    }
    plain = {"avoid_ros_namespace_conventions": profile.avoid_ros_namespace_conventions}
    return {"depth": profile.depth} | named | durations | plain


class _Dumper(yaml.SafeDumper):
    """Without anchors: the readers of rosbag2 metadata need not know them."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _dump(value: Any) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=1_000_000, allow_unicode=True)

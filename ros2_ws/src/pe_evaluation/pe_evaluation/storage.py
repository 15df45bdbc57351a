"""Raw messages of a recorded bag: one file or many, closed or not, with or without its metadata.yaml.

MCAP files are scanned from their beginning, one after the other (:mod:`pe_evaluation.mcap_scan`), so that a bag whose
recorder was killed is read by the same code as a whole one.  Everything else (SQLite, messages compressed one by
one) is read by ``rosbags``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from rosbags.rosbag2 import Reader

from pe_evaluation.mcap_scan import FOREVER, FileScan, Message, NotMcapError

__all__ = ["FOREVER", "BagError", "Message", "RawBag", "locate", "open_bag"]


class BagError(ValueError):
    """A bag cannot be read at all, or is not a recorded game; the message says what it is."""


@dataclasses.dataclass
class RawBag:
    """A bag that can be read any number of times.

    What it holds is known when :meth:`messages` has been exhausted once: ``topics``, all topics with their types;
    ``count``, all messages, wanted or not; ``complete``, whether nothing is missing; ``warnings``, what is.
    ``custom`` is the recorder's own data, decoded from JSON where it is that.
    """

    path: Path
    files: list[Path]
    custom: dict[str, Any]
    topics: dict[str, str] = dataclasses.field(default_factory=dict)
    count: int = 0
    complete: bool = True
    warnings: list[str] = dataclasses.field(default_factory=list)
    scans: list[FileScan] = dataclasses.field(default_factory=list)
    expected: dict[str, int] = dataclasses.field(default_factory=dict)

    def messages(self, wanted: Collection[str]) -> Iterator[Message]:
        """Every message on the ``wanted`` topics, file by file, in the order in which they were recorded.

        What a recorder repeats of latched topics at the beginning of a file, all of it logged at the time of the
        split, is left out where the file before has it.

        Raises:
            BagError: nothing can be read.
        """
        if not self.scans:
            yield from self._by_library(wanted)
            return
        self.count = 0
        unreadable = []
        last: dict[str, bytes] = {}
        for number, scan in enumerate(self.scans):
            split_ns = None if number else -1
            try:
                for message in scan.messages(wanted):
                    split_ns = message.log_ns if split_ns is None else split_ns
                    if message.log_ns == split_ns and last.get(message.topic) == message.data:
                        continue
                    last[message.topic] = message.data
                    yield message
            except NotMcapError as error:
                unreadable.append(f"{scan.path}: {error}")
                if len(unreadable) == len(self.scans):
                    raise BagError("; ".join(unreadable)) from error
                self.lack(f"{scan.path.name} {error}")
                continue
            self._account(scan)

    def between(self, wanted: Collection[str], first_ns: int, last_ns: int) -> Iterator[Message]:
        """The messages logged within [first_ns, last_ns]; to be called after :meth:`messages` was exhausted."""
        if not self.scans:
            found = self._by_library(wanted)
            yield from (message for message in found if first_ns <= message.log_ns <= last_ns)
            return
        for scan in self.scans:
            if scan.count and scan.last_ns >= first_ns:
                again = dataclasses.replace(scan)
                yield from again.messages(wanted, first_ns, last_ns)

    def _account(self, scan: FileScan) -> None:
        self.count += scan.count
        self.topics.update(scan.topics)
        name = scan.path.name
        for reason in scan.damaged[:3]:
            self.lack(f"{name}: a damaged chunk was left out: {reason}")
        if len(scan.damaged) > 3:
            self.lack(f"{name}: {len(scan.damaged)} chunks are damaged in all")
        expected = self.expected.get(name)
        lost = (
            ""
            if expected is None or expected == scan.count
            else f"; {expected - scan.count} of {expected} are lost"
        )
        if not scan.closed:
            until = f", the last received at {_wall(scan.last_ns)}" if scan.count else ""
            behind = f"{scan.unread} bytes behind them cannot" if scan.unread else "nothing lies behind them"
            self.lack(
                f"{name} is truncated (the recorder was killed, or the disk was full): {scan.count} messages could be "
                f"read{until}, {behind}{lost or '; what came later is lost, of a killed recorder about a second'}"
            )
        elif lost:
            self.lack(f"{name} holds {scan.count} messages{lost}")

    def lack(self, line: str) -> None:
        """Note that something is missing."""
        self.complete = False
        if line not in self.warnings:
            self.warnings.append(line)

    def _by_library(self, wanted: Collection[str]) -> Iterator[Message]:
        try:
            with Reader(self.path) as reader:
                self.topics = {connection.topic: connection.msgtype for connection in reader.connections}
                self.count = reader.message_count
                chosen = [connection for connection in reader.connections if connection.topic in wanted]
                # An empty choice would mean all topics to the reader.
                for connection, stamp, data in reader.messages(chosen) if chosen else ():
                    yield Message(connection.topic, connection.msgtype, stamp, bytes(data))
        except (BagError, GeneratorExit):
            raise
        except Exception as error:  # noqa: BLE001  # on damaged files rosbags raises more than its ReaderError
            reason = str(error).rstrip(".") or type(error).__name__
            raise BagError(f"{self.path}: cannot be read: {reason}") from error


def locate(path: Path) -> Path:
    """The bag that ``path`` means: itself, or the ``bag`` inside a run's output folder.

    Raises:
        BagError: there is nothing there, or nothing that could be a bag.
    """
    if not path.exists():
        raise BagError(f"{path}: does not exist")
    if path.is_dir() and not _storage_files(path) and (path / "bag").is_dir():
        path = path / "bag"
    if path.is_dir() and not _storage_files(path):
        raise BagError(f"{path}: is not a bag: the folder holds no .mcap and no .db3 file")
    if path.is_file() and path.suffix not in (".mcap", ".db3"):
        raise BagError(f"{path}: is not a bag: expected a folder, an .mcap or a .db3 file")
    return path


def open_bag(path: Path) -> RawBag:
    """The bag at ``path`` (see :func:`locate`), its messages unread.

    Raises:
        BagError: there is no bag.
    """
    path = locate(path)
    if path.is_file():
        return _with_scans(RawBag(path, [path], {}))
    files = _storage_files(path)
    text = path / "metadata.yaml"
    information = _information(text.read_text(errors="replace")) if text.exists() else {}
    listed = [path / Path(str(name)).name for name in information.get("relative_file_paths") or ()]
    bag = RawBag(path, [file for file in listed if file.exists()] or files, custom_of(information))
    for file in listed:
        if not file.exists():
            bag.lack(f"{file.name} is missing, with all its messages")
    if not text.exists():
        bag.warnings.append("metadata.yaml is missing: the recorder was not closed; its records were scanned")
        numbers = [number for number in map(_number, files) if number is not None]
        for number in sorted(set(range(max(numbers, default=-1) + 1)) - set(numbers)):
            bag.lack(f"file {number} of the bag is missing, with all its messages")
    elif not information:
        bag.warnings.append("metadata.yaml cannot be understood; the files were scanned")
    for entry in information.get("files") or ():
        if isinstance(entry, Mapping) and isinstance(entry.get("message_count"), int):
            bag.expected[Path(str(entry.get("path"))).name] = entry["message_count"]
    mode = str(information.get("compression_mode") or "none").lower()
    return _with_scans(bag) if mode == "none" else bag


def _with_scans(bag: RawBag) -> RawBag:
    if all(file.suffix == ".mcap" for file in bag.files):
        bag.scans = [FileScan(file) for file in bag.files]
        for scan in bag.scans if not bag.custom else ():
            # The recorder writes it at the beginning of each file, others at the end of a closed one.
            with contextlib.suppress(NotMcapError):
                scan.peek()
            said = scan.metadata.get("rosbag2", {}).get("serialized_metadata", "")
            bag.custom = custom_of(_information(said))
            if bag.custom:
                break
    return bag


def _storage_files(path: Path) -> list[Path]:
    found = (file for file in path.iterdir() if file.suffix in (".mcap", ".db3"))
    return sorted(found, key=lambda file: (_number(file) if _number(file) is not None else -1, file.name))


def _number(file: Path) -> int | None:
    """The number that rosbag2 gives a file of a bag: ``<name>_<number>.mcap``."""
    match = re.search(r"_(\d+)$", file.stem)
    return int(match[1]) if match else None


def _wall(log_ns: int) -> str:
    return datetime.datetime.fromtimestamp(log_ns / 1e9, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S.%f UTC")


def _information(text: str) -> dict[str, Any]:
    """rosbag2 metadata (YAML), empty where it cannot be understood."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError:
        return {}
    if isinstance(document, dict):
        inner = document.get("rosbag2_bagfile_information", document)
        return inner if isinstance(inner, dict) else {}
    return {}


def custom_of(information: Mapping[str, Any]) -> dict[str, Any]:
    """The custom data in rosbag2 metadata, decoded from JSON where it is that."""
    decoded: dict[str, Any] = {}
    custom = information.get("custom_data")
    for key, value in custom.items() if isinstance(custom, Mapping) else ():
        try:
            decoded[str(key)] = json.loads(value) if isinstance(value, str) else value
        except json.JSONDecodeError:
            decoded[str(key)] = value
    return decoded

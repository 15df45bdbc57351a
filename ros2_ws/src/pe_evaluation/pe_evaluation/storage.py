"""Raw messages of a recorded bag, whole or broken.

A bag that was closed is read by ``rosbags``.  An MCAP file without its footer (the recorder was killed, the
disk was full) is refused by every reader that starts from the index, so it is scanned from its beginning
instead: records are (opcode u8, length u64, content), messages lie in chunks, what is whole is taken.
"""

from __future__ import annotations

import dataclasses
import json
import mmap
import struct
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from rosbags.rosbag2 import Reader

MAGIC = b"\x89MCAP0\r\n"
_FOOTER, _SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _METADATA = 0x02, 0x03, 0x04, 0x05, 0x06, 0x0C


class BagError(ValueError):
    """A bag cannot be read at all, or is not a recorded game; the message says what it is."""


class Message(NamedTuple):
    """One recorded message, still serialised (CDR); ``log_ns`` is the wall time of receipt."""

    topic: str
    type: str
    log_ns: int
    data: bytes


@dataclasses.dataclass
class RawBag:
    """The wanted messages of a bag, with what the reader has to say about it.

    ``topics`` are all topics of the bag with their types, ``count`` all its messages, wanted or not.
    """

    path: Path
    wanted: Collection[str]
    messages: list[Message]
    topics: dict[str, str]
    custom: dict[str, Any]
    count: int = 0
    complete: bool = True
    warnings: list[str] = dataclasses.field(default_factory=list)


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


def _storage_files(path: Path) -> list[Path]:
    return sorted(file for file in path.iterdir() if file.suffix in (".mcap", ".db3"))


def read_raw(path: Path, wanted: Collection[str]) -> RawBag:
    """The messages on the ``wanted`` topics of the bag at ``path`` (see :func:`locate`).

    Raises:
        BagError: nothing can be read.
    """
    path = locate(path)
    try:
        return _read_closed(path, wanted)
    except Exception as error:  # noqa: BLE001  # on damaged files rosbags raises more than its ReaderError
        reason = str(error).rstrip(".") or type(error).__name__
    files = [path] if path.is_file() else _storage_files(path)
    if any(file.suffix != ".mcap" for file in files):
        raise BagError(f"{path}: cannot be read: {reason}")
    bag = RawBag(path, wanted, [], {}, {})
    for file in files:
        scan_mcap(file, bag)
    metadata = path / "metadata.yaml"
    if path.is_dir() and not metadata.exists():
        bag.warnings.append("metadata.yaml is missing: the recorder was not closed; its records were scanned")
    elif path.is_dir():
        bag.custom.update(_custom_of(metadata.read_text(errors="replace")))
    if not bag.complete:
        bag.warnings.append(f"the bag is truncated: {bag.count} messages could still be read")
    return bag


def _read_closed(path: Path, wanted: Collection[str]) -> RawBag:
    with Reader(path) as reader:
        topics = {connection.topic: connection.msgtype for connection in reader.connections}
        chosen = [connection for connection in reader.connections if connection.topic in wanted]
        # An empty choice would mean all topics to the reader.
        messages = [
            Message(connection.topic, connection.msgtype, stamp, bytes(data))
            for connection, stamp, data in (reader.messages(chosen) if chosen else ())
        ]
        count = reader.message_count
        metadata = getattr(reader.storage, "metadata", None)
        custom = dict(getattr(metadata, "custom", None) or {})
    return RawBag(path, wanted, messages, topics, _decode_custom(custom), count)


def _decode_custom(custom: dict[str, Any]) -> dict[str, Any]:
    decoded: dict[str, Any] = {}
    for key, value in custom.items():
        try:
            decoded[key] = json.loads(value) if isinstance(value, str) else value
        except json.JSONDecodeError:
            decoded[key] = value
    return decoded


def _custom_of(text: str) -> dict[str, Any]:
    """The custom data in rosbag2 metadata (YAML), empty where it cannot be understood."""
    try:
        document = yaml.safe_load(text)
        document = document.get("rosbag2_bagfile_information", document)
        return _decode_custom(document.get("custom_data") or {})
    except (yaml.YAMLError, AttributeError):
        return {}


def scan_mcap(file: Path, bag: RawBag) -> None:
    """Add to ``bag`` every whole message on its wanted topics in an MCAP file, in the order of the file.

    Raises:
        BagError: the file is empty or no MCAP file.
    """
    if file.stat().st_size == 0:
        raise BagError(f"{file}: is empty: the recorder was stopped before it wrote anything")
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as view:
        if view[: len(MAGIC)] != MAGIC:
            raise BagError(f"{file}: is not an MCAP file")
        scan = _Scan(bag)
        try:
            closed = scan.records(memoryview(view)[len(MAGIC) :].tobytes())
        except (struct.error, RecursionError) as error:
            bag.warnings.append(f"{file.name}: damaged record: {error}")
            closed = False
    if not (closed and scan.footer):
        bag.complete = False


class _Scan:
    """Walks over MCAP records; remembers channels, collects messages and the bag's own metadata."""

    def __init__(self, bag: RawBag) -> None:
        self.bag = bag
        self.footer = False
        self._schemas: dict[int, str] = {0: ""}
        self._channels: dict[int, tuple[str, str]] = {}

    def records(self, data: bytes) -> bool:
        """Take every whole record; False where the last one is cut off."""
        for opcode, content, whole in _split(data):
            if opcode == _MESSAGE and whole:
                self._message(content)
            elif opcode == _CHUNK:
                if not self._chunk(content, whole):
                    return False
            elif not whole:
                return False
            elif opcode == _SCHEMA:
                number = struct.unpack_from("<H", content)[0]
                self._schemas[number] = _text(content, 2)[0]
            elif opcode == _CHANNEL:
                number, schema = struct.unpack_from("<HH", content)
                self._channels[number] = (_text(content, 4)[0], self._schemas.get(schema, ""))
                self.bag.topics[self._channels[number][0]] = self._channels[number][1]
            elif opcode == _METADATA:
                self._metadata(content)
            elif opcode == _FOOTER:
                self.footer = True
                return True
            if not whole:
                return False
        return True

    def _message(self, content: bytes) -> None:
        channel, _, log_ns, _ = struct.unpack_from("<HIQQ", content)
        if channel in self._channels:
            topic, kind = self._channels[channel]
            self.bag.count += 1
            if topic in self.bag.wanted:
                self.bag.messages.append(Message(topic, kind, log_ns, content[22:]))

    def _chunk(self, content: bytes, whole: bool) -> bool:
        if len(content) < 40:
            return False
        compression, offset = _text(content, 28)
        payload = content[offset + 8 :]
        if compression == "":
            return self.records(payload) and whole
        if not whole:
            return False
        try:
            self.records(_decompress(compression, payload))
        except Exception as error:  # noqa: BLE001  # each codec has its own errors; a damaged chunk is skipped
            self.bag.warnings.append(f"a damaged chunk was left out: {error}")
            self.bag.complete = False
        return True

    def _metadata(self, content: bytes) -> None:
        name, offset = _text(content, 0)
        if name != "rosbag2":
            return
        end = offset + 4 + struct.unpack_from("<I", content, offset)[0]
        offset += 4
        while offset < end:
            key, offset = _text(content, offset)
            value, offset = _text(content, offset)
            if key == "serialized_metadata":
                self.bag.custom.update(_custom_of(value))


def _split(data: bytes) -> Iterator[tuple[int, bytes, bool]]:
    """(opcode, content, whether it is whole) for every record in ``data``."""
    offset = 0
    while offset < len(data):
        if data[offset : offset + len(MAGIC)] == MAGIC:
            return
        if offset + 9 > len(data):
            yield 0, b"", False
            return
        opcode, length = data[offset], struct.unpack_from("<Q", data, offset + 1)[0]
        offset += 9
        content = data[offset : offset + length]
        yield opcode, content, len(content) == length
        offset += length


def _text(data: bytes, offset: int) -> tuple[str, int]:
    """A length-prefixed string and the offset behind it."""
    size = struct.unpack_from("<I", data, offset)[0]
    end = offset + 4 + size
    return data[offset + 4 : end].decode("utf-8", "replace"), end


def _decompress(compression: str, payload: bytes) -> bytes:
    # Both codecs come with rosbags; the closed-bag path uses the same ones.
    if compression == "lz4":
        import lz4.frame  # type: ignore[import-untyped]

        return bytes(lz4.frame.decompress(payload))
    if compression == "zstd":
        from backports import zstd

        return bytes(zstd.decompress(payload))
    raise ValueError(f"compression '{compression}' is unknown")

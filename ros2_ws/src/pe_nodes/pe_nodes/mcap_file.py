"""One MCAP file that can be cut back to its last whole chunk; pure.

Written here and not by a library because the file must say what it is before its first message, must be flushed
chunk by chunk, and must be closed properly on a disk that is full.  Layout (little-endian, every record is opcode
u8, length u64, content):

    magic, Header, Metadata ...          who recorded what: there from the first moment
    Chunk, MessageIndex ...              a chunk holds the schemas and channels that are new in it, then messages
    Metadata, DataEnd                    what rosbag2 says of a closed file
    Schema, Channel, ChunkIndex, MetadataIndex, Statistics, SummaryOffset, Footer, magic
"""

from __future__ import annotations

import contextlib
import dataclasses
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

MAGIC = b"\x89MCAP0\r\n"
CHUNK_SIZE = 1 << 20
_HEADER, _FOOTER, _SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _MESSAGE_INDEX, _CHUNK_INDEX = range(1, 9)
_STATISTICS, _METADATA, _METADATA_INDEX, _SUMMARY_OFFSET, _DATA_END = 0x0B, 0x0C, 0x0D, 0x0E, 0x0F
_MESSAGE_HEAD = struct.Struct("<BQHIQQ")
_NEVER = 2**63 - 1


@dataclasses.dataclass(frozen=True)
class Channel:
    """A topic as a file describes it; ``metadata`` and the schema are what rosbag2 writes for it."""

    topic: str
    kind: str
    definition: str
    metadata: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Mark:
    """A state to which a file can be cut back: length, chunks and counts after a whole chunk."""

    length: int
    chunks: int
    counts: tuple[int, ...]
    first_ns: int
    last_ns: int


class McapFile:
    """A file being written; ``first_ns`` and ``last_ns`` bound the log times of its messages [ns].

    Attributes:
        counts: messages of each channel, in the order in which the channels were added.
    """

    def __init__(self, path: Path, metadata: Mapping[str, Mapping[str, str]]) -> None:
        """Create the file and write ``metadata`` (records by name) into it at once.

        Raises:
            OSError: it exists, or cannot be written.
        """
        self.path = path
        self._stream: BinaryIO = path.open("xb")
        self._channels: list[Channel] = []
        self._schemas: dict[str, int] = {}
        self._chunk_indices: list[bytes] = []
        self._metadata_indices: list[bytes] = []
        self.counts: list[int] = []
        self.first_ns, self.last_ns = _NEVER, 0
        self._pending = bytearray()
        self._index: dict[int, list[tuple[int, int]]] = {}
        self._chunk_first, self._chunk_last = _NEVER, 0
        try:
            self._stream.write(MAGIC + _record(_HEADER, _text("ros2") + _text("pe_nodes")))
            self._length = self._stream.tell()
            for name, values in metadata.items():
                self._put_metadata(name, values)
            self._stream.flush()
        except OSError:
            with contextlib.suppress(OSError):
                self._stream.close()
            with contextlib.suppress(OSError):
                path.unlink()
            raise

    @property
    def size(self) -> int:
        """Bytes of the file as if its pending chunk were written, its index left out."""
        return self._length + len(self._pending)

    @property
    def messages(self) -> int:
        """Messages written."""
        return sum(self.counts)

    @property
    def chunks(self) -> int:
        """Whole chunks written."""
        return len(self._chunk_indices)

    def add(self, channel: Channel) -> int:
        """Add a channel; returns its number."""
        if channel.kind not in self._schemas:
            self._schemas[channel.kind] = len(self._schemas) + 1
            self._pending += _record(_SCHEMA, self._schema(channel))
        self._channels.append(channel)
        self.counts.append(0)
        number = len(self._channels) - 1
        self._pending += _record(_CHANNEL, self._channel(number))
        return number

    def write(self, channel: int, log_ns: int, data: bytes) -> None:
        """Append a serialised message; raises OSError where the disk does not take its chunk."""
        self._index.setdefault(channel, []).append((log_ns, len(self._pending)))
        self._pending += _MESSAGE_HEAD.pack(_MESSAGE, 22 + len(data), channel, 0, log_ns, log_ns)
        self._pending += data
        self._chunk_first, self._chunk_last = min(self._chunk_first, log_ns), max(self._chunk_last, log_ns)
        self.first_ns, self.last_ns = min(self.first_ns, log_ns), max(self.last_ns, log_ns)
        self.counts[channel] += 1
        if len(self._pending) > CHUNK_SIZE:
            self.flush()

    def flush(self) -> None:
        """Write the pending messages as a chunk and hand everything to the operating system."""
        if self._index:
            self._close_chunk()
        self._stream.flush()

    def mark(self) -> Mark:
        """The present state; to be taken when no chunk is pending."""
        return Mark(self._length, self.chunks, tuple(self.counts), self.first_ns, self.last_ns)

    def cut(self, mark: Mark) -> None:
        """Cut the file back to an earlier state, whatever happened since; raises OSError."""
        with contextlib.suppress(OSError):
            self._stream.close()
        self._stream = self.path.open("r+b")
        self._stream.truncate(mark.length)
        self._stream.seek(mark.length)
        self._length = mark.length
        del self._chunk_indices[mark.chunks :]
        self._metadata_indices = [
            index for index in self._metadata_indices if _U64.unpack_from(index)[0] < mark.length
        ]
        self.counts = [*mark.counts, *([0] * (len(self._channels) - len(mark.counts)))]
        self.first_ns, self.last_ns = mark.first_ns, mark.last_ns
        self._begin_chunk()

    def close(self, metadata: Mapping[str, Mapping[str, str]]) -> None:
        """Write ``metadata`` (records by name), summary and footer, and close; raises OSError."""
        self.flush()
        for name, values in metadata.items():
            self._put_metadata(name, values)
        self._put(_record(_DATA_END, struct.pack("<I", 0)))
        kinds = {channel.kind: channel for channel in self._channels}
        messages = len(self.counts) * 10
        statistics = struct.pack(
            "<QHIIIIQQI", self.messages, len(self._schemas), len(self._channels), 0, len(self._metadata_indices),
            self.chunks, self.first_ns if self.messages else 0, self.last_ns, messages,
        )  # fmt: skip
        groups = {
            _SCHEMA: [self._schema(kinds[kind]) for kind in self._schemas],
            _CHANNEL: [self._channel(number) for number in range(len(self._channels))],
            _CHUNK_INDEX: self._chunk_indices,
            _METADATA_INDEX: self._metadata_indices,
            _STATISTICS: [statistics + b"".join(struct.pack("<HQ", *row) for row in enumerate(self.counts))],
        }
        start = self._length
        summary = bytearray()
        offsets = bytearray()
        for opcode, contents in groups.items():
            first = start + len(summary)
            for content in contents:
                summary += _record(opcode, content)
            if contents:
                offsets += _record(
                    _SUMMARY_OFFSET, struct.pack("<BQQ", opcode, first, start + len(summary) - first)
                )
        head = struct.pack("<BQQQ", _FOOTER, 20, start, start + len(summary))
        check = zlib.crc32(head, zlib.crc32(offsets, zlib.crc32(summary)))
        self._put(bytes(summary) + bytes(offsets) + head + struct.pack("<I", check) + MAGIC)
        self._stream.close()

    def _put(self, data: bytes) -> None:
        self._stream.write(data)
        self._length += len(data)

    def _put_metadata(self, name: str, values: Mapping[str, str]) -> None:
        record = _record(_METADATA, _text(name) + _map(values))
        self._metadata_indices.append(struct.pack("<QQ", self._length, len(record)) + _text(name))
        self._put(record)

    def _begin_chunk(self) -> None:
        self._pending = bytearray()
        self._index = {}
        self._chunk_first, self._chunk_last = _NEVER, 0

    def _close_chunk(self) -> None:
        data = bytes(self._pending)
        times = struct.pack("<QQ", self._chunk_first, self._chunk_last)
        head = times + struct.pack("<QI", len(data), zlib.crc32(data)) + _text("") + _U64.pack(len(data))
        chunk = _record(_CHUNK, head + data)
        place = self._length + len(chunk)
        indices = bytearray()
        offsets = bytearray()
        for channel, rows in self._index.items():
            offsets += struct.pack("<HQ", channel, place + len(indices))
            listed = b"".join(struct.pack("<QQ", *row) for row in rows)
            indices += _record(_MESSAGE_INDEX, struct.pack("<HI", channel, len(listed)) + listed)
        index = times + struct.pack("<QQI", self._length, len(chunk), len(offsets)) + offsets
        index += _U64.pack(len(indices)) + _text("") + struct.pack("<QQ", len(data), len(data))
        self._put(chunk + bytes(indices))
        self._chunk_indices.append(bytes(index))
        self._begin_chunk()

    def _schema(self, channel: Channel) -> bytes:
        number = self._schemas[channel.kind]
        return struct.pack("<H", number) + _text(channel.kind) + _text("ros2msg") + _text(channel.definition)

    def _channel(self, number: int) -> bytes:
        channel = self._channels[number]
        head = struct.pack("<HH", number, self._schemas[channel.kind])
        return head + _text(channel.topic) + _text("cdr") + _map(channel.metadata)


_U64 = struct.Struct("<Q")


def _record(opcode: int, content: bytes) -> bytes:
    return struct.pack("<BQ", opcode, len(content)) + content


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<I", len(data)) + data


def _map(values: Mapping[str, str]) -> bytes:
    data = b"".join(_text(key) + _text(value) for key, value in values.items())
    return struct.pack("<I", len(data)) + data

"""The messages of one MCAP file from its beginning to its last whole record; closed, truncated or damaged.

Readers that start from the index refuse a file without footer (the recorder was killed, the disk was full).  This
one needs no index: records are (opcode u8, length u64, content), messages lie in chunks, what is whole is taken.
Memory is that of one chunk, however long the file.
"""

from __future__ import annotations

import dataclasses
import mmap
import struct
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

MAGIC = b"\x89MCAP0\r\n"
_FOOTER, _SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _METADATA = 0x02, 0x03, 0x04, 0x05, 0x06, 0x0C
_RECORD = struct.Struct("<BQ")
_MESSAGE_HEAD = struct.Struct("<HIQQ")
_CHUNK_HEAD = struct.Struct("<QQQI")
FOREVER = 2**64 - 1
_BEHIND = 16 * 2**20
"""Bytes of a file that stay in memory behind the record that is read."""


class Message(NamedTuple):
    """One recorded message, still serialised (CDR); ``log_ns`` is the wall time of receipt."""

    topic: str
    type: str
    log_ns: int
    data: bytes


class NotMcapError(ValueError):
    """The file is empty, or is no MCAP file; the message says which."""


@dataclasses.dataclass
class FileScan:
    """What a scan has found in one file so far; all of it once :meth:`messages` is exhausted.

    ``closed``: its footer is there.  ``unread``: bytes behind the last whole record.  ``damaged``: chunks left out.
    ``metadata``: records by name, where a name occurs twice the later one.
    """

    path: Path
    topics: dict[str, str] = dataclasses.field(default_factory=dict)
    metadata: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)
    count: int = 0
    last_ns: int = 0
    closed: bool = False
    unread: int = 0
    damaged: list[str] = dataclasses.field(default_factory=list)
    _schemas: dict[int, str] = dataclasses.field(default_factory=lambda: {0: ""})
    _channels: dict[int, tuple[str, str]] = dataclasses.field(default_factory=dict)

    def messages(
        self, wanted: Collection[str], first_ns: int = 0, last_ns: int = FOREVER
    ) -> Iterator[Message]:
        """The messages on the ``wanted`` topics logged within [first_ns, last_ns], in the order of the file.

        Chunks outside that time are passed over unread, so channels must be known from an earlier, whole scan.

        Raises:
            NotMcapError: see there.
        """
        self.count, self.damaged = 0, []
        for opcode, start, length, view in self._records():
            whole = start + length <= len(view)
            if opcode == _CHUNK:
                head = view[start : start + _CHUNK_HEAD.size]
                if whole and len(head) == _CHUNK_HEAD.size and _outside(head, first_ns, last_ns):
                    continue
                for message in self._chunk(view[start : start + length], whole, wanted):
                    if first_ns <= message.log_ns <= last_ns:
                        yield message
            elif opcode == _MESSAGE:
                found = self._message(view[start : start + length], 0, length, wanted)
                if found is not None and first_ns <= found.log_ns <= last_ns:
                    yield found
            else:
                self._describe(opcode, view[start : start + length])

    def _records(self) -> Iterator[tuple[int, int, int, mmap.mmap]]:
        """(opcode, where its content begins, its length, the file) of the records outside chunks.

        Of records that are cut off only a chunk is given, for what is whole in it.
        """
        if self.path.stat().st_size == 0:
            raise NotMcapError("is empty: the recorder was stopped before it wrote anything")
        self.closed = False
        with self.path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as view:
            if view[: len(MAGIC)] != MAGIC:
                raise NotMcapError("is not an MCAP file")
            offset, end, kept = len(MAGIC), len(view), 0
            while offset + _RECORD.size <= end:
                opcode, length = _RECORD.unpack_from(view, offset)
                start = offset + _RECORD.size
                if start + length > end:
                    if opcode == _CHUNK:
                        yield opcode, start, length, view
                    break
                if opcode == _FOOTER:
                    self.closed = True
                    break
                yield opcode, start, length, view
                offset = start + length
                if offset - kept > _BEHIND:
                    # Pages that were read count as the process's memory until they are given back.
                    first, kept = kept, offset - offset % mmap.ALLOCATIONGRANULARITY
                    if hasattr(view, "madvise"):
                        view.madvise(mmap.MADV_DONTNEED, first, kept - first)
            self.unread = 0 if self.closed else end - offset

    def peek(self) -> None:
        """Take the metadata records alone; raises like :meth:`messages`."""
        for opcode, start, length, view in self._records():
            if opcode == _METADATA:
                self._describe(opcode, view[start : start + length])

    def _chunk(self, content: bytes, whole: bool, wanted: Collection[str]) -> Iterator[Message]:
        try:
            _, _, size, check = _CHUNK_HEAD.unpack_from(content)
            compression, offset = _text(content, _CHUNK_HEAD.size)
            data = content[offset + 8 :]
            if compression:
                if not whole:
                    return
                data = _decompress(compression, data)
            if whole and (len(data) != size or (check and zlib.crc32(data) != check)):
                self.damaged.append("its checksum does not hold")
                return
        except Exception as error:  # noqa: BLE001  # each codec has its own errors; a damaged chunk is left out
            if whole:
                self.damaged.append(str(error))
            return
        offset = 0
        while offset + _RECORD.size <= len(data):
            opcode, length = _RECORD.unpack_from(data, offset)
            start, end = offset + _RECORD.size, offset + _RECORD.size + length
            if end > len(data):
                if whole:
                    self.damaged.append("a record in it is longer than the chunk")
                return
            if opcode == _MESSAGE:
                found = self._message(data, start, length, wanted)
                if found is not None:
                    yield found
            elif opcode in (_SCHEMA, _CHANNEL):
                self._describe(opcode, data[start:end])
            offset = end

    def _message(self, data: bytes, start: int, length: int, wanted: Collection[str]) -> Message | None:
        if length < _MESSAGE_HEAD.size:
            self.damaged.append("a message is too short")
            return None
        channel, _, log_ns, _ = _MESSAGE_HEAD.unpack_from(data, start)
        known = self._channels.get(channel)
        if known is None:
            return None
        self.count += 1
        self.last_ns = max(self.last_ns, log_ns)
        if known[0] not in wanted:
            return None
        return Message(known[0], known[1], log_ns, data[start + _MESSAGE_HEAD.size : start + length])

    def _describe(self, opcode: int, content: bytes) -> None:
        try:
            if opcode == _SCHEMA:
                self._schemas[struct.unpack_from("<H", content)[0]] = _text(content, 2)[0]
            elif opcode == _CHANNEL:
                number, schema = struct.unpack_from("<HH", content)
                topic, kind = _text(content, 4)[0], self._schemas.get(schema, "")
                self._channels[number] = (topic, kind)
                self.topics[topic] = kind
            elif opcode == _METADATA:
                name, offset = _text(content, 0)
                end = offset + 4 + struct.unpack_from("<I", content, offset)[0]
                offset += 4
                values: dict[str, str] = {}
                while offset < end:
                    key, offset = _text(content, offset)
                    values[key], offset = _text(content, offset)
                self.metadata[name] = values
        except struct.error as error:
            self.damaged.append(str(error))


def _outside(head: bytes, first_ns: int, last_ns: int) -> bool:
    begin, end, _, _ = _CHUNK_HEAD.unpack(head)
    return bool(end < first_ns or begin > last_ns)


def _text(data: bytes, offset: int) -> tuple[str, int]:
    """A length-prefixed string and the offset behind it."""
    size = struct.unpack_from("<I", data, offset)[0]
    end = offset + 4 + size
    return data[offset + 4 : end].decode("utf-8", "replace"), end


def _decompress(compression: str, payload: bytes) -> bytes:
    # Both codecs come with rosbags.
    if compression == "lz4":
        import lz4.frame  # type: ignore[import-untyped]

        return bytes(lz4.frame.decompress(payload))
    if compression == "zstd":
        from backports import zstd

        return bytes(zstd.decompress(payload))
    raise ValueError(f"compression '{compression}' is unknown")

"""Protocol Buffers' wire format, as far as Gazebo's messages need it; pure.

A field is a key, number * 8 + kind, and a value: a varint (kind 0), eight bytes (1), bytes with their length (2), or
four bytes (5).  Which number means what is in ``messages``.
"""

from __future__ import annotations

import struct
from typing import Any

VARINT, EIGHT, LENGTH, FOUR = 0, 1, 2, 5
Fields = dict[int, list[Any]]
"""What a message holds by field number: int, float (of eight bytes), or bytes."""


class WireError(ValueError):
    """Bytes that are no message."""


def varint(value: int) -> bytes:
    """A number from 0, seven bits a byte, lowest first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def integer(number: int, value: int) -> bytes:
    """A field of an integer from 0, a flag or an enumeration."""
    return varint(number << 3 | VARINT) + varint(value)


def double(number: int, value: float) -> bytes:
    """A field of eight bytes."""
    return varint(number << 3 | EIGHT) + struct.pack("<d", value)


def text(number: int, value: str) -> bytes:
    """A field of text."""
    return nested(number, value.encode())


def nested(number: int, value: bytes) -> bytes:
    """A field of bytes: a message in a message."""
    return varint(number << 3 | LENGTH) + varint(len(value)) + value


def parse(data: bytes) -> Fields:
    """The fields of a message; those that come more than once in their order.

    Raises:
        WireError: the bytes end within a field, or a kind is unknown.
    """
    fields: Fields = {}
    at, end = 0, len(data)
    while at < end:
        key, at = _varint(data, at)
        kind = key & 7
        value: Any
        if kind == VARINT:
            value, at = _varint(data, at)
        else:
            if kind == LENGTH:
                size, at = _varint(data, at)
            elif kind in (EIGHT, FOUR):
                size = 8 if kind == EIGHT else 4
            else:
                raise WireError(f"field {key >> 3}: kind {kind} is unknown")
            if at + size > end:
                raise WireError(f"field {key >> 3}: {size} bytes announced, {end - at} there")
            value = data[at : at + size]
            at += size
            if kind == EIGHT:
                (value,) = struct.unpack("<d", value)
        fields.setdefault(key >> 3, []).append(value)
    return fields


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise WireError("a number does not end")

"""Protocol Buffers' wire format as Gazebo's messages need it, and the frames of its transport."""

from __future__ import annotations

import math
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pe_gazebo import messages
from pe_gazebo.transport import GazeboError, Transport, frame
from pe_gazebo.wire import WireError, double, integer, nested, parse, text


@given(st.integers(0, 2**64 - 1), st.floats(allow_nan=False), st.binary(max_size=300), st.integers(1, 2000))
def test_what_is_written_is_read(number: int, real: float, data: bytes, field: int) -> None:
    written = integer(field, number) + double(field + 1, real) + nested(field + 2, data) + nested(field + 2, data)
    assert parse(written) == {field: [number], field + 1: [real], field + 2: [data, data]}


def test_bytes_as_the_format_defines_them() -> None:
    assert integer(1, 150) == bytes.fromhex("089601")
    assert text(2, "testing") == bytes.fromhex("120774657374696e67")
    assert double(1, 1.0) == bytes.fromhex("09000000000000f03f")
    assert parse(bytes.fromhex("0d00000040")) == {1: [bytes.fromhex("00000040")]}


@pytest.mark.parametrize("data", ["12077465", "08", "0896", "0b", "09000000", "ff" * 11])
def test_torn_or_foreign_bytes_are_refused(data: str) -> None:
    with pytest.raises(WireError):
        parse(bytes.fromhex(data))


@given(st.floats(-1.0, 1.0), st.floats(-3.1, 3.1))
def test_a_velocity_is_a_position_and_a_yaw(v: float, omega: float) -> None:
    fields = parse(messages.velocity(v, omega))
    position, turn = parse(fields[3][0]), parse(fields[4][0])
    assert position[1] == [v]
    assert 2.0 * math.atan2(turn[4][0], turn[5][0]) == pytest.approx(omega, abs=1e-12)


def test_a_master_that_sends_no_frame_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def greet() -> bool:
            listener.setblocking(False)
            try:
                connection, _ = listener.accept()
            except BlockingIOError:
                return True
            connection.sendall(b"HTTP/1.1 400")
            return True

        with pytest.raises(GazeboError, match="no length of a frame"):
            Transport(port, 2.0, greet)


def test_nobody_at_the_port_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(GazeboError, match=f"nobody answers at port {port}"):
        Transport(port, 0.05)


def test_a_frame_has_its_length_in_eight_digits() -> None:
    assert frame(b"x" * 26) == b"0000001a" + b"x" * 26


def link_data_bytes(seconds: int, nanoseconds: int, velocities: list[float], *, last: bytes = b"") -> bytes:
    """A LinkData as Gazebo writes it: time, name, two vectors; ``last`` follows them."""
    time, name = integer(1, seconds) + integer(2, nanoseconds), text(2, "pursuer::base_link")
    vectors = [
        b"".join(double(n + 1, v) for n, v in enumerate(part)) for part in (velocities[:3], velocities[3:])
    ]
    return nested(1, time) + name + nested(3, vectors[0]) + nested(4, vectors[1]) + last


@given(
    st.integers(0, 2**31 - 1),
    st.integers(0, 10**9 - 1),
    st.lists(st.floats(allow_nan=False), min_size=6, max_size=6),
)
def test_velocities_are_read_the_same_in_one_go_and_field_by_field(
    seconds: int, nanoseconds: int, velocities: list[float]
) -> None:
    at_once = messages.link_data(link_data_bytes(seconds, nanoseconds, velocities))
    by_field = messages.link_data(link_data_bytes(seconds, nanoseconds, velocities, last=integer(9, 1)))
    assert (
        at_once == by_field == (seconds * 10**9 + nanoseconds, tuple(velocities[:3]), tuple(velocities[3:]))
    )

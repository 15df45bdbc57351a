"""A client of Gazebo classic's transport: topics over TCP, found through the master.

A frame is its length in eight hexadecimal digits, then the payload.  The master speaks in packets; on connecting it
sends version, namespaces and all publishers.  A topic's data flow on a connection of their own, which the subscriber
opens to the publisher's port and begins with a packet ``sub``; after it payloads are raw messages.

Everything happens in the calls of :class:`Transport`: there is no thread, and nothing is missed between two calls, for
the sockets keep it.
"""

from __future__ import annotations

import contextlib
import math
import selectors
import socket
import time
from collections.abc import Callable

from pe_core.config import ConfigurationError
from pe_gazebo.messages import Publisher, packet, subscribe, unpack
from pe_gazebo.wire import parse

HOST = "127.0.0.1"
_HEADER = 8
_CHUNK = 65536
_FRAME_MOST = 64 * 2**20
CONNECT_TIMEOUT = 2.0

Handler = Callable[[bytes], None]


class GazeboError(ConfigurationError):
    """The server does not do what was asked, or is gone."""


class _Frames:
    """Cuts the bytes of one connection into payloads."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._kept = bytearray()

    def receive(self) -> list[bytes] | None:
        """Payloads that are complete; None where the other side has closed."""
        try:
            data = self.connection.recv(_CHUNK)
        except OSError:
            return None
        if not data:
            return None
        self._kept += data
        payloads = []
        while len(self._kept) >= _HEADER:
            try:
                size = int(self._kept[:_HEADER], 16)
            except ValueError:
                size = -1
            if not 0 <= size <= _FRAME_MOST:
                raise GazeboError(
                    f"Gazebo's transport: {bytes(self._kept[:_HEADER])!r} is no length of a frame"
                )
            if len(self._kept) < _HEADER + size:
                break
            payloads.append(bytes(self._kept[_HEADER : _HEADER + size]))
            del self._kept[: _HEADER + size]
        return payloads


def frame(payload: bytes) -> bytes:
    """A payload as it goes over the connection."""
    return b"%08x" % len(payload) + payload


class Transport:
    """One participant.  ``advertise`` and ``subscribe`` first, then ``publish`` and ``until``."""

    def __init__(self, port: int, timeout: float, alive: Callable[[], bool] = lambda: True) -> None:
        """Connect to the master at ``port`` of this machine and wait for its greeting, at most ``timeout`` [s].

        ``alive`` is asked meanwhile, and may raise where there is nobody to wait for.

        Raises:
            GazeboError: nobody answers.
        """
        end = time.monotonic() + timeout
        self._selector = selectors.DefaultSelector()
        self._publishers: dict[str, list[Publisher]] = {}
        self._handlers: dict[str, tuple[str, Handler]] = {}
        self._connected: set[Publisher] = set()
        self._subscribers: dict[str, list[socket.socket]] = {}
        self._greeted = False
        self._listener = socket.create_server((HOST, 0))
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._port = self._listener.getsockname()[1]
        try:
            self._master = self._connect(port, timeout, alive=alive)
            self._watch(self._master, self._on_master, "the master has closed its connection")
            left = max(end - time.monotonic(), CONNECT_TIMEOUT)
            self.until(lambda: self._greeted or not alive(), left, "the master does not greet")
        except BaseException:
            self.close()
            raise

    # -- topics -------------------------------------------------------------------------------------------

    def publishes(self, topic: str) -> bool:
        """Whether the master knows a publisher of ``topic``."""
        return bool(self._publishers.get(topic))

    def has_subscriber(self, topic: str) -> bool:
        """Whether somebody listens to what is published here on ``topic``."""
        return bool(self._subscribers.get(topic))

    def is_subscribed(self, topic: str) -> bool:
        """Whether a publisher of ``topic`` is connected."""
        return any(publisher.topic == topic for publisher in self._connected)

    def advertise(self, topic: str, kind: str) -> None:
        """Announce messages of ``kind`` on ``topic``; subscribers connect by themselves."""
        self._subscribers.setdefault(topic, [])
        self._tell("advertise", Publisher(topic, kind, HOST, self._port).encode())

    def subscribe(self, topic: str, kind: str, handler: Handler) -> None:
        """Call ``handler`` with every message on ``topic``, within :meth:`until` and :meth:`pump`."""
        self._handlers[topic] = (kind, handler)
        self._tell("subscribe", subscribe(topic, kind, HOST, self._port))
        for publisher in self._publishers.get(topic, []):
            self._open(publisher)

    def publish(self, topic: str, message: bytes) -> None:
        """Send a message to every subscriber of ``topic``.

        Raises:
            GazeboError: there is none, or it has gone.
        """
        subscribers = self._subscribers.get(topic)
        if not subscribers:
            raise GazeboError(f"Gazebo: nobody listens to {topic}")
        for connection in subscribers:
            try:
                connection.sendall(frame(message))
            except OSError as error:
                raise GazeboError(f"Gazebo: the subscriber of {topic} is gone: {error}") from error

    # -- time ---------------------------------------------------------------------------------------------

    def until(
        self,
        condition: Callable[[], bool],
        timeout: float,
        failure: str,
        wake: Callable[[], None] | None = None,
        every: float = math.inf,
    ) -> None:
        """Receive until ``condition`` holds; ``wake`` and ``every`` as in :meth:`comes`.

        Raises:
            GazeboError: ``failure``, after ``timeout`` [s].
        """
        if not self.comes(condition, timeout, wake, every):
            raise GazeboError(f"Gazebo: {failure} (waited {timeout:g} s)")

    def comes(
        self,
        condition: Callable[[], bool],
        timeout: float,
        wake: Callable[[], None] | None = None,
        every: float = math.inf,
    ) -> bool:
        """Receive until ``condition`` holds; False where it does not within ``timeout`` [s].

        ``wake`` is called whenever that has taken another ``every`` [s].
        """
        now = time.monotonic()
        end, due = now + timeout, now + every
        while not condition():
            now = time.monotonic()
            if now >= end:
                return False
            if wake is not None and now >= due:
                wake()
                due = now + every
            self.pump(min(end, due) - now)
        return True

    def pump(self, timeout: float) -> None:
        """Receive what is there, waiting up to ``timeout`` [s] for the first of it."""
        for key, _ in self._selector.select(timeout):
            key.data()

    def close(self) -> None:
        """Leave: every connection is closed."""
        for key in list(self._selector.get_map().values()):
            with contextlib.suppress(OSError):
                key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()

    # -- connections --------------------------------------------------------------------------------------

    @staticmethod
    def _connect(
        port: int, timeout: float, host: str = HOST, alive: Callable[[], bool] = lambda: True
    ) -> socket.socket:
        end = time.monotonic() + timeout
        while True:
            try:
                connection = socket.create_connection((host, port), timeout=CONNECT_TIMEOUT)
                break
            except OSError as error:
                alive()
                if time.monotonic() > end:
                    raise GazeboError(f"Gazebo: nobody answers at port {port}: {error}") from error
                time.sleep(0.02)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _watch(self, connection: socket.socket, handler: Handler, closed: str = "") -> None:
        """Hand every payload of a connection to ``handler``; its end is an error where ``closed`` says so."""
        frames = _Frames(connection)

        def receive() -> None:
            payloads = frames.receive()
            if payloads is None:
                self._forget(connection)
                if closed:
                    raise GazeboError(f"Gazebo: {closed}")
                return
            for payload in payloads:
                handler(payload)

        self._selector.register(connection, selectors.EVENT_READ, receive)

    def _forget(self, connection: socket.socket) -> None:
        self._selector.unregister(connection)
        connection.close()
        for connections in self._subscribers.values():
            if connection in connections:
                connections.remove(connection)

    def _tell(self, kind: str, data: bytes) -> None:
        try:
            self._master.sendall(frame(packet(kind, data)))
        except OSError as error:
            raise GazeboError(f"Gazebo: the master is gone: {error}") from error

    def _on_master(self, payload: bytes) -> None:
        kind, data = unpack(payload)
        if kind == "publishers_init":
            for entry in parse(data).get(1, []):
                self._found(Publisher.parse(entry))
            self._greeted = True
        elif kind in ("publisher_add", "publisher_subscribe", "publisher_advertise"):
            publisher = Publisher.parse(data)
            self._found(publisher)
            if kind != "publisher_add":
                self._open(publisher)
        elif kind == "publisher_del":
            publisher = Publisher.parse(data)
            known = self._publishers.get(publisher.topic, [])
            if publisher in known:
                known.remove(publisher)

    def _found(self, publisher: Publisher) -> None:
        known = self._publishers.setdefault(publisher.topic, [])
        if publisher not in known:
            known.append(publisher)

    def _open(self, publisher: Publisher) -> None:
        """Connect to a publisher of a subscribed topic, once: the master may name it more than once."""
        if (
            publisher.topic not in self._handlers
            or publisher in self._connected
            or publisher.port == self._port
        ):
            return
        kind, handler = self._handlers[publisher.topic]
        connection = self._connect(publisher.port, CONNECT_TIMEOUT, publisher.host)
        connection.sendall(frame(packet("sub", subscribe(publisher.topic, kind, HOST, self._port))))
        self._connected.add(publisher)
        self._watch(connection, handler)

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        connection.settimeout(CONNECT_TIMEOUT)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def first(payload: bytes) -> None:
            kind, data = unpack(payload)
            if kind == "sub":
                topic = parse(data)[1][0].decode()
                self._subscribers.setdefault(topic, []).append(connection)

        self._watch(connection, first)

"""A gzserver of one's own: a port, a home and a log of its own, and it never outlives whoever started it."""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from pe_gazebo.installation import environment, gzserver_command
from pe_gazebo.transport import HOST, GazeboError, Transport

START_TIMEOUT = 60.0
"""Time [s] from the start of a server to its world, which takes half a second on an idle machine."""
STOP_TIMEOUT = 3.0
TRIES = 3
_TAIL = 12
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def dies_with(parent: int) -> Callable[[], None]:
    """What a child does between fork and exec, so that the kernel kills it when the thread that started it ends.

    ``parent`` is the process that starts it: where that is gone already, the child ends at once.
    """

    def prepare() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return prepare


class Server:
    """A running gzserver with a world, paused; a context manager.

    Attributes:
        transport: a client of it, connected when its world is there.
        log: what the server prints; its folder is removed when the server was stopped in order, else it is kept.
    """

    def __init__(self, world: str, name: str, timeout: float = START_TIMEOUT) -> None:
        """Start a server with the SDF text ``world``, whose world is called ``name``; wait up to ``timeout`` [s].

        Raises:
            ConfigurationError: Gazebo is not installed.
            GazeboError: the world did not come up; with the end of the server's log.
        """
        self.folder = Path(tempfile.mkdtemp(prefix="pe-gazebo-"))
        self.log = self.folder / "gzserver.log"
        self.path = self.folder / f"{name}.sdf"
        self._process: subprocess.Popen[bytes] | None = None
        self._transport: Transport | None = None
        self._failed = False
        try:
            self.path.write_text(world)
            end = time.monotonic() + timeout
            for attempt in range(TRIES):
                try:
                    self._start(name, end - time.monotonic())
                    break
                except GazeboError:
                    # Somebody may have taken the port meanwhile; and now and then a server crashes while it starts.
                    if attempt == TRIES - 1 or not self._ended():
                        raise
                    self._stop()
        except BaseException as error:
            self._failed = isinstance(error, GazeboError)
            self.close()
            raise

    def _start(self, name: str, timeout: float) -> None:
        port = free_port()
        command = gzserver_command(self.path, "-u")
        begin = time.monotonic()
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command, env=environment(port, self.folder), stdout=log, stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL, cwd=self.folder, start_new_session=True, preexec_fn=dies_with(os.getpid()),
            )  # fmt: skip
        try:
            self._transport = Transport(port, timeout, self._alive)
            # A subscription or an advertisement that comes before the world is there is lost now and then.
            stats, left = f"/gazebo/{name}/world_stats", begin + timeout - time.monotonic()
            self._transport.until(
                lambda: self._alive() and self.transport.publishes(stats), left, "no world came up"
            )
        except GazeboError as error:
            raise GazeboError(f"{error}; {self.last_words()}") from error

    @property
    def transport(self) -> Transport:
        """The client of this server."""
        assert self._transport is not None
        return self._transport

    @property
    def pid(self) -> int:
        """Process id of the server."""
        assert self._process is not None
        return self._process.pid

    def until(
        self,
        condition: Callable[[], bool],
        timeout: float,
        failure: str,
        wake: Callable[[], None] | None = None,
        every: float = math.inf,
    ) -> None:
        """Receive until ``condition`` holds; ``wake`` and ``every`` as in :meth:`Transport.comes`.

        Raises:
            GazeboError: ``failure`` after ``timeout`` [s], or the server has ended; with the end of its log.
        """
        try:
            self.transport.until(condition, timeout, failure, wake, every)
        except GazeboError as error:
            self._failed = True
            raise GazeboError(f"{error}; {self.last_words()}") from error

    def _ended(self) -> bool:
        """Whether a server was started and is gone."""
        return self._process is not None and self._process.poll() is not None

    def _alive(self) -> bool:
        """True; raises GazeboError where the server has ended."""
        if self._process is not None and (code := self._process.poll()) is not None:
            raise GazeboError(f"gzserver ended with exit code {code}")
        return True

    def last_words(self) -> str:
        """Whether the server still runs, and the end of its log."""
        code = None if self._process is None else self._process.poll()
        state = "gzserver runs" if code is None else f"gzserver ended with exit code {code}"
        # A machine without loudspeakers is no news.
        lines = [line for line in self._said().splitlines() if not line.startswith(("ALSA", "AL lib"))][-_TAIL:]
        return "\n    ".join([f"{state}; its log, {self.log}:", *lines])

    def _said(self) -> str:
        with contextlib.suppress(OSError):
            return self.log.read_text(errors="replace").strip()
        return ""

    def close(self) -> None:
        """Stop the server and wait for its end; its log is kept where it failed.  May be called twice."""
        self._stop()
        if not self._failed:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _stop(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])

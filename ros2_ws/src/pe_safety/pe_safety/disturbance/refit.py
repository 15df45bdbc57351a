"""Who computes refits: the caller, at once and repeatably; or a thread, while control steps go on.

The thread spends its time in one compiled call that holds no interpreter lock.  Requests go through a queue that
never blocks its writer, and only the newest is served; results come back as one reference to an immutable object.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
from collections.abc import Callable
from typing import Protocol

from pe_safety.disturbance.posterior import Posterior

Fit = Callable[[], Posterior | None]
Publish = Callable[[Posterior | None], None]

NICENESS = 5
"""Lower priority of the thread where the system has one for each thread (Linux)."""


class Refitter(Protocol):
    """Computes fits and hands each result to the function given with it."""

    def submit(self, fit: Fit, publish: Publish) -> None:
        """Compute ``fit`` now or later; a later request may take the place of one that waits."""

    def wait(self, timeout: float) -> bool:
        """Wait until nothing is asked for, at most ``timeout`` [s]."""

    def close(self) -> None:
        """End; nothing is published after this returns."""


class InCaller:
    """Computes in :meth:`submit`: deterministic, for evaluation and tests."""

    def submit(self, fit: Fit, publish: Publish) -> None:
        """Compute and publish before returning."""
        publish(fit())

    def wait(self, timeout: float) -> bool:
        """Nothing is ever under way."""
        return True

    def close(self) -> None:
        """Nothing to end."""


class InThread:
    """Computes in one daemon thread; :meth:`submit` returns at once and takes no lock of ours."""

    def __init__(self) -> None:
        self._requests: queue.SimpleQueue[tuple[Fit, Publish] | None] = queue.SimpleQueue()
        self._closing = False
        self._idle = threading.Event()
        self._idle.set()
        self._thread = threading.Thread(target=self._work, name="disturbance-refit", daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        """True while a request waits or is computed."""
        return not self._idle.is_set()

    def submit(self, fit: Fit, publish: Publish) -> None:
        """Ask for a fit; of several that wait the newest is computed."""
        if not self._closing:
            self._idle.clear()
            self._requests.put((fit, publish))

    def wait(self, timeout: float) -> bool:
        """Wait until nothing is asked for, at most ``timeout`` [s]; for tests and shutdown, not for a control step."""
        return self._idle.wait(timeout)

    def close(self) -> None:
        """End the thread after the fit that it is in."""
        self._closing = True
        self._requests.put(None)
        self._thread.join()
        self._idle.set()

    def _work(self) -> None:
        if hasattr(os, "setpriority") and hasattr(os, "PRIO_PROCESS"):
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        while True:
            request = self._requests.get()
            with contextlib.suppress(queue.Empty):
                while request is not None:
                    request = self._requests.get_nowait()
            if request is None or self._closing:
                return
            fit, publish = request
            try:
                result = fit()
            except Exception:
                # The last posterior stays in force; a control step must not learn of this by an exception.
                logging.getLogger(__name__).exception("refit of the disturbance failed")
                result = None
            if not self._closing:
                publish(result)
            if self._requests.empty():
                self._idle.set()
                if not self._requests.empty():
                    self._idle.clear()

"""Starts a process again whenever it ends, as ``respawn`` of launch_ros does, until this one is told to end.

python -m pe_nodes.respawn DELAY COMMAND ...
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Sequence

from pe_nodes.launcher import LAUNCHER_GONE

CONFIGURATION_FAILED = 2


class Keeper:
    """Runs ``command``, again ``delay`` [s] after each end, until it is told to end."""

    def __init__(self, delay: float, command: Sequence[str]) -> None:
        self._delay = delay
        self._command = command
        self._ending = False
        self._child: subprocess.Popen[bytes] | None = None

    def end(self, number: int) -> None:
        """Pass a signal on, and start nothing any more; safe in a signal handler."""
        self._ending = True
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(number)

    def run(self) -> int:
        """Returns the last exit code.

        A command that refuses its configuration is not started again, for it would refuse it for ever; nor is one whose
        launcher is gone.
        """
        while True:
            self._child = subprocess.Popen(self._command)
            if self._ending:
                self._child.terminate()
            code = self._child.wait()
            last = self._ending or code in (CONFIGURATION_FAILED, LAUNCHER_GONE)
            if not last:
                print(f"ended with exit code {code}; starting it again in {self._delay:g} s", flush=True)
                time.sleep(self._delay)
            if last or self._ending:
                return code


if __name__ == "__main__":
    keeper = Keeper(float(sys.argv[1]), sys.argv[2:])
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, lambda number, _: keeper.end(number))
    sys.exit(keeper.run())

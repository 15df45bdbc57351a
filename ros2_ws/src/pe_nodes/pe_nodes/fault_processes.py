"""Faults of whole processes: killed, halted, short of processor time.

Only processes of the same run are touched: those that carry the run's token in their environment and the node's
name on their command line.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Mapping

import psutil

from pe_nodes.child_environment import RUN_TOKEN
from pe_nodes.faults import Fault, Hog, Kill, Slow

_BUSY = "import sys, time; end = time.monotonic() + float(sys.argv[1])\nwhile time.monotonic() < end: pass"


def node_process(target: str, environment: Mapping[str, str]) -> psutil.Process | None:
    """The process of the node ``target`` (``pursuer/safety``) in the run of ``environment``, None where none runs."""
    token = environment.get(RUN_TOKEN)
    if not token:
        return None
    namespace, _, name = f"/{target}".rpartition("/")
    wanted = {f"__node:={name}", f"__ns:={namespace or '/'}"}
    found = []
    for process in psutil.process_iter():
        # Processes of other users, and those that end meanwhile, are not ours.
        with contextlib.suppress(psutil.Error):
            if wanted <= set(process.cmdline()) and process.environ().get(RUN_TOKEN) == token:
                found.append(process)
    # What restarts a node has the node's words on its own command line.
    parents = {process.ppid() for process in found}
    return next((process for process in found if process.pid not in parents), None)


class ProcessFault:
    """One fault at work on a process; ``rate`` is simulated over wall time."""

    def __init__(self, fault: Fault, rate: float, environment: Mapping[str, str]) -> None:
        self.fault = fault
        self._rate = rate
        self._environment = environment
        self._process: psutil.Process | None = None
        self._halted = False
        self._busy: list[subprocess.Popen[bytes]] = []

    def begin(self) -> str:
        """Start; says what was done, or why nothing."""
        fault = self.fault
        if isinstance(fault, Hog):
            # They end by themselves, should nobody be left to end them.
            limit = str((fault.duration or 3600.0) / self._rate + 1.0)
            command = [sys.executable, "-S", "-c", _BUSY, limit]
            self._busy = [subprocess.Popen(command, env=self._environment) for _ in range(fault.processes)]
            return f"{fault.processes} busy processes"
        self._process = node_process(fault.target, self._environment)
        if self._process is None:
            return f"no process of {fault.target} runs"
        if isinstance(fault, Kill):
            with contextlib.suppress(psutil.NoSuchProcess):
                self._process.kill()
        return f"process {self._process.pid}"

    def update(self, time: float) -> None:
        """While it acts, ``time`` [s] after the start of the episode."""
        if isinstance(self.fault, Slow):
            self._halt(self.fault.stopped(time))

    def end(self) -> None:
        """Leave everything as it was, as far as that is possible."""
        self._halt(False)
        for process in self._busy:
            process.kill()
            process.wait()
        self._busy = []

    def _halt(self, halted: bool) -> None:
        if self._process is None or halted == self._halted:
            return
        self._halted = halted
        with contextlib.suppress(psutil.NoSuchProcess):
            (self._process.suspend if halted else self._process.resume)()

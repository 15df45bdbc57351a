"""Whether what has launched a run still lives; its nodes end with it, for nobody else would stop the robots."""

from __future__ import annotations

import os

import psutil

from pe_nodes.child_environment import LAUNCHER

LAUNCHER_GONE = 6
"""Exit code of a node whose launcher is gone."""


class Launcher:
    """The process that :data:`LAUNCHER` names; ``ros2 launch`` names none."""

    def __init__(self) -> None:
        given = os.environ.get(LAUNCHER, "")
        self._process: psutil.Process | None = None
        self._gone = False
        if given.isdigit():
            try:
                self._process = psutil.Process(int(given))
            except psutil.NoSuchProcess:
                # It ended while this process was starting.
                self._gone = True

    def gone(self) -> bool:
        """Whether it is not there any more, another process with its number not being it."""
        return self._gone or (self._process is not None and not self._process.is_running())

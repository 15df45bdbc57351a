"""Whether what has launched a run still lives; its nodes end with it, for nobody else would stop the robots."""

from __future__ import annotations

import os

import psutil

from pe_nodes.child_environment import LAUNCHER

LAUNCHER_GONE = 6
"""Exit code of a node whose launcher is gone."""


class Launcher:
    """The process that :data:`LAUNCHER` names, at the time of asking first; ``ros2 launch`` names none."""

    def __init__(self) -> None:
        given = os.environ.get(LAUNCHER, "")
        self._process: psutil.Process | None = None
        if given.isdigit() and psutil.pid_exists(int(given)):
            self._process = psutil.Process(int(given))

    def gone(self) -> bool:
        """Whether it was there and is not any more, another process with its number not being it."""
        return self._process is not None and not self._process.is_running()

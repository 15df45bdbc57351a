"""What a user sees of a run: one line of progress, and the nodes' own messages above it."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text


class LaunchDisplay:
    """A honcho printer: the simulator's progress becomes one live line, everything else is printed."""

    width = 0

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(Text("starting the nodes ..."), console=console, refresh_per_second=8, transient=True)
        self.progress: dict[str, Any] = {}
        self.errors: list[str] = []
        self.stopped: list[tuple[str, int]] = []

    def __enter__(self) -> LaunchDisplay:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def write(self, message: Any) -> None:
        """Take one line of a process (honcho calls this), or honcho's own news."""
        data = message.data
        text = data.decode("utf-8", "replace") if isinstance(data, bytes) else str(data)
        for line in text.splitlines():
            self._line(str(message.name or ""), line)

    def _line(self, name: str, line: str) -> None:
        if name == "system":
            # "<process> stopped (rc=<code>)": who ended first decides what the run's end means.
            words = line.split()
            if len(words) == 3 and words[1] == "stopped":
                self.stopped.append((words[0], int(words[2][4:-1])))
            return
        if line.startswith('{"progress"'):
            try:
                self.progress = json.loads(line)["progress"]
            except ValueError:
                return
            self._live.update(self._text())
            if self.progress["outcome"] != "running" and not self._console.is_terminal:
                self._console.print(self._text(), soft_wrap=True)
            return
        if line.strip():
            if "ERROR" in line or line.startswith("error"):
                self.errors.append(f"{name}: {line}")
            self._console.print(Text(f"{name}: {line}"), highlight=False, soft_wrap=True)

    def _text(self) -> Text:
        p = self.progress
        corrected = f"interventions {p['interventions']}  " if "interventions" in p else ""
        return Text(
            f"episode {p['episode'] + 1}/{p['episodes']}  t {p['time_s']:6.2f} s  distance {p['distance_m']:6.2f} m  "
            f"smallest margin {p['min_margin_m']:.3f} m  captures {p['captures']}  violations {p['violations']}  "
            f"{corrected}{p['outcome']}"
        )

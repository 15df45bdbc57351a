"""Progress of a run: JSON lines on standard output, which the launcher turns into a live line."""

from __future__ import annotations

import json
from typing import Any, Protocol

from diagnostic_msgs.msg import DiagnosticArray

from pe_core.arena import ArenaConfig

RUNNING = "running"


class Game(Protocol):
    """What is shown of a game, simulated or refereed."""

    config: ArenaConfig
    min_margin: float
    violations: int

    @property
    def steps(self) -> int:
        """Control steps played."""

    def distance(self) -> float:
        """Distance of the centres [m]."""


class Progress:
    """Counts over the episodes of a run."""

    def __init__(self, episodes: int) -> None:
        self._episodes = episodes
        self._captures = self._violations = 0
        self._interventions: dict[str, int] = {}

    def on_diagnostics(self, message: DiagnosticArray) -> None:
        """Safety nodes count their interventions in their heartbeat."""
        for status in message.status:
            for pair in status.values:
                if pair.key == "interventions" and pair.value.isdigit():
                    self._interventions[status.name] = int(pair.value)

    def show(self, played: int, game: Game, outcome: str) -> None:
        """Print one line for the game that is being played (``running``) or has ended.

        Interventions are those of the last heartbeats: said while the game runs, not when the count must be whole.
        """
        if outcome != RUNNING:
            self._captures += outcome == "capture"
            self._violations += game.violations
        progress: dict[str, Any] = {
            "episode": played,
            "episodes": self._episodes,
            "outcome": outcome,
            "time_s": round(game.steps * game.config.dt, 3),
            "distance_m": round(game.distance(), 3),
            "min_margin_m": round(game.min_margin, 4),
            "violations": self._violations + (game.violations if outcome == RUNNING else 0),
            "captures": self._captures,
        }
        if outcome == RUNNING:
            progress["interventions"] = sum(self._interventions.values())
        print(json.dumps({"progress": progress}), flush=True)

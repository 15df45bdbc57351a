"""What the line of a run says while a game is played and when it has ended."""

from __future__ import annotations

import dataclasses
import json

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from pe_core.arena import ArenaConfig, load_arena
from pe_nodes.sim_progress import RUNNING, Progress


@dataclasses.dataclass
class Played:
    """A game as far as it is shown."""

    config: ArenaConfig = dataclasses.field(default_factory=lambda: load_arena("reference"))
    min_margin: float = 0.2
    violations: int = 0
    steps: int = 100

    def distance(self) -> float:
        return 3.0


def test_interventions_are_said_while_a_game_runs_and_not_of_one_that_has_ended(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Heartbeats come once a second: at the end their count is one of some steps before."""
    progress = Progress(2)
    for name, count in (("/pursuer/safety", "5"), ("/evader/safety", "2")):
        status = DiagnosticStatus(name=name, values=[KeyValue(key="interventions", value=count)])
        progress.on_diagnostics(DiagnosticArray(status=[status]))
    progress.show(0, Played(), RUNNING)
    progress.show(0, Played(), "capture")
    running, ended = (json.loads(line)["progress"] for line in capsys.readouterr().out.splitlines())
    assert (running["interventions"], running["captures"]) == (7, 0)
    assert "interventions" not in ended and (ended["captures"], ended["time_s"]) == (1, 5.0)

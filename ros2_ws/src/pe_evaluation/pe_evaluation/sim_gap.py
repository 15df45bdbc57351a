"""``./pe compare --simulator``: the same episodes in several simulators, and the gap between them.

A comparison with the arena simulator, and one with each of the others, each in a folder of its own below the given
one; then one report.  Differences are to the arena simulator in the same episodes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from pe_core.config import ConfigurationError
from pe_core.files import write_text
from pe_core.plant import Simulator
from pe_evaluation.compare_main import Request, play
from pe_evaluation.comparison.document import markdown
from pe_evaluation.comparison.store import Row, Store
from pe_evaluation.metrics import json_safe, write_json
from pe_evaluation.simulators.account import ARENA, account
from pe_evaluation.simulators.report import TITLE, page, sections_of


def run(request: Request, simulators: Mapping[str, Simulator]) -> int:
    """Play what is missing in the arena simulator and in ``simulators``, by name; write and print the gaps.

    Returns 0, or 1 where robots touched something in any of them.

    Raises:
        ConfigurationError: something in the request is not allowed, or a folder holds another comparison.
    """
    plan = request.load_plan()
    if plan.randomised is not None:
        raise ConfigurationError(f"plan '{plan.name}': is randomised: allowed: one that is not, such as gazebo")
    console = Console(stderr=True)
    rows: dict[str, Sequence[Row]] = {}
    identities: dict[str, Any] = {}
    every: dict[str, Simulator | None] = {ARENA: None, **simulators}
    for name, simulator in every.items():
        played = dataclasses.replace(plan, batch=plan.batch if simulator is None else 1)
        store = Store(request.out / name, played, simulator)
        play(store, played, request.workers, console, name)
        rows[name], identities[name] = store.rows(), store.identity
    found = account(plan, rows) | {"identities": identities}
    write_json(request.out / "sim_gap.json", json_safe(found))
    write_text(request.out / "sim_gap.md", markdown(TITLE, sections_of(plan, found)))
    write_text(request.out / "report.html", page(plan, found, request.out))
    _print(found, request.out)
    return 1 if any(cell["violation_episodes"] for cell in found["cells"]) else 0


def _print(found: Mapping[str, Any], out: Path) -> None:
    shown = Table(title="less the arena simulator, in the same episodes")
    for column in ("approach", "evader", "simulator", "captures", "time", "contacts"):
        shown.add_column(column)
    for gap in found["gaps"]:
        shown.add_row(
            gap["title"], f"{gap['evader']} {gap['speed_ratio']:g}", gap["simulator"], f"{gap['points']:+.1f} points",
            f"{100 * gap['time_share']:+.1f} %", str(gap["violation_episodes"]),
        )  # fmt: skip
    console = Console()
    console.print(shown)
    console.print(f"{out / 'sim_gap.md'}, report.html, sim_gap.json")

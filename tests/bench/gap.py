"""``./pe bench gap``: what the mechanism of training and that of deployment make of the same policies."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pe_evaluation.metrics import write_json
from tests.bench.learned import BURGER, Case, world_of
from tests.bench.rows import Row, renewed
from training.learning.gap import ALONE, CONDITIONS, DEPLOYED, SAMPLED, Outcome, play

BENCH = "gap"
PURSUERS = {
    "reference": ("ppo", "cbf-beta", "cbf-beta-polygon", "barriernet"),
    BURGER: ("cbf-beta", "cbf-beta-polygon", "seeds/cbf-beta-burger", "barriernet"),
}
"""By robot."""
CASES = (
    Case("lookahead"),
    Case("lookahead", 1.2),
    Case("boundary", 1.2),
    Case("lookahead", robot=BURGER),
    Case("boundary", robot=BURGER),
)
EPISODES = 2000


def account(outcome: Outcome) -> dict[str, float]:
    """Capture rate, mean return, episodes with a contact, shares of the pursuer's cycles."""
    return {
        "capture_rate": float(outcome.captured.mean()),
        "return": float(outcome.returns.mean()),
        "violating_episodes": float(outcome.violating_episodes),
        "intervention_rate": outcome.interventions / outcome.steps,
        "infeasible_rate": outcome.infeasible / outcome.steps,
    }


def run(
    json_path: Path | None = None,
    episodes: int = EPISODES,
    pursuers: Sequence[str] = (),
    cases: Sequence[Case] = CASES,
) -> list[Row]:
    """Play, print a table, return the rows; the gaps are sampled less deployed.

    Rows that the file has of other pursuers and cases are kept.
    """
    rows: list[Row] = json.loads(json_path.read_text()) if json_path is not None and json_path.is_file() else []
    table = Table(title=f"{episodes} episodes each, the same for all")
    for column in (
        "evader",
        "pursuer",
        "condition",
        "captured",
        "return",
        "contacts",
        "corrected",
        "infeasible",
    ):
        table.add_column(column)
    for case in cases:
        for pursuer in pursuers or PURSUERS[case.robot]:
            found = {
                c: account(play(pursuer, case.evader, c, case.ratio, episodes, 0, **world_of(case.robot)))
                for c in CONDITIONS
            }
            for condition, values in found.items():
                table.add_row(str(case), pursuer, condition, *(f"{v:.4g}" for v in values.values()))
                rows = renewed(rows, _rows(pursuer, f"{case}, {condition}", values))
            gaps = {
                f"gap_{key}": found[SAMPLED][key] - found[DEPLOYED][key] for key in ("capture_rate", "return")
            }
            rows = renewed(rows, _rows(pursuer, str(case), gaps))
            print(
                f"{pursuer} v {case}: gap {100 * gaps['gap_capture_rate']:+.2f} points; without a "
                f"filter {found[ALONE]['violating_episodes']:.0f} episodes with a contact",
                flush=True,
            )
            if json_path is not None:
                write_json(json_path, rows)
    Console().print(table)
    return rows


def _rows(subject: str, case: str, values: dict[str, float]) -> list[Row]:
    return [
        Row(bench=BENCH, subject=subject, case=case, metric=key, value=value, unit="1")
        for key, value in values.items()
    ]

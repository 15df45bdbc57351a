"""The guarantee under drawn imperfections: every robot profile, honest and hostile nominal commands, both scales.

``./pe bench randomised`` plays 10,000 episodes for each scale of ``config/randomisation/turtlebot3.yaml`` and writes
what became of them, the upper bound of the violation rate (Clopper-Pearson, 95 %) with it.
"""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from pe_evaluation.evaluate import Match, evaluate
from pe_evaluation.metrics import EpisodeRecord, identity_of, summarise, write_json
from pe_evaluation.statistics import clopper_pearson_upper

PROFILES = ("reference", "turtlebot3_burger", "turtlebot3_waffle", "turtlebot4")
PAIRS = (
    ("lead", "lookahead"),
    ("ram_pursuer", "ram_evader"),
    ("uniform_pursuer", "uniform_evader"),
    ("ram_pursuer", "lookahead"),
)
ROBUST = "rcbf_robust"
SCALES = (1.0, 2.0)
EPISODES = 625
"""Per profile and pair: 10,000 for each scale."""
SEED = 11
KEYS = ("capture_rate", "violations", "min_margin_m", "intervention_rate", "infeasible_rate", "backup_rate")


def play(match: Match, episodes: int, progress: Any) -> tuple[list[EpisodeRecord], dict[str, Any]]:
    """Records and their summary; nobody warns."""
    records, identity = evaluate(dataclasses.replace(match, feasibility=""), episodes, progress=progress)
    metrics = summarise(records, identity_of(**identity))
    return records, {key: metrics[key] for key in KEYS} | {"steps": metrics["control_steps"]}  # type: ignore[literal-required]


def run(json_path: Path | None = None, episodes: int = EPISODES, scales: tuple[float, ...] = SCALES) -> list[dict]:
    """Play, print a table, write the rows."""
    console = Console(stderr=True)
    rows: list[dict[str, Any]] = []
    for scale in scales:
        start = time.perf_counter()
        total: list[EpisodeRecord] = []
        table = Table(title=f"imperfections drawn over {scale:g} x the ranges, {episodes} episodes each")
        for name in ("robot", "pursuer v evader", *KEYS):
            table.add_column(name)
        for robot in PROFILES:
            for pursuer, evader in PAIRS:
                match = Match(pursuer, evader, ROBUST, robot=robot, randomise=scale, seed=SEED)
                console.print(f"{robot}, {pursuer} v {evader}, x {scale:g}")
                records, found = play(match, episodes, None)
                total += records
                case = f"{robot}/{pursuer}-{evader}/x{scale:g}"
                table.add_row(robot, f"{pursuer} v {evader}", *(f"{found[key]:.5g}" for key in KEYS))
                for key, value in found.items():
                    unit = "m" if key.endswith("_m") else "1"
                    rows.append(row(case, key, value, unit))
        violating = sum(record.violations != 0 for record in total)
        upper = clopper_pearson_upper(violating, len(total))
        table.caption = (
            f"{violating} of {len(total)} episodes with a violation; upper bound {100 * upper:.4f} % (95 %); "
            f"{time.perf_counter() - start:.0f} s"
        )
        rows.append(row(f"all/x{scale:g}", "violating_episodes", violating, "1"))
        rows.append(row(f"all/x{scale:g}", "episodes", len(total), "1"))
        rows.append(row(f"all/x{scale:g}", "violation_episode_rate_upper", upper, "1"))
        rows.append(row(f"all/x{scale:g}", "control_steps", sum(2 * record.steps for record in total), "1"))
        Console().print(table)
    for robot in PROFILES:
        for ideal in (False, True):
            match = Match("lead", "lookahead", "rcbf" if ideal else ROBUST, robot=robot, randomise=1.0, seed=SEED)
            _, found = play(dataclasses.replace(match, covered=not ideal), episodes, None)
            case = f"{robot}/lead-lookahead/x1/{'ideal' if ideal else 'covered'} filter"
            rows += [row(case, key, value, "m" if key.endswith("_m") else "1") for key, value in found.items()]
    if json_path is not None:
        write_json(json_path, rows)
    return rows


def row(case: str, metric: str, value: float, unit: str) -> dict[str, Any]:
    """One row of a benchmark."""
    return {"bench": "randomised", "subject": "rcbf", "case": case, "metric": metric, "value": value, "unit": unit}

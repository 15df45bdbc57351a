"""The page of :mod:`tests.bench.scenarios`, every number of it from the rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pe_evaluation.statistics import clopper_pearson_upper

COMMAND = "./pe bench scenarios --json docs/results/scenarios.json"
BROKEN = "✗"
Rows = Sequence[dict[str, Any]]


def page(rows: Rows, safety: str) -> str:
    """Captures and times by scenario and pursuer, safety by pursuer, and every criterion that does not hold."""
    first = rows[0]
    evader, episodes, seed = first["identity"]["match"]["evader"], first["metrics"]["episodes"], first["seed"]
    lines = [
        "# The scenario suite, measured",
        "",
        f"    {COMMAND}",
        "",
        f"Evader `{evader}`, safety `{safety}`, {episodes} episodes each, seed {seed}; "
        "[what the scenarios are](../scenarios.md).",
        f"One column: `./pe scenarios --pursuer NAME --episodes {episodes}`, the second table with "
        "`--robot turtlebot3_burger`.",
        f"Captured, and the mean time of the captures; {BROKEN}: a criterion does not hold.",
        f"A rate of {episodes} episodes is coarse: the JSON has its interval.",
    ]
    for robot in dict.fromkeys(row["robot"] for row in rows):
        lines += ["", f"## {robot}", "", *_captures([row for row in rows if row["robot"] == robot])]
    return "\n".join([*lines, "", *_safety(rows), "", *_failures(rows)]) + "\n"


def _pursuer(row: dict[str, Any]) -> str:
    return str(row["identity"]["match"]["pursuer"])


def _captures(rows: Rows) -> list[str]:
    pursuers = list(dict.fromkeys(map(_pursuer, rows)))
    found = {(row["scenario"], _pursuer(row)): row for row in rows}
    lines = [f"| scenario | {' | '.join(pursuers)} |", "|---" * (len(pursuers) + 1) + "|"]
    for scenario in dict.fromkeys(row["scenario"] for row in rows):
        cells = [_cell(found.get((scenario, pursuer))) for pursuer in pursuers]
        lines.append(f"| {scenario} | {' | '.join(cells)} |")
    return lines


def _cell(row: dict[str, Any] | None) -> str:
    if row is None:
        return "not played"
    mean = row["metrics"]["capture_time_s"]["mean"]
    text = percent(row["metrics"]["capture_rate"]) + ("" if mean is None else f", {mean:.1f} s")
    return text if row["passed"] else f"{text} {BROKEN}"


def _safety(rows: Rows) -> list[str]:
    lines = [
        "## Safety",
        "",
        "Over all scenarios, both robots; where the number comes from in brackets. The bound on the share of episodes "
        "with a",
        "contact is one-sided (Clopper-Pearson, 95 %) and holds for this mixture of scenarios.",
        "",
        "| robot, pursuer | episodes | with a contact | at most | smallest margin | most interventions "
        "| most infeasible | revision |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for key in dict.fromkeys((row["robot"], _pursuer(row)) for row in rows):
        own = [row for row in rows if (row["robot"], _pursuer(row)) == key]
        episodes = sum(row["metrics"]["episodes"] for row in own)
        touched = sum(row["metrics"]["violation_episodes"] for row in own)
        least = min(own, key=lambda row: row["metrics"]["min_margin_m"])
        revisions = ", ".join(dict.fromkeys(str(row["identity"]["git_revision"]) for row in own))
        cells = [
            ", ".join(key), str(episodes), str(touched), percent(clopper_pearson_upper(touched, episodes)),
            f"{1000 * least['metrics']['min_margin_m']:.1f} mm ({least['scenario']})",
            _most(own, "intervention_rate"), _most(own, "infeasible_rate"), revisions,
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _most(rows: Rows, key: str) -> str:
    row = max(rows, key=lambda row: row["metrics"][key])
    value = row["metrics"][key]
    return f"{percent(value)} ({row['scenario']})" if value else "0"


def _failures(rows: Rows) -> list[str]:
    broken = [(row, item) for row in rows for item in row["criteria"] if not item["passed"]]
    judged = sum(len(row["criteria"]) for row in rows)
    lines = ["## What fails", "", f"{len(broken)} of {judged} criteria."]
    if broken:
        lines += ["", "| robot, pursuer | scenario | criterion | asked | measured |", "|---|---|---|---|---|"]
    for row, item in broken:
        measured = "nothing" if item["measured"] is None else f"{item['measured']:.4g}"
        asked = f"{'≥' if item['relation'] == '>=' else '≤'} {item['limit']:.4g}"
        who = f"{row['robot']}, {_pursuer(row)}"
        lines.append(f"| {who} | {row['scenario']} | {item['criterion']} | {asked} | {measured} |")
    return lines


def percent(value: float) -> str:
    """A share in per cent with three digits."""
    return f"{100 * value:.3g} %"

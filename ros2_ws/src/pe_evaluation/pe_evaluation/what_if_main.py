"""``./pe bag BAG --what-if MECHANISM``: what another mechanism would have commanded, as a table, JSON and a picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from pe_core.config import ConfigurationError
from pe_evaluation.figures import save
from pe_evaluation.metrics import ROLES, write_json
from pe_evaluation.storage import BagError
from pe_evaluation.what_if.account import Tally
from pe_evaluation.what_if.figure import what_if_figure
from pe_evaluation.what_if.replay import Steps, WhatIf

Robot = Mapping[str, Any]
OPEN_LOOP = (
    "open loop: the states are those that the recorded commands led to; after the first difference a robot that "
    "obeyed the other mechanism would be elsewhere"
)


def main(
    bag: Path | str,
    mechanism: str,
    robot: str | None = None,
    json: Path | None = None,
    picture: Path | None = None,
    episode: int | None = None,
    sample: int = 1,
) -> int:
    """Print how ``mechanism`` differs from what was recorded, for one robot or both; ``picture`` of one episode.

    Returns:
        0 where steps were compared and the recorded mechanism, computed again, gives what was recorded; 1 where not;
        2 where the bag cannot be read, or what was asked for is unknown.
    """
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        roles = ROLES if robot is None else (_known(robot),)
        found, drawn, indices = _replay(bag, mechanism, roles, episode, sample)
        if json is not None:
            write_json(json, found)
        show(found, Console(highlight=False, soft_wrap=True))
        if picture is not None:
            if not drawn:
                listed = ", ".join(map(str, indices)) or "none"
                raise BagError(f"{bag}: has no episode {episode} to draw; known: {listed}")
            names = found["recorded_mechanism"], mechanism
            save(what_if_figure(drawn, *names, found["robots"][roles[0]]["tolerance"]), picture)
    except (BagError, ConfigurationError, OSError, ValueError) as error:
        errors.print(f"error: {error}", style="bold red", markup=False)
        return 2
    return 0 if found["compared"] and found["reproduced"] is not False else 1


def _known(robot: str) -> str:
    if robot not in ROLES:
        raise ConfigurationError(f"robot = {robot!r}: allowed: {' or '.join(ROLES)}")
    return robot


def _replay(
    bag: Path | str, mechanism: str, roles: Sequence[str], episode: int | None, sample: int
) -> tuple[dict[str, Any], list[Steps], list[int]]:
    tallies = {role: Tally(role) for role in roles}
    drawn: list[Steps] = []
    indices: list[int] = []
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(f"asking {mechanism}")

        def told(count: int) -> None:
            progress.update(task, description=f"asking {mechanism}: {count} episodes done")

        replay = WhatIf(bag, mechanism, roles, sample, told)
        for steps in replay:
            tallies[steps.role].add(steps)
            if steps.episode not in indices:
                indices.append(steps.episode)
            if steps.episode == (indices[0] if episode is None else episode):
                drawn.append(steps)
    robots = {role: tally.as_json() for role, tally in tallies.items()}
    known = [value for row in robots.values() if (value := row["recorded"]["reproduced"]) is not None]
    found = {
        "bag": str(replay.head.path),
        "mechanism": mechanism,
        "recorded_mechanism": replay.recorded.name,
        "sample": sample,
        "episodes": len(indices),
        "compared": sum(row["steps"] for row in robots.values()),
        "reproduced": all(known) if known else None,
        "programs": [role for role, needed in replay.programs.items() if needed],
        "robots": robots,
        "warnings": replay.remarks,
    }
    return found, drawn, indices


def show(found: Mapping[str, Any], console: Console) -> None:
    """Print the table: a column for each robot."""
    other, recorded = str(found["mechanism"]), str(found["recorded_mechanism"])
    title = f"{found['bag']}: {other} instead of {recorded}"
    table = Table(title=title, title_justify="left", title_style="bold", box=None)
    table.add_column(style="cyan")
    robots: Mapping[str, Any] = found["robots"]
    for role in robots:
        table.add_column(role, justify="right", style="bold")
    for label, cells in _rows(list(robots.values()), other, recorded):
        table.add_row(label, *cells)
    console.print(table)
    for role in robots:
        for reason, count in robots[role]["skipped"].items():
            console.print(f"{role}: {count:,} steps not compared: {reason}", style="dim", markup=False)
        if robots[role]["recorded"]["reproduced"] is False:
            gap = robots[role]["recorded"]["again_max_difference"]
            console.print(
                f"{role}: {recorded}, computed again, differs from what was recorded by up to {gap:.2g}: what the "
                "bag holds is not what its node computed with, so trust no smaller difference",
                style="red",
                markup=False,
            )
    if found["programs"]:
        console.print(
            f"BarrierNet's program was put on what {' and '.join(found['programs'])} asked, whose policy has none",
            style="dim",
            markup=False,
        )
    for line in found["warnings"]:
        console.print(f"warning: {line}", style="yellow", markup=False)
    if not found["compared"]:
        console.print("no step could be compared", style="red")
    else:
        console.print(OPEN_LOOP, style="dim")


def _rows(robots: Sequence[Robot], other: str, recorded: str) -> list[tuple[str, list[str]]]:
    """Label, and a cell for each robot."""
    rows: list[tuple[str, Callable[[Robot], str]]] = [
        ("steps compared", lambda r: f"{r['steps']:,}"),
        ("steps not compared", lambda r: f"{sum(r['skipped'].values()):,}"),
        ("steps that differ", lambda r: _share(r["different"], r["steps"])),
        ("episodes that differ", lambda r: f"{len(_first(r))} of {len(r['episodes'])}"),
        ("earliest difference", lambda r: f"{min(_first(r)):.2f} s" if _first(r) else "-"),
        ("difference of v, mean / p95 / max", lambda r: _spread(r["v"], "m/s")),
        ("difference of ω, mean / p95 / max", lambda r: _spread(r["omega"], "rad/s")),
    ]
    for side, name in (("recorded", recorded), ("other", other)):
        rows.append((f"{name}: interventions", partial(_interventions, side)))
        rows.append((f"{name}: tiers", partial(_tiers, side)))
    rows.append((f"recorded breaks rows of {other}", partial(_broken, "recorded", "breaks_rows_of_other")))
    rows.append(
        (f"{other} breaks rows recorded", partial(_broken, "other", "breaks_rows_of_recorded")),
    )
    return [(label, [cell(robot) for robot in robots]) for label, cell in rows]


def _first(robot: Robot) -> list[float]:
    """Times of the first difference [s], of the episodes that have one."""
    times = (episode["first_difference_s"] for episode in robot["episodes"])
    return [time for time in times if time is not None]


def _share(count: int | None, of: int) -> str:
    if count is None:
        return "unknown"
    return f"{count:,} ({100.0 * count / of:.1f} %)" if of else "-"


def _spread(values: Mapping[str, float | None], unit: str) -> str:
    found = [value for value in values.values() if value is not None]
    return " / ".join(f"{value:.3g}" for value in found) + f" {unit}" if found else "-"


def _interventions(side: str, robot: Robot) -> str:
    return _share(robot[side]["interventions"], robot["steps"])


def _tiers(side: str, robot: Robot) -> str:
    tiers = robot[side]["tiers"]
    return "unknown" if tiers is None else ", ".join(f"{count:,} {tier}" for tier, count in tiers.items()) or "-"


def _broken(side: str, key: str, robot: Robot) -> str:
    """Steps, by how much at most, and how many of them the rows' own mechanism would not have broken."""
    found = robot[side][key]
    if found is None:
        return "unknown" if robot["steps"] else "-"
    if not found["steps"]:
        return "0"
    return f"{found['steps']:,}, {found['where_they_can_be_met']:,} needlessly, by {found['max_excess']:.2g} m/s"

"""``./pe compare``: every approach in the same episodes, and what follows from it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def compare(
    more_seeds: Annotated[list[int] | None, typer.Argument(help="Further seeds.", hidden=True)] = None,
    episodes: Annotated[int, typer.Option(help="Episodes of each cell and seed.", min=1)] = 200,
    seeds: Annotated[
        list[int] | None, typer.Option(help="Seeds, one after the other. Default: 0 1 2.", metavar="SEED ...")
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder of data and reports; goes on where it ended.", metavar="DIR")
    ] = Path("out/comparison"),
    plan: Annotated[str, typer.Option(help="What is played: a name in config/comparison, or a path.")] = "default",
    decision: Annotated[str, typer.Option(help="Rules: a name in config/decision, or a path.")] = "default",
    approaches: Annotated[str | None, typer.Option(help="Only these of the plan, with commas.")] = None,
    evaders: Annotated[str | None, typer.Option(help="Only these of the plan, with commas.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes to share the episodes.", min=1)] = None,
) -> None:
    """Play every approach against every evader in the same episodes; write the decision report.

    Training's conditions and the deployed ones, filters and none, scripted and learned; statistics, train-deploy gap,
    decision matrix, gates. Exit status 1: a robot with a filter touched something.
    """
    from pe_evaluation.compare_main import Request, run

    request = Request(
        episodes=episodes,
        seeds=(*(seeds or []), *(more_seeds or [])) or (0, 1, 2),
        out=out,
        plan=plan,
        decision=decision,
        approaches=_names(approaches),
        evaders=_names(evaders),
        workers=workers,
    )
    raise typer.Exit(run(request))


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",")) if text is not None else ()

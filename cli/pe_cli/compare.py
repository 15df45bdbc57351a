"""``./pe compare``: every approach in the same episodes, and what follows from it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pe_cli.simulators import ARENA, simulator_of


def compare(
    more_seeds: Annotated[list[int] | None, typer.Argument(help="Further seeds.", hidden=True)] = None,
    episodes: Annotated[int, typer.Option(help="Episodes of each cell and seed.", min=1)] = 200,
    seeds: Annotated[
        list[int] | None, typer.Option(help="Seeds, one after the other. Default: 0 1 2.", metavar="SEED ...")
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder of data and reports; goes on where it ended.", metavar="DIR")
    ] = Path("out/comparison"),
    plan: Annotated[
        str | None,
        typer.Option(help="What is played: a name in config/comparison, or a path. Default: default, or gazebo."),
    ] = None,
    decision: Annotated[str, typer.Option(help="Rules: a name in config/decision, or a path.")] = "default",
    approaches: Annotated[str | None, typer.Option(help="Only these of the plan, with commas.")] = None,
    evaders: Annotated[str | None, typer.Option(help="Only these of the plan, with commas.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes to share the episodes.", min=1)] = None,
    simulator: Annotated[
        str, typer.Option(help="gazebo: play every episode there too, and write the gap between the simulators.")
    ] = ARENA,
    physics: Annotated[
        str | None,
        typer.Option(help="With --simulator gazebo: names in config/gazebo, with commas. Default: nominal,slippery."),
    ] = None,
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
        plan=plan or ("default" if simulator == ARENA else simulator),
        decision=decision,
        approaches=_names(approaches),
        evaders=_names(evaders),
        workers=workers,
    )
    if simulator == ARENA:
        simulator_of(simulator, physics)
        raise typer.Exit(run(request))
    from pe_evaluation import sim_gap

    floors = _names(physics) or ("nominal", "slippery")
    others = {f"{simulator}-{Path(floor).stem}": simulator_of(simulator, floor) for floor in floors}
    raise typer.Exit(sim_gap.run(request, {name: made for name, made in others.items() if made is not None}))


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",")) if text is not None else ()

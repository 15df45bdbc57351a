"""``./pe falsify``: search for the smallest body margin, within everything that the safety case allows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def falsify(
    robot: Annotated[str, typer.Option(help="Robot: a name in config/robots, a path, or all.")] = "all",
    mode: Annotated[
        str,
        typer.Option(
            help="cooperative, passive (the opponent is not ours and may ram), passive_pair, or all."
        ),
    ] = "all",
    scale: Annotated[
        float, typer.Option(help="Width of the ranges; 2: twice; 0: everything exact.", min=0.0)
    ] = 1.0,
    steps: Annotated[int, typer.Option(help="Simulated steps of each robot profile.", min=1)] = 1_000_000,
    seed: Annotated[int, typer.Option(help="Seed of the search.", min=0)] = 0,
    acceleration: Annotated[
        float,
        typer.Option(
            help="Limit of both robots' acceleration, which the filter knows [m/s^2]; 0: none.", min=0.0
        ),
    ] = 0.0,
    reverse: Annotated[
        bool, typer.Option("--reverse", help="Let robots drive backwards as fast as forwards.")
    ] = False,
    open_field: Annotated[
        bool, typer.Option("--open", help="No obstacles, walls far away: the robots against each other.")
    ] = False,
    out: Annotated[Path, typer.Option(help="Save the worst cases in this directory.", metavar="DIR")] = Path(
        "out/falsify"
    ),
    json: Annotated[Path | None, typer.Option(help="Write the numbers to this file.", metavar="FILE")] = None,
    workers: Annotated[int | None, typer.Option(help="Threads to share the cases.", min=1)] = None,
    replay: Annotated[
        list[Path] | None,
        typer.Option(help="Replay a saved case instead; may be given again.", metavar="FILE"),
    ] = None,
    record: Annotated[
        bool, typer.Option("--record", help="With --replay: write the margins into the files.")
    ] = False,
) -> None:
    """Search layouts, starts, imperfections, opponents and commands for the smallest body margin.

    The worst cases are printed and saved. Exit status 1: a contact was found, or a replayed case is not as recorded.
    """
    from pe_evaluation import falsify_main

    if replay:
        raise typer.Exit(falsify_main.replay(replay, record))
    job = falsify_main.job_of(
        robot,
        mode,
        scale=scale,
        steps=steps,
        seed=seed,
        acceleration=acceleration,
        reverse=reverse,
        open_field=open_field,
    )
    raise typer.Exit(falsify_main.run(job, out, json, workers))

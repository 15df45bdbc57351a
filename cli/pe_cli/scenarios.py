"""``./pe scenarios``: the scenario suite, pass or fail, in process or through the nodes."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

DEFAULT_OUT = Path("out/scenarios")


def scenarios(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Scenarios: names in config/scenarios, or paths. Default: all.", metavar="[NAME]..."),
    ] = None,
    pursuer: Annotated[str, typer.Option(help="Policy bundle of the pursuer: a name or a path.")] = "cbf-beta-polygon",
    evader: Annotated[str, typer.Option(help="Policy bundle of the evader: a name or a path.")] = "lookahead",
    safety: Annotated[str, typer.Option(help="Safety of both robots: a name in config/safety.")] = "rcbf",
    robot: Annotated[str, typer.Option(help="Robot: a name in config/robots, or a path.")] = "reference",
    arena: Annotated[str, typer.Option(help="Arena: a name, a path, or auto: the robot's own.")] = "auto",
    episodes: Annotated[
        int | None, typer.Option(help="Episodes of each. Default: 50, or 1 with --nodes.", min=1)
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the run.", min=0)] = 0,
    nodes: Annotated[bool, typer.Option("--nodes", help="Play through real ROS 2 nodes, recorded.")] = False,
    out: Annotated[
        Path, typer.Option(help="With --nodes: directory of the bags and reports, one a scenario.", metavar="DIR")
    ] = DEFAULT_OUT,
    limit: Annotated[
        float | None, typer.Option(help="With --nodes: longest time of one scenario [s].", min=1.0)
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes to share the episodes.", min=1)] = None,
    json: Annotated[
        Path | None, typer.Option(help="Write JSON lines to this file, one a scenario.", metavar="FILE.jsonl")
    ] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the table to this file.", metavar="FILE.md")] = None,
    listed: Annotated[bool, typer.Option("--list", help="Say what the scenarios are, and play nothing.")] = False,
    picture: Annotated[
        Path | None, typer.Option(help="Draw the layouts into this file, and play nothing.", metavar="FILE.png")
    ] = None,
) -> None:
    """Play the scenario suite and judge every scenario by its criteria.

    Exit status 1: a criterion does not hold; 2: something was refused.
    """
    from pe_evaluation import suite, suite_main

    cases = suite.load_cases(names or [], robot, arena)
    if listed:
        suite_main.terminal().print(suite_main.listing(cases))
        return
    if picture is not None:
        from pe_evaluation.scenario_figure import draw

        draw(cases, picture, seed)
        return
    count = episodes or (1 if nodes else 50)
    players = suite.Players(pursuer, evader, safety, robot, arena, count, seed)
    play: suite_main.Play
    if nodes:
        from pe_cli import scenario_nodes

        folder = scenario_nodes.prepare(cases, players, out, moved=out == DEFAULT_OUT)
        play = partial(scenario_nodes.play, players=players, out=folder, limit=limit)
    else:
        suite.check(cases, players)
        play = partial(suite.play, players=players, workers=workers)
    raise typer.Exit(suite_main.run(cases, players, play, json, markdown, nodes))

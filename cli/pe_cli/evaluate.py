"""``./pe evaluate``: many episodes of the same game in one process, without ROS."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from pe_cli.simulators import simulator_of


def evaluate(
    pursuer: Annotated[str, typer.Option(help="Policy bundle of the pursuer: a name in models/, or a path.")],
    evader: Annotated[str, typer.Option(help="Policy bundle of the evader: a name in models/, or a path.")],
    safety: Annotated[
        str | None,
        typer.Option(help="Safety of both robots: a name in config/safety, or none. Default: rcbf, or rcbf_robust."),
    ] = None,
    scenario: Annotated[str, typer.Option(help="Scenario: a name in config/scenarios, or a path.")] = "random",
    robot: Annotated[str, typer.Option(help="Robot: a name in config/robots, or a path.")] = "reference",
    arena: Annotated[
        str, typer.Option(help="Arena: a name in config/arena, a path, or auto: the robot's own.")
    ] = "auto",
    speed_ratio: Annotated[
        float | None, typer.Option(help="Evader's speed over the pursuer's. Default: the scenario's.")
    ] = None,
    obstacles: Annotated[
        int | None, typer.Option(help="Obstacles drawn in every episode, 0 to 6. Default: the scenario's or arena's.")
    ] = None,
    episodes: Annotated[int, typer.Option(help="Number of episodes.", min=1)] = 200,
    seed: Annotated[int, typer.Option(help="Seed of the run.", min=0)] = 0,
    randomise: Annotated[
        bool, typer.Option("--randomise", help="Draw every robot, sensor and map anew, as the real ones differ.")
    ] = False,
    scale: Annotated[float, typer.Option(help="With --randomise: width of the ranges; 2: twice.", min=0.0)] = 1.0,
    ideal_filter: Annotated[
        bool, typer.Option("--ideal-filter", help="With --randomise: a filter that takes the world for exact.")
    ] = False,
    feasibility: Annotated[
        str | None,
        typer.Option(help="Who warns of infeasible states: a name in models/feasibility, or a path; '': nobody."),
    ] = None,
    simulator: Annotated[
        str, typer.Option(help="What moves the robots: arena (the plants of the game) or gazebo.")
    ] = "arena",
    physics: Annotated[
        str | None, typer.Option(help="With --simulator gazebo: a name in config/gazebo, or a path. Default: nominal.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes to share the episodes.", min=1)] = None,
    json: Annotated[Path | None, typer.Option(help="Write the metrics to this file.", metavar="FILE")] = None,
) -> None:
    """Play many episodes in this process, with the code that the nodes run, and print the metrics."""
    from pe_evaluation.evaluate import Match
    from pe_evaluation.evaluate_main import run

    chosen = safety or ("rcbf_robust" if randomise and not ideal_filter else "rcbf")
    match = Match(pursuer, evader, chosen, scenario, robot, arena, speed_ratio, seed, obstacles=obstacles)
    if feasibility is not None:
        match = dataclasses.replace(match, feasibility=feasibility)
    if randomise:
        match = dataclasses.replace(match, randomise=scale, covered=not ideal_filter)
    raise typer.Exit(run(match, episodes, json, workers, simulator_of(simulator, physics)))

"""``./pe world``: the world of an episode as a file, for whoever wants to open it in Gazebo by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def world(
    file: Annotated[Path, typer.Argument(help="The SDF file to write.", metavar="FILE")],
    robot: Annotated[str, typer.Option(help="Robot: a name in config/robots, or a path.")] = "reference",
    arena: Annotated[
        str, typer.Option(help="Arena: a name in config/arena, a path, or auto: the robot's own.")
    ] = "auto",
    scenario: Annotated[str, typer.Option(help="Scenario: a name in config/scenarios, or a path.")] = "random",
    seed: Annotated[int, typer.Option(help="Seed of the layouts.", min=0)] = 0,
    episode: Annotated[int, typer.Option(help="Index of the episode.", min=0)] = 0,
    physics: Annotated[
        str, typer.Option(help="Floor, wheels and contacts: a name in config/gazebo, or a path.")
    ] = "nominal",
    lidar: Annotated[bool, typer.Option("--lidar", help="A lidar on both robots.")] = False,
) -> None:
    """Write the world of one episode for Gazebo classic 11 (SDF 1.6), in real time.

    The same arena, obstacles, robots and starts as that episode has in gazebo.launch.py and ./pe evaluate --simulator
    gazebo. Each robot takes ~/ROLE/vel_cmd; gazebo FILE shows it.
    """
    from pe_core.config import ConfigurationError
    from pe_core.files import write_text
    from pe_core.roles import ROLES
    from pe_evaluation.evaluate import Match, prepare, start
    from pe_gazebo.lidar import Lidar
    from pe_gazebo.physics import load_physics
    from pe_gazebo.worlds import world_sdf

    try:
        # Who drives, and how fast, does not matter to where they start.
        game = prepare(Match("lead", "lookahead", "none", scenario, robot, arena, seed=seed))
        (layout,), _ = start(game, range(episode, episode + 1))
        floor = load_physics(physics)
        profiles, real_time = dict(zip(ROLES, game.robots, strict=True)), 1.0 / floor.step
        carried = Lidar() if lidar else None
        text = world_sdf(layout, profiles, floor, game.config.dt, update_rate=real_time, lidar=carried)
        write_text(file, text)
    except (ConfigurationError, OSError) as error:
        typer.secho(f"error: {error}", fg=typer.colors.RED, err=True)
        raise typer.Exit(2) from None
    typer.echo(f"{file}: scenario {scenario}, seed {seed}, episode {episode}, robot {robot}, floor {floor.name}")

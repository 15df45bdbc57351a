"""``./pe world``: the world of an episode as a file, for whoever wants to open it in Gazebo by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def world(
    file: Annotated[Path, typer.Argument(help="The SDF file to write.", metavar="FILE")],
    robot: Annotated[
        str, typer.Option(help="Robot: a name in config/robots, or a path.")
    ] = "turtlebot3_burger",
    arena: Annotated[
        str, typer.Option(help="Arena: a name in config/arena, a path, or auto: the robot's own.")
    ] = "auto",
    scenario: Annotated[
        str, typer.Option(help="Scenario: a name in config/scenarios, or a path.")
    ] = "random",
    seed: Annotated[int, typer.Option(help="Seed of the layouts.", min=0)] = 0,
    episode: Annotated[int, typer.Option(help="Index of the episode.", min=0)] = 0,
    speed_ratio: Annotated[
        float, typer.Option(help="Evader's speed over the pursuer's.", min=0.1, max=3.0)
    ] = 1.0,
    physics: Annotated[
        str, typer.Option(help="Floor, wheels and contacts: a name in config/gazebo, or a path.")
    ] = "nominal",
    lidar: Annotated[bool, typer.Option("--lidar", help="A lidar on both robots.")] = False,
) -> None:
    """Write the world of one episode for Gazebo classic 11 (SDF 1.6), in real time.

    The same arena, obstacles, robots and starts as that episode has in gazebo.launch.py and ./pe evaluate --simulator
    gazebo. Each robot takes ~/ROLE/vel_cmd; gazebo FILE shows it.
    """
    from pe_core.arena import arena_of, load_arena
    from pe_core.config import ConfigurationError
    from pe_core.files import write_text
    from pe_core.robot import load_robot
    from pe_core.roles import ROLES
    from pe_core.scenario import load_scenario, sample_layout
    from pe_gazebo.lidar import Lidar
    from pe_gazebo.physics import load_physics
    from pe_gazebo.worlds import world_sdf

    try:
        pursuer, ground = load_robot(robot), load_arena(arena_of(arena, robot))
        evader = pursuer if speed_ratio == 1.0 else pursuer.with_speed_ratio(speed_ratio)
        start = sample_layout(load_scenario(scenario), ground, pursuer, evader, seed, episode)
        floor = load_physics(physics)
        profiles = dict(zip(ROLES, (pursuer, evader), strict=True))
        real_time = 1.0 / floor.step
        text = world_sdf(
            start, profiles, floor, ground.dt, update_rate=real_time, lidar=Lidar() if lidar else None
        )
        write_text(file, text)
    except (ConfigurationError, OSError) as error:
        typer.secho(f"error: {error}", fg=typer.colors.RED, err=True)
        raise typer.Exit(2) from None
    typer.echo(
        f"{file}: scenario {scenario}, seed {seed}, episode {episode}, robot {robot}, floor {floor.name}"
    )

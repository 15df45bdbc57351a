"""A game in Gazebo Harmonic: arguments, our nodes and the files that Gazebo and ros_gz read; pure but for the writing.

To our nodes Gazebo's robots are two robots under a tracker: the records are those of ``robot.launch.py`` and
``arena.launch.py``, on Gazebo's clock.
"""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from typing import ClassVar

from pe_core.arena import arena_of, load_arena
from pe_core.config import ConfigurationError, quantity
from pe_core.files import write_text
from pe_core.paths import BOUNDARY
from pe_core.robot import load_robot
from pe_core.roles import ROLES, USUAL
from pe_core.scenario import Layout, load_scenario, sample_layout
from pe_gazebo import harmonic
from pe_gazebo.drive import BASE
from pe_gazebo.lidar import Lidar
from pe_gazebo.physics import load_physics
from pe_nodes.deployment_arguments import REFEREE, ArenaArguments, RobotArguments
from pe_nodes.deployment_graph import arena_records, robot_records
from pe_nodes.graph import NodeRecord
from pe_nodes.launch_arguments import log_level_quantity
from pe_nodes.robot_models import scaled
from pe_nodes.settings import DRIVER_TOPIC, bag_size_quantity


@dataclasses.dataclass(frozen=True)
class HarmonicArguments:
    """What ``gazebo_harmonic.launch.py`` may be told."""

    seed: int = quantity(0, low=0, high=2_147_483_647, description="seed of the layout")
    first_episode: int = quantity(0, low=0, high=1_000_000, description="index of the episode")
    scenario: str = quantity("random", description="scenario, config/scenarios/<name>.yaml or a path")
    arena: str = quantity(
        "auto", description="arena, config/arena/<name>.yaml or a path; auto: the robot's own"
    )
    robot: str = quantity(
        "turtlebot3_burger", description="robot profile, config/robots/<name>.yaml or a path"
    )
    pursuer: str = quantity(USUAL["pursuer"], description="policy bundle of the pursuer, models/<name> or a path")
    evader: str = quantity(USUAL["evader"], description="policy bundle of the evader, models/<name> or a path")
    safety: str = quantity("rcbf_robust", description="safety filter, config/safety/<name>.yaml or a path")
    feasibility: str = quantity(
        BOUNDARY,
        description="who warns of infeasible states, models/feasibility/<name>.npz or a path; empty: nobody",
    )
    speed_ratio: float = quantity(1.0, low=0.1, high=3.0, description="evader's speed over the pursuer's")
    physics: str = quantity("nominal", description="floor and wheels, config/gazebo/<name>.yaml or a path")
    rate: float = quantity(1.0, low=0.1, high=2.0, description="simulated over wall time")
    gui: bool = quantity(True, description="open Gazebo's window; false: the server only")
    lidar: bool = quantity(False, description="a lidar on every robot, on <namespace>/scan")
    frames: str = quantity(
        "auto", choices=("auto", "plain", "prefixed"),
        description="odom with /tf in the namespace, or <namespace>/odom with one /tf; auto: TurtleBot3 prefixes",
    )  # fmt: skip
    stamped_cmd_vel: bool = quantity(True, description="commands are TwistStamped (Jazzy), not Twist")
    record: bool = quantity(True, description="record a bag, and report when the run is over")
    out: str = quantity("out", description="directory of the run: bag, metrics and report")
    bag_size: int = bag_size_quantity()
    log_level: str = log_level_quantity()

    LAST: ClassVar[str] = REFEREE
    ON_ONE_MACHINE: ClassVar[bool] = True
    REPORTED: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.out:
            raise ConfigurationError("out = '': allowed: a directory")

    @property
    def prefixed(self) -> bool:
        """Whether frames carry the namespace."""
        return self.robot_arguments("pursuer").prefixed

    def robot_arguments(self, role: str) -> RobotArguments:
        """What ``robot.launch.py`` would be told for a role."""
        return RobotArguments(
            role=role,
            robot=self.robot,
            localisation="mocap",
            policy=self.pursuer if role == "pursuer" else self.evader,
            safety=self.safety,
            feasibility=self.feasibility,
            arena=self.arena,
            speed_ratio=self.speed_ratio,
            frames=self.frames,
            # Its odometry is of the models' link, whatever the real robot's is.
            base_frame=BASE,
            stamped_cmd_vel=self.stamped_cmd_vel,
            use_sim_time=True,
            record=False,
            out=self.out,
            log_level=self.log_level,
        )

    def arena_arguments(self) -> ArenaArguments:
        """What ``arena.launch.py`` would be told; one episode, for nobody puts the robots back."""
        return ArenaArguments(
            episodes=1,
            first_episode=self.first_episode,
            seed=self.seed,
            scenario=self.scenario,
            arena=self.arena,
            robot=self.robot,
            speed_ratio=self.speed_ratio,
            pursuer=self.pursuer,
            evader=self.evader,
            safety=self.safety,
            feasibility=self.feasibility,
            localisation="mocap",
            truth="mocap",
            stamped_cmd_vel=self.stamped_cmd_vel,
            use_sim_time=True,
            record=self.record,
            out=self.out,
            bag_size=self.bag_size,
            log_level=self.log_level,
        )


@dataclasses.dataclass(frozen=True)
class Files:
    """What Gazebo and ros_gz read, and where the robots are put: x, y [m] and yaw [rad] by role."""

    world: Path
    models: dict[str, Path]
    bridge: Path
    starts: dict[str, tuple[float, float, float]]


def records(arguments: HarmonicArguments) -> list[NodeRecord]:
    """Our nodes: those of both robots, then those of the referee's machine.

    Raises:
        ConfigurationError: an argument is refused.
    """
    robots = [node for role in ROLES for node in robot_records(arguments.robot_arguments(role))]
    return [*robots, *arena_records(arguments.arena_arguments())]


def layout(arguments: HarmonicArguments) -> Layout:
    """The start that the referee will ask for.

    Raises:
        ConfigurationError: a name is unknown, or there is no room.
    """
    robot = load_robot(arguments.robot)
    arena = load_arena(arena_of(arguments.arena, arguments.robot))
    evader = scaled(robot, arguments.speed_ratio)
    return sample_layout(
        load_scenario(arguments.scenario), arena, robot, evader, arguments.seed, arguments.first_episode
    )


def write_files(arguments: HarmonicArguments, folder: Path) -> Files:
    """Write world, models and the bridge's configuration into ``folder``.

    Raises:
        ConfigurationError: as :func:`layout`, or the robot cannot be built.
    """
    start, physics, robot = layout(arguments), load_physics(arguments.physics), load_robot(arguments.robot)
    lidar = Lidar() if arguments.lidar else None
    world, bridge = folder / "world.sdf", folder / "bridge.yaml"
    write_text(world, harmonic.world_sdf(start.arena, physics, rate=arguments.rate, lidar=arguments.lidar))
    entries = harmonic.bridges(
        ROLES, DRIVER_TOPIC, arguments.stamped_cmd_vel, arguments.prefixed, arguments.lidar
    )
    write_text(bridge, harmonic.bridge_yaml(entries))
    models = {}
    for role, model in zip(ROLES, (robot, scaled(robot, arguments.speed_ratio)), strict=True):
        models[role] = folder / f"{role}.sdf"
        frames = harmonic.Frames.of(role, arguments.prefixed)
        write_text(models[role], harmonic.model_sdf(role, model, physics, frames, lidar))
    starts = {role: tuple(float(value) for value in getattr(start, role)) for role in ROLES}
    return Files(world, models, bridge, starts)  # type: ignore[arg-type]


def server_words(arguments: HarmonicArguments, world: Path) -> str:
    """What ``gz sim`` is told (``gz_args``, which a shell splits): run at once, with or without a window.

    Without one a lidar's rays are cast all the same, which takes a rendering that needs no screen.
    """
    words = ["-r"]
    if not arguments.gui:
        words += ["-s", "--headless-rendering"] if arguments.lidar else ["-s"]
    return shlex.join([*words, str(world)])

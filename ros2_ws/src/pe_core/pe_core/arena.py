"""The arena: a square with walls, centred on the origin of the map frame, with round obstacles.

Margins here are those of the robot's body, a disc of radius r about p = (x, y): zero at contact.

    wall:      L - r - max(|x|, |y|)
    obstacle:  |p - o_i| - R_i - r
    robots:    |p - p_o| - r - r_o
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pe_core.config import ConfigurationError, check_range, load_yaml, quantity
from pe_core.paths import config_names, config_path

OBSTACLES_MAX = 6
_ARENA_OF_ROBOT = {"turtlebot3_burger": "turtlebot3"}


@dataclasses.dataclass(frozen=True)
class ArenaConfig:
    """Size of the arena and rules of the game at that size (``config/arena/<name>.yaml``)."""

    half_side: float = quantity(10.0, unit="m", low=0.5, high=100.0, description="half the side of the square")
    capture_radius: float = quantity(
        0.5, unit="m", low=0.05, high=5.0, description="distance of the robots' centres at which the pursuer wins"
    )
    max_time: float = quantity(60.0, unit="s", low=1.0, high=3600.0, description="the evader wins after this time")
    dt: float = quantity(0.05, unit="s", low=0.01, high=0.2, description="control period")
    obstacle_count: int = quantity(2, low=0, high=OBSTACLES_MAX, description="obstacles drawn where none are given")
    obstacle_radius_min: float = quantity(0.3, unit="m", low=0.01, high=10.0, description="smallest drawn radius")
    obstacle_radius_max: float = quantity(1.5, unit="m", low=0.01, high=10.0, description="largest drawn radius")
    passage_min: float = quantity(
        1.0, unit="m", low=0.0, high=10.0, description="least gap of drawn obstacles to walls and to one another"
    )
    spawn_clearance: float = quantity(
        0.5, unit="m", low=0.0, high=10.0, description="least body margin of a drawn starting pose"
    )
    spawn_separation: float = quantity(
        4.0, unit="m", low=0.0, high=100.0, description="least distance of the drawn starting positions"
    )

    def __post_init__(self) -> None:
        check_range(self, "arena")
        if self.obstacle_radius_min > self.obstacle_radius_max:
            raise ConfigurationError(
                f"arena: obstacle_radius_min = {self.obstacle_radius_min!r}: allowed: at most "
                f"obstacle_radius_max = {self.obstacle_radius_max!r}"
            )
        if self.spawn_separation <= self.capture_radius:
            raise ConfigurationError(
                f"arena: spawn_separation = {self.spawn_separation!r}: allowed: more than "
                f"capture_radius = {self.capture_radius!r}"
            )

    @property
    def max_steps(self) -> int:
        """Control steps in an episode that nobody wins earlier."""
        return round(self.max_time / self.dt)


def load_arena(name: str) -> ArenaConfig:
    """The arena ``config/arena/<name>.yaml`` (or a path to a YAML file)."""
    return load_yaml(ArenaConfig, config_path("arena", name))


def arena_of(arena: str, robot: str) -> str:
    """``arena``, or where it is ``auto`` the arena at the scale of the robot profile ``robot``."""
    if arena != "auto":
        return arena
    name = _ARENA_OF_ROBOT.get(robot, robot)
    return name if name in config_names("arena") else "reference"


@dataclasses.dataclass(frozen=True, eq=False)
class Arena:
    """Walls at +-half_side [m] and obstacles, shape (n, 3): x, y, radius [m], n <= 6."""

    half_side: float
    obstacles: NDArray[np.float64]

    def __post_init__(self) -> None:
        obstacles = np.ascontiguousarray(np.asarray(self.obstacles, dtype=np.float64).reshape(-1, 3))
        if not math.isfinite(self.half_side) or self.half_side <= 0.0:
            raise ConfigurationError(f"arena: half_side = {self.half_side!r}: allowed: a positive length [m]")
        if len(obstacles) > OBSTACLES_MAX:
            raise ConfigurationError(f"arena: {len(obstacles)} obstacles: allowed: at most {OBSTACLES_MAX}")
        if not np.isfinite(obstacles).all() or (obstacles[:, 2] <= 0.0).any():
            raise ConfigurationError(
                f"arena: obstacles = {obstacles.tolist()}: allowed: finite [x, y, radius > 0] [m]"
            )
        object.__setattr__(self, "obstacles", obstacles)

    def body_margin(self, x: float, y: float, radius: float) -> float:
        """Smallest body margin [m] to walls and obstacles at (x, y) [m]."""
        return float(static_margin(x, y, radius, self.half_side, self.obstacles))


@njit(cache=True)
def static_margin(x: float, y: float, radius: float, half_side: float, obstacles: NDArray[np.float64]) -> float:
    """Smallest body margin [m] to walls and obstacles (n, 3); negative inside."""
    margin = half_side - radius - max(abs(x), abs(y))
    for i in range(obstacles.shape[0]):
        gap = math.hypot(x - obstacles[i, 0], y - obstacles[i, 1]) - obstacles[i, 2] - radius
        margin = min(margin, gap)
    return margin

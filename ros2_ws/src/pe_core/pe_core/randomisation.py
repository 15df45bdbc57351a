"""Domain randomisation: how the true robots and their sensors differ from what the filter and the policies believe.

Ranges are those of the TurtleBot3 (lengths in metres, whatever the arena); ``scaled(f)`` widens all of them by f
about their nominal values.  A draw depends on (seed, episode) alone.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

from pe_core.arena import Arena, ArenaConfig
from pe_core.config import ConfigurationError, check_range, load_yaml, quantity
from pe_core.paths import config_path
from pe_core.randomness import generator
from pe_core.robot import RobotModel
from pe_core.scenario import Layout


@dataclasses.dataclass(frozen=True)
class Randomisation:
    """``config/randomisation/<name>.yaml``: half-widths about the nominal value, or the largest value."""

    gain: float = quantity(0.2, low=0.0, high=0.9, description="|executed / commanded velocity - 1|, v and omega apart")
    delay: float = quantity(0.05, unit="s", low=0.0, high=0.5, description="dead time, from 0; models hold half of it")
    lag: float = quantity(0.02, unit="s", low=0.0, high=0.5, description="lag beside the model's, and above 0")
    position_noise: float = quantity(
        0.005, unit="m", low=0.0, high=0.1, description="deviation of odometry's way, per control step"
    )
    heading_noise: float = quantity(
        math.radians(0.5), unit="rad", low=0.0, high=0.5, description="deviation of odometry's turn, per control step"
    )
    pose_position_noise: float = quantity(
        0.01, unit="m", low=0.0, high=0.2, description="deviation of a measured absolute position"
    )
    pose_heading_noise: float = quantity(
        math.radians(0.5), unit="rad", low=0.0, high=0.5, description="deviation of a measured absolute heading"
    )
    pose_every: int = quantity(2, low=1, high=100, description="control steps between absolute poses")
    placement: float = quantity(
        0.1, unit="m", low=0.0, high=1.0, description="shift of each obstacle's place, x and y; known to the filter"
    )
    map_error: float = quantity(
        0.01, unit="m", low=0.0, high=0.5, description="shift of walls and obstacles that the map does not show"
    )
    arena: float = quantity(0.091, low=0.0, high=0.5, description="half_side over its nominal value, minus one; known")
    speed: float = quantity(0.182, low=0.0, high=0.5, description="v_max over its nominal value, minus one; known")
    opponent_age: float = quantity(
        0.05, unit="s", low=0.0, high=0.5, description="age of the opponent's state, whole control steps from 0"
    )

    def __post_init__(self) -> None:
        check_range(self, "randomisation")

    def scaled(self, factor: float) -> Randomisation:
        """Every range ``factor`` times as wide.

        Raises:
            ConfigurationError: ``factor`` is not positive, or a range leaves what is allowed.
        """
        if not (math.isfinite(factor) and factor > 0.0):
            raise ConfigurationError(f"randomisation scale = {factor!r}: allowed: a positive number")
        values = {
            field.name: getattr(self, field.name) * (1.0 if field.name == "pose_every" else factor)
            for field in dataclasses.fields(self)
        }
        return Randomisation(**{**values, "pose_every": self.pose_every})


def load_randomisation(name: str) -> Randomisation:
    """The ranges in ``config/randomisation/<name>.yaml`` (or a path to a YAML file)."""
    return load_yaml(Randomisation, config_path("randomisation", name))


@dataclasses.dataclass(frozen=True, eq=False)
class RobotDraw:
    """One robot: what is believed of it, what is true of it, executed over commanded (v, omega)."""

    model: RobotModel
    plant: RobotModel
    gain: tuple[float, float]


@dataclasses.dataclass(frozen=True, eq=False)
class WorldDraw:
    """One episode: the robots, the arena in which layouts are drawn, and streams of noise."""

    ranges: Randomisation
    robots: tuple[RobotDraw, RobotDraw]
    config: ArenaConfig
    seed: int
    episode: int

    def surveyed(self, layout: Layout) -> Layout:
        """``layout`` with every obstacle at its drawn place: what the map shows.

        A shift is halved until the obstacle is within the walls and leaves half of ``spawn_clearance`` to both
        robots; the tenth of it is none.
        """
        rng = generator(self.seed, self.episode, "randomisation/placement")
        arena = layout.arena
        obstacles = arena.obstacles.copy()
        room = 0.5 * self.config.spawn_clearance
        for row, shift in zip(obstacles, rng.uniform(-1.0, 1.0, (len(obstacles), 2)), strict=True):
            shift = self.ranges.placement * shift
            while np.hypot(*shift) > 0.1 * self.ranges.placement:
                place = row[:2] + shift
                gaps = [
                    math.hypot(*(place - pose[:2])) - row[2] - robot.model.radius
                    for pose, robot in zip((layout.pursuer, layout.evader), self.robots, strict=True)
                ]
                if min(gaps) >= room and np.abs(place).max() + row[2] <= arena.half_side:
                    row[:2] = place
                    break
                shift = 0.5 * shift
        return dataclasses.replace(layout, arena=Arena(arena.half_side, obstacles))

    def true(self, arena: Arena) -> Arena:
        """What really stands where the map shows ``arena``."""
        rng = generator(self.seed, self.episode, "randomisation/map")
        obstacles = arena.obstacles.copy()
        error = self.ranges.map_error
        angle = rng.uniform(-math.pi, math.pi, len(obstacles))
        size = error * rng.uniform(0.0, 1.0, len(obstacles))
        obstacles[:, 0] += size * np.cos(angle)
        obstacles[:, 1] += size * np.sin(angle)
        return Arena(arena.half_side + rng.uniform(-error, error), obstacles)

    def noise(self, steps: int) -> NDArray[np.float64]:
        """Standard normal numbers, shape (steps, 2, 5): odometry (v, omega), absolute pose (x, y, theta)."""
        return generator(self.seed, self.episode, "randomisation/noise").standard_normal((steps, 2, 5))

    def ages(self, steps: int, dt: float) -> NDArray[np.int64]:
        """Age of the opponent's state in control steps, shape (steps, 2), drawn anew in every step."""
        largest = int(self.ranges.opponent_age / dt + 1e-9)
        rng = generator(self.seed, self.episode, "randomisation/age")
        return rng.integers(0, largest + 1, (steps, 2))


def draw(
    ranges: Randomisation, config: ArenaConfig, robots: tuple[RobotModel, RobotModel], seed: int, episode: int
) -> WorldDraw:
    """The world of one episode.

    Both robots' v_max share one factor, so that the match keeps its speed ratio; dead time, lag and gains are each
    robot's own.  The model's dead time is the middle of the range.
    """
    rng = generator(seed, episode, "randomisation/world")
    speed = 1.0 + ranges.speed * rng.uniform(-1.0, 1.0)
    side = 1.0 + ranges.arena * rng.uniform(-1.0, 1.0)
    drawn = []
    for robot in robots:
        model = dataclasses.replace(robot.with_speed_ratio(speed), delay=0.5 * ranges.delay)
        plant = dataclasses.replace(
            model,
            delay=ranges.delay * rng.uniform(),
            lag=max(robot.lag + ranges.lag * rng.uniform(-1.0, 1.0), 0.0),
        )
        gain = 1.0 + ranges.gain * rng.uniform(-1.0, 1.0, 2)
        drawn.append(RobotDraw(model, plant, (float(gain[0]), float(gain[1]))))
    scaled = dataclasses.replace(config, half_side=config.half_side * side)
    return WorldDraw(ranges, (drawn[0], drawn[1]), scaled, seed, episode)

"""Scenarios: what an episode starts from, given or drawn.

Lengths in a scenario file are metres in an arena of ``reference_half_side``; they are scaled to the arena of
the run.  What a file leaves out is drawn, from (seed, episode) alone.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pe_core.arena import OBSTACLES_MAX, Arena, ArenaConfig
from pe_core.config import ConfigurationError, check_range, load_yaml, quantity
from pe_core.paths import config_path
from pe_core.randomness import generator
from pe_core.robot import RobotModel

_ATTEMPTS = 2000
_RESTARTS = 20
_ROUNDING = 1e-9


@dataclasses.dataclass(frozen=True)
class Scenario:
    """One scenario file; ``None`` and a negative count mean: drawn."""

    name: str = quantity("random", description="name of the scenario")
    description: str = quantity("", description="what it tries")
    reference_half_side: float = quantity(10.0, unit="m", low=0.5, high=100.0, description="scale of the lengths")
    obstacle_count: int = quantity(
        -1, low=-1, high=OBSTACLES_MAX, description="obstacles drawn; -1: as many as the arena says"
    )
    obstacles: Any = None
    pursuer: Any = None
    evader: Any = None
    speed_ratio: float = quantity(1.0, low=0.1, high=3.0, description="evader's speed over the pursuer's")

    def __post_init__(self) -> None:
        check_range(self, f"scenario {self.name}")
        for key, width in (("pursuer", 3), ("evader", 3)):
            value = getattr(self, key)
            if value is not None:
                object.__setattr__(self, key, _row(f"scenario {self.name}", key, value, width))
        if self.obstacles is not None:
            if not isinstance(self.obstacles, (list, tuple)):
                raise ConfigurationError(
                    f"scenario {self.name}: obstacles = {self.obstacles!r}: allowed: a list of [x, y, radius] [m]"
                )
            rows = tuple(_row(f"scenario {self.name}", "obstacles", row, 3) for row in self.obstacles)
            object.__setattr__(self, "obstacles", rows)


def _row(source: str, key: str, value: Any, width: int) -> tuple[float, ...]:
    names = "[x, y, radius] [m]" if key == "obstacles" else "[x, y, heading] [m, m, deg]"
    if (
        not isinstance(value, (list, tuple))
        or len(value) != width
        or any(isinstance(item, bool) or not isinstance(item, (int, float)) for item in value)
        or not all(math.isfinite(item) for item in value)
    ):
        raise ConfigurationError(f"{source}: {key} = {value!r}: allowed: {names}, finite numbers")
    return tuple(float(item) for item in value)


def load_scenario(name: str) -> Scenario:
    """The scenario ``config/scenarios/<name>.yaml`` (or a path to a YAML file)."""
    return load_yaml(Scenario, config_path("scenarios", name))


@dataclasses.dataclass(frozen=True, eq=False)
class Layout:
    """The start of one episode: arena and both poses (x, y, theta) [m, m, rad]."""

    arena: Arena
    pursuer: NDArray[np.float64]
    evader: NDArray[np.float64]


def sample_layout(
    scenario: Scenario, config: ArenaConfig, pursuer: RobotModel, evader: RobotModel, seed: int, episode: int
) -> Layout:
    """The layout of one episode, a function of its arguments alone.

    Raises:
        ConfigurationError: a given pose or obstacle leaves no room for a body, or nothing free is found.
    """
    random = generator(seed, episode, "layout")
    scale = config.half_side / scenario.reference_half_side
    if scenario.obstacles is not None:
        obstacles = np.array(scenario.obstacles, dtype=np.float64).reshape(-1, 3) * scale
    else:
        count = config.obstacle_count if scenario.obstacle_count < 0 else scenario.obstacle_count
        obstacles = _draw_obstacles(random, config, count, 4.0 * max(pursuer.radius, evader.radius))
    arena = Arena(config.half_side, obstacles)
    first = _given_pose(scenario, "pursuer", scale)
    second = _given_pose(scenario, "evader", scale)
    if first is None:
        first = _draw_pose(random, arena, config, pursuer, second)
    if second is None:
        second = _draw_pose(random, arena, config, evader, first)
    layout = Layout(arena, first, second)
    check_layout(layout, pursuer, evader, f"scenario {scenario.name}")
    return layout


def check_layout(layout: Layout, pursuer: RobotModel, evader: RobotModel, source: str) -> None:
    """Refuse a start at which a virtual control point is outside its safe set.

    The body must be 2 d clear of walls, obstacles and the other body, d the offset of the control point.

    Raises:
        ConfigurationError: naming the robot, its pose and the margin.
    """
    for name, pose, robot in (("pursuer", layout.pursuer, pursuer), ("evader", layout.evader, evader)):
        margin = layout.arena.body_margin(pose[0], pose[1], robot.radius)
        if margin < 2.0 * robot.vcp_offset - _ROUNDING:
            raise ConfigurationError(
                f"{source}: {name} = {_show(pose)}: body margin to walls and obstacles is {margin:.3f} m; "
                f"allowed: at least {2.0 * robot.vcp_offset:g} m"
            )
    gap = math.dist(layout.pursuer[:2], layout.evader[:2]) - pursuer.radius - evader.radius
    clear = 2.0 * max(pursuer.vcp_offset, evader.vcp_offset)
    if gap < clear - _ROUNDING:
        raise ConfigurationError(
            f"{source}: pursuer = {_show(layout.pursuer)}, evader = {_show(layout.evader)}: bodies are "
            f"{gap:.3f} m apart; allowed: at least {clear:g} m"
        )


def _show(pose: NDArray[np.float64]) -> str:
    return f"[{pose[0]:.3f}, {pose[1]:.3f}, {math.degrees(pose[2]):.1f} deg]"


def _given_pose(scenario: Scenario, key: str, scale: float) -> NDArray[np.float64] | None:
    value = getattr(scenario, key)
    if value is None:
        return None
    return np.array([value[0] * scale, value[1] * scale, math.radians(value[2])])


def _draw_obstacles(
    random: np.random.Generator, config: ArenaConfig, count: int, passage_least: float
) -> NDArray[np.float64]:
    passage = max(config.passage_min, passage_least)
    # The first discs may lie so that the last finds no room, although all would fit: then the draw starts anew.
    for _ in range(_RESTARTS):
        rows: list[tuple[float, float, float]] = []
        for _ in range(_ATTEMPTS):
            if len(rows) == count:
                return np.array(rows, dtype=np.float64).reshape(-1, 3)
            radius = random.uniform(config.obstacle_radius_min, config.obstacle_radius_max)
            reach = config.half_side - radius - passage
            if reach <= 0.0:
                continue
            x, y = random.uniform(-reach, reach, size=2)
            if all(math.hypot(x - a, y - b) >= radius + c + passage for a, b, c in rows):
                rows.append((x, y, radius))
    raise ConfigurationError(
        f"arena: no room found for {count} obstacles with gaps of {passage:g} m in half_side = {config.half_side:g} m"
    )


def _draw_pose(
    random: np.random.Generator,
    arena: Arena,
    config: ArenaConfig,
    robot: RobotModel,
    other: NDArray[np.float64] | None,
) -> NDArray[np.float64]:
    clearance = max(config.spawn_clearance, 2.0 * robot.vcp_offset + 0.01)
    reach = arena.half_side - robot.radius - clearance
    if reach > 0.0:
        for _ in range(_ATTEMPTS):
            x, y = random.uniform(-reach, reach, size=2)
            heading = random.uniform(-math.pi, math.pi)
            if arena.body_margin(x, y, robot.radius) < clearance:
                continue
            if other is not None and math.hypot(x - other[0], y - other[1]) < config.spawn_separation:
                continue
            return np.array([x, y, heading])
    raise ConfigurationError(
        f"arena: no free starting pose with clearance {clearance:g} m and separation "
        f"{config.spawn_separation:g} m in half_side = {config.half_side:g} m with {len(arena.obstacles)} obstacles"
    )

"""Scenarios: what an episode starts from, given or drawn.

Lengths in a scenario file are metres in an arena of ``reference_half_side``, scaled to the arena of the run, or sums
with the bodies' widths and capture radii (``pe_core.lengths``).  What a file leaves out is drawn, from (seed, episode)
alone.  So is the spread about a given pose: episode 0 starts as the file says, every other one near it.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pe_core.arena import OBSTACLES_MAX, Arena, ArenaConfig
from pe_core.config import ConfigurationError, check_range, from_mapping, load_yaml, quantity
from pe_core.criteria import Criteria
from pe_core.lengths import Length, Measures, check_length
from pe_core.paths import config_path
from pe_core.randomness import generator
from pe_core.robot import RobotModel

_ATTEMPTS = 2000
_RESTARTS = 20
_ROUNDING = 1e-9


@dataclasses.dataclass(frozen=True)
class Scenario:
    """One scenario file; ``None`` and a negative count mean: drawn.

    ``obstacles`` are rows of x, y, radius (lengths), ``pursuer`` and ``evader`` are x, y (lengths), heading [deg].
    ``criteria`` says what is asked of a run; a scenario without is only played.
    """

    name: str = quantity("random", description="name of the scenario")
    description: str = quantity("", description="what it tries")
    reference_half_side: float = quantity(10.0, unit="m", low=0.5, high=100.0, description="scale of the lengths")
    obstacle_count: int = quantity(
        -1, low=-1, high=OBSTACLES_MAX, description="obstacles drawn; -1: as many as the arena says"
    )
    obstacles: Any = None
    pursuer: Any = None
    evader: Any = None
    spread_position: float = quantity(
        0.0, unit="m", low=0.0, high=10.0, description="largest distance of a start from the given one"
    )
    spread_heading: float = quantity(
        0.0, unit="deg", low=0.0, high=180.0, description="largest turn of a start from the given heading"
    )
    mirrored: bool = quantity(False, description="turn and mirror the given layout by a drawn symmetry of the square")
    speed_ratio: float = quantity(1.0, low=0.1, high=3.0, description="evader's speed over the pursuer's")
    criteria: Any = None

    def __post_init__(self) -> None:
        source = f"scenario {self.name}"
        check_range(self, source)
        for key in ("pursuer", "evader"):
            value = getattr(self, key)
            if value is not None:
                object.__setattr__(self, key, _row(source, key, value))
        if self.obstacles is not None:
            if not isinstance(self.obstacles, (list, tuple)):
                raise ConfigurationError(
                    f"{source}: obstacles = {self.obstacles!r}: allowed: a list of [x, y, radius] [m]"
                )
            rows = tuple(_row(source, "obstacles", row) for row in self.obstacles)
            object.__setattr__(self, "obstacles", rows)
        if self.criteria is not None and not isinstance(self.criteria, Criteria):
            if not isinstance(self.criteria, dict):
                raise ConfigurationError(f"{source}: criteria = {self.criteria!r}: allowed: a mapping of criteria")
            object.__setattr__(self, "criteria", from_mapping(Criteria, self.criteria, f"{source}: criteria"))

    def played(self) -> dict[str, Any]:
        """What decides how an episode starts, for the identity of a run: everything but the criteria."""
        return {key: value for key, value in dataclasses.asdict(self).items() if key != "criteria"}


def _row(source: str, key: str, value: Any) -> tuple[Length, ...]:
    """Three lengths, or two and a heading; raises ConfigurationError."""
    names = "[x, y, radius] [m]" if key == "obstacles" else "[x, y, heading] [m, m, deg]"
    if not isinstance(value, (list, tuple)) or len(value) != 3:
        raise ConfigurationError(f"{source}: {key} = {value!r}: allowed: {names}")
    if key != "obstacles" and isinstance(value[2], str):
        raise ConfigurationError(f"{source}: {key} = {value!r}: allowed: {names}, the heading a finite number")
    return tuple(check_length(source, key, item) for item in value)


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
    measures = measures_of(scenario, config, pursuer, evader)
    if scenario.obstacles is not None:
        rows = [[measures.metres(length) for length in row] for row in scenario.obstacles]
        obstacles = np.array(rows, dtype=np.float64).reshape(-1, 3)
    else:
        count = config.obstacle_count if scenario.obstacle_count < 0 else scenario.obstacle_count
        obstacles = _draw_obstacles(random, config, count, 4.0 * max(pursuer.radius, evader.radius))
    arena = Arena(config.half_side, obstacles)
    given = {key: _given_pose(scenario, key, measures) for key in ("pursuer", "evader")}
    source = f"scenario {scenario.name}"
    for attempt in range(_ATTEMPTS):
        first, second = (_spread(random, scenario, given[key], measures, episode) for key in ("pursuer", "evader"))
        if first is None:
            first = _draw_pose(random, arena, config, pursuer, second)
        if second is None:
            second = _draw_pose(random, arena, config, evader, first)
        layout = Layout(arena, first, second)
        try:
            check_layout(layout, pursuer, evader, source)
            break
        except ConfigurationError:
            # A start near the given one may be in a wall; the given one itself may not.
            if not _spreads(scenario, episode) or attempt == _ATTEMPTS - 1:
                raise
    if scenario.mirrored and episode > 0:
        return turned(layout, int(random.integers(8)))
    return layout


def measures_of(scenario: Scenario, config: ArenaConfig, pursuer: RobotModel, evader: RobotModel) -> Measures:
    """What the units of the scenario's lengths are worth in this arena, for these robots."""
    width = 2.0 * max(pursuer.radius, evader.radius)
    return Measures(config.half_side / scenario.reference_half_side, width, config.capture_radius)


def turned(layout: Layout, symmetry: int) -> Layout:
    """The layout after one of the eight symmetries of the square: ``symmetry`` % 4 quarter turns, mirrored from 4 on.

    Mirrored: y -> -y and theta -> -theta, before the turn.
    """
    sign = -1.0 if symmetry >= 4 else 1.0
    quarters = symmetry % 4
    cosine, sine = ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))[quarters]
    turn = np.array([[cosine, sine], [-sine, cosine]])

    def moved(rows: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray((rows[..., :2] * (1.0, sign)) @ turn)

    def pose(row: NDArray[np.float64]) -> NDArray[np.float64]:
        angle = sign * row[2] + quarters * math.pi / 2.0
        return np.array([*moved(row), math.remainder(angle, math.tau)])

    obstacles = np.column_stack([moved(layout.arena.obstacles), layout.arena.obstacles[:, 2]])
    return Layout(Arena(layout.arena.half_side, obstacles), pose(layout.pursuer), pose(layout.evader))


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


def _given_pose(scenario: Scenario, key: str, measures: Measures) -> NDArray[np.float64] | None:
    value = getattr(scenario, key)
    if value is None:
        return None
    return np.array([measures.metres(value[0]), measures.metres(value[1]), math.radians(value[2])])


def _spreads(scenario: Scenario, episode: int) -> bool:
    return episode > 0 and (scenario.spread_position > 0.0 or scenario.spread_heading > 0.0)


def _spread(
    random: np.random.Generator,
    scenario: Scenario,
    pose: NDArray[np.float64] | None,
    measures: Measures,
    episode: int,
) -> NDArray[np.float64] | None:
    """A start near ``pose``, uniform in a disc and in a range of headings."""
    if pose is None or not _spreads(scenario, episode):
        return pose
    distance = measures.metres(scenario.spread_position) * math.sqrt(random.uniform())
    direction = random.uniform(-math.pi, math.pi)
    turn = math.radians(scenario.spread_heading) * random.uniform(-1.0, 1.0)
    x, y, heading = pose
    return np.array([x + distance * math.cos(direction), y + distance * math.sin(direction), heading + turn])


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

"""The arena: margins of a body's disc, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pe_core.arena import OBSTACLES_MAX, Arena, ArenaConfig, load_arena, static_margin
from pe_core.config import ConfigurationError
from pe_core.paths import config_names


@pytest.mark.parametrize(
    ("x", "y", "margin"),
    [(9.0, 0.0, 0.85), (-9.0, 3.0, 0.85), (0.0, 9.85, 0.0), (0.0, -9.95, -0.1), (0.0, 0.0, 9.85)],
)
def test_margin_to_the_nearest_wall(x: float, y: float, margin: float) -> None:
    assert Arena(10.0, np.zeros((0, 3))).body_margin(x, y, 0.15) == pytest.approx(margin)


def test_margin_to_the_nearest_obstacle_is_negative_inside() -> None:
    arena = Arena(10.0, np.array([[3.0, 4.0, 1.0], [-5.0, 0.0, 0.5]]))
    assert arena.body_margin(0.0, 0.0, 0.15) == pytest.approx(3.85)
    assert arena.body_margin(3.0, 4.0, 0.15) == pytest.approx(-1.15)


def test_margin_equals_sampled_distance_of_the_disc() -> None:
    """A body touches where a point of its disc does: compared with 4000 points of the rim."""
    arena = Arena(5.0, np.array([[1.0, 1.0, 0.7], [-2.0, 0.5, 1.1]]))
    angles = np.linspace(0.0, 2.0 * math.pi, 4000, endpoint=False)
    rng = np.random.default_rng(0)
    for x, y in rng.uniform(-4.5, 4.5, (50, 2)):
        rim = np.stack([x + 0.3 * np.cos(angles), y + 0.3 * np.sin(angles)], axis=1)
        wall = (5.0 - np.abs(rim)).min()
        gaps = [np.hypot(*(rim - o[:2]).T).min() - o[2] for o in arena.obstacles]
        if min(np.hypot(x - o[0], y - o[1]) - 0.3 for o in arena.obstacles) > 0.0:
            assert static_margin(x, y, 0.3, 5.0, arena.obstacles) == pytest.approx(min(wall, *gaps), abs=1e-5)


def test_every_arena_file_is_loaded_and_known() -> None:
    assert {"reference", "turtlebot3", "turtlebot3_waffle", "turtlebot4"} <= set(config_names("arena"))
    for name in config_names("arena"):
        assert load_arena(name).max_steps > 0


def test_reference_arena_is_the_game() -> None:
    arena = load_arena("reference")
    assert (arena.half_side, arena.capture_radius, arena.dt, arena.max_steps) == (10.0, 0.5, 0.05, 1200)
    assert (arena.obstacle_count, arena.obstacle_radius_min, arena.obstacle_radius_max) == (2, 0.3, 1.5)


@pytest.mark.parametrize("half_side", [0.0, -1.0, math.nan, math.inf])
def test_arena_without_a_size_is_refused(half_side: float) -> None:
    with pytest.raises(ConfigurationError, match="half_side = .*positive length"):
        Arena(half_side, np.zeros((0, 3)))


@pytest.mark.parametrize(
    "row", [[0.0, 0.0, 0.0], [0.0, 0.0, -1.0], [math.nan, 0.0, 1.0], [0.0, math.inf, 1.0]]
)
def test_obstacles_that_are_no_discs_are_refused(row: list[float]) -> None:
    with pytest.raises(ConfigurationError, match="obstacles = .*finite"):
        Arena(10.0, np.array([row]))


def test_too_many_obstacles_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="7 obstacles: allowed: at most 6"):
        Arena(10.0, np.ones((OBSTACLES_MAX + 1, 3)))


def test_contradicting_bounds_of_a_configuration_are_refused() -> None:
    with pytest.raises(
        ConfigurationError, match=r"obstacle_radius_min = 2\.0.*at most obstacle_radius_max = 1\.5"
    ):
        ArenaConfig(obstacle_radius_min=2.0)
    with pytest.raises(ConfigurationError, match=r"spawn_separation = 0\.5.*more than capture_radius = 0\.5"):
        ArenaConfig(spawn_separation=0.5)

"""Scenarios: repeatable draws, free starting poses, and what is refused with its numbers."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pe_core.arena import Arena, ArenaConfig, load_arena
from pe_core.config import ConfigurationError
from pe_core.paths import config_names
from pe_core.robot import RobotModel, load_robot
from pe_core.scenario import Layout, Scenario, check_layout, load_scenario, measures_of, sample_layout, turned

GAMES = [
    ("reference", "reference"),
    ("turtlebot3_burger", "turtlebot3"),
    ("turtlebot3_waffle", "turtlebot3_waffle"),
    ("turtlebot4", "turtlebot4"),
]
ROBOT, ARENA = RobotModel(), ArenaConfig()
BOUNDED = settings(derandomize=True, max_examples=60)


def same(a: Layout, b: Layout) -> bool:
    return (
        np.array_equal(a.pursuer, b.pursuer)
        and np.array_equal(a.evader, b.evader)
        and np.array_equal(a.arena.obstacles, b.arena.obstacles)
    )


def test_layout_is_a_function_of_seed_and_episode_alone() -> None:
    scenario = Scenario()
    forward = [sample_layout(scenario, ARENA, ROBOT, ROBOT, 7, e) for e in range(10)]
    backward = [sample_layout(scenario, ARENA, ROBOT, ROBOT, 7, e) for e in reversed(range(10))]
    assert all(same(a, b) for a, b in zip(forward, reversed(backward), strict=True))
    assert not any(same(forward[i], forward[j]) for i in range(10) for j in range(i))
    assert not same(forward[0], sample_layout(scenario, ARENA, ROBOT, ROBOT, 8, 0))


@BOUNDED
@given(st.integers(0, 2**31), st.integers(0, 100_000), st.sampled_from(GAMES), st.integers(0, 6))
def test_drawn_starts_are_free_of_collisions(
    seed: int, episode: int, game: tuple[str, str], count: int
) -> None:
    robot, config = load_robot(game[0]), load_arena(game[1])
    layout = sample_layout(Scenario(obstacle_count=count), config, robot, robot, seed, episode)
    obstacles = layout.arena.obstacles
    assert len(obstacles) == count
    for pose in (layout.pursuer, layout.evader):
        assert layout.arena.body_margin(pose[0], pose[1], robot.radius) >= config.spawn_clearance - 1e-12
        assert -math.pi <= pose[2] <= math.pi
    assert math.dist(layout.pursuer[:2], layout.evader[:2]) >= config.spawn_separation
    for i, (x, y, radius) in enumerate(obstacles):
        assert config.obstacle_radius_min <= radius <= config.obstacle_radius_max
        assert config.half_side - max(abs(x), abs(y)) - radius >= config.passage_min - 1e-12
        for a, b, c in obstacles[:i]:
            assert math.hypot(x - a, y - b) - radius - c >= config.passage_min - 1e-12


def test_draws_of_obstacles_that_jam_start_anew() -> None:
    """Six discs fit the waffles' arena, but one draw in eight leaves no room for the last."""
    robot, config = load_robot("turtlebot3_waffle"), load_arena("turtlebot3_waffle")
    for episode in range(60):
        layout = sample_layout(Scenario(obstacle_count=6), config, robot, robot, 0, episode)
        assert len(layout.arena.obstacles) == 6


def test_obstacles_that_cannot_fit_are_refused() -> None:
    config = ArenaConfig(half_side=2.0)
    with pytest.raises(
        ConfigurationError, match="no room found for 6 obstacles with gaps of 1 m in half_side = 2 m"
    ):
        sample_layout(Scenario(obstacle_count=6), config, ROBOT, ROBOT, 0, 0)


def test_separation_that_cannot_be_is_refused() -> None:
    with pytest.raises(
        ConfigurationError, match=r"no free starting pose.*separation 90 m in half_side = 10 m"
    ):
        sample_layout(Scenario(obstacle_count=0), ArenaConfig(spawn_separation=90.0), ROBOT, ROBOT, 0, 0)


def test_spawn_in_an_obstacle_is_refused_with_the_numbers() -> None:
    scenario = Scenario(
        name="bad", obstacles=((2.0, 0.0, 1.0),), pursuer=(2.5, 0.0, 90.0), evader=(-5.0, 0.0, 0.0)
    )
    with pytest.raises(ConfigurationError) as error:
        sample_layout(scenario, ARENA, ROBOT, ROBOT, 0, 0)
    for word in ("scenario bad", "pursuer", "2.500", "90.0 deg", "-0.650 m", "at least 0.1 m"):
        assert word in str(error.value)


def test_spawn_outside_or_in_the_other_robot_is_refused() -> None:
    for evader, words in (
        ((9.9, 0.0, 0.0), r"evader.*-0\.050 m"),
        ((0.2, 0.0, 0.0), r"-0\.100 m apart.*0\.1 m"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            sample_layout(Scenario(obstacles=(), pursuer=(0, 0, 0), evader=evader), ARENA, ROBOT, ROBOT, 0, 0)


def test_least_clearance_puts_the_control_point_in_its_safe_set() -> None:
    layout = Layout(Arena(10.0, np.zeros((0, 3))), np.array([9.75, 0.0, 0.0]), np.array([-5.0, 0.0, 0.0]))
    check_layout(layout, ROBOT, ROBOT, "test")
    worse = Layout(layout.arena, np.array([9.7501, 0.0, 0.0]), layout.evader)
    with pytest.raises(ConfigurationError, match="body margin"):
        check_layout(worse, ROBOT, ROBOT, "test")


def test_given_poses_scale_with_the_arena() -> None:
    scenario = Scenario(obstacles=((0.0, 0.0, 1.5),), pursuer=(-6.0, 0.0, 90.0), evader=(6.0, 0.0, 180.0))
    burger = load_robot("turtlebot3_burger")
    layout = sample_layout(scenario, load_arena("turtlebot3"), burger, burger, 0, 0)
    np.testing.assert_allclose(layout.pursuer, [-1.32, 0.0, math.pi / 2])
    np.testing.assert_allclose(layout.arena.obstacles, [[0.0, 0.0, 0.33]])


def test_given_robot_leaves_the_other_to_be_drawn_apart() -> None:
    scenario = Scenario(pursuer=(0.0, 0.0, 0.0), obstacles=())
    for episode in range(20):
        layout = sample_layout(scenario, ARENA, ROBOT, ROBOT, 0, episode)
        assert tuple(layout.pursuer) == (0.0, 0.0, 0.0)
        assert math.hypot(*layout.evader[:2]) >= ARENA.spawn_separation


@pytest.mark.parametrize("name", config_names("scenarios"))
@pytest.mark.parametrize(("robot", "arena"), GAMES)
def test_every_scenario_file_starts_for_every_profile(name: str, robot: str, arena: str) -> None:
    model = load_robot(robot)
    scenario = load_scenario(name)
    assert scenario.name == name and scenario.description
    evader = model.with_speed_ratio(scenario.speed_ratio)
    for episode in range(3):
        sample_layout(scenario, load_arena(arena), model, evader, 0, episode)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("pursuer: [1, 2]\n", "pursuer = .*x, y, heading"),
        ("pursuer: 5\n", "pursuer = 5"),
        ("evader: [1, 2, .nan]\n", "evader = .*finite"),
        ("obstacles: [[1, 2]]\n", "obstacles = .*x, y, radius"),
        ("obstacles: 3\n", "obstacles = 3.*list"),
        ("obstacle_count: 7\n", r"obstacle_count = 7.*\[-1, 6\]"),
        ("pursuer: [1 km, 0, 0]\n", "pursuer = '1 km'.*m, widths, capture_radii"),
        ("pursuer: [0, 0, 1 m]\n", "pursuer = .*heading a finite number"),
        ("spread_position: -1\n", r"spread_position = -1.*\[0, 10\] m"),
        ("mirrored: 1\n", "mirrored = 1.*true, false"),
        ("criteria: []\n", r"criteria = \[\].*a mapping"),
        ("criteria: {captures: 1}\n", "unknown key 'captures'.*captures_least"),
        ("criteria: {captures_least: 2}\n", r"captures_least = 2.*\[0, 1\]"),
        ("criteria: {margin_least: 1 foot}\n", "margin_least = '1 foot'"),
        ("criteria: {capture_time_most: 30}\n", "capture_time_most = 30.*only with captures_least"),
        ("speed_ratio: 5\n", r"speed_ratio = 5.*\[0.1, 3\]"),
        ("obstacels: []\n", "unknown key 'obstacels'"),
    ],
)
def test_broken_scenario_files_are_refused_by_name(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=words) as error:
        load_scenario(str(path))
    assert str(path) in str(error.value)


def test_obstacles_without_a_radius_or_too_many_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="radius > 0"):
        sample_layout(Scenario(obstacles=((0.0, 0.0, -1.0),)), ARENA, ROBOT, ROBOT, 0, 0)
    with pytest.raises(ConfigurationError, match="7 obstacles"):
        sample_layout(Scenario(obstacles=((0.0, 0.0, 0.1),) * 7), ARENA, ROBOT, ROBOT, 0, 0)


@pytest.mark.parametrize("name", config_names("scenarios"))
@pytest.mark.parametrize(("robot", "arena"), GAMES)
def test_no_start_of_a_scenario_is_a_capture_or_a_contact(name: str, robot: str, arena: str) -> None:
    model, config, scenario = load_robot(robot), load_arena(arena), load_scenario(name)
    for episode in range(12):
        layout = sample_layout(scenario, config, model, model, 3, episode)
        check_layout(layout, model, model, name)
        assert math.dist(layout.pursuer[:2], layout.evader[:2]) > 1.1 * config.capture_radius


@pytest.mark.parametrize(("robot", "arena"), GAMES)
def test_necks_of_the_corridor_are_one_and_a_half_bodies_wide_at_every_scale(robot: str, arena: str) -> None:
    model = load_robot(robot)
    layout = sample_layout(load_scenario("corridor"), load_arena(arena), model, model, 0, 0)
    for x, y, radius in layout.arena.obstacles:
        assert 2.0 * (abs(y) - radius) == pytest.approx(1.5 * 2.0 * model.radius)
        assert layout.arena.body_margin(x, 0.0, model.radius) > model.vcp_offset, "the control point fits"


@pytest.mark.parametrize(("robot", "arena"), GAMES)
def test_head_on_is_four_capture_radii_at_every_scale(robot: str, arena: str) -> None:
    model, config = load_robot(robot), load_arena(arena)
    layout = sample_layout(load_scenario("head_on"), config, model, model, 0, 0)
    assert math.dist(layout.pursuer[:2], layout.evader[:2]) == pytest.approx(4.0 * config.capture_radius)
    assert abs(layout.pursuer[2] - layout.evader[2]) == pytest.approx(math.pi)


def test_starts_spread_about_the_given_pose_from_the_second_episode_on() -> None:
    scenario = Scenario(
        obstacles=((0, 5, 1),), pursuer=(-4, 0, 10), evader=(4, 0, 0), spread_position=0.5, spread_heading=20
    )
    layouts = [sample_layout(scenario, ARENA, ROBOT, ROBOT, 1, episode) for episode in range(200)]
    first = layouts[0]
    np.testing.assert_allclose(first.pursuer, [-4.0, 0.0, math.radians(10)])
    away = [math.dist(layout.pursuer[:2], first.pursuer[:2]) for layout in layouts[1:]]
    turns = [abs(layout.pursuer[2] - first.pursuer[2]) for layout in layouts[1:]]
    assert 0.45 < max(away) <= 0.5 and math.radians(18) < max(turns) <= math.radians(20)
    assert len(set(away)) == len(away)


def test_mirrored_layouts_take_all_eight_forms_and_keep_every_distance() -> None:
    scenario = Scenario(obstacles=((1, 3, 1),), pursuer=(-4, 1, 30), evader=(4, 0, 0), mirrored=True)
    layouts = [sample_layout(scenario, ARENA, ROBOT, ROBOT, 0, episode) for episode in range(80)]
    assert len({tuple(np.round(layout.pursuer, 9)) for layout in layouts}) == 8
    first = layouts[0]
    for layout in layouts:
        assert math.dist(layout.pursuer[:2], layout.evader[:2]) == pytest.approx(math.sqrt(65.0))
        for pose, other in ((layout.pursuer, first.pursuer), (layout.evader, first.evader)):
            # The obstacle, seen from the robot, is as far and as much to a side as before.
            assert bearing(layout, pose) == pytest.approx(bearing(first, other))


def bearing(layout: Layout, pose: np.ndarray) -> tuple[float, float]:
    """Distance of the obstacle and cosine of its bearing, which a mirror does not change."""
    x, y = layout.arena.obstacles[0, :2] - pose[:2]
    distance = math.hypot(x, y)
    return distance, (x * math.cos(pose[2]) + y * math.sin(pose[2])) / distance


def test_a_quarter_turn_is_counterclockwise() -> None:
    layout = Layout(Arena(10.0, np.array([[2.0, 0.0, 1.0]])), np.array([1.0, 0.0, 0.0]), np.array([5.0, 1.0, 0.0]))
    result = turned(layout, 1)
    np.testing.assert_allclose(result.pursuer, [0.0, 1.0, math.pi / 2])
    np.testing.assert_allclose(result.evader, [-1.0, 5.0, math.pi / 2])
    np.testing.assert_allclose(result.arena.obstacles, [[0.0, 2.0, 1.0]])


def test_criteria_are_no_part_of_what_is_played() -> None:
    with_criteria, without = Scenario(criteria={"captures_least": 0.5}), Scenario()
    assert with_criteria.played() == without.played()
    assert with_criteria.criteria.captures_least == 0.5 and with_criteria.criteria.violations_most == 0
    assert measures_of(without, ARENA, ROBOT, ROBOT).width == pytest.approx(0.3)

"""Rules: body margins, capture, and games that are refused because nobody could play them."""

from __future__ import annotations

import numpy as np
import pytest

from pe_core.arena import ArenaConfig, load_arena
from pe_core.config import ConfigurationError
from pe_core.robot import RobotModel, load_robot
from pe_core.rules import body_margin, check_game, is_capture

NONE = np.zeros((0, 3))
FITTING = [
    ("reference", "reference"),
    ("turtlebot3_burger", "turtlebot3"),
    ("turtlebot3_waffle", "turtlebot3_waffle"),
    ("turtlebot4", "turtlebot4"),
]


def test_margin_is_the_least_of_walls_obstacles_and_the_other_body() -> None:
    own, other = np.array([0.0, 0.0]), np.array([3.0, 4.0])
    assert body_margin(own, other, 0.1, 0.2, 10.0, NONE) == pytest.approx(4.7)
    assert body_margin(own, other, 0.1, 0.2, 2.0, NONE) == pytest.approx(1.9)
    assert body_margin(own, other, 0.1, 0.2, 10.0, np.array([[1.0, 0.0, 0.5]])) == pytest.approx(0.4)
    assert body_margin(own, np.array([0.25, 0.0]), 0.1, 0.2, 10.0, NONE) == pytest.approx(-0.05)


def test_capture_includes_its_radius() -> None:
    assert is_capture(np.zeros(2), np.array([0.3, 0.4]), 0.5)
    assert not is_capture(np.zeros(2), np.array([0.3, 0.4000001]), 0.5)


@pytest.mark.parametrize(("robot", "arena"), FITTING)
def test_every_profile_may_play_in_its_arena(robot: str, arena: str) -> None:
    model = load_robot(robot)
    check_game(load_arena(arena), model, model)
    check_game(load_arena(arena), model, model.with_speed_ratio(1.2))


def test_every_profile_has_a_fitting_arena() -> None:
    from pe_core.paths import config_names

    assert {robot for robot, _ in FITTING} == set(config_names("robots"))


def test_capture_that_would_be_contact_is_refused_with_the_numbers() -> None:
    robot = RobotModel()
    with pytest.raises(
        ConfigurationError, match=r"capture_radius = 0\.35 m: allowed: at least 0\.4 m.*0\.3 m.*0\.1 m"
    ):
        check_game(ArenaConfig(capture_radius=0.35), robot, robot)


def test_arena_smaller_than_the_robots_is_refused() -> None:
    robot = RobotModel(radius=0.3, v_max=0.2)
    with pytest.raises(ConfigurationError, match=r"half_side = 1 m: allowed: .*1\.2 m"):
        check_game(ArenaConfig(half_side=1.0, capture_radius=0.7), robot, robot)

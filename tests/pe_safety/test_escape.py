"""Where a robot that drifts turns to: against the drift, unless that leads towards something that is near."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pe_core.robot import RobotModel
from pe_safety.disturbance.escape import clear_turn, turn_against

ROBOT = RobotModel()
CLEAR = ROBOT.radius + ROBOT.vcp_offset


def turn(x: float, y: float, heading: float, drift: tuple[float, float], near: float = 0.2) -> float:
    """In an empty arena of 4 m."""
    pose = np.array([x, y, heading])
    scene = (np.full(5, 1e3), 2.0, np.zeros((0, 3)), np.zeros(4), ROBOT.as_array(), ROBOT.radius)
    return clear_turn(pose, *drift, near, *scene)


@pytest.mark.parametrize("heading", [-2.0, 0.3, 3.0])
def test_in_the_open_it_is_straight_against_the_drift(heading: float) -> None:
    assert turn(0.0, 0.0, heading, (0.1, -0.05)) == turn_against(heading, 0.1, -0.05)


@pytest.mark.parametrize("heading", [-2.0, 0.3, 3.0])
def test_in_a_corner_it_turns_off_the_wall_beside_it(heading: float) -> None:
    """Drifting to the north wall and a little off the west wall, beside which it stands."""
    drift = (0.02, 0.1)
    x = -2.0 + CLEAR + 0.05
    aim = heading + turn(x, 2.0 - CLEAR - 0.3, heading, drift)
    against = math.atan2(-drift[1], -drift[0])
    assert math.cos(against) < 0.0 <= math.cos(aim) + 1e-12
    assert math.cos(aim - against) > 0.95
    # What it then gains still outdoes the drift.
    assert ROBOT.v_max * math.cos(aim - against) >= 2.0 * math.hypot(*drift)


def test_where_everything_is_near_it_is_straight_against_the_drift() -> None:
    assert turn(0.0, 0.0, 0.4, (0.1, 0.1), near=5.0) == turn_against(0.4, 0.1, 0.1)

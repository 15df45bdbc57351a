"""With reverse forbidden and nobody about a command always exists: at the boundary of the safe set, densely sampled."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pe_core.arena import Arena
from pe_core.plant import plant_step, stopping_pose
from pe_core.randomisation import load_randomisation
from pe_core.robot import LAG, load_robot
from pe_core.rules import body_margin
from pe_safety.filter import SafetyFilter, Tier
from pe_safety.parameters import SafetyParameters
from tests.support.safety_states import DT, Rows, budget_of, random_arena, steady

NOBODY = np.array([1e3, 1e3, 0.0, 0.0, 0.0])
SAMPLES = 400


def boundary_state(
    rng: np.random.Generator, filter_: SafetyFilter, arena: Arena, speed: float, turn: float
) -> np.ndarray | None:
    """A state at speed whose stopping pose is inside the safe set with some h nearly 0; None where none was found."""
    limit = arena.half_side
    pending = steady(filter_.robot, filter_.parameters, speed, turn)

    def least(state: np.ndarray) -> float:
        return min(filter_.barriers(state, None, arena, pending=pending).values())

    for _ in range(30):
        state = np.array([*rng.uniform(-limit, limit, 2), rng.uniform(-math.pi, math.pi), speed, turn])
        if least(state) < 0.0:
            continue
        way = rng.uniform(-math.pi, math.pi)
        step = np.array([math.cos(way), math.sin(way), 0.0, 0.0, 0.0])
        low, high = 0.0, 4.0 * limit
        for _ in range(45):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if least(state + middle * step) >= 0.0 else (low, middle)
        return state + low * step
    return None


@pytest.mark.parametrize("covered", [False, True])
@pytest.mark.parametrize("name", ["reference", "turtlebot3_burger", "turtlebot3_waffle", "turtlebot4"])
def test_a_command_always_exists(name: str, covered: bool) -> None:
    robot = load_robot(name)
    assert robot.v_min == 0.0
    parameters = SafetyParameters()
    if covered:
        parameters = parameters.covering(load_randomisation("turtlebot3"))
    filter_ = SafetyFilter(parameters, robot, None, DT)
    rng = np.random.default_rng(0)
    model = robot.as_array()
    checked = 0
    while checked < SAMPLES:
        arena = random_arena(rng, 12.0 * robot.radius)
        speed = rng.uniform(0.0, robot.v_max) if robot.lag > 0.0 else 0.0
        turn = rng.uniform(-1.0, 1.0) * robot.omega_max * (speed > 0.0)
        state = boundary_state(rng, filter_, arena, speed, turn)
        if state is None:
            continue
        checked += 1
        pose = np.empty(5)
        stopping_pose(state, model[LAG], pose)
        pending = steady(robot, parameters, speed, turn)
        rows = Rows(
            pose, None, arena, parameters, robot, budget=budget_of(robot, robot, parameters, pending=pending)
        )
        assert rows.b.min() >= -1e-9  # u = 0 meets every row
        nominal = (rng.uniform(0.0, robot.v_max), rng.uniform(-1.0, 1.0) * robot.omega_max)
        result = filter_.step(state, nominal, None, arena, pending=pending)
        assert not result.infeasible or result.slack < 1e-6
        assert result.tier == Tier.EXACT or result.command[0] == 0.0
        # The true stopping pose, one period on, is clear.
        after = state.copy()
        plant_step(after, np.array([result.command]), _undelayed(model), DT)
        stopping_pose(after, model[LAG], pose)
        assert body_margin(pose, NOBODY, robot.radius, robot.radius, arena.half_side, arena.obstacles) > 0.0


def _undelayed(model: np.ndarray) -> np.ndarray:
    """The state is already where commands act: without dead time."""
    out = model.copy()
    out[8] = 0.0
    return out

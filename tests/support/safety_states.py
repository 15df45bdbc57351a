"""Rows and states for tests of the safety filter."""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from pe_core.arena import Arena
from pe_core.robot import RobotModel
from pe_safety.barriers import BARRIERS_MAX, ROWS_MAX, barrier_names, barrier_values, bound_rows
from pe_safety.budget import SIZE, write_budget
from pe_safety.parameters import SafetyParameters
from pe_safety.pending import PENDING_SIZE, write_limits, write_steady
from pe_safety.rows import barrier_rows, body_rows

DT = 0.05
OPEN = Arena(10.0, np.zeros((0, 3)))
ROBOT = RobotModel()


UNDISTURBED = np.zeros((3, 4))


def budget_of(
    robot: RobotModel = ROBOT,
    opponent: RobotModel = ROBOT,
    parameters: SafetyParameters | None = None,
    deviations: tuple[float, float] = (0.0, 0.0),
    pending: np.ndarray | None = None,
    age: float = 0.0,
    dt: float = DT,
) -> np.ndarray:
    """The margin budget, both estimates equally good; ``pending`` None: the most that the limits allow."""
    out = np.empty(SIZE)
    values = (parameters or SafetyParameters()).as_array(dt)
    if pending is None:
        pending = np.empty(PENDING_SIZE)
        write_limits(robot.as_array(), values, dt, 0.0, pending)
    write_budget(robot.as_array(), opponent.as_array(), values, deviations, deviations, pending, age, dt, out)
    return out


def steady(
    robot: RobotModel, parameters: SafetyParameters, v: float, omega: float, age: float = 0.0, dt: float = DT
) -> np.ndarray:
    """What is pending of a robot that was sent (v, omega) for long."""
    out = np.empty(PENDING_SIZE)
    write_steady(v, omega, robot.as_array(), parameters.as_array(dt), dt, age, out)
    return out


class Rows:
    """G u <= b of one state: bounds, bodies' rows, barriers' rows."""

    def __init__(
        self,
        state: np.ndarray,
        opponent: np.ndarray | None = None,
        arena: Arena = OPEN,
        parameters: SafetyParameters | None = None,
        robot: RobotModel = ROBOT,
        dt: float = DT,
        budget: np.ndarray | None = None,
        disturbance: np.ndarray = UNDISTURBED,
    ) -> None:
        parameters = parameters or SafetyParameters()
        values = parameters.as_array(dt)
        model = robot.as_array()
        other = np.zeros(5) if opponent is None else np.asarray(opponent, float)
        count = len(arena.obstacles)
        here = (
            np.asarray(state, float),
            other,
            opponent is not None,
            arena.half_side,
            arena.obstacles,
            count,
            model,
            model,
        )
        if budget is None:
            budget = budget_of(robot, robot, parameters, dt=dt)
        h, margins = np.empty(BARRIERS_MAX), np.empty(BARRIERS_MAX)
        n = barrier_values(*here, budget, h, margins)
        g, b, owner = np.full((ROWS_MAX, 2), np.nan), np.full(ROWS_MAX, np.nan), np.full(ROWS_MAX, -1)
        self.bounds = bound_rows(model, g, b)
        self.hard = body_rows(*here, values, budget, disturbance, dt, h, g, b, self.bounds)
        end = barrier_rows(*here, values, budget, disturbance, dt, h, margins, g, b, owner, self.hard)
        self.margins = margins[:n].copy()
        self.h, self.g, self.b, self.owner = h[:n].copy(), g[:end].copy(), b[:end].copy(), owner[:end].copy()
        self.names = barrier_names(count, opponent is not None)

    def of(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """The rows (k, 2) and right-hand sides of one barrier."""
        mine = self.owner == self.names.index(name)
        mine[: self.hard] = False
        return self.g[mine], self.b[mine]


def random_arena(rng: np.random.Generator, half_side: float = 2.0) -> Arena:
    """Up to three obstacles, which may touch walls and one another."""
    count = rng.integers(0, 4)
    xy = rng.uniform(-half_side, half_side, (count, 2))
    return Arena(half_side, np.column_stack([xy, rng.uniform(0.2, 0.6, count)]))


@cache
def _usual(robot: RobotModel) -> tuple[np.ndarray, np.ndarray]:
    """The robot as an array, and the budget, which does not depend on a state."""
    return robot.as_array(), budget_of(robot, robot)


def values_of(
    state: np.ndarray, arena: Arena, robot: RobotModel = ROBOT, opponent: np.ndarray | None = None
) -> np.ndarray:
    """h of every barrier, without the rows."""
    h = np.empty(BARRIERS_MAX)
    other = np.zeros(5) if opponent is None else opponent
    model, budget = _usual(robot)
    n = barrier_values(
        state, other, opponent is not None, arena.half_side, arena.obstacles, len(arena.obstacles), model, model,
        budget, h, np.empty(BARRIERS_MAX),
    )  # fmt: skip
    return h[:n].copy()


def safe_state(
    rng: np.random.Generator,
    arena: Arena,
    boundary: bool,
    robot: RobotModel = ROBOT,
    opponent: np.ndarray | None = None,
) -> np.ndarray | None:
    """A state with every h >= 0, at the boundary (some h = 0) where asked for; None where none was found."""
    reach = arena.half_side
    for _ in range(50):
        state = np.array(
            [*rng.uniform(-reach, reach, 2), rng.uniform(-math.pi, math.pi), rng.uniform(0, 1), 0.0]
        )
        if values_of(state, arena, robot, opponent).min() < 0.0:
            continue
        if boundary:
            direction = rng.uniform(-math.pi, math.pi)
            low, high = 0.0, 3.0 * reach
            for _ in range(60):
                middle = 0.5 * (low + high)
                trial = state + [middle * math.cos(direction), middle * math.sin(direction), 0, 0, 0]
                inside = values_of(trial, arena, robot, opponent).min() >= 0.0
                low, high = (middle, high) if inside else (low, middle)
            state = state + [low * math.cos(direction), low * math.sin(direction), 0, 0, 0]
        return state
    return None

"""The QP on the filter's own rows: UT-05 and UT-08 to UT-10 as the specification numbers them."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pe_core.arena import Arena
from pe_core.robot import RobotModel
from pe_core.unicycle import arc_step
from pe_safety.barriers import BARRIERS_MAX, ROWS_MAX, barrier_values, bound_rows
from pe_safety.filter import SafetyFilter, Tier
from pe_safety.parameters import SafetyParameters
from pe_safety.qp_layer import BACKENDS, solve_qp
from pe_safety.rows import barrier_rows, body_rows
from tests.support.safety_states import UNDISTURBED, budget_of

DT = 0.05
ROBOT = RobotModel()
ARENA = Arena(10.0, np.array([[1.0, 2.0, 1.0], [-4.0, -3.0, 0.6]]))
DISCRETE = SafetyParameters()
CONTINUOUS = SafetyParameters(condition="continuous", arc_margin=False)
FAR = np.array([-8.5, 8.5, 0.0, 0.0, 0.0])

Array = NDArray[np.float64]


class Rows(NamedTuple):
    """Rows of one state; ``owner`` is the barrier's index, -1 for bounds and bodies."""

    g: Array
    b: Array
    owner: NDArray[np.int64]


def rows_of(state: Array, opponent: Array, parameters: SafetyParameters = DISCRETE) -> Rows:
    model, values = ROBOT.as_array(), parameters.as_array(DT)
    budget = budget_of(parameters=parameters)
    h, margins = np.empty(BARRIERS_MAX), np.empty(BARRIERS_MAX)
    g, b = np.zeros((ROWS_MAX, 2)), np.ones(ROWS_MAX)
    owner = np.full(ROWS_MAX, -1)
    scene = (state, opponent, True, ARENA.half_side, ARENA.obstacles, len(ARENA.obstacles), model, model)
    barrier_values(*scene, budget, h, margins)
    bounds = body_rows(*scene, values, budget, UNDISTURBED, DT, h, g, b, bound_rows(model, g, b))
    count = barrier_rows(*scene, values, budget, UNDISTURBED, DT, h, margins, g, b, owner, bounds)
    return Rows(g[:count], b[:count], owner[:count])


def values_of(state: Array, opponent: Array) -> Array:
    h, model = np.empty(BARRIERS_MAX), ROBOT.as_array()
    count = barrier_values(
        state, opponent, True, ARENA.half_side, ARENA.obstacles, 2, model, model, budget_of(), h,
        np.empty(BARRIERS_MAX),
    )  # fmt: skip
    return h[:count]


def safe_states(count: int, seed: int) -> list[tuple[Array, Array]]:
    """States of both robots with every h >= 0, half of them near something."""
    rng = np.random.default_rng(seed)
    found: list[tuple[Array, Array]] = []
    while len(found) < count:
        pair = [
            np.array(
                [
                    *rng.uniform(-9.9, 9.9, 2),
                    rng.uniform(-math.pi, math.pi),
                    rng.uniform(0, 1),
                    rng.uniform(-2, 2),
                ]
            )
            for _ in range(2)
        ]
        h = values_of(*pair)
        if h.min() >= 0.0 and (h.min() < 0.5 or len(found) % 2):
            found.append((pair[0], pair[1]))
    return found


class TestByName:
    @pytest.mark.parametrize("backend", BACKENDS)
    def test_ut05_random_states_are_feasible(self, backend: str) -> None:
        rng = np.random.default_rng(1)
        for state, opponent in safe_states(100 if backend == "torch" else 2000, 2):
            g, b, _ = rows_of(state, opponent)
            nominal = rng.uniform([0.0, -2.84], [1.0, 2.84])
            inputs = [torch.from_numpy(np.ascontiguousarray(x)) for x in (g, b, nominal)]
            solution = solve_qp(*inputs, (150.0, 1.0), backend)
            assert solution.status == 0
            assert (g @ solution.u.numpy() - b).max() <= 1e-9

    def test_ut08_hand_computed_wall_row(self) -> None:
        """East wall, heading 30 degrees: n = (-1, 0), -n^T J = (cos, -d sin), b = alpha (L - r - d - q_x)."""
        state = np.array([9.5, 0.0, math.pi / 6, 0.0, 0.0])
        g, b, owner = rows_of(state, FAR, CONTINUOUS)
        np.testing.assert_allclose(g[owner == 0], [[0.8660254037844387, -0.025]], atol=1e-12)
        np.testing.assert_allclose(b[owner == 0], [1.5 * (9.8 - 9.5 - 0.05 * 0.8660254037844387)], atol=1e-12)

    def test_ut08_hand_computed_obstacle_row(self) -> None:
        """Obstacle (1, 2), R = 1, from (-0.35, 2) heading east: q = (-0.3, 2), rho = 1.3, chi = 1.2, h = 0.25."""
        state = np.array([-0.35, 2.0, 0.0, 0.0, 0.0])
        g, b, owner = rows_of(state, FAR, CONTINUOUS)
        np.testing.assert_allclose(g[owner == 4], [[1.0, 0.0]], atol=1e-12)
        np.testing.assert_allclose(b[owner == 4], [1.5 * 0.25 / 2.6], atol=1e-12)

    def test_ut08_hand_computed_row_beside_an_obstacle(self) -> None:
        """From (1, 0.6) heading east: q = (1.05, 0.6), q - o = (0.05, -1.4), and only turning left approaches."""
        state = np.array([1.0, 0.6, 0.0, 0.0, 0.0])
        rho = math.hypot(0.05, 1.4)
        g, b, owner = rows_of(state, FAR, CONTINUOUS)
        np.testing.assert_allclose(g[owner == 4], [[-0.05 / rho, 0.05 * 1.4 / rho]], atol=1e-12)
        np.testing.assert_allclose(b[owner == 4], [1.5 * (rho**2 - 1.44) / (2 * rho)], atol=1e-12)

    def test_ut09_discrete_condition_holds_on_the_true_next_state(self) -> None:
        """h(x+) >= (1 - gamma) h(x) for walls and obstacles, over the exact arc of the filtered command."""
        safety = SafetyFilter(DISCRETE, ROBOT, ROBOT, DT)
        rng = np.random.default_rng(3)
        exact = corrected = 0
        for state, opponent in safe_states(3000, 4):
            result = safety.step(state, rng.uniform([0.0, -2.84], [1.0, 2.84]), opponent, ARENA)
            if result.tier != Tier.EXACT:
                continue
            exact += 1
            corrected += result.intervened
            after = np.array([*arc_step(*state[:3], *result.command, DT), *result.command])
            h, ahead = values_of(state, opponent)[:-1], values_of(after, opponent)[:-1]
            assert (ahead - (1 - DISCRETE.gamma) * h).min() >= -1e-9
        assert exact > 2500 and corrected > 100

    def test_ut10_both_inputs_act_on_every_barrier(self) -> None:
        """J is invertible (det J = d), so no barrier row that a turn away from the axes makes has a zero entry."""
        seen = set()
        for state, opponent in safe_states(3000, 5):
            g, _, owner = rows_of(state, opponent, CONTINUOUS)
            barriers = g[owner >= 0]
            # |(J^T n)_1|^2 + |(J^T n)_2 / d|^2 = |n|^2 = 1: where one input does nothing the other does all.
            np.testing.assert_allclose(
                np.hypot(barriers[:, 0], barriers[:, 1] / ROBOT.vcp_offset), 1.0, rtol=1e-9
            )
            assert (np.abs(barriers) > 0.0).all()
            seen |= set(owner[owner >= 0].tolist())
        assert seen == set(range(7)), "some barrier was never near"

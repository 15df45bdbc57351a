"""The unit tests that the specification names, of the filter: UT-01, 02, 05 to 10 (the layer's are beside the QP)."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pe_core.arena import Arena
from pe_core.robot import load_robot
from pe_core.unicycle import arc_step
from pe_safety.filter import SafetyFilter, Tier
from pe_safety.parameters import SafetyParameters
from tests.support.safety_states import DT, OPEN, ROBOT, Rows, random_arena, safe_state, values_of

FILTER = SafetyFilter(SafetyParameters(), ROBOT, ROBOT, DT)
ALONE = SafetyFilter(SafetyParameters(), ROBOT, None, DT)


def test_ut_01_safe_action_is_returned_unchanged() -> None:
    rng = np.random.default_rng(0)
    for _ in range(500):
        state = np.array([*rng.uniform(-8, 8, 2), rng.uniform(-3, 3), 0, 0])
        nominal = (rng.uniform(0, 1), rng.uniform(-2.84, 2.84))
        result = FILTER.step(state, nominal, np.array([9.5, 9.5, 0, 0, 0]), OPEN)
        assert result.command == nominal  # bit for bit
        assert (result.tier, result.intervened, result.slack, result.correction) == (
            Tier.EXACT,
            False,
            0.0,
            0.0,
        )


def test_ut_02_unsafe_action_is_corrected_to_meet_every_row() -> None:
    rng = np.random.default_rng(1)
    corrected = 0
    for n in range(2000):
        arena = random_arena(rng)
        opponent = np.array([*rng.uniform(-2, 2, 2), rng.uniform(-3, 3), rng.uniform(0, 1), 0])
        state = safe_state(rng, arena, n % 2 == 0, opponent=opponent)
        if state is None:
            continue
        rows = Rows(state, opponent, arena)
        nominal = np.array([1.0, rng.uniform(-2.84, 2.84)])
        result = FILTER.step(state, nominal, opponent, arena)
        if (rows.g @ nominal - rows.b).max() > 1e-3 and result.tier == Tier.EXACT:
            corrected += 1
            assert result.intervened and result.correction > 0.0
            assert (rows.g @ result.command - rows.b).max() <= 1e-9  # specified: 1e-4
    assert corrected > 300


def test_ut_05_random_states_are_feasible() -> None:
    rng = np.random.default_rng(2)
    for _ in range(100):
        arena = random_arena(rng)
        state = safe_state(rng, arena, False)
        if state is None:
            continue
        result = ALONE.step(state, (rng.uniform(0, 1), rng.uniform(-2.84, 2.84)), None, arena)
        assert not result.infeasible and result.slack == 0.0


@pytest.mark.parametrize("name", ["reference", "turtlebot3_burger", "turtlebot3_waffle", "turtlebot4"])
def test_ut_06_bounds_are_kept(name: str) -> None:
    robot = load_robot(name)
    filter_ = SafetyFilter(SafetyParameters(), robot, robot, DT)
    rng = np.random.default_rng(3)
    for _ in range(500):
        arena = random_arena(rng)
        state = np.array([*rng.uniform(-2.2, 2.2, 2), rng.uniform(-3, 3), *rng.uniform(-0.2, 0.2, 2)])
        opponent = np.array([*rng.uniform(-2, 2, 2), rng.uniform(-3, 3), rng.uniform(0, 1), 0])
        v, omega = filter_.step(state, rng.normal(0, 3, 2), opponent, arena).command
        assert robot.v_min <= v <= robot.v_max and abs(omega) <= robot.omega_max
        if robot.track > 0.0:
            assert abs(v) + 0.5 * robot.track * abs(omega) <= robot.wheel_speed_max + 1e-12


def test_ut_07_batch_equals_loop() -> None:
    """The compiled batch of games against a loop over ``SafetyFilter`` and ``Plant``: bit for bit."""
    from tests.pe_safety import test_closed_loop

    test_closed_loop.test_batch_of_games_equals_the_loop_of_filter_and_plant("reference")


# UT-08: G and b computed by hand for the reference robot (r = 0.15, d = 0.05, gamma / dt = 4).
PSI = 0.5 * 2.84 * 0.05
AWAY = 0.5 * 0.05 * PSI * 4.0 / 3.0 * PSI
TOWARD = 0.5 * 1.0 * 0.05
HAND = {
    "facing the east wall": ([9.7, 0.0, 0.0], None, OPEN, "wall_east", [[1.0, 0.0]] , 0.2),
    "along the east wall, which a left turn leaves": (
        [9.75, 0.0, math.pi / 2], None, OPEN, "wall_east", [[0.0, -0.05 + AWAY], [0.0, -0.05 - TOWARD]], 0.2,
    ),
    "facing the south wall": ([0.0, -9.7, -math.pi / 2], None, OPEN, "wall_south", [[1.0, 0.0]], 0.2),
    "facing an obstacle": (
        # q = -1.3, chi = 1.2: h = 1.69 - 1.44, b = 4 h / 2.6
        [-1.35, 0.0, 0.0], None, Arena(10.0, np.array([[0.0, 0.0, 1.0]])), "obstacle_0", [[1.0, 0.0]], 1.0 / 2.6,
    ),
    "obstacle at 3-4-5, heading east": (
        # q = (-0.78, -1.04): n = (-0.6, -0.8), cos beta = 0.6, sin beta = 0.8
        [-0.83, -1.04, 0.0], None, Arena(10.0, np.array([[0.0, 0.0, 1.0]])), "obstacle_0",
        [[0.6, 0.04 + 0.8 * TOWARD], [0.6, 0.04 - 0.8 * AWAY]], 1.0 / 2.6,
    ),
    "facing an opponent at rest": (
        # rho = 0.45, chi = 0.35: h = 0.2025 - 0.1225, b = 4 h / 0.9
        [-0.5, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0], OPEN, "opponent", [[1.0, 0.0]], 0.32 / 0.9,
    ),
    "facing an opponent that comes at full speed": (
        [-0.5, 0.0, 0.0], [0.0, 0.0, math.pi, 1.0, 0.0], OPEN, "opponent", [[1.0, 0.0]], 0.16 / 0.9,
    ),
    "facing an opponent that flees at 0.2 m/s": (
        [-0.5, 0.0, 0.0], [0.0, 0.0, 0.0, 0.2, 0.0], OPEN, "opponent", [[1.0, 0.0]], 0.32 / 0.9 + 0.2,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", HAND)
def test_ut_08_rows_equal_those_computed_by_hand(case: str) -> None:
    state, opponent, arena, name, wanted, budget = HAND[case]
    rows = Rows(np.array([*state, 0.0, 0.0]), None if opponent is None else np.array(opponent), arena)
    g, b = rows.of(name)
    np.testing.assert_allclose(b, budget, atol=1e-6)
    for row in g:
        assert np.abs(np.array(wanted) - row).max(axis=1).min() < 1e-6
    for row in wanted:
        assert np.abs(g - row).max(axis=1).min() < 1e-6


def test_ut_09_discrete_condition_holds_on_the_true_next_state() -> None:
    """And between the samples, h(x(s dt)) >= (1 - s gamma) h; random and boundary states; bodies in every tier."""
    rng = np.random.default_rng(4)
    shares = (0.25, 0.5, 0.75, 1.0)
    exact = total = 0
    while total < 20_000:
        arena = random_arena(rng)
        resting = np.array([*rng.uniform(-2, 2, 2), 0.0, 0.0, 0.0])
        for n in range(40):
            state = safe_state(rng, arena, n % 2 == 0, opponent=resting)
            if state is None:
                break
            before = values_of(state, arena, opponent=resting)
            for nominal in ((1.0, rng.uniform(-2.84, 2.84)), (rng.random(), rng.choice([-2.84, 2.84]))):
                total += 1
                result = FILTER.step(state, nominal, resting, arena)
                assert not result.infeasible
                exact += result.tier == Tier.EXACT
                for s in shares:
                    pose = arc_step(*state[:3], *result.command, s * DT)
                    margin = arena.body_margin(pose[0], pose[1], 0.15)
                    assert min(margin, math.dist(pose[:2], resting[:2]) - 0.3) >= -1e-9
                    if result.tier == Tier.EXACT:
                        now = values_of(np.array([*pose, 0, 0]), arena, opponent=resting)
                        assert (now - (1.0 - 0.2 * s) * before).min() >= -1e-10
    assert exact > 0.7 * total


def test_ut_10_both_inputs_act_on_every_barrier() -> None:
    arena = Arena(2.0, np.array([[0.9, 0.3, 0.4], [-0.8, 0.9, 0.3]]))
    state = np.array([0.1, -0.2, 0.7, 0.0, 0.0])
    rows = Rows(
        state, np.array([-0.4, -0.9, 0.0, 0.0, 0.0]), arena, SafetyParameters(gamma=0.001, arc_margin=False)
    )
    assert len(rows.names) == 7
    for name in rows.names:
        g, _ = rows.of(name)
        assert len(g) == 1 and np.abs(g).min() > 1e-3, name


def test_ut_10_steering_is_used_before_braking() -> None:
    """Near a wall ahead to the left, both inputs share the correction, the turn first: weights 150 and 1."""
    result = ALONE.step(np.array([9.7, 0.0, 0.6, 0.0, 0.0]), (0.4, 0.0), None, OPEN)
    assert result.tier == Tier.EXACT
    assert result.command[1] > 0.3 and 0.0 < 0.4 - result.command[0] < 0.3
    light = SafetyFilter(SafetyParameters(weight_v=0.01), ROBOT, None, DT)
    assert light.step(np.array([9.7, 0.0, 0.6, 0.0, 0.0]), (0.4, 0.0), None, OPEN).command[1] < 0.01

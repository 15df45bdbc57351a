"""Barriers and their rows: values, derivatives, the bound on the arc error, the opponent's budget, bodies' rows."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pe_core.arena import Arena
from pe_core.robot import RobotModel
from pe_core.unicycle import arc_step
from pe_safety.barriers import arc_coefficient, barrier_names, lag_coefficients, vcp
from pe_safety.parameters import SafetyParameters
from tests.support.safety_states import DT, OPEN, ROBOT, Rows, random_arena, safe_state, values_of

BOUNDED = settings(derandomize=True, max_examples=300)
OBSTACLE = Arena(10.0, np.array([[0.0, 0.0, 1.0]]))


def test_names_are_in_the_order_of_values() -> None:
    assert barrier_names(2, True) == (
        "wall_east", "wall_west", "wall_north", "wall_south", "obstacle_0", "obstacle_1", "opponent",
    )  # fmt: skip
    assert barrier_names(0, False)[-1] == "wall_south"


def test_control_point_lies_ahead() -> None:
    assert vcp(1.0, 2.0, math.pi / 2, 0.05) == pytest.approx((1.0, 2.05))


def test_positive_barriers_keep_the_body_clear() -> None:
    """h >= 0 of every barrier implies a body margin >= 0 at any heading: the + d in every standoff."""
    rng = np.random.default_rng(0)
    opponent = np.array([0.3, -0.4, 1.0, 0.0, 0.0])
    least = math.inf
    for n in range(3000):
        arena = random_arena(rng)
        state = safe_state(rng, arena, n % 2 == 0, opponent=opponent)
        if state is None:
            continue
        gap = math.dist(state[:2], opponent[:2]) - 0.3
        least = min(least, gap, arena.body_margin(state[0], state[1], 0.15))
    assert -1e-9 <= least < 0.01


@BOUNDED
@given(st.integers(0, 100_000), st.floats(0.0, 1.0), st.floats(-2.84, 2.84))
def test_rows_are_the_derivative_of_h_along_the_flow(seed: int, v: float, omega: float) -> None:
    """h' = -(G u) |grad h| for the rows without arc margin, by central differences."""
    rng = np.random.default_rng(seed)
    arena = random_arena(rng)
    opponent = np.array([*rng.uniform(-2, 2, 2), 0.0, 0.0, 0.0])
    state = np.array([*rng.uniform(-2, 2, 2), rng.uniform(-3, 3), 0.0, 0.0])
    for parameters in (
        SafetyParameters(gamma=0.001, arc_margin=False),
        SafetyParameters(condition="continuous", alpha=0.02),
    ):
        rows = Rows(state, opponent, arena, parameters)
        eps = 1e-5

        def h_after(dt: float) -> np.ndarray:
            pose = arc_step(*state[:3], v, omega, dt)
            return values_of(np.array([*pose, 0.0, 0.0]), arena, opponent=opponent)

        slope = (h_after(eps) - h_after(-eps)) / (2 * eps)
        q = np.array(vcp(*state[:3], ROBOT.vcp_offset))
        centres = [*arena.obstacles[:, :2], opponent[:2]]
        for k, name in enumerate(rows.names):
            g, b = rows.of(name)
            if len(g) == 0:
                continue
            gradient = 1.0 if k < 4 else 2.0 * math.dist(q, centres[k - 4])
            assert slope[k] == pytest.approx(-(g[0] @ [v, omega]) * gradient, abs=1e-6)
            if k < len(rows.names) - 1:
                assert b[0] * gradient == pytest.approx(0.02 * rows.h[k], abs=1e-9)


def test_rows_left_out_cannot_be_broken() -> None:
    """A barrier without rows keeps the discrete condition under every admissible command."""
    rng = np.random.default_rng(1)
    left_out = 0
    for _ in range(2000):
        arena = random_arena(rng)
        state = safe_state(rng, arena, False)
        if state is None:
            continue
        rows = Rows(state, None, arena)
        for v in (0.0, 1.0):
            for omega in (-2.84, 0.0, 2.84):
                after = values_of(np.array([*arc_step(*state[:3], v, omega, DT), 0, 0]), arena)
                for k, name in enumerate(rows.names):
                    if len(rows.of(name)[0]) == 0:
                        left_out += 1
                        assert after[k] >= 0.8 * rows.h[k] - 1e-12
    assert left_out > 10_000


# The arc error.


def arc_error(v: float, omega: float, beta: float, dt: float, d: float) -> float:
    """True minus Euler approach [m] of the control point in direction beta (body frame), from two exact poses."""
    x, y, theta = arc_step(0.0, 0.0, 0.0, v, omega, dt)
    dx, dy = x + d * math.cos(theta) - d, y + d * math.sin(theta)
    return dx * math.cos(beta) + dy * math.sin(beta) - dt * (v * math.cos(beta) + d * omega * math.sin(beta))


@BOUNDED
@given(
    v=st.floats(0, 1), v_max=st.floats(0.01, 2.0), reverse=st.floats(0, 2), back=st.booleans(),
    turn=st.floats(-1, 1), omega_max=st.floats(0.1, 10), beta=st.floats(-math.pi, math.pi),
    dt=st.floats(0.01, 0.2), d=st.floats(0.005, 0.3), share=st.floats(0.01, 1.0),
)  # fmt: skip
def test_arc_coefficient_bounds_the_arc_error(
    v: float, v_max: float, reverse: float, back: bool, turn: float, omega_max: float, beta: float, dt: float,
    d: float, share: float,
) -> None:  # fmt: skip
    model = RobotModel(v_min=-reverse, v_max=v_max, omega_max=omega_max, vcp_offset=d).as_array()
    speed, omega = (-v * reverse if back else v * v_max), turn * omega_max
    sigma = 1.0 if omega > 0 else -1.0
    bound = arc_coefficient(sigma, math.cos(beta), math.sin(beta), model, dt) * abs(omega) * dt
    assert arc_error(speed, omega, beta, dt, d) <= bound + 1e-13
    # Between the samples the error is within the square of the share of the period.
    assert arc_error(speed, omega, beta, share * dt, d) <= share**2 * bound + 1e-13
    assert bound <= 0.5 * dt * dt * abs(omega) * math.hypot(max(v_max, reverse), d * omega_max) + 1e-15


def test_arc_coefficient_holds_and_is_tight_on_a_random_search() -> None:
    rng = np.random.default_rng(2)
    model = ROBOT.as_array()
    closest = 0.0
    for _ in range(30_000):
        v, omega = rng.choice([0.0, 1.0, rng.random()]), rng.choice([-2.84, 2.84, rng.uniform(-2.84, 2.84)])
        beta = rng.uniform(-math.pi, math.pi)
        bound = (
            arc_coefficient(1.0 if omega > 0 else -1.0, math.cos(beta), math.sin(beta), model, DT)
            * abs(omega)
            * DT
        )
        error = arc_error(v, omega, beta, DT, 0.05)
        assert error <= bound + 1e-15
        if bound > 1e-6:
            closest = max(closest, error / bound)
    assert closest > 0.98


def test_turning_away_from_what_lies_ahead_is_nearly_free() -> None:
    toward = arc_coefficient(1.0, math.cos(0.5), math.sin(0.5), ROBOT.as_array(), DT)
    away = arc_coefficient(-1.0, math.cos(0.5), math.sin(0.5), ROBOT.as_array(), DT)
    assert away < 0.02 * toward
    assert arc_coefficient(1.0, 1.0, 0.0, ROBOT.as_array(), DT) == 0.0


def test_lag_margin_bounds_the_error_of_the_stopping_pose() -> None:
    from pe_core.plant import plant_step, stopping_pose

    rng = np.random.default_rng(3)
    for _ in range(400):
        lag = rng.uniform(0.01, 0.3)
        model = RobotModel(lag=lag).as_array()
        state = np.array([0, 0, rng.uniform(-3, 3), rng.uniform(0, 1), rng.uniform(-2.84, 2.84)])
        v, omega = rng.uniform(0, 1), rng.uniform(-2.84, 2.84)
        before, after = np.empty(5), np.empty(5)
        stopping_pose(state, lag, before)
        per_v, per_omega = lag_coefficients(state[3], state[4], lag, DT)
        plant_step(state, np.array([[v, omega]]), model, DT)
        stopping_pose(state, lag, after)
        x, y, theta = arc_step(before[0], before[1], before[2], v, omega, DT)
        assert abs(math.remainder(theta - after[2], 2 * math.pi)) < 1e-9
        error = math.hypot(after[0] - x, after[1] - y)
        assert error <= DT * (per_v * v + per_omega * abs(omega)) + 2e-5


# The opponent.


def opponent_budget(state: list[float], opponent: list[float], parameters: SafetyParameters) -> float:
    return float(Rows(np.array(state), np.array(opponent), parameters=parameters).of("opponent")[1][0])


FACING = [-0.5, 0.0, 0.0, 0.0, 0.0]  # VCP 0.45 m from the opponent, chi = 0.35: h = 0.08, full = 4 h / 0.9


@pytest.mark.parametrize(
    ("behaviour", "speed", "heading", "budget"),
    [
        ("cooperative", 0.0, 0.0, 0.32 / 0.9),
        ("cooperative", 0.1, math.pi, 0.32 / 0.9 - 0.1),
        ("cooperative", 1.0, math.pi, 0.16 / 0.9),
        ("cooperative", 0.5, 0.0, 0.32 / 0.9 + 0.5),
        ("passive", 0.1, math.pi, 0.32 / 0.9 - 0.1),
        ("passive", 1.0, math.pi, 0.0),
    ],
)
def test_opponent_budget(behaviour: str, speed: float, heading: float, budget: float) -> None:
    parameters = SafetyParameters(opponent_behaviour=behaviour)
    assert opponent_budget(FACING, [0.0, 0.0, heading, speed, 0.0], parameters) == pytest.approx(budget)


def test_the_gap_is_shared_unless_the_opponent_leaves() -> None:
    """VCP 0.02 m from chi: all of the gap in a step towards an opponent that drives away, half of it where it could
    turn, and no more than the decay where it does not move away."""
    near = [-0.42, 0.0, 0.0, 0.0, 0.0]
    full = 4.0 * (0.37**2 - 0.35**2) / (2.0 * 0.37)
    for heading, expected in ((0.0, 0.02 / DT), (0.5 * math.pi - 0.13, 0.01 / DT), (0.5 * math.pi, full)):
        budget = opponent_budget(near, [0.0, 0.0, heading, 1.0, 0.0], SafetyParameters())
        assert budget == pytest.approx(min(expected, full + math.cos(heading)))


def test_error_of_the_opponents_velocity_is_taken_as_approach() -> None:
    parameters = SafetyParameters(opponent_speed_error=0.1)
    assert opponent_budget(FACING, [0.0, 0.0, 0.0, 0.0, 0.0], parameters) == pytest.approx(0.32 / 0.9 - 0.1)


@pytest.mark.parametrize("gamma", [0.2, 0.5, 0.8, 1.0])
def test_two_robots_together_never_take_more_than_the_gap(gamma: float) -> None:
    parameters = SafetyParameters(gamma=gamma)
    rng = np.random.default_rng(4)
    for _ in range(2000):
        opponent = np.array([0.0, 0.0, rng.uniform(-3, 3), rng.uniform(0, 1), 0.0])
        state = np.array([*rng.uniform(-0.7, 0.7, 2), rng.uniform(-3, 3), rng.uniform(0, 1), 0.0])
        gap = math.hypot(*state[:2]) - 0.3
        if gap < 0.0:
            continue
        total = 0.0
        for own, other in ((state, opponent), (opponent, state)):
            rows = Rows(own, other, parameters=parameters)
            body = [row for row in range(rows.bounds, rows.hard) if rows.g[row, 0] > 0.0]
            ahead = math.atan2(other[1] - own[1], other[0] - own[0]) - own[2]
            closest = max(math.cos(ahead), 0.0)
            speeds = [rows.b[row] / rows.g[row, 0] for row in body]
            total += closest * min([1.0, *speeds]) * DT
        assert total <= max(0.9 * (gap - 0.005), 0.0) + 1e-9


def test_outside_its_set_the_opponent_row_asks_for_no_approach() -> None:
    for speed, heading in ((0.0, 0.0), (1.0, math.pi), (1.0, 0.0)):
        budget = opponent_budget(
            [-0.37, 0.0, 0.0, 0.0, 0.0], [0.0, 0.0, heading, speed, 0.0], SafetyParameters()
        )
        assert budget == 0.0


# Bodies.


def test_static_bodies_need_no_row_inside_the_safe_set() -> None:
    rng = np.random.default_rng(5)
    for _ in range(300):
        arena = random_arena(rng)
        state = safe_state(rng, arena, True)
        if state is not None:
            rows = Rows(state + [0, 0, 0, 0, 0], None, arena)
            assert rows.hard - rows.bounds <= int((rows.h < 0.0).sum())


def test_body_rows_bound_the_true_approach_of_the_body() -> None:
    rng = np.random.default_rng(6)
    checked = 0
    for robot in (ROBOT, RobotModel(v_min=-0.5, omega_max=8.0)):
        for _ in range(1500):
            opponent = np.array([0.0, 0.0, rng.uniform(-3, 3), rng.uniform(0, 1), 0.0])
            bearing, gap = rng.uniform(-3, 3), rng.uniform(0.005, 0.1)
            state = np.array(
                [(0.3 + gap) * math.cos(bearing), (0.3 + gap) * math.sin(bearing), rng.uniform(-3, 3), 0, 0]
            )
            rows = Rows(state, opponent, robot=robot)
            g, b = rows.g[rows.bounds : rows.hard], rows.b[rows.bounds : rows.hard]
            assert (b >= 0.0).all()
            # An opponent that drives away and cannot turn back within the step leaves the whole gap.
            leaves = robot.v_min == 0.0 and math.cos(bearing - opponent[2]) < -math.sin(robot.omega_max * DT)
            share = 0.9 if leaves else 0.45
            for v in (robot.v_min, -0.1 * robot.v_min, 0.3, 1.0):
                if len(g):
                    worst = (g @ [v, 0.0] / np.maximum(b, 1e-12)).max()
                    v = v / worst if worst > 1.0 else v
                for omega in (-robot.omega_max, 0.0, 0.4 * robot.omega_max, robot.omega_max):
                    x, y, _ = arc_step(*state[:3], v, omega, DT)
                    approach = gap - (math.hypot(x, y) - 0.3)
                    full = DT * (b[0] if len(b) else math.inf)
                    assert approach <= min(full, share * max(gap - 0.005, 0.0) if len(b) else math.inf) + 1e-9
                    checked += 1
    assert checked > 5000


def test_a_body_at_the_centre_of_an_obstacle_may_leave_any_way() -> None:
    rows = Rows(np.zeros(5), None, OBSTACLE)
    assert rows.hard == rows.bounds
    assert np.isfinite(rows.g).all() and np.isfinite(rows.b).all()


def test_rows_scale_with_the_game() -> None:
    """Lengths and speeds scaled by 0.22: the same G (per turn scaled), b scaled."""
    small = dataclasses.replace(ROBOT, v_max=0.22, radius=0.033, vcp_offset=0.011)
    state, opponent = np.array([9.7, 1.0, 0.4, 0.0, 0.0]), np.array([9.3, 1.2, 0.3, 0.4, 0.0])
    scale = np.array([0.22, 0.22, 1.0, 0.22, 1.0])
    big = Rows(state, opponent)
    tiny = Rows(state * scale, opponent * scale, Arena(2.2, np.zeros((0, 3))), robot=small)
    assert len(big.b) == len(tiny.b)
    np.testing.assert_allclose(tiny.b[big.bounds :], 0.22 * big.b[big.bounds :], atol=1e-12)
    np.testing.assert_allclose(tiny.g[big.bounds :], big.g[big.bounds :] * [1.0, 0.22], atol=1e-12)


def test_walls_of_the_open_arena_have_their_values() -> None:
    np.testing.assert_allclose(
        values_of(np.array([1.0, 2.0, 0.0, 0.0, 0.0]), OPEN), [8.75, 10.85, 7.8, 11.8], atol=1e-12
    )

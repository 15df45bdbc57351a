"""The filter as its users see it: any input, standing still, escapes, corners, rammers, what a result says."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pe_core.arena import Arena
from pe_core.plant import Plant
from pe_core.robot import RobotModel, load_robot
from pe_safety.filter import FilterResult, SafetyFilter, Tier
from pe_safety.ladder import filter_step
from pe_safety.parameters import SafetyParameters
from tests.support.safety_states import (
    DT,
    OPEN,
    ROBOT,
    UNDISTURBED,
    budget_of,
    random_arena,
    safe_state,
)

FILTER = SafetyFilter(SafetyParameters(), ROBOT, ROBOT, DT)
ALONE = SafetyFilter(SafetyParameters(), ROBOT, None, DT)
PROFILES = ("reference", "turtlebot3_burger", "turtlebot3_waffle", "turtlebot4")
BOUNDED = settings(derandomize=True, max_examples=400)

EXTREME = st.sampled_from(
    [
        math.nan,
        math.inf,
        -math.inf,
        1e308,
        -1e308,
        1e154,
        1e-308,
        5e-324,
        -5e-324,
        0.0,
        -0.0,
        1e16,
        9.85,
        -9.8,
    ]
)
ANY = st.one_of(EXTREME, st.floats(-12, 12), st.floats(allow_nan=True, allow_infinity=True))
STATES = st.tuples(ANY, ANY, ANY, ANY, ANY)
RADII = st.one_of(st.sampled_from([1e-300, 1e308, 5e-324]), st.floats(0.01, 3.0))
FINITE = st.one_of(st.sampled_from([1e308, -1e308, 1e-308, 0.0]), st.floats(-12, 12))
MANY = [SafetyFilter(SafetyParameters(), load_robot(name), load_robot(name), DT) for name in PROFILES]
MANY.append(
    SafetyFilter(SafetyParameters(condition="continuous"), RobotModel(v_min=-1.0, lag=0.1), ROBOT, DT)
)
MANY.append(
    SafetyFilter(SafetyParameters(opponent_behaviour="passive"), RobotModel(v_quantum=1e-9), ROBOT, DT)
)


def check(filter_: SafetyFilter, result: FilterResult, inputs: list[float]) -> None:
    robot = filter_.robot
    v, omega = result.command
    assert math.isfinite(v) and math.isfinite(omega)
    assert robot.v_min <= v <= robot.v_max and abs(omega) <= robot.omega_max
    if robot.track > 0.0:
        assert abs(v) + 0.5 * robot.track * abs(omega) <= robot.wheel_speed_max + 1e-12
    assert result.slack >= 0.0 and not math.isnan(result.correction)
    if not all(math.isfinite(value) for value in inputs):
        assert (result.command, result.tier) == ((0.0, 0.0), Tier.BACKUP)
        assert "not finite" in result.reason and result.intervened and not result.infeasible
    if result.tier == Tier.EXACT:
        assert result.slack == 0.0 and result.reason == "" and not result.infeasible
    if result.tier == Tier.BACKUP:
        assert v == 0.0 and result.reason and result.intervened


@BOUNDED
@given(
    STATES,
    st.tuples(ANY, ANY),
    st.one_of(st.none(), STATES),
    st.lists(st.tuples(FINITE, FINITE, RADII), max_size=6),
)
def test_any_floats_give_a_finite_command_within_limits(
    state: tuple[float, ...],
    nominal: tuple[float, ...],
    opponent: tuple[float, ...] | None,
    obstacles: list[tuple[float, float, float]],
) -> None:
    arena = Arena(10.0, np.array(obstacles).reshape(-1, 3))
    for filter_ in MANY:
        result = filter_.step(state, nominal, opponent, arena)
        check(filter_, result, [*state, *nominal, *(opponent or ())])


@BOUNDED
@given(st.tuples(ANY, ANY, ANY), st.tuples(st.floats(0, 1), st.floats(-2.8, 2.8)))
def test_obstacles_that_are_not_finite_stop_the_robot(
    row: tuple[float, ...], nominal: tuple[float, float]
) -> None:
    """``Arena`` refuses them; the kernel behind it stops."""
    h, model = np.empty(11), ROBOT.as_array()
    v, omega, tier, slack, _ = filter_step(
        np.zeros(5), *nominal, np.zeros(5), False, 10.0, np.array([row]), 1, model, model,
        SafetyParameters().as_array(DT), budget_of(), UNDISTURBED, DT, h, np.empty(11),
    )  # fmt: skip
    assert 0.0 <= v <= 1.0 and abs(omega) <= 2.84 and slack >= 0.0
    if not all(math.isfinite(value) for value in row):
        assert (v, omega, tier) == (0.0, 0.0, Tier.BACKUP)


@pytest.mark.parametrize("nominal", [(1e308, 0.0), (1e308, -1e308), (1e200, 1.0), (-1e308, 1e308)])
def test_huge_nominal_commands_are_clamped_not_refused(nominal: tuple[float, float]) -> None:
    result = FILTER.step(np.zeros(5), nominal, np.full(5, 8.0), OPEN)
    assert result.tier == Tier.EXACT
    assert result.command == pytest.approx(
        (max(0.0, min(nominal[0], 1.0)), np.clip(nominal[1], -2.84, 2.84)), abs=1e-6
    )


def test_reasons_name_what_is_not_finite() -> None:
    bad = [0.0, math.nan, 0.0, 0.0, 0.0]
    assert FILTER.step(bad, (0, 0), np.zeros(5), OPEN).reason == "own state is not finite"
    assert (
        FILTER.step(np.zeros(5), (math.inf, 0), np.full(5, 5.0), OPEN).reason
        == "nominal command is not finite"
    )
    assert FILTER.step(np.zeros(5), (0, 0), bad, OPEN).reason == "opponent state is not finite"
    assert "barrier" in FILTER.step(np.zeros(5), (0, 0), np.full(5, 5.0), OPEN, math.inf).reason
    assert all(math.isnan(h) for h in FILTER.step(bad, (0, 0), np.zeros(5), OPEN).barriers.values())


def test_age_of_unknown_size_stops_the_robot() -> None:
    for age in (math.nan, math.inf):
        result = FILTER.step(np.zeros(5), (1.0, 0.0), np.full(5, 5.0), OPEN, age)
        assert result.command == (0.0, 0.0) and result.tier == Tier.BACKUP


def test_old_opponent_state_widens_its_circle() -> None:
    opponent = np.array([0.8, 0.0, math.pi, 0.0, 0.0])
    fresh, old = (FILTER.step(np.zeros(5), (1.0, 0.0), opponent, OPEN, age) for age in (0.0, 0.3))
    assert old.barriers["opponent"] == pytest.approx(0.75**2 - 0.65**2)
    assert old.command[0] < fresh.command[0]


def test_an_old_state_of_an_opponent_that_cannot_turn_so_soon_costs_nothing() -> None:
    leaving = np.array([0.8, 0.0, 0.0, 0.0, 0.0])
    fresh, old = (FILTER.step(np.zeros(5), (1.0, 0.0), leaving, OPEN, age) for age in (0.0, 0.3))
    assert old.barriers == fresh.barriers


def test_result_is_a_function_of_the_arguments() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        arguments = (rng.uniform(-2, 2, 5), rng.uniform(-1, 1, 2), rng.uniform(-2, 2, 5), random_arena(rng))
        first, second = FILTER.step(*arguments), FILTER.step(*arguments)
        assert (first.command, first.tier, first.barriers) == (second.command, second.tier, second.barriers)
        assert first.barriers == FILTER.barriers(arguments[0], arguments[2], arguments[3])


def test_inputs_are_not_changed() -> None:
    state, nominal, opponent = np.full(5, 0.5), np.array([1.0, 0.0]), np.full(5, 2.0)
    copies = state.copy(), nominal.copy(), opponent.copy()
    lagging = MANY[3]
    lagging.step(state, nominal, opponent, OPEN)
    lagging.barriers(state, opponent, OPEN)
    for value, copy in zip((state, nominal, opponent), copies, strict=True):
        np.testing.assert_array_equal(value, copy)


def test_standing_still_is_exact_everywhere_in_the_safe_set() -> None:
    rng = np.random.default_rng(1)
    seen = 0
    while seen < 5000:
        arena = random_arena(rng)
        opponent = np.array([*rng.uniform(-2, 2, 2), rng.uniform(-3, 3), rng.uniform(0, 1), 0.0])
        for n in range(25):
            state = safe_state(rng, arena, n % 5 > 0, opponent=opponent)
            if state is None:
                break
            seen += 1
            result = FILTER.step(state, (0.0, 0.0), opponent, arena)
            assert (result.tier, result.command) == (Tier.EXACT, (0.0, 0.0))


def test_robot_asked_to_stand_still_near_an_opponent_stands_still() -> None:
    """Outside the opponent's circle, inside it, or on top of it: no rung moves a robot that is asked to stand."""
    for x in (-0.5, -0.36, -0.31, -0.2, 0.0):
        for heading in np.linspace(-3, 3, 13):
            for speed in (0.0, 1.0):
                result = FILTER.step([x, 0, heading, 0, 0], (0.0, 0.0), [0, 0, math.pi, speed, 0], OPEN)
                assert result.command[0] == 0.0


def test_turn_in_place_never_becomes_a_drive() -> None:
    rng = np.random.default_rng(2)
    for _ in range(3000):
        arena = random_arena(rng)
        state = safe_state(rng, arena, True)
        if state is not None:
            result = ALONE.step(state, (0.0, rng.choice([-2.84, 2.84])), None, arena)
            assert result.command[0] <= 0.06 and abs(result.command[1]) > 2.6


# Getting out.


def drive(
    filter_: SafetyFilter, pose: list[float], target: tuple[float, float], arena: Arena, seconds: float = 10.0
):
    """Drive to ``target`` by pure pursuit; returns (arrived, smallest body margin, reversals of a backup's turn)."""
    plant, least, reversals, last = Plant(filter_.robot, np.array(pose)), math.inf, 0, 0.0
    for _ in range(round(seconds / DT)):
        x, y, theta = plant.state[:3]
        error = math.remainder(math.atan2(target[1] - y, target[0] - x) - theta, 2 * math.pi)
        if math.dist(plant.state[:2], target) < 0.5:
            return True, least, reversals
        result = filter_.step(
            plant.state, (max(math.cos(error), 0.0), np.clip(4 * error, -2.84, 2.84)), None, arena
        )
        reversals += result.tier == Tier.BACKUP and result.command[1] * last < 0.0
        last = result.command[1]
        plant.step(result.command, DT)
        least = min(least, arena.body_margin(*plant.state[:2], filter_.robot.radius))
    return False, least, reversals


HEADINGS = np.linspace(-math.pi, math.pi, 25)


@pytest.mark.parametrize("margin", [0.0, 0.001, 0.02, 0.05, 0.08])
def test_robot_inside_the_margin_of_a_wall_gets_out_from_every_heading(margin: float) -> None:
    for target in ((5.0, 0.0), (8.0, 3.0)):
        for heading in HEADINGS:
            arrived, least, reversals = drive(ALONE, [9.85 - margin, 0.0, heading], target, OPEN)
            assert arrived and least >= margin * 0.3 - 1e-12 and reversals <= 2


@pytest.mark.parametrize("margin", [0.0, 0.001, 0.02, 0.05, 0.08])
def test_robot_inside_the_margin_of_an_obstacle_gets_out_from_every_heading(margin: float) -> None:
    arena = Arena(10.0, np.array([[5.0, 0.0, 1.0]]))
    for target in ((0.0, 0.0), (3.0, 3.0)):
        for heading in HEADINGS:
            arrived, least, reversals = drive(ALONE, [3.85 - margin, 0.0, heading], target, arena)
            assert arrived and least >= margin * 0.3 - 1e-12 and reversals <= 2


@pytest.mark.parametrize("margin", [0.001, 0.02, 0.1])
def test_robot_in_a_corner_gets_out_from_every_heading(margin: float) -> None:
    for heading in HEADINGS:
        arrived, least, _ = drive(ALONE, [9.85 - margin, 9.85 - margin, heading], (5.0, 5.0), OPEN)
        assert arrived and least > 0.0


@pytest.mark.parametrize("gap", [0.401, 0.45, 0.6])
def test_robot_between_an_obstacle_and_a_wall_turns_round(gap: float) -> None:
    arena = Arena(10.0, np.array([[9.7 - gap, 0.0, 0.3]]))
    for heading in HEADINGS:
        arrived, least, _ = drive(ALONE, [10.0 - gap / 2, 0.0, heading], (9.3, 2.0), arena, 15.0)
        assert arrived and least > 0.0


@pytest.mark.parametrize("approach", [math.pi / 4, 0.2, 1.4])
def test_robot_driven_into_a_corner_can_leave_it(approach: float) -> None:
    plant = Plant(ROBOT, np.array([8.5, 8.5, approach]))
    for _ in range(200):
        error = math.pi / 4 - plant.state[2]
        plant.step(ALONE.step(plant.state, (1.0, np.clip(4 * error, -2.84, 2.84)), None, OPEN).command, DT)
    assert min(ALONE.barriers(plant.state, None, OPEN).values()) < 0.01
    for target in ((5.0, 5.0), (9.0, 5.0), (5.0, 9.0)):
        assert drive(ALONE, list(plant.state[:3]), target, OPEN)[0]


def test_robot_outside_the_arena_or_in_an_obstacle_comes_back() -> None:
    arena = Arena(10.0, np.array([[5.0, 0.0, 1.0]]))
    ways = {
        (10.5, 0.0): (5.0, -4.0),
        (10.3, 10.3): (5.0, 5.0),
        (5.3, 0.2): (8.0, 2.0),
        (5.0, 0.0): (1.0, 0.0),
    }
    ways |= {(4.95, 0.0): (1.0, 0.0), (5.0, -0.9): (5.0, -5.0)}
    for pose, target in ways.items():
        for heading in HEADINGS[::3]:
            assert drive(ALONE, [*pose, heading], target, arena, 25.0)[0], (pose, heading)


# The other robot.


@pytest.mark.parametrize("behaviour", ["cooperative", "passive"])
def test_robot_at_the_opponents_place_keeps_its_limits_and_may_leave(behaviour: str) -> None:
    filter_ = SafetyFilter(SafetyParameters(opponent_behaviour=behaviour), ROBOT, ROBOT, DT)
    plant = Plant(ROBOT, np.zeros(3))
    # Passive, it creeps until it is out of reach.
    for _ in range(100 if behaviour == "cooperative" else 260):
        result = filter_.step(plant.state, (1.0, 0.0), np.zeros(5), OPEN)
        check(filter_, result, [0.0])
        plant.step(result.command, DT)
    assert math.hypot(*plant.state[:2]) > 1.0


def test_robots_driven_head_on_at_any_speed_stop_apart() -> None:
    for speed in (0.1, 0.5, 1.0):
        for offset in (0.0, 0.05, 0.2):
            plants = [
                Plant(ROBOT, np.array([-1.0, offset, 0.0])),
                Plant(ROBOT, np.array([1.0, 0.0, math.pi])),
            ]
            for _ in range(400):
                states = [plant.state.copy() for plant in plants]
                for i in range(2):
                    command = FILTER.step(states[i], (speed, 0.0), states[1 - i], OPEN).command
                    plants[i].step(command, DT)
                assert math.dist(plants[0].state[:2], plants[1].state[:2]) > 0.3


def test_passive_robot_itself_does_not_close_in_on_a_rammer() -> None:
    """The promise against an opponent that obeys nothing: what this robot adds to the approach is none, once the
    condition cannot be met, and never the whole gap."""
    filter_ = SafetyFilter(SafetyParameters(opponent_behaviour="passive"), ROBOT, ROBOT, DT)
    rng = np.random.default_rng(3)
    yielded = 0
    for _ in range(60):
        own, rammer = (
            Plant(ROBOT, np.array([0, 0, rng.uniform(-3, 3)])),
            Plant(ROBOT, np.array([1.5, 0, math.pi])),
        )
        for _ in range(60):
            here, there = own.state.copy(), rammer.state.copy()
            result = filter_.step(here, (1.0, rng.uniform(-2.84, 2.84)), there, OPEN)
            own.step(result.command, DT)
            gap = math.dist(here[:2], there[:2]) - 0.3
            if gap > 0.005:
                assert math.dist(own.state[:2], there[:2]) - 0.3 >= 0.1 * gap - 1e-9
            q = [s[:2] + 0.05 * np.array([math.cos(s[2]), math.sin(s[2])]) for s in (here, own.state)]
            reach = math.dist(q[0], there[:2])
            bearing = (q[0] - there[:2]) / reach
            closing = there[3] * (bearing @ [math.cos(there[2]), math.sin(there[2])])
            if result.tier == Tier.EXACT and closing > max(
                4 * result.barriers["opponent"] / (2 * reach), 0.0
            ):
                yielded += 1
                assert math.dist(q[1], there[:2]) >= reach - 1e-9
            error = math.remainder(math.atan2(*(here[:2] - there[:2])[::-1]) - there[2], 2 * math.pi)
            rammer.step((1.0, np.clip(4 * error, -2.84, 2.84)), DT)
    assert yielded > 100


def test_filter_without_opponent_ignores_one_that_is_given() -> None:
    result = ALONE.step(np.zeros(5), (1.0, 0.0), np.array([0.4, 0, 0, 0, 0]), OPEN)
    assert result.command == (1.0, 0.0) and "opponent" not in result.barriers


def test_constant_margin_adds_to_every_distance() -> None:
    wide = SafetyFilter(SafetyParameters(margin=0.1), ROBOT, ROBOT, DT)
    arena, opponent = Arena(10.0, np.array([[3.0, 0.0, 0.5]])), np.array([-2.0, 0, 0, 0, 0])
    narrow, wider = (f.barriers(np.zeros(5), opponent, arena) for f in (FILTER, wide))
    assert wider["wall_east"] == pytest.approx(narrow["wall_east"] - 0.1)
    assert wider["obstacle_0"] == pytest.approx(narrow["obstacle_0"] + 0.7**2 - 0.8**2)
    assert wider["opponent"] == pytest.approx(narrow["opponent"] + 0.35**2 - 0.45**2)


def test_continuous_condition_is_met_where_it_is_chosen() -> None:
    filter_ = SafetyFilter(SafetyParameters(condition="continuous", alpha=1.5), ROBOT, None, DT)
    result = filter_.step([9.7, 0.0, 0.0, 0, 0], (1.0, 0.0), None, OPEN)
    assert result.command[0] == pytest.approx(1.5 * 0.05)

"""The ladder below the exact QP: what is relaxed, by how much, in which order; the backup; the robot's grid."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import linprog

from pe_core.arena import Arena
from pe_core.plant import Plant
from pe_core.robot import RobotModel, load_robot, truncate
from pe_safety.filter import FilterResult, SafetyFilter, Tier
from pe_safety.parameters import SafetyParameters
from tests.support.safety_states import DT, OPEN, ROBOT, Rows, random_arena

FILTER = SafetyFilter(SafetyParameters(), ROBOT, ROBOT, DT)
ALONE = SafetyFilter(SafetyParameters(), ROBOT, None, DT)


def levels_of(rows: Rows) -> tuple[np.ndarray, list[np.ndarray]]:
    """Rows that are kept, and those that may be relaxed: the opponent's, the walls', the obstacles'."""
    index = np.arange(len(rows.b))
    barrier = index >= rows.hard
    loose = barrier & (rows.b < 0.0)
    names = np.array([*rows.names])
    kind = np.array([names[o] if b else "" for o, b in zip(rows.owner, barrier, strict=True)])
    groups = ("opponent", "wall", "obstacle")
    return index[~loose], [index[loose & np.char.startswith(kind, group)] for group in groups]


def least_slacks(rows: Rows) -> tuple[list[float], np.ndarray]:
    """Lexicographic least slack by linear programs (HiGHS), and the relaxed right-hand sides."""
    kept, levels = levels_of(rows)
    b = rows.b.copy()
    used = list(kept)
    slacks = []
    for level in levels:
        if len(level) == 0:
            slacks.append(0.0)
            continue
        a = np.column_stack([rows.g[[*used, *level]], [0.0] * len(used) + [-1.0] * len(level)])
        solved = linprog([0, 0, 1], a, b[[*used, *level]], bounds=[(None, None), (None, None), (0, None)])
        assert solved.status == 0
        slacks.append(solved.x[2])
        b[level] += solved.x[2] + 1e-11
        used += list(level)
    return slacks, b


def held(result: FilterResult) -> bool:
    """Whether the least slack would not have let the robot move, and nothing falls further instead."""
    return "nothing falls further" in result.reason


def unsafe_states(n: int, seed: int = 0) -> list[tuple[np.ndarray, np.ndarray, Arena]]:
    """States below some barrier, near walls, obstacles and an opponent."""
    rng = np.random.default_rng(seed)
    out: list[tuple[np.ndarray, np.ndarray, Arena]] = []
    while len(out) < n:
        arena = random_arena(rng)
        state = np.array([*rng.uniform(-2.05, 2.05, 2), rng.uniform(-3.1, 3.1), 0.0, 0.0])
        opponent = np.array([*rng.uniform(-2, 2, 2), rng.uniform(-3, 3), rng.uniform(0, 1), 0.0])
        if min(FILTER.barriers(state, opponent, arena).values()) < 0.0:
            out.append((state, opponent, arena))
    return out


def test_slack_is_the_least_in_order_of_priority() -> None:
    relaxed = both = 0
    for state, opponent, arena in unsafe_states(1500):
        rows = Rows(state, opponent, arena)
        slacks, b = least_slacks(rows)
        result = FILTER.step(state, (1.0, 0.0), opponent, arena)
        if max(slacks) < 1e-9:
            assert result.tier == Tier.EXACT
            continue
        relaxed += 1
        both += min(slacks[1:]) > 1e-9
        assert result.tier in (Tier.RELAXED, Tier.BACKUP) and result.infeasible
        if held(result):
            assert (rows.g @ result.command - np.maximum(rows.b, 0.0)).max() < 1e-9
            assert result.command[0] > 0.01
            continue
        assert result.slack == pytest.approx(max(slacks), rel=1e-7, abs=1e-7)
        if result.tier == Tier.RELAXED:
            assert (rows.g @ result.command - b).max() < 1e-7
    assert relaxed > 300 and both > 10


def test_relaxed_command_is_the_nearest_of_those_with_least_slack() -> None:
    checked = 0
    for state, opponent, arena in unsafe_states(400, seed=1):
        rows = Rows(state, opponent, arena)
        result = FILTER.step(state, (1.0, 0.0), opponent, arena)
        if result.tier != Tier.RELAXED or held(result):
            continue
        checked += 1
        _, b = least_slacks(rows)
        # A linear program: no feasible direction from the command lowers the cost.
        v, omega = result.command
        gradient = [150.0 * (v - 1.0), omega]
        solved = linprog(gradient, rows.g, b + 1e-9, bounds=[(None, None), (None, None)])
        assert solved.status == 0
        reached = gradient[0] * v + gradient[1] * omega
        assert solved.fun >= reached - 0.01 * (1.0 + abs(reached))  # the set is thin: programs agree loosely
    assert checked > 50


def test_what_is_inside_its_safe_set_stays_there_in_every_tier() -> None:
    """Rows with b >= 0 are met by every command, whatever has to be relaxed beside them; nothing falls further."""
    for state, opponent, arena in unsafe_states(1500, seed=2):
        rows = Rows(state, opponent, arena)
        for nominal in ((1.0, 0.0), (0.5, 2.84)):
            result = FILTER.step(state, nominal, opponent, arena)
            excess = (rows.g @ result.command - np.maximum(rows.b, 0.0))[
                : rows.hard if result.tier == Tier.BACKUP else None
            ]
            assert excess.max() < 1e-8


def test_opponent_is_never_given_up_for_a_wall() -> None:
    """In the margin of the wall ahead with the opponent behind: the escape must not go into the opponent."""
    state = np.array([9.82, 0.0, 3.0, 0.0, 0.0])
    opponent = np.array([9.82 - 0.37, 0.0, 0.0, 0.0, 0.0])
    rows = Rows(state, opponent)
    result = FILTER.step(state, (1.0, 0.0), opponent, OPEN)
    g, b = rows.of("opponent")
    assert (g @ result.command <= b + 1e-9).all()


def test_wall_is_kept_longer_than_an_obstacle() -> None:
    """Below both, with the way out of one leading into the other: the wall's slack is least, the obstacle's not."""
    compared = 0
    for state, opponent, arena in unsafe_states(3000, seed=3):
        rows = Rows(state, opponent, arena)
        slacks, _ = least_slacks(rows)
        if slacks[1] > 1e-6 and slacks[2] > 1e-6:
            result = FILTER.step(state, (1.0, 0.0), opponent, arena)
            if result.tier == Tier.RELAXED and not held(result):
                compared += 1
                _, levels = levels_of(rows)
                violation = (rows.g[levels[1]] @ result.command - rows.b[levels[1]]).max()
                assert violation <= slacks[1] + 1e-7
    assert compared > 10


@pytest.mark.parametrize("heading", np.linspace(-3.0, 3.0, 12))
def test_backup_turns_to_the_freest_direction_without_moving(heading: float) -> None:
    """In the margins of a wall and of an obstacle that ask for opposite ways: turn to where the way is free."""
    arena = Arena(10.0, np.array([[9.0, 0.0, 0.55]]))
    plant = Plant(ROBOT, np.array([9.79, 0.0, heading]))
    for _ in range(60):
        result = ALONE.step(plant.state, (1.0, 0.0), None, arena)
        before = plant.state[:2].copy()
        plant.step(result.command, DT)
        if result.tier == Tier.BACKUP:
            assert result.command[0] == 0.0
            np.testing.assert_array_equal(plant.state[:2], before)
        assert arena.body_margin(*plant.state[:2], 0.15) > -0.06 - 1e-9
    assert abs(math.sin(plant.state[2])) > 0.9 or abs(plant.state[1]) > 0.5


def test_backup_does_not_hunt_between_directions() -> None:
    """The headings tried do not turn with the robot: one reversal of a backup's turn at most while it stands."""
    rng = np.random.default_rng(4)
    backups = 0
    for state, _, arena in unsafe_states(300, seed=5):
        plant = Plant(ROBOT, state[:3])
        turns = []
        for _ in range(40):
            result = ALONE.step(plant.state, (rng.random(), 0.0), None, arena)
            if result.tier == Tier.BACKUP and "relaxation" in result.reason:
                turns.append(result.command[1])
            plant.step(result.command, DT)
        backups += len(turns)
        assert sum(a * b < 0.0 for a, b in zip(turns, turns[1:], strict=False)) <= 2
    assert backups > 20


def test_turn_on_the_spot_is_as_the_nominal_command_asks() -> None:
    """Facing a corner at h = 0 of both walls: either turn is denied by the rows and made on the spot."""
    lean = 0.05 * math.cos(math.pi / 4)
    state = [9.8 - lean, 9.8 - lean, math.pi / 4, 0.0, 0.0]
    for omega in (-2.84, -0.5, 0.5, 2.84):
        result = ALONE.step(state, (1.0, omega), None, OPEN)
        assert result.tier == Tier.BACKUP and "turning on the spot" in result.reason
        assert result.command == (0.0, omega)
        assert result.intervened and not result.infeasible
    straight = ALONE.step(state, (1.0, 0.0), None, OPEN)
    assert straight.tier == Tier.EXACT and straight.command == pytest.approx((0.0, 0.0), abs=1e-9)


@pytest.mark.parametrize("name", ["turtlebot3_burger", "turtlebot3_waffle"])
def test_commands_are_what_the_robot_can_resolve(name: str) -> None:
    robot = load_robot(name)
    filter_ = SafetyFilter(SafetyParameters(), robot, robot, DT)
    rng = np.random.default_rng(6)
    tiers = set()
    for _ in range(3000):
        arena = random_arena(rng)
        state = np.array(
            [*rng.uniform(-2.1, 2.1, 2), rng.uniform(-3, 3), rng.uniform(0, 0.2), rng.uniform(-2, 2)]
        )
        opponent = np.array([*rng.uniform(-2, 2, 2), rng.uniform(-3, 3), rng.uniform(0, 0.2), 0.0])
        result = filter_.step(state, (rng.uniform(0, 0.2), rng.uniform(-1, 1)), opponent, arena)
        tiers.add(result.tier)
        v, omega = result.command
        assert truncate(v, 0.01) == pytest.approx(v, abs=1e-9)
        assert truncate(omega, 0.01) == pytest.approx(omega, abs=1e-9)
    assert tiers == set(Tier)


def test_snapped_command_still_meets_every_row() -> None:
    robot = RobotModel(v_quantum=0.01, omega_quantum=0.01)
    filter_ = SafetyFilter(SafetyParameters(), robot, None, DT)
    rng = np.random.default_rng(7)
    exact = 0
    for _ in range(3000):
        arena = random_arena(rng)
        state = np.array([*rng.uniform(-2, 2, 2), rng.uniform(-3, 3), 0.0, 0.0])
        result = filter_.step(state, (1.0, rng.uniform(-2.84, 2.84)), None, arena)
        if result.tier == Tier.EXACT:
            exact += 1
            rows = Rows(state, None, arena, robot=robot)
            assert (rows.g @ result.command - rows.b).max() < 1e-9
    assert exact > 500


def test_fine_resolution_takes_no_longer() -> None:
    """One speed of a nanometre per second after the other would take minutes."""
    fine = SafetyFilter(SafetyParameters(), RobotModel(v_quantum=1e-9, omega_quantum=1e-9), None, DT)
    result = fine.step([9.76, 0.0, 0.1, 0.0, 0.0], (1.0, 0.0), None, OPEN)
    assert result.solve_time < 1.0

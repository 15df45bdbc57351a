"""The closest executable command against all that the robot has, tried one by one."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pe_core.arena import Arena
from pe_core.plant import stopping_pose
from pe_core.robot import RobotModel, executed_command, load_robot, truncate
from pe_safety.barriers import bound_rows
from pe_safety.filter import SafetyFilter, Tier
from pe_safety.lattice import MET, closest_multiple
from pe_safety.parameters import SafetyParameters, load_safety
from pe_safety.qp import OPTIMAL, solve
from tests.support.safety_states import DT, Rows, budget_of, random_arena, safe_state

WEIGHTS = np.array([150.0, 1.0])
PARAMETERS = SafetyParameters().as_array(DT)
TURTLEBOTS = ("turtlebot3_burger", "turtlebot3_waffle")
BURGER = load_robot("turtlebot3_burger")
ROBOTS = (
    *(load_robot(name) for name in TURTLEBOTS),
    dataclasses.replace(BURGER, name="reversing", v_min=-0.1),
    RobotModel(v_quantum=0.013, omega_quantum=0.07),
    dataclasses.replace(BURGER, name="speeds", omega_quantum=0.0),
    dataclasses.replace(BURGER, name="rates", v_quantum=0.0),
)


def commands_of(robot: RobotModel, g: np.ndarray, b: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """All multiples within the limits; where one has no resolution, what is asked and the rows' ends."""
    ranges = (
        (robot.v_min, robot.v_max, robot.v_quantum),
        (-robot.omega_max, robot.omega_max, robot.omega_quantum),
    )
    axes = [
        np.arange(math.ceil(low / quantum - 1e-9), math.floor(high / quantum + 1e-9) + 1) * quantum
        if quantum
        else None
        for low, high, quantum in ranges
    ]
    if axes[0] is not None and axes[1] is not None:
        return np.array(np.meshgrid(*axes)).reshape(2, -1).T
    k = 0 if axes[0] is not None else 1
    found = []
    for value in axes[k]:
        slopes = g[:, 1 - k]
        ends = (b - g[:, k] * value)[slopes != 0.0] / slopes[slopes != 0.0]
        for other in (asked[1 - k], *ends):
            found.append((value, other) if k == 0 else (other, value))
    return np.array(found)


def cost_of(commands: np.ndarray, asked: np.ndarray) -> np.ndarray:
    return ((np.asarray(commands) - asked) ** 2 * WEIGHTS).sum(axis=-1)


def least_cost(robot: RobotModel, g: np.ndarray, b: np.ndarray, asked: np.ndarray) -> float:
    """Of all commands that meet every row; infinite where there is none."""
    commands = commands_of(robot, g, b, asked)
    met = (commands @ g.T <= b + MET).all(axis=1)
    return float(cost_of(commands[met], asked).min(initial=math.inf))


def found_by_kernel(
    robot: RobotModel, g: np.ndarray, b: np.ndarray, asked: np.ndarray
) -> tuple[float, float, bool] | None:
    """None where not even the continuous program has a solution."""
    v, omega, status, *_ = solve(g, b, *asked, *WEIGHTS)
    if status != OPTIMAL:
        return None
    return closest_multiple(g, b, len(b), *asked, v, omega, PARAMETERS, robot.as_array())


def bounded(robot: RobotModel, g: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows with the robot's bounds before them."""
    first, limits = np.empty((8, 2)), np.empty(8)
    count = bound_rows(robot.as_array(), first, limits)
    return np.vstack([first[:count], g]), np.concatenate([limits[:count], b])


@st.composite
def programmes(draw: st.DrawFn) -> tuple[RobotModel, np.ndarray, np.ndarray, np.ndarray]:
    """Rows through or near some command of the robot: wedges, slivers, lines, points, rows of one unknown."""
    robot = draw(st.sampled_from(ROBOTS))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(0, 8))
    angle = random.uniform(-math.pi, math.pi, count)
    angle[random.random(count) < 0.2] = random.choice([0.0, 0.5 * math.pi, math.pi, -0.5 * math.pi])
    if draw(st.booleans()) and count > 1:
        angle[1] = angle[0] + math.pi + draw(st.sampled_from((0.0, 1e-3, 0.03)))
    # Rows of a differential drive: its unknowns count metres per second and, at a lever, radians per second.
    g = np.column_stack([np.cos(angle), draw(st.sampled_from((1.0, 0.05))) * np.sin(angle)])
    g[np.abs(g) < 1e-15] = 0.0
    centre = random.uniform([robot.v_min, -robot.omega_max], [robot.v_max, robot.omega_max])
    if draw(st.booleans()):
        centre = np.array(executed_command(*centre, robot.as_array()))
    room = draw(st.sampled_from((0.0, 1e-4, 0.003, 0.03)))
    b = g @ centre + room * random.random(count)
    asked = random.uniform([robot.v_min, -robot.omega_max], [robot.v_max, robot.omega_max]) * 1.2
    if draw(st.booleans()):
        asked = np.array(executed_command(*asked, robot.as_array()))
    return robot, *bounded(robot, g, b), asked


@given(programmes())
@settings(max_examples=1500, deadline=None)
def test_closest_of_all_multiples(case: tuple[RobotModel, np.ndarray, np.ndarray, np.ndarray]) -> None:
    robot, g, b, asked = case
    least, kernel = least_cost(robot, g, b, asked), found_by_kernel(robot, g, b, asked)
    if kernel is None:
        # Without a solution but for rounding.
        assert (
            least == math.inf
            or not (g @ commands_of(robot, g, b, asked).T <= b[:, None] - MET).all(axis=0).any()
        )
        return
    v, omega, found = kernel
    assert found == (least < math.inf)
    if not found:
        assert (v, omega) == (0.0, 0.0)
        return
    assert executed_command(v, omega, robot.as_array()) == pytest.approx((v, omega), rel=1e-11, abs=0.0)
    for value, quantum, limit in (
        (v, robot.v_quantum, robot.v_max),
        (omega, robot.omega_quantum, robot.omega_max),
    ):
        assert truncate(value, quantum) == value or abs(value) == limit
    assert (g @ [v, omega] - b).max() <= 2.0 * MET
    assert cost_of((v, omega), asked) <= least * (1.0 + 1e-12) + 1e-15
    for start in ((0.0, 0.0), (robot.v_max, -robot.omega_max)):
        other = closest_multiple(g, b, len(b), *asked, *start, PARAMETERS, robot.as_array())
        assert other[2] and cost_of(other[:2], asked) <= least * (1.0 + 1e-12) + 1e-15


@pytest.mark.parametrize("robot", ROBOTS, ids=lambda robot: robot.name)
def test_what_no_row_forbids_is_sent_as_it_is(robot: RobotModel) -> None:
    random = np.random.default_rng(8)
    g, b = bounded(robot, np.zeros((0, 2)), np.zeros(0))
    for _ in range(500):
        asked = executed_command(
            *random.uniform([robot.v_min, -robot.omega_max], [robot.v_max, robot.omega_max]), robot.as_array()
        )
        if not (g @ asked <= b).all():
            continue
        asked = executed_command(*asked, robot.as_array())
        assert closest_multiple(g, b, len(b), *asked, *asked, PARAMETERS, robot.as_array()) == (*asked, True)


def test_a_multiple_further_along_is_found() -> None:
    """A wedge that opens with the speed: no multiple at the two speeds beside the optimum, nor at a slower one."""
    g, b = bounded(BURGER, np.array([[-0.2, 1.0], [-0.2, -1.0]]), np.array([0.3065, -0.3035]))
    v, omega, found = closest_multiple(g, b, len(b), 0.0, 0.3051, 0.0, 0.3051, PARAMETERS, BURGER.as_array())
    assert found and (v, omega) == pytest.approx((0.02, 0.31))


def hard_states(robot: RobotModel, n: int, seed: int) -> list[tuple[np.ndarray, np.ndarray, Arena]]:
    """At rest and rolling, at the boundary of the safe set, over it and inside, with an opponent near by."""
    random = np.random.default_rng(seed)
    out: list[tuple[np.ndarray, np.ndarray, Arena]] = []
    while len(out) < n:
        arena = random_arena(random, 1.2)
        state = safe_state(random, arena, bool(random.random() < 0.7), robot)
        if state is None:
            continue
        state[:2] += random.normal(0.0, 0.01, 2) * (random.random() < 0.5)
        moving = random.random() < 0.6
        state[3:] = moving * random.uniform(0, robot.v_max), moving * random.uniform(-1, 1) * robot.omega_max
        away, turn = robot.radius * random.uniform(2.0, 6.0), random.uniform(-math.pi, math.pi)
        place = state[:2] + away * np.array([math.cos(turn), math.sin(turn)])
        opponent = np.array([*place, random.uniform(-3, 3), random.uniform(0, robot.v_max), 0.0])
        out.append((state, opponent, arena))
    return out


@pytest.mark.parametrize("safety", ["rcbf", "rcbf_robust"])
@pytest.mark.parametrize("name", TURTLEBOTS)
def test_filter_sends_the_closest_multiple_in_hard_states(name: str, safety: str) -> None:
    """Never relaxed where a multiple meets every row; the closest of them, but for turns of a blocked robot."""
    robot, parameters = load_robot(name), load_safety(safety)
    filter_ = SafetyFilter(parameters, robot, robot, DT)
    budget = budget_of(robot, robot, parameters)
    random = np.random.default_rng(10)
    corrected = none = 0
    for state, opponent, arena in hard_states(robot, 1500, seed=9):
        asked = np.array(
            executed_command(
                robot.v_max * random.random(), robot.omega_max * random.uniform(-1, 1), robot.as_array()
            )
        )
        result = filter_.step(state, asked, opponent, arena)
        rest = np.empty(5)
        stopping_pose(state, robot.lag, rest)
        rows = Rows(rest, opponent, arena, parameters, robot, budget=budget)
        least = least_cost(robot, rows.g, rows.b, asked)
        if least == math.inf:
            none += 1
            assert result.tier != Tier.EXACT
            continue
        assert result.tier == Tier.EXACT or "turning on the spot" in result.reason
        if result.tier == Tier.EXACT:
            corrected += least > 1e-9
            assert (rows.g @ result.command - rows.b).max() <= 2.0 * MET
            assert cost_of(result.command, asked) <= least * (1.0 + 1e-12) + 1e-15
    assert corrected > 200 and none > 20

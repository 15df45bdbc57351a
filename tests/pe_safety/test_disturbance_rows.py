"""The learned disturbance in the safety rows: the affine form, the fixed point, turning round, the closed loop."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pe_core.arena import Arena
from pe_core.config import ConfigurationError
from pe_core.robot import RobotModel
from pe_safety.barriers import WALLS
from pe_safety.disturbance.affine import REST, affine_rows, excess, mean_and_bound, widened
from pe_safety.disturbance.escape import turning_round
from pe_safety.disturbance.filter import DRIFTING, TOLERANCE, LearnedFilter
from pe_safety.disturbance.model import LearnedDisturbance
from pe_safety.disturbance.parameters import DisturbanceParameters, load_disturbance
from pe_safety.disturbance.simulation import Imperfection, ImperfectRobot
from pe_safety.filter import SafetyFilter, Tier
from pe_safety.parameters import SafetyParameters, load_safety

ROBOT = RobotModel()
DT, HALF_SIDE = 0.05, 2.0
ARENA = Arena(HALF_SIDE, np.array([[0.0, 1.0, 0.4]]))
PARAMETERS = DisturbanceParameters()


@pytest.fixture(scope="module")
def shared() -> LearnedDisturbance:
    return LearnedDisturbance(ROBOT, PARAMETERS, DT, HALF_SIDE)


@pytest.fixture
def model(shared: LearnedDisturbance) -> Iterator[LearnedDisturbance]:
    """A model at its cold start."""
    shared.reset()
    yield shared


def drive(model: LearnedDisturbance, imperfection: Imperfection, steps: int, seed: int = 0) -> np.ndarray:
    """Let ``model`` see a robot that drives in circles and stops now and then; returns the last state."""
    rng = np.random.default_rng(seed)
    robot = ImperfectRobot(ROBOT, imperfection, np.zeros(3), HALF_SIDE)
    command = REST
    for k in range(steps):
        if k % 8 == 0:
            turn = math.copysign(rng.uniform(1.0, 2.8), rng.uniform(-1.0, 1.0))
            command = REST if k % 24 == 0 else (rng.uniform(0.0, 0.5), turn)
        model.observe(robot.state, k * DT)
        model.command(command)
        robot.step(command, DT)
    return robot.state.copy()


@pytest.fixture(scope="module")
def driven(shared: LearnedDisturbance) -> LearnedDisturbance:
    """A model of its own that has seen a robot with gain error and slip, and that robot at rest."""
    model = LearnedDisturbance(ROBOT, PARAMETERS, DT, HALF_SIDE)
    drive(model, Imperfection(gain_v=0.85, gain_omega=1.1, side_slip=0.05), 200)
    return model


states = st.tuples(
    st.floats(-1.5, 1.5),
    st.floats(-1.5, 1.5),
    st.floats(-3.1, 3.1),
    st.floats(0.0, 1.0),
    st.floats(-2.8, 2.8),
)
commands = st.tuples(st.floats(0.0, 1.0), st.floats(-2.84, 2.84))
relaxed = settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def at(rows: np.ndarray, command: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and bound of the affine form at ``command``."""
    v, omega = command
    return rows[:, :3] @ (1.0, v, omega), rows[:, 3:] @ (1.0, abs(v), abs(omega))


@relaxed
@given(states, commands)
def test_the_gradient_is_that_of_the_mean(driven: LearnedDisturbance, state: tuple, command: tuple) -> None:
    _, _, slope = mean_and_bound(driven, state, command)
    step = 1e-5
    for axis in range(2):
        high, low = np.array(command), np.array(command)
        high[axis] += step
        low[axis] -= step
        wanted = (driven.predict(state, high).mean - driven.predict(state, low).mean) / (2.0 * step)
        np.testing.assert_allclose(slope[:, axis], wanted, atol=1e-6)


@relaxed
@given(states, commands)
def test_the_form_is_exact_at_rest_and_where_it_was_written(
    driven: LearnedDisturbance, state: tuple, command: tuple
) -> None:
    rows = affine_rows(driven, state, command)
    mean, bound, _ = mean_and_bound(driven, state, command)
    written, covered = at(rows, command)
    if math.hypot(command[0], command[1] / ROBOT.omega_max) > 1e-3:
        np.testing.assert_allclose(written, mean, atol=1e-9)
        assert (covered >= bound - 1e-9).all()
        assert (excess(rows, driven, state, command) <= 1e-9).all()
    rest, rest_bound, _ = mean_and_bound(driven, state, REST)
    np.testing.assert_allclose(at(rows, REST)[0], rest, atol=1e-12)
    # Surer at rest than elsewhere: rest pays its own bound and no more.
    assert (at(rows, REST)[1] <= rest_bound + 1e-12).all()


@relaxed
@given(states, commands, commands)
def test_widened_rows_cover_the_command(
    driven: LearnedDisturbance, state: tuple, expected: tuple, command: tuple
) -> None:
    rows = affine_rows(driven, state, expected)
    wide = widened(rows, excess(rows, driven, state, command), driven, command)
    assert (excess(wide, driven, state, command) <= 1e-9).all()
    if math.hypot(*command) > 1e-3:
        np.testing.assert_array_equal(wide[:, 3], rows[:, 3])


def test_the_turned_offset_is_covered(driven: LearnedDisturbance) -> None:
    # The control point of a robot that turns 20 % more than it is told, exactly, against rows that are linear.
    offset, omega, more = ROBOT.vcp_offset, ROBOT.omega_max, 0.2
    nominal, true = omega * DT, (1.0 + more) * omega * DT
    moved = offset * np.array([math.cos(true) - math.cos(nominal), math.sin(true) - math.sin(nominal)]) / DT
    error = moved - offset * np.array([0.0, more * omega])
    turn = more * omega
    assert abs(error[0]) <= offset * turn * (nominal + 0.5 * turn * DT)
    assert abs(error[1]) <= 0.5 * offset * turn * (nominal + turn * DT) ** 2


def test_no_disturbance_is_no_disturbance() -> None:
    plain = SafetyFilter(SafetyParameters(), ROBOT, ROBOT, DT)
    rng = np.random.default_rng(0)
    for _ in range(200):
        state = np.array(
            [*rng.uniform(-1.9, 1.9, 2), rng.uniform(-3.1, 3.1), rng.uniform(0, 1), rng.uniform(-2, 2)]
        )
        other = np.array([*rng.uniform(-1.9, 1.9, 2), 0.3, 0.5, 0.0])
        nominal = (rng.uniform(-1.0, 2.0), rng.uniform(-4.0, 4.0))
        without = plain.step(state, nominal, other, ARENA)
        for columns in (4, 6):
            result = plain.step(state, nominal, other, ARENA, disturbance=np.zeros((3, columns)))
            assert result.command == without.command and result.tier == without.tier


def test_a_bound_that_grows_with_the_command_is_paid_in_proportion() -> None:
    plain = SafetyFilter(SafetyParameters(), ROBOT, None, DT)
    state = np.array([HALF_SIDE - 0.35, 0.0, 0.0, 0.0, 0.0])  # ahead of it h = 0.15 m
    free = plain.step(state, (1.0, 0.0), None, Arena(HALF_SIDE, np.zeros((0, 3)))).command[0]
    rows = np.zeros((3, 6))
    rows[0, 4] = 0.25
    slower = plain.step(state, (1.0, 0.0), None, Arena(HALF_SIDE, np.zeros((0, 3))), disturbance=rows)
    assert slower.tier is Tier.EXACT
    assert slower.command[0] == pytest.approx(free / 1.25, rel=1e-6)


@relaxed
@example(y=-1.5, theta=0.0)
@given(st.floats(-1.5, 1.5), st.floats(-3.1, 3.1))
def test_standing_still_is_feasible_where_the_data_show_no_drift(
    driven: LearnedDisturbance, y: float, theta: float
) -> None:
    # What it pays where it stands, which depends a little on where that is.
    paid = 0.12
    for _ in range(4):
        clear = ROBOT.radius + ROBOT.vcp_offset * (1.0 + math.cos(theta)) + paid / (0.2 / DT) + 1e-3
        state = np.array([HALF_SIDE - clear, y, theta, 0.0, 0.0])
        mean, bound, _ = mean_and_bound(driven, state, REST)
        paid = float(np.abs(mean[:2]).max() + np.hypot(bound[0], bound[1])) + 3.0 * TOLERANCE
    assert paid < 0.12  # the data were a robot that stops now and then
    # A control point that has so much left may stand: the command is one that rows allow, not a relaxed one.
    safety = LearnedFilter(SafetyParameters(), ROBOT, None, DT, driven)
    result = safety.step(state, REST, None, Arena(HALF_SIDE, np.zeros((0, 3))))
    assert result.tier is Tier.EXACT and not result.infeasible


@relaxed
@given(states, commands)
def test_what_is_sent_meets_the_process_itself(
    driven: LearnedDisturbance, state: tuple, nominal: tuple
) -> None:
    safety = LearnedFilter(SafetyParameters(), ROBOT, None, DT, driven, turns_round=False)
    arena = Arena(HALF_SIDE, np.zeros((0, 3)))
    result = safety.step(np.array(state), nominal, None, arena)
    if result.tier is not Tier.EXACT:
        return
    assert safety.latest is not None and safety.latest.settled
    # Written plainly, without the affine form: approach of each wall by Euler step and process within its budget.
    mean, bound, _ = mean_and_bound(driven, state, result.command)
    v, omega = result.command
    c, s, d = math.cos(state[2]), math.sin(state[2]), ROBOT.vcp_offset
    for name, (nx, ny) in zip(WALLS, ((1, 0), (-1, 0), (0, 1), (0, -1)), strict=True):
        ahead, aside = nx * c + ny * s, -nx * s + ny * c
        approach = ahead * (v + mean[0]) + aside * (d * omega + mean[1] + d * mean[2])
        approach += math.hypot(ahead * bound[0], aside * math.hypot(bound[1], d * bound[2]))
        assert approach <= 0.2 / DT * result.barriers[name] + 1e-6


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_it_accepts_what_is_not_finite(driven: LearnedDisturbance, value: float) -> None:
    safety = LearnedFilter(SafetyParameters(), ROBOT, None, DT, driven)
    for state, nominal in ((np.full(5, value), (0.5, 0.0)), (np.zeros(5), (value, 0.0))):
        result = safety.step(state, nominal, None, ARENA)
        assert result.command == (0.0, 0.0) and result.tier is Tier.BACKUP


def test_turning_round_in_time_by_hand() -> None:
    model = ROBOT.as_array()
    obstacles, nobody, margins = np.zeros((0, 3)), np.zeros(5), np.zeros(4)
    drift, rate, reserve = 0.1, 2.0, 0.1
    # Facing the wall: n is half a turn away, driving helps from acos(2 * 0.1) beside it on.
    needed = drift * ((math.pi - math.acos(0.2)) / rate + reserve)

    def possible(gap: float, theta: float) -> bool:
        x = HALF_SIDE - ROBOT.radius - ROBOT.vcp_offset * (1.0 + math.cos(theta)) - gap
        return bool(
            turning_round(
                np.array([x, 0.0, theta]),
                drift,
                0.0,
                rate,
                1.0,
                0.005,
                nobody,
                HALF_SIDE,
                obstacles,
                margins,
                model,
                0.0,
                reserve,
            )[0]  # fmt: skip
        )

    assert possible(needed + 1e-6, 0.0) and not possible(needed - 1e-6, 0.0)
    assert possible(drift * reserve + 1e-6, math.pi) and not possible(drift * reserve - 1e-6, math.pi)


SLOPE = Imperfection(slope_x=0.08)


def press(
    model: LearnedDisturbance, imperfection: Imperfection, turns_round: bool
) -> tuple[float, int, bool]:
    """Full speed at the east wall for 20 s; smallest gap of the body [m], steps escaped, drifting was the reason."""
    safety = LearnedFilter(SafetyParameters(), ROBOT, None, DT, model, turns_round)
    robot = ImperfectRobot(ROBOT, imperfection, np.array([0.0, 0.0, 0.05]), HALF_SIDE)
    arena = Arena(HALF_SIDE, np.zeros((0, 3)))
    least, escapes, told = math.inf, 0, False
    for k in range(400):
        safety.observe(robot.state, k * DT)
        error = math.remainder(-robot.state[2], 2.0 * math.pi)
        result = safety.step(robot.state, (1.0, 4.0 * error), None, arena)
        safety.sent(result.command)
        robot.step(result.command, DT)
        assert safety.latest is not None
        escapes += safety.latest.escaped
        told = told or result.reason == DRIFTING
        least = min(least, HALF_SIDE - ROBOT.radius - float(np.abs(robot.state[:2]).max()))
    return least, escapes, told


def test_a_robot_on_a_slope_turns_round_before_the_wall(model: LearnedDisturbance) -> None:
    least, escapes, told = press(model, SLOPE, turns_round=True)
    assert least > 0.0 and escapes > 0 and told


def test_without_turning_round_the_slope_takes_it(model: LearnedDisturbance) -> None:
    assert press(model, SLOPE, turns_round=False)[0] < 0.0


@pytest.mark.parametrize(
    "imperfection",
    [Imperfection(gain_v=1.2, gain_omega=0.8, lag=0.05), Imperfection(slip=0.15, side_slip=0.08)],
    ids=["gain", "slip"],
)
def test_a_robot_that_does_not_drift_presses_on_without_contact(
    model: LearnedDisturbance, imperfection: Imperfection
) -> None:
    least, escapes, _ = press(model, imperfection, turns_round=True)
    assert 0.0 < least < 0.25 and escapes == 0


def test_the_margin_shrinks_as_data_come(model: LearnedDisturbance) -> None:
    state, command = np.array([0.0, 0.0, 0.3, 0.3, 1.0]), (0.3, 1.0)
    before = mean_and_bound(model, state, command)[1]
    drive(model, Imperfection(gain_v=0.9, gain_omega=1.1, side_slip=0.03), 200)
    after = mean_and_bound(model, state, command)[1]
    assert (after[:2] < 0.3 * before[:2]).all() and after[2] < 0.5 * before[2]


def test_the_profile_learns_and_others_do_not(tmp_path) -> None:  # type: ignore[no-untyped-def]
    assert load_disturbance("rcbf") is None
    assert load_disturbance("rcbf_gp") == dataclasses.replace(PARAMETERS, background=True)
    assert load_safety("rcbf_gp") == load_safety("rcbf")
    assert load_disturbance(str(tmp_path / "rcbf_gp.yaml")) is not None
    with pytest.raises(ConfigurationError, match="window"):
        dataclasses.replace(PARAMETERS, window=1)

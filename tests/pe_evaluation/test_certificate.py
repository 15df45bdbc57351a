"""The audit's own computation agrees with the kernels, and finds what was falsified in a bag."""

from __future__ import annotations

import ast
import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from pe_core import ekf
from pe_core.arena import Arena
from pe_core.robot import RobotModel, load_robot
from pe_evaluation import audit_main
from pe_evaluation.audit import certificate as audit_certificate
from pe_evaluation.audit.certificate import audit_bag
from pe_evaluation.audit.constraints import Row, Scene, barrier_rows, barriers, body_rows, bounds
from pe_evaluation.audit.cycle import RELAXED_TOLERANCE, TOLERANCE
from pe_evaluation.audit.decision import Decision, Ladder
from pe_evaluation.audit.margins import budget
from pe_evaluation.audit.motion import Commands, deviations, stopping_pose
from pe_evaluation.audit.pending import pending
from pe_evaluation.audit.programme import closest
from pe_safety.filter import FilterResult, SafetyFilter
from pe_safety.parameters import SafetyParameters, load_safety
from pe_safety.pending import PENDING_SIZE, write_pending
from pe_safety.qp import OPTIMAL, solve
from pe_safety.sent_commands import SentCommands

DT = 0.05
REFERENCE = load_robot("reference")
ROBOTS = (
    *(load_robot(name) for name in ("reference", "turtlebot3_burger", "turtlebot3_waffle", "turtlebot4")),
    dataclasses.replace(REFERENCE, name="reversing", v_min=-0.5, lag=0.05, delay=0.02),
)
COVERED = load_safety("rcbf_robust")
EVERYTHING = dataclasses.replace(
    COVERED,
    position_error=0.01,
    heading_error=0.02,
    acceleration_min=1.0,
    opponent_speed_error=0.02,
    margin=0.01,
)
COOPERATIVE = (load_safety("rcbf"), COVERED, EVERYTHING, SafetyParameters(condition="continuous"))
PARAMETERS = (*COOPERATIVE, *(dataclasses.replace(p, opponent_behaviour="passive") for p in COOPERATIVE))


@dataclasses.dataclass(frozen=True)
class Situation:
    """Everything that one step of the filter depends on."""

    robot: RobotModel
    rival: RobotModel
    parameters: SafetyParameters
    half_side: float
    obstacles: list[tuple[float, float, float]]
    own: tuple[float, ...]
    opponent: tuple[float, ...]
    nominal: tuple[float, float]
    age: float
    deviations: tuple[tuple[float, float], tuple[float, float]]
    commands: list[tuple[float, float]]
    since: float
    state_age: float


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    """From free to hopeless: robots in the open, at walls, in obstacles, in one another."""
    robot, rival = draw(st.sampled_from(ROBOTS)), draw(st.sampled_from(ROBOTS))
    half = draw(st.sampled_from((0.8, 2.2, 10.0)))
    share = st.floats(-1.0, 1.0)
    place = share.map(lambda value: 1.02 * half * value)
    angle = st.floats(-math.pi, math.pi)
    obstacles = draw(st.lists(st.tuples(place, place, st.floats(0.05, 0.6)), max_size=3))
    own = (
        draw(place), draw(place), draw(angle), draw(st.floats(robot.v_min, robot.v_max)),
        draw(share) * robot.omega_max,
    )  # fmt: skip
    near = draw(st.booleans())
    reach = 2.0 * (robot.radius + rival.radius)
    where = [own[i] + reach * draw(share) if near else draw(place) for i in range(2)]
    opponent = (*where, draw(angle), draw(st.floats(rival.v_min, rival.v_max)), draw(share) * rival.omega_max)
    nominal = (
        draw(st.floats(min(robot.v_min, 0.0), 1.2 * robot.v_max)), 1.2 * draw(share) * robot.omega_max,
    )  # fmt: skip
    spread = st.tuples(st.floats(0.0, 0.03), st.floats(0.0, 0.05))
    command = st.tuples(st.floats(robot.v_min, robot.v_max), share.map(lambda value: value * robot.omega_max))
    commands = draw(st.lists(st.one_of(st.just((0.0, 0.0)), st.just((own[3], own[4])), command), max_size=12))
    return Situation(
        robot, rival, draw(st.sampled_from(PARAMETERS)), half, obstacles, own, opponent, nominal,
        draw(st.sampled_from((0.0, 0.05, 0.2))), (draw(spread), draw(spread)), commands,
        draw(st.sampled_from((0.0, 0.02, 0.05, 0.08))), draw(st.sampled_from((0.0, 0.03, 0.1))),
    )  # fmt: skip


def filtered(s: Situation) -> FilterResult:
    arena = Arena(s.half_side, np.array(s.obstacles).reshape(-1, 3))
    history, pending = np.zeros((64, 2)), np.empty(PENDING_SIZE)
    history[: len(s.commands)] = np.array(s.commands).reshape(-1, 2)
    write_pending(history, s.since, s.state_age, s.robot.as_array(), s.parameters.as_array(DT), DT, pending)
    return SafetyFilter(s.parameters, s.robot, s.rival, DT).step(
        s.own, s.nominal, s.opponent, arena, s.age, *s.deviations, pending
    )


def scene_of(s: Situation) -> Scene:
    edges = [0.0, *(s.since + row * DT for row in range(len(s.commands)))]
    pieces = [(edges[row], edges[row + 1], *command) for row, command in enumerate(s.commands)]
    terms = budget(s.robot, s.rival, s.parameters, *s.deviations, pieces, s.state_age, s.age, DT)
    own, opponent = (tuple(map(float, state)) for state in (s.own, s.opponent))
    return Scene(
        stopping_pose(own, s.robot.lag), own[3], own[4], opponent, s.half_side, s.obstacles, s.robot, s.rival,
        s.parameters, terms, DT,
    )  # fmt: skip


def agrees(decision: Decision, result: FilterResult) -> bool:
    tolerance = RELAXED_TOLERANCE if decision.tier == "relaxed" else TOLERANCE
    return (
        (decision.tier, decision.reason) == (result.tier.name.lower(), result.reason)
        and decision.command == pytest.approx(result.command, abs=tolerance)
        and decision.slack == pytest.approx(result.slack, abs=TOLERANCE)
    )


def as_good(decision: Decision, result: FilterResult, s: Situation, rows: list[Row]) -> bool:
    """Whether both are exact, and the kernel's command meets every row and is as close to what was asked: where the
    rows leave a set as thin as rounding, its corners are one command to the filter and several to the audit."""
    weights = (s.parameters.weight_v, s.parameters.weight_omega)
    costs = [
        sum(w * (a - b) ** 2 for w, a, b in zip(weights, command, s.nominal, strict=True))
        for command in (decision.command, result.command)
    ]
    v, omega = result.command
    return (
        decision.tier == result.tier.name.lower() == "exact"
        and all(row.v * v + row.omega * omega <= row.limit + 1e-12 for row in rows)
        and abs(costs[0] - costs[1]) <= 1e-6 * max(costs)
    )


def test_the_audit_shares_nothing_that_computes() -> None:
    """Of the packages that it checks it imports declarations alone; the vectorised audit reads bags like all."""
    allowed = {
        "pe_core.robot": {"RobotModel"}, "pe_core.config": {"ConfigurationError", "from_mapping"},
        "pe_safety.parameters": {"SafetyParameters"},
    }  # fmt: skip
    folder = Path(audit_certificate.__file__).parent
    files = [path for path in folder.glob("*.py") if path.name not in ("__init__.py", "consistency.py")]
    assert len(files) >= 8
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert not any(alias.name.startswith(("pe_core", "pe_safety")) for alias in node.names), path
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith(("pe_core", "pe_safety")):
                assert {alias.name for alias in node.names} <= allowed.get(str(node.module), set()), (
                    path,
                    node.module,
                )


@given(situations())
@settings(max_examples=300, deadline=None)
def test_margins_barriers_and_command_are_those_of_the_kernels(s: Situation) -> None:
    result, scene = filtered(s), scene_of(s)
    for name, value in scene.budget.terms.items():
        assert value == pytest.approx(result.margins[name], abs=1e-12), name
    values, margins = barriers(scene)
    assert values == pytest.approx(result.barriers, rel=1e-12, abs=1e-12)
    assert margins == pytest.approx(result.barrier_margins, abs=1e-12)
    for name, said in result.barriers.items():
        if max(abs(values[name]), abs(said)) < 1e-9:
            values[name] = said
    rows = [*bounds(s.robot), *body_rows(scene, values), *barrier_rows(scene, values)]
    decisions = [Ladder(scene, rows, s.nominal, tip, result.command).decide() for tip in (0.0, 1e-9, -1e-9)]
    assert any(agrees(decision, result) or as_good(decision, result, s, rows) for decision in decisions), (
        decisions[0],
        result,
    )


@given(
    st.sampled_from(ROBOTS),
    st.lists(st.tuples(st.integers(0, 70_000_000), st.floats(0.0, 1.0), st.floats(-1.0, 1.0)), max_size=14),
    st.integers(0, 60_000_000),
    st.integers(0, 200_000_000),
)
@settings(max_examples=150, deadline=None)
def test_prediction_is_that_of_the_node(
    robot: RobotModel, steps: list[tuple[int, float, float]], gap: int, ahead: int
) -> None:
    """Commands at uneven times, repeated stamps among them, and a state received after, before or between them."""
    sent, stamp = [], 1_000_000_000
    theirs = SentCommands(robot.as_array(), DT)
    for step, v, omega in steps:
        stamp += step
        sent.append((stamp, v * robot.v_max, omega * robot.omega_max))
        theirs.add(sent[-1][0], sent[-1][1:])
    ours, seen = Commands(sent, robot, DT), stamp - gap
    state = (0.3, -0.2, 3.0, 0.6 * robot.v_max, 0.4 * robot.omega_max)
    expected = theirs.predict(np.array(state), seen, ahead / 1e9)
    turned = math.remainder(ours.predict(state, seen, ahead / 1e9)[2] - expected[2], 2.0 * math.pi)
    assert turned == pytest.approx(0.0, abs=1e-9)
    for i in (0, 1, 3, 4):
        assert ours.predict(state, seen, ahead / 1e9)[i] == pytest.approx(expected[i], abs=1e-9)
    assert ours.velocity(seen) == pytest.approx(theirs.velocity(seen), abs=1e-12)
    there = theirs.pending(seen + ahead, ahead / 1e9, EVERYTHING.as_array(DT))
    here = pending(ours.pieces(seen + ahead), ahead / 1e9, robot, EVERYTHING, DT)
    assert [
        here.way, here.gain, here.delay, here.lag, here.ramp, here.next, here.next_rate, here.roll, here.roll_turn,
        here.roll_ramp, here.turn_error, here.low, here.high,
    ] == pytest.approx(there, abs=1e-9)  # fmt: skip


def test_prediction_solves_the_equations_of_motion() -> None:
    robot = load_robot("turtlebot4")
    ours = Commands([(0, 0.3, 0.0), (50_000_000, 0.1, 1.5)], robot, DT)
    state = (0.0, 0.0, 0.2, 0.25, -0.8)

    def motion(t: float, y: np.ndarray) -> list[float]:
        # At the stamp, 60 ms, the first command has acted since 20 ms; the second does from 70 ms on.
        v, omega = (0.3, 0.0) if t < 0.07 else (0.1, 1.5)
        return [
            y[3] * math.cos(y[2]),
            y[3] * math.sin(y[2]),
            y[4],
            (v - y[3]) / robot.lag,
            (omega - y[4]) / robot.lag,
        ]

    exact = solve_ivp(motion, (0.06, 0.06 + 0.1 + robot.delay), state, rtol=1e-10, atol=1e-12, max_step=1e-3)
    assert ours.predict(state, 60_000_000, 0.1) == pytest.approx(exact.y[:, -1], abs=2e-6)


@given(st.floats(0.0, 1.0), st.floats(-1.0, 1.0), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
@settings(deadline=None)
def test_deviations_are_those_of_the_estimator(xx: float, share: float, yy: float, tt: float) -> None:
    xy = share * math.sqrt(xx * yy)
    matrix = np.array([[xx, xy, 0.0], [xy, yy, 0.0], [0.0, 0.0, tt]])
    assert deviations(xx, xy, yy, tt) == pytest.approx(ekf.deviations(matrix), abs=1e-9)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=100, deadline=None)
def test_enumeration_finds_what_the_exact_solver_finds(seed: int) -> None:
    random = np.random.default_rng(seed)
    g = random.normal(size=(int(random.integers(1, 12)), 2))
    b, nominal = random.normal(0.3, 0.7, len(g)), random.normal(size=2)
    v, omega, status, *_ = solve(g, b, *nominal, 150.0, 1.0)
    ours = closest(g, b, (float(nominal[0]), float(nominal[1])), (150.0, 1.0))
    if status == OPTIMAL:
        assert ours == pytest.approx((v, omega), abs=1e-6)
    else:
        assert ours is None


# -- bags -----------------------------------------------------------------------------------------------------


def test_an_honest_run_passes(
    bag: Path, played: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = sum(episode["steps"] for episode in played.episodes)
    assert audit_main.main(bag, tmp_path / "audit.json") == 0
    found = json.loads((tmp_path / "audit.json").read_text())
    assert (found["passed"], found["checked"], found["cycles"], found["missing"]) == (
        True,
        2 * steps,
        2 * steps,
        0,
    )
    assert max(found["differences"].values()) < 1e-9
    assert "passed" in capsys.readouterr().out


def test_a_sample_is_a_share(bag: Path, played: Any) -> None:
    found = audit_bag(bag, 10)
    assert found.passed
    assert found.checked == 2 * sum(math.ceil(episode["steps"] / 10) for episode in played.episodes)
    assert found.cycles == 2 * sum(episode["steps"] for episode in played.episodes)


def messages(recording: Any, topic: str) -> list[Any]:
    return [row[3] for row in recording.messages if row[0] == topic]


def failed(bag: Path, capsys: pytest.CaptureFixture[str], step: int, robot: str = "pursuer") -> str:
    """What the failed audit prints; every line of it names the cycle."""
    assert audit_main.main(bag) == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("episode")]
    assert lines
    assert all(line.startswith(f"episode 0, {robot}, cycle {step}: ") for line in lines), lines
    return "\n".join(lines)


def test_a_changed_command_is_found(
    game: Callable[..., Any],
    write_bag: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """On cmd_vel alone; the status still says what the filter had chosen."""
    recording = game(episodes=1, max_time=1.0)
    messages(recording, "/pursuer/cmd_vel")[8].twist.linear.x -= 1e-5
    text = failed(write_bag(recording, tmp_path / "bag"), capsys, 8)
    assert "cmd_vel v is 0.99999" in text


@pytest.mark.parametrize(
    "key", ["margin/path", "m/wall_north", "h/opponent", "slack", "correction", "nominal_omega"]
)
def test_a_changed_number_is_found(
    game: Callable[..., Any], write_bag: Callable[..., Path], falsify: Callable[..., None], tmp_path: Path,
    capsys: pytest.CaptureFixture[str], key: str,
) -> None:  # fmt: skip
    recording = game(episodes=1, max_time=1.0)
    falsify(recording, "evader", 5, key, "0.25")
    assert f"{key} is 0.25" in failed(write_bag(recording, tmp_path / "bag"), capsys, 5, "evader")


def test_an_unsafe_command_is_found_however_consistent_the_story(
    game: Callable[..., Any], write_bag: Callable[..., Path], falsify: Callable[..., None], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Status and cmd_vel agree on a command that the rows forbid, and on its correction."""
    recording = game(episodes=1, max_time=3.0, obstacles=((-2.4, 0.6, 0.4),))
    step = next(
        i for i, message in enumerate(messages(recording, "/pursuer/safety/status"))
        if {pair.key: pair.value for pair in message.status[0].values}["intervened"] == "1"
    )  # fmt: skip
    values = {
        pair.key: pair.value for pair in messages(recording, "/pursuer/safety/status")[step].status[0].values
    }
    for part, axis in (("v", "linear"), ("omega", "angular")):
        falsify(recording, "pursuer", step, f"command_{part}", values[f"nominal_{part}"])
        setattr(
            getattr(messages(recording, "/pursuer/cmd_vel")[step].twist, axis), "x" if part == "v" else "z",
            float(values[f"nominal_{part}"]),
        )  # fmt: skip
    for key in ("correction", "intervened"):
        falsify(recording, "pursuer", step, key, "0")
    recording.messages = [row for row in recording.messages if stamp_of(row[3]) <= step * 50_000_000]
    assert "a safe command existed" in failed(write_bag(recording, tmp_path / "bag"), capsys, step)


def stamp_of(message: Any) -> int:
    header = getattr(message, "header", None)
    return -1 if header is None else header.stamp.sec * 10**9 + header.stamp.nanosec


def test_a_command_without_a_cycle_is_found(
    game: Callable[..., Any],
    write_bag: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    recording = game(episodes=1, max_time=1.0)
    gone = messages(recording, "/pursuer/safety/status")[7]
    recording.messages = [row for row in recording.messages if row[3] is not gone]
    assert "command without a cycle" in failed(write_bag(recording, tmp_path / "bag"), capsys, 7)


@pytest.mark.parametrize("topic", ["state", "cmd_vel_nominal", "cmd_vel"])
def test_too_many_missing_messages_fail(
    game: Callable[..., Any], write_bag: Callable[..., Path], tmp_path: Path, topic: str
) -> None:
    recording = game(episodes=1, max_time=2.0)
    gone = {id(message) for message in messages(recording, f"/evader/{topic}")[10:13]}
    recording.messages = [row for row in recording.messages if id(row[3]) not in gone]
    found = audit_bag(write_bag(recording, tmp_path / "bag"))
    assert found.missing >= 3
    assert (found.failures, found.passed) == (0, False)


def test_a_learned_disturbance_is_not_checked(
    game: Callable[..., Any], write_bag: Callable[..., Path], falsify: Callable[..., None], tmp_path: Path
) -> None:
    recording = game(episodes=1, max_time=1.0)
    falsify(recording, "pursuer", 3, "margin/disturbance", "0.01")
    found = audit_bag(write_bag(recording, tmp_path / "bag"))
    assert dict(found.unchecked) == {"a disturbance was learned, which this audit does not know": 1}


def test_a_bag_that_does_not_say_what_ran_is_refused(
    game: Callable[..., Any],
    write_bag: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    recording = game(episodes=1, max_time=1.0)
    recording.manifest = None
    assert audit_main.main(write_bag(recording, tmp_path / "bag")) == 2
    assert "does not say which robots played" in capsys.readouterr().err

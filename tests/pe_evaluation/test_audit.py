"""The audit passes honest runs and finds what was falsified."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pe_core.arena import Arena
from pe_core.robot import RobotModel
from pe_evaluation import bag_main
from pe_evaluation.audit import audit_run, barriers, limit_excess
from pe_evaluation.bag import read_run
from pe_evaluation.tables import audit_line
from pe_safety.filter import SafetyFilter
from pe_safety.parameters import SafetyParameters


def audit(recording: Any, write_bag: Callable[..., Path], tmp_path: Path) -> dict[str, Any]:
    return audit_run(read_run(write_bag(recording, tmp_path / "bag")))


def test_an_honest_run_passes(bag: Path, played: Any) -> None:
    result = audit_run(read_run(bag))
    steps = sum(episode["steps"] for episode in played.episodes)
    assert result["passed"] is True
    assert result["cycles"] == 2 * steps
    assert result["values"] == 2 * steps * 7
    assert result["max_barrier_difference"] < 1e-12
    assert result["max_command_difference"] == 0.0
    assert result["max_limit_excess"] <= 0.0
    assert result["states_without_message"] == 0


def test_barriers_by_hand() -> None:
    """At (1, 2) looking north with d = 0.05: q = (1, 2.05)."""
    own, other = np.array([[1.0, 2.0, 0.5 * math.pi, 0.7, 0.3]]), np.array([[4.0, 2.05, 0.0]])
    values = barriers(own, other, RobotModel(), 0.15, Arena(10.0, np.array([[1.0, 0.0, 1.0]])))
    expected = {
        "wall_east": 8.8, "wall_west": 10.8, "wall_north": 7.75, "wall_south": 11.85,
        "obstacle_0": 2.05**2 - 1.2**2, "opponent": 3.0**2 - 0.35**2,
    }  # fmt: skip
    assert {name: float(value[0]) for name, value in values.items()} == pytest.approx(expected)


@pytest.mark.parametrize(("lag", "delay"), [(0.0, 0.0), (0.08, 0.02)])
def test_barriers_are_those_of_the_filter(lag: float, delay: float) -> None:
    random = np.random.default_rng(2)
    arena = Arena(5.0, np.array([[1.0, 2.0, 0.7], [-3.0, 0.5, 0.4]]))
    robot, other = RobotModel(lag=lag, delay=delay), RobotModel(radius=0.22, lag=0.5 * lag, delay=2.0 * delay)
    safety = SafetyFilter(SafetyParameters(margin=0.03), robot, other, 0.05)
    own, opponent = random.uniform(-5.0, 5.0, (2, 100, 5))
    for row in range(100):
        result = safety.step(own[row], (0.0, 0.0), opponent[row], arena, opponent_age=0.1)
        margins = {name: np.array([value]) for name, value in result.barrier_margins.items()}
        ours = barriers(own[row : row + 1], opponent[row : row + 1], robot, 0.22, arena, margins)
        assert {name: float(value[0]) for name, value in ours.items()} == pytest.approx(
            result.barriers, abs=1e-11
        )


@pytest.mark.parametrize("name", ["wall_east", "obstacle_1", "opponent"])
def test_a_falsified_barrier_is_found(
    game: Callable[..., Any], write_bag: Callable[..., Path], falsify: Callable[..., None], tmp_path: Path,
    name: str, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    recording = game(episodes=1, max_time=2.0)
    falsify(recording, "evader", 17, f"h/{name}", "1.25")
    result = audit(recording, write_bag, tmp_path)
    assert result["passed"] is False
    worst = result["worst"]
    assert (worst["robot"], worst["barrier"], worst["step"], worst["recorded"]) == ("evader", name, 17, 1.25)
    assert result["max_barrier_difference"] == worst["difference"] == abs(1.25 - worst["expected"])
    assert bag_main.main(tmp_path / "bag") == 1
    assert f"step 17: {name}" in capsys.readouterr().out.replace("\n", " ")


def test_a_falsified_state_is_found(
    game: Callable[..., Any], write_bag: Callable[..., Path], falsify: Callable[..., None], tmp_path: Path
) -> None:
    """State and barrier agree with one another, but not with the message that they are said to come from."""
    recording = game(episodes=1, max_time=2.0)
    run = read_run(write_bag(recording, tmp_path / "honest"))
    x = float(run.robots["pursuer"].status.column("state_x")[5])
    for name, sign in (("wall_east", -1.0), ("wall_west", 1.0)):
        h = float(run.robots["pursuer"].status.barriers[name][5])
        falsify(recording, "pursuer", 5, f"h/{name}", repr(h + sign * 0.01))
    falsify(recording, "pursuer", 5, "state_x", repr(x + 0.01))
    result = audit(recording, write_bag, tmp_path)
    assert result["passed"] is False
    assert result["max_state_excess_m"] == pytest.approx(0.01)


def test_another_command_than_the_recorded_is_found(
    game: Callable[..., Any], write_bag: Callable[..., Path], tmp_path: Path
) -> None:
    recording = game(episodes=1, max_time=2.0)
    message = [row[3] for row in recording.messages if row[0] == "/pursuer/cmd_vel"][8]
    message.twist.linear.x += 0.25
    result = audit(recording, write_bag, tmp_path)
    assert result["max_command_difference"] == pytest.approx(0.25)
    assert result["passed"] is False


def test_commands_beyond_the_limits_are_found() -> None:
    robot = RobotModel(v_max=0.2, omega_max=2.0, track=0.16, wheel_speed_max=0.2)
    assert limit_excess(np.array([[0.1, 0.5], [0.0, -2.0]]), robot) == 0.0
    assert limit_excess(np.array([[0.2, 0.0], [-0.05, 0.0]]), robot) == pytest.approx(0.05)
    assert limit_excess(np.array([[0.2, 1.0]]), robot) == pytest.approx(0.08)
    assert limit_excess(np.array([[0.0, 2.5]]), robot) == pytest.approx(0.5)
    assert limit_excess(np.array([[math.nan, 0.0]]), robot) == math.inf
    assert limit_excess(np.empty((0, 2)), robot) is None


def test_the_recorded_margin_counts(
    game: Callable[..., Any], write_bag: Callable[..., Path], falsify: Callable[..., None], tmp_path: Path
) -> None:
    """A barrier that claims two centimetres of margin, and does not keep them, is off by as much."""
    recording = game(episodes=1, max_time=1.0)
    falsify(recording, "pursuer", 3, "m/wall_east", "0.02")
    result = audit(recording, write_bag, tmp_path)
    assert result["barriers"]["wall_east"] == pytest.approx(0.02)
    assert result["passed"] is False


def test_unknown_robots_are_not_judged(
    game: Callable[..., Any], write_bag: Callable[..., Path], tmp_path: Path
) -> None:
    """Without the manifest the reference robot is assumed; a smaller robot's barriers do not fit it."""
    recording = game(episodes=1, max_time=1.0, robot=RobotModel(name="small", radius=0.1))
    recording.manifest = None
    result = audit(recording, write_bag, tmp_path)
    assert result["max_barrier_difference"] > 0.04
    assert result["passed"] is None
    assert audit_line(result)[0] == "not judged"


def test_nothing_to_check_is_neither_passed_nor_failed(
    game: Callable[..., Any], write_bag: Callable[..., Path], tmp_path: Path
) -> None:
    recording = game(episodes=1, max_time=1.0)
    recording.messages = [row for row in recording.messages if "safety" not in row[0]]
    result = audit(recording, write_bag, tmp_path)
    assert result["passed"] is None
    assert result["max_barrier_difference"] is None

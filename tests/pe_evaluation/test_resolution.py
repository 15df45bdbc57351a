"""The audit's own search among a robot's commands; it finds a safe multiple that was not sent."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pe_core.robot import RobotModel, load_robot
from pe_evaluation.audit.certificate import audit_bag
from pe_evaluation.audit.constraints import bounds
from pe_evaluation.audit.programme import arrays, closest
from pe_evaluation.audit.resolution import closest_multiple, is_countable
from pe_safety import lattice
from pe_safety.parameters import SafetyParameters

WEIGHTS = (150.0, 1.0)
PARAMETERS = SafetyParameters().as_array(0.05)
BURGER = load_robot("turtlebot3_burger")
ROBOTS = (
    BURGER,
    load_robot("turtlebot3_waffle"),
    dataclasses.replace(BURGER, v_min=-0.1),
    dataclasses.replace(BURGER, omega_quantum=0.0),
    dataclasses.replace(BURGER, v_quantum=0.0),
)
COARSE = RobotModel(v_quantum=0.02, omega_quantum=0.05)


@given(st.sampled_from(ROBOTS), st.integers(0, 2**32 - 1), st.sampled_from((0.001, 0.01, 0.1)))
@settings(max_examples=200, deadline=None)
def test_all_that_were_tried_give_what_the_filter_finds(robot: RobotModel, seed: int, room: float) -> None:
    random = np.random.default_rng(seed)
    angle = random.uniform(-math.pi, math.pi, int(random.integers(0, 8)))
    g = np.column_stack([np.cos(angle), 0.05 * np.sin(angle)])
    centre = random.uniform([robot.v_min, -robot.omega_max], [robot.v_max, robot.omega_max])
    first, limits = arrays(bounds(robot))
    g, b = np.vstack([first, g]), np.concatenate([limits, g @ centre + room * random.random(len(g))])
    asked = tuple(map(float, random.uniform([robot.v_min, -robot.omega_max], [robot.v_max, robot.omega_max])))
    continuous = closest(g, b, asked, WEIGHTS)
    ours = closest_multiple(g, b, asked, WEIGHTS, robot)
    if continuous is None:
        assert ours is None
        return
    v, omega, found = lattice.closest_multiple(
        g, b, len(b), *asked, *continuous, PARAMETERS, robot.as_array()
    )
    assert found == (ours is not None)
    assert ours is None or ours == pytest.approx((v, omega), abs=1e-9)


def test_of_equally_close_ones_either_is_right() -> None:
    g, b = arrays(bounds(BURGER))
    asked = (0.105, 0.2)
    for sent in ((0.1, 0.2), (0.11, 0.2)):
        assert closest_multiple(g, b, asked, WEIGHTS, BURGER, sent) == pytest.approx(sent)
    # One further away is not, unless what is asked is known no better.
    near = closest_multiple(g, b, (0.1049, 0.2), WEIGHTS, BURGER, (0.11, 0.2))
    assert near == pytest.approx((0.1, 0.2))
    blurred = closest_multiple(g, b, (0.1049, 0.2), WEIGHTS, BURGER, (0.11, 0.2), blur=1e-4)
    assert blurred == pytest.approx((0.11, 0.2))


def test_an_honest_run_in_steps_passes(
    game: Callable[..., Any], write_bag: Callable[..., Path], tmp_path: Path
) -> None:
    recording = game(episodes=1, max_time=4.0, robot=COARSE, half_side=4.0)
    found = audit_bag(write_bag(recording, tmp_path / "bag"))
    assert found.passed, [finding.line() for finding in found.findings]
    assert found.missing == 0 and found.tiers["exact"] > 100


@pytest.mark.parametrize(("part", "axis", "key"), [("v", "linear", "x"), ("omega", "angular", "z")])
def test_a_safe_multiple_that_was_not_sent_is_found(
    game: Callable[..., Any], write_bag: Callable[..., Path], falsify: Callable[..., None], tmp_path: Path, part: str,
    axis: str, key: str,
) -> None:  # fmt: skip
    """The multiple beside the closest, towards standing still: as safe, and told consistently."""
    recording = game(episodes=1, max_time=2.0, robot=COARSE)
    statuses = [row[3] for row in recording.messages if row[0] == "/pursuer/safety/status"]
    told = [{pair.key: pair.value for pair in message.status[0].values} for message in statuses]
    step = next(
        i for i, values in enumerate(told)
        if values["tier"] == "exact" and float(values["command_v"]) > 0.1 and abs(float(values["command_omega"])) > 0.1
    )  # fmt: skip
    sent = [row[3] for row in recording.messages if row[0] == "/pursuer/cmd_vel"][step]
    quantum = COARSE.v_quantum if part == "v" else COARSE.omega_quantum
    command = {name: float(told[step][f"command_{name}"]) for name in ("v", "omega")}
    command[part] -= math.copysign(quantum, command[part])
    setattr(getattr(sent.twist, axis), key, command[part])
    falsify(recording, "pursuer", step, f"command_{part}", repr(command[part]))
    difference = [
        (command[name] - float(told[step][f"nominal_{name}"])) / limit
        for name, limit in (("v", COARSE.v_max), ("omega", COARSE.omega_max))
    ]
    falsify(recording, "pursuer", step, "correction", repr(math.hypot(*difference)))
    falsify(recording, "pursuer", step, "intervened", "1")
    recording.messages = [row for row in recording.messages if stamp_of(row[3]) <= step * 50_000_000]
    found = audit_bag(write_bag(recording, tmp_path / "bag"))
    lines = [finding.line() for finding in found.findings]
    assert not found.passed and any("a safe command existed" in line for line in lines)
    assert all(f"pursuer, cycle {step}: " in line for line in lines)


def stamp_of(message: Any) -> int:
    header = getattr(message, "header", None)
    return -1 if header is None else header.stamp.sec * 10**9 + header.stamp.nanosec


def test_too_many_commands_are_not_tried(
    game: Callable[..., Any], write_bag: Callable[..., Path], tmp_path: Path
) -> None:
    assert is_countable(COARSE) and not is_countable(dataclasses.replace(COARSE, v_quantum=1e-9))
    recording = game(episodes=1, max_time=0.5)
    for profile in recording.manifest["robots"].values():
        profile["v_quantum"] = profile["omega_quantum"] = 1e-9
    found = audit_bag(write_bag(recording, tmp_path / "bag"))
    assert not found.passed and "too many" in next(iter(found.unchecked))

"""Why a robot may not be armed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pe_core.arena import Arena
from pe_core.robot import load_robot
from pe_nodes.arming import refusals, refusals_of_inputs, refusals_of_place
from pe_nodes.safety_inputs import Mode, SafetyInputs
from pe_nodes.settings import SafetySettings
from pe_safety.filter import SafetyFilter
from pe_safety.parameters import load_safety
from pe_safety.sent_commands import SentCommands

SECOND = 1_000_000_000
BURGER = load_robot("turtlebot3_burger")
ARENA = Arena(2.2, np.array([[0.0, 1.0, 0.3]]))


class Output:
    """What the refusals ask of a command output."""

    type_error = ""
    listening = True

    def linked(self) -> bool:
        return self.listening


def heard(pose=(0.0, 0.0, 0.0), opponent=(1.0, -1.0, 0.0), deviations=(0.01, 0.01)) -> SafetyInputs:
    inputs = SafetyInputs(SafetySettings(), BURGER, BURGER)
    inputs.offer(inputs.own, (*pose, 0.0, 0.0, *deviations), SECOND, SECOND)
    inputs.offer(inputs.opponent, (*opponent, 0.0, 0.0, *deviations), SECOND, SECOND)
    return inputs


def asked(inputs, output=None, arena=ARENA, now=SECOND) -> list[str]:
    parameters = load_safety("rcbf_robust")
    safety = SafetyFilter(parameters, BURGER, BURGER, 0.05)
    sent = SentCommands(BURGER.as_array(), 0.05)
    return refusals(inputs, output or Output(), safety, sent, parameters.as_array(0.05), arena, now)


def test_nothing_stands_in_the_way_of_a_robot_in_the_open():
    assert asked(heard()) == []


@pytest.mark.parametrize(
    ("pose", "said"),
    [
        ((2.3, 0.0, 0.0), "0.20 m outside the free arena"),
        ((2.0, 0.0, 0.0), "margin to "),
        ((0.0, 0.8, 0.0), "outside the free arena"),
        ((0.85, -1.0, 0.0), "margin to "),
    ],
)
def test_the_place_is_named_with_what_is_too_near(pose, said):
    assert any(said in reason for reason in asked(heard(pose)))


def test_an_estimate_that_knows_too_little_leaves_no_margin():
    assert any("margin to " in reason for reason in asked(heard(deviations=(0.6, 0.1))))


def test_every_reason_is_given_at_once():
    inputs, output = heard(), Output()
    inputs.latch("own state jumped")
    inputs.estimator, inputs.obstacle, output.type_error, output.listening = "frozen", "two of me", "wrong type", False
    found = asked(inputs, output, now=5 * SECOND)
    wanted = ("own state jumped", "frozen", "two of me", "wrong type", "nobody listens", "own state is", "opponent")
    for reason in wanted:
        assert any(reason in each for each in found), reason


def test_a_robot_that_rolls_or_turns_is_refused():
    inputs = SafetyInputs(SafetySettings(), BURGER, BURGER)
    inputs.offer(inputs.own, (0.0, 0.0, 0.0, 0.0, 0.5, 0.01, 0.01), SECOND, SECOND)
    inputs.offer(inputs.opponent, (1.0, 1.0, 0.0, 0.2, 0.5, 0.01, 0.01), SECOND, SECOND)
    found = refusals_of_inputs((inputs.own, inputs.opponent), SECOND, BURGER)
    assert found == ["the robot moves (0.00 m/s, 0.50 rad/s)"]


@pytest.mark.parametrize("value", [0.0, -0.1, math.nan])
def test_a_barrier_that_is_not_positive_is_named(value):
    found = refusals_of_place({"wall_east": 0.2, "obstacle_0": value}, ARENA, 0.0, 0.0, 0.1)
    assert len(found) == 1 and "obstacle_0" in found[0]


def test_who_is_not_armed_waits_although_all_is_well():
    inputs = heard()
    inputs.offer(inputs.nominal, (0.1, 0.0), SECOND, SECOND)
    inputs.playing = True
    assert inputs.decide(SECOND) == (Mode.ACTIVE, "")
    inputs.unarmed = "not armed"
    assert inputs.decide(SECOND) == (Mode.WAITING, "not armed")
    inputs.latch("emergency stop")
    assert inputs.decide(SECOND) == (Mode.FAULT, "emergency stop")

"""Book-keeping of inputs: stamps, ages, rejections; and what the safety node concludes from them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pe_core.robot import RobotModel
from pe_core.unicycle import arc_step
from pe_nodes import inputs
from pe_nodes.inputs import StampedInput
from pe_nodes.motion_checks import StepCheck
from pe_nodes.safety_inputs import Mode, SafetyInputs
from pe_nodes.settings import SafetySettings
from pe_safety.sent_commands import SentCommands

SECOND = 1_000_000_000
NOW = 100 * SECOND


def fresh(timeout=0.3, tolerance=0.1):
    return StampedInput("own state", timeout, tolerance)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_are_rejected_and_counted(bad):
    source = fresh()
    assert source.offer((0.0, bad), NOW, NOW) == inputs.NOT_FINITE
    assert source.values is None
    assert source.rejected == {inputs.NOT_FINITE: 1}


@pytest.mark.parametrize(
    ("offset", "verdict"),
    [
        (0.0, inputs.ACCEPTED),
        (0.09, inputs.ACCEPTED),
        (0.2, inputs.FUTURE),
        (-0.2, inputs.ACCEPTED),
        (-0.4, inputs.STALE),
    ],
)
def test_stamp_against_now(offset, verdict):
    assert fresh().offer((1.0,), NOW + round(offset * SECOND), NOW) == verdict


def test_zero_stamp_means_now():
    source = fresh()
    assert source.offer((1.0,), 0, NOW) == inputs.ACCEPTED
    assert source.stamp_ns == NOW
    assert source.zero_stamps == 1


def test_same_stamp_is_a_duplicate_and_an_older_one_is_rejected():
    source = fresh()
    source.offer((1.0,), NOW, NOW)
    assert source.offer((2.0,), NOW, NOW) == inputs.DUPLICATE
    assert source.offer((3.0,), NOW - 1, NOW) == inputs.OUT_OF_ORDER
    assert source.offer((1.0,), NOW, NOW + SECOND) == inputs.DUPLICATE, "a stamp that stands still is not just stale"
    assert source.values == (1.0,)


def test_a_jump_does_not_become_true_by_waiting_but_an_outlier_passes():
    source = fresh()
    source.check = StepCheck(1.0, 2.84, 0.1, 0.3)
    tenth = SECOND // 20

    def offer(step, theta):
        return source.offer((0.0, 0.0, theta), NOW + step * tenth, NOW + step * tenth)

    assert offer(0, 0.0) == inputs.ACCEPTED
    assert offer(1, 1.5) == inputs.IMPLAUSIBLE
    assert offer(2, 0.1) == inputs.ACCEPTED and source.doubt == ""
    assert [offer(step, 1.5) for step in range(3, 9)] == [inputs.IMPLAUSIBLE] * 6
    assert source.doubt.startswith("turned by 1.40 rad in 0.05 s")
    assert offer(20, 1.5) == inputs.ACCEPTED, "after a loss there is nothing to compare with"


def test_age_is_the_larger_of_stamp_and_receipt():
    source = fresh()
    assert source.age(NOW) == math.inf
    source.offer((1.0,), NOW - SECOND // 10, NOW)
    assert source.age(NOW) == pytest.approx(0.1)
    ahead = fresh()
    ahead.offer((1.0,), NOW + SECOND // 20, NOW)
    assert ahead.age(NOW + SECOND // 10) == pytest.approx(0.1)  # by receipt: its clock is ahead of ours


def ready(**settings):
    sources = SafetyInputs(SafetySettings(**settings))
    sources.begin()
    sources.nominal.offer((0.5, 0.1), NOW, NOW)
    sources.own.offer((0.0, 0.0, 0.0, 0.5, 0.1), NOW, NOW)
    sources.opponent.offer((3.0, 0.0, 0.0, 0.5, 0.1), NOW, NOW)
    return sources


def test_everything_fresh_is_active():
    assert ready().decide(NOW) == (Mode.ACTIVE, "")


def test_nothing_received_is_waiting():
    sources = SafetyInputs(SafetySettings())
    assert sources.decide(NOW)[0] is Mode.WAITING
    sources.begin()
    assert sources.decide(NOW) == (Mode.WAITING, "no nominal command received")


@pytest.mark.parametrize(("name", "timeout"), [("nominal", 0.3), ("own", 0.3), ("opponent", 0.5)])
def test_each_input_has_its_own_timeout(name, timeout):
    sources = ready()
    later = NOW + round((timeout + 0.02) * SECOND)
    for other in sources.all:
        if other is not getattr(sources, name):
            other.offer(tuple(other.values), later, later)
    mode, reason = sources.decide(later)
    assert mode is Mode.STOPPED
    assert getattr(sources, name).name in reason
    earlier = NOW + round((timeout - 0.02) * SECOND)
    assert ready().decide(earlier)[0] is Mode.ACTIVE or timeout > 0.3


def test_fault_stands_until_cleared():
    sources = ready()
    sources.latch("first")
    sources.latch("second")
    assert sources.decide(NOW) == (Mode.FAULT, "first")
    sources.fault = ""
    assert sources.decide(NOW)[0] is Mode.ACTIVE


def sent(command):
    commands = SentCommands(RobotModel().as_array(), 0.05)
    commands.add(NOW - SECOND // 20, command)
    return commands


def test_own_state_is_predicted_along_the_last_command():
    sources = ready()
    later = NOW + SECOND // 10
    state = sources.own_at(later, sent((0.8, -0.3)))
    assert tuple(state[:3]) == pytest.approx(arc_step(0.0, 0.0, 0.0, 0.8, -0.3, 0.1), abs=1e-12)
    assert tuple(sources.own_at(NOW, sent((0.8, -0.3)))) == (0.0, 0.0, 0.0, 0.5, 0.1)


def test_prediction_is_capped():
    sources = ready(prediction_limit=0.05)
    state = sources.own_at(NOW + SECOND, sent((1.0, 0.0)))
    assert state[0] == pytest.approx(0.05)


def test_a_late_robot_is_predicted_through_its_dead_time_under_what_was_sent_before():
    sources = ready()
    commands = SentCommands(RobotModel(delay=0.08).as_array(), 0.05)
    commands.add(NOW - SECOND // 10, (1.0, 0.0))
    commands.add(NOW - SECOND // 20, (0.5, 0.0))
    # At NOW + 0.08 s: the older command acts until NOW + 0.03 s, then the newer one.
    state = sources.own_at(NOW, commands)
    assert state[0] == pytest.approx(1.0 * 0.03 + 0.5 * 0.05, abs=1e-9)
    assert state[3] == 0.5


def test_before_the_first_command_the_robot_stood_still():
    sources = ready()
    assert sources.own_at(NOW, SentCommands(RobotModel(delay=0.08).as_array(), 0.05))[0] == 0.0


def test_opponent_is_not_predicted_but_aged():
    state, age = ready().opponent_at(NOW + SECOND // 5)
    assert np.array_equal(state, [3.0, 0.0, 0.0, 0.5, 0.1])
    assert age == pytest.approx(0.2)


def test_nobody_waits_for_a_lost_input():
    sources = ready()
    later = NOW + SECOND
    sources.own.offer((0.0, 0.0, 0.0, 0.0, 0.0), later, later)
    sources.opponent.offer((3.0, 0.0, 0.0, 0.0, 0.0), later, later)
    assert sources.complete(later)  # the nominal command is long lost
    assert not ready().complete(NOW + SECOND // 20)

"""The documented habits of real bases, one by one."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pe_core.arena import Arena
from pe_core.config import ConfigurationError
from pe_core.robot import executed_command, load_robot
from pe_nodes.devices import BURGER, Create3, Create3Firmware, TurtleBot3, make_device
from pe_safety.filter import SafetyFilter
from pe_safety.parameters import load_safety

MODELS = ("turtlebot3_burger", "turtlebot3_waffle")


def turtlebot3(name="turtlebot3_burger"):
    device = make_device("turtlebot3", load_robot(name))
    assert isinstance(device, TurtleBot3)
    return device


def create3(**firmware):
    return Create3(load_robot("turtlebot4"), Create3Firmware(**firmware))


def after(device, v, omega, now=0.0, at=None):
    device.receive(v, omega, now)
    return device.executed(now if at is None else at)


def test_the_ideal_base_is_the_plant_of_its_profile():
    for name in ("reference", *MODELS, "turtlebot4"):
        robot = load_robot(name)
        device = make_device("ideal", robot)
        for command in ((0.137, -1.234), (9.0, 9.0), (-0.2, 0.0)):
            assert after(device, *command) == executed_command(*command, robot.as_array())
        last = after(device, 0.1, 0.2)
        assert after(device, math.nan, 0.0) == last, "what is not finite is not taken"
        assert device.executed(1e6) == last


def test_turtlebot3_holds_its_last_command_for_ever():
    device = turtlebot3()
    assert device.executed(0.0) == (0.0, 0.0)
    driving = after(device, 0.15, 0.5)
    assert driving[0] > 0.14 and device.executed(3600.0) == driving


def test_turtlebot3_truncates_to_hundredths_toward_zero():
    device = turtlebot3()
    for sign in (1.0, -1.0):
        assert after(device, sign * 0.1399, 0.0) == after(device, sign * 0.13, 0.0)
        assert after(device, 0.0, sign * 0.0099) == (0.0, 0.0)
        assert math.copysign(1.0, after(device, sign * 0.13, 0.0)[0]) == sign
    # As in C++: 0.29 * 100 is 28.999999999999996.
    assert after(device, 0.0, 0.29) == after(device, 0.0, 0.28)


@pytest.mark.parametrize(("name", "v", "omega"), [(MODELS[0], 0.211, 2.635), (MODELS[1], 0.266, 1.854)])
def test_turtlebot3_clamps_to_its_model(name, v, omega):
    device = turtlebot3(name)
    for sign in (1.0, -1.0):
        assert sign * after(device, sign * 5.0, 0.0)[0] == pytest.approx(v, abs=1e-3)
        assert sign * after(device, 0.0, sign * 5.0)[1] == pytest.approx(omega, abs=0.011)


def test_turtlebot3_clamps_each_wheel_on_its_own_which_changes_curvature():
    v, omega = after(turtlebot3(), 0.21, 1.5)
    right, left = v + 0.08 * omega, v - 0.08 * omega
    assert right == pytest.approx(BURGER.wheel_limit, abs=1e-3), "the outer wheel is clamped"
    assert left == pytest.approx(0.21 - 0.08 * 1.5, abs=1e-3), "the inner one is not"
    assert omega / v < 0.9 * 1.5 / 0.21
    scaled = executed_command(0.21, 1.5, load_robot("turtlebot3_burger").as_array())
    assert scaled[1] / scaled[0] == pytest.approx(1.5 / 0.21), "which is what a profile's plant does"


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e12])
def test_turtlebot3_does_not_check_what_is_not_finite(bad):
    v, omega = after(turtlebot3(), bad, 0.0)
    assert v == pytest.approx(-0.211, abs=1e-3) and omega == 0.0


@pytest.mark.parametrize("name", MODELS)
def test_the_wheel_clamp_never_acts_within_the_filters_diamond(name):
    """Every command of the robot's resolution that the filter may send is executed to the resolution of the motors."""
    robot, device = load_robot(name), turtlebot3(name)
    unit, half, acted = device.firmware.wheel_unit, 0.5 * robot.track, 0
    for v in np.arange(0.0, robot.v_max + 1e-9, 0.01):
        for omega in np.arange(-robot.omega_max, robot.omega_max + 1e-9, 0.01):
            wanted = executed_command(v, omega, robot.as_array())
            inside = v + half * abs(omega) <= robot.wheel_speed_max
            got = after(device, *wanted)
            if inside:
                assert abs(got[0] - wanted[0]) <= unit and abs(got[1] - wanted[1]) <= 2.0 * unit / robot.track
                acted += 1
    assert acted > 1000
    assert robot.wheel_speed_max <= device.firmware.wheel_limit
    assert robot.v_max <= device.firmware.v_limit and robot.omega_max <= device.firmware.omega_limit


@pytest.mark.parametrize(
    ("device", "name"), [("turtlebot3", MODELS[0]), ("turtlebot3", MODELS[1]), ("create3", "turtlebot4")]
)
def test_a_base_does_what_the_filter_sends(device, name):
    """The wheel-speed rows of the QP hold: no base clamps, scales or refuses what comes out of the filter."""
    robot, base = load_robot(name), make_device(device, load_robot(name))
    unit = base.firmware.wheel_unit if isinstance(base, TurtleBot3) else 1e-12
    safety = SafetyFilter(load_safety("rcbf"), robot, robot, 0.05)
    arena = Arena(2.5, np.array([[0.3, 0.2, 0.3]]))
    random = np.random.default_rng(7)
    corrected = tight = 0
    for _ in range(400):
        own = np.array([*random.uniform(-1.9, 1.9, 2), random.uniform(-math.pi, math.pi), 0.0, 0.0])
        other = np.array([*random.uniform(-1.9, 1.9, 2), 0.0, 0.0, 0.0])
        nominal = executed_command(robot.v_max, random.choice((-1.0, 1.0)) * random.uniform(0.0, 3.0), robot.as_array())
        result = safety.step(own, nominal, other, arena, opponent_age=0.0)
        wanted = result.command
        got = after(base, *wanted)
        wheels = abs(wanted[0]) + 0.5 * robot.track * abs(wanted[1])
        assert wheels <= robot.wheel_speed_max + 1e-9
        # Relaxed and backup commands may lie off the grid of TurtleBot3.
        grid = 0.0 if result.tier == 0 else max(robot.v_quantum, robot.omega_quantum)
        assert abs(got[0] - wanted[0]) <= unit + grid
        assert abs(got[1] - wanted[1]) <= 2.0 * unit / robot.track + grid
        corrected += result.intervened
        tight += wheels > 0.97 * robot.wheel_speed_max
    assert corrected > 20 and tight > 100


def test_create3_refuses_reverse_and_zeroes_both():
    assert after(create3(), -0.01, 1.0) == (0.0, 0.0)
    assert after(create3(), 0.0, 1.0) == (0.0, 1.0), "turning on the spot is no reverse"
    assert after(create3(safety_override="backup_only"), -0.1, 1.0) == (-0.1, 1.0)


def test_create3_scales_both_wheels_to_the_limit_which_keeps_curvature():
    v, omega = after(create3(), 0.306, 1.9)
    assert v + 0.1165 * omega == pytest.approx(0.306) and omega / v == pytest.approx(1.9 / 0.306)
    assert after(create3(), 1.0, 0.0) == (pytest.approx(0.306), 0.0)
    assert after(create3(safety_override="full"), 1.0, 0.0) == (pytest.approx(0.46), 0.0)
    assert after(create3(), 0.0, 9.0) == (0.0, 1.9)
    assert after(create3(), 0.137, -0.4321) == (0.137, -0.4321), "no resolution is documented"


def test_create3_stops_itself_half_a_second_after_the_last_command():
    device = create3()
    assert device.executed(0.0) == (0.0, 0.0)
    assert after(device, 0.2, 0.1, now=3.0, at=3.45) == (0.2, 0.1)
    assert device.executed(3.5) == (0.0, 0.0)
    assert after(device, 0.2, 0.1, now=4.0) == (0.2, 0.1), "and goes on with the next"


def test_a_command_that_is_not_finite_stops_create3():
    device = create3()
    after(device, 0.2, 0.0)
    assert after(device, math.nan, 0.0) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("device", "robot", "ratio", "said"),
    [
        ("turtlebot3", "reference", 1.0, "track = 0.000 m: allowed: 0.160 m or 0.287 m"),
        ("turtlebot3", "turtlebot4", 1.0, "track = 0.233 m: allowed: 0.160 m"),
        ("create3", "turtlebot3_burger", 1.0, "track = 0.160 m: allowed: 0.233 m"),
        ("turtlebot3", "turtlebot3_burger", 1.2, "v_max = 0.252: its firmware allows at most 0.2108"),
        ("create3", "turtlebot4", 1.1, "its firmware allows at most 0.306"),
        ("roomba", "turtlebot4", 1.0, "allowed: one of ideal, turtlebot3, create3"),
    ],
)
def test_what_a_base_cannot_be_is_refused(device, robot, ratio, said):
    with pytest.raises(ConfigurationError) as caught:
        make_device(device, load_robot(robot).with_speed_ratio(ratio))
    assert said in str(caught.value)

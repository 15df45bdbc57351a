"""Robot models: profiles, limits, wheel-speed coupling, quantisation."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pe_core.config import ConfigurationError
from pe_core.paths import config_names
from pe_core.robot import (
    RobotModel,
    clamp_command,
    command_from_action,
    executed_command,
    load_robot,
    truncate,
)

BOUNDED = settings(derandomize=True, max_examples=100)
ANY = st.floats(allow_nan=True, allow_infinity=True)
PROFILES = ("reference", "turtlebot3_burger", "turtlebot3_waffle", "turtlebot4")
COUPLED = RobotModel(v_min=-0.1, v_max=0.2, omega_max=2.6, track=0.16, wheel_speed_max=0.21)


def test_all_profiles_of_the_game_are_there() -> None:
    assert set(PROFILES) <= set(config_names("robots"))
    for name in config_names("robots"):
        assert load_robot(name).name == name


def test_reference_is_the_robot_of_the_game() -> None:
    robot = load_robot("reference")
    assert (robot.v_min, robot.v_max, robot.omega_max, robot.radius, robot.vcp_offset) == (
        0.0,
        1.0,
        2.84,
        0.15,
        0.05,
    )
    assert (robot.lag, robot.delay, robot.track, robot.v_quantum, robot.omega_quantum) == (0, 0, 0, 0, 0)


def test_unknown_robot_lists_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="'hexapod' is unknown; known: .*turtlebot3_burger"):
        load_robot("hexapod")


def test_coupling_without_a_wheel_speed_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"wheel_speed_max = 0\.0.*positive"):
        RobotModel(track=0.16)


@pytest.mark.parametrize(
    ("value", "quantum", "wanted"),
    [
        (0.0199, 0.01, 0.01),
        (-0.0199, 0.01, -0.01),
        (0.009, 0.01, 0.0),
        (-0.009, 0.01, 0.0),
        (0.07, 0.01, 0.07),
        (-0.29, 0.01, -0.29),
        (0.1234, 0.0, 0.1234),
    ],
)
def test_truncation_is_toward_zero_and_keeps_multiples(value: float, quantum: float, wanted: float) -> None:
    assert truncate(value, quantum) == pytest.approx(wanted, abs=1e-12)


def test_every_multiple_of_the_quantum_is_kept() -> None:
    for k in range(-300, 301):
        assert truncate(k * 0.01, 0.01) == pytest.approx(k * 0.01, abs=1e-12)


def test_a_driver_that_truncates_again_takes_the_same_multiple() -> None:
    for k in range(-300, 301):
        assert int(truncate(k * 0.01, 0.01) * 100) == k
    assert int(0.29 * 100) == 28, "which is why the nearest number is not always the right one"



def test_wheel_coupling_keeps_curvature() -> None:
    v, omega = clamp_command(0.2, 2.6, COUPLED.as_array())
    assert v + 0.08 * omega == pytest.approx(0.21, abs=1e-12)
    assert omega / v == pytest.approx(13.0)


@BOUNDED
@given(ANY, ANY)
def test_any_command_is_brought_within_the_limits(v: float, omega: float) -> None:
    for robot in (COUPLED, *(load_robot(name) for name in PROFILES)):
        array = robot.as_array()
        for out_v, out_omega in (clamp_command(v, omega, array), executed_command(v, omega, array)):
            assert robot.v_min <= out_v <= robot.v_max and abs(out_omega) <= robot.omega_max
            if robot.track > 0.0:
                assert abs(out_v) + 0.5 * robot.track * abs(out_omega) <= robot.wheel_speed_max + 1e-12


def test_command_within_limits_is_untouched() -> None:
    assert clamp_command(0.123456789, -1.987654321, RobotModel().as_array()) == (0.123456789, -1.987654321)


def test_command_that_is_not_finite_stops_that_axis() -> None:
    array = RobotModel().as_array()
    assert executed_command(math.nan, 1.0, array) == (0.0, 1.0)
    assert executed_command(0.5, math.inf, array) == (0.5, 0.0)


def test_robot_executes_what_an_action_asks_for_unchanged() -> None:
    for name in PROFILES:
        array = load_robot(name).as_array()
        for k in range(200):
            command = command_from_action(math.sin(k), math.cos(1.7 * k), array)
            assert executed_command(*command, array) == pytest.approx(command, abs=1e-12)


def test_action_asks_for_what_the_robot_can_do() -> None:
    burger = load_robot("turtlebot3_burger")
    v, omega = command_from_action(1.0, 1.0, burger.as_array())
    assert v + 0.5 * burger.track * omega <= burger.wheel_speed_max + 1e-12
    assert truncate(v, 0.01) == pytest.approx(v) and truncate(omega, 0.01) == pytest.approx(omega)
    assert command_from_action(0.5, -0.25, RobotModel().as_array()) == (0.5, -0.71)


def test_speed_ratio_scales_speeds_alone() -> None:
    burger = load_robot("turtlebot3_burger")
    fast = burger.with_speed_ratio(1.2)
    assert fast.v_max == pytest.approx(0.252) and fast.wheel_speed_max == pytest.approx(0.2532)
    assert (fast.omega_max, fast.radius) == (burger.omega_max, burger.radius)
    assert burger.with_speed_ratio(0.5).wheel_speed_max == burger.wheel_speed_max
    for ratio in (0.0, -1.0, math.nan, 3.1):
        with pytest.raises(ConfigurationError, match=r"speed ratio = .*\[0.1, 3\]"):
            burger.with_speed_ratio(ratio)

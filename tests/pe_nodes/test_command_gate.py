"""The watchdog's decision."""

from __future__ import annotations

import math

import pytest

from pe_core.robot import load_robot
from pe_nodes import command_gate
from pe_nodes.command_gate import ZERO, CommandGate

SECOND = 1_000_000_000


def gate(synchronised=True, robot="turtlebot3_burger"):
    return CommandGate(load_robot(robot), 0.2, 0.1, 0.02, synchronised)


def at(seconds):
    """(ROS time [ns], wall time [s]) with different origins."""
    return round((1000.0 + seconds) * SECOND), 50.0 + seconds


def test_nothing_moves_before_the_first_command():
    assert gate().command(*at(0.0)) == (ZERO, "no command received")


def test_a_command_holds_until_it_is_too_old():
    g = gate()
    now, wall = at(0.0)
    assert g.offer((0.1, 0.5), now, now, wall) == command_gate.ACCEPTED
    assert g.command(*at(0.19)) == ((0.1, 0.5), "")
    assert g.command(*at(0.21)) == (ZERO, "no fresh command for 0.2 s")
    assert g.command(*at(0.0))[0] == ZERO, "what has run out does not come back"
    assert g.expired == 1


def test_the_clock_of_ros_standing_still_does_not_keep_a_command_alive():
    g = gate()
    now, wall = at(0.0)
    g.offer((0.1, 0.0), now, now, wall)
    assert g.command(now, wall + 0.21)[0] == ZERO


def test_a_command_that_lay_in_a_queue_is_not_young():
    g = gate()
    now, wall = at(0.0)
    assert g.offer((0.1, 0.0), now - SECOND, now, wall) == command_gate.STALE
    assert g.offer((0.1, 0.0), now + SECOND, now, wall) == command_gate.FUTURE
    g.offer((0.1, 0.0), now - SECOND // 10, now, wall)
    assert g.command(*at(0.09))[1] == "" and g.command(*at(0.11))[0] == ZERO, "its age counts from its stamp"
    assert g.rejected == {command_gate.STALE: 1, command_gate.FUTURE: 1}


def test_stamps_do_not_count_where_clocks_are_not_synchronised():
    g = gate(synchronised=False)
    now, wall = at(0.0)
    assert g.offer((0.1, 0.0), now - 3600 * SECOND, now, wall) == command_gate.ACCEPTED
    assert g.command(now + 3600 * SECOND, wall + 0.1) == ((0.1, 0.0), "")
    assert g.command(now, wall + 0.21)[0] == ZERO


@pytest.mark.parametrize("stamp", [0, None])
def test_no_stamp_means_now(stamp):
    g = gate()
    now, wall = at(0.0)
    assert g.offer((0.1, 0.0), stamp, now, wall) == command_gate.ACCEPTED
    assert g.zero_stamps == (stamp == 0)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_stops_the_robot_and_is_counted(bad):
    for command in ((bad, 0.0), (0.0, bad)):
        g = gate()
        now, wall = at(0.0)
        g.offer((0.1, 0.0), now, now, wall)
        assert g.offer(command, now, now, wall) == command_gate.NOT_FINITE
        assert g.command(now, wall) == (ZERO, "the last command was refused: not finite")
        assert g.rejected == {command_gate.NOT_FINITE: 1}


@pytest.mark.parametrize("command", [(0.22, 0.0), (-0.01, 0.0), (0.0, 2.7), (0.0, -2.7)])
def test_what_exceeds_the_limits_stops_the_robot(command):
    g = gate()
    now, wall = at(0.0)
    assert g.offer(command, now, now, wall) == command_gate.BEYOND_LIMITS
    assert g.command(now, wall)[0] == ZERO


def test_the_limits_themselves_pass():
    g = gate()
    now, wall = at(0.0)
    for command in ((0.21, 0.0), (0.0, 2.63), (0.0, -2.63), (0.0, 0.0)):
        assert g.offer(command, now, now, wall) == command_gate.ACCEPTED
    assert g.accepted == 4

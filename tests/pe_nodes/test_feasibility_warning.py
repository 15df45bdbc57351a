"""The warning beside the safety node's filter, and what it adds to the status."""

from __future__ import annotations

import math

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus

from pe_core.arena import Arena
from pe_core.config import ConfigurationError
from pe_core.robot import RobotModel
from pe_nodes.feasibility_warning import make_look, nobody
from pe_nodes.safety_inputs import Mode, SafetyInputs
from pe_nodes.safety_status import UNFILTERED, WARNING, Cycle, SafetyStatus
from pe_nodes.settings import SafetySettings
from pe_safety.filter import SafetyFilter
from pe_safety.parameters import SafetyParameters

ROBOT = RobotModel()
ARENA = Arena(10.0, np.zeros((0, 3)))
FAR = np.array([-8.0, -8.0, 0.0, 0.0, 0.0])
FREE, CORNERED = np.array([0.0, 0.0, 0.7, 0.0, 0.0]), np.array([9.84, 9.84, 0.7, 0.0, 0.0])
OK, WARN, ERROR = (bytes(level) for level in (DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR))


def filled(margin: float | None, mode: Mode = Mode.ACTIVE, reason: str = "", state: np.ndarray = FREE):
    settings = SafetySettings()
    result = SafetyFilter(SafetyParameters(), ROBOT, ROBOT, settings.dt).step(state, (0.0, 0.0), FAR, ARENA)
    cycle = Cycle((0.0, 0.0), state, FAR, result) if mode is Mode.ACTIVE else UNFILTERED
    made = SafetyStatus("/pursuer/safety", "/pursuer")
    message = made.fill(0, mode, reason, 0, SafetyInputs(settings), result.command, cycle, margin)
    status = message.status[0]
    return status, {pair.key: pair.value for pair in status.values}


def test_the_committed_boundary_tells_a_corner_from_the_open() -> None:
    look = make_look(SafetySettings(), SafetyParameters(), (ROBOT, ROBOT))
    assert look(CORNERED, FAR, ARENA, 0.0) < 0.0 < look(FREE, FAR, ARENA, 0.0)
    assert math.isnan(look(np.full(5, math.nan), FAR, ARENA, 0.0))


def test_an_empty_name_switches_it_off() -> None:
    look = make_look(SafetySettings(feasibility=""), SafetyParameters(), (ROBOT, ROBOT))
    assert look is nobody
    assert look(CORNERED, FAR, ARENA, 0.0, deviations=(0.0, 0.0)) is None


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="feasibility 'nonsense' is unknown; known: .*network"):
        make_look(SafetySettings(feasibility="nonsense"), SafetyParameters(), (ROBOT, ROBOT))


def test_status_names_the_margin_and_warns_where_it_is_negative() -> None:
    status, values = filled(-0.25)
    assert (values["feasibility"], status.level, status.message) == ("-0.25", WARN, f"active: {WARNING}")
    assert (values["tier"], values["reason"]) == ("exact", ""), "what the filter did is told as before"
    status, values = filled(0.1 + 0.2)
    assert (float(values["feasibility"]), status.level, status.message) == (0.1 + 0.2, OK, "active")
    status, values = filled(math.nan)
    assert (values["feasibility"], status.level) == ("nan", OK)


def test_status_without_a_margin_is_as_it_was() -> None:
    status, values = filled(None)
    assert "feasibility" not in values
    assert (status.level, status.message) == (OK, "active")
    status, values = filled(None, Mode.STOPPED, "own state is lost")
    assert "feasibility" not in values
    assert (status.level, status.message) == (ERROR, "stopped: own state is lost")

"""The warning beside the safety node's filter: how near a state is to having no feasible QP; pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pe_core.paths import boundary_path
from pe_core.robot import RobotModel
from pe_nodes.settings import SafetySettings
from pe_safety.feasibility.model import load_feasibility
from pe_safety.feasibility.observer import FeasibilityObserver
from pe_safety.parameters import SafetyParameters

Look = Callable[..., float | None]
"""Arguments as ``SafetyFilter.step`` takes them, without the nominal command; H_1(x), None where nobody looks."""


def nobody(*_: Any, **__: Any) -> None:
    """Nobody looks: H_1(x) is not known."""


def make_look(settings: SafetySettings, parameters: SafetyParameters, robots: tuple[RobotModel, RobotModel]) -> Look:
    """The margin of the boundary ``settings.feasibility``, compiled; :func:`nobody` where that is empty.

    Raises:
        ConfigurationError: there is no such boundary, or it was made for other features.
    """
    if not settings.feasibility:
        return nobody
    model = load_feasibility(boundary_path(settings.feasibility))
    observer = FeasibilityObserver(model, parameters, *robots, settings.dt)
    observer.warm_up()
    return observer.margin

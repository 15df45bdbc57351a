"""The safety node's filter: plain, or with a disturbance that is learnt from the node's own inputs; pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pe_core.arena import Arena
from pe_core.robot import RobotModel
from pe_nodes.safety_inputs import SafetyInputs
from pe_nodes.settings import SafetySettings
from pe_safety.disturbance.hearing import HearingFilter, disturbance_of
from pe_safety.disturbance.model import LearnedDisturbance
from pe_safety.disturbance.parameters import load_disturbance
from pe_safety.disturbance.refit import InCaller, InThread
from pe_safety.filter import FilterResult, SafetyFilter
from pe_safety.parameters import SafetyParameters
from pe_safety.sent_commands import SentCommands


class ListeningFilter(HearingFilter):
    """A :class:`HearingFilter` that takes what it hears from the node's own inputs, at the begin of each step."""

    def __init__(
        self,
        parameters: SafetyParameters,
        robot: RobotModel,
        opponent: RobotModel | None,
        dt: float,
        learned: LearnedDisturbance,
        heard: SafetyInputs,
        commands: SentCommands,
    ) -> None:
        """As :class:`HearingFilter`, listening to ``heard`` and ``commands``."""
        super().__init__(parameters, robot, opponent, dt, learned)
        self._heard = heard
        self._commands = commands

    def step(  # type: ignore[override]
        self,
        state: NDArray[np.float64] | Sequence[float],
        nominal: NDArray[np.float64] | Sequence[float],
        opponent: NDArray[np.float64] | Sequence[float] | None,
        arena: Arena,
        **known: Any,
    ) -> FilterResult:
        """Observe what is new, then filter."""
        source = self._heard.own
        self.hear(source.stamp_ns, source.values, self._commands, self._heard.modelled)
        return super().step(state, nominal, opponent, arena, **known)


def make_filter(
    settings: SafetySettings,
    parameters: SafetyParameters,
    robots: tuple[RobotModel, RobotModel],
    heard: SafetyInputs,
    commands: SentCommands,
) -> SafetyFilter:
    """The filter of ``settings.profile``, compiled; it learns where ``config/disturbance`` has that name.

    Refits go on in a thread; in lockstep, where the simulator waits, in the caller, so that a run can be repeated.

    Raises:
        ConfigurationError: the parameters of the disturbance say something that is not allowed.
    """
    own, opponent = robots
    learning = load_disturbance(settings.profile)
    if learning is None:
        plain = SafetyFilter(parameters, own, opponent, settings.dt)
        plain.warm_up()
        return plain
    refitter = InThread() if learning.background and not settings.lockstep else InCaller()
    learned = disturbance_of(own, learning, settings.dt, refitter)
    listening = ListeningFilter(parameters, own, opponent, settings.dt, learned, heard, commands)
    listening.warm_up()
    return listening

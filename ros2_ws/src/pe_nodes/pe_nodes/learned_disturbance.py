"""The safety node's filter: plain, or with a disturbance that is learnt from the node's own inputs; pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pe_core.arena import Arena
from pe_core.robot import RobotModel
from pe_nodes.safety_inputs import SafetyInputs
from pe_nodes.sent_commands import SentCommands
from pe_nodes.settings import SafetySettings
from pe_safety.disturbance.filter import LearnedFilter
from pe_safety.disturbance.model import LearnedDisturbance
from pe_safety.disturbance.parameters import load_disturbance
from pe_safety.disturbance.refit import InCaller, InThread
from pe_safety.filter import FilterResult, SafetyFilter
from pe_safety.parameters import SafetyParameters

CROSSING = 10.0
"""Time [s] in which a robot drives half an arena's side: its length is the scale of positions."""


class ListeningFilter(LearnedFilter):
    """A :class:`LearnedFilter` that takes its residuals from what the node hears and sends.

    At the begin of each :meth:`step` it observes the own state as received, once for each stamp, under the commands
    sent before.  Where nothing was sent yet (a new episode, a clock that went back) what lies between is no residual.
    """

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
        """As :class:`LearnedFilter`, listening to ``heard`` and ``commands``."""
        super().__init__(parameters, robot, opponent, dt, learned)
        self._heard = heard
        self._commands = commands
        self._seen_ns = -1

    def step(  # type: ignore[override]
        self,
        state: NDArray[np.float64] | Sequence[float],
        nominal: NDArray[np.float64] | Sequence[float],
        opponent: NDArray[np.float64] | Sequence[float] | None,
        arena: Arena,
        **known: Any,
    ) -> FilterResult:
        """Observe what is new, then filter."""
        self._listen()
        return super().step(state, nominal, opponent, arena, **known)

    def _listen(self) -> None:
        source = self._heard.own
        if self._commands.empty or source.stamp_ns < self._seen_ns:
            self.learned.interrupt()
        if source.values is None or source.stamp_ns == self._seen_ns:
            return
        self._seen_ns = source.stamp_ns
        state = np.array(source.values[:5], dtype=np.float64)
        if self._heard.modelled:
            state[3:] = self._commands.velocity(source.stamp_ns)
        self.learned.commands(self._commands.history())
        self.observe(state, source.stamp_ns / 1e9)


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
    learned = LearnedDisturbance(own, learning, settings.dt, CROSSING * own.v_max, refitter)
    listening = ListeningFilter(parameters, own, opponent, settings.dt, learned, heard, commands)
    listening.warm_up()
    return listening

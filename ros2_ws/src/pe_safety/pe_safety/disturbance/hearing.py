"""A learned filter that takes its residuals from what one robot's safety node hears and sends; pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pe_core.robot import RobotModel
from pe_safety.disturbance.filter import LearnedFilter
from pe_safety.disturbance.model import LearnedDisturbance
from pe_safety.disturbance.parameters import DisturbanceParameters
from pe_safety.disturbance.refit import Refitter
from pe_safety.sent_commands import SentCommands

CROSSING = 10.0
"""Time [s] in which a robot drives half an arena's side: its length is the scale of positions."""


def disturbance_of(
    robot: RobotModel, parameters: DisturbanceParameters, dt: float, refitter: Refitter
) -> LearnedDisturbance:
    """The process of ``robot`` at control period ``dt`` [s], refitted by ``refitter``."""
    return LearnedDisturbance(robot, parameters, dt, CROSSING * robot.v_max, refitter)


class HearingFilter(LearnedFilter):
    """A :class:`LearnedFilter` that is told of own states as they were received, once for each stamp."""

    _seen_ns = -1

    def hear(
        self, stamp_ns: int, values: Sequence[float] | None, commands: SentCommands, modelled: bool
    ) -> None:
        """Observe the own state that a cycle stands on, before its :meth:`step`.

        Where nothing was sent yet (a new episode, a clock that went back) what lies between is no residual.

        Args:
            stamp_ns: of the state [ns]; one that was observed already is not observed again.
            values: (x, y, theta, v, omega, ...), map frame; None where there is none.
            commands: those sent before.
            modelled: the velocity is that of the model under ``commands``, not the measured one.
        """
        if commands.empty or stamp_ns < self._seen_ns:
            self.learned.interrupt()
        if values is None or stamp_ns == self._seen_ns:
            return
        self._seen_ns = stamp_ns
        state = np.array(values[:5], dtype=np.float64)
        if modelled:
            state[3:] = commands.velocity(stamp_ns)
        self.learned.commands(commands.history())
        self.observe(state, stamp_ns / 1e9)

"""One robot's safety mechanism, asked in every cycle what its node would ask it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pe_core.arena import Arena
from pe_core.robot import RobotModel
from pe_evaluation.audit.cycle import PREDICTION_LIMIT
from pe_evaluation.audit.trace import Cycle
from pe_safety.disturbance.hearing import HearingFilter, disturbance_of
from pe_safety.disturbance.parameters import load_disturbance
from pe_safety.disturbance.refit import InCaller
from pe_safety.filter import SafetyFilter
from pe_safety.parameters import SafetyParameters
from pe_safety.sent_commands import SentCommands

Pair = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a mechanism commands in one cycle, and the rows G u <= b of its program (m, 2), (m,) [m/s].

    ``tier`` is an index of ``pe_evaluation.metrics.TIERS``.
    """

    command: Pair
    tier: int
    reason: str
    intervened: bool
    g: NDArray[np.float64]
    b: NDArray[np.float64]

    def excess(self, command: Pair) -> float:
        """By how much ``command`` exceeds the row that it exceeds most [m/s]; negative inside."""
        return float(np.max(self.g @ np.array(command) - self.b))


class Mechanism:
    """The filter of one robot, from the messages that its node heard.

    A mechanism that learns while it drives (``config/disturbance``) learns from the recorded states and commands, and
    must be asked in the order of the run; refits are done at once, as in lockstep.
    """

    def __init__(
        self, name: str, parameters: SafetyParameters, robot: RobotModel, rival: RobotModel, dt: float
    ) -> None:
        """The mechanism ``name`` (``config/safety``) with ``parameters``, at control period ``dt`` [s].

        Raises:
            ConfigurationError: what it learns by cannot be read.
        """
        self.name, self.parameters = name, parameters
        self._array, self._robot, self._dt = parameters.as_array(dt), robot, dt
        learning = load_disturbance(name)
        self._filter: SafetyFilter
        if learning is None:
            self._filter = SafetyFilter(parameters, robot, rival, dt)
        else:
            process = disturbance_of(robot, learning, dt, InCaller())
            self._filter = HearingFilter(parameters, robot, rival, dt, process)
        self._filter.warm_up()

    @property
    def learns(self) -> bool:
        """Whether what it commands depends on the cycles before."""
        return isinstance(self._filter, HearingFilter)

    def answer(self, cycle: Cycle, nominal: Pair, arena: Arena) -> Answer:
        """What it commands where ``nominal`` is asked, in a cycle whose inputs are all there.

        The own state is predicted to the time at which the command acts under the commands sent before, and the
        opponent's is taken as received, with its age, as the safety node does.
        """
        own, opponent = cycle.own, cycle.opponent
        assert own is not None and opponent is not None
        sent = SentCommands(self._robot.as_array(), self._dt)
        for stamp_ns, v, omega in cycle.before:
            sent.add(stamp_ns, (v, omega))
        age = min(max((cycle.stamp_ns - own.stamp_ns) / 1e9, 0.0), PREDICTION_LIMIT)
        state = np.array(own.state)
        if self.parameters.moves_otherwise:
            state[3:] = sent.velocity(own.stamp_ns)
        ahead = sent.predict(state, own.stamp_ns, age)
        rival = np.array(opponent.state)
        known: dict[str, Any] = {
            "opponent_age": opponent_age(cycle),
            "deviations": own.deviations,
            "opponent_deviations": opponent.deviations,
            "pending": sent.pending(cycle.stamp_ns, age, self._array),
        }
        disturbance = None
        if isinstance(self._filter, HearingFilter):
            self._filter.hear(own.stamp_ns, own.state, sent, self.parameters.moves_otherwise)
            result = self._filter.step(ahead, nominal, rival, arena, **known)
            latest = self._filter.latest
            disturbance = None if latest is None else latest.rows
        else:
            result = self._filter.step(ahead, nominal, rival, arena, **known)
        g, b = self._filter.rows(ahead, rival, arena, **known, disturbance=disturbance)
        return Answer(result.command, int(result.tier), result.reason, result.intervened, g, b)


def opponent_age(cycle: Cycle) -> float:
    """Age [s] of the opponent's state: by receipt, as the status has it, or by stamp where that says nothing."""
    opponent = cycle.opponent
    by_stamp = 0.0 if opponent is None else max((cycle.stamp_ns - opponent.stamp_ns) / 1e9, 0.0)
    logged = cycle.logged.get("opponent_age_ms", np.nan) / 1e3
    return float(logged) if logged >= by_stamp else by_stamp

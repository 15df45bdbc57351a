"""The safety filter with a learned disturbance: RCBF-QP whose rows hold for mean and kappa deviations."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pe_core.arena import Arena
from pe_core.robot import RADIUS, RobotModel, clamp_command
from pe_core.unicycle import arc_step
from pe_safety.disturbance.affine import REST, affine_rows, excess, mean_and_bound, widened
from pe_safety.disturbance.escape import clear_turn, turn_against, turning_round
from pe_safety.disturbance.model import LearnedDisturbance
from pe_safety.filter import INTERVENTION, FilterResult, SafetyFilter, Tier
from pe_safety.ladder import correction_size
from pe_safety.parameters import SafetyParameters

Array = NDArray[np.float64]

TOLERANCE = 2e-3
"""What every bound pays, over the limits, so that the command found need not be the one expected to the last digit."""

ANCHORED, PASSES = 3, 6
"""Solutions of the rows about the command found before; solutions in all."""

UNSETTLED = "at rest and at the command found the process exceeds the rows"
DRIFTING = "drifting while at rest: turning so as to drive against it"

# Drift at rest that counts, and speed at which the robot drives against it, over v_max.
_DRIFTING, _AWAY = 5e-3, 0.5
# Control steps of drift that a robot keeps clear; more to end a turn than to begin one, so that it does not chatter.
_RESERVE, _RESERVE_ESCAPING = 2.0, 8.0
# Control steps after which it looks anew where it drifts; least turn rate that can be learnt, over the limit.
_PATIENCE, _SLOWEST = 60, 0.2
# Control steps at full speed within which a barrier is near.
_NEAR = 4.0
# Turn [rad] below which a robot looks straight against the drift.
_STRAIGHT = 0.1


@dataclasses.dataclass(frozen=True)
class Learned:
    """What the learned disturbance did in the latest control step.

    Attributes:
        rows: the disturbance (3, 6) of the rows that gave the command.
        mean, bound: of the process at the command sent (3,) [m/s, m/s, rad/s], body frame.
        kappa: deviations paid for.
        passes: solutions that were needed.
        settled: the process does not exceed ``rows`` at the command sent.
        escaped: the robot turns because it drifts towards a barrier while at rest.
    """

    rows: Array
    mean: Array
    bound: Array
    kappa: float
    passes: int
    settled: bool
    escaped: bool


class LearnedFilter(SafetyFilter):
    """:class:`SafetyFilter` of a robot whose residuals are learnt.

    One control step at time t_k: :meth:`observe`, :meth:`step`, :meth:`sent`, from one thread; none waits for a refit.

    The rows are affine in the command, the process is not.  They are written about the nominal command; where the
    filter changes it, again about the command found, at most :data:`ANCHORED` times; then the bound is widened at the
    command found until the process does not exceed it there; at last the robot is told to stop, for which
    the rows are exact.  So what is sent meets the rows with the process's own mean and kappa deviations at that
    command, or the tier is not EXACT.

    A robot that does not reverse, faces a wall and drifts towards it while at rest cannot be held by rows; see
    :mod:`pe_safety.disturbance.escape` for what is done.
    """

    def __init__(
        self,
        parameters: SafetyParameters,
        robot: RobotModel,
        opponent: RobotModel | None,
        dt: float,
        learned: LearnedDisturbance,
        turns_round: bool = True,
    ) -> None:
        """As :class:`SafetyFilter`, with the process ``learned`` of the same robot and control period.

        ``turns_round`` False leaves a robot that drifts to its rows, for comparison.
        """
        super().__init__(parameters, robot, opponent, dt)
        self.learned = learned
        self._turns_round = turns_round
        self.latest: Learned | None = None
        self._drift, self._side, self._escape_steps = (0.0, 0.0), 1.0, 0

    def warm_up(self) -> None:
        """Compile (or load from cache) everything that a control step needs; what was learnt is lost."""
        super().warm_up()
        still, pushed = np.zeros(5), np.array([0.01 * self.robot.v_max * self.dt, 0.0, 0.0, 0.0, 0.0])
        self.learned.reset()
        for k, state in enumerate((still, pushed)):
            self.learned.observe(state, k * self.dt)
            self.learned.command(REST)
        after = np.array(arc_step(0.0, 0.0, 0.0, 0.0, 0.0, self.dt))
        side = math.copysign(1.0, turn_against(after[2], 1.0, 0.0))
        obstacles = Arena(100.0, np.zeros((0, 3))).obstacles
        margins, rival = np.zeros(4), float(self._rival[RADIUS])
        where = (np.zeros(5), 100.0, obstacles, margins, self._model, rival)
        turning_round(after, 0.0, 0.0, 1.0, side, 1.0, *where, self.dt)
        clear_turn(still[:3], 0.0, 0.0, 0.0, *where)
        self.learned.reset()

    def observe(self, state: Sequence[float] | Array, stamp: float | None = None) -> Array | None:
        """Take the own state at the start of the step, map frame, and its stamp [s]; the residual if accepted."""
        return self.learned.observe(state, stamp)

    def sent(self, command: Sequence[float] | Array) -> None:
        """Remember what was sent in this step."""
        self.learned.command(command)

    def step(  # type: ignore[override]
        self,
        state: Array | Sequence[float],
        nominal: Array | Sequence[float],
        opponent: Array | Sequence[float] | None,
        arena: Arena,
        **known: Any,
    ) -> FilterResult:
        """Filter one nominal command; ``known`` as :meth:`SafetyFilter.step` takes it, ``disturbance`` excepted."""
        start = time.perf_counter()
        own = np.array(state, dtype=np.float64)
        asked = (float(nominal[0]), float(nominal[1]))
        finite = bool(np.isfinite(own).all()) and math.isfinite(asked[0]) and math.isfinite(asked[1])
        expected = clamp_command(*asked, self._model) if finite else REST
        rows = affine_rows(self.learned, own, expected, TOLERANCE)
        passes, settled, escaped = 1, False, False
        result = super().step(own, asked, opponent, arena, **known, disturbance=rows)
        while finite and passes <= PASSES:
            command = result.command
            missing = excess(rows, self.learned, own, command)
            settled = bool((missing <= 0.0).all())
            if settled or result.tier is not Tier.EXACT or passes == PASSES:
                break
            if passes < ANCHORED:
                rows = affine_rows(self.learned, own, command, TOLERANCE)
            else:
                rows = widened(rows, missing, self.learned, command)
            passes += 1
            # The last one stops the robot: rest is where the rows are exact, whatever they were written about.
            wanted = asked if passes < PASSES else REST
            if passes == PASSES:
                rows = affine_rows(self.learned, own, REST, TOLERANCE)
            result = super().step(own, wanted, opponent, arena, **known, disturbance=rows)
        if finite:
            if not settled and result.tier is Tier.EXACT:
                result = dataclasses.replace(result, tier=Tier.RELAXED, infeasible=True, reason=UNSETTLED)
            aside = self._escape(own, opponent, arena, known, result)
            escaped = aside is not None
            result = aside or result
        mean, bound, _ = mean_and_bound(self.learned, own, result.command)
        self.latest = Learned(rows, mean, bound, self.learned.kappa, passes, settled, escaped)
        # The bound about the mean at the command sent, over one step.
        margins = result.margins | {"disturbance": self.dt * math.hypot(bound[0], bound[1])}
        correction = correction_size(*asked, *result.command, self._model)
        return dataclasses.replace(
            result,
            margins=margins,
            correction=correction,
            intervened=result.tier is not Tier.EXACT or correction > INTERVENTION,
            solve_time=time.perf_counter() - start,
        )

    def _escape(
        self,
        state: Array,
        opponent: Array | Sequence[float] | None,
        arena: Arena,
        known: dict[str, Any],
        result: FilterResult,
    ) -> FilterResult | None:
        """The step against the drift, where after ``result`` the robot could not turn round in time; else None."""
        if self.robot.v_min < 0.0 or not self._turns_round:
            return None
        standing = state.copy()
        standing[3:] = 0.0
        if self._escape_steps % _PATIENCE == 0:
            # Held while the robot turns: what it has seen of one heading says little of the next.
            mean = self.learned.predict(standing, REST).mean
            c, s = math.cos(state[2]), math.sin(state[2])
            self._drift = (c * mean[0] - s * mean[1], s * mean[0] + c * mean[1])
            self._side = math.copysign(1.0, turn_against(state[2], *self._drift))
        drift, side = self._drift, self._side
        if math.hypot(*drift) <= _DRIFTING * self.robot.v_max or not result.barriers:
            self._escape_steps = 0
            return None
        # A robot that turns slower than it is told, as the process has learnt it.
        fastest = self.robot.omega_max
        reached = fastest + side * self.learned.predict(standing, (0.0, side * fastest)).mean[2]
        other = np.zeros(5) if opponent is None else np.asarray(opponent, dtype=np.float64)
        margins = np.array(list(result.barrier_margins.values()))
        least, rate = _DRIFTING * self.robot.v_max, max(reached, _SLOWEST * fastest)
        reserve = self.dt * (_RESERVE_ESCAPING if self._escape_steps else _RESERVE)
        after = np.array(arc_step(state[0], state[1], state[2], *result.command, self.dt))
        after[:2] += self.dt * np.array(drift)
        fixed = (arena.half_side, arena.obstacles, margins, self._model, float(self._rival[RADIUS]), reserve)
        if turning_round(after, *drift, rate, side, least, other, *fixed)[0]:
            self._escape_steps = 0
            return None
        self._escape_steps += 1
        near = _NEAR * self.dt * self.robot.v_max
        turn = clear_turn(state[:3], *drift, near, other, *fixed[:-1])
        spin = turning_round(state[:3], *drift, rate, side, least, other, *fixed)[1] > 0.0
        if not spin:
            against = (_AWAY * self.robot.v_max, turn / self.dt)
            rows = affine_rows(self.learned, state, clamp_command(*against, self._model), TOLERANCE)
            aside = super().step(state, against, opponent, arena, **known, disturbance=rows)
            # Something else is in the way, as in a corner: straight against the drift nothing can be.
            spin, side = aside.tier is not Tier.EXACT and abs(turn) > _STRAIGHT, math.copysign(1.0, turn)
        if spin:
            rate = side * min(fastest, max(abs(turn), _STRAIGHT) / self.dt)
            turning = super().step(state, (0.0, rate), opponent, arena, **known)
            aside = dataclasses.replace(turning, command=(0.0, turning.command[1]))
        return dataclasses.replace(aside, tier=Tier.BACKUP, reason=DRIFTING, barriers=result.barriers)

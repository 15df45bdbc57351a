"""The safety filter: one object for the environment, the safety node and the evaluator."""

from __future__ import annotations

import dataclasses
import enum
import math
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pe_core.arena import Arena
from pe_core.plant import stopping_pose
from pe_core.robot import LAG, RobotModel
from pe_safety import ladder
from pe_safety.barriers import BARRIERS_MAX, ROWS_MAX, barrier_names, barrier_values, bound_rows
from pe_safety.budget import SIZE, TERMS, write_budget
from pe_safety.parameters import SafetyParameters
from pe_safety.pending import PENDING_SIZE, write_limits
from pe_safety.rows import barrier_rows, body_rows

INTERVENTION = 1e-3
CERTAIN = (0.0, 0.0)
"""Deviations of a state that is known exactly."""
REASONS = {
    ladder.NO_REASON: "",
    ladder.BAD_STATE: "own state is not finite",
    ladder.BAD_BARRIER: "a barrier is not finite: positions, radii or ages are too large",
    ladder.BAD_NOMINAL: "nominal command is not finite",
    ladder.BAD_OPPONENT: "opponent state is not finite",
    ladder.NO_COMMAND: "no command meets the control bounds",
    ladder.TURNING: "blocked: turning on the spot as the nominal command asks",
    ladder.UNSAFE_RELAXATION: "the least relaxation would leave the safe set",
    ladder.HOLDING: "the least relaxation would not let it move: nothing falls further instead",
}
"""What the ladder's reasons are called in status and metrics."""


class Tier(enum.IntEnum):
    """Rung of the ladder that gave the command."""

    EXACT = ladder.EXACT
    RELAXED = ladder.RELAXED
    BACKUP = ladder.BACKUP


@dataclasses.dataclass(frozen=True, slots=True)
class FilterResult:
    """What the filter did in one control step.

    Attributes:
        command: (v, omega) [m/s, rad/s], within the robot's limits.
        tier: exact, relaxed or backup.
        barriers: h by name; walls [m], obstacles and opponent [m^2]; NaN where the state is not finite.
        barrier_margins: by the same names what the budget adds to the distance r + d that h keeps [m].
        margins: the budget's terms by name [m] (``pe_safety.budget.TERMS``), then ``arc``, the arc's error of this
            command, and ``disturbance``, the bound about the learned disturbance over one step.
        slack: largest relaxation [m/s] of a row; 0 for tier exact.
        correction: sqrt((dv / v_max)^2 + (domega / omega_max)^2).
        infeasible: no command met every row (tier relaxed, or backup for that reason).
        intervened: the correction exceeds 1e-3, or the tier is not exact.
        solve_time: wall time of the filter [s]; the only thing here that is not a function of the arguments.
        reason: why the tier is backup, or the slack not the least; else empty.
    """

    command: tuple[float, float]
    tier: Tier
    barriers: dict[str, float]
    barrier_margins: dict[str, float]
    margins: dict[str, float]
    slack: float
    correction: float
    infeasible: bool
    intervened: bool
    solve_time: float
    reason: str


class SafetyFilter:
    """Filter of one robot's commands (RCBF-QP with the ladder of module ``ladder``).

    It accepts any floats, NaN and Inf included, never raises for data, holds no clock and no state.
    """

    def __init__(
        self, parameters: SafetyParameters, robot: RobotModel, opponent: RobotModel | None, dt: float
    ) -> None:
        """Filter for ``robot`` against ``opponent`` (None: alone) with control period ``dt`` [s]."""
        self.parameters = parameters
        self.robot = robot
        self.opponent = opponent
        self.dt = dt
        self._model = robot.as_array()
        self._parameters = parameters.as_array(dt)
        self._rival = opponent.as_array() if opponent is not None else np.zeros(len(self._model))
        self._h = np.empty(BARRIERS_MAX)
        self._margins = np.empty(BARRIERS_MAX)
        self._budget = np.empty(SIZE)
        self._undisturbed = np.zeros((3, 4))
        self._limits = np.empty(PENDING_SIZE)
        write_limits(self._model, self._parameters, dt, 0.0, self._limits)

    def warm_up(self) -> None:
        """Compile (or load from cache) everything that a control step needs."""
        arena = Arena(100.0, np.zeros((0, 3)))
        self.step(np.zeros(5), (0.0, 0.0), np.full(5, 50.0) if self.opponent else None, arena)
        self.barriers(np.zeros(5), None, arena)

    def step(
        self,
        state: NDArray[np.float64] | Sequence[float],
        nominal: NDArray[np.float64] | Sequence[float],
        opponent: NDArray[np.float64] | Sequence[float] | None,
        arena: Arena,
        opponent_age: float = 0.0,
        deviations: tuple[float, float] = CERTAIN,
        opponent_deviations: tuple[float, float] = CERTAIN,
        pending: NDArray[np.float64] | None = None,
        disturbance: NDArray[np.float64] | None = None,
    ) -> FilterResult:
        """Filter one nominal command.

        Args:
            state: own (x, y, theta, v, omega) where a command sent now begins to act, map frame
                (``pe_core.plant.state_at_actuation``).
            nominal: (v, omega) [m/s, rad/s].
            opponent: like ``state``; None where there is no opponent to keep clear of.
            arena: walls and obstacles.
            opponent_age: age of the opponent's state [s]; what it may have done since counts as margin.
            deviations, opponent_deviations: of the estimates, position and heading (``pe_core.ekf.deviations``)
                [m, rad]; a deviation that is not finite or negative counts as infinite.
            pending: what the commands sent before will still do (``pe_safety.pending.write_pending``); None: the most
                that the robot's limits allow, from a state without age.
            disturbance: (3, 4), see :func:`pe_safety.rows.barrier_rows`; None: none is known.
        """
        start = time.perf_counter()
        own, other, present = self._inputs(state, opponent)
        self._write_budget(opponent_age, deviations, opponent_deviations, pending)
        drift = self._undisturbed if disturbance is None else np.asarray(disturbance, dtype=np.float64)
        nominal_v, nominal_omega = float(nominal[0]), float(nominal[1])
        count = len(arena.obstacles)
        v, omega, tier, slack, reason = ladder.filter_step(
            own, nominal_v, nominal_omega, other, present, arena.half_side, arena.obstacles, count,
            self._model, self._rival, self._parameters, self._budget, drift, self.dt, self._h, self._margins,
        )  # fmt: skip
        correction = ladder.correction_size(nominal_v, nominal_omega, v, omega, self._model)
        names = barrier_names(count, present)
        terms = dict(zip(TERMS, self._budget.tolist(), strict=False))
        terms["arc"] = 0.5 * self.dt**2 * abs(omega) * math.hypot(v, self.robot.vcp_offset * omega)
        terms["disturbance"] = self.dt * math.hypot(drift[0, 3], drift[1, 3])
        return FilterResult(
            command=(v, omega),
            tier=Tier(tier),
            barriers=dict(zip(names, self._h.tolist(), strict=False)),
            barrier_margins=dict(zip(names, self._margins.tolist(), strict=False)),
            margins=terms,
            slack=slack,
            correction=correction,
            infeasible=ladder.is_infeasible(tier, reason),
            intervened=tier != ladder.EXACT or correction > INTERVENTION,
            solve_time=time.perf_counter() - start,
            reason=REASONS[reason],
        )

    def barriers(
        self,
        state: NDArray[np.float64] | Sequence[float],
        opponent: NDArray[np.float64] | Sequence[float] | None,
        arena: Arena,
        opponent_age: float = 0.0,
        deviations: tuple[float, float] = CERTAIN,
        opponent_deviations: tuple[float, float] = CERTAIN,
        pending: NDArray[np.float64] | None = None,
    ) -> dict[str, float]:
        """Barrier values by name at a state, as :meth:`step` computes them."""
        own, other, present = self._inputs(state, opponent)
        self._write_budget(opponent_age, deviations, opponent_deviations, pending)
        count = len(arena.obstacles)
        stopping_pose(own.copy(), self._model[LAG], own)
        barrier_values(
            own, other, present, arena.half_side, arena.obstacles, count, self._model, self._rival, self._budget,
            self._h, self._margins,
        )  # fmt: skip
        return dict(zip(barrier_names(count, present), self._h.tolist(), strict=False))

    def rows(
        self,
        state: NDArray[np.float64] | Sequence[float],
        opponent: NDArray[np.float64] | Sequence[float] | None,
        arena: Arena,
        opponent_age: float = 0.0,
        deviations: tuple[float, float] = CERTAIN,
        opponent_deviations: tuple[float, float] = CERTAIN,
        pending: NDArray[np.float64] | None = None,
        disturbance: NDArray[np.float64] | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The rows G u <= b of :meth:`step`'s program, shapes (m, 2) and (m,), b [m/s] (of bounds in their own units).

        Rows that no command within the limits can break are left out.  Arguments as for :meth:`step`.
        """
        own, other, present = self._inputs(state, opponent)
        self._write_budget(opponent_age, deviations, opponent_deviations, pending)
        drift = self._undisturbed if disturbance is None else np.asarray(disturbance, dtype=np.float64)
        count, pose = len(arena.obstacles), np.empty(5)
        stopping_pose(own, self._model[LAG], pose)
        scene = (pose, other, present, arena.half_side, arena.obstacles, count, self._model, self._rival)
        barrier_values(*scene, self._budget, self._h, self._margins)
        g, b, owner = np.empty((ROWS_MAX, 2)), np.empty(ROWS_MAX), np.empty(ROWS_MAX, np.int64)
        rest = (self._parameters, self._budget, drift, self.dt, self._h)
        bodies = body_rows(*scene, *rest, g, b, bound_rows(self._model, g, b))
        rows = barrier_rows(*scene, *rest, self._margins, g, b, owner, bodies)
        return g[:rows].copy(), b[:rows].copy()

    def _inputs(
        self,
        state: NDArray[np.float64] | Sequence[float],
        opponent: NDArray[np.float64] | Sequence[float] | None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], bool]:
        own = np.array(state, dtype=np.float64)
        present = opponent is not None and self.opponent is not None
        other = np.array(opponent, dtype=np.float64) if present else np.zeros(5)
        return own, other, present

    def _write_budget(
        self,
        age: float,
        deviations: tuple[float, float],
        opponent_deviations: tuple[float, float],
        pending: NDArray[np.float64] | None,
    ) -> None:
        age = max(age, 0.0) if math.isfinite(age) else math.inf
        write_budget(
            self._model, self._rival, self._parameters, usable(deviations), usable(opponent_deviations),
            self._limits if pending is None else pending, age, self.dt, self._budget,
        )  # fmt: skip


def usable(values: tuple[float, float]) -> tuple[float, float]:
    """Deviations of an estimate; one that is not finite or negative counts as infinite."""
    position, heading = float(values[0]), float(values[1])
    return (
        position if position >= 0.0 and math.isfinite(position) else math.inf,
        heading if heading >= 0.0 and math.isfinite(heading) else math.inf,
    )

"""The safety filter: one object for the environment, the safety node and the evaluator."""

from __future__ import annotations

import dataclasses
import enum
import math
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pe_core.arena import OBSTACLES_MAX, Arena
from pe_core.plant import stopping_pose
from pe_core.robot import LAG, RobotModel
from pe_safety import ladder
from pe_safety.barriers import BARRIERS_MAX, barrier_names, barrier_values, reaction_margin
from pe_safety.parameters import SafetyParameters

INTERVENTION = 1e-3
_REASONS = {
    ladder.NO_REASON: "",
    ladder.BAD_STATE: "own state is not finite",
    ladder.BAD_BARRIER: "a barrier is not finite: positions, radii or ages are too large",
    ladder.BAD_NOMINAL: "nominal command is not finite",
    ladder.BAD_OPPONENT: "opponent state is not finite",
    ladder.NO_COMMAND: "no command meets the control bounds",
    ladder.TURNING: "blocked: turning on the spot as the nominal command asks",
    ladder.UNSAFE_RELAXATION: "the least relaxation would leave the safe set",
}


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
        slack: largest relaxation [m/s] of a row; 0 for tier exact.
        correction: sqrt((dv / v_max)^2 + (domega / omega_max)^2).
        infeasible: no command met every row (tier relaxed, or backup for that reason).
        intervened: the correction exceeds 1e-3, or the tier is not exact.
        solve_time: wall time of the filter [s]; the only thing here that is not a function of the arguments.
        reason: why the tier is backup, else empty.
    """

    command: tuple[float, float]
    tier: Tier
    barriers: dict[str, float]
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
        self._opponent_radius = opponent.radius if opponent is not None else 0.0
        self._opponent_speed = max(opponent.v_max, -opponent.v_min) if opponent is not None else 0.0
        self._reaction = reaction_margin(self._model, opponent.as_array()) if opponent is not None else 0.0
        self._h = np.empty(BARRIERS_MAX)
        self._obstacles = np.zeros((OBSTACLES_MAX, 3))

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
    ) -> FilterResult:
        """Filter one nominal command.

        Args:
            state: own (x, y, theta, v, omega) where a command sent now begins to act, map frame
                (``pe_core.plant.state_at_actuation``).
            nominal: (v, omega) [m/s, rad/s].
            opponent: like ``state``; None where there is no opponent to keep clear of.
            arena: walls and obstacles.
            opponent_age: age of the opponent's state [s]; its circle grows by its highest speed * age.
        """
        start = time.perf_counter()
        own, other, present, margin = self._inputs(state, opponent, opponent_age)
        nominal_v, nominal_omega = float(nominal[0]), float(nominal[1])
        count = len(arena.obstacles)
        v, omega, tier, slack, reason = ladder.filter_step(
            own, nominal_v, nominal_omega, other, present, margin, arena.half_side, arena.obstacles, count,
            self._model, self._opponent_radius, self._parameters, self.dt, self._h,
        )  # fmt: skip
        correction = ladder.correction_size(nominal_v, nominal_omega, v, omega, self._model)
        names = barrier_names(count, present)
        return FilterResult(
            command=(v, omega),
            tier=Tier(tier),
            barriers=dict(zip(names, self._h.tolist(), strict=False)),
            slack=slack,
            correction=correction,
            infeasible=ladder.is_infeasible(tier, reason),
            intervened=tier != ladder.EXACT or correction > INTERVENTION,
            solve_time=time.perf_counter() - start,
            reason=_REASONS[reason],
        )

    def barriers(
        self,
        state: NDArray[np.float64] | Sequence[float],
        opponent: NDArray[np.float64] | Sequence[float] | None,
        arena: Arena,
        opponent_age: float = 0.0,
    ) -> dict[str, float]:
        """Barrier values by name at a state, as :meth:`step` computes them."""
        own, other, present, margin = self._inputs(state, opponent, opponent_age)
        count = len(arena.obstacles)
        stopping_pose(own.copy(), self._model[LAG], own)
        barrier_values(
            own, other, present, margin, arena.half_side, arena.obstacles, count, self._model,
            self._opponent_radius, self.parameters.margin, self._h,
        )  # fmt: skip
        return dict(zip(barrier_names(count, present), self._h.tolist(), strict=False))

    def _inputs(
        self,
        state: NDArray[np.float64] | Sequence[float],
        opponent: NDArray[np.float64] | Sequence[float] | None,
        opponent_age: float,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], bool, float]:
        own = np.array(state, dtype=np.float64)
        present = opponent is not None and self.opponent is not None
        other = np.array(opponent, dtype=np.float64) if present else np.zeros(5)
        age = opponent_age if math.isfinite(opponent_age) else math.inf
        return own, other, present, self._reaction + self._opponent_speed * max(age, 0.0)

"""The warning beside the filter: how near a state is to having no feasible QP."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pe_core.arena import Arena
from pe_core.plant import stopping_pose
from pe_core.robot import LAG, RobotModel
from pe_safety.budget import SIZE as BUDGET_SIZE
from pe_safety.budget import write_budget
from pe_safety.feasibility.features import SIZE, write_features
from pe_safety.feasibility.model import FeasibilityModel
from pe_safety.filter import CERTAIN, usable
from pe_safety.parameters import SafetyParameters
from pe_safety.pending import PENDING_SIZE, write_limits


class FeasibilityObserver:
    """Warning margins H_1 of one robot; call it after the command is sent, so that it delays none.

    Like the filter it accepts any floats and never raises for data; what is not finite gives NaN.
    """

    def __init__(
        self,
        model: FeasibilityModel,
        parameters: SafetyParameters,
        robot: RobotModel,
        opponent: RobotModel | None,
        dt: float,
    ) -> None:
        """Observer beside a filter of the same ``parameters``, ``robot``, ``opponent`` and period ``dt`` [s]."""
        self.model = model
        self.dt = dt
        self._known = opponent is not None
        self._own = robot.as_array()
        self._rival = self._own if opponent is None else opponent.as_array()
        self._parameters = parameters.as_array(dt)
        self._budget, self._limits = np.empty(BUDGET_SIZE), np.empty(PENDING_SIZE)
        write_limits(self._own, self._parameters, dt, 0.0, self._limits)
        self._pose = np.empty(5)
        self._features = np.empty(SIZE)

    def warm_up(self) -> None:
        """Compile (or load from cache) everything that a call needs."""
        self.margin(np.zeros(5), np.full(5, 50.0) if self._known else None, Arena(100.0, np.zeros((0, 3))))

    def margin(
        self,
        state: NDArray[np.float64] | Sequence[float],
        opponent: NDArray[np.float64] | Sequence[float] | None,
        arena: Arena,
        opponent_age: float = 0.0,
        deviations: tuple[float, float] = CERTAIN,
        opponent_deviations: tuple[float, float] = CERTAIN,
        pending: NDArray[np.float64] | None = None,
    ) -> float:
        """H_1(x), negative where the filter will probably find no command; arguments as ``SafetyFilter.step``."""
        own = np.array(state, dtype=np.float64)
        present = opponent is not None and self._known
        other = np.array(opponent, dtype=np.float64) if present else np.zeros(5)
        if not (np.isfinite(own).all() and np.isfinite(other).all()):
            return math.nan
        age = max(opponent_age, 0.0) if math.isfinite(opponent_age) else math.inf
        write_budget(
            self._own, self._rival, self._parameters, usable(deviations), usable(opponent_deviations),
            self._limits if pending is None else pending, age, self.dt, self._budget,
        )  # fmt: skip
        stopping_pose(own, self._own[LAG], self._pose)
        write_features(
            self._pose, other, present, arena.half_side, arena.obstacles, len(arena.obstacles), self._own, self._rival,
            self._parameters, self._budget, self.dt, self._features,
        )  # fmt: skip
        margin = self.model.warning(self._features)
        return margin if math.isfinite(margin) else math.nan

    def probability(self, margin: float) -> float:
        """P(infeasible within the horizon) of an H_1 that :meth:`margin` gave."""
        return 1.0 / (1.0 + math.exp(min(max(margin - self.model.alarm, -700.0), 700.0)))

"""What a commanded robot does: truncation, limits, dead time, first-order lag, exact arcs.

One control period is cut into substeps in which the velocity is constant; the lag is the exact solution of
v' = (v_command - v) / lag over each substep.  Without delay and lag one step is one exact arc.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pe_core.robot import DELAY, LAG, RobotModel, executed_command
from pe_core.unicycle import arc_step

SUBSTEPS = 10
HISTORY = 64


@njit(cache=True)
def plant_step(
    state: NDArray[np.float64], history: NDArray[np.float64], model: NDArray[np.float64], dt: float
) -> None:
    """Advance ``state`` (x, y, theta, v, omega) by ``dt`` [s] in place.

    Args:
        state: shape (5,); after the call (v, omega) is the velocity at the end of the step.
        history: executed commands (v, omega), newest first, shape (HISTORY, 2), one per control step.
        model: ``RobotModel.as_array()``.
        dt: control period [s]; the delay may be any fraction of it.
    """
    lag = model[LAG]
    delay = model[DELAY]
    if lag == 0.0 and delay == 0.0:
        state[3] = history[0, 0]
        state[4] = history[0, 1]
        state[0], state[1], state[2] = arc_step(state[0], state[1], state[2], state[3], state[4], dt)
        return
    h = dt / SUBSTEPS
    keep = math.exp(-h / lag) if lag > 0.0 else 0.0
    for k in range(SUBSTEPS):
        behind = delay - (k + 0.5) * h
        index = 0 if behind <= 0.0 else min(int(behind / dt) + 1, history.shape[0] - 1)
        state[3] = history[index, 0] + keep * (state[3] - history[index, 0])
        state[4] = history[index, 1] + keep * (state[4] - history[index, 1])
        state[0], state[1], state[2] = arc_step(state[0], state[1], state[2], state[3], state[4], h)


class Plant:
    """One simulated robot: holds its state and the commands that are still on their way."""

    def __init__(self, model: RobotModel, pose: NDArray[np.float64]) -> None:
        self.model = model
        self._array = model.as_array()
        self.state = np.zeros(5)
        self._history = np.zeros((HISTORY, 2))
        self.reset(pose)

    def reset(self, pose: NDArray[np.float64]) -> None:
        """Stand still at ``pose`` (x, y, theta) with no command on its way."""
        self.state[:3] = pose
        self.state[3:] = 0.0
        self._history[:] = 0.0

    def step(self, command: tuple[float, float] | NDArray[np.float64], dt: float) -> NDArray[np.float64]:
        """Advance ``dt`` [s] under ``command`` (v, omega); returns the state (x, y, theta, v, omega)."""
        self._history[1:] = self._history[:-1]
        self._history[0] = executed_command(command[0], command[1], self._array)
        plant_step(self.state, self._history, self._array, dt)
        return self.state

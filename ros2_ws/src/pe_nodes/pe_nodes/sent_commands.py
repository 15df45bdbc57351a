"""The commands that were sent, for predicting what a robot that answers late still does; pure."""

from __future__ import annotations

import math
from collections import deque

import numpy as np
from numpy.typing import NDArray

from pe_core.plant import HISTORY, state_at_actuation
from pe_core.robot import DELAY

OLDEST = 0.5


class SentCommands:
    """The newest commands with the stamps [ns] at which they were sent."""

    def __init__(self, model: NDArray[np.float64], dt: float) -> None:
        """For a robot with ``RobotModel.as_array()`` ``model`` and control period ``dt`` [s]."""
        self._model = model
        self._dt = dt
        # What may still act on a state as old as the longest timeout.
        rows = min(HISTORY, math.ceil((model[DELAY] + OLDEST) / dt) + 2)
        self._sent: deque[tuple[int, float, float]] = deque(maxlen=HISTORY)
        self._history = np.zeros((rows, 2))

    def warm_up(self) -> None:
        """Compile (or load from cache) what a prediction needs."""
        self.predict(np.zeros(5), 0, 0.0)

    def clear(self) -> None:
        """Forget everything: the robot stands still."""
        self._sent.clear()

    def add(self, stamp_ns: int, command: tuple[float, float]) -> None:
        """Note a command (v, omega); one that replaces another of the same stamp takes its place."""
        if self._sent and self._sent[0][0] >= stamp_ns:
            self._sent[0] = (self._sent[0][0], *command)
        else:
            self._sent.appendleft((stamp_ns, *command))

    def predict(self, state: NDArray[np.float64], stamp_ns: int, age: float) -> NDArray[np.float64]:
        """The state (5,) at which a command sent ``age`` [s] after ``stamp_ns`` begins to act.

        The robot's dead time and lag apply; before the oldest command it stood still.
        """
        out = np.empty(5)
        newest = self._sent[0][0] if self._sent else stamp_ns
        self._fill(newest)
        since = (stamp_ns - newest) / 1e9
        state_at_actuation(np.asarray(state, dtype=np.float64), self._history, self._model, self._dt, since, age, out)
        return out

    def _fill(self, newest: int) -> None:
        # One row a period, newest first, as the plant wants them: what was in force at that time.
        self._history[:] = 0.0
        entries = iter(self._sent)
        entry = next(entries, None)
        for row in range(len(self._history)):
            at = newest - round(row * self._dt * 1e9)
            while entry is not None and entry[0] > at:
                entry = next(entries, None)
            if entry is None:
                return
            self._history[row] = entry[1:]

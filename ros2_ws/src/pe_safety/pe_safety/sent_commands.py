"""The commands that were sent, for predicting what a robot that answers late still does; pure."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from pe_core.plant import HISTORY, advance, state_at_actuation
from pe_safety.parameters import SafetyParameters
from pe_safety.pending import PENDING_SIZE, write_pending


class SentCommands:
    """The newest commands with the stamps [ns] at which they were sent."""

    def __init__(self, model: NDArray[np.float64], dt: float) -> None:
        """For a robot with ``RobotModel.as_array()`` ``model`` and control period ``dt`` [s]."""
        self._model = model
        self._dt = dt
        self._sent: deque[tuple[int, float, float]] = deque(maxlen=HISTORY)
        self._history = np.zeros((HISTORY, 2))
        self._filled = False

    def warm_up(self) -> None:
        """Compile (or load from cache) what a prediction needs."""
        self.predict(np.zeros(5), 0, 0.0)
        self.pending(0, 0.0, SafetyParameters().as_array(self._dt))

    def clear(self) -> None:
        """Forget everything: the robot stands still."""
        self._sent.clear()
        self._filled = False

    def add(self, stamp_ns: int, command: tuple[float, float]) -> None:
        """Note a command (v, omega); one that replaces another of the same stamp takes its place."""
        self._filled = False
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

    def velocity(self, stamp_ns: int) -> tuple[float, float]:
        """The model's velocity (v, omega) at ``stamp_ns`` under the commands sent before."""
        newest = self._sent[0][0] if self._sent else stamp_ns
        self._fill(newest)
        # Nothing older than the history can still be felt.
        span = (len(self._history) - 1) * self._dt
        state = np.zeros(5)
        advance(state, self._history, self._model, self._dt, -span, span + (stamp_ns - newest) / 1e9)
        return float(state[3]), float(state[4])

    @property
    def empty(self) -> bool:
        """Nothing was sent since :meth:`clear`."""
        return not self._sent

    def history(self) -> NDArray[np.float64]:
        """What was in force (K, 2), one row a control period, newest first."""
        self._fill(self._sent[0][0] if self._sent else 0)
        return self._history.copy()

    def pending(self, now_ns: int, age: float, parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        """What these commands will still do (``pe_safety.pending``), seen at ``now_ns`` from a state ``age`` [s] old,
        under ``SafetyParameters.as_array()``."""
        newest = self._sent[0][0] if self._sent else now_ns
        self._fill(newest)
        out = np.empty(PENDING_SIZE)
        since = max((now_ns - newest) / 1e9, 0.0)
        write_pending(self._history, since, age, self._model, parameters, self._dt, out)
        return out

    def _fill(self, newest: int) -> None:
        # One row a period, newest first, as the plant wants them: what was in force at that time.
        if self._filled:
            return
        self._history[:], self._filled = 0.0, True
        entries = iter(self._sent)
        entry = next(entries, None)
        for row in range(len(self._history)):
            at = newest - round(row * self._dt * 1e9)
            while entry is not None and entry[0] > at:
                entry = next(entries, None)
            if entry is None:
                return
            self._history[row] = entry[1:]

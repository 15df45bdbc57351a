"""Warnings of infeasible states beside episodes in process; what they mean stands in ``metrics``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pe_evaluation.metrics import foreseen
from pe_safety.closed_loop import INFEASIBLE, Games
from pe_safety.feasibility.model import FeasibilityModel


class Watch:
    """The boundary's word on every state of a batch: :meth:`look` before each step, :meth:`note` after it."""

    def __init__(self, games: Games, model: FeasibilityModel) -> None:
        """Watch ``games`` by the boundary ``model``; both robots behind a filter."""
        self._games, self._model = games, model
        shape = (len(games.states), 2, games.config.max_steps)
        self._warned, self._infeasible = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
        self._rows = games.active
        self._before: NDArray[np.int64] = games.counts[:, :, INFEASIBLE]

    def look(self) -> None:
        """Judge the states on which the filters are about to decide."""
        games = self._games
        self._rows, self._before = games.active, games.counts[games.active, :, INFEASIBLE]
        self._warned[self._rows, :, games.steps[self._rows]] = games.feasibility(self._model) < 0.0

    def note(self) -> None:
        """What the filters did there."""
        games, rows = self._games, self._rows
        self._infeasible[rows, :, games.steps[rows] - 1] = games.counts[rows, :, INFEASIBLE] > self._before

    def counts(self, game: int, robot: int) -> tuple[int, int]:
        """(cycles warned, cycles foreseen) of one robot in one game."""
        warned = self._warned[game, robot]
        return int(warned.sum()), foreseen(warned, self._infeasible[game, robot])

"""The episodes of a comparison as arrays, by stratum: one cell, one seed, the same episodes for every approach.

An estimate over several cells is the mean of the cells' means: every cell counts the same, whatever was played in it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pe_evaluation.comparison.plan import IDEAL, RANDOMISED, Cell, Plan

Stratum = tuple[Cell, int]
Row = dict[str, Any]


class Results:
    """Rows of a store, those of drawn starts, by approach and stratum, episodes in order from 0."""

    def __init__(self, plan: Plan, rows: Iterable[Row]) -> None:
        self.plan = plan
        self._rows: dict[tuple[str, Stratum], list[Row]] = {}
        self.scenarios: list[Row] = []
        for row in rows:
            if row["scenario"] != "random":
                self.scenarios.append(row)
                continue
            cell = Cell(row["world"], row["evader"], float(row["speed_ratio"]))
            self._rows.setdefault((row["approach"], (cell, int(row["seed"]))), []).append(row)
        for found in self._rows.values():
            found.sort(key=lambda row: row["episode"])

    def strata(self, approaches: Sequence[str], world: str = IDEAL) -> list[Stratum]:
        """The strata that all of ``approaches`` have played in ``world``, in the plan's order."""
        cells = [cell for cell in self.plan.all_cells() if cell.world == world]
        found = [(cell, seed) for cell in cells for seed in self.plan.seeds]
        return [stratum for stratum in found if all((name, stratum) in self._rows for name in approaches)]

    def worlds(self, approach: str) -> list[str]:
        """The worlds in which ``approach`` was played."""
        return [world for world in (IDEAL, RANDOMISED) if self.strata([approach], world)]

    def rows(self, approach: str, stratum: Stratum) -> list[Row]:
        """Its episodes there."""
        return self._rows.get((approach, stratum), [])

    def all_rows(self, approach: str, world: str = IDEAL) -> list[Row]:
        """Its episodes in ``world``."""
        return [row for stratum in self.strata([approach], world) for row in self.rows(approach, stratum)]

    def paired(
        self, approaches: Sequence[str], metric: str, strata: Sequence[Stratum]
    ) -> list[NDArray[np.float64]]:
        """Of each stratum the values (n, approaches) in the episodes that all have played; NaN for a reason."""
        out = []
        for stratum in strata:
            columns = [[number(row[metric]) for row in self.rows(name, stratum)] for name in approaches]
            n = min(map(len, columns))
            out.append(np.array([column[:n] for column in columns]).T.reshape(n, len(approaches)))
        return out


def number(value: Any) -> float:
    """A metric as a number; NaN where it is a reason."""
    return math.nan if value is None or isinstance(value, str) else float(value)


def reasons(values: Iterable[Any]) -> str:
    """The reasons among ``values``, joined; empty where there are none."""
    return ", ".join(sorted({value for value in values if isinstance(value, str)}))


def cell_weights(strata: Sequence[Stratum]) -> NDArray[np.float64]:
    """Weights (S,) of the strata's means, so that every cell counts the same."""
    cells = [cell for cell, _ in strata]
    return np.array([1.0 / cells.count(cell) for cell in cells]) / max(len(set(cells)), 1)

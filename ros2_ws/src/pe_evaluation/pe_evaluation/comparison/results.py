"""The episodes of a comparison as arrays, by stratum: one cell, one seed, the same episodes for every approach.

An estimate over several cells is the mean of the cells' means: every cell counts the same, whatever was played in it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pe_evaluation.comparison.plan import Cell, Plan, cell_of

Stratum = tuple[Cell, int]
Row = dict[str, Any]


class Results:
    """Rows of a store, those of drawn starts, by approach and stratum, in the order of episodes.

    What is one episode for several approaches: rows with the same ``pair``, or where they have none, the same number.
    """

    def __init__(self, plan: Plan, rows: Iterable[Row]) -> None:
        self.plan = plan
        self._rows: dict[tuple[str, Stratum], list[Row]] = {}
        self.scenarios: list[Row] = []
        self._shared: dict[tuple[tuple[str, ...], Stratum], list[Any]] = {}
        for row in rows:
            cell = cell_of(row)
            if cell is None:
                self.scenarios.append(row)
                continue
            self._rows.setdefault((row["approach"], (cell, int(row["seed"]))), []).append(row)
        for found in self._rows.values():
            found.sort(key=lambda row: row["episode"])

    def strata(self, approaches: Sequence[str], world: str | None = None) -> list[Stratum]:
        """The strata in ``world`` (the plan's) with episodes that all ``approaches`` have played, in its order."""
        wanted = self.plan.world if world is None else world
        cells = [cell for cell in self.plan.all_cells() if cell.world == wanted]
        found = [(cell, seed) for cell in cells for seed in self.plan.seeds]
        return [stratum for stratum in found if self._together(approaches, stratum)]

    def _together(self, approaches: Sequence[str], stratum: Stratum) -> list[Any]:
        """What names the episodes that all of ``approaches`` have, in the order of the first's."""
        asked = (tuple(approaches), stratum)
        if asked not in self._shared:
            first, *others = (dict.fromkeys(map(_pair, self.rows(name, stratum))) for name in approaches)
            self._shared[asked] = [key for key in first if all(key in other for other in others)]
        return self._shared[asked]

    def worlds(self, approach: str) -> list[str]:
        """The worlds in which ``approach`` was played."""
        return [world for world in self.plan.worlds if self.strata([approach], world)]

    def rows(self, approach: str, stratum: Stratum) -> list[Row]:
        """Its episodes there."""
        return self._rows.get((approach, stratum), [])

    def all_rows(self, approach: str, world: str | None = None) -> list[Row]:
        """Its episodes in ``world`` (the plan's)."""
        return [row for stratum in self.strata([approach], world) for row in self.rows(approach, stratum)]

    def paired(
        self, approaches: Sequence[str], metric: str, strata: Sequence[Stratum]
    ) -> list[NDArray[np.float64]]:
        """Of each stratum the values (n, approaches) in the episodes that all have played; NaN for a reason."""
        out = []
        for stratum in strata:
            keys = self._together(approaches, stratum)
            found = [{_pair(row): number(row[metric]) for row in self.rows(name, stratum)} for name in approaches]
            values = [[column[key] for column in found] for key in keys]
            out.append(np.array(values, dtype=np.float64).reshape(len(keys), len(approaches)))
        return out


def _pair(row: Row) -> Any:
    return row.get("pair", row["episode"])


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

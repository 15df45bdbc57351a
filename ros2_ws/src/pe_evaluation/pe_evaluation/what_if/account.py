"""How far two mechanisms differ over the cycles of a run, robot by robot."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pe_evaluation.audit.cycle import TOLERANCE
from pe_evaluation.metrics import EXACT, TIERS
from pe_evaluation.what_if.replay import Steps
from pe_safety.filter import INTERVENTION

BREAKS = 1e-6
"""By how much [m/s] a row is exceeded at least that counts as broken."""
Array = NDArray[np.float64]


class Tally:
    """Sums over the episodes of one robot; of a step 14 numbers stay in memory.

    ``tolerance``: length of a difference in (v / v_max, omega / omega_max) from which on two commands differ.
    """

    def __init__(self, role: str, tolerance: float = INTERVENTION) -> None:
        self.role, self.tolerance = role, tolerance
        self.skipped: Counter[str] = Counter()
        self.episodes: list[dict[str, Any]] = []
        self._kept: dict[str, list[Array]] = {}

    def add(self, steps: Steps) -> None:
        """Take one episode."""
        self.skipped.update(steps.skipped)
        gap = steps.other - steps.recorded
        apart = differing(steps, self.tolerance)
        for name, values in (
            ("gap", gap),
            ("apart", apart.astype(float)),
            ("again", np.abs(steps.again - steps.recorded).max(axis=1, initial=-np.inf)),
            ("recorded_tier", steps.recorded_tier),
            ("other_tier", steps.other_tier),
            ("recorded_intervened", steps.recorded_intervened),
            ("other_intervened", steps.other_intervened),
            ("recorded_excess", steps.recorded_excess),
            ("other_excess", steps.other_excess),
        ):
            self._kept.setdefault(name, []).append(np.asarray(values))
        first = np.flatnonzero(apart)
        self.episodes.append(
            {
                "episode": steps.episode,
                "steps": len(steps),
                "different": int(apart.sum()),
                "first_difference_s": float(steps.time[first[0]]) if len(first) else None,
                "max_v": float(np.abs(gap[:, 0]).max(initial=0.0)),
                "max_omega": float(np.abs(gap[:, 1]).max(initial=0.0)),
            }
        )

    def _all(self, name: str) -> Array:
        parts = self._kept.get(name)
        return np.concatenate(parts) if parts else np.empty((0, 2) if name == "gap" else 0)

    def as_json(self) -> dict[str, Any]:
        """For ``--json``; what is not known is null."""
        gap = np.abs(self._all("gap"))
        tiers = self._all("recorded_tier"), self._all("other_tier")
        again = self._all("again")
        steps = len(gap)
        return {
            "steps": steps,
            "skipped": dict(self.skipped.most_common()),
            "v": _spread(gap[:, 0]),
            "omega": _spread(gap[:, 1]),
            "tolerance": self.tolerance,
            "different": int(self._all("apart").sum()),
            "different_rate": float(self._all("apart").mean()) if steps else None,
            "recorded": {
                "interventions": _count(self._all("recorded_intervened")),
                "tiers": _tiers(tiers[0]),
                "breaks_rows_of_other": _breaks(self._all("recorded_excess"), tiers[1]),
                "again_max_difference": float(np.nanmax(again)) if np.isfinite(again).any() else None,
                "reproduced": bool(np.nanmax(again) <= TOLERANCE) if np.isfinite(again).any() else None,
            },
            "other": {
                "interventions": _count(self._all("other_intervened")),
                "tiers": _tiers(tiers[1]),
                "breaks_rows_of_recorded": _breaks(self._all("other_excess"), tiers[0]),
            },
            "episodes": self.episodes,
        }


def differing(steps: Steps, tolerance: float) -> NDArray[np.bool_]:
    """The steps (n,) in which both commands differ by more than ``tolerance`` of the limits."""
    gap = (steps.other - steps.recorded) / [steps.robot.v_max, steps.robot.omega_max]
    return np.asarray(np.hypot(gap[:, 0], gap[:, 1]) > tolerance)


def _spread(values: Array) -> dict[str, float | None]:
    if not len(values):
        return {"mean": None, "p95": None, "max": None}
    return {
        "mean": float(values.mean()),
        "p95": float(np.quantile(values, 0.95)),
        "max": float(values.max()),
    }


def _count(flags: Array) -> int | None:
    known = flags[np.isfinite(flags)]
    return int((known > 0.5).sum()) if len(known) == len(flags) else None


def _tiers(tiers: Array) -> dict[str, int] | None:
    if (tiers < 0).any():
        return None
    return {name: count for i, name in enumerate(TIERS) if (count := int((tiers == i).sum()))}


def _breaks(excess: Array, tiers: Array) -> dict[str, Any] | None:
    """Steps whose command exceeds the rows, those of them in which the rows' own mechanism meets them, the largest."""
    if not np.isfinite(excess).all() or not len(excess):
        return None
    broken = excess > BREAKS
    return {
        "steps": int(broken.sum()),
        "where_they_can_be_met": int((broken & (tiers == EXACT)).sum()),
        "max_excess": max(float(excess.max()), 0.0),
    }

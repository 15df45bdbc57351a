"""What an approach did where in the arena, and how its margins and commands are spread; sums that can be added up.

Arrays of a map (``GRID`` x ``GRID``, [column x, row y] over position / half_side in [-1, 1], of the pursuer's centre):

    visits, violations, interventions, infeasible     control steps
    margin_sum [m], margin_least [m]                  of the pursuer's body (+inf where it never was)
    correction_sum                                    size of the correction, dimensionless
    correction_v, correction_omega                    signed sums of the correction, over v_max, omega_max

and histograms (counts): ``margin`` over ``MARGIN_EDGES`` [m], of all samples; ``nominal`` and ``executed`` (2, BINS):
v / v_max and omega / omega_max over ``ACTION_EDGES``; values beyond an end are in the last bin there.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pe_evaluation.comparison.episode import corrections
from pe_evaluation.comparison.playing import Played

GRID, BINS = 40, 80
MARGIN_EDGES = np.concatenate([[-0.5], np.linspace(0.0, 0.5, 51), np.linspace(0.6, 10.0, 48)])
ACTION_EDGES = np.linspace(-1.0, 1.0, BINS + 1)
LEAST = "margin_least"

Maps = dict[str, NDArray[np.float64]]


def empty() -> Maps:
    """Maps of nothing."""
    names = (
        "visits", "violations", "interventions", "infeasible", "margin_sum", "correction_sum", "correction_v",
        "correction_omega",
    )  # fmt: skip
    maps = {name: np.zeros((GRID, GRID)) for name in names}
    maps[LEAST] = np.full((GRID, GRID), np.inf)
    maps["margin"] = np.zeros(len(MARGIN_EDGES) - 1)
    maps["nominal"], maps["executed"] = np.zeros((2, BINS)), np.zeros((2, BINS))
    return maps


def add_episode(maps: Maps, played: Played) -> None:
    """Count one episode in, in place."""
    track, change = played.track, corrections(played)[:, 0]
    place = track.poses[1:, 0, :2] / track.arena.half_side
    cells = np.clip(((place + 1.0) * 0.5 * GRID).astype(np.int64), 0, GRID - 1)
    where = cells[:, 0] * GRID + cells[:, 1]
    margins = track.margins[1:, 0]
    sums = {
        "visits": np.ones(len(where)),
        "violations": (margins <= 0.0).astype(np.float64),
        "interventions": played.intervened[:, 0].astype(np.float64),
        "infeasible": played.infeasible[:, 0].astype(np.float64),
        "margin_sum": margins,
        "correction_sum": np.hypot(change[:, 0], change[:, 1]),
        "correction_v": change[:, 0],
        "correction_omega": change[:, 1],
    }
    for name, values in sums.items():
        maps[name] += np.bincount(where, values, GRID * GRID).reshape(GRID, GRID)
    np.minimum.at(maps[LEAST].reshape(-1), where, margins)
    maps["margin"] += _histogram(track.margins[:, 0], MARGIN_EDGES)
    for key, commands in (("nominal", track.nominal), ("executed", track.command)):
        for axis in range(2):
            maps[key][axis] += _histogram(commands[:, 0, axis] / played.limits[0, axis], ACTION_EDGES)


def add(maps: Maps, more: Mapping[str, NDArray[np.float64]]) -> None:
    """Add ``more`` to ``maps``, in place."""
    for name in maps:
        if name == LEAST:
            np.minimum(maps[name], more[name], out=maps[name])
        else:
            maps[name] += more[name]


def _histogram(values: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    inside = np.clip(values, edges[0], edges[-1])
    return np.histogram(inside, edges)[0].astype(np.float64)

"""The margin budget over a run: how large each term was, and when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pe_evaluation.figures import COLOURS, FAINT, STYLE
from pe_evaluation.game_log import Status
from pe_evaluation.metrics import ROLES, finite
from pe_evaluation.recorded import Trace

MEANING = {
    "constant": "constant addition",
    "vcp": "control point ahead of the axle",
    "state": "own position, as uncertain as the estimate says",
    "heading": "control point swung by a wrong heading",
    "delay": "commands that act earlier or later than modelled",
    "lag": "rolling on for longer than modelled",
    "acceleration": "ramps of limited acceleration",
    "gain": "commands on their way that do more than they say",
    "path": "the way to the stopping pose, and to its side",
    "map": "walls and obstacles beside their place in the map",
    "opponent_state": "the opponent's position, as uncertain as its estimate says",
    "opponent_age": "what the opponent did since its state's stamp, at most",
    "opponent_reaction": "what it does before it can be told to stop, at most",
    "arc": "Euler step against true arc, of this command",
    "disturbance": "learned disturbance, its bound over one step",
}
"""Every term of the budget, in words."""
_KEY = "margin/"
_KEPT = 20_000
_TERM_COLOURS = {
    "constant": "#555555", "vcp": "#D9D6CE", "state": "#0072B2", "heading": "#56B4E9", "delay": "#E69F00",
    "lag": "#D55E00", "acceleration": "#8C564B", "gain": "#F0E442", "path": "#009E73", "map": "#7A9A01",
    "opponent_state": "#CC79A7", "opponent_age": "#882255", "opponent_reaction": "#DDA0C8", "arc": "#222222",
    "disturbance": "#661100",
}  # fmt: skip


def terms_of(status: Status) -> dict[str, NDArray[np.float64]]:
    """Every logged term by name, shape (n,) [mm]; NaN in cycles without the filter."""
    return {key[len(_KEY) :]: 1e3 * column for key, column in status.values.items() if key.startswith(_KEY)}


class MarginTerms:
    """Medians and maxima of every term and robot, gathered part by part.

    The median is that of at most 20,000 cycles, evenly spread over the run; the maximum that of all.
    """

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], list[float]] = {}
        self._strides: dict[tuple[str, str], int] = {}
        self._seen: dict[tuple[str, str], int] = {}
        self._largest: dict[tuple[str, str], float] = {}

    def add(self, role: str, status: Status) -> None:
        """Take the cycles of one robot."""
        for term, column in terms_of(status).items():
            known = column[np.isfinite(column)]
            if not known.size:
                continue
            key = (term, role)
            self._largest[key] = max(self._largest.get(key, 0.0), float(known.max()))
            values, seen = self._values.setdefault(key, []), self._seen.get(key, 0)
            stride = self._strides.setdefault(key, 1)
            values += known[-seen % stride :: stride].tolist()
            self._seen[key] = seen + known.size
            while len(values) > _KEPT:
                del values[1::2]
                self._strides[key] *= 2

    def summary(self) -> dict[str, dict[str, Any]]:
        """``{term: {p50, max, pursuer: {p50, max}, evader: {p50, max}}}`` [mm], in the order of :data:`MEANING`."""
        terms = {term for term, _ in self._values}
        ordered = [*(term for term in MEANING if term in terms), *sorted(terms - MEANING.keys())]
        return {
            term: _pair(self._values, self._largest, term, ROLES)
            | {role: _pair(self._values, self._largest, term, (role,)) for role in ROLES}
            for term in ordered
        }


def _pair(
    values: Mapping[tuple[str, str], list[float]],
    largest: Mapping[tuple[str, str], float],
    term: str,
    roles: tuple[str, ...],
) -> dict[str, Any]:
    pooled = [value for role in roles for value in values.get((term, role), [])]
    known = [largest[term, role] for role in roles if (term, role) in largest]
    return {"p50": finite(float(np.median(pooled))) if pooled else None, "max": max(known, default=None)}


def margin_figure(trace: Trace) -> Figure:
    """The terms of one episode over time, stacked, for both robots."""
    with rc_context(STYLE):
        figure = Figure(figsize=(11.0, 3.1))
        columns = {role: terms_of(trace.status[role]) for role in ROLES}
        present = [
            term
            for term in [*MEANING, *sorted({t for c in columns.values() for t in c} - MEANING.keys())]
            if any(np.nanmax(c[term], initial=0.0) > 1e-3 for c in columns.values() if term in c)
        ]
        top = 0.0
        panels = []
        for i, role in enumerate(ROLES):
            axes = figure.add_axes((0.045 + 0.43 * i, 0.14, 0.385, 0.74))
            top = max(top, _draw_stack(axes, trace, role, columns[role], present))
            panels.append(axes)
        for axes in panels:
            axes.set_ylim(0.0, 1.06 * top if top > 0.0 else 1.0)
        handles, labels = panels[0].get_legend_handles_labels()
        # From above as in the stack.
        panels[-1].legend(
            handles[::-1], labels[::-1], loc="upper left", bbox_to_anchor=(1.02, 1.03), handlelength=1.0,
            labelspacing=0.35, borderaxespad=0.0,
        )  # fmt: skip
    return figure


def _draw_stack(
    axes: Axes, trace: Trace, role: str, columns: Mapping[str, NDArray[np.float64]], present: list[str]
) -> float:
    """Draw the areas; returns the height [mm] of the stack."""
    time = trace.since_start(trace.status[role].stamp_ns)
    axes.set_title(role.capitalize(), color=COLOURS[role])
    axes.set_xlabel("time [s]", labelpad=1.0)
    if role == ROLES[0]:
        axes.set_ylabel("margin [mm]")
    axes.set_xlim(0.0, max(float(trace.time[-1]) if len(trace.time) else 1.0, trace.episode.dt))
    if not len(time) or not present:
        axes.text(0.5, 0.5, "no data", transform=axes.transAxes, ha="center", color=FAINT)
        return 0.0
    rows = [np.nan_to_num(columns.get(term, np.zeros(len(time)))) for term in present]
    axes.stackplot(
        time, rows, colors=[_TERM_COLOURS.get(term, FAINT) for term in present], lw=0.0, alpha=0.9,
        labels=[term.replace("_", " ") for term in present],
    )  # fmt: skip
    return float(np.sum(rows, axis=0).max())

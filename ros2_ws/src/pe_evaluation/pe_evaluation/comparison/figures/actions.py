"""What is asked and what is done: histograms of commands, jerk, steering over braking."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator
from numpy.typing import NDArray

from pe_evaluation.comparison.figures.look import (
    PRINT,
    SMALL,
    WIDTH,
    Look,
    bare,
    plain_log,
    reason_in_row,
    title_rows,
)
from pe_evaluation.comparison.figures.material import NOT_PLAYED, Material
from pe_evaluation.figures import INK

_ASKED = "#b8b8b8"
_AXES = ("v / v_max", "ω / ω_max")
_LEAST_SHARE = 1e-5
FEW = 5
"""Episodes below which there are no quantiles to draw."""


def action_figure(material: Material, world: str) -> Figure:
    """Commands of the pursuer, a row an approach: asked by the policy (grey) and executed (line), share of steps."""
    looks = [look for look in material.looks if (world, look.name) in material.rows]
    panel, legend = 0.62, 0.26
    height = legend + panel * max(len(looks), 1) + 0.34
    with rc_context(PRINT):
        figure = Figure(figsize=(WIDTH, height))
        for row, look in enumerate(looks):
            found = material.maps(world, look.name)
            y = height - legend - (row + 1) * panel + 0.07
            figure.text(0.0, (y + 0.27) / height, look.title, ha="left", va="center", fontsize=7.5)
            for column, label in enumerate(_AXES):
                axes = figure.add_axes((0.338 + 0.337 * column, y / height, 0.312, (panel - 0.10) / height))
                if found is None:
                    bare(axes, NOT_PLAYED)
                    continue
                _draw_commands(axes, look, found, column)
                axes.tick_params(labelbottom=row == len(looks) - 1, labelleft=column == 0)
                if row == len(looks) - 1:
                    axes.set_xlabel(label)
        figure.text(0.248, 0.5, "share of control steps", rotation=90, va="center", ha="center")
        figure.legend(
            handles=[
                Patch(color=_ASKED, label="asked by the policy (nominal)"),
                Line2D([], [], color=INK, lw=1.1, label="executed, in the approach's colour"),
            ],
            loc="upper right", ncols=2, bbox_to_anchor=(1.0, 1.0), borderaxespad=0.1,
        )  # fmt: skip
    return figure


def _draw_commands(axes: Axes, look: Look, found: dict[str, NDArray[np.float64]], column: int) -> None:
    edges = found["action_edges"]
    asked, done = (found[key][column] / max(found[key][column].sum(), 1.0) for key in ("nominal", "executed"))
    axes.stairs(asked, edges, fill=True, color=_ASKED, baseline=_LEAST_SHARE, lw=0, zorder=2)
    axes.stairs(np.maximum(done, _LEAST_SHARE), edges, color=look.colour, lw=1.0, baseline=None, zorder=3)
    axes.set_yscale("log")
    axes.set_ylim(_LEAST_SHARE, 1.5)
    axes.set_yticks([1e-4, 1e-2, 1.0])
    axes.minorticks_off()
    plain_log(axes.yaxis, percent=True)
    # No robot drives backwards unless its range says so: then the left half holds something.
    low = -1.0 if column or (asked[: len(asked) // 2].sum() + done[: len(done) // 2].sum()) > 0 else 0.0
    axes.set_xlim(low - 0.03, 1.03)


def smoothness_figure(material: Material, world: str) -> Figure:
    """Jerk of the executed commands, and steering over braking of corrections: 5, 25, 50, 75, 95 % of the episodes."""
    looks = [look for look in material.looks if (world, look.name) in material.rows]
    height = max(0.24 * len(looks), 1.5) + 0.62
    panels = (
        ("jerk_v", "Jerk of v", "[m/s³], of an episode"),
        ("jerk_omega", "Jerk of ω", "[rad/s³], of an episode"),
        ("steering_braking", "Steering over braking", "of an episode's corrections"),
    )
    with rc_context(PRINT):
        figure = Figure(figsize=(WIDTH, height))
        for k, (key, title, label) in enumerate(panels):
            axes = figure.add_axes((0.245 + 0.248 * k, 0.40 / height, 0.219, (height - 0.62) / height))
            axes.set_title(title)
            title_rows(axes, looks)
            axes.tick_params(labelleft=k == 0)
            axes.set_xlabel(label)
            found = {look.name: material.values(world, look.name, key) for look in looks}
            _draw_boxes(axes, looks, found)
    return figure


def _draw_boxes(axes: Axes, looks: list[Look], found: dict[str, tuple[NDArray[np.float64], str]]) -> None:
    positive = np.concatenate([values[values > 0.0] for values, _ in found.values()] or [np.ones(1)])
    floor = float(positive.min()) if len(positive) else 1e-3
    low, high, some = np.inf, -np.inf, False
    for row, look in enumerate(looks):
        values, reason = found[look.name]
        if not len(values):
            reason_in_row(axes, row, reason)
            continue
        if len(values) < FEW:
            reason_in_row(axes, row, f"in {len(values)} episodes only")
            continue
        q = np.maximum(np.quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95]), floor)
        style: dict[str, Any] = {"color": look.colour, "solid_capstyle": "butt", "zorder": 3}
        axes.plot(q[[0, 4]], [row, row], lw=1.0, **style)
        axes.plot(q[[1, 3]], [row, row], lw=5.0, alpha=0.55, **style)
        axes.plot(q[2], row, look.marker, color=look.colour, mec=INK, mew=0.7, ms=4.2, zorder=5)
        low, high = min(low, q[0]), max(high, q[4])
        some = some or bool(reason)
        if reason:
            axes.annotate(
                f"n = {len(values)}", (0.99, row), xycoords=("axes fraction", "data"), ha="right", va="center",
                fontsize=SMALL, color="#5a5a5a", zorder=6,
                bbox={"facecolor": "white", "alpha": 0.75, "lw": 0, "pad": 0.3},
            )  # fmt: skip
    axes.set_xscale("log")
    # Few enough to stand side by side.
    axes.xaxis.set_major_locator(LogLocator(numticks=4))
    plain_log(axes.xaxis)
    if np.isfinite(low):
        high = max(high, 1.05 * low)
        axes.set_xlim(low / 1.6, 1.6 * high * ((high / low) ** 0.5 if some else 1.0))

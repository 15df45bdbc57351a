"""Both commands of one robot in one episode over time, and where they differ."""

from __future__ import annotations

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from pe_evaluation.figures import COLOURS, FAINT, INK, STYLE, runs
from pe_evaluation.what_if.account import differing
from pe_evaluation.what_if.replay import Steps

_SHADE = "#F0E442"
_TITLES = (("v [m/s]", "v"), ("ω [rad/s]", "ω"))


def what_if_figure(parts: list[Steps], recorded: str, other: str, tolerance: float) -> Figure:
    """Speed and turn rate of each robot in ``parts`` (one episode), recorded and as ``other`` commands them."""
    with rc_context(STYLE):
        figure = Figure(figsize=(7.2, 0.7 + 2.5 * len(parts)), layout="constrained")
        axes = figure.subplots(2 * len(parts), 1, sharex=True, squeeze=False)[:, 0]
        for k, steps in enumerate(parts):
            apart = differing(steps, tolerance)
            step = float(np.median(np.diff(steps.time))) if len(steps) > 1 else 0.05
            for column, (label, _) in enumerate(_TITLES):
                panel = axes[2 * k + column]
                for first, last in runs(apart):
                    panel.axvspan(
                        steps.time[first] - 0.5 * step, steps.time[last] + 0.5 * step, color=_SHADE, alpha=0.45, lw=0.0
                    )
                panel.plot(steps.time, steps.nominal[:, column], color=FAINT, lw=0.7, ls=":")
                panel.plot(steps.time, steps.recorded[:, column], color=COLOURS[steps.role], lw=1.4)
                panel.plot(steps.time, steps.other[:, column], color=INK, lw=0.8, ls=(0, (4, 1.5)))
                panel.set_ylabel(label)
                panel.margins(x=0.01)
            share = 100.0 * apart.mean() if len(steps) else 0.0
            axes[2 * k].set_title(f"{steps.role}: different in {share:.1f} % of {len(steps):,} steps")
        axes[-1].set_xlabel("time [s]")
        colour = COLOURS[parts[0].role] if len(parts) == 1 else "#777777"
        figure.legend(
            handles=[
                Line2D([], [], color=FAINT, lw=0.7, ls=":", label="asked by the policy"),
                Line2D([], [], color=colour, lw=1.4, label=f"recorded: {recorded}"),
                Line2D([], [], color=INK, lw=0.8, ls=(0, (4, 1.5)), label=f"what if: {other}"),
                Patch(color=_SHADE, alpha=0.45, lw=0.0, label="different"),
            ],
            loc="outside upper center", ncols=4,
        )  # fmt: skip
    return figure

"""Predicted against actual residual, kappa and the rows' margin over the steps of one episode of each world."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from pe_safety.disturbance.model import LearnedDisturbance
from pe_safety.disturbance.parameters import DisturbanceParameters
from tests.bench.gp_worlds import DT, HALF_SIDE, ROBOT, play, residuals

WORLDS, SEED, STEPS = ("gain", "slip", "slope", "all"), 0, 400
AXES = (0, 1, 1, 0)
LABELS = ("forward $d_x$ [m/s]", "sideways $d_y$ [m/s]", "turn $d_\\theta$ [rad/s]")
# Median over so many steps, so that what a single manoeuvre asks for does not hide the trend.
_WINDOW = 20


def smooth(values: np.ndarray) -> np.ndarray:
    """Running median of the latest steps."""
    return np.array([np.median(values[max(0, k - _WINDOW) : k + 1]) for k in range(len(values))])


def rounded(value: Any) -> Any:
    """Numbers to five places, None for what is not finite."""
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return round(value, 5) if value is not None and math.isfinite(value) else None


def draw(path: Path) -> None:
    """Write the figure to ``path`` and its data beside it (.json)."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    model = LearnedDisturbance(ROBOT, DisturbanceParameters(), DT, HALF_SIDE)
    data = {}
    figure, axes = plt.subplots(3, len(WORLDS), figsize=(4.0 * len(WORLDS), 8.5), sharex=True, squeeze=False)
    for column, (world, axis) in enumerate(zip(WORLDS, AXES, strict=True)):
        series = play("gp", 0.0, world, SEED, STEPS, model, keep=True).series
        data[world] = {key: [rounded(value) for value in values] for key, values in series.items()}
        mean, bound = np.array(series["mean"]), np.array(series["bound"])
        actual, lows, highs = residuals(series)
        steps = np.arange(len(actual))
        top, middle, bottom = axes[:, column]
        low, high = lows[:, axis], highs[:, axis]
        top.fill_between(
            steps, low, high, color="#9ecae1", alpha=0.8, lw=0, label="predicted $\\pm\\kappa\\sigma$"
        )
        top.plot(steps, mean[:-1, axis], color="#08519c", lw=0.9, label="predicted mean")
        top.plot(steps, actual[:, axis], ".", color="#d94801", ms=2.0, label="actual")
        reach = 1.4 * np.nanmax(np.abs(actual[:, axis]))
        top.set_ylim(-reach, reach)
        seen = np.isfinite(actual[:, axis])
        inside = (actual[:, axis] >= low) & (actual[:, axis] <= high)
        top.set_title(f"{world}: {100.0 * inside[seen].mean():.0f} % in the band", fontsize=10)
        top.set_ylabel(LABELS[axis])
        middle.plot(series["kappa"], color="#238b45")
        middle.axhline(DisturbanceParameters().kappa, color="#238b45", ls=":", lw=1.0)
        middle.set_ylim(0.0, 4.3)
        middle.set_ylabel("$\\kappa$")
        for o, colour, name in ((0, "#6a51a3", "forward"), (1, "#d94801", "sideways")):
            bottom.plot(bound[:, o], color=colour, lw=0.4, alpha=0.35)
            bottom.plot(smooth(bound[:, o]), color=colour, lw=1.6, label=name)
        for fixed in (0.1, 0.4):
            bottom.axhline(fixed, color="0.4", ls="--", lw=0.8)
        bottom.set_yscale("log")
        bottom.set_ylim(3e-3, 1.0)
        bottom.set_ylabel("margin $\\kappa\\sigma$ [m/s]")
        bottom.set_xlabel("control step")
        for each in (top, middle, bottom):
            each.grid(alpha=0.25)
    axes[0, 0].legend(fontsize=8, loc="lower right")
    axes[2, 0].legend(fontsize=8, loc="upper right", title="dashed: fixed margins", title_fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    plt.close(figure)
    path.with_suffix(".json").write_text(json.dumps(data) + "\n")
    print(f"{path} and {path.with_suffix('.json')}")

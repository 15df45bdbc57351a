"""Figures over many episodes: latencies, margins, capture times, maps of the arena."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from pe_evaluation.figures import COLOURS, FAINT, INK, STYLE
from pe_evaluation.metrics import ROLES
from pe_evaluation.recorded import Trace


def latency_figure(times: Mapping[str, Mapping[str, NDArray[np.float64]]]) -> Figure:
    """Histograms of times per robot: ``{title with unit: {role: values}}``."""
    with rc_context(STYLE):
        figure = Figure(figsize=(11.0, 2.5))
        count = len(times)
        for i, (title, parts) in enumerate(times.items()):
            axes = figure.add_axes((0.045 + i / count, 0.19, 1.0 / count - 0.065, 0.64))
            _draw_histogram(axes, parts, title)
            if i == 0:
                place = {"loc": "lower right", "bbox_to_anchor": (1.0, 1.0), "borderaxespad": 0.2}
                axes.legend(handles=_role_handles(), ncols=2, handlelength=1.0, **place)
    return figure


def _role_handles() -> list[Patch]:
    return [Patch(color=COLOURS[role], alpha=0.55, label=role) for role in ROLES]


def _draw_histogram(axes: Axes, parts: Mapping[str, NDArray[np.float64]], title: str) -> None:
    values = {role: part[np.isfinite(part)] for role, part in parts.items()}
    pooled = np.concatenate(list(values.values()))
    axes.set_title(title)
    if not len(pooled):
        axes.text(0.5, 0.5, "no data", transform=axes.transAxes, ha="center", color=FAINT)
        return
    median, p99, longest = np.quantile(pooled, (0.5, 0.99, 1.0))
    top = min(longest, max(2.0 * p99 - median, p99)) if p99 > 0.0 else longest
    bins = np.linspace(min(0.0, float(pooled.min())), float(top) if top > 0.0 else 1.0, 60).tolist()
    for role, part in values.items():
        # What lies beyond the axis is counted in the last bin, so that no sample is left out.
        axes.hist(np.minimum(part, bins[-1]), bins, color=COLOURS[role], alpha=0.55, label=role, lw=0)
    axes.set_yscale("log")
    axes.set_ylim(0.7, None)
    axes.set_xlim(bins[0], bins[-1])
    for value, name, style, height in ((median, "median", "-", 0.98), (p99, "p99", "--", 0.88)):
        axes.axvline(value, color=INK, lw=0.9, ls=style)
        axes.annotate(
            f" {name} {value:.3g}", (value, height), xycoords=("data", "axes fraction"), fontsize=6.5, va="top",
            bbox={"facecolor": "white", "alpha": 0.75, "lw": 0, "pad": 0.6},
        )  # fmt: skip
    beyond = f", longest {longest:.3g}" if longest > bins[-1] else ""
    axes.set_xlabel(title.split("[")[-1].rstrip("]") + beyond)
    axes.set_ylabel("control steps")


BINS = np.linspace(-1.0, 1.0, 41)


class ExtremeMap:
    """Least or largest value in each cell of the arena, scaled to its half side."""

    def __init__(self, pick: np.ufunc) -> None:
        """``pick`` is ``np.minimum`` or ``np.maximum``."""
        self.pick = pick
        size = len(BINS) - 1
        self._values = np.full((size, size), np.inf if pick is np.minimum else -np.inf)

    def add(self, points: NDArray[np.float64], values: NDArray[np.float64]) -> None:
        """Values (n,) at scaled places (n, 2); what is not finite counts nowhere."""
        known = np.isfinite(points).all(axis=1) & np.isfinite(values)
        cells = np.clip(np.digitize(points[known], BINS) - 1, 0, len(BINS) - 2)
        self.pick.at(self._values, (cells[:, 0], cells[:, 1]), values[known])

    def image(self) -> NDArray[np.float64]:
        """The map, NaN in cells nobody visited."""
        return np.where(np.isfinite(self._values), self._values, np.nan)


class Distributions:
    """What the figures over all episodes need, gathered trace by trace: 16 bytes a sample, and maps of fixed size."""

    def __init__(self) -> None:
        self.episodes = 0
        self.margins: dict[str, list[NDArray[np.float64]]] = {role: [] for role in ROLES}
        self.least: list[float] = []
        self.capture_times: list[float] = []
        self.half_side = self.time_limit = 0.0
        self.nearest = {role: ExtremeMap(np.minimum) for role in ROLES}
        self.corrected = {role: ExtremeMap(np.maximum) for role in ROLES}

    def add(self, trace: Trace) -> None:
        """Take one episode."""
        half = trace.episode.arena.half_side
        self.episodes += 1
        self.half_side = max(self.half_side, half)
        self.time_limit = max(self.time_limit, trace.episode.max_time)
        if math.isfinite(trace.record.min_margin):
            self.least.append(trace.record.min_margin)
        if trace.record.capture_time is not None:
            self.capture_times.append(trace.record.capture_time)
        for column, role in enumerate(ROLES):
            margins, status = trace.margins[:, column], trace.status[role]
            self.margins[role].append(margins.copy())
            self.nearest[role].add(trace.poses[role][:, :2] / half, margins)
            self.corrected[role].add(status.columns("state_x", "state_y") / half, status.column("correction"))


def aggregate_figure(found: Distributions) -> Figure:
    """All episodes: margins of all samples, least margin of each episode, capture times."""
    with rc_context(STYLE):
        figure = Figure(figsize=(11.0, 2.5))
        margins = figure.add_axes((0.045, 0.19, 0.27, 0.64))
        least = figure.add_axes((0.38, 0.19, 0.27, 0.64))
        captures = figure.add_axes((0.715, 0.19, 0.27, 0.64))
        _draw_margin_histogram(margins, found.margins, 0.5 * found.half_side or 1.0)
        _draw_least_margins(least, found.least)
        _draw_capture_times(captures, found.capture_times, found.episodes, found.time_limit or 1.0)
    return figure


def _draw_margin_histogram(axes: Axes, margins: Mapping[str, Sequence[NDArray[np.float64]]], top: float) -> None:
    for role in ROLES:
        values = np.concatenate(margins[role]) if margins[role] else np.empty(0)
        low = min(0.0, float(values.min(initial=0.0)))
        axes.hist(np.clip(values, low, top), np.linspace(low, top, 60).tolist(), color=COLOURS[role], alpha=0.55, lw=0,
                  label=role)  # fmt: skip
    axes.axvline(0.0, color="#b03030", lw=1.2)
    axes.set_xlabel("body margin [m]")
    axes.set_ylabel("samples")
    axes.set_title("Margins of all samples")
    axes.legend(loc="upper right", ncols=2, handlelength=1.0, fontsize=6.5)


def _draw_least_margins(axes: Axes, least: Sequence[float]) -> None:
    values = np.sort(least)
    axes.set_title("Smallest margin of each episode, sorted")
    if not len(values):
        axes.text(0.5, 0.5, "no data", transform=axes.transAxes, ha="center", color=FAINT)
        return
    few = len(values) <= 60
    axes.plot(np.arange(1, len(values) + 1), values, "o" if few else "-", color=INK, ms=3.5, lw=1.2)
    axes.axhline(0.0, color="#b03030", lw=1.2)
    axes.set_ylim(min(0.0, 1.15 * float(values[0])) - 0.02 * float(values[-1]), 1.15 * max(float(values[-1]), 1e-3))
    axes.set_xlim(0.5, len(values) + 0.5)
    axes.set_xlabel("episode, by margin")
    axes.set_ylabel("margin [m]")


def _draw_capture_times(axes: Axes, captures: Sequence[float], total: int, limit: float) -> None:
    times = np.sort(captures)
    axes.set_title("Episodes captured by time")
    axes.set_xlim(0.0, limit)
    axes.set_ylim(0.0, 1.04)
    axes.set_xlabel("time [s]")
    axes.set_ylabel("fraction")
    if total:
        share = np.arange(1, len(times) + 1) / total
        axes.step(
            np.concatenate([[0.0], times, [limit]]), np.concatenate([[0.0], share, share[-1:] if len(share) else [0]]),
            where="post", color=COLOURS["pursuer"], lw=1.4,
        )  # fmt: skip


def heat_figure(found: Distributions) -> Figure:
    """Where in the arena (scaled to its half side) bodies come close, and where commands are corrected."""
    with rc_context(STYLE):
        figure = Figure(figsize=(11.0, 2.75))
        for i, role in enumerate(ROLES):
            _draw_heat(figure, 2 * i, role, "least margin [m]", found.nearest[role])
            _draw_heat(figure, 2 * i + 1, role, "largest correction", found.corrected[role])
    return figure


def _draw_heat(figure: Figure, panel: int, role: str, label: str, found: ExtremeMap) -> None:
    left = 0.04 + 0.245 * panel
    axes = figure.add_axes((left, 0.13, 0.175, 0.75))
    image = found.image()
    least = found.pick is np.minimum
    known = image[np.isfinite(image)]
    scale = Normalize(min(0.0, float(known.min(initial=0.0))), max(float(known.max(initial=0.0)), 0.01))
    mesh = axes.pcolormesh(BINS, BINS, image.T, cmap="cividis" if least else "magma_r", norm=scale, rasterized=True)
    axes.set_aspect("equal")
    axes.grid(False)
    axes.set_xticks([-1.0, 0.0, 1.0])
    axes.set_yticks([-1.0, 0.0, 1.0])
    axes.set_xlabel("x / half side", labelpad=0.0)
    if panel == 0:
        axes.set_ylabel("y / half side", labelpad=-2.0)
    else:
        axes.tick_params(labelleft=False)
    axes.set_title(f"{role.capitalize()}: {label}", color=COLOURS[role])
    bar = figure.colorbar(mesh, cax=figure.add_axes((left + 0.181, 0.2, 0.006, 0.6)))
    bar.outline.set_linewidth(0.5)

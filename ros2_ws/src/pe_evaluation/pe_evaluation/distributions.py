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


def aggregate_figure(traces: Sequence[Trace]) -> Figure:
    """All episodes: margins of all samples, least margin of each episode, capture times."""
    with rc_context(STYLE):
        figure = Figure(figsize=(11.0, 2.5))
        margins = figure.add_axes((0.045, 0.19, 0.27, 0.64))
        least = figure.add_axes((0.38, 0.19, 0.27, 0.64))
        captures = figure.add_axes((0.715, 0.19, 0.27, 0.64))
        top = max((0.5 * trace.episode.arena.half_side for trace in traces), default=1.0)
        _draw_margin_histogram(margins, traces, top)
        _draw_least_margins(least, traces)
        _draw_capture_times(captures, traces)
    return figure


def _draw_margin_histogram(axes: Axes, traces: Sequence[Trace], top: float) -> None:
    for column, role in enumerate(ROLES):
        parts = [trace.margins[:, column] for trace in traces]
        values = np.concatenate(parts) if parts else np.empty(0)
        low = min(0.0, float(values.min(initial=0.0)))
        axes.hist(np.clip(values, low, top), np.linspace(low, top, 60).tolist(), color=COLOURS[role], alpha=0.55, lw=0,
                  label=role)  # fmt: skip
    axes.axvline(0.0, color="#b03030", lw=1.2)
    axes.set_xlabel("body margin [m]")
    axes.set_ylabel("samples")
    axes.set_title("Margins of all samples")
    axes.legend(loc="upper right", ncols=2, handlelength=1.0, fontsize=6.5)


def _draw_least_margins(axes: Axes, traces: Sequence[Trace]) -> None:
    values = np.sort([trace.record.min_margin for trace in traces if math.isfinite(trace.record.min_margin)])
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


def _draw_capture_times(axes: Axes, traces: Sequence[Trace]) -> None:
    times = np.sort([t.record.capture_time for t in traces if t.record.capture_time is not None])
    total = len(traces)
    limit = max((trace.episode.max_time for trace in traces), default=1.0)
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


def heat_figure(traces: Sequence[Trace]) -> Figure:
    """Where in the arena (scaled to its half side) bodies come close, and where commands are corrected."""
    with rc_context(STYLE):
        figure = Figure(figsize=(11.0, 2.75))
        for i, role in enumerate(ROLES):
            halves = [trace.episode.arena.half_side for trace in traces]
            status = [trace.status[role] for trace in traces]
            place = [trace.poses[role][:, :2] / half for trace, half in zip(traces, halves, strict=True)]
            where = [rows.columns("state_x", "state_y") / half for rows, half in zip(status, halves, strict=True)]
            margin = np.concatenate([trace.margins[:, i] for trace in traces])
            size = np.concatenate([rows.column("correction") for rows in status])
            _draw_heat(figure, 2 * i, role, "least margin [m]", np.concatenate(place), margin, np.minimum)
            _draw_heat(figure, 2 * i + 1, role, "largest correction", np.concatenate(where), size, np.maximum)
    return figure


def _draw_heat(
    figure: Figure,
    panel: int,
    role: str,
    label: str,
    points: NDArray[np.float64],
    values: NDArray[np.float64],
    pick: np.ufunc,
) -> None:
    bins = np.linspace(-1.0, 1.0, 41)
    left = 0.04 + 0.245 * panel
    axes = figure.add_axes((left, 0.13, 0.175, 0.75))
    image = _extreme_map(points, values, bins, pick)
    least = pick is np.minimum
    known = image[np.isfinite(image)]
    scale = Normalize(min(0.0, float(known.min(initial=0.0))), max(float(known.max(initial=0.0)), 0.01))
    mesh = axes.pcolormesh(bins, bins, image.T, cmap="cividis" if least else "magma_r", norm=scale, rasterized=True)
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


def _extreme_map(
    points: NDArray[np.float64], values: NDArray[np.float64], bins: NDArray[np.float64], pick: np.ufunc
) -> NDArray[np.float64]:
    """Least or largest value in each cell, NaN in cells nobody visited."""
    known = np.isfinite(points).all(axis=1) & np.isfinite(values)
    size = len(bins) - 1
    cells = np.clip(np.digitize(points[known], bins) - 1, 0, size - 1)
    worst = np.inf if pick is np.minimum else -np.inf
    image = np.full((size, size), worst)
    pick.at(image, (cells[:, 0], cells[:, 1]), values[known])
    return np.where(np.isfinite(image), image, np.nan)

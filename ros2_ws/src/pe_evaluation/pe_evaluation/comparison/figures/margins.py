"""How near bodies come: distributions of margins, and maps of the arena."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import Colormap, LogNorm, Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pe_evaluation.comparison.figures.look import (
    CONTACT_LINE,
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
from pe_evaluation.comparison.maps import LEAST
from pe_evaluation.figures import CONTACT, INK, margin_map

COLUMNS = 3
NEAR = 0.5
"""Margins [m] up to which the distribution of all samples is shown."""
ROUNDING = 1e-5
"""Mean correction below which there was none: a policy answers in single precision."""
DEEP = 0.2
"""Depth of contact [m] from which on the least margins of episodes are counted together."""
Maps = dict[str, NDArray[np.float64]]
Image = tuple[NDArray[np.float64], str]


def margin_figure(material: Material, world: str) -> Figure:
    """Left: the least margin of every episode, by approach; right: the share of samples nearer than a margin."""
    looks = [look for look in material.looks if (world, look.name) in material.rows]
    height = max(0.30 * len(looks), 1.6) + 0.48
    with rc_context(PRINT):
        figure = Figure(figsize=(WIDTH, height))
        bottom, tall = 0.37 / height, (height - 0.37 - 0.24) / height
        least = figure.add_axes((0.245, bottom, 0.32, tall))
        samples = figure.add_axes((0.665, bottom, 0.315, tall))
        _draw_least(least, material, world, looks)
        _draw_samples(samples, material, world, looks)
    return figure


def _draw_least(axes: Axes, material: Material, world: str, looks: list[Look]) -> None:
    axes.set_title("Least margin of each episode")
    values = {look.name: material.values(world, look.name, "margin_min_m")[0] for look in looks}
    pooled = np.concatenate([part for part in values.values() if len(part)] or [np.zeros(1)])
    # Deep contacts, and the few episodes that keep far from everything, are counted at the edges.
    low = max(min(0.0, float(pooled.min())), -DEEP)
    high = max(float(np.quantile(pooled, 0.98)), low + 0.05)
    edges = np.linspace(low, high, 51)
    for row, look in enumerate(looks):
        part = np.clip(values[look.name], low, high)
        if not len(part):
            reason_in_row(axes, row, NOT_PLAYED)
            continue
        counts = np.histogram(part, edges)[0]
        top = row + 0.42 - 0.8 * counts / counts.max()
        axes.fill_between(
            edges, np.append(top, top[-1]), row + 0.42, step="post", color=look.colour, alpha=0.55, lw=0, zorder=2
        )
        axes.plot(part.min(), row + 0.42, "|", color=INK, ms=7.0, mew=1.3, zorder=5, clip_on=False)
        q05, q50 = np.quantile(part, [0.05, 0.5])
        axes.plot([q05, q50], [row + 0.42] * 2, color=INK, lw=1.6, solid_capstyle="butt", zorder=4)
        axes.plot(q50, row + 0.42, look.marker, color=look.colour, mec=INK, mew=0.7, ms=4.0, zorder=5)
    axes.axvline(0.0, color=CONTACT_LINE, lw=1.1, zorder=3)
    title_rows(axes, looks)
    axes.set_xlim(low - 0.03 * (high - low), high + 0.03 * (high - low))
    axes.set_xlabel("body margin [m]; contact at 0")


def _draw_samples(axes: Axes, material: Material, world: str, looks: list[Look]) -> None:
    axes.set_title("Control steps nearer than a margin")
    lowest = 1.0
    for k, look in enumerate(looks):
        found = material.maps(world, look.name)
        if found is None or not found["margin"].sum():
            continue
        edges, share = found["margin_edges"], np.cumsum(found["margin"]) / found["margin"].sum()
        # The bin that ends at 0 holds the contacts.
        inside = (edges[1:] >= 0.0) & (edges[1:] <= NEAR + 1e-9) & (share > 0.0)
        if not inside.any():
            continue
        lowest = min(lowest, float(share[inside].min()))
        axes.plot(edges[1:][inside], share[inside], **look.style | {"markevery": (k, 9), "ms": 3.2})
    axes.set_yscale("log")
    plain_log(axes.yaxis, percent=True)
    axes.set_ylim(10.0 ** math.floor(math.log10(lowest)), 1.0)
    axes.set_xlim(-0.02 * NEAR, NEAR)
    axes.axvline(0.0, color=CONTACT_LINE, lw=1.1, zorder=1)
    axes.set_xlabel("body margin [m]")
    axes.set_ylabel("share of control steps")
    if not axes.lines[:-1]:
        axes.text(
            0.5, 0.5, f"no step nearer than {NEAR:g} m", transform=axes.transAxes, ha="center", fontsize=SMALL
        )


def least_map_figure(material: Material, world: str) -> Figure:
    """Where in the arena the pursuer's body came nearest to something: least margin [m]; contact is red."""
    near = 0.03 * _half_side(material)
    return _maps_figure(
        material, world, lambda found: (np.where(np.isfinite(found[LEAST]), found[LEAST], np.nan), ""),
        margin_map(), Normalize(0.0, near), "least body margin [m]", "both",
    )  # fmt: skip


def contact_map_figure(material: Material, world: str) -> Figure:
    """Where the pursuer's body touched something: share of the control steps there."""

    def image(found: Maps) -> Image:
        total, steps = found["violations"].sum(), found["visits"].sum()
        share = np.where(found["visits"] > 0, found["violations"] / np.maximum(found["visits"], 1), np.nan)
        words = f"{total:,.0f} of {steps:,.0f} steps" if total else f"no contact in {steps:,.0f} steps"
        return np.where(share == 0.0, np.nan, share), words

    return _maps_figure(
        material, world, image, colormaps["magma_r"], LogNorm(1e-3, 1.0), "share of steps in contact", "min"
    )


def correction_map_figure(material: Material, world: str) -> Figure:
    """Where the filter corrects the pursuer: mean size of the correction over all control steps there."""

    def image(found: Maps) -> Image:
        mean = found["correction_sum"] / np.maximum(found["visits"], 1)
        words = "" if (mean > ROUNDING).any() else f"no correction in {found['visits'].sum():,.0f} steps"
        return np.where((found["visits"] > 0) & (mean > ROUNDING), mean, np.nan), words

    def shown(look: Look) -> str:
        return "" if look.filtered else "no filter"

    return _maps_figure(
        material, world, image, colormaps["magma_r"], LogNorm(1e-3, 1.0), "mean correction", "both", shown
    )


def _maps_figure(
    material: Material,
    world: str,
    image: Callable[[Maps], Image],
    colours: Colormap,
    scale: Normalize,
    label: str,
    extend: str,
    refuse: Callable[[Look], str] = lambda look: "",
) -> Figure:
    """One panel an approach, over position / half side, on one scale; visited cells without a value are pale grey."""
    looks = [look for look in material.looks if (world, look.name) in material.rows]
    rows = -(-max(len(looks), 1) // COLUMNS)
    side, gap, title, left, bar = 1.72, 0.16, 0.24, 0.40, 0.74
    height = rows * (side + title) + 0.42
    with rc_context(PRINT):
        figure = Figure(figsize=(WIDTH, height))
        step = (WIDTH - left - bar) / COLUMNS
        mesh = None
        for k, look in enumerate(looks):
            row, column = divmod(k, COLUMNS)
            size = min(side, step - gap)
            y = height - (row + 1) * (side + title)
            axes = figure.add_axes(((left + column * step) / WIDTH, y / height, size / WIDTH, size / height))
            axes.set_title(look.title)
            found = material.maps(world, look.name)
            reason = refuse(look) or ("" if found is not None else NOT_PLAYED)
            if reason or found is None:
                bare(axes, reason)
                continue
            mesh = _draw_map(axes, found, image, colours, scale)
            axes.tick_params(labelbottom=k + COLUMNS >= len(looks), labelleft=column == 0)
        figure.text(0.003, 0.5, "y / half side", rotation=90, va="center", ha="left")
        figure.text(0.5 * (1.0 - bar / WIDTH), 0.003, "x / half side", ha="center", va="bottom")
        if mesh is not None:
            axis = figure.add_axes(((WIDTH - bar + 0.02) / WIDTH, 0.28, 0.09 / WIDTH, 0.44))
            filled = figure.colorbar(mesh, cax=axis, extend=extend)
            filled.set_label(label, labelpad=2.0)
            filled.outline.set_linewidth(0.5)
            if isinstance(scale, LogNorm):
                plain_log(axis.yaxis, percent=label.startswith("share"))
    return figure


def _draw_map(
    axes: Axes, found: Maps, image: Callable[[Maps], Image], colours: Colormap, scale: Normalize
) -> QuadMesh:
    values, words = image(found)
    bins = np.linspace(-1.0, 1.0, len(found["visits"]) + 1)
    visited = np.where(found["visits"] > 0, 0.12, np.nan)
    axes.pcolormesh(
        bins, bins, visited.T, cmap="Greys", norm=Normalize(0.0, 1.0), rasterized=True, zorder=1
    )
    mesh = axes.pcolormesh(bins, bins, values.T, cmap=colours, norm=scale, rasterized=True, zorder=2)
    axes.set_aspect("equal")
    axes.grid(False)
    axes.set_xticks([-1.0, 0.0, 1.0])
    axes.set_yticks([-1.0, 0.0, 1.0])
    if words:
        axes.text(
            0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center", fontsize=SMALL, zorder=4,
            color=CONTACT if words[0].isdigit() else INK,
            bbox={"facecolor": "white", "alpha": 0.85, "lw": 0, "pad": 1.5},
        )  # fmt: skip
    return mesh


def _half_side(material: Material) -> float:
    for tracks in material.tracks.values():
        for track in tracks.values():
            return track.arena.half_side
    return 10.0

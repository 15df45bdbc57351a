"""The task, the gap and the decision: capture rates by speed, training less deployment, the weighted matrix."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from pe_evaluation.comparison.figures.look import CONTACT_LINE, PRINT, SMALL, WIDTH, Look, bare, say
from pe_evaluation.comparison.plan import IDEAL
from pe_evaluation.figures import FAINT, INK
from pe_evaluation.figures import margin_map as score_map

COLUMNS = 4
SHARES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
Row = Mapping[str, Any]


def capture_figure(looks: Sequence[Look], cells: Sequence[Row], world: str = IDEAL) -> Figure:
    """Capture rate against the evader's speed, a panel an evader, a line an approach, intervals of 95 %.

    The vertical axis is arcsin(sqrt(rate)), on which an interval is about as wide anywhere: 99 and 100 % stay apart.
    """
    own = [row for row in cells if row["world"] == world]
    looks = [look for look in looks if any(row["approach"] == look.name for row in own)]
    evaders = list(dict.fromkeys(row["evader"] for row in own))
    columns = min(COLUMNS, max(len(evaders), 1))
    rows = -(-max(len(evaders), 1) // columns)
    legend = 0.16 * math.ceil(len(looks) / 3) + 0.10
    height = legend + rows * 1.86 + 0.10
    with rc_context(PRINT):
        figure = Figure(figsize=(WIDTH, height))
        left, gap, panel = 0.58, 0.12, 1.45
        width = (WIDTH - left - 0.05) / columns - gap
        for k, evader in enumerate(evaders):
            row, column = divmod(k, columns)
            x = left + column * (width + gap)
            y = height - legend - row * 1.86 - 0.17 - panel
            axes = figure.add_axes((x / WIDTH, y / height, width / WIDTH, panel / height))
            _draw_captures(axes, looks, [cell for cell in own if cell["evader"] == evader])
            axes.set_title(evader)
            axes.tick_params(labelleft=column == 0)
        if not evaders:
            bare(figure.add_axes((0.1, 0.1, 0.85, 0.6)), "nothing was played")
        figure.text(0.003, 0.5 * (1.0 - legend / height), "captured", rotation=90, va="center", ha="left")
        figure.text(0.53, 0.004, "speed of the evader over the pursuer's", ha="center", va="bottom")
        figure.legend(
            handles=[look.handle() for look in looks], loc="upper center", ncols=3, handlelength=3.2,
            bbox_to_anchor=(0.5, 1.0), borderaxespad=0.1, columnspacing=1.6, labelspacing=0.35,
        )  # fmt: skip
    return figure


def _draw_captures(axes: Axes, looks: Sequence[Look], cells: Sequence[Row]) -> None:
    ratios = sorted({cell["speed_ratio"] for cell in cells})
    axes.set_yscale("function", functions=(_stretched, lambda y: np.sin(np.clip(y, 0.0, 0.5 * math.pi)) ** 2))
    axes.set_yticks(SHARES, [f"{100.0 * share:g} %" for share in SHARES])
    axes.set_ylim(0.0, 1.0)
    step = min(np.diff(ratios), default=0.1)
    for k, look in enumerate(looks):
        rows = {cell["speed_ratio"]: cell["captured"] for cell in cells if cell["approach"] == look.name}
        if not rows:
            continue
        # Side by side within a speed, so that equal rates do not hide one another.
        shift = 0.62 * step * (k - 0.5 * (len(looks) - 1)) / max(len(looks), 1)
        x = np.array(sorted(rows)) + shift
        low, mean, high = (
            np.array([rows[ratio][key] for ratio in sorted(rows)]) for key in ("low", "mean", "high")
        )
        axes.vlines(x, low, high, color=look.colour, lw=0.8, alpha=0.75, zorder=3)
        axes.plot(x, mean, **look.style | {"lw": 0.7, "ms": 3.0}, clip_on=False, zorder=4)
    axes.set_xticks(ratios, [f"{ratio:g}" for ratio in ratios])
    axes.set_xlim(min(ratios) - 0.6 * step, max(ratios) + 0.6 * step)
    axes.grid(False, axis="x")


def _stretched(share: Any) -> Any:
    return np.arcsin(np.sqrt(np.clip(share, 0.0, 1.0)))


def gap_figure(gaps: Sequence[Row], gap_cells: Sequence[Row], limits: Sequence[float]) -> Figure:
    """Training less deployment by candidate: of capture rate in points, of return over the size of training's.

    Large marks: over all cells, with intervals of 95 %; small ones: each cell.  ``limits``: of the decision rule.
    """
    height = 0.20 + 0.44 * max(len(gaps), 1) + 0.42
    with rc_context(PRINT):
        figure = Figure(figsize=(WIDTH, height))
        left, panel = 0.135, 0.395
        for k, (key, label) in enumerate(
            (("captured", "loss of capture rate [points]"), ("return_relative", "loss of return [% of training's]"))
        ):
            axes = figure.add_axes(
                (left + k * (panel + 0.06), 0.42 / height, panel, (height - 0.42 - 0.18) / height)
            )
            _draw_gaps(axes, gaps, gap_cells, key, limits)
            axes.set_xlabel(label)
            if k:
                axes.tick_params(labelleft=False)
    return figure


def _draw_gaps(
    axes: Axes, gaps: Sequence[Row], cells: Sequence[Row], key: str, limits: Sequence[float]
) -> None:
    extent = [0.0, *(100.0 * limit for limit in limits)]
    words: list[tuple[int, float, str]] = []
    small: list[tuple[int, NDArray[np.float64]]] = []
    for row, gap in enumerate(gaps):
        if key not in gap:
            axes.annotate(
                gap.get("reason", "not measured"), (0.02, row), xycoords=("axes fraction", "data"), va="center",
                color=FAINT, fontsize=SMALL,
            )  # fmt: skip
            continue
        found = gap[key]
        value, low, high = (100.0 * found[name] for name in ("gap", "low", "high"))
        by_cell = [100.0 * cell[key]["gap"] for cell in cells if cell["name"] == gap["name"] and key in cell]
        small.append((row, np.array(by_cell)))
        axes.errorbar(
            value, row, xerr=[[max(value - low, 0.0)], [max(high - value, 0.0)]], fmt="D", color=INK, ms=4.0, lw=1.2,
            capsize=2.5, capthick=1.0, zorder=4,
        )  # fmt: skip
        words.append((row, value, f"{value:+.2f} [{low:+.2f}, {high:+.2f}]".replace("-", "−")))
        extent += [value, low, high]
    for limit in limits:
        axes.axvline(100.0 * limit, color=CONTACT_LINE, lw=0.9, ls=(0, (4, 2)), zorder=1)
        axes.annotate(
            f"{100.0 * limit:g}", (100.0 * limit, 1.0), (0.0, 2.0), xycoords=("data", "axes fraction"),
            textcoords="offset points", ha="center", fontsize=SMALL, color=CONTACT_LINE,
        )  # fmt: skip
    axes.axvline(0.0, color=INK, lw=0.8, zorder=1)
    reach = max(extent) - min(extent)
    left, right = min(extent) - 0.12 * reach, max(extent) + 0.12 * reach
    axes.set_xlim(left, right)
    for row, own in small:
        # Of a cell with few captures the gap can be many times training's: it points out of the axes.
        for marker, chosen in (("o", (own >= left) & (own <= right)), ("<", own < left), (">", own > right)):
            x = np.clip(own[chosen], left + 0.02 * reach, right - 0.02 * reach)
            axes.plot(x, np.full(len(x), row + 0.25), marker, ms=2.8, mfc="none", mec="#6a6a6a", mew=0.6, ls="")
    for row, value, text in words:
        inside = min(max(value, left + 0.24 * (right - left)), right - 0.24 * (right - left))
        axes.annotate(
            text, (inside, row), (0.0, 6.0), textcoords="offset points", ha="center", fontsize=SMALL, zorder=5,
            bbox={"facecolor": "white", "alpha": 0.85, "lw": 0, "pad": 0.4},
        )  # fmt: skip
    axes.set_ylim(len(gaps) - 0.45, -0.62)
    axes.set_yticks(range(len(gaps)), [gap["title"] for gap in gaps])
    axes.tick_params(axis="y", length=0, labelsize=7.5, labelcolor=INK)
    axes.grid(False, axis="y")
    if not gaps:
        say(axes, "the plan compares no training with a deployment")


_CRITERIA: dict[str, tuple[str, Callable[[Row], str]]] = {
    "gap": ("gap", lambda n: f"{100.0 * n['gap']:.2f} %"),
    "violations": ("violations", lambda n: f"{100.0 * n['violations']:.3g} % of\nepisodes"),
    "task": ("task", lambda n: f"{100.0 * n['task']:.1f} %\ncaptured"),
    "training_speed": ("training speed", lambda n: f"{n['training_speed']:,.0f}\nsteps/s"),
    "complexity": ("complexity", lambda n: f"{n['code_lines']:,.0f} lines,\n{n['step_us']:,.0f} µs/step"),
}


def matrix_figure(decision: Row) -> Figure:
    """The decision matrix: candidates by criteria with weights, scores in colour, totals with intervals of 95 %."""
    matrix = decision.get("matrix", [])
    count = max(len(matrix), 1)
    height = 0.45 + 0.52 * count + 0.40
    with rc_context(PRINT | {"axes.grid": False}):
        figure = Figure(figsize=(WIDTH, height))
        bottom, tall = 0.40 / height, 0.52 * count / height
        axes = figure.add_axes((0.125, bottom, 0.56, tall))
        if not matrix:
            bare(axes, textwrap.fill(decision.get("reason", "no candidate has evidence"), 84))
            return figure
        _draw_scores(axes, matrix, decision)
        totals = figure.add_axes((0.715, bottom, 0.265, tall))
        _draw_totals(totals, matrix, decision)
    return figure


def _draw_scores(axes: Axes, matrix: Sequence[Row], decision: Row) -> None:
    scale, colours = Normalize(1.0, 5.0), score_map()
    for row, entry in enumerate(matrix):
        for column, (key, (_, words)) in enumerate(_CRITERIA.items()):
            score = entry["scores"][key]
            colour = colours(scale(score))
            bright = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 0.5
            ink = INK if bright else "white"
            axes.add_patch(Rectangle((column - 0.48, row - 0.46), 0.96, 0.92, facecolor=colour, lw=0))
            axes.text(column, row - 0.2, f"{score:.2f}", ha="center", va="center", color=ink, fontsize=9, weight="bold")
            axes.text(
                column, row + 0.2, words(entry["numbers"]), ha="center", va="center", color=ink, fontsize=SMALL,
                linespacing=1.05,
            )  # fmt: skip
    axes.set_xlim(-0.5, len(_CRITERIA) - 0.5)
    axes.set_ylim(len(matrix) - 0.5, -0.5)
    weights = decision["weights"]
    axes.set_xticks(
        range(len(_CRITERIA)), [f"{name}\n× {weights[key]:.2f}" for key, (name, _) in _CRITERIA.items()]
    )
    axes.xaxis.tick_top()
    axes.set_yticks(range(len(matrix)), [entry["title"] for entry in matrix])
    axes.tick_params(length=0, labelsize=7.5, labelcolor=INK)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _draw_totals(axes: Axes, matrix: Sequence[Row], decision: Row) -> None:
    for row, entry in enumerate(matrix):
        chosen = entry["candidate"] == decision["recommended"]
        colour = "#0072B2" if chosen else "#b5b5b5"
        axes.barh(row, entry["total"] - 1.0, 0.55, left=1.0, color=colour)
        axes.plot([entry["total_low"], entry["total_high"]], [row, row], color=INK, lw=1.4, solid_capstyle="butt")
        says = [f"{entry['total']:.2f}"]
        says += ["recommended"] if chosen else []
        says += [] if entry["acceptable"] else ["contacts: not acceptable"]
        axes.text(
            1.06, row, "  ".join(says), ha="left", va="center", fontsize=7.5, weight="bold",
            color="white" if chosen else INK,
        )  # fmt: skip
    axes.set_xlim(1.0, 5.0)
    axes.set_ylim(len(matrix) - 0.5, -0.5)
    axes.set_yticks([])
    axes.set_xticks([1, 2, 3, 4, 5])
    axes.set_xlabel("total")

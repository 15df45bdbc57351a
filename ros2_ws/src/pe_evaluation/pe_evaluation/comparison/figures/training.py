"""How the policies were learned: curves, corrections and gradients of their training, and best responses to them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pe_core.paths import share_directory
from pe_evaluation.comparison.figures.look import CONTACT_LINE, PRINT, SMALL, WIDTH, Look, bare
from pe_evaluation.comparison.figures.material import Material, Training
from pe_evaluation.figures import FAINT, INK
from pe_evaluation.statistics import clopper_pearson

CURVE_PANELS = (
    ("capture_rate", "Captured", "share of episodes"),
    ("return", "Return", "of an episode"),
    ("intervention_rate", "Interventions", "share of control steps"),
    ("mean_correction", "Correction of the policy's mean", "mean size"),
)
GRADIENTS = (
    ("gradient_safe", "behind the program", "#0072B2", "-", "o"),
    ("gradient_nominal", "before the program", "#D55E00", (0, (4, 1.6)), "s"),
)


def curves_figure(material: Material) -> Figure:
    """Training curves of all policies over environment steps; a vertical mark: harder opponents from here on."""
    learned = _learned(material)
    height = 4.4
    with rc_context(PRINT):
        figure = Figure(figsize=(WIDTH, height))
        for k, (key, title, label) in enumerate(CURVE_PANELS):
            row, column = divmod(k, 2)
            axes = figure.add_axes((0.085 + 0.5 * column, (0.42 + 1.98 * (1 - row)) / height, 0.40, 1.52 / height))
            _draw_curves(axes, learned, key)
            axes.set_title(title)
            axes.set_ylabel(label)
            if row:
                axes.set_xlabel("environment steps [millions]")
        _policy_legend(figure, material, learned)
    return figure


def _learned(material: Material) -> list[tuple[Look, Training]]:
    found = material.trainings.items()
    return [(material.named_by(name), each) for name, each in found if isinstance(each, Training)]


def _policy_legend(figure: Figure, material: Material, learned: Sequence[tuple[Look, Training]]) -> None:
    handles = [_handle(look, look.bundle) for look, _ in learned]
    others = [f"{name}: {each}" for name, each in material.trainings.items() if isinstance(each, str)]
    others += [f"{look.bundle}: {each.lacking}" for look, each in learned if each.lacking]
    handles += [Line2D([], [], ls="", label=text) for text in others]
    figure.legend(
        handles=handles, loc="upper center", ncols=min(len(handles), 4) or 1, bbox_to_anchor=(0.5, 1.0),
        borderaxespad=0.2, handlelength=2.4,
    )  # fmt: skip


def _handle(look: Look, label: str) -> Line2D:
    return Line2D([], [], label=label, **look.style | {"ls": "-", "mfc": look.colour})


def _draw_curves(axes: Axes, learned: Sequence[tuple[Look, Training]], key: str) -> None:
    drawn = False
    for k, (look, training) in enumerate(learned):
        steps, values = training.curve(key)
        if not np.isfinite(values).any():
            continue
        drawn = True
        axes.plot(steps / 1e6, values, color=look.colour, lw=0.4, alpha=0.4, zorder=2)
        every = max(len(steps) // 8, 1)
        style = look.style | {"ls": "-", "mfc": look.colour, "ms": 3.4, "lw": 1.2}
        axes.plot(steps / 1e6, smoothed(values), **style, markevery=(k * every // 3, every), zorder=3)
    if not drawn:
        bare(axes, "no policy kept this curve" if learned else "no policy of this comparison was learned")
        return
    for begin in sorted({training.offsets[-1] for _, training in learned if training.offsets[-1] > 0.0}):
        axes.axvline(begin / 1e6, color=FAINT, lw=0.8, ls=(0, (2, 2)), zorder=1)
    axes.set_xlim(0.0, None)
    if key in ("capture_rate",):
        axes.set_ylim(0.0, 1.02)
    elif key != "return":
        axes.set_ylim(0.0, None)


def smoothed(values: np.ndarray[Any, np.dtype[np.float64]], width: int = 9) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Mean over at most ``width`` neighbours, fewer at the ends; not across a NaN, which stays one."""
    out = np.full(len(values), math.nan)
    edges = np.concatenate([[-1], np.flatnonzero(np.isnan(values)), [len(values)]])
    for before, after in zip(edges[:-1], edges[1:], strict=True):
        part = values[before + 1 : after]
        for i in range(len(part)):
            reach = min(width // 2, i, len(part) - 1 - i)
            out[before + 1 + i] = part[i - reach : i + reach + 1].mean()
    return out


def gradient_figure(material: Material) -> Figure:
    """Gradients: behind and before the program in the network, the share that passes it, and of every policy's update.

    On the left over the training, on the right how often each value was found.
    """
    learned = _learned(material)
    height = 4.4
    with rc_context(PRINT):
        figure = Figure(figsize=(WIDTH, height))
        rows = [
            (0.42 + 1.98 * (1 - row)) / height for row in range(2)
        ]
        places = [((0.085, y, 0.56, 1.5 / height), (0.755, y, 0.235, 1.5 / height)) for y in rows]
        _draw_program(figure, places[0], learned)
        _draw_updates(figure, places[1], learned)
        _policy_legend(figure, material, learned)
    return figure


Places = tuple[tuple[float, float, float, float], tuple[float, float, float, float]]


def _draw_program(figure: Figure, places: Places, learned: Sequence[tuple[Look, Training]]) -> None:
    curves, counts = (figure.add_axes(place) for place in places)
    having = [(look, training) for look, training in learned if np.isfinite(training.curve("gradient_safe")[1]).any()]
    if not having:
        reason = "no policy has the program in its network,\nor kept the gradients about it"
        bare(curves, reason)
        bare(counts, reason)
        return
    look, training = having[0]
    span = []
    for key, label, colour, line, marker in GRADIENTS:
        steps, values = training.curve(key)
        every = max(len(steps) // 10, 1)
        curves.plot(
            steps / 1e6, values, color=colour, ls=line, marker=marker, ms=3.2, markevery=every, lw=0.9, label=label
        )
        known = values[np.isfinite(values) & (values > 0.0)]
        if not len(known):
            continue
        span.append(known)
        counts.hist(
            np.log10(known), 24, histtype="step", color=colour, ls=line, lw=1.1, label=label, density=False
        )
    steps, passed = training.curve("gradient_passed")
    curves.set_yscale("log")
    curves.set_title(f"{look.bundle}: gradient of the loss, mean norm of a sample")
    curves.set_ylabel("norm")
    curves.legend(loc="best", ncols=1, handlelength=3.0)
    if np.isfinite(passed).any():
        curves.annotate(
            f"share that passes the program: {100 * np.nanmean(passed):.1f} % (mean)", (0.015, 0.04),
            xycoords="axes fraction", fontsize=SMALL, bbox={"facecolor": "white", "alpha": 0.8, "lw": 0, "pad": 0.8},
        )  # fmt: skip
    counts.set_title("How often")
    counts.set_xlabel("log₁₀ of the norm")
    counts.set_ylabel("points of the curve")


def _draw_updates(figure: Figure, places: Places, learned: Sequence[tuple[Look, Training]]) -> None:
    curves, counts = (figure.add_axes(place) for place in places)
    _draw_curves(curves, learned, "gradient_norm")
    if not curves.lines:
        bare(counts, "no curve")
        return
    curves.set_title("Gradient of an update, all parameters, before it is clipped")
    curves.set_ylabel("norm")
    curves.set_xlabel("environment steps [millions]")
    styles = ("-", (0, (4, 1.6)), (0, (1, 1.2)), (0, (5, 1.4, 1, 1.4)))
    for k, (look, training) in enumerate(learned):
        values = training.curve("gradient_norm")[1]
        values = values[np.isfinite(values)]
        if len(values):
            counts.hist(values, 24, histtype="step", color=look.colour, ls=styles[k % len(styles)], lw=1.1)
    counts.set_title("How often")
    counts.set_xlabel("norm")
    counts.set_ylabel("points of the curve")


def exploits() -> dict[str, dict[str, Any]]:
    """By policy, what ``./pe exploit`` found: ``docs/results/exploit_<policy>.json``."""
    folder = share_directory() / "docs" / "results"
    found = (json.loads(path.read_text()) for path in sorted(Path(folder).glob("exploit_*.json")))
    return {each["policy"]: each for each in found if "meetings" in each}


def exploit_figure(material: Material, known: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Captures by each policy, of the evaders that it is known to meet and of a best response trained against it."""
    bundles = list(material.trainings)
    columns = max(len(bundles), 1)
    height = 2.05
    with rc_context(PRINT):
        figure = Figure(figsize=(WIDTH, height))
        width = (1.0 - 0.02) / columns
        for k, bundle in enumerate(bundles):
            inset = 0.105
            axes = figure.add_axes((0.005 + k * width + inset, 0.20, width - inset - 0.02, 0.66))
            axes.set_title(bundle, loc="center")
            if bundle not in known:
                bare(axes, f"no best response\nhas been trained:\n./pe exploit {bundle}")
                continue
            _draw_exploit(axes, known[bundle], material.named_by(bundle))
    return figure


def _draw_exploit(axes: Axes, found: Mapping[str, Any], look: Look) -> None:
    episodes = int(found["episodes"])
    own = [meeting for meeting in found["meetings"] if meeting["pursuer"] == found["policy"]]
    for row, meeting in enumerate(own):
        rate = meeting["capture_rate"]
        low, high = clopper_pearson(round(rate * episodes), episodes)
        response = meeting["evader"] == "response"
        axes.plot([100 * low, 100 * high], [row, row], color=look.colour, lw=1.2)
        axes.plot(
            100 * rate, row, "X" if response else look.marker, color=CONTACT_LINE if response else look.colour, ms=4.5,
            clip_on=False, zorder=4,
        )  # fmt: skip
        if response:
            axes.annotate(
                f"{100 * rate:.1f} %", (100 * rate, row), (0.0, 5.0), textcoords="offset points", ha="center",
                fontsize=SMALL,
            )  # fmt: skip
    axes.set_yticks(
        range(len(own)),
        ["best response" if meeting["evader"] == "response" else meeting["evader"] for meeting in own],
    )
    axes.set_ylim(len(own) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.set_xlabel(f"captured [%], {episodes:,} episodes")
    axes.set_xlim(None, 100.3)
    axes.annotate(
        f"gap {100 * found['gap']:.1f} points", (0.03, 0.04), xycoords="axes fraction", fontsize=SMALL
    )

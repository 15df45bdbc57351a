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
from matplotlib.ticker import LogLocator
from numpy.typing import NDArray

from pe_core.paths import share_directory
from pe_evaluation.comparison.figures.look import CONTACT_LINE, PRINT, SMALL, WIDTH, Look, bare, plain_log
from pe_evaluation.comparison.figures.material import Material, Training
from pe_evaluation.figures import FAINT, INK
from pe_evaluation.statistics import clopper_pearson

CURVE_PANELS = (
    ("capture_rate", "Captured", "share of episodes"),
    ("return", "Return", "of an episode"),
    ("intervention_rate", "Interventions", "share of control steps"),
    ("correction", "Correction by the filter", "mean size"),
)
_LINES = ("-", (0, (4, 1.6)), (0, (1, 1.2)), (0, (5, 1.4, 1, 1.4)))
Values = NDArray[np.float64]
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
    begins = sorted({training.offsets[-1] for _, training in learned if training.offsets[-1] > 0.0})
    for begin in begins:
        axes.axvline(begin / 1e6, color=FAINT, lw=0.8, ls=(0, (2, 2)), zorder=1)
    if begins and key == "capture_rate":
        axes.annotate(
            "second part:\nother opponents", (begins[0] / 1e6, 0.06), (3.0, 0.0), xycoords=("data", "axes fraction"),
            textcoords="offset points", fontsize=SMALL, color="#5a5a5a",
        )  # fmt: skip
    axes.set_xlim(0.0, None)
    if key in ("capture_rate",):
        axes.set_ylim(0.0, 1.02)
    elif key != "return":
        axes.set_ylim(0.0, None)


def smoothed(values: Values, width: int = 9) -> Values:
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
    """Of the program in the network: what it corrects of the policy's mean, the gradient behind and before it; and the
    gradient of every policy's updates.

    On the left over the training, on the right how often each value was found.
    """
    learned = _learned(material)
    height = 6.5
    with rc_context(PRINT):
        figure = Figure(figsize=(WIDTH, height))
        pairs = []
        for row in range(3):
            y, tall = (0.42 + 2.04 * (2 - row)) / height, 1.45 / height
            pairs.append((figure.add_axes((0.085, y, 0.55, tall)), figure.add_axes((0.745, y, 0.245, tall))))
        # Where there is no program the curve is zero throughout.
        inside = [each for each in learned if (_finite(each[1].curve("mean_correction")[1]) > 0.0).any()]
        _draw_norms(*pairs[0], inside, "mean_correction", "no policy has the program in its network")
        pairs[0][0].set_title("Correction of the policy's mean by the program in the network")
        pairs[0][0].set_ylabel("mean |u − u_nom|")
        pairs[0][1].set_xlabel("mean |u − u_nom|")
        _draw_program(*pairs[1], inside)
        _draw_norms(*pairs[2], learned, "gradient_norm", "no policy of this comparison was learned")
        pairs[2][0].set_title("Gradient of an update, all parameters, before it is clipped")
        pairs[2][0].set_ylabel("norm")
        pairs[2][1].set_xlabel("norm")
        _policy_legend(figure, material, learned)
    return figure


def _draw_norms(
    curves: Axes, counts: Axes, learned: Sequence[tuple[Look, Training]], key: str, reason: str
) -> None:
    """A curve of every policy, and how often each value was found."""
    known = {look: _finite(training.curve(key)[1]) for look, training in learned}
    pooled = np.concatenate(list(known.values()) or [np.empty(0)])
    pooled = pooled[pooled > 0.0]
    if not len(pooled):
        bare(curves, reason)
        bare(counts, reason.replace(" the program", "\nthe program").replace(" comparison", "\ncomparison"))
        return
    _draw_curves(curves, learned, key)
    edges = np.geomspace(pooled.min() / 1.05, pooled.max() * 1.05, 41)
    for k, (look, values) in enumerate(known.items()):
        if len(values):
            counts.hist(values, edges.tolist(), histtype="step", color=look.colour, ls=_LINES[k % len(_LINES)], lw=1.2)
    _finish_counts(counts)


def _draw_program(curves: Axes, counts: Axes, inside: Sequence[tuple[Look, Training]]) -> None:
    """The loss's gradient behind and before the program of the first policy that kept it."""
    having = [each for each in inside if len(_finite(each[1].curve("gradient_safe")[1]))]
    if not having:
        bare(curves, "no policy has the program in its network\nand kept the gradients about it")
        bare(counts, "no gradients\nwere kept")
        return
    look, training = having[0]
    pooled = np.concatenate([_finite(training.curve(key)[1]) for key, *_ in GRADIENTS])
    edges = np.geomspace(max(pooled.min(), 1e-12) / 1.01, pooled.max() * 1.01, 31)
    for key, label, colour, line, marker in GRADIENTS:
        steps, values = training.curve(key)
        every = max(len(steps) // 10, 1)
        curves.plot(
            steps / 1e6, values, color=colour, ls=line, marker=marker, ms=3.2, markevery=every, lw=0.9, label=label
        )
        counts.hist(_finite(values), edges.tolist(), histtype="step", color=colour, ls=line, lw=1.2)
    curves.set_ylim(0.0, None)
    curves.set_title(f"{look.bundle}: gradient of a sample's loss about the program")
    curves.set_ylabel("root mean square")
    passed = _finite(training.curve("gradient_passed")[1])
    share = f"; {100.0 * passed.mean():.1f} % pass it" if len(passed) else ""
    early = len(training.parts) > 1 and not any("gradient_safe" in line for line in training.parts[0])
    first = f"the part before {training.offsets[-1] / 1e6:.0f} M steps kept none" if early else ""
    curves.legend(
        loc="lower right", handlelength=3.0, title=(first + share).lstrip("; ") or None, title_fontsize=SMALL
    )
    counts.set_xlabel("root mean square")
    _finish_counts(counts)


def _finish_counts(counts: Axes) -> None:
    counts.set_xscale("log")
    counts.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    plain_log(counts.xaxis)
    counts.set_title("How often")
    counts.set_ylabel("points of the curve")


def _finite(values: Values) -> Values:
    return values[np.isfinite(values)]


def exploits() -> dict[str, dict[str, Any]]:
    """By policy, what ``./pe exploit`` found: ``docs/results/exploit_<policy>.json``."""
    folder = share_directory() / "docs" / "results"
    found = (json.loads(path.read_text()) for path in sorted(Path(folder).glob("exploit_*.json")))
    return {each["policy"]: each for each in found if "meetings" in each}


def exploit_figure(material: Material, known: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Captures by each policy, of the evaders that it is known to meet and of a best response trained against it."""
    bundles = list(material.trainings)
    shown = [bundle for bundle in bundles if bundle in known]
    others = [bundle for bundle in bundles if bundle not in known]
    note = f"No best response has been trained against {', '.join(others)} (./pe exploit NAME)." if others else ""
    count = max(len(shown), 1)
    most = max((len(_own(known[bundle])) for bundle in shown), default=3)
    # One scale for all.
    lowest = min((100.0 * each["capture_rate"] for bundle in shown for each in _own(known[bundle])), default=0.0)
    height = 0.24 + 0.20 * most + 0.38 + (0.22 if note else 0.0)
    bottom = (0.36 + (0.22 if note else 0.0)) / height
    with rc_context(PRINT):
        figure = Figure(figsize=(WIDTH, height))
        for k, bundle in enumerate(shown or [""]):
            place = (0.125 + k * 0.98 / count, bottom, 0.98 / count - 0.145, 0.20 * most / height)
            axes = figure.add_axes(place)
            if bundle:
                _draw_exploit(axes, known[bundle], material.named_by(bundle), lowest)
            else:
                bare(axes, note or "no policy was played")
        if shown and note:
            figure.text(0.0, 0.005, note, fontsize=SMALL, color="#5a5a5a", va="bottom")
    return figure


def _own(found: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [meeting for meeting in found["meetings"] if meeting["pursuer"] == found["policy"]]


def _draw_exploit(axes: Axes, found: Mapping[str, Any], look: Look, lowest: float) -> None:
    episodes = int(found["episodes"])
    own = _own(found)
    for row, meeting in enumerate(own):
        rate = meeting["capture_rate"]
        low, high = clopper_pearson(round(rate * episodes), episodes)
        response = meeting["evader"] == "response"
        axes.plot([100 * low, 100 * high], [row, row], color=look.colour, lw=1.2)
        axes.plot(
            100 * rate, row, "X" if response else look.marker, color=CONTACT_LINE if response else look.colour, ms=4.5,
            clip_on=False, zorder=4,
        )  # fmt: skip
        beside = (100 * low, -5.0, "right") if rate > 0.95 else (100 * high, 5.0, "left")
        axes.annotate(
            f"{100 * rate:.2f} %", (beside[0], row), (beside[1], 0.0), textcoords="offset points", ha=beside[2],
            va="center", fontsize=SMALL, bbox={"facecolor": "white", "alpha": 0.85, "lw": 0, "pad": 0.4},
        )  # fmt: skip
    axes.set_yticks(
        range(len(own)),
        ["best response" if meeting["evader"] == "response" else meeting["evader"] for meeting in own],
    )
    axes.set_ylim(len(own) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.set_xlabel(f"captured [%], {episodes:,} episodes")
    axes.set_title(f"{found['policy']}: gap {100 * found['gap']:.2f} points")
    axes.set_xlim(max(lowest - 0.35 * (100.0 - lowest) - 1.0, -1.0), 100.5)

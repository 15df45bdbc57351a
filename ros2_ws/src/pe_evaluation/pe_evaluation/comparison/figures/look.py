"""How figures look: one colour and marker a policy, one line style a setting; as wide as a page of print.

Every text is at least 7 points at 170 mm.  What a colour says, a marker or a line style says too, so that nothing is
lost in grey.  Colours: Okabe and Ito's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter

from pe_evaluation.comparison.plan import TRAINED
from pe_evaluation.figures import FAINT, INK, STYLE

WIDTH = 170.0 / 25.4
"""Width of a page's text [in]."""
PRINT = STYLE | {
    "font.size": 7.5,
    "axes.titlesize": 7.5,
    "axes.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "axes.titlepad": 3.0,
}
SMALL = 7.0
CONTACT_LINE = "#b03030"
_FAMILIES = (
    (INK, "o"),
    ("#E69F00", "s"),
    ("#0072B2", "^"),
    ("#009E73", "D"),
    ("#CC79A7", "P"),
    ("#D55E00", "v"),
    ("#56B4E9", "X"),
    ("#8C564B", "*"),
)
_ALONE: Any = (0, (1, 1.2))
_TRAINED: Any = (0, (4, 1.6))
_USED: Any = "-"
_OTHER: Any = (0, (5, 1.4, 1, 1.4))


@dataclasses.dataclass(frozen=True)
class Look:
    """One approach, and how it is drawn."""

    name: str
    title: str
    bundle: str
    filtered: bool
    colour: str
    marker: str
    line: Any

    @property
    def style(self) -> dict[str, Any]:
        """Of a line with markers; as trained: hollow."""
        face = "white" if self.line in (_TRAINED, _ALONE) else self.colour
        return {
            "color": self.colour,
            "ls": self.line,
            "marker": self.marker,
            "mfc": face,
            "mec": self.colour,
            "ms": 3.6,
            "mew": 0.8,
            "lw": 1.0,
        }

    def handle(self) -> Line2D:
        """Its entry in a legend."""
        return Line2D([], [], label=self.title, **self.style)


def looks_of(approaches: Iterable[Mapping[str, Any]]) -> tuple[Look, ...]:
    """Looks of the approaches of a plan: a colour for each policy, another where it drives behind another filter.

    A policy's own filter is the one that it was trained behind, or the first.
    """
    approaches = list(approaches)
    own: dict[str, str] = {}
    for each in approaches:
        if each["safety"] != "none" and (each["bundle"] not in own or each["setting"] == TRAINED):
            own[each["bundle"]] = each["safety"]
    families: dict[tuple[str, str], int] = {}
    out: list[Look] = []
    for each in approaches:
        known = each["safety"] in ("none", own.get(each["bundle"]))
        key = (each["bundle"], "" if known else each["safety"])
        number = families.setdefault(key, len(families)) % len(_FAMILIES)
        line = _ALONE if each["safety"] == "none" else _TRAINED if each["setting"] == TRAINED else _USED
        colour, marker = _FAMILIES[number]
        if any(look.colour == colour and look.line == line for look in out):
            line = _OTHER
        out.append(
            Look(each["name"], each["title"], each["bundle"], each["safety"] != "none", colour, marker, line)
        )
    return tuple(out)


def say(axes: Axes, reason: str) -> None:
    """A reason where there is nothing to draw."""
    axes.text(
        0.5, 0.5, reason, transform=axes.transAxes, ha="center", va="center", color="#5a5a5a", fontsize=SMALL,
        linespacing=1.3, zorder=9,
    )  # fmt: skip


def bare(axes: Axes, reason: str) -> None:
    """An axes that says only why it shows nothing."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_color("#d0d0d0")
    say(axes, reason)


def plain_log(axis: Axis, percent: bool = False) -> None:
    """Numbers without exponents on a logarithmic axis: a raised exponent would be too small to read in print."""
    def show(x: float, _: object) -> str:
        plain = f"{100.0 * x if percent else x:.9f}".rstrip("0").rstrip(".")
        return f"{plain} %" if percent else plain

    axis.set_major_formatter(FuncFormatter(show))
    axis.set_minor_formatter(NullFormatter())


def title_rows(axes: Axes, looks: Sequence[Look]) -> None:
    """Approaches by title down the side of ``axes``, the first on top, at y = 0, 1, ..."""
    axes.set_ylim(len(looks) - 0.4, -0.6)
    axes.set_yticks(range(len(looks)), [look.title for look in looks])
    axes.tick_params(axis="y", length=0, labelsize=7.5, labelcolor=INK)
    axes.grid(False, axis="y")
    for edge in range(1, len(looks)):
        axes.axhline(edge - 0.5, color="#ececec", lw=0.5, zorder=0)


def reason_in_row(axes: Axes, row: float, reason: str) -> None:
    """A reason in the row of an approach."""
    axes.annotate(
        reason, (0.02, row), xycoords=("axes fraction", "data"), va="center", color=FAINT, fontsize=SMALL
    )

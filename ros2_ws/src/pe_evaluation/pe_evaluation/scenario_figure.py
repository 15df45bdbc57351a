"""The layouts of the scenario suite as small multiples, each arena to scale."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Rectangle
from numpy.typing import NDArray

from pe_core.files import replaced
from pe_core.robot import RobotModel
from pe_core.roles import ROLES
from pe_core.scenario import sample_layout
from pe_evaluation.figures import COLOURS, INK, STYLE
from pe_evaluation.suite import Case

COLUMNS = 4
PANEL = 2.15
"""Width of one panel [inch]."""
_SOLID, _GROUND = "#b9b4aa", "#f4f3ef"


def draw(cases: Sequence[Case], path: Path, seed: int = 0) -> None:
    """Write the picture atomically; the suffix of ``path`` says how (.png, .svg, .pdf)."""
    figure = layouts_figure(cases, seed)
    with replaced(path) as temporary, rc_context(STYLE):
        figure.savefig(temporary, dpi=200, format=path.suffix.removeprefix(".") or "png")


def layouts_figure(cases: Sequence[Case], seed: int = 0) -> Figure:
    """Episode 0 of every case: bodies with their headings, obstacles, the line between the robots."""
    rows = -(-len(cases) // COLUMNS)
    with rc_context(STYLE):
        figure = Figure(figsize=(COLUMNS * PANEL, rows * (PANEL + 0.52) + 0.35), layout="constrained")
        panels = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
        for axes, case in zip(panels, cases, strict=False):
            draw_layout(axes, case, seed)
        for axes in panels[len(cases) :]:
            axes.set_axis_off()
        handles = [
            Line2D([], [], marker="o", ls="", ms=6, color=COLOURS[role], label=f"{role}, episode 0") for role in ROLES
        ]
        handles.append(Line2D([], [], ls=(0, (3, 2)), lw=0.8, color=INK, label="line between them"))
        figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def draw_layout(axes: Axes, case: Case, seed: int = 0) -> None:
    """One scenario from above; a body smaller than 3 % of the half side is drawn at that size."""
    scenario = case.scenario
    evader = case.robot if scenario.speed_ratio == 1.0 else case.robot.with_speed_ratio(scenario.speed_ratio)
    layout = sample_layout(scenario, case.config, case.robot, evader, seed, 0)
    half = layout.arena.half_side
    axes.add_patch(Rectangle((-half, -half), 2 * half, 2 * half, facecolor=_GROUND, edgecolor=INK, lw=0.8))
    for x, y, radius in layout.arena.obstacles:
        axes.add_patch(Circle((x, y), radius, facecolor=_SOLID, edgecolor=INK, lw=0.6))
    axes.plot(*zip(layout.pursuer[:2], layout.evader[:2], strict=True), color=INK, lw=0.7, ls=(0, (3, 2)), zorder=2)
    for role, pose in zip(ROLES, (layout.pursuer, layout.evader), strict=True):
        _draw_robot(axes, case.robot, pose, COLOURS[role], half)
    axes.set(xlim=(-1.03 * half, 1.03 * half), ylim=(-1.03 * half, 1.03 * half), aspect="equal", xticks=[], yticks=[])
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title(scenario.name.replace("_", " "))
    axes.set_xlabel("\n".join(textwrap.wrap(scenario.description, 40)), fontsize=6.5, color="#444444", labelpad=2.0)


def _draw_robot(axes: Axes, model: RobotModel, pose: NDArray[np.float64], colour: str, half: float) -> None:
    """The body at its size with its heading; an arrow long enough to be seen."""
    x, y, heading = (float(value) for value in pose)
    length, radius = 0.1 * half, max(model.radius, 0.03 * half)
    arrow = {"arrowstyle": "-|>,head_width=0.2,head_length=0.3", "color": colour, "lw": 1.2, "shrinkA": 0, "shrinkB": 0}
    axes.add_patch(Circle((x, y), radius, facecolor=colour, edgecolor="white", lw=0.4, zorder=4))
    tip = (x + length * math.cos(heading), y + length * math.sin(heading))
    axes.annotate("", tip, (x, y), arrowprops=arrow, zorder=5, annotation_clip=False)

"""Figures of one recorded episode, for the report and for print.

Colours: Okabe and Ito's for the robots, cividis for margins; both are read by the colour-blind, and cividis also
in grey.  Lengths in the arena are to scale.  Figures are made without pyplot, so that nothing global is touched.
"""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection, PatchCollection
from matplotlib.colors import Colormap, ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from pe_core.arena import Arena
from pe_core.robot import RobotModel
from pe_evaluation.bag import Run
from pe_evaluation.metrics import BACKUP, RELAXED, ROLES, STOP
from pe_evaluation.recorded import Trace

COLOURS = {"pursuer": "#D55E00", "evader": "#0072B2"}
INK = "#222222"
FAINT = "#8a8a8a"
_GROUND = "#f4f3ef"
CONTACT = "#e3000f"
_SOLID = "#b9b4aa"
TIER_COLOURS = {RELAXED: "#F0E442", BACKUP: "#CC79A7", STOP: "#999999"}
_BARRIER_COLOURS = {
    "wall_east": "#56B4E9",
    "wall_west": "#0072B2",
    "wall_north": "#009E73",
    "wall_south": "#7A9A01",
    "opponent": "#222222",
}
_OBSTACLE_COLOURS = ("#D55E00", "#CC79A7", "#E69F00", "#8C564B", "#999999", "#661100")
STYLE = {
    "font.size": 8.0,
    "axes.titlesize": 8.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titley": 1.02,
    "axes.labelsize": 8.0,
    "axes.edgecolor": "#555555",
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.5,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "legend.fontsize": 7.0,
    "legend.frameon": False,
    "lines.linewidth": 1.1,
    "svg.fonttype": "path",
    "svg.hashsalt": "pursuit-evasion",
    "path.simplify": True,
}


def margin_map() -> Colormap:
    """cividis without its palest end, which would vanish on paper; contact is red."""
    from matplotlib import colormaps

    return ListedColormap(colormaps["cividis"](np.linspace(0.0, 0.93, 256))).with_extremes(under=CONTACT)


def chase_figure(run: Run, trace: Trace, width: float = 6.0) -> Figure:
    """One episode seen from above, ``width`` inches wide: trajectories, margins in colour, corrections."""
    with rc_context(STYLE):
        figure = Figure(figsize=(width, 0.9 * width))
        axes = figure.add_axes((0.095, 0.07, 0.77, 0.87))
        scale = draw_chase(axes, run, trace)
        bar_axes = figure.add_axes((0.885, 0.15, 0.018, 0.55))
        _margin_bar(figure, bar_axes, scale, trace)
        axes.legend(
            handles=chase_handles(), loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=5, handlelength=1.6,
            columnspacing=1.2, borderaxespad=0.2,
        )  # fmt: skip
    return figure


def episode_figure(run: Run, trace: Trace) -> Figure:
    """One episode in full: from above, distance and margins, barriers, commands."""
    with rc_context(STYLE):
        figure = Figure(figsize=(11.0, 8.6))
        chase = figure.add_axes((0.05, 0.46, 0.4, 0.505))
        scale = draw_chase(chase, run, trace)
        bar_axes = figure.add_axes((0.458, 0.55, 0.008, 0.30))
        _margin_bar(figure, bar_axes, scale, trace)
        chase.legend(
            handles=chase_handles(), loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=5, handlelength=1.5,
            columnspacing=1.0, borderaxespad=0.2,
        )  # fmt: skip
        last = float(trace.time[-1]) if len(trace.time) else 1.0
        distance = figure.add_axes((0.565, 0.745, 0.42, 0.215))
        margin = figure.add_axes((0.565, 0.46, 0.42, 0.215), sharex=distance)
        draw_distance(distance, trace)
        draw_margins(margin, trace)
        margin.set_xlabel("time [s]")
        for column, role in enumerate(ROLES):
            left = 0.055 + 0.51 * column
            width = 0.395 if column == 0 else 0.42
            barrier = figure.add_axes((left, 0.245, width, 0.14))
            speed = figure.add_axes((left, 0.135, width, 0.075), sharex=barrier)
            turn = figure.add_axes((left, 0.04, width, 0.075), sharex=barrier)
            draw_barriers(barrier, trace, role)
            draw_commands(speed, turn, run.robots[role].model, trace, role)
            turn.set_xlabel("time [s]", labelpad=1.0)
            for axes in (barrier, speed):
                axes.tick_params(labelbottom=False)
            barrier.set_xlim(0.0, max(last, trace.episode.dt))
        distance.tick_params(labelbottom=False)
        distance.set_xlim(0.0, max(last, trace.episode.dt))
    return figure


def draw_chase(axes: Axes, run: Run, trace: Trace) -> Normalize:
    """Arena, obstacles, both trajectories with their margin in colour, corrections; returns the colour scale."""
    scale = draw_arena(axes, trace.episode.arena)
    for column, role in enumerate(ROLES):
        draw_path(axes, role, trace.poses[role], trace.margins[:, column], scale)
        _draw_corrections(axes, run.robots[role].model, trace, role)
        _draw_times(axes, trace, role)
    for role in ROLES:
        draw_bodies(axes, role, trace.poses[role], run.robots[role].model.radius)
    if trace.record.capture_time is not None and len(trace.time):
        draw_capture(axes, trace.poses["pursuer"][-1], trace.episode.capture_radius)
    return scale


def margin_scale(arena: Arena) -> Normalize:
    """Margins from contact to a tenth of the half side, where colours tell them apart."""
    return Normalize(0.0, 0.1 * arena.half_side)


def draw_arena(axes: Axes, arena: Arena, numbered: bool = True) -> Normalize:
    """Walls and obstacles to scale; returns the colour scale of margins [m] for an arena of this size."""
    half = arena.half_side
    border = 0.045 * half
    axes.set_facecolor(_SOLID)
    axes.add_patch(Rectangle((-half, -half), 2.0 * half, 2.0 * half, facecolor=_GROUND, edgecolor=INK, lw=0.8))
    discs = [Circle((x, y), radius) for x, y, radius in arena.obstacles]
    axes.add_collection(PatchCollection(discs, facecolor=_SOLID, edgecolor=INK, linewidth=0.8))
    for i, (x, y, _) in enumerate(arena.obstacles if numbered else ()):
        axes.text(x, y, str(i), ha="center", va="center", fontsize=7, color="#5b564d")
    axes.set_xlim(-half - border, half + border)
    axes.set_ylim(-half - border, half + border)
    axes.set_aspect("equal")
    axes.grid(False)
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.set_xlabel("x [m]", labelpad=1.0)
    axes.set_ylabel("y [m]", labelpad=-1.0)
    return margin_scale(arena)


def draw_path(
    axes: Axes,
    role: str,
    poses: NDArray[np.float64],
    margins: NDArray[np.float64],
    scale: Normalize,
    width: float = 5.5,
) -> None:
    """A trajectory through ``poses`` (n, 2 or more): x, y [m]; core: margins (n,) [m], edge: the robot's colour."""
    if len(poses) < 2:
        return
    points = poses[:, :2]
    axes.plot(points[:, 0], points[:, 1], color=COLOURS[role], lw=width, alpha=0.28, solid_capstyle="round", zorder=3)
    segments = np.stack([points[:-1], points[1:]], axis=1)
    axes.add_collection(
        LineCollection(
            list(segments), array=np.minimum(margins[:-1], margins[1:]), cmap=margin_map(), norm=scale,
            linewidths=0.35 * width, capstyle="round", zorder=4,
        )  # fmt: skip
    )


def _draw_times(axes: Axes, trace: Trace, role: str) -> None:
    """Dots every five seconds let the eye find both robots at one time."""
    poses = trace.poses[role]
    if len(poses) < 2:
        return
    times = np.arange(5.0, trace.time[-1] - 1.0, 5.0)
    rows = np.searchsorted(trace.time, times - 1e-9)
    axes.plot(poses[rows, 0], poses[rows, 1], "o", ms=3.6, mfc="white", mec=COLOURS[role], mew=1.0, zorder=6)
    for time, row in zip(times, rows, strict=True):
        # The label stands to the right of the direction of travel, off the path.
        side = poses[row, 2] - 0.5 * math.pi
        axes.annotate(
            f"{time:.0f}", (poses[row, 0], poses[row, 1]), (8.0 * math.cos(side), 8.0 * math.sin(side)), fontsize=6,
            textcoords="offset points", ha="center", va="center", color=COLOURS[role], zorder=6,
        )  # fmt: skip


def _draw_corrections(axes: Axes, model: RobotModel, trace: Trace, role: str) -> None:
    """Arrows at noticeable corrections."""
    status = trace.status[role]
    if not len(status):
        return
    change = status.columns("command_v", "command_omega") - status.columns("nominal_v", "nominal_omega")
    pose = status.columns("state_x", "state_y", "state_theta")
    wanted = (status.column("intervened") > 0.5) & np.isfinite(change).all(axis=1) & np.isfinite(pose).all(axis=1)
    draw_arrows(axes, role, model, pose[wanted], change[wanted], trace.episode.arena.half_side)


def draw_arrows(
    axes: Axes,
    role: str,
    model: RobotModel,
    poses: NDArray[np.float64],
    change: NDArray[np.float64],
    half_side: float,
    width: float = 0.0026,
    most: int = 30,
) -> None:
    """Arrows: change of the control point's velocity, J (u - u_nominal), at about ``most`` of the steps given.

    ``poses`` (n, 3): x, y [m], theta [rad]; ``change`` (n, 2): v [m/s], omega [rad/s].
    """
    rows = np.arange(len(poses))[:: max(1, len(poses) // most)]
    if not len(rows):
        return
    cosine, sine, d = np.cos(poses[rows, 2]), np.sin(poses[rows, 2]), model.vcp_offset
    # A turn of the whole range is drawn as long as a stop from full speed: 5 cm of lever would show nothing.
    lever = max(d, model.v_max / model.omega_max)
    du = cosine * change[rows, 0] - lever * sine * change[rows, 1]
    dv = sine * change[rows, 0] + lever * cosine * change[rows, 1]
    length = 0.075 * half_side / max(model.v_max, 1e-9)
    axes.quiver(
        poses[rows, 0] + d * cosine, poses[rows, 1] + d * sine, du * length, dv * length, angles="xy",
        scale_units="xy", scale=1.0, width=width, headwidth=4.0, headlength=4.6, color=COLOURS[role], zorder=5,
    )  # fmt: skip


def draw_bodies(axes: Axes, role: str, poses: NDArray[np.float64], radius: float) -> None:
    """The body at the first pose (empty) and at the last (filled), to scale."""
    if not len(poses):
        return
    for pose, face, order in ((poses[0], "white", 6), (poses[-1], COLOURS[role], 8)):
        axes.add_patch(Circle((pose[0], pose[1]), radius, fc=face, ec=COLOURS[role], lw=1.1, zorder=order))
        tip = pose[:2] + 1.9 * radius * np.array([math.cos(pose[2]), math.sin(pose[2])])
        axes.plot([pose[0], tip[0]], [pose[1], tip[1]], color=COLOURS[role], lw=1.4, zorder=order)


def draw_capture(axes: Axes, pose: NDArray[np.float64], radius: float) -> None:
    """The capture radius [m] about the pursuer."""
    axes.add_patch(Circle((pose[0], pose[1]), radius, fill=False, ls=(0, (3, 2)), lw=0.9, ec=INK, zorder=7))


def chase_handles() -> list[Any]:
    """What stands in the legend of a chase."""
    from matplotlib.lines import Line2D

    handles: list[Any] = [Line2D([], [], color=COLOURS[role], lw=5, alpha=0.45, label=role) for role in ROLES]
    handles.append(Line2D([], [], marker="o", ls="", mfc="white", mec=INK, ms=5.5, label="start"))
    handles.append(Line2D([], [], marker="o", ls="", mfc=INK, mec=INK, ms=5.5, label="end"))
    handles.append(Line2D([], [], marker=r"$\rightarrow$", ls="", color=INK, ms=9, label="correction"))
    return handles


def _margin_bar(figure: Figure, axes: Axes, scale: Normalize, trace: Trace) -> None:
    extend = "both" if (trace.margins < 0.0).any() else "max"
    bar = figure.colorbar(ScalarMappable(scale, margin_map()), cax=axes, extend=extend)
    bar.set_label("body margin [m]", labelpad=2.0)
    bar.outline.set_linewidth(0.5)


def draw_distance(axes: Axes, trace: Trace) -> None:
    """Distance of the centres over time, with the capture radius."""
    axes.plot(trace.time, trace.distance, color=INK)
    radius = trace.episode.capture_radius
    axes.axhline(radius, color=COLOURS["pursuer"], lw=0.9, ls=(0, (4, 2)))
    axes.annotate(
        f"capture radius {radius:g} m", (0.0, radius), (3.0, 2.5), xycoords=("axes fraction", "data"),
        textcoords="offset points", ha="left", va="bottom", fontsize=7, color=COLOURS["pursuer"],
    )  # fmt: skip
    axes.set_ylim(0.0, None)
    axes.set_ylabel("distance [m]")
    axes.set_title("Distance of the robots' centres")


def draw_margins(axes: Axes, trace: Trace) -> None:
    """Body margins of both robots over time; below zero is contact."""
    for column, role in enumerate(ROLES):
        axes.plot(trace.time, trace.margins[:, column], color=COLOURS[role], label=role)
    low = float(trace.margins.min(initial=0.0))
    top = 0.35 * trace.episode.arena.half_side
    bottom = min(-0.04 * top, 1.1 * low)
    axes.axhspan(bottom, 0.0, color="#e9c6c6", lw=0)
    axes.set_ylim(bottom, top)
    title = "Body margin"
    if len(trace.time):
        step, column = (int(i) for i in np.unravel_index(int(trace.margins.argmin()), trace.margins.shape))
        value, time = float(trace.margins[step, column]), float(trace.time[step])
        axes.plot([time], [value], "o", ms=5.0, mfc="none", mec=INK, mew=1.0, zorder=5)
        title += f": least {value:.4f} m ({ROLES[column]}, {time:.2f} s)"
    axes.set_ylabel("body margin [m]")
    axes.set_title(title)
    axes.legend(loc="upper right", ncols=2, borderaxespad=0.1)


def draw_barriers(axes: Axes, trace: Trace, role: str) -> None:
    """Every named barrier of one robot over time, logarithmic: nearness to zero is what matters."""
    status = trace.status[role]
    time = trace.since_start(status.stamp_ns)
    floor = 1e-4
    for name, values in status.barriers.items():
        if np.isfinite(values).any():
            label = name.replace("wall_", "").replace("obstacle_", "o" if len(status.barriers) > 7 else "obst. ")
            axes.plot(time, np.maximum(values, floor), color=barrier_colour(name), lw=0.95, label=label)
    axes.set_yscale("log")
    axes.set_ylim(floor, None)
    negative = [name for name, values in status.barriers.items() if (values < 0.0).any()]
    _shade_tiers(axes, trace, role)
    axes.set_ylabel("h [m, m²]")
    axes.set_title(role.capitalize(), color=COLOURS[role])
    if negative:
        note = "negative: " + ", ".join(negative)
        axes.text(0.012, 0.05, note, transform=axes.transAxes, fontsize=7, color=CONTACT)
    if status.barriers:
        axes.legend(
            loc="lower right", bbox_to_anchor=(1.0, 0.985), ncols=len(status.barriers), handlelength=1.0,
            columnspacing=0.8, handletextpad=0.4, borderaxespad=0.0, fontsize=6.5 if len(status.barriers) < 9 else 5.5,
        )  # fmt: skip


def barrier_colour(name: str) -> str:
    """One colour for each barrier, the same for both robots."""
    if name.startswith("obstacle_") and name[9:].isdigit():
        return _OBSTACLE_COLOURS[int(name[9:]) % len(_OBSTACLE_COLOURS)]
    return _BARRIER_COLOURS.get(name, FAINT)


def draw_commands(speed: Axes, turn: Axes, model: RobotModel, trace: Trace, role: str) -> None:
    """Nominal and executed commands over time."""
    nominal, command = trace.nominal[role], trace.command[role]
    for axes, column, label, limit in (
        (speed, 0, "v [m/s]", model.v_max), (turn, 1, "ω [rad/s]", model.omega_max),
    ):  # fmt: skip
        axes.plot(trace.since_start(nominal.stamp_ns), nominal.values[:, column], color="#9a9a9a", lw=1.6,
                  label="nominal")  # fmt: skip
        axes.plot(trace.since_start(command.stamp_ns), command.values[:, column], color=COLOURS[role], lw=0.9,
                  label="executed")  # fmt: skip
        low = 0.0 if column == 0 and model.v_min == 0.0 else -limit
        axes.set_ylim(low - 0.08 * limit, 1.12 * limit)
        axes.set_ylabel(label)
        _shade_tiers(axes, trace, role)
    speed.legend(
        loc="lower right", bbox_to_anchor=(1.0, 0.93), ncols=2, handlelength=1.2, columnspacing=1.0,
        borderaxespad=0.0, fontsize=6.5,
    )  # fmt: skip


def _shade_tiers(axes: Axes, trace: Trace, role: str) -> None:
    """Shade control steps that were not exact."""
    status = trace.status[role]
    time, dt = trace.since_start(status.stamp_ns), trace.episode.dt
    for tier, colour in TIER_COLOURS.items():
        for first, last in runs(status.tier == tier):
            axes.axvspan(time[first], time[last] + dt, color=colour, alpha=0.5, lw=0, zorder=0)


def runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and last index of every run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(first), int(last) - 1) for first, last in zip(edges[::2], edges[1::2], strict=True)]


def svg(figure: Figure) -> str:
    """The figure as SVG text, the same for the same figure."""
    buffer = io.StringIO()
    with rc_context(STYLE):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def save(figure: Figure, path: Path, dpi: int = 200) -> None:
    """Write the figure; the suffix says how (.png, .svg, .pdf)."""
    with rc_context(STYLE):
        figure.savefig(path, dpi=dpi)

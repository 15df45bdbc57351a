"""Trajectories side by side: every approach from the same start, margins in colour, corrections as arrows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pe_core.config import read_yaml
from pe_core.paths import config_path
from pe_core.robot import RobotModel, load_robot
from pe_evaluation.comparison.figures.look import PRINT, SMALL, WIDTH, Look, bare
from pe_evaluation.comparison.figures.material import NOT_PLAYED
from pe_evaluation.comparison.track import Track
from pe_evaluation.figures import (
    COLOURS,
    chase_handles,
    draw_arena,
    draw_arrows,
    draw_capture,
    draw_path,
    margin_map,
)
from pe_evaluation.metrics import ROLES

COLUMNS = 3
STRIDE = 4
"""Samples between two points of a drawn path: a fraction of a millimetre on paper."""
NOTICEABLE = 1e-3
"""Least change of a command, over the limits, that gets an arrow."""


def trajectory_figure(looks: Sequence[Look], tracks: Mapping[str, Track]) -> Figure:
    """One panel an approach, of one scenario; ``tracks`` by name of the approach."""
    rows = -(-len(looks) // COLUMNS)
    gap, left, bar, title, top, bottom = 0.10, 0.42, 0.55, 0.31, 0.24, 0.32
    width = (WIDTH - left - bar) / COLUMNS - gap
    (x0, y0), (wide, tall) = _frame(tracks.values())
    panel = width * tall / wide
    height = top + rows * (panel + title + gap) + bottom
    with rc_context(PRINT):
        figure = Figure(figsize=(WIDTH, height))
        scale = Normalize(0.0, 1.0)
        for k, look in enumerate(looks):
            row, column = divmod(k, COLUMNS)
            x = left + column * (width + gap)
            y = height - top - (row + 1) * (panel + title + gap) + gap
            axes = figure.add_axes((x / WIDTH, y / height, width / WIDTH, panel / height))
            track = tracks.get(look.name)
            axes.set_title(look.title, y=1.0, pad=12.0)
            if track is None:
                bare(axes, NOT_PLAYED)
                continue
            scale = draw_track(axes, track)
            axes.set(xlim=(x0, x0 + wide), ylim=(y0, y0 + tall), xlabel="", ylabel="")
            axes.tick_params(labelbottom=k + COLUMNS >= len(looks), labelleft=column == 0)
            axes.annotate(
                _end(track), (0.0, 1.0), (0.0, 2.5), xycoords="axes fraction", textcoords="offset points",
                fontsize=SMALL,
            )  # fmt: skip
        figure.text(0.003, 0.5, "y [m]", rotation=90, va="center", ha="left")
        figure.text(0.5 * (1.0 - bar / WIDTH), 0.003, "x [m]", ha="center", va="bottom")
        axis = figure.add_axes(((WIDTH - bar + 0.05) / WIDTH, 0.3, 0.09 / WIDTH, 0.4))
        under = any((track.margins < 0.0).any() for track in tracks.values())
        filled = figure.colorbar(ScalarMappable(scale, margin_map()), cax=axis, extend="both" if under else "max")
        filled.set_label("body margin [m]", labelpad=2.0)
        filled.outline.set_linewidth(0.5)
        figure.legend(
            handles=chase_handles(), loc="upper left", bbox_to_anchor=(left / WIDTH, 1.0), ncols=5,
            handlelength=1.5, columnspacing=1.2, borderaxespad=0.2,
        )  # fmt: skip
    return figure


def draw_track(axes: Axes, track: Track) -> Normalize:
    """One track from above; returns the colour scale."""
    scale = draw_arena(axes, track.arena, numbered=False)
    models = _models(track)
    for column, role in enumerate(ROLES):
        rows, least = thinned(track.margins[:, column])
        draw_path(axes, role, track.poses[rows, column], least, scale, width=4.0)
        change = track.command[:, column] - track.nominal[:, column]
        steps = corrected(change, models[column])
        draw_arrows(
            axes, role, models[column], track.poses[:-1, column][steps], change[steps],
            1.8 * track.arena.half_side, width=0.006, most=12,
        )  # fmt: skip
    for column, role in enumerate(ROLES):
        # Bodies to scale could not be seen: places are marked instead.
        for pose, face in ((track.poses[0, column], "white"), (track.poses[-1, column], COLOURS[role])):
            axes.plot(pose[0], pose[1], "o", ms=4.0, mfc=face, mec=COLOURS[role], mew=1.0, zorder=8)
    if track.captured:
        draw_capture(axes, track.poses[-1, 0], track.capture_radius)
    return scale


def _frame(tracks: Iterable[Track]) -> tuple[tuple[float, float], tuple[float, float]]:
    """The part of the arena that holds all trajectories: its lower left corner, width and height [m]."""
    tracks = list(tracks)
    if not tracks:
        return (-1.0, -1.0), (2.0, 1.0)
    half = 1.045 * tracks[0].arena.half_side
    points = np.concatenate([track.poses[:, :, :2].reshape(-1, 2) for track in tracks])
    low, high = points.min(axis=0) - 0.1 * half, points.max(axis=0) + 0.1 * half
    size = high - low
    size = np.minimum(np.maximum(size, [0.8 * size[1], 0.5 * size[0]]), 2.0 * half)
    corner = np.clip(0.5 * (low + high - size), -half, half - size)
    return (float(corner[0]), float(corner[1])), (float(size[0]), float(size[1]))


def thinned(margins: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Every :data:`STRIDE`-th row and the last, with the least margin up to the next: contacts stay to be seen."""
    last = len(margins) - 1
    starts = np.arange(0, max(last, 1), STRIDE)
    least = np.minimum.reduceat(margins, starts)
    return np.append(starts, last), np.append(least, margins[last])


def corrected(change: NDArray[np.float64], model: RobotModel) -> NDArray[np.int64]:
    """The steps with a noticeable change (T, 2) of v [m/s], omega [rad/s]."""
    size = np.hypot(change[:, 0] / model.v_max, change[:, 1] / model.omega_max)
    return np.flatnonzero(size > NOTICEABLE)


def _models(track: Track) -> tuple[RobotModel, RobotModel]:
    own = load_robot("reference")
    return own, own.with_speed_ratio(track.speed_ratio)


def _end(track: Track) -> str:
    seconds = f"{track.steps * track.dt:.1f} s"
    touched = (track.margins <= 0.0).any()
    return ("contact, " if touched else "") + (f"captured, {seconds}" if track.captured else f"not in {seconds}")


def describe(scenario: str) -> str:
    """What the scenario's file says of it, or its name."""
    text = str(read_yaml(config_path("scenarios", scenario)).get("description", ""))
    return text or scenario.replace("_", " ")

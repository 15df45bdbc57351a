"""An episode as a video: arena, trails, commands, and the filter's barriers as they are drawn in the plane.

Overlay.  The control point q = p + d (cos theta, sin theta) of a robot with body radius r may not cross

    walls      |q_x|, |q_y| <= L - r - d                  dotted square
    obstacle   |q - o_i| >= R_i + r + d                   dotted circle
    opponent   |q - p_o| >= r + r_o + d                   dotted circle around the other robot

and the bars show h of each, L - r - d - q_x and its mirrors [m] and |.|^2 - chi^2 [m^2], on a logarithmic scale.

Frames are drawn by adding to a kept background, a few milliseconds each, and encoded by ffmpeg (``imageio-ffmpeg``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, Rectangle
from numpy.typing import NDArray

from pe_core.config import ConfigurationError
from pe_core.files import replaced
from pe_evaluation.comparison.track import Track
from pe_evaluation.figures import (
    COLOURS,
    FAINT,
    INK,
    STYLE,
    TIER_COLOURS,
    draw_arena,
    margin_map,
    margin_scale,
)
from pe_evaluation.metrics import ROLES, TIERS

SIZE = (1280, 720)
_DPI = 100
_HELD_S = 1.5
_FLOOR, _CEILING = 1e-3, 1e3
_CONTACT = "#e3000f"
_NOTICEABLE = 0.02


def barrier_names(track: Track) -> list[str]:
    """The barriers of a robot, in the order of :func:`barriers`."""
    obstacles = [f"obstacle {i}" for i in range(len(track.arena.obstacles))]
    return ["east", "west", "north", "south", *obstacles, "opponent"]


def barriers(track: Track, lane: int, offset: float) -> NDArray[np.float64]:
    """h of every barrier of one robot at every sample, shape (T+1, 5 + obstacles); see the module.

    Args:
        track: the episode.
        lane: 0 for the pursuer, 1 for the evader.
        offset: d of the control point [m].
    """
    own, other = track.poses[:, lane], track.poses[:, 1 - lane]
    q = own[:, :2] + offset * np.column_stack([np.cos(own[:, 2]), np.sin(own[:, 2])])
    reach = track.radii[lane] + offset
    limit = track.arena.half_side - reach
    columns = [limit - q[:, 0], limit + q[:, 0], limit - q[:, 1], limit + q[:, 1]]
    for x, y, radius in track.arena.obstacles:
        columns.append((q[:, 0] - x) ** 2 + (q[:, 1] - y) ** 2 - (radius + reach) ** 2)
    gap = q - other[:, :2]
    columns.append((gap**2).sum(axis=1) - (reach + track.radii[1 - lane]) ** 2)
    return np.column_stack(columns)


def frames(track: Track, offsets: tuple[float, float] = (0.0, 0.0)) -> Iterator[NDArray[np.uint8]]:
    """One picture for each sample, shape (720, 1280, 3); ``offsets`` d of pursuer and evader [m]."""
    with rc_context(STYLE):
        film = _Film(track, offsets)
        for step in range(track.steps + 1):
            yield film.frame(step)


def write_video(
    path: Path,
    track: Track,
    offsets: tuple[float, float] = (0.0, 0.0),
    advance: Callable[[], None] = lambda: None,
) -> None:
    """Film a track in its own time as H.264 in MP4, whole or not at all; the last picture stands a moment.

    Args:
        path: the file, .mp4.
        track: the episode.
        offsets: d of the control points [m]; with 0 the overlay is that of the bodies themselves.
        advance: called after each picture.

    Raises:
        ConfigurationError: the file is not an .mp4, or ``imageio-ffmpeg`` is missing.
        OSError: the file cannot be written.
    """
    if path.suffix != ".mp4":
        raise ConfigurationError(f"video: file = '{path}': allowed: a name that ends in .mp4")
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise ConfigurationError("video: imageio-ffmpeg is missing: pip install -e .[video]") from error
    with replaced(path) as temporary:
        writer = imageio_ffmpeg.write_frames(
            str(temporary), SIZE, fps=1.0 / track.dt, codec="libx264", quality=None, macro_block_size=2,
            output_params=["-crf", "21", "-preset", "veryfast", "-movflags", "+faststart", "-f", "mp4"],
            ffmpeg_log_level="error",
        )  # fmt: skip
        writer.send(None)
        try:
            for picture in frames(track, offsets):
                writer.send(picture)
                advance()
            for _ in range(round(_HELD_S / track.dt)):
                writer.send(picture)
        finally:
            writer.close()


class _Film:
    """A figure whose background keeps the trails; what moves is drawn on top, frame by frame."""

    def __init__(self, track: Track, offsets: tuple[float, float]) -> None:
        self.track = track
        self.offsets = offsets
        self.figure = Figure(figsize=(SIZE[0] / _DPI, SIZE[1] / _DPI), dpi=_DPI)
        self.canvas = FigureCanvasAgg(self.figure)
        self.arena = self.figure.add_axes((0.045, 0.075, 0.505, 0.898))
        draw_arena(self.arena, track.arena)
        self.scale = margin_scale(track.arena)
        self.moving: list[Any] = []
        self._overlay_still()
        self._margins()
        self._titles()
        self.robots = [self._robot(lane) for lane in (0, 1)]
        self.values = [barriers(track, lane, offsets[lane]) for lane in (0, 1)]
        self.bars = [self._bars(lane) for lane in (0, 1)]
        self.canvas.draw()
        self.background = self.canvas.copy_from_bbox(self.figure.bbox)

    def _add(self, axes: Axes, artist: Any) -> Any:
        """An artist that is drawn in each frame, and not with the background."""
        artist.set_animated(True)
        if isinstance(artist, (Circle, Rectangle, FancyArrowPatch)) and artist.axes is None:
            axes.add_patch(artist)
        self.moving.append((axes, artist))
        return artist

    def _overlay_still(self) -> None:
        for lane, role in enumerate(ROLES):
            reach = self.track.radii[lane] + self.offsets[lane]
            limit = self.track.arena.half_side - reach
            dotted: dict[str, Any] = {"fill": False, "ls": (2 * lane, (1, 3)), "lw": 1.0, "ec": COLOURS[role]}
            self.arena.add_patch(Rectangle((-limit, -limit), 2.0 * limit, 2.0 * limit, **dotted))
            for x, y, radius in self.track.arena.obstacles:
                self.arena.add_patch(Circle((x, y), radius + reach, **dotted))

    def _margins(self) -> None:
        axes = self.figure.add_axes((0.625, 0.6, 0.36, 0.19))
        for lane, role in enumerate(ROLES):
            axes.plot(self.track.time, self.track.margins[:, lane], color=COLOURS[role], label=role)
        top = 0.35 * self.track.arena.half_side
        bottom = min(-0.04 * top, 1.1 * float(self.track.margins.min()))
        axes.axhspan(bottom, 0.0, color="#e9c6c6", lw=0)
        axes.set_xlim(0.0, max(self.track.steps, 1) * self.track.dt)
        axes.set_ylim(bottom, top)
        axes.set_title("Body margin [m]")
        axes.set_xlabel("time [s]", labelpad=1.0)
        axes.legend(loc="upper right", ncols=2, borderaxespad=0.1)
        self.cursor = self._add(axes, axes.axvline(0.0, color=INK, lw=1.2))

    def _titles(self) -> None:
        track = self.track
        words = f"{track.name} v {track.evader}"
        self.figure.text(0.58, 0.955, words, fontsize=14, weight="bold", va="center")
        facts = f"{track.scenario.replace('_', ' ')}, seed {track.seed}, episode {track.episode}"
        self.figure.text(0.58, 0.915, facts, fontsize=9, color=FAINT, va="center")
        self.figure.text(0.58, 0.035, "grey arrow asked, coloured arrow done; dotted: barriers of the control point",
                         fontsize=8, color="#555555")  # fmt: skip
        self.line = self._add(self.arena, self.figure.text(0.58, 0.865, "", fontsize=12, va="center"))

    def _robot(self, lane: int) -> dict[str, Any]:
        colour = COLOURS[ROLES[lane]]
        track, arena = self.track, self.arena
        chi = track.radii[0] + track.radii[1] + self.offsets[1 - lane]
        other = COLOURS[ROLES[1 - lane]]
        parts: dict[str, Any] = {
            "barrier": self._add(arena, Circle((0, 0), chi, fill=False, ls=(0, (1, 2)), lw=1.1, ec=other)),
            "body": self._add(arena, Circle((0, 0), track.radii[lane], fc=colour, ec=colour, lw=1.0)),
            "nose": self._add(arena, arena.plot([], [], color=colour, lw=2.0)[0]),
            "ring": self._add(arena, arena.plot([], [], "o", ms=9, mfc="none", mec=colour, mew=1.2)[0]),
            "tier": self._add(arena, arena.annotate("", (0, 0), (11, 11), textcoords="offset points", fontsize=8,
                                                    weight="bold", ha="center", va="center",
                                                    bbox={"boxstyle": "round", "fc": "#F0E442", "lw": 0.6})),
        }  # fmt: skip
        for name, tone, width in (("nominal", "#6b6b6b", 2.6), ("executed", colour, 1.8)):
            arrow = FancyArrowPatch((0, 0), (0, 0), arrowstyle="-|>", mutation_scale=11, lw=width, color=tone,
                                    shrinkA=0, shrinkB=0)  # fmt: skip
            parts[name] = self._add(arena, arrow)
        if lane == 0:
            circle = Circle((0, 0), track.capture_radius, fill=False, ls=(0, (4, 3)), lw=1.0, ec=INK)
            parts["capture"] = self._add(arena, circle)
        return parts

    def _bars(self, lane: int) -> Any:
        role = ROLES[lane]
        axes = self.figure.add_axes((0.625 + 0.195 * lane, 0.1, 0.165, 0.4))
        names = barrier_names(self.track)
        axes.set_xscale("log")
        axes.set_xlim(_FLOOR, max(10.0, float(self.values[lane].max(initial=0.0))))
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_yticks(range(len(names)), names if lane == 0 else [""] * len(names))
        axes.grid(False, axis="y")
        axes.set_title(f"h of the {role} [m, m²]", color=COLOURS[role])
        drawn = axes.barh(range(len(names)), [_FLOOR] * len(names), height=0.62, color=COLOURS[role], alpha=0.85)
        return [self._add(axes, bar) for bar in drawn]

    def frame(self, step: int) -> NDArray[np.uint8]:
        """The picture of a sample; samples come in order."""
        self.canvas.restore_region(self.background)
        if step:
            self._grow(step)
            self.background = self.canvas.copy_from_bbox(self.figure.bbox)
        self._move(step)
        for axes, artist in self.moving:
            if artist.get_visible():
                axes.draw_artist(artist)
        return np.ascontiguousarray(np.asarray(self.canvas.buffer_rgba())[:, :, :3])

    def _grow(self, step: int) -> None:
        """Add the last step to both trails."""
        for lane, role in enumerate(ROLES):
            piece = self.track.poses[step - 1 : step + 1, lane, :2]
            margin = float(self.track.margins[step - 1 : step + 1, lane].min())
            colours = (COLOURS[role], margin_map()(self.scale(margin)))
            for colour, width, alpha in zip(colours, (5.0, 2.0), (0.1, 1.0), strict=True):
                trail = LineCollection([piece], colors=[colour], linewidths=width, alpha=alpha, capstyle="round")
                trail.set_animated(True)
                self.arena.add_collection(trail, autolim=False)
                self.arena.draw_artist(trail)
                trail.remove()

    def _move(self, step: int) -> None:
        track = self.track
        at = min(step, track.steps - 1)
        for lane, parts in enumerate(self.robots):
            x, y, theta = track.poses[step, lane]
            for name in ("body", "barrier", "capture"):
                if name in parts:
                    parts[name].center = (x, y)
            length = max(1.9 * track.radii[lane], 0.028 * track.arena.half_side)
            parts["nose"].set_data([x, x + length * math.cos(theta)], [y, y + length * math.sin(theta)])
            parts["ring"].set_data([x], [y])
            running = step < track.steps
            tier = int(track.tiers[at, lane]) if running else 0
            parts["tier"].set_visible(tier > 0)
            if tier:
                parts["tier"].set_text(TIERS[tier])
                parts["tier"].get_bbox_patch().set_facecolor(TIER_COLOURS[tier])
                parts["tier"].xy = (x, y)
            self._arrows(parts, lane, at if running else None, (x, y, theta))
            for bar, value in zip(self.bars[lane], self.values[lane][step], strict=True):
                bar.set_width(max(value, _FLOOR) - _FLOOR if value > 0.0 else _CEILING)
                bar.set_color(COLOURS[ROLES[lane]] if value > 0.0 else _CONTACT)
        time = step * track.dt
        self.cursor.set_xdata([time, time])
        end = "   captured" if track.captured and step == track.steps else ""
        least = f"{track.margins[step].min():.2f}"
        self.line.set_text(f"{time:5.2f} s   distance {track.distance[step]:.2f} m   margin {least} m{end}")

    def _arrows(self, parts: dict[str, Any], lane: int, step: int | None, pose: tuple[float, float, float]) -> None:
        """What was asked and what was done, where they differ noticeably; full speed, and a full turn, is as long."""
        shown = False
        if step is not None:
            executed, nominal = self.track.command[step, lane], self.track.nominal[step, lane]
            span = np.nan_to_num(np.abs(self.track.command[:, lane])).max(axis=0, initial=1e-9)
            with np.errstate(invalid="ignore"):
                change = np.hypot(*((nominal - executed) / span))
            shown = bool(np.isfinite(executed).all() and not change <= _NOTICEABLE)
            x, y, theta = pose
            length = 0.11 * self.track.arena.half_side
            turn = np.array([[math.cos(theta), -math.sin(theta)], [math.sin(theta), math.cos(theta)]])
            for name, command in (("nominal", nominal), ("executed", executed)):
                ahead = turn @ (length * np.clip(np.nan_to_num(command / span, nan=0.0), -1.5, 1.5))
                parts[name].set_positions((x, y), (x + ahead[0], y + ahead[1]))
        for name in ("nominal", "executed"):
            parts[name].set_visible(shown)

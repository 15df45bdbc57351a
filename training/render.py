"""The game as an image: walls, obstacles, trails in the colour of the margin, corrections as arrows.

Drawn with numpy alone, twice as large as asked for and averaged, which smooths the edges.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pe_core.robot import RADIUS
from training.games import BatchedGames

SIZE = 480
OVERSAMPLING = 2
BORDER = 1.06
"""Half of what is shown over the arena's half side."""
TRAIL = 1200
ARROW = 0.15
"""Length of the arrow of a correction of size 1, over half_side."""
_GROUND, _OUTSIDE, _WALL = (250, 250, 248), (226, 226, 222), (70, 70, 74)
_OBSTACLE, _ARROW = (150, 152, 158), (214, 40, 140)
_BODIES = ((200, 50, 45), (35, 95, 190))
_SAFE, _NEAR = np.array([60.0, 160.0, 90.0]), np.array([225.0, 60.0, 30.0])


def margin_colour(margin: float, scale: float) -> tuple[int, int, int]:
    """From red at contact to green at a body margin of ``scale`` [m] and more."""
    share = min(max(margin / scale, 0.0), 1.0)
    mixed = (1.0 - share) * _NEAR + share * _SAFE
    return int(mixed[0]), int(mixed[1]), int(mixed[2])


class Canvas:
    """A square image of the square |x|, |y| <= reach [m]; y points up."""

    def __init__(self, reach: float, size: int) -> None:
        self.reach = reach
        self.size = size
        self.scale = size / (2.0 * reach)
        self.pixels = np.empty((size, size, 3), np.uint8)
        self.pixels[:] = _OUTSIDE

    def _window(self, x: float, y: float, radius: float) -> tuple[slice, slice]:
        column, row, r = (
            (x + self.reach) * self.scale,
            (self.reach - y) * self.scale,
            radius * self.scale + 1.0,
        )
        return (
            slice(max(int(row - r), 0), max(min(int(row + r) + 1, self.size), 0)),
            slice(max(int(column - r), 0), max(min(int(column + r) + 1, self.size), 0)),
        )

    def square(self, half: float, colour: tuple[int, int, int]) -> None:
        """The square |x|, |y| <= half."""
        rows, columns = self._window(0.0, 0.0, half - 1.0 / self.scale)
        self.pixels[rows, columns] = colour

    def disc(self, x: float, y: float, radius: float, colour: tuple[int, int, int]) -> None:
        """A disc about (x, y) [m]."""
        rows, columns = self._window(x, y, radius)
        ys = self.reach - (np.arange(rows.start, rows.stop) + 0.5) / self.scale
        xs = (np.arange(columns.start, columns.stop) + 0.5) / self.scale - self.reach
        inside = (ys[:, None] - y) ** 2 + (xs[None] - x) ** 2 <= radius**2
        self.pixels[rows, columns][inside] = colour

    def line(
        self, start: tuple[float, float], end: tuple[float, float], width: float, colour: tuple[int, int, int]
    ) -> None:
        """A line of ``width`` [m] with round ends."""
        length = math.hypot(end[0] - start[0], end[1] - start[1])
        count = max(int(length / (0.35 * width)), 1)
        for k in range(count + 1):
            share = k / count
            self.disc(
                start[0] + share * (end[0] - start[0]),
                start[1] + share * (end[1] - start[1]),
                0.5 * width,
                colour,
            )

    def arrow(
        self, start: tuple[float, float], way: tuple[float, float], width: float, colour: tuple[int, int, int]
    ) -> None:
        """An arrow from ``start`` by ``way`` [m]."""
        tip = (start[0] + way[0], start[1] + way[1])
        self.line(start, tip, width, colour)
        for turn in (2.6, -2.6):
            c, s = 0.4 * math.cos(turn), 0.4 * math.sin(turn)
            self.line(
                tip, (tip[0] + c * way[0] - s * way[1], tip[1] + s * way[0] + c * way[1]), width, colour
            )

    def image(self, factor: int) -> NDArray[np.uint8]:
        """The image, averaged over squares of ``factor`` pixels."""
        n = self.size // factor
        blocks = self.pixels[: n * factor, : n * factor].reshape(n, factor, n, factor, 3)
        return blocks.mean(axis=(1, 3)).round().astype(np.uint8)


class Picture:
    """Remembers the trails of game 0 of a batch and draws it."""

    def __init__(self, size: int = SIZE) -> None:
        self._size = size
        self._trail: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []

    def begin(self, games: BatchedGames) -> None:
        """Forget the trails; an episode has begun."""
        self._trail = []
        self._half_side = float(games.batch.half_side[0, 1])
        self._obstacles = games.batch.obstacles[0, 1, : games.batch.obstacle_count[0]].copy()
        self._radii = games.batch.models[0, :, RADIUS].copy()
        self._states = games.batch.states[0].copy()
        self._commands = np.zeros((2, 2, 2))
        self._corrections = np.zeros(2)

    def see(self, games: BatchedGames) -> None:
        """Remember what the last step of the running episode brought."""
        batch = games.batch
        self._states = batch.states[0].copy()
        self._trail.append((self._states[:, :2].copy(), batch.margins[0].copy()))
        del self._trail[:-TRAIL]
        self._corrections = batch.corrections[0, :, 0].copy()
        # What was asked for and what was sent, as displacements along and across the heading.
        limits = batch.models[0][:, [1, 2]]
        self._commands = np.stack([batch.actions[0], batch.sent[0, :, 0] / limits], axis=1)

    def draw(self) -> NDArray[np.uint8]:
        """The image (size, size, 3)."""
        half = self._half_side
        canvas = Canvas(BORDER * half, OVERSAMPLING * self._size)
        canvas.square(1.012 * half, _WALL)
        canvas.square(half, _GROUND)
        for x, y, radius in self._obstacles:
            canvas.disc(x, y, radius, _OBSTACLE)
        thin = 0.012 * half
        for places, margins in self._trail:
            for r in range(2):
                colour = margin_colour(margins[r], 4.0 * self._radii[r])
                canvas.disc(places[r, 0], places[r, 1], 0.5 * thin, colour)
        for r in range(2):
            x, y, theta = self._states[r, :3]
            # A body smaller than a few pixels is drawn larger, so that it is seen.
            radius = max(self._radii[r], 0.018 * half)
            canvas.disc(x, y, radius, _BODIES[r])
            nose = (x + radius * math.cos(theta), y + radius * math.sin(theta))
            canvas.line((x, y), nose, 0.35 * radius, (255, 255, 255))
            if self._corrections[r] > 1e-3:
                along, across = self._commands[r, 1] - self._commands[r, 0]
                c, s = math.cos(theta) * ARROW * half, math.sin(theta) * ARROW * half
                canvas.arrow((x, y), (along * c - across * s, along * s + across * c), thin, _ARROW)
        return canvas.image(OVERSAMPLING)

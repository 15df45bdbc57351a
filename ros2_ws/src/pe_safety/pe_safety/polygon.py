r"""The set of safe commands as a polygon: C = {u : v_min <= v <= v_max, |omega| <= omega_max, G u <= b}.

Polygons live in unit coordinates, in which the box of the bounds is the unit square (no units):

    x = (v - v_min) / (v_max - v_min),    y = (omega + omega_max) / (2 omega_max)

The square is clipped by one half-plane after the other (Sutherland and Hodgman): of every edge that crosses the
line, the part inside stays.  Rows that no corner of the square breaks are skipped, and leave the square bit for
bit, by which later stages know it (:func:`is_whole`).

Half-planes are moved out by ``INFLATION`` in unit coordinates.  A robot that may not drive on, v <= 0, has a set
without area; it becomes a strip in which a density still exists, and a command of it breaks no row g u <= b by more
than 1e-10 |(g_v (v_max - v_min), 2 g_omega omega_max)|.  What has no area even then has no vertex: count 0.

A polygon keeps at most ``VERTICES_MAX`` vertices.  Beyond, the vertex goes whose triangle with its neighbours is
smallest; what is left is a subset, hence safe.

Source: Sutherland and Hodgman 1974 (reentrant polygon clipping).
"""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pe_core.robot import RobotModel
from pe_safety.shares import in_shares

VERTICES_MAX = 12
INFLATION = 1e-10
# Least area of a polygon; a point at which C touches the square is INFLATION wide.
_AREA_MIN = 1e-21
# Vertices nearer to one another are one.
_SAME = 1e-12
_SCRATCH = 2 * VERTICES_MAX
_NOT_FINITE = "problem {}: G must be finite, and b finite or +inf"


@dataclasses.dataclass(frozen=True)
class Box:
    """The bounds of commands: v_min <= v <= v_max [m/s], |omega| <= omega_max [rad/s]."""

    v_min: float
    v_max: float
    omega_max: float

    def __post_init__(self) -> None:
        """Raises ValueError for bounds that are not finite or enclose no area."""
        if not (self.v_min < self.v_max and self.omega_max > 0.0 and np.isfinite(self.as_array()).all()):
            raise ValueError(f"{self}: expected v_min < v_max and omega_max > 0, all finite")

    @classmethod
    def of(cls, robot: RobotModel) -> Box:
        """The box of a robot's commands, without the coupling of its wheels."""
        return cls(robot.v_min, robot.v_max, robot.omega_max)

    def as_array(self) -> NDArray[np.float64]:
        """(v_min, v_max, omega_max)."""
        return np.array([self.v_min, self.v_max, self.omega_max])

    @property
    def low(self) -> NDArray[np.float64]:
        """The smallest v [m/s] and omega [rad/s]."""
        return np.array([self.v_min, -self.omega_max])

    @property
    def span(self) -> NDArray[np.float64]:
        """The ranges of v [m/s] and omega [rad/s]."""
        return np.array([self.v_max - self.v_min, 2.0 * self.omega_max])

    def unit(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        """Unit coordinates (..., 2) of commands (v, omega), (..., 2)."""
        return (u - self.low) / self.span

    def command(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Commands (v, omega) [m/s, rad/s], (..., 2), at unit coordinates (..., 2)."""
        return self.low + self.span * x

    def action(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Actions (v / v_max, omega / omega_max), (..., 2), at unit coordinates (..., 2); needs v_max > 0."""
        return self.command(x) / np.array([self.v_max, self.omega_max])


class Polygons(NamedTuple):
    """N convex polygons in unit coordinates.

    vertices (N, VERTICES_MAX, 2) float64, anticlockwise, zero beyond the count; counts (N,) int8, 0 where the set is
    empty.  Single precision would take strips of less than 1e-7 for empty.
    """

    vertices: NDArray[np.float64]
    counts: NDArray[np.int8]


@njit(cache=True, error_model="numpy")
def is_whole(vertices: NDArray[np.float64], count: int) -> bool:
    """Whether the polygon is the unit square as :func:`write_square` writes it."""
    return (
        count == 4
        and vertices[0, 0] == 0.0
        and vertices[0, 1] == 0.0
        and vertices[1, 0] == 1.0
        and vertices[1, 1] == 0.0
        and vertices[2, 0] == 1.0
        and vertices[2, 1] == 1.0
        and vertices[3, 0] == 0.0
        and vertices[3, 1] == 1.0
    )


@njit(cache=True, error_model="numpy")
def cut_ones(vertices: NDArray[np.float64], count: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Which of N polygons (N,) some row cuts, and which are not empty."""
    out = np.zeros(count.shape[0], dtype=np.bool_)
    for n in range(count.shape[0]):
        out[n] = count[n] > 0 and not is_whole(vertices[n], count[n])
    return out


@njit(cache=True, error_model="numpy")
def write_square(vertices: NDArray[np.float64], x0: float, x1: float, y0: float, y1: float) -> int:
    """Write the rectangle [x0, x1] x [y0, y1] anticlockwise; returns 4."""
    vertices[0, 0], vertices[0, 1] = x0, y0
    vertices[1, 0], vertices[1, 1] = x1, y0
    vertices[2, 0], vertices[2, 1] = x1, y1
    vertices[3, 0], vertices[3, 1] = x0, y1
    return 4


@njit(cache=True, error_model="numpy")
def area(vertices: NDArray[np.float64], count: int) -> float:
    """Area of a convex polygon in unit coordinates; 0 for fewer than three vertices."""
    twice = 0.0
    for k in range(1, count - 1):
        twice += _cross(vertices, 0, k, k + 1)
    return 0.5 * twice


@njit(cache=True, error_model="numpy")
def _cross(points: NDArray[np.float64], i: int, j: int, k: int) -> float:
    """Twice the signed area of the triangle i, j, k; from differences, which are exact in thin sets."""
    ax, ay = points[j, 0] - points[i, 0], points[j, 1] - points[i, 1]
    bx, by = points[k, 0] - points[i, 0], points[k, 1] - points[i, 1]
    return ax * by - ay * bx


@njit(cache=True, error_model="numpy")
def cut(
    points: NDArray[np.float64], count: int, a: float, b: float, c: float, work: NDArray[np.float64]
) -> int:
    """Cut a convex polygon down to a x + b y <= c, in place.

    Args:
        points: vertices (2 VERTICES_MAX, 2), anticlockwise, the first ``count`` in use.
        a, b, c: the half-plane, |(a, b)| = 1.
        work: scratch (2 VERTICES_MAX, 2).

    Returns:
        The number of vertices, 0 where fewer than three are left.
    """
    if count < 3:
        return 0
    new = 0
    px, py = points[count - 1, 0], points[count - 1, 1]
    before = a * px + b * py - c
    for k in range(count):
        x, y = points[k, 0], points[k, 1]
        here = a * x + b * y - c
        if (before < 0.0 and here > 0.0) or (before > 0.0 and here < 0.0):
            t = before / (before - here)
            new = _push(work, new, px + t * (x - px), py + t * (y - py))
        if here <= 0.0:
            new = _push(work, new, x, y)
        px, py, before = x, y, here
    if new > 1 and _close(work, 0, work[new - 1, 0], work[new - 1, 1]):
        new -= 1
    while new > VERTICES_MAX:
        new = _drop_smallest(work, new)
    for k in range(new):
        points[k, 0], points[k, 1] = work[k, 0], work[k, 1]
    return new if new >= 3 else 0


@njit(cache=True, error_model="numpy")
def _close(points: NDArray[np.float64], k: int, x: float, y: float) -> bool:
    """Whether (x, y) and vertex k count as one: an edge between them would point anywhere."""
    return abs(points[k, 0] - x) <= _SAME and abs(points[k, 1] - y) <= _SAME


@njit(cache=True, error_model="numpy")
def _push(work: NDArray[np.float64], count: int, x: float, y: float) -> int:
    """Append a vertex unless it is the last one again."""
    if count == _SCRATCH or (count > 0 and _close(work, count - 1, x, y)):
        return count
    work[count, 0], work[count, 1] = x, y
    return count + 1


@njit(cache=True, error_model="numpy")
def _drop_smallest(points: NDArray[np.float64], count: int) -> int:
    """Remove the vertex whose triangle with its neighbours is smallest; returns count - 1."""
    smallest, least = 0, math.inf
    for k in range(count):
        size = _cross(points, (k + count - 1) % count, k, (k + 1) % count)
        if size < least:
            smallest, least = k, size
    for k in range(smallest, count - 1):
        points[k, 0], points[k, 1] = points[k + 1, 0], points[k + 1, 1]
    return count - 1


@njit(cache=True, error_model="numpy", nogil=True)
def clip_batch(
    g: NDArray[np.float64],
    b: NDArray[np.float64],
    box: NDArray[np.float64],
    vertices: NDArray[np.float64],
    count: NDArray[np.int8],
) -> int:
    """Write the polygons of N problems into ``vertices`` (N, VERTICES_MAX, 2), given as zeros, and ``count`` (N,).

    ``g`` (N, m, 2) [m/s per m/s, m/s per rad/s] and ``b`` (N, m) [m/s] may be float32 or float64; the arithmetic is
    float64.  ``box`` is ``Box.as_array()``.

    Returns:
        The first problem with a coefficient that is not finite or a right-hand side that is NaN or -inf; -1.
    """
    v_min = box[0]
    v_span = box[1] - box[0]
    omega_max = box[2]
    points = np.empty((_SCRATCH, 2))
    work = np.empty((_SCRATCH, 2))
    for n in range(b.shape[0]):
        used = write_square(points, 0.0, 1.0, 0.0, 1.0)
        for i in range(b.shape[1]):
            gv, gw = float(g[n, i, 0]), float(g[n, i, 1])
            a0 = gv * v_span
            a1 = 2.0 * gw * omega_max
            c = float(b[n, i]) - gv * v_min + gw * omega_max
            most = max(a0, 0.0) + max(a1, 0.0)
            # A sum that is not finite fails every comparison that it should.
            if most <= c and -math.inf < a0 + a1 < math.inf:
                continue
            if not (math.isfinite(a0 + a1) and c > -math.inf):
                return n
            norm = math.hypot(a0, a1)
            if norm == 0.0:
                used = 0
            elif most > c + INFLATION * norm:
                used = cut(points, used, a0 / norm, a1 / norm, c / norm + INFLATION, work)
        if area(points, used) < _AREA_MIN:
            used = 0
        count[n] = used
        for k in range(used):
            vertices[n, k, 0], vertices[n, k, 1] = points[k, 0], points[k, 1]
    return -1


@njit(cache=True, error_model="numpy", nogil=True)
def area_batch(vertices: NDArray[np.float64], count: NDArray[np.int8], out: NDArray[np.float64]) -> None:
    """Write the areas of N polygons into ``out`` (N,)."""
    for n in range(count.shape[0]):
        out[n] = area(vertices[n], count[n])


def check_rows(G: NDArray[np.float64], b: NDArray[np.float64]) -> None:
    """Refuse rows of the wrong shape or type.

    Raises:
        ValueError: shapes other than (N, m, 2) and (N, m).
        TypeError: rows that are neither all float32 nor all float64.
    """
    if G.ndim != 3 or G.shape[2] != 2 or b.shape != G.shape[:2]:
        raise ValueError(f"G {G.shape}, b {b.shape}: expected (N, m, 2), (N, m)")
    if G.dtype not in (np.float32, np.float64) or b.dtype != G.dtype:
        raise TypeError(f"G, b must be both float32 or both float64, not {G.dtype}, {b.dtype}")


def check_finite(G: NDArray[np.float64], b: NDArray[np.float64]) -> None:
    """Refuse rows (N, m, 2) that are not finite and right-hand sides (N, m) that are NaN or -inf.

    Raises:
        ValueError: such a row; the problem is named.
    """
    bad = ~np.isfinite(G).all(axis=(1, 2)) | ~(b > -np.inf).all(axis=1)
    if bad.any():
        raise ValueError(_NOT_FINITE.format(int(bad.argmax())))


def polygons(G: NDArray[np.float64], b: NDArray[np.float64], box: Box, threads: int = 1) -> Polygons:
    """The polygons of N problems.

    Args:
        G: rows (N, m, 2), float32 or float64.
        b: right-hand sides (N, m) [m/s], same type; +inf makes a row that never binds.
        box: the control bounds.
        threads: among which the batch is shared; no polygon depends on it.

    Raises:
        ValueError: shapes that do not fit, NaN anywhere, an infinite coefficient, b = -inf, threads < 1.
        TypeError: arrays of different or other types.
    """
    check_rows(G, b)
    vertices = np.zeros((len(b), VERTICES_MAX, 2))
    counts = np.zeros(len(b), dtype=np.int8)
    rows, right, bounds = np.ascontiguousarray(G), np.ascontiguousarray(b), box.as_array()

    def clip(first: int, end: int) -> int:
        bad = clip_batch(rows[first:end], right[first:end], bounds, vertices[first:end], counts[first:end])
        return first + bad if bad >= 0 else -1

    for bad in in_shares(clip, len(b), threads):
        if bad >= 0:
            raise ValueError(_NOT_FINITE.format(bad))
    return Polygons(vertices, counts)


def areas(found: Polygons) -> NDArray[np.float64]:
    """Areas (N,), as shares of the box."""
    out = np.empty(len(found.counts))
    area_batch(found.vertices, found.counts, out)
    return out

r"""Boxes of safe commands, one interval an axis: the cheap approximation of the polygon C, and what it costs.

About a safe point p (the projected mean, say) and in the unit coordinates of :mod:`pe_safety.polygon`

    [x0, x1] = {x : (x, p_y) in C},    [y0, y1] = {y : (p_x, y) in C}

Each interval is safe while the other coordinate stays at p.  Together they are not: a corner of the box may lie
outside C, unless a row through p bounds both (p on one edge of C, say), and the box leaves out what is safe beyond.
:func:`compare` measures both.  About the centroid of C (:func:`centroids`) a box depends on the state alone.

A Beta density truncated to a box is a product of densities of one axis each, with normaliser

    pi(box) = (I_x1(a1, b1) - I_x0(a1, b1)) (I_y1(a2, b2) - I_y0(a2, b2)),    I the regularised incomplete beta function

A box is written as a polygon with four vertices, for which :mod:`pe_safety.truncated_beta` gives just that, and
:mod:`pe_safety.beta_sampling` its draws.  An interval of no length is widened to ``INFLATION``.

Source: Suttle et al. 2024 (arXiv:2403.04007) draw Beta policies from boxes of safe commands.  They stretch the whole
density over the box, pi'(u) = Beta((u - low) / (high - low)) / (high - low); here it is truncated, as it is to C.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pe_safety.beta_sampling import draw_keys, inside_batch, sample
from pe_safety.polygon import INFLATION, VERTICES_MAX, Polygons, areas, cut, cut_ones, write_square
from pe_safety.truncated_beta import log_mass

# A point further outside of C than this, in unit coordinates, breaks a row.
_OUTSIDE = 1e-9


class Comparison(NamedTuple):
    """Boxes against polygons, as means over the problems that some row cuts, and how many those are.

    area_polygon, area_box: shares of the whole box of the bounds.
    covered: share of C's area that lies in the box.
    covered_mass: share of pi(C) that lies in the box.
    unsafe_area: share of the box's area that lies outside C.
    unsafe_draws: share of draws from the density truncated to the box that lie outside C.
    """

    problems: int
    area_polygon: float
    area_box: float
    covered: float
    covered_mass: float
    unsafe_area: float
    unsafe_draws: float


@njit(cache=True, error_model="numpy")
def _interval(
    vertices: NDArray[np.float64], count: int, x: float, y: float, axis: int
) -> tuple[float, float]:
    """The interval of coordinate ``axis`` in which (x, y) may move within the polygon; it holds (x, y) itself."""
    low, high = 1.0, 0.0
    here = x if axis == 0 else y
    other = y if axis == 0 else x
    for i in range(count):
        j = i + 1 if i + 1 < count else 0
        at, across = vertices[i, axis], vertices[i, 1 - axis]
        along, rise = vertices[j, axis] - at, vertices[j, 1 - axis] - across
        way = (other - across) / rise if rise != 0.0 else -1.0
        if not 0.0 <= way <= 1.0:
            continue
        bound = at + along * way
        # Of anticlockwise edges the inside lies to the left: at smaller x where y rises, larger y where x does.
        if (rise > 0.0) == (axis == 0):
            high = max(high, bound)
        else:
            low = min(low, bound)
    low, high = min(low, here), max(high, here)
    if high - low < INFLATION:
        low, high = max(here - 0.5 * INFLATION, 0.0), min(here + 0.5 * INFLATION, 1.0)
    return low, high


@njit(cache=True, error_model="numpy", nogil=True)
def _boxes(
    vertices: NDArray[np.float64],
    count: NDArray[np.int8],
    points: NDArray[np.float64],
    out: NDArray[np.float64],
    out_count: NDArray[np.int8],
) -> None:
    for n in range(count.shape[0]):
        out_count[n] = 0
        if count[n] > 0:
            x0, x1 = _interval(vertices[n], count[n], points[n, 0], points[n, 1], 0)
            y0, y1 = _interval(vertices[n], count[n], points[n, 0], points[n, 1], 1)
            out_count[n] = write_square(out[n], x0, x1, y0, y1)


@njit(cache=True, error_model="numpy", nogil=True)
def _intersect(
    vertices: NDArray[np.float64],
    count: NDArray[np.int8],
    boxes: NDArray[np.float64],
    out: NDArray[np.float64],
    out_count: NDArray[np.int8],
) -> None:
    points = np.empty((2 * VERTICES_MAX, 2))
    work = np.empty((2 * VERTICES_MAX, 2))
    for n in range(count.shape[0]):
        used = count[n]
        points[:used] = vertices[n, :used]
        used = cut(points, used, 1.0, 0.0, boxes[n, 2, 0], work)
        used = cut(points, used, -1.0, 0.0, -boxes[n, 0, 0], work)
        used = cut(points, used, 0.0, 1.0, boxes[n, 2, 1], work)
        used = cut(points, used, 0.0, -1.0, -boxes[n, 0, 1], work)
        out[n, :used] = points[:used]
        out_count[n] = used


@njit(cache=True, error_model="numpy", nogil=True)
def _centroids(vertices: NDArray[np.float64], count: NDArray[np.int8], out: NDArray[np.float64]) -> None:
    for n in range(count.shape[0]):
        out[n, 0], out[n, 1] = 0.5, 0.5
        if count[n] == 0:
            continue
        x0, y0 = vertices[n, 0, 0], vertices[n, 0, 1]
        twice, x, y = 0.0, 0.0, 0.0
        for k in range(1, count[n] - 1):
            ax, ay = vertices[n, k, 0] - x0, vertices[n, k, 1] - y0
            bx, by = vertices[n, k + 1, 0] - x0, vertices[n, k + 1, 1] - y0
            size = ax * by - ay * bx
            twice += size
            x += size * (ax + bx)
            y += size * (ay + by)
        if twice > 0.0:
            x0 += x / (3.0 * twice)
            y0 += y / (3.0 * twice)
        # Polygons are moved out by INFLATION.
        out[n, 0], out[n, 1] = min(max(x0, 0.0), 1.0), min(max(y0, 0.0), 1.0)


def centroids(found: Polygons) -> NDArray[np.float64]:
    """Centroids (N, 2) of the polygons, in the unit square; its centre where C is empty.

    With z_k the vertices less the first, and D_k = z_k x z_(k+1):  sum D_k (z_k + z_(k+1)) / (3 sum D_k).
    """
    out = np.empty((len(found.counts), 2))
    _centroids(found.vertices, found.counts, out)
    return out


def axis_boxes(found: Polygons, points: NDArray[np.float64]) -> Polygons:
    """The boxes about ``points`` (N, 2), unit coordinates, as polygons of four vertices; none where C is empty.

    The points count as safe: a box holds its point, also where C does not.

    Raises:
        ValueError: shapes that do not fit, points outside of the unit square.
    """
    if points.shape != (len(found.counts), 2):
        raise ValueError(f"points {points.shape}: expected {(len(found.counts), 2)}")
    if not ((points >= 0.0) & (points <= 1.0)).all():
        raise ValueError("points must lie in the unit square")
    boxes = Polygons(np.zeros_like(found.vertices), np.zeros_like(found.counts))
    _boxes(found.vertices, found.counts, np.asarray(points, dtype=np.float64), boxes.vertices, boxes.counts)
    return boxes


def overlaps(
    found: Polygons, boxes: Polygons
) -> tuple[Polygons, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """What polygons and boxes have in common, and the areas (N,) of the polygons, the boxes and that, of the square."""
    common = Polygons(np.zeros_like(found.vertices), np.zeros_like(found.counts))
    _intersect(found.vertices, found.counts, boxes.vertices, common.vertices, common.counts)
    return common, areas(found), areas(boxes), areas(common)


def compare(
    found: Polygons, points: NDArray[np.float64], parameters: NDArray[np.float64], seed: int = 0
) -> Comparison:
    """Boxes about ``points`` against the polygons themselves, under Beta densities.

    Args:
        found: the polygons.
        points: (N, 2) in unit coordinates, in C.
        parameters: (a1, b1, a2, b2), (N, 4), at least 1.
        seed: of the draws, one a problem.

    Raises:
        ValueError: shapes or values that do not fit, or no problem that some row cuts.
    """
    cuts = cut_ones(found.vertices, found.counts)
    if not cuts.any():
        raise ValueError("no row cuts the box of any problem: nothing to compare")
    found = Polygons(found.vertices[cuts], found.counts[cuts])
    boxes = axis_boxes(found, points[cuts])
    common, whole, box, both = overlaps(found, boxes)
    drawn = sample(parameters[cuts], boxes, draw_keys(seed, 0, len(boxes.counts)))
    safe = np.empty(len(boxes.counts), dtype=np.bool_)
    inside_batch(found.vertices, found.counts, drawn, _OUTSIDE, safe)
    with np.errstate(under="ignore"):
        mass = np.exp(log_mass(parameters[cuts], common) - log_mass(parameters[cuts], found))
    return Comparison(
        problems=int(cuts.sum()),
        area_polygon=float(whole.mean()),
        area_box=float(box.mean()),
        covered=float((both / whole).mean()),
        covered_mass=float(mass.mean()),
        unsafe_area=float((1.0 - both / box).mean()),
        unsafe_draws=float(1.0 - safe.mean()),
    )

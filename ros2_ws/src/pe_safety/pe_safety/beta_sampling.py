r"""Exact draws from a product of two Beta densities truncated to a polygon, and its deterministic command.

First a few draws from the whole density (Cheng's algorithm BB) are taken if they lie in C.  Where none does, the part
of C in which the density is within exp(-40) of its largest is divided into trapezoids, bounded in x by strips and in y
by equal shares of the way from lo(x) to hi(x).  r = log f is concave, hence at most

    U = min( max phi + max psi over the trapezoid's bounding box,  max over its corners of the tangent plane at z ),

z being its centre.  A trapezoid is drawn with weight area exp(U), a point uniformly in it, and kept with probability
exp(r - U): exact, whatever the bounds.  What is left out weighs less than 1e-15.  A draw that is refused 4096 times,
seen only with parameters of some thousands and pi(C) < exp(-1000), is the most likely point.

Every number is a function of the problem's own key (:func:`pe_core.randomness.mix` of a counter): a draw does not
depend on the batch that it is made in.

The deterministic command is the mean of the whole density, (a1 / (a1 + b1), a2 / (a2 + b2)), projected on C in the
metric of the filter's program, which then finds nothing to correct.

Sources: Cheng 1978 (algorithm BB); Gilks and Wild 1992 (tangents bound log-concave densities).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pe_core.randomness import GOLDEN, mix
from pe_safety.beta_quadrature import TABLE_SHAPE, chord, kernel_slope, log_kernel, mode, peak, slabs
from pe_safety.polygon import VERTICES_MAX, Box, Polygons, check_finite, check_rows, is_whole
from pe_safety.qp import OPTIMAL, project, scale_rows
from pe_safety.shares import in_shares
from pe_safety.truncated_beta import kernel_arrays

# Draws from the whole density before trapezoids are made.
_TRIES = 8
# Bound on any rejection loop.
_MOST = 4096
_SAMPLER_DROP = 40.0
_STRIPS, _SHARES = 8, 8
_CELLS = VERTICES_MAX * _STRIPS * _SHARES
_CELL_SHAPE = (_CELLS, 6)
# Of a trapezoid: its ends in x, its shares of the way from lo to hi, its slab, its bound U.
_XA, _XB, _SA, _SB, _SLAB, _BOUND = range(6)
# Below this distance from 1 a parameter counts as 1: the constants of algorithm BB are 0 / 0 there.
_ONE = 1e-9


@njit(cache=True)
def _uniform(key: np.uint64, drawn: int) -> float:
    """Number ``drawn`` of a key, in (0, 1)."""
    bits = mix(key + np.uint64(drawn + 1) * GOLDEN)
    return (float(bits >> np.uint64(12)) + 0.5) * (1.0 / 4503599627370496.0)


@njit(cache=True, error_model="numpy")
def beta_variate(a: float, b: float, key: np.uint64, drawn: int) -> tuple[float, int]:
    """A variate of Beta(a, b), a, b >= 1, and how many numbers of the key are used by then."""
    least, most = min(a, b), max(a, b)
    if least - 1.0 < _ONE:
        t = _uniform(key, drawn) ** (1.0 / most)
        return (t if b == least else 1.0 - t), drawn + 1
    total = a + b
    beta = math.sqrt((total - 2.0) / (2.0 * a * b - total))
    gamma = least + 1.0 / beta
    w = 1.0
    for _ in range(_MOST):
        u1, u2 = _uniform(key, drawn), _uniform(key, drawn + 1)
        drawn += 2
        v = beta * math.log(u1 / (1.0 - u1))
        w = least * math.exp(v)
        z = u1 * u1 * u2
        r = gamma * v - 2.0 * math.log(2.0)
        s = least + r - w
        if s + 1.0 + math.log(5.0) >= 5.0 * z:
            break
        t = math.log(z)
        if s >= t or r + total * math.log(total / (most + w)) >= t:
            break
    return (w if a == least else most) / (most + w), drawn


@njit(cache=True, error_model="numpy")
def _inside(vertices: NDArray[np.float64], count: int, x: float, y: float, tolerance: float) -> bool:
    """Whether (x, y) is outside of no edge by more than ``tolerance``."""
    for i in range(count):
        j = i + 1 if i + 1 < count else 0
        ax, ay = vertices[i, 0], vertices[i, 1]
        dx, dy = vertices[j, 0] - ax, vertices[j, 1] - ay
        outside = dy * (x - ax) - dx * (y - ay)
        if outside > 0.0 and outside > tolerance * math.hypot(dx, dy):
            return False
    return True


@njit(cache=True, error_model="numpy", nogil=True)
def inside_batch(
    vertices: NDArray[np.float64],
    count: NDArray[np.int8],
    x: NDArray[np.float64],
    tolerance: float,
    out: NDArray[np.bool_],
) -> None:
    """Write into ``out`` (N,) whether the points (N, 2) lie in their polygons, or outside by ``tolerance`` at most."""
    for n in range(count.shape[0]):
        out[n] = count[n] > 0 and _inside(vertices[n], count[n], x[n, 0], x[n, 1], tolerance)


@njit(cache=True, error_model="numpy")
def _bound(
    xa: float,
    xb: float,
    ya: float,
    yb: float,
    yc: float,
    yd: float,
    p1: float,
    q1: float,
    p2: float,
    q2: float,
) -> float:
    """U of the trapezoid with corners (xa, ya), (xa, yb), (xb, yc), (xb, yd); module docstring."""
    low, high = min(min(ya, yb), min(yc, yd)), max(max(ya, yb), max(yc, yd))
    box = log_kernel(p1, q1, min(max(mode(p1, q1), xa), xb)) + log_kernel(
        p2, q2, min(max(mode(p2, q2), low), high)
    )
    x, y = 0.5 * (xa + xb), 0.25 * (ya + yb + yc + yd)
    sx, sy = kernel_slope(p1, q1, x), kernel_slope(p2, q2, y)
    left = sx * (xa - x) + max(sy * (ya - y), sy * (yb - y))
    right = sx * (xb - x) + max(sy * (yc - y), sy * (yd - y))
    return min(box, log_kernel(p1, q1, x) + log_kernel(p2, q2, y) + max(left, right))


@njit(cache=True, error_model="numpy")
def _divide(
    table: NDArray[np.float64],
    used: int,
    start: float,
    end: float,
    p1: float,
    q1: float,
    p2: float,
    q2: float,
    cells: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> int:
    """Write the trapezoids over [start, end] into ``cells`` and their cumulated weights; returns how many."""
    made = 0
    most = -math.inf
    for k in range(used):
        low, high = max(table[k, 0], start), min(table[k, 1], end)
        if not low < high:
            continue
        for i in range(_STRIPS):
            xa = low + (high - low) * (i / _STRIPS)
            xb = low + (high - low) * ((i + 1) / _STRIPS) if i + 1 < _STRIPS else high
            lo_a, hi_a = chord(table, k, xa)
            lo_b, hi_b = chord(table, k, xb)
            size = 0.5 * (xb - xa) * ((hi_a - lo_a) + (hi_b - lo_b)) / _SHARES
            for j in range(_SHARES):
                sa, sb = j / _SHARES, (j + 1) / _SHARES
                ya, yb = lo_a + sa * (hi_a - lo_a), lo_a + sb * (hi_a - lo_a)
                yc, yd = lo_b + sa * (hi_b - lo_b), lo_b + sb * (hi_b - lo_b)
                bound = _bound(xa, xb, ya, yb, yc, yd, p1, q1, p2, q2)
                cells[made, _XA], cells[made, _XB], cells[made, _SA], cells[made, _SB] = xa, xb, sa, sb
                cells[made, _SLAB], cells[made, _BOUND] = k, bound
                weights[made] = size
                most = max(most, bound)
                made += 1
    total = 0.0
    for i in range(made):
        total += weights[i] * math.exp(cells[i, _BOUND] - most)
        weights[i] = total
    return made


@njit(cache=True, error_model="numpy")
def _draw_from_cells(
    vertices: NDArray[np.float64],
    count: int,
    p1: float,
    q1: float,
    p2: float,
    q2: float,
    key: np.uint64,
    drawn: int,
    table: NDArray[np.float64],
    cells: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> tuple[float, float]:
    """One point of the truncated density, by trapezoids."""
    used = slabs(vertices, count, table)
    at, _, start, end = peak(table, used, p1, q1, p2, q2, _SAMPLER_DROP)
    made = _divide(table, used, start, end, p1, q1, p2, q2, cells, weights)
    if made > 0 and weights[made - 1] > 0.0:
        for _ in range(_MOST):
            cell = np.searchsorted(weights[:made], _uniform(key, drawn) * weights[made - 1])
            cell = min(cell, made - 1)
            xa, xb, k = cells[cell, _XA], cells[cell, _XB], int(cells[cell, _SLAB])
            lo, hi = chord(table, k, xa)
            height_a = hi - lo
            lo, hi = chord(table, k, xb)
            height_b = hi - lo
            u = _uniform(key, drawn + 1)
            root = math.sqrt(height_a * height_a + u * (height_b * height_b - height_a * height_a))
            share = u * (height_a + height_b) / (height_a + root) if height_a + root > 0.0 else u
            x = min(xa + share * (xb - xa), xb)
            lo, hi = chord(table, k, x)
            way = cells[cell, _SA] + (cells[cell, _SB] - cells[cell, _SA]) * _uniform(key, drawn + 2)
            y = min(lo + way * (hi - lo), hi)
            r = log_kernel(p1, q1, x) + log_kernel(p2, q2, y)
            kept = math.log(_uniform(key, drawn + 3)) <= r - cells[cell, _BOUND]
            drawn += 4
            if kept:
                return x, y
    # The most likely point is as safe as any.
    for k in range(used):
        if table[k, 0] <= at <= table[k, 1]:
            lo, hi = chord(table, k, at)
            return at, min(max(mode(p2, q2), lo), hi)
    return vertices[0, 0], vertices[0, 1]


@njit(cache=True, error_model="numpy", nogil=True)
def sample_batch(
    parameters: NDArray[np.float64],
    vertices: NDArray[np.float64],
    count: NDArray[np.int8],
    keys: NDArray[np.uint64],
    x: NDArray[np.float64],
) -> None:
    """Write one point of each truncated density into ``x`` (N, 2); arguments as for :func:`sample`."""
    table = np.empty(TABLE_SHAPE)
    cells = np.empty(_CELL_SHAPE)
    weights = np.empty(_CELLS)
    for n in range(count.shape[0]):
        a1, b1 = parameters[n, 0], parameters[n, 1]
        a2, b2 = parameters[n, 2], parameters[n, 3]
        used = count[n]
        if used == 0:
            x[n, 0], x[n, 1] = a1 / (a1 + b1), a2 / (a2 + b2)
            continue
        whole = is_whole(vertices[n], used)
        found = False
        drawn = 0
        px, py = 0.0, 0.0
        for _ in range(_TRIES):
            px, drawn = beta_variate(a1, b1, keys[n], drawn)
            py, drawn = beta_variate(a2, b2, keys[n], drawn)
            found = whole or _inside(vertices[n], used, px, py, 0.0)
            if found:
                break
        if not found:
            px, py = _draw_from_cells(
                vertices[n],
                used,
                a1 - 1.0,
                b1 - 1.0,
                a2 - 1.0,
                b2 - 1.0,
                keys[n],
                drawn,
                table,
                cells,
                weights,
            )
        x[n, 0], x[n, 1] = px, py


@njit(cache=True)
def _write_keys(seed: np.uint64, first: np.uint64, keys: NDArray[np.uint64]) -> None:
    mixed = mix(seed + GOLDEN)
    for n in range(keys.shape[0]):
        keys[n] = mix(mixed + (first + np.uint64(n)) * GOLDEN)


def draw_keys(seed: int, first: int, n: int) -> NDArray[np.uint64]:
    """Keys (n,) of the draws ``first``, ``first + 1``, ... of a seed, e.g. first = step * games.

    Raises:
        ValueError: a negative seed or number.
    """
    if seed < 0 or first < 0:
        raise ValueError(f"seed {seed}, first {first}: must not be negative")
    keys = np.empty(n, dtype=np.uint64)
    _write_keys(np.uint64(seed), np.uint64(first), keys)
    return keys


def sample(
    parameters: NDArray[np.float64], found: Polygons, keys: NDArray[np.uint64], threads: int = 1
) -> NDArray[np.float64]:
    """One point (N, 2), in unit coordinates, of each truncated density; the mean where C is empty.

    Args:
        parameters: (a1, b1, a2, b2), (N, 4), at least 1.
        found: the polygons.
        keys: (N,) uint64, from :func:`draw_keys`; the same key gives the same point.
        threads: among which the batch is shared; no point depends on it.

    Raises:
        ValueError: shapes that do not fit, parameters that are not in [1, inf), threads < 1.
        TypeError: keys that are not uint64.
    """
    theta, vertices, counts = kernel_arrays(parameters, found)
    if keys.dtype != np.uint64:
        raise TypeError(f"keys must be uint64, not {keys.dtype}")
    if keys.shape != counts.shape:
        raise ValueError(f"keys {keys.shape}: expected {counts.shape}")
    x = np.empty((len(counts), 2))
    arrays = (theta, vertices, counts, np.ascontiguousarray(keys), x)
    in_shares(lambda first, end: sample_batch(*(each[first:end] for each in arrays)), len(x), threads)
    return x


@njit(cache=True, error_model="numpy", nogil=True)
def project_means(
    parameters: NDArray[np.float64],
    g: NDArray[np.float64],
    b: NDArray[np.float64],
    box: NDArray[np.float64],
    weights: NDArray[np.float64],
    u: NDArray[np.float64],
    status: NDArray[np.int8],
) -> None:
    """Write the projected means (N, 2) [m/s, rad/s] and their status; arguments as for :func:`mean_command`."""
    m = b.shape[1]
    rows, right = np.zeros((m + 4, 2)), np.empty(m + 4)
    a, c = np.empty((m + 4, 2)), np.empty(m + 4)
    rows[0, 0], rows[1, 0], rows[2, 1], rows[3, 1] = 1.0, -1.0, 1.0, -1.0
    right[0], right[1], right[2], right[3] = box[1], -box[0], box[2], box[2]
    root_v, root_w = math.sqrt(weights[0]), math.sqrt(weights[1])
    for n in range(b.shape[0]):
        v = box[0] + (box[1] - box[0]) * parameters[n, 0] / (parameters[n, 0] + parameters[n, 1])
        omega = box[2] * (parameters[n, 2] - parameters[n, 3]) / (parameters[n, 2] + parameters[n, 3])
        for i in range(m):
            rows[4 + i, 0], rows[4 + i, 1], right[4 + i] = g[n, i, 0], g[n, i, 1], b[n, i]
        scale_rows(rows, right, m + 4, root_v, root_w, a, c)
        y0, y1, state, first, _, _ = project(a, c, m + 4, v * root_v, omega * root_w)
        status[n] = state
        corrected = state == OPTIMAL and first >= 0
        u[n, 0] = y0 / root_v if corrected else v
        u[n, 1] = y1 / root_w if corrected else omega


def mean_command(
    parameters: NDArray[np.float64],
    G: NDArray[np.float64],
    b: NDArray[np.float64],
    box: Box,
    weights: Sequence[float] | NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    """The deterministic commands: means of the whole densities, projected on C.

    Args:
        parameters: (a1, b1, a2, b2), (N, 4).
        G: rows (N, m, 2), float32 or float64.
        b: right-hand sides (N, m) [m/s], same type; +inf makes a row that never binds.
        box: the control bounds.
        weights: two positive constants (w_v, w_omega), those of the filter.

    Returns:
        Commands (N, 2) [m/s, rad/s] and status (N,): 0 optimal, 1 infeasible, where the mean itself is returned.

    Raises:
        ValueError: shapes that do not fit, rows that are not finite, weights that are not positive, parameters that
            are not in [1, inf).
        TypeError: arrays of different or other types.
    """
    check_rows(G, b)
    check_finite(G, b)
    values = np.asarray(weights, dtype=np.float64)
    if values.shape != (2,) or not ((values > 0.0) & np.isfinite(values)).all():
        raise ValueError(f"weights must be two positive numbers, not {weights}")
    n = len(b)
    if parameters.shape != (n, 4) or not ((parameters >= 1.0) & np.isfinite(parameters)).all():
        raise ValueError(f"parameters {parameters.shape}: expected {(n, 4)}, finite and at least 1")
    u, status = np.empty((n, 2)), np.empty(n, dtype=np.int8)
    exact = parameters.astype(np.float64)
    project_means(exact, np.ascontiguousarray(G), np.ascontiguousarray(b), box.as_array(), values, u, status)
    return u, status

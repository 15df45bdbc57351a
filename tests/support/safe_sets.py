"""Families of safe sets of commands and Beta parameters, and slow exact answers about them.

Rows are drawn in unit coordinates, about a random point, and then written for commands of ``BOX``.  The reference
integrates with the half-planes themselves, not with vertices: lo(x) and hi(x) are a maximum and a minimum over rows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pe_safety.polygon import INFLATION, Box, Polygons, polygons

Array = NDArray[np.float64]
BOX = Box(-0.5, 1.0, 2.84)
FAMILIES = ("one row", "few rows", "many rows", "thin", "sliver", "strip", "far")


def commands_rows(a: Array, c: Array, box: Box = BOX) -> tuple[Array, Array]:
    """Rows G (N, m, 2), b (N, m) of commands for half-planes a . x <= c in unit coordinates."""
    g = a / box.span
    return g, c + g @ box.low


def unit_rows(family: str, rng: np.random.Generator, n: int) -> tuple[Array, Array]:
    """Half-planes a . x <= c, |a| = 1, in unit coordinates, (N, m, 2) and (N, m), met by a random point."""
    m = {"one row": 1, "few rows": 4, "many rows": 28, "thin": 3, "sliver": 2, "strip": 1, "far": 1}[family]
    a = rng.standard_normal((n, m, 2))
    a /= np.linalg.norm(a, axis=2, keepdims=True)
    room = rng.uniform(0.0, 0.5, (n, m))
    centre = rng.uniform(0.05, 0.95, (n, 2))
    if family == "thin":
        a[:, 1] = -a[:, 0]
        room[:, :2] = 10.0 ** rng.uniform(-9.0, -2.0, (n, 1))
    elif family == "sliver":
        a[:, 1] = -a[:, 0] + 1e-4 * a[:, 1]
        a /= np.linalg.norm(a, axis=2, keepdims=True)
        room[:] = 10.0 ** rng.uniform(-6.0, -2.0, (n, 1))
    elif family == "strip":
        a[:] = [1.0, 0.0]
        centre[:, 0] = np.where(rng.random(n) < 0.5, 0.0, 1.0 / 3.0)  # v_min, and standing still
        room[:] = np.where(rng.random(n) < 0.5, 0.0, 10.0 ** rng.uniform(-8.0, -2.0, n))[:, None]
        return a, np.einsum("nmk,nk->nm", a, centre) + room
    elif family == "far":
        # A corner of the square, cut off by a slanted line.
        corner = rng.integers(0, 2, (n, 2)).astype(float)
        a = (np.abs(a) * (1.0 - 2.0 * corner)[:, None, :]).reshape(n, 1, 2)
        return a, np.einsum("nmk,nk->nm", a, corner) + rng.uniform(0.02, 0.3, (n, 1))
    return a, np.einsum("nmk,nk->nm", a, centre) + room


def problems(family: str, seed: int, n: int) -> tuple[Array, Array, Polygons]:
    """Unit rows of a family and their polygons."""
    a, c = unit_rows(family, np.random.default_rng(seed), n)
    return a, c, polygons(*commands_rows(a, c), BOX)


def random_parameters(rng: np.random.Generator, n: int, most: float = 100.0) -> Array:
    """Beta parameters (N, 4) in [1, 1 + most], some close to 1."""
    return 1.0 + 10.0 ** rng.uniform(-2.0, np.log10(most), (n, 4))


def graded(edges: Array, panels: int, nodes: int, rough: int = 4) -> tuple[Array, Array]:
    """Nodes and weights of a composite rule between sorted edges, dense at both ends of every interval."""
    t, w = np.polynomial.legendre.leggauss(nodes)
    t = (np.arange(panels)[:, None] + 0.5 * (t + 1.0)).ravel() / panels
    w = np.tile(0.5 * w, panels) / panels
    z, slope = t**rough / (t**rough + (1 - t) ** rough), None
    slope = rough * t ** (rough - 1) * (1 - t) ** (rough - 1) / (t**rough + (1 - t) ** rough) ** 2
    length = np.diff(edges)[..., None]
    return edges[:-1, None] + length * z, length * (w * slope)


def reference(a: Array, c: Array, vertices: Array, parameters: Array) -> tuple[float, Array, float, Array]:
    """log I, E[T], E[r], cov(r, T) of one problem, by 300 nodes a slab in x and 300 in y.

    Args:
        a, c: half-planes (m, 2), (m,) in unit coordinates.
        vertices: (k, 2), from which only the places are taken where lo or hi may turn.
    """
    x, wx = graded(np.unique(vertices[:, 0]), 15, 20)
    x, wx = x.ravel(), wx.ravel()
    lo, hi = np.zeros_like(x), np.ones_like(x)
    for (ax, ay), right in zip(a, c + INFLATION, strict=True):
        if abs(ay) < 1e-14:
            continue
        if ay > 0:
            hi = np.minimum(hi, (right - ax * x) / ay)
        else:
            lo = np.maximum(lo, (right - ax * x) / ay)
    t, wt = graded(np.array([0.0, 1.0]), 15, 20)
    height = np.maximum(hi - lo, 0.0)
    y = np.clip(lo[:, None] + height[:, None] * t, 1e-300, 1.0 - 2.0**-53)
    x = np.clip(x, 1e-300, 1.0 - 2.0**-53)[:, None]
    logs = np.stack(np.broadcast_arrays(np.log(x), np.log1p(-x), np.log(y), np.log1p(-y)))
    r = np.tensordot(parameters - 1.0, logs, 1)
    top = r.max()
    weights = np.exp(r - top) * wx[:, None] * height[:, None] * wt
    total = weights.sum()
    weights /= total
    mean = (weights * logs).sum(axis=(1, 2))
    mean_r = (weights * r).sum()
    cov = (weights * (r - mean_r) * (logs - mean[:, None, None])).sum(axis=(1, 2))
    return top + np.log(total), mean, mean_r, cov

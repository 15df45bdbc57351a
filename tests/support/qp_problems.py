"""Families of two-variable QPs and exact answers to them, for the tests of :mod:`pe_safety.qp`.

Problems whose data are small integers are decided exactly by :func:`exact_batch`, which enumerates every candidate
(the nominal point, the foot on each row, each vertex) in integer arithmetic.  They are degenerate by nature:
duplicate, parallel and antiparallel rows, zero rows, many rows through one point.  A power of two in front of a
row or of the whole problem changes no bit of the mantissas, hence neither the answer.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
WEIGHTS = np.array([150.0, 1.0])


class Problems(NamedTuple):
    """N problems of m rows: g (N, m, 2), b (N, m), nominal (N, 2)."""

    g: Array
    b: Array
    nominal: Array


def random_problems(rng: np.random.Generator, n: int, m: int = 12, thin: float = 0.02) -> Problems:
    """Rows around a random point, nominal commands often outside; ``thin`` > 0 makes some infeasible."""
    g = rng.standard_normal((n, m, 2))
    centre = 0.5 * rng.standard_normal((n, 2))
    b = np.einsum("nmk,nk->nm", g, centre) + rng.uniform(-thin, 1.0, (n, m))
    return Problems(g, b, 2.0 * rng.standard_normal((n, 2)))


def parallel_problems(rng: np.random.Generator, n: int, m: int = 12) -> Problems:
    """Half of the rows are copies of others: same, scaled, shifted, turned by rounding, or opposite with room."""
    g, b, nominal = random_problems(rng, n, m, thin=0.0)
    for row in range(m // 2, m):
        source = row - m // 2
        kind = rng.integers(0, 5, n)
        factor = np.where(kind == 4, -1.0, 1.0) * np.where(kind == 0, 1.0, rng.uniform(0.3, 3.0, n))
        room = np.where(kind >= 2, rng.uniform(0.0, 0.5, n), 0.0) + np.where(kind == 4, 2.0, 0.0)
        turn = np.where(kind == 3, 10.0 ** rng.uniform(-16, -4, n), 0.0)
        g[:, row] = g[:, source] * factor[:, None]
        g[:, row, 0] += turn
        b[:, row] = factor * b[:, source] + np.abs(factor) * room
    return Problems(g, b, nominal)


def scaled_problems(rng: np.random.Generator, n: int, m: int = 12, decades: float = 9.0) -> Problems:
    """Each row times 10^(-decades .. decades), and each problem's commands times 10^(-decades .. decades)."""
    g, b, nominal = random_problems(rng, n, m)
    row = 10.0 ** rng.uniform(-decades, decades, (n, m))
    whole = 10.0 ** rng.uniform(-decades, decades, (n, 1))
    return Problems(g * row[:, :, None], b * row * whole, nominal * whole)


def integer_problems(rng: np.random.Generator, n: int, m: int = 12, feasible: bool | None = None) -> Problems:
    """Small integer data; rows through or beside the origin.  ``feasible``: origin allowed; None: as it comes."""
    g = rng.integers(-3, 4, (n, m, 2)).astype(float)
    low = 0 if feasible else -2
    b = rng.integers(low, 9, (n, m)).astype(float)
    # A share of rows is made opposite to the row before with the same bound: an equality.
    pair = rng.random((n, m)) < 0.1
    pair[:, 0] = False
    for row in range(1, m):
        where = pair[:, row]
        g[where, row] = -g[where, row - 1]
        b[where, row] = -b[where, row - 1] if not feasible else np.abs(b[where, row - 1])
    return Problems(g, b, rng.integers(-6, 7, (n, 2)).astype(float))


def binary_scaled(rng: np.random.Generator, problems: Problems, bits: int = 30) -> tuple[Problems, Array]:
    """Rows and whole problems times powers of two (2^30 ~ 1e9); returns the factor of u for each problem (N, 1)."""
    row = 2.0 ** rng.integers(-bits, bits + 1, problems.b.shape)
    whole = 2.0 ** rng.integers(-bits, bits + 1, (len(problems.b), 1))
    g, b, nominal = problems
    return Problems(g * row[:, :, None], b * row * whole, nominal * whole), whole


def exact_batch(problems: Problems, weights: tuple[int, int] = (150, 1)) -> tuple[Array, NDArray[np.bool_]]:
    """Exact optimum of integer problems: u (N, 2), rounded once, and which are feasible (N,).

    Feasibility of each candidate numerator/denominator is decided in int64.  The optimum is unique.
    """
    g, b, p = (np.rint(x).astype(np.int64) for x in problems)
    w0, w1 = weights
    n, m = b.shape
    pairs = np.array(list(combinations(range(m), 2)), dtype=np.int64).reshape(-1, 2)
    g0, g1 = g[:, :, 0], g[:, :, 1]
    foot_den = g0 * g0 * w1 + g1 * g1 * w0
    over = g0 * p[:, :1] + g1 * p[:, 1:] - b
    foot0 = p[:, :1] * foot_den - w1 * g0 * over
    foot1 = p[:, 1:] * foot_den - w0 * g1 * over
    gi, gj = g[:, pairs[:, 0]], g[:, pairs[:, 1]]
    bi, bj = b[:, pairs[:, 0]], b[:, pairs[:, 1]]
    det = gi[:, :, 0] * gj[:, :, 1] - gi[:, :, 1] * gj[:, :, 0]
    sign = np.where(det < 0, -1, 1)
    vertex0 = sign * (bi * gj[:, :, 1] - bj * gi[:, :, 1])
    vertex1 = sign * (bj * gi[:, :, 0] - bi * gj[:, :, 0])
    num0 = np.concatenate([p[:, :1], foot0, vertex0], 1)
    num1 = np.concatenate([p[:, 1:], foot1, vertex1], 1)
    den = np.concatenate([np.ones((n, 1), np.int64), foot_den, sign * det], 1)
    valid = den > 0
    for row in range(m):
        valid &= g0[:, row, None] * num0 + g1[:, row, None] * num1 <= b[:, row, None] * den
    safe = np.where(den > 0, den, 1)
    u0, u1 = num0 / safe, num1 / safe
    cost = np.where(valid, w0 * (u0 - p[:, :1]) ** 2 + w1 * (u1 - p[:, 1:]) ** 2, np.inf)
    best = cost.argmin(1)
    index = np.arange(n)
    return np.stack([u0[index, best], u1[index, best]], 1), valid.any(1)


def exact_one(g: Array, b: Array, nominal: Array, weights: Array) -> tuple[Fraction, Fraction] | None:
    """The optimum of one problem of any float data in rational arithmetic; None: infeasible."""
    rows = [
        (Fraction(float(r[0])), Fraction(float(r[1])), Fraction(float(c))) for r, c in zip(g, b, strict=True)
    ]
    p0, p1 = Fraction(float(nominal[0])), Fraction(float(nominal[1]))
    w0, w1 = Fraction(float(weights[0])), Fraction(float(weights[1]))
    candidates = [(p0, p1)]
    for a0, a1, c in rows:
        s = a0 * a0 / w0 + a1 * a1 / w1
        if s:
            mu = (a0 * p0 + a1 * p1 - c) / s
            candidates.append((p0 - mu * a0 / w0, p1 - mu * a1 / w1))
    for (a0, a1, c), (e0, e1, d) in combinations(rows, 2):
        det = a0 * e1 - a1 * e0
        if det:
            candidates.append(((c * e1 - d * a1) / det, (d * a0 - c * e0) / det))
    best: tuple[Fraction, Fraction, Fraction] | None = None
    for u0, u1 in candidates:
        cost = w0 * (u0 - p0) ** 2 + w1 * (u1 - p1) ** 2
        if (best is None or cost < best[0]) and all(a0 * u0 + a1 * u1 <= c for a0, a1, c in rows):
            best = (cost, u0, u1)
    return None if best is None else (best[1], best[2])


def exact_farkas(g: Array, b: Array, rows: tuple[int, int, int]) -> bool:
    """Whether ``rows`` alone prove, in rational arithmetic, that no u exists.

    Searches lambda >= 0 on these rows with G^T lambda = 0 and b^T lambda < 0.
    """
    picked = [row for row in rows if row >= 0]
    r = [(Fraction(float(g[i, 0])), Fraction(float(g[i, 1])), Fraction(float(b[i]))) for i in picked]

    def cross(i: int, j: int) -> Fraction:
        return r[i][0] * r[j][1] - r[i][1] * r[j][0]

    if len(r) == 1:
        weights = [Fraction(1)] if r[0][:2] == (0, 0) else []
    elif len(r) == 2:
        norms = [abs(x) + abs(y) for x, y, _ in r]
        antiparallel = cross(0, 1) == 0 and r[0][0] * r[1][0] + r[0][1] * r[1][1] < 0
        weights = [1 / n for n in norms] if antiparallel else []
    elif len(r) == 3:
        weights = [cross(1, 2), cross(2, 0), cross(0, 1)]
        if sum(weights) < 0:
            weights = [-w for w in weights]
    else:
        weights = []
    if not weights or min(weights) < 0:
        return False
    zero0 = sum(w * x for w, (x, _, _) in zip(weights, r, strict=True))
    zero1 = sum(w * y for w, (_, y, _) in zip(weights, r, strict=True))
    bound = sum(w * c for w, (_, _, c) in zip(weights, r, strict=True))
    return zero0 == 0 and zero1 == 0 and bound < 0


def excludes_ball(g: Array, b: Array, multipliers: Array, radius: float) -> bool:
    """Whether float ``multipliers`` >= 0 prove, in rational arithmetic, that no |u_k| <= radius is feasible.

    lambda^T (G u - b) >= -(|G^T lambda|_1) radius - lambda^T b > 0 for all such u.
    """
    lam = [Fraction(float(x)) for x in multipliers]
    if min(lam) < 0:
        return False
    first = sum((x * Fraction(float(r)) for x, r in zip(lam, g[:, 0], strict=True)), Fraction(0))
    second = sum((x * Fraction(float(r)) for x, r in zip(lam, g[:, 1], strict=True)), Fraction(0))
    bound = sum((x * Fraction(float(c)) for x, c in zip(lam, b, strict=True)), Fraction(0))
    return (abs(first) + abs(second)) * Fraction(radius) + bound < 0


def relative_violation(problems: Problems, u: Array) -> Array:
    """Largest violation of each problem's rows, over |g| times its length scale plus |b| (N,)."""
    g, b, nominal = problems
    length = np.maximum(np.abs(u).max(1), np.abs(nominal).max(1))
    size = np.abs(g).sum(2) * length[:, None] + np.abs(b)
    excess = np.einsum("nmk,nk->nm", g, u) - b
    return (excess / np.where(size > 0.0, size, 1.0)).max(1, initial=0.0)

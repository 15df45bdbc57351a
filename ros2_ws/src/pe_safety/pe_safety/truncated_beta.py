r"""A product of two Beta densities, truncated to the polygon of safe commands, and its derivatives.

In the unit coordinates of :mod:`pe_safety.polygon`, with parameters theta = (a1, b1, a2, b2), all >= 1,

    pi(x, y | C) = x^(a1-1) (1-x)^(b1-1) y^(a2-1) (1-y)^(b2-1) / I(theta),    (x, y) in C,    I = int_C of the same

so that, with T = (log x, log(1 - x), log y, log(1 - y)), r = (theta - 1) . T and E[.] under pi(. | C),

    log pi = r - log I                d log pi / d theta = T - E[T]
    entropy H = log I - E[r]          d H / d theta = -cov(r, T)

The normalisers of the Beta densities cancel.  Where no row cuts the box, I = B(a1, b1) B(a2, b2) and the moments are
polygamma functions; elsewhere they come from :mod:`pe_safety.beta_quadrature`.  Densities are per unit of the unit
square: per m/s and rad/s they are less by the constant factor 2 omega_max (v_max - v_min).

Where C is empty (count 0) there is no density: log pi, H and their gradients are 0, so that such steps teach a
policy nothing, and the filter's ladder decides what is done.

Sources: Suttle et al. 2024 (arXiv:2403.04007), Beta policies on safe sets of commands; Stolz et al. 2025
(arXiv:2511.22406), why the truncated density and entropy matter; Abramowitz and Stegun 1964, 6.1.41, 6.3.18, 6.4.12.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pe_safety.beta_quadrature import EDGE, MOMENTS, TABLE_SHAPE, moments
from pe_safety.polygon import Polygons, is_whole
from pe_safety.shares import in_shares

_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


class Values(NamedTuple):
    """log pi (N,), entropy (N,) and their derivatives by (a1, b1, a2, b2), (N, 4), all float64."""

    log_prob: NDArray[np.float64]
    entropy: NDArray[np.float64]
    grad_log_prob: NDArray[np.float64]
    grad_entropy: NDArray[np.float64]


@njit(cache=True, error_model="numpy")
def polygammas(x: float) -> tuple[float, float, float]:
    """log Gamma, digamma and trigamma at x >= 1: the asymptotic series at x + n >= 8, and the recurrence."""
    product, ones, squares = 1.0, 0.0, 0.0
    while x < 8.0:
        product *= x
        ones += 1.0 / x
        squares += 1.0 / (x * x)
        x += 1.0
    r = 1.0 / x
    s = r * r
    log_x = math.log(x)
    log_gamma = (x - 0.5) * log_x - x + _HALF_LOG_2PI - math.log(product)
    log_gamma += r * (1 / 12 - s * (1 / 360 - s * (1 / 1260 - s * (1 / 1680 - s * (1 / 1188)))))
    digamma = (
        log_x - 0.5 * r - s * (1 / 12 - s * (1 / 120 - s * (1 / 252 - s * (1 / 240 - s * (1 / 132))))) - ones
    )
    trigamma = (
        r + 0.5 * s + r * s * (1 / 6 - s * (1 / 30 - s * (1 / 42 - s * (1 / 30 - s * (5 / 66))))) + squares
    )
    return log_gamma, digamma, trigamma


@njit(cache=True, error_model="numpy")
def _axis_moments(a: float, b: float, axis: int, out: NDArray[np.float64]) -> None:
    """Add one axis of the whole square to ``out``, as :func:`pe_safety.beta_quadrature.moments` writes it."""
    log_a, psi_a, tri_a = polygammas(a)
    log_b, psi_b, tri_b = polygammas(b)
    log_c, psi_c, tri_c = polygammas(a + b)
    p, q = a - 1.0, b - 1.0
    i = 2 * axis
    out[0] += log_a + log_b - log_c
    out[1 + i] = psi_a - psi_c
    out[2 + i] = psi_b - psi_c
    out[5] += p * (psi_a - psi_c) + q * (psi_b - psi_c)
    out[6 + i] = p * tri_a - (p + q) * tri_c
    out[7 + i] = q * tri_b - (p + q) * tri_c


@njit(cache=True, error_model="numpy")
def _moments(
    vertices: NDArray[np.float64],
    count: int,
    a1: float,
    b1: float,
    a2: float,
    b2: float,
    table: NDArray[np.float64],
    inner: NDArray[np.float64],
    out: NDArray[np.float64],
) -> bool:
    """Moments over any polygon; False where there is no density."""
    if count == 0:
        return False
    if is_whole(vertices, count):
        out[:] = 0.0
        _axis_moments(a1, b1, 0, out)
        _axis_moments(a2, b2, 1, out)
        return True
    return moments(vertices, count, a1 - 1.0, b1 - 1.0, a2 - 1.0, b2 - 1.0, table, inner, out)


@njit(cache=True, error_model="numpy", nogil=True)
def evaluate_batch(
    parameters: NDArray[np.float64],
    x: NDArray[np.float64],
    vertices: NDArray[np.float64],
    count: NDArray[np.int8],
    log_prob: NDArray[np.float64],
    entropy: NDArray[np.float64],
    grad_log_prob: NDArray[np.float64],
    grad_entropy: NDArray[np.float64],
) -> None:
    """Write :class:`Values`; arguments as for :func:`evaluate`, with polygons as two arrays."""
    table = np.empty(TABLE_SHAPE)
    inner = np.empty(7)
    out = np.empty(MOMENTS)
    t = np.empty(4)
    for n in range(count.shape[0]):
        a1, b1 = parameters[n, 0], parameters[n, 1]
        a2, b2 = parameters[n, 2], parameters[n, 3]
        if not _moments(vertices[n], count[n], a1, b1, a2, b2, table, inner, out):
            log_prob[n] = 0.0
            entropy[n] = 0.0
            grad_log_prob[n] = 0.0
            grad_entropy[n] = 0.0
            continue
        px = min(max(x[n, 0], EDGE), 1.0 - EDGE)
        py = min(max(x[n, 1], EDGE), 1.0 - EDGE)
        t[0], t[1], t[2], t[3] = math.log(px), math.log(1.0 - px), math.log(py), math.log(1.0 - py)
        r = (a1 - 1.0) * t[0] + (b1 - 1.0) * t[1] + (a2 - 1.0) * t[2] + (b2 - 1.0) * t[3]
        log_prob[n] = r - out[0]
        entropy[n] = out[0] - out[5]
        for i in range(4):
            grad_log_prob[n, i] = t[i] - out[1 + i]
            grad_entropy[n, i] = -out[6 + i]


@njit(cache=True, error_model="numpy", nogil=True)
def log_mass_batch(
    parameters: NDArray[np.float64],
    vertices: NDArray[np.float64],
    count: NDArray[np.int8],
    out: NDArray[np.float64],
) -> None:
    """Write log pi(C), the share of the whole Beta density that is safe, into ``out`` (N,); -inf where C is empty."""
    table = np.empty(TABLE_SHAPE)
    inner = np.empty(7)
    cut, whole = np.empty(MOMENTS), np.empty(MOMENTS)
    for n in range(count.shape[0]):
        a1, b1 = parameters[n, 0], parameters[n, 1]
        a2, b2 = parameters[n, 2], parameters[n, 3]
        out[n] = 0.0
        if is_whole(vertices[n], count[n]):
            continue
        out[n] = -math.inf
        if _moments(vertices[n], count[n], a1, b1, a2, b2, table, inner, cut):
            whole[:] = 0.0
            _axis_moments(a1, b1, 0, whole)
            _axis_moments(a2, b2, 1, whole)
            out[n] = cut[0] - whole[0]


class Arrays(NamedTuple):
    """Parameters (N, 4), vertices (N, V, 2), counts (N,), contiguous and in double precision, for the kernels."""

    parameters: NDArray[np.float64]
    vertices: NDArray[np.float64]
    counts: NDArray[np.int8]


def kernel_arrays(parameters: NDArray[np.float64], found: Polygons) -> Arrays:
    """What the kernels take.

    Raises:
        ValueError: shapes that do not fit, parameters that are not in [1, inf).
    """
    vertices, counts = found
    if vertices.ndim != 3 or vertices.shape[2] != 2 or counts.shape != vertices.shape[:1]:
        raise ValueError(f"vertices {vertices.shape}, counts {counts.shape}: expected (N, V, 2), (N,)")
    if parameters.shape != (len(counts), 4):
        raise ValueError(f"parameters {parameters.shape}: expected {(len(counts), 4)}")
    bad = ~((parameters >= 1.0) & (parameters < np.inf)).all(axis=1)
    if bad.any():
        raise ValueError(f"problem {int(bad.argmax())}: Beta parameters must be finite and at least 1")
    return Arrays(
        np.ascontiguousarray(parameters, dtype=np.float64),
        np.ascontiguousarray(vertices, dtype=np.float64),
        np.ascontiguousarray(counts, dtype=np.int8),
    )


def evaluate(
    parameters: NDArray[np.float64], x: NDArray[np.float64], found: Polygons, threads: int = 1
) -> Values:
    """log pi(x | C), the entropy of pi(. | C) and their derivatives.

    Args:
        parameters: (a1, b1, a2, b2), (N, 4), at least 1; float32 or float64, as are the points and vertices.
        x: points in unit coordinates (N, 2).  Whether they lie in C is not asked.
        found: the polygons.
        threads: among which the batch is shared; no value depends on it.

    Raises:
        ValueError: shapes that do not fit, parameters that are not in [1, inf), a point that is NaN, threads < 1.
    """
    theta, vertices, counts = kernel_arrays(parameters, found)
    n = len(counts)
    if x.shape != (n, 2):
        raise ValueError(f"x {x.shape}: expected {(n, 2)}")
    if np.isnan(x).any():
        raise ValueError(f"problem {int(np.isnan(x).any(axis=1).argmax())}: the point is NaN")
    values = Values(np.empty(n), np.empty(n), np.empty((n, 4)), np.empty((n, 4)))
    arrays = (theta, np.ascontiguousarray(x, dtype=np.float64), vertices, counts, *values)
    in_shares(lambda first, end: evaluate_batch(*(each[first:end] for each in arrays)), n, threads)
    return values


def log_mass(parameters: NDArray[np.float64], found: Polygons) -> NDArray[np.float64]:
    """log pi(C) (N,) of the whole Beta density: 0 where no row cuts the box, -inf where C is empty.

    Raises:
        ValueError: as :func:`evaluate`.
    """
    arrays = kernel_arrays(parameters, found)
    out = np.empty(len(arrays.counts))
    log_mass_batch(*arrays, out)
    return out

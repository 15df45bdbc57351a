r"""Exact Gaussian process with a squared-exponential kernel, compiled and free of the interpreter lock.

    k(z, z') = s^2 exp(-1/2 sum_d (z_d - z'_d)^2 / l_d^2),    K = k(Z, Z) + diag(n^2 + e_i^2) = L L^T

with a length scale l_d per input, signal deviation s, noise n and the extra noise e_i of single points.
Parameters phi = (log l_1 .. log l_D, log s, log n).  The objective is the negative log posterior

    J = 1/2 y^T alpha + sum_i log L_ii + 1/2 sum_j ((phi_j - m_j) / w_j)^2,    alpha = K^-1 y
    dJ/dphi_j = 1/2 tr((K^-1 - alpha alpha^T) dK/dphi_j) + (phi_j - m_j) / w_j^2

(C. E. Rasmussen, C. K. I. Williams, Gaussian Processes for Machine Learning, 2006, eqs. 2.25, 2.26, 5.9.)

Loops instead of LAPACK, every inner one over neighbours in memory and from 0, as the compiler can turn them into vector
instructions: one thread, so that a fit takes one core at most whatever BLAS is installed, and the same
sums in the same order however many cores there are.  Sums may be reordered by the compiler, NaN is respected.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]

_SUM = {"reassoc", "contract", "nsz"}
JITTER = 1e-10
JITTER_MAX = 1e-4
# Steps of the sign-based descent (Rprop): first, least, greatest, growth, shrinkage.
STEP_FIRST, STEP_MIN, STEP_MAX, GROW, SHRINK = 0.15, 1e-4, 0.5, 1.3, 0.5


@njit(cache=True, nogil=True, fastmath=_SUM)
def cholesky(a: Array, n: int, factor: Array) -> bool:
    """Write the lower L with L L^T = a (lower triangle read); False where a pivot is not positive."""
    for i in range(n):
        for j in range(i):
            total = a[i, j]
            for k in range(j):
                total -= factor[i, k] * factor[j, k]
            factor[i, j] = total / factor[j, j]
        total = a[i, i]
        for k in range(i):
            total -= factor[i, k] * factor[i, k]
        if not total > 0.0:
            return False
        factor[i, i] = math.sqrt(total)
    return True


@njit(cache=True, nogil=True, fastmath=_SUM)
def solve_lower(factor: Array, n: int, right: Array) -> None:
    """Replace ``right`` by L^-1 right."""
    for i in range(n):
        total = right[i]
        for k in range(i):
            total -= factor[i, k] * right[k]
        right[i] = total / factor[i, i]


@njit(cache=True, nogil=True, fastmath=_SUM)
def solve_upper(factor: Array, n: int, right: Array) -> None:
    """Replace ``right`` by L^-T right."""
    for i in range(n - 1, -1, -1):
        value = right[i] / factor[i, i]
        right[i] = value
        for k in range(i):
            right[k] -= factor[i, k] * value


@njit(cache=True, nogil=True, fastmath=_SUM)
def inverse_lower(factor: Array, n: int, out: Array) -> None:
    """Write L^-1 into the lower triangle of ``out``; row by row, so that the inner loop runs over neighbours."""
    for i in range(n):
        for j in range(i):
            out[i, j] = 0.0
        for k in range(i):
            share = factor[i, k]
            for j in range(k + 1):
                out[i, j] -= share * out[k, j]
        pivot = 1.0 / factor[i, i]
        for j in range(i):
            out[i, j] *= pivot
        out[i, i] = pivot


@njit(cache=True, nogil=True, fastmath=_SUM)
def product_transposed(inverse: Array, n: int, out: Array) -> None:
    """Write M^T M, K^-1 where M = L^-1, into the lower triangle of ``out``; of ``inverse`` the lower one is read."""
    for i in range(n):
        for j in range(i + 1):
            out[i, j] = 0.0
    for k in range(n):
        for i in range(k + 1):
            share = inverse[k, i]
            for j in range(i + 1):
                out[i, j] += share * inverse[k, j]


@njit(cache=True, nogil=True, fastmath=_SUM)
def covariance(inputs: Array, phi: Array, extra: Array, kernel: Array) -> None:
    """Write the lower triangle of K without noise into ``kernel`` (n, n), its diagonal with noise."""
    n, dims = inputs.shape
    weight = np.exp(-2.0 * phi[:dims])
    signal = math.exp(2.0 * phi[dims])
    noise = math.exp(2.0 * phi[dims + 1])
    for i in range(n):
        for j in range(i):
            total = 0.0
            for d in range(dims):
                difference = inputs[i, d] - inputs[j, d]
                total += difference * difference * weight[d]
            kernel[i, j] = signal * math.exp(-0.5 * total)
        kernel[i, i] = signal + noise + extra[i] * extra[i]


@njit(cache=True, nogil=True)
def factorise(inputs: Array, phi: Array, extra: Array, kernel: Array, factor: Array) -> float:
    """K and its factor; returns the jitter, over s^2, that had to be added, or -1 where none was enough."""
    n, dims = inputs.shape
    covariance(inputs, phi, extra, kernel)
    signal = math.exp(2.0 * phi[dims])
    added, jitter = 0.0, JITTER
    while jitter <= JITTER_MAX:
        for i in range(n):
            kernel[i, i] += (jitter - added) * signal
        added = jitter
        if cholesky(kernel, n, factor):
            return added
        jitter *= 10.0
    return -1.0


@njit(cache=True, nogil=True, fastmath=_SUM)
def objective(
    inputs: Array, targets: Array, extra: Array, phi: Array, center: Array, width: Array,
    kernel: Array, factor: Array, inverse: Array, gradient: Array,
) -> float:  # fmt: skip
    """J and its gradient (D + 2,) at ``phi``; inf where K cannot be factorised.

    ``kernel``, ``factor``, ``inverse``: room (n, n); afterwards they hold K, K^-1 and L^-1, lower triangles.
    """
    n, dims = inputs.shape
    if factorise(inputs, phi, extra, kernel, factor) < 0.0:
        gradient[:] = 0.0
        return math.inf
    alpha = targets.copy()
    solve_lower(factor, n, alpha)
    value = 0.0
    for i in range(n):
        value += 0.5 * alpha[i] * alpha[i] + math.log(factor[i, i])
    solve_upper(factor, n, alpha)
    inverse_lower(factor, n, inverse)
    precision = factor
    product_transposed(inverse, n, precision)
    columns = inputs.T.copy()
    weight = np.empty(n)
    gradient[:] = 0.0
    trace = 0.0
    for i in range(n):
        total = 0.0
        for j in range(i):
            # Both halves of the symmetric matrix, and the 1/2 of the trace.
            weight[j] = (precision[i, j] - alpha[i] * alpha[j]) * kernel[i, j]
            total += weight[j]
        gradient[dims] += total
        for d in range(dims):
            total = 0.0
            for j in range(i):
                difference = columns[d, i] - columns[d, j]
                total += weight[j] * difference * difference
            gradient[d] += total
        trace += precision[i, i] - alpha[i] * alpha[i]
    signal = math.exp(2.0 * phi[dims])
    gradient[dims] = 2.0 * gradient[dims] + trace * signal
    gradient[dims + 1] = trace * math.exp(2.0 * phi[dims + 1])
    for d in range(dims):
        gradient[d] *= math.exp(-2.0 * phi[d])
    for j in range(dims + 2):
        offset = (phi[j] - center[j]) / width[j]
        value += 0.5 * offset * offset
        gradient[j] += offset / width[j]
    return value


@njit(cache=True, nogil=True)
def descend(
    inputs: Array, targets: Array, extra: Array, starts: NDArray[np.int64], phi: Array, steps: Array,
    center: Array, width: Array, low: Array, high: Array, evaluations: int,
) -> float:  # fmt: skip
    """Lower J by sign-based steps (M. Riedmiller, H. Braun, Rprop, 1993), in place, within [low, high].

    Args:
        starts: where each independent series begins in ``inputs``, and the end, so that several plants can share
            parameters: J sums over the series, K is block diagonal.
        phi: parameters (D + 2,), replaced by the best that was seen.
        steps: step sizes (D + 2,), kept from one call to the next.

    Returns:
        The least J.
    """
    count = phi.shape[0]
    largest = 0
    for b in range(starts.shape[0] - 1):
        largest = max(largest, starts[b + 1] - starts[b])
    kernel = np.empty((largest, largest))
    factor = np.empty((largest, largest))
    inverse = np.empty((largest, largest))
    gradient, part = np.empty(count), np.empty(count)
    before = np.zeros(count)
    trial, best = phi.copy(), phi.copy()
    least = math.inf
    for _ in range(evaluations):
        value = 0.0
        gradient[:] = 0.0
        for b in range(starts.shape[0] - 1):
            i, j = starts[b], starts[b + 1]
            value += objective(
                inputs[i:j], targets[i:j], extra[i:j], trial, center, width, kernel, factor, inverse, part
            )
            gradient += part
        if math.isfinite(value):
            if value < least:
                least = value
                best[:] = trial
        else:
            # Go back to half way; the signs of the last good gradient still hold.
            trial[:] = 0.5 * (trial + best)
            steps *= SHRINK
            continue
        for j in range(count):
            sign = gradient[j] * before[j]
            if sign > 0.0:
                steps[j] = min(steps[j] * GROW, STEP_MAX)
            elif sign < 0.0:
                steps[j] = max(steps[j] * SHRINK, STEP_MIN)
                gradient[j] = 0.0
            trial[j] = min(max(trial[j] - np.sign(gradient[j]) * steps[j], low[j]), high[j])
            before[j] = gradient[j]
    phi[:] = best
    return least

"""Intervals and tests for the numbers that a run reports.

Proportions get the exact interval of Clopper and Pearson (1934), whose coverage is at least what it says for
every n: with k successes in n trials the bounds are quantiles of beta distributions,

    low  = B(a/2; k, n-k+1),   high = B(1-a/2; k+1, n-k),   a = 1 - confidence.

Means get Student's t, differences of means Welch's t.  Only ``scipy.special`` is used: importing
``scipy.stats`` takes half a second, more than all the arithmetic of a run.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

CONFIDENCE = 0.95


def clopper_pearson(count: int, trials: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Two-sided exact interval of a proportion; (0, 1) where nothing was tried.

    Raises:
        ValueError: ``count`` is not within 0..trials, or ``confidence`` not within (0, 1).
    """
    _check(count, trials, confidence)
    if trials == 0:
        return 0.0, 1.0
    tail = 0.5 * (1.0 - confidence)
    low = 0.0 if count == 0 else float(special.betaincinv(count, trials - count + 1, tail))
    high = 1.0 if count == trials else float(special.betaincinv(count + 1, trials - count, 1.0 - tail))
    return low, high


def clopper_pearson_upper(count: int, trials: int, confidence: float = CONFIDENCE) -> float:
    """One-sided exact upper bound of a proportion: what an event seen ``count`` times may still amount to.

    With count = 0 it is 1 - (1 - confidence)^(1/n), about 3/n at 95 %.

    Raises:
        ValueError: as :func:`clopper_pearson`.
    """
    _check(count, trials, confidence)
    if trials == 0 or count == trials:
        return 1.0
    return float(special.betaincinv(count + 1, trials - count, confidence))


def _check(count: int, trials: int, confidence: float) -> None:
    if not 0 <= count <= trials:
        raise ValueError(f"count = {count!r}: allowed: 0 to trials = {trials!r}")
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence = {confidence!r}: allowed: (0, 1)")


def mean_interval(values: ArrayLike, confidence: float = CONFIDENCE) -> tuple[float, float, float]:
    """(mean, low, high) by Student's t; bounds are NaN with fewer than two values, all NaN without any."""
    data = np.asarray(values, dtype=np.float64).ravel()
    if data.size == 0:
        return math.nan, math.nan, math.nan
    mean = float(data.mean())
    if data.size < 2:
        return mean, math.nan, math.nan
    error = float(data.std(ddof=1)) / math.sqrt(data.size)
    half = float(special.stdtrit(data.size - 1, 0.5 + 0.5 * confidence)) * error
    return mean, mean - half, mean + half


@dataclasses.dataclass(frozen=True)
class Welch:
    """Welch's test of mean(a) = mean(b): statistic, degrees of freedom, two-sided p, difference of means."""

    t: float
    degrees: float
    p: float
    difference: float


def welch_t_test(a: ArrayLike, b: ArrayLike) -> Welch:
    """Welch's two-sided t-test, variances not assumed equal.

    Two samples without any variance differ for certain (p = 0) or not at all (p = 1).

    Raises:
        ValueError: a sample has fewer than two values.
    """
    first = np.asarray(a, dtype=np.float64).ravel()
    second = np.asarray(b, dtype=np.float64).ravel()
    if min(first.size, second.size) < 2:
        raise ValueError(f"Welch's test needs two values in each sample, not {first.size} and {second.size}")
    difference = float(first.mean() - second.mean())
    parts = np.array([first.var(ddof=1) / first.size, second.var(ddof=1) / second.size])
    total = float(parts.sum())
    if total == 0.0:
        t = 0.0 if difference == 0.0 else math.copysign(math.inf, difference)
        return Welch(t, float(first.size + second.size - 2), 1.0 if difference == 0.0 else 0.0, difference)
    t = difference / math.sqrt(total)
    degrees = total**2 / float((parts**2 / np.array([first.size - 1, second.size - 1])).sum())
    return Welch(t, degrees, float(2.0 * special.stdtr(degrees, -abs(t))), difference)


def quantiles(values: ArrayLike, levels: Sequence[float]) -> NDArray[np.float64]:
    """Quantiles (linear interpolation) at ``levels`` in [0, 1]; NaN where there are no finite values."""
    data = np.asarray(values, dtype=np.float64).ravel()
    data = data[np.isfinite(data)]
    if data.size == 0:
        return np.full(len(levels), math.nan)
    return np.quantile(data, levels)

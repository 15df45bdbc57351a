r"""Intervals, paired tests, effect sizes and the correction for many tests.

    bootstrap   resamples episodes within their stratum, approaches together (so that pairs stay pairs); percentile
                interval of the weighted mean of the strata's means
    McNemar     exact: of b + c episodes in which only one of two approaches captured, b ~ Binomial(b + c, 1/2)
    Wilcoxon    signed ranks of the differences of pairs (zeros split, Pratt 1959)
    d           Cohen's: (mean a - mean b) / sqrt((var a + var b) / 2)
    h           Cohen's: 2 asin sqrt(p_a) - 2 asin sqrt(p_b)
    delta       Cliff's: P(a > b) - P(a < b), over all pairs of values
    Holm        step down: p_(i) (m - i), made monotone; keeps the chance of any false finding below its level

Sources: Efron and Tibshirani 1993; McNemar 1947; Cohen 1988; Cliff 1993; Holm 1979.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pe_core.randomness import generator
from pe_evaluation.statistics import CONFIDENCE

RESAMPLES = 2000


class Interval(NamedTuple):
    """An estimate and its interval."""

    value: float
    low: float
    high: float


def resampled_means(
    strata: Sequence[NDArray[np.float64]], weights: ArrayLike | None, resamples: int = RESAMPLES, seed: int = 0
) -> NDArray[np.float64]:
    """Bootstrap replicates (resamples, k) of sum_s w_s mean_s of values (n_s, k); NaN counts as not there.

    A stratum whose resample holds no value at all leaves its weight to the others.  ``weights`` None: every value
    weighs the same, the mean of them all.
    """
    k = strata[0].shape[1]
    total, weight = np.zeros((resamples, k)), np.zeros((resamples, k))
    for number, (values, share) in enumerate(zip(strata, _shares(strata, weights), strict=True)):
        known = np.isfinite(values)
        counts = _counts(seed, number, len(values), resamples)
        used = counts @ known
        with np.errstate(invalid="ignore", divide="ignore"):
            means = (counts @ np.where(known, values, 0.0)) / used
        own = used if share is None else share
        total += np.where(used > 0.0, own * means, 0.0)
        weight += np.where(used > 0.0, own, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return total / weight


@lru_cache(maxsize=128)
def _counts(seed: int, stratum: int, n: int, resamples: int) -> NDArray[np.float32]:
    """How often each of n episodes is in each resample, (resamples, n): the same for all approaches and metrics."""
    random = generator(seed, stratum, "comparison/bootstrap")
    return random.multinomial(n, np.full(n, 1.0 / n), resamples).astype(np.float32)


def stratified_mean(strata: Sequence[NDArray[np.float64]], weights: ArrayLike | None) -> NDArray[np.float64]:
    """sum_s w_s mean_s (k,) of values (n_s, k); as :func:`resampled_means` without resampling."""
    k = strata[0].shape[1]
    total, weight = np.zeros(k), np.zeros(k)
    for values, share in zip(strata, _shares(strata, weights), strict=True):
        known = np.isfinite(values)
        used = known.sum(axis=0)
        means = np.where(known, values, 0.0).sum(axis=0) / np.maximum(used, 1)
        own = used if share is None else share
        total += np.where(used > 0, own * means, 0.0)
        weight += np.where(used > 0, own, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return total / weight


def _shares(strata: Sequence[Any], weights: ArrayLike | None) -> Sequence[Any]:
    return [None] * len(strata) if weights is None else list(np.asarray(weights, dtype=np.float64))


def interval(value: float, replicates: NDArray[np.float64], confidence: float = CONFIDENCE) -> Interval:
    """The percentile interval of ``replicates`` about ``value``; NaN bounds where there are none."""
    finite = replicates[np.isfinite(replicates)]
    if not finite.size:
        return Interval(value, math.nan, math.nan)
    tail = 0.5 * (1.0 - confidence)
    low, high = np.quantile(finite, [tail, 1.0 - tail])
    return Interval(value, float(low), float(high))


def mcnemar(first_only: int, second_only: int) -> float:
    """Exact two-sided p of McNemar's test; 1 where no pair differs."""
    from scipy.stats import binomtest

    total = first_only + second_only
    return float(binomtest(first_only, total, 0.5).pvalue) if total else 1.0


def wilcoxon(differences: ArrayLike) -> float:
    """Two-sided p of the signed-rank test; 1 where no pair differs, NaN without pairs."""
    from scipy import stats

    data = _finite(differences)
    if not data.size:
        return math.nan
    if not data.any():
        return 1.0
    return float(
        stats.wilcoxon(data, zero_method="pratt", method="auto" if data.size > 50 else "approx").pvalue
    )


def paired_t(differences: ArrayLike) -> float:
    """Two-sided p of the t-test of mean difference 0; NaN with fewer than two pairs."""
    from scipy import special

    data = _finite(differences)
    if data.size < 2:
        return math.nan
    error = data.std(ddof=1) / math.sqrt(data.size)
    if error == 0.0:
        return 1.0 if data.mean() == 0.0 else 0.0
    return float(2.0 * special.stdtr(data.size - 1, -abs(data.mean() / error)))


def cohens_d(a: ArrayLike, b: ArrayLike) -> float:
    """Difference of means over the pooled deviation; NaN where both do not vary or are too few."""
    first, second = _finite(a), _finite(b)
    if min(first.size, second.size) < 2:
        return math.nan
    pooled = math.sqrt(0.5 * (first.var(ddof=1) + second.var(ddof=1)))
    return float((first.mean() - second.mean()) / pooled) if pooled > 0.0 else math.nan


def cohens_h(a: float, b: float) -> float:
    """Difference of proportions on the arcsine scale."""
    return 2.0 * math.asin(math.sqrt(a)) - 2.0 * math.asin(math.sqrt(b))


def cliffs_delta(a: ArrayLike, b: ArrayLike) -> float:
    """P(a > b) - P(a < b); NaN where one is empty."""
    first, second = _finite(a), np.sort(_finite(b))
    if not first.size or not second.size:
        return math.nan
    below = np.searchsorted(second, first, "left").sum()
    above = len(second) * len(first) - np.searchsorted(second, first, "right").sum()
    return float((int(below) - int(above)) / (first.size * second.size))


def holm(p: ArrayLike) -> NDArray[np.float64]:
    """Holm's adjusted p, in the order given; NaN, a test that could not be made, stays and does not count."""
    values = np.asarray(p, dtype=np.float64)
    out = np.full(values.shape, math.nan)
    rows = np.flatnonzero(np.isfinite(values))
    order = rows[np.argsort(values[rows], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    out[order] = np.minimum(np.maximum.accumulate(values[order] * factors), 1.0)
    return out


def _finite(values: ArrayLike) -> NDArray[np.float64]:
    data = np.asarray(values, dtype=np.float64).ravel()
    return data[np.isfinite(data)]

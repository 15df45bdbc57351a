"""Intervals and tests agree with scipy.stats and with values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from pe_evaluation.statistics import (
    clopper_pearson,
    clopper_pearson_upper,
    mean_interval,
    quantiles,
    welch_t_test,
)


@pytest.mark.parametrize(("count", "trials"), [(0, 1), (1, 1), (0, 200), (3, 10), (199, 200), (200, 200), (37, 1024)])
def test_clopper_pearson_is_that_of_scipy(count: int, trials: int) -> None:
    expected = stats.binomtest(count, trials).proportion_ci(0.95, method="exact")
    assert clopper_pearson(count, trials) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_upper_bound_without_an_event_is_the_rule_of_three() -> None:
    assert clopper_pearson_upper(0, 10_000) == pytest.approx(1.0 - 0.05 ** (1.0 / 10_000), rel=1e-9)
    assert clopper_pearson_upper(0, 10_000) == pytest.approx(3.0 / 10_000, rel=2e-3)


def test_nothing_tried_says_nothing() -> None:
    assert clopper_pearson(0, 0) == (0.0, 1.0)
    assert clopper_pearson_upper(0, 0) == 1.0


@pytest.mark.parametrize(("count", "trials", "confidence"), [(-1, 5, 0.95), (6, 5, 0.95), (1, 5, 1.0), (1, 5, 0.0)])
def test_impossible_counts_are_refused(count: int, trials: int, confidence: float) -> None:
    with pytest.raises(ValueError, match="allowed"):
        clopper_pearson(count, trials, confidence)


def test_welch_is_that_of_scipy() -> None:
    random = np.random.default_rng(1)
    a, b = random.normal(0.0, 1.0, 3), random.normal(0.5, 2.0, 5)
    expected = stats.ttest_ind(a, b, equal_var=False)
    ours = welch_t_test(a, b)
    assert (ours.t, ours.degrees, ours.p) == pytest.approx((expected.statistic, expected.df, expected.pvalue))
    assert ours.difference == pytest.approx(a.mean() - b.mean())


def test_welch_without_variance() -> None:
    assert welch_t_test([1.0, 1.0, 1.0], [1.0, 1.0, 1.0]).p == 1.0
    assert welch_t_test([1.0, 1.0, 1.0], [2.0, 2.0, 2.0]).p == 0.0


def test_welch_needs_two_values() -> None:
    with pytest.raises(ValueError, match="two values"):
        welch_t_test([1.0], [1.0, 2.0])


def test_mean_interval_is_students() -> None:
    values = [0.91, 0.95, 0.93]
    expected = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    assert mean_interval(values) == pytest.approx((np.mean(values), *expected))
    assert mean_interval([2.0])[0] == 2.0
    assert all(math.isnan(value) for value in mean_interval([]))


def test_quantiles_leave_out_what_is_not_finite() -> None:
    assert quantiles([1.0, math.nan, 3.0, math.inf], (0.0, 0.5, 1.0)).tolist() == [1.0, 2.0, 3.0]
    assert np.isnan(quantiles([], (0.5,))).all()

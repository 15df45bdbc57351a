"""Intervals, tests and effect sizes agree with scipy, with statsmodels and with numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from pe_evaluation.comparison.inference import (
    cliffs_delta,
    cohens_d,
    cohens_h,
    holm,
    interval,
    mcnemar,
    paired_t,
    resampled_means,
    stratified_mean,
    wilcoxon,
)
from pe_evaluation.statistics import welch_t_test

RNG = np.random.default_rng(5)
A, B = RNG.normal(0.3, 1.0, 60), RNG.normal(0.0, 1.5, 60)


def test_bootstrap_interval_is_that_of_scipy() -> None:
    values = RNG.exponential(2.0, (80, 1))
    found = interval(float(values.mean()), resampled_means([values], [1.0], 20_000)[:, 0])
    data = (values[:, 0],)
    wanted = stats.bootstrap(data, np.mean, n_resamples=20_000, method="percentile", random_state=1)
    low, high = wanted.confidence_interval
    width = high - low
    assert found.low == pytest.approx(low, abs=0.03 * width)
    assert found.high == pytest.approx(high, abs=0.03 * width)


def test_bootstrap_keeps_pairs_and_is_repeatable() -> None:
    column = RNG.normal(size=(40, 1))
    both = np.hstack([column, column + 1.0])
    drawn = resampled_means([both], [1.0], 500)
    np.testing.assert_allclose(drawn[:, 1] - drawn[:, 0], 1.0, atol=1e-6)
    # One approach alone sees the same resamples as two together.
    np.testing.assert_allclose(resampled_means([column], [1.0], 500)[:, 0], drawn[:, 0], atol=1e-12)
    assert not np.array_equal(drawn, resampled_means([both], [1.0], 500, seed=1))


def test_strata_are_weighted_and_reasons_left_out() -> None:
    first, second = np.array([[1.0], [math.nan], [3.0]]), np.array([[10.0]])
    assert stratified_mean([first, second], [0.5, 0.5])[0] == pytest.approx(6.0)
    none = np.array([[math.nan]])
    assert stratified_mean([first, none], [0.5, 0.5])[0] == pytest.approx(2.0)
    assert math.isnan(stratified_mean([none], [1.0])[0])
    assert np.isnan(resampled_means([none], [1.0], 10)).all()
    # Without weights every value weighs the same.
    assert stratified_mean([first, second, none], None)[0] == pytest.approx(14.0 / 3.0)
    drawn = resampled_means([np.full((300, 1), 1.0), np.full((100, 1), 5.0), none], None, 10)
    np.testing.assert_allclose(drawn, 2.0)


@pytest.mark.parametrize(("b", "c"), [(0, 0), (5, 0), (9, 3), (40, 61)])
def test_mcnemar_is_that_of_statsmodels(b: int, c: int) -> None:
    tables = pytest.importorskip("statsmodels.stats.contingency_tables")
    wanted = tables.mcnemar([[30, b], [c, 20]], exact=True).pvalue if b + c else 1.0
    assert mcnemar(b, c) == pytest.approx(wanted, rel=1e-9)


def test_mcnemar_by_hand() -> None:
    # Of 5 pairs all one way: 2 * (1/2)^5.
    assert mcnemar(5, 0) == pytest.approx(0.0625)
    assert mcnemar(3, 3) == 1.0


@pytest.mark.parametrize("p", [[0.01, 0.04, 0.03, 0.005], [0.5, 0.5, 0.9], [1e-9, 0.2, 0.04, 0.04, 0.011]])
def test_holm_is_that_of_statsmodels(p: list[float]) -> None:
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    np.testing.assert_allclose(holm(p), multitest.multipletests(p, method="holm")[1], rtol=1e-12)


def test_holm_by_hand() -> None:
    # Sorted 0.005 * 4, 0.01 * 3, 0.03 * 2, 0.04 * 1 -> the last is lifted to the one before.
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.01, math.nan, 0.03]), [0.02, math.nan, 0.03])


def test_paired_tests_are_those_of_scipy() -> None:
    assert paired_t(A - B) == pytest.approx(stats.ttest_rel(A, B).pvalue, rel=1e-9)
    assert wilcoxon(A - B) == pytest.approx(stats.wilcoxon(A, B, zero_method="pratt").pvalue, rel=1e-9)
    assert wilcoxon(np.zeros(8)) == paired_t(np.zeros(8)) == 1.0
    assert paired_t(np.ones(8)) == 0.0
    assert math.isnan(wilcoxon([])) and math.isnan(paired_t([1.0]))


def test_welch_is_that_of_scipy() -> None:
    found, wanted = welch_t_test(A, B), stats.ttest_ind(A, B, equal_var=False)
    assert found.t == pytest.approx(wanted.statistic)
    assert found.p == pytest.approx(wanted.pvalue)


def test_effect_sizes_by_hand() -> None:
    # Means 2 and 4, both variances 1.
    assert cohens_d([1.0, 2.0, 3.0], [3.0, 4.0, 5.0]) == pytest.approx(-2.0)
    assert cohens_h(1.0, 0.0) == pytest.approx(math.pi)
    assert cohens_h(0.5, 0.5) == 0.0
    # Of nine pairs: one tie, none above, eight below.
    assert cliffs_delta([1.0, 2.0, 3.0], [3.0, 4.0, 5.0]) == pytest.approx(-8.0 / 9.0)
    u = stats.mannwhitneyu(A, B).statistic
    assert cliffs_delta(A, B) == pytest.approx(2.0 * u / (len(A) * len(B)) - 1.0)

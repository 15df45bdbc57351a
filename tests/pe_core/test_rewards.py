"""Rewards are those of the equation, and their game part is zero-sum."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from pe_core.config import ConfigurationError
from pe_core.rewards import Rewards, load_rewards, write_rewards

WEIGHTS = Rewards(capture=10.0, time=5.0, progress=4.0, safety=0.05, safety_scale=0.25, correction=0.1)


def paid(
    captured: bool,
    closed: float,
    margins: list[float],
    corrections: list[float],
    weights: Rewards = WEIGHTS,
) -> np.ndarray:
    out = np.empty(2)
    write_rewards(
        captured, closed, 10.0, 1000, np.array(margins), np.array(corrections), weights.as_array(), out
    )
    return out


def test_a_hand_computed_step() -> None:
    # 10 + 4 * 0.1 / 10 - 5 / 1000 = 10.035; margins 0.125: -0.05 * 0.5, 0.5: 0; corrections -0.1 * 0.2^2, 0.
    np.testing.assert_allclose(
        paid(True, 0.1, [0.125, 0.5], [0.2, 0.0]), [10.006, -10.035], rtol=0.0, atol=1e-12
    )


def test_the_game_is_zero_sum() -> None:
    assert paid(False, -0.07, [1.0, 1.0], [0.0, 0.0]).sum() == pytest.approx(0.0, abs=1e-15)


def test_safety_is_never_paid_for_and_worst_in_contact() -> None:
    taken = [paid(False, 0.0, [m, 1.0], [0.0, 0.0]).sum() for m in (1.0, 0.25, 0.1, 0.0, -0.25, -1.0)]
    np.testing.assert_allclose(taken, [0.0, 0.0, -0.03, -0.05, -0.1, -0.1], rtol=0.0, atol=1e-12)


def test_a_correction_is_charged_by_its_square() -> None:
    taken = [paid(False, 0.0, [1.0, 1.0], [0.0, size])[1] for size in (0.0, 0.5, 1.0, 2.0)]
    np.testing.assert_allclose(taken[0] - taken, [0.0, 0.025, 0.1, 0.4], rtol=0.0, atol=1e-12)


def test_where_corrections_weigh_nothing_an_infinite_one_costs_nothing() -> None:
    free = dataclasses.replace(WEIGHTS, correction=0.0)
    np.testing.assert_array_equal(
        paid(False, 0.1, [0.1, 0.1], [np.inf, np.inf], free), paid(False, 0.1, [0.1, 0.1], [0.0, 0.0], free)
    )
    assert np.isneginf(paid(False, 0.1, [0.1, 0.1], [np.inf, 0.0])[0])


def test_the_configured_rewards_hold_the_specified_weight() -> None:
    assert load_rewards("reference").safety == 0.05
    with pytest.raises(ConfigurationError, match="safety_scale"):
        Rewards(safety_scale=0.0)

"""Random numbers: repeatable per (seed, episode, stream), independent otherwise."""

from __future__ import annotations

import numpy as np
import pytest

from pe_core.randomness import generator

FIRST = [0.5065567095756557, 0.7399986844021058]


def test_same_key_gives_the_same_numbers_in_any_order() -> None:
    wanted = {e: generator(3, e, "layout").random(4) for e in range(5)}
    for e in reversed(range(5)):
        np.testing.assert_array_equal(generator(3, e, "layout").random(4), wanted[e])


def test_any_part_of_the_key_changes_the_numbers() -> None:
    keys = [
        (0, 0, "layout"),
        (1, 0, "layout"),
        (0, 1, "layout"),
        (0, 0, "noise/pursuer"),
        (0, 0, "noise/evader"),
    ]
    drawn = {generator(*key).integers(2**63) for key in keys}
    assert len(drawn) == len(keys)


def test_streams_are_uncorrelated() -> None:
    draws = np.array([generator(0, episode, "layout").random(200) for episode in range(50)])
    assert abs(draws.mean() - 0.5) < 0.01
    assert np.abs(np.corrcoef(draws) - np.eye(50)).max() < 0.35


def test_numbers_are_the_same_on_every_machine() -> None:
    np.testing.assert_allclose(generator(0, 0, "layout").random(2), FIRST, rtol=0.0, atol=0.0)


def test_negative_keys_are_refused() -> None:
    for seed, episode in ((-1, 0), (0, -1)):
        with pytest.raises(ValueError, match="must not be negative"):
            generator(seed, episode, "layout")

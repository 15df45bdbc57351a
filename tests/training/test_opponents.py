"""The compiled opponents act as their bundles do."""

from __future__ import annotations

import numpy as np
import pytest

from pe_core.bundle import load_bundle
from pe_core.config import ConfigurationError
from pe_core.scripted.build import HELD_OUT, POLICIES, golden_observations
from training.opponents.play import NUMBERS, act_batch, number_of

ROWS = 700


@pytest.fixture(scope="module")
def observations() -> dict[str, np.ndarray]:
    """Per role, drawn states of 0 to 6 obstacles, and the same at other speed ratios and on wheels."""
    result = {}
    for role in ("pursuer", "evader"):
        base = golden_observations(role, ROWS)
        faster, wheeled = base.copy(), base.copy()
        faster[:, 12] = 1.2
        wheeled[:, 13], wheeled[:, 15], wheeled[:, 19] = 0.035, 0.05, 0.005
        result[role] = np.concatenate([base, faster, wheeled])
    return result


@pytest.mark.parametrize("name", sorted(NUMBERS))
def test_compiled_opponent_equals_its_bundle(name: str, observations: dict[str, np.ndarray]) -> None:
    bundle = load_bundle(name)
    rows = observations[bundle.schema.role]
    noise = np.random.default_rng(0).random((len(rows), 2))
    actions = np.empty((len(rows), 2))
    act_batch(NUMBERS[name], rows, noise, actions)
    np.testing.assert_allclose(actions, bundle.act(rows, noise), rtol=0.0, atol=1e-9)


def test_number_of_refuses_the_other_role() -> None:
    assert number_of("lead", "pursuer") == NUMBERS["lead"]
    with pytest.raises(ConfigurationError, match="lookahead"):
        number_of("lead", "evader")


def test_names_are_those_of_the_bundles() -> None:
    assert set(NUMBERS) <= set(POLICIES)


@pytest.mark.parametrize("name", HELD_OUT)
def test_a_held_out_evader_cannot_be_trained_against(name: str) -> None:
    assert POLICIES[name].role == "evader" and name not in NUMBERS
    with pytest.raises(ConfigurationError, match=f"'{name}' is unknown"):
        number_of(name, "evader")

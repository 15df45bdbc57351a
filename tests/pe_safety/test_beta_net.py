"""A Beta policy that keeps its polygon: its mean is that of the truncated density, safe, and the filter's to refuse."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from pe_safety.beta_net import BetaNet
from pe_safety.beta_sampling import draw_keys, sample
from pe_safety.filter import Tier
from pe_safety.polygon import Box, polygons
from tests.support.observed_states import PARAMETERS, Observed, observed_states

GAMMA = PARAMETERS.gamma
COUNT = 600
BOX = Box(0.0, 1.0, 1.0)


class Given(nn.Module):
    """The densities that it was given, whatever it sees."""

    def __init__(self, parameters: Tensor) -> None:
        super().__init__()
        self.register_buffer("parameters_", parameters)

    def forward(self, observation: Tensor) -> Tensor:
        raise RuntimeError("the density is asked for, not its mean")

    @torch.jit.export
    def density(self, observation: Tensor) -> Tensor:
        return self.parameters_[: observation.shape[0]]


def densities(count: int, most: float = 150.0, seed: int = 0) -> np.ndarray:
    return 1.0 + np.exp(np.random.default_rng(seed).uniform(np.log(0.05), np.log(most), (count, 4)))


def whole(parameters: np.ndarray) -> np.ndarray:
    """Actions: means of the whole densities."""
    first, second = parameters[:, 0::2], parameters[:, 1::2]
    return first / (first + second) * [1.0, 2.0] - [0.0, 1.0]


@pytest.fixture(scope="module")
def observed() -> Observed:
    return observed_states(3, COUNT)


def acted(observed: Observed, parameters: np.ndarray) -> tuple[BetaNet, np.ndarray]:
    net = BetaNet(Given(torch.tensor(parameters, dtype=torch.float32)), GAMMA)
    scripted = torch.jit.script(net.eval())
    return net, scripted(torch.tensor(observed.observations, dtype=torch.float32)).double().numpy()


def rows_of(net: BetaNet, observed: Observed) -> tuple[np.ndarray, np.ndarray]:
    g, b = net.rows(torch.tensor(observed.observations, dtype=torch.float32))
    return g.numpy(), b.numpy()


def test_the_mean_is_that_of_exact_draws(observed: Observed) -> None:
    parameters, draws = densities(COUNT), 4000
    net, _ = acted(observed, parameters)
    g, b = rows_of(net, observed)
    mean, found = net.mean(torch.tensor(parameters).float(), torch.tensor(np.stack([*g.transpose(2, 1, 0), b.T])))
    polygon = polygons(g, b, BOX)
    total, square = np.zeros((COUNT, 2)), np.zeros((COUNT, 2))
    for k in range(draws):
        point = sample(parameters, polygon, draw_keys(7, k * COUNT, COUNT))
        total, square = total + point, square + point**2
    expected = total / draws
    error = np.sqrt(np.maximum(square / draws - expected**2, 0.0) / draws)
    there = found.numpy() & (polygon.counts > 0)
    assert there.mean() > 0.9
    # 1,200 numbers, five standard errors, and what 32 x 16 nodes do not see (0.2 % of games: 0.002).
    off = np.abs(mean.numpy() - expected) - 5.0 * error
    assert np.quantile(off[there], 0.99) < 1e-3 and off[there].max() < 2e-2


def test_where_no_row_cuts_it_is_the_mean_of_the_whole_density() -> None:
    parameters = densities(COUNT, most=120.0, seed=1)
    net = BetaNet(Given(torch.zeros(1, 4)), GAMMA)
    box = torch.tensor([[1.0, -1.0, 0.0, 0.0], [0.0, 0.0, 1.0, -1.0], [1.0, 0.0, 1.0, 1.0]], dtype=torch.float64)
    mean, found = net.mean(torch.tensor(parameters).float(), box.unsqueeze(2).expand(3, 4, COUNT).contiguous())
    assert found.all()
    off = np.abs(mean.numpy() * [1.0, 2.0] - [0.0, 1.0] - whole(parameters))
    # The largest where a density falls by 1 / e within a hundredth of the box and rises steeply before.
    assert np.quantile(off, 0.95) < 1e-3 and off.max() < 2e-2


def test_the_filter_has_nothing_to_correct(observed: Observed) -> None:
    parameters = densities(COUNT, seed=2)
    _, actions = acted(observed, parameters)
    asks = np.abs(actions - whole(parameters)).max(1) < 1e-6
    results = [observed.filtered(k, action) for k, action in enumerate(actions)]
    exact = np.array([result.tier == Tier.EXACT for result in results])
    corrected = np.array([result.intervened for result in results])
    assert not corrected[exact & ~asks].any()
    assert (exact & ~asks).mean() > 0.7
    asked = [observed.filtered(k, action).intervened for k, action in enumerate(whole(parameters))]
    assert np.mean(asked) > 0.3, "the means of the whole densities are not safe"


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**31), most=st.sampled_from([1.0, 20.0, 1000.0]))
def test_the_mean_meets_every_row(seed: int, most: float) -> None:
    rng = np.random.default_rng(seed)
    count, m = 64, 12
    bearing = rng.uniform(-np.pi, np.pi, (m, count))
    g = np.stack([np.cos(bearing), np.sin(bearing)])
    g[rng.integers(0, 2), rng.integers(0, m)] = 0.0
    inside = rng.uniform([0.0, -1.0], [1.0, 1.0], (count, 2))
    b = (g * inside.T[:, None]).sum(0) + rng.exponential(0.2, (m, count)) * (rng.random((m, count)) < 0.9)
    box = np.array([[1.0, -1.0, 0.0, 0.0], [0.0, 0.0, 1.0, -1.0], [1.0, 0.0, 1.0, 1.0]])
    rows = np.concatenate([np.repeat(box[:, :, None], count, 2), np.concatenate([g, b[None]])], 1)
    net = BetaNet(Given(torch.zeros(1, 4)), GAMMA)
    mean, found = net.mean(torch.tensor(densities(count, most, seed)).float(), torch.tensor(rows))
    u = mean.double().numpy() * [1.0, 2.0] - [0.0, 1.0]
    assert np.isfinite(u).all()
    over = (rows[0] * u[:, 0] + rows[1] * u[:, 1] - rows[2]).max(0)
    assert over[found.numpy()].max(initial=-1.0) < 2e-6


def test_an_empty_polygon_is_the_filter_s() -> None:
    net = BetaNet(Given(torch.zeros(1, 4)), GAMMA)
    box = [[1.0, -1.0, 0.0, 0.0], [0.0, 0.0, 1.0, -1.0], [1.0, 0.0, 1.0, 1.0]]
    shut = {
        "two rows against each other": [[0.5, -0.5], [1.0, -1.0], [0.1, -0.2]],
        "a speed below none": [[1.0], [0.0], [-0.1]],
        "nothing at all": [[0.0], [0.0], [-0.1]],
        "a line": [[0.0, 0.0], [1.0, -1.0], [0.3, -0.3]],
    }
    for name, rows in shut.items():
        both = torch.tensor([a + b for a, b in zip(box, rows, strict=True)], dtype=torch.float64).unsqueeze(2)
        _, found = net.mean(torch.full((1, 4), 2.0), both)
        assert not found.any(), name


def test_an_action_does_not_depend_on_its_neighbours(observed: Observed) -> None:
    parameters = torch.tensor(densities(COUNT, seed=4), dtype=torch.float32)
    seen = torch.tensor(observed.observations, dtype=torch.float32)
    together = BetaNet(Given(parameters), GAMMA)(seen)
    assert BetaNet(Given(parameters), GAMMA)(seen[:0]).shape == (0, 2)
    for k in range(0, COUNT, 97):
        alone = BetaNet(Given(parameters[k : k + 1]), GAMMA)(seen[k : k + 1])
        assert torch.allclose(alone[0], together[k], atol=1e-6)

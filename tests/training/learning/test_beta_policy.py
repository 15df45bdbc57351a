"""CBF-Beta on the polygon of safe commands and on a box: what is drawn, and how probable it was."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch import Tensor

from training.features import FEATURES
from training.learning.beta_policy import CbfBetaPolicy, unit
from training.learning.parameters import SUPPORTS, Learning
from training.learning.policies import Rows

N = 60


def rows() -> Rows:
    """v + omega <= c of a third each of the states, v - omega / 2 <= c, none."""
    g = torch.tensor([[[1.0, 1.0]], [[1.0, -0.5]], [[1.0, 0.0]]]).repeat(N // 3, 1, 1)
    b = torch.linspace(0.1, 0.9, N)[:, None].clone()
    b[2::3] = float("inf")
    return Rows(g, b, torch.ones_like(b, dtype=torch.bool))


def fresh(support: str) -> tuple[CbfBetaPolicy, Tensor]:
    torch.manual_seed(1)
    policy = CbfBetaPolicy(Learning(algorithm="cbf-beta", hidden=32, support=support)).double()
    for parameter in policy.mean.net.parameters():
        parameter.data *= 3.0
    return policy, torch.randn(N, FEATURES, dtype=torch.float64)


@pytest.mark.parametrize("support", SUPPORTS)
def test_draws_lie_in_the_support_and_have_their_probability(support: str) -> None:
    policy, features = fresh(support)
    context = policy.context(rows())
    vertices, counts = context
    assert (counts[2::3] == 4).all() and (vertices[2::3, 2] == 1.0).all(), "where no row cuts, all is allowed"
    if support == "box":
        assert (counts == 4).all() and (vertices[:, 0, 0] == vertices[:, 3, 0]).all()
    broken = 0
    for seed in range(20):
        action, log_prob = policy.draw(features, context, torch.Generator().manual_seed(seed))
        x = unit(action).double()
        assert ((x >= vertices[:, :, :].amin(1) - 1e-6) & (x <= vertices.amax(1) + 1e-6)).all()
        judged = policy.judge(features, action, context).log_prob
        torch.testing.assert_close(judged.float(), log_prob, rtol=1e-4, atol=1e-4)
        here = rows()
        broken += int((torch.einsum("nmk,nk->nm", here.g, action) > here.b + 1e-5).sum())
    assert broken == 0 if support == "polygon" else broken > 0


def test_a_box_is_two_truncated_beta_densities() -> None:
    policy, features = fresh("box")
    context = policy.context(rows())
    action, _ = policy.draw(features, context, torch.Generator().manual_seed(0))
    judged = policy.judge(features, action, context)
    theta = 1.0 + torch.nn.functional.softplus(policy.mean.net(features)).detach().numpy()
    low, high, x = context[0][:, 0].numpy(), context[0][:, 2].numpy(), unit(action).numpy()
    for n in range(0, N, 7):
        log_prob = entropy = 0.0
        for k in range(2):
            density = stats.beta(theta[n, 2 * k], theta[n, 2 * k + 1])
            mass = density.cdf(high[n, k]) - density.cdf(low[n, k])
            log_prob += density.logpdf(x[n, k]) - np.log(mass)

            def surprise(t: float, density=density, mass=mass) -> float:  # type: ignore[no-untyped-def]
                p = density.pdf(t) / mass
                return -p * np.log(p) if p > 0.0 else 0.0

            entropy += integrate.quad(surprise, low[n, k], high[n, k], limit=200)[0]
        assert float(judged.log_prob[n].detach()) == pytest.approx(log_prob, abs=1e-4)
        assert float(judged.entropy[n].detach()) == pytest.approx(entropy, abs=1e-4)


@pytest.mark.parametrize("support", SUPPORTS)
def test_gradients_are_finite_differences(support: str) -> None:
    policy, features = fresh(support)
    context = policy.context(rows())
    action, _ = policy.draw(features, context, torch.Generator().manual_seed(0))

    def loss() -> Tensor:
        judged = policy.judge(features, action, context)
        return (2.0 * judged.log_prob + 3.0 * judged.entropy).mean()

    loss().backward()
    bias, step = policy.mean.net[-1].bias, 1e-4
    assert bias.grad is not None
    for k in range(4):
        values = []
        for sign in (1.0, -1.0):
            bias.data[k] += sign * step
            values.append(float(loss().detach()))
            bias.data[k] -= sign * step
        assert (values[0] - values[1]) / (2.0 * step) == pytest.approx(
            float(bias.grad[k]), rel=1e-3, abs=1e-3
        )

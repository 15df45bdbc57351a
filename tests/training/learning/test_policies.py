"""Policies draw what they say they draw, and their probabilities are those of textbooks."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from tests.support.policy_rows import rows
from training.features import FEATURES
from training.learning.parameters import Learning
from training.learning.policies import BarrierNetPolicy, GaussianPolicy

LEARNING = Learning(hidden=32)


def fresh(safe: bool, learning: Learning = LEARNING) -> GaussianPolicy:
    torch.manual_seed(0)
    return BarrierNetPolicy(learning) if safe else GaussianPolicy(learning)


@pytest.mark.parametrize("safe", [False, True])
def test_log_probability_of_a_draw_is_that_of_the_normal_distribution(safe: bool) -> None:
    policy, features = fresh(safe), torch.randn(64, FEATURES)
    context = policy.context(rows(64))
    action, log_prob = policy.draw(features, context, torch.Generator().manual_seed(5))
    noise = torch.randn(64, 2, generator=torch.Generator().manual_seed(5))
    mean, _, _ = policy.centre(features, context)
    peer = torch.distributions.Normal(mean, policy.deviation()).log_prob(action).sum(1)
    torch.testing.assert_close(log_prob, peer)
    torch.testing.assert_close(policy.judge(features, action, context).log_prob, peer)
    torch.testing.assert_close((action - mean) / policy.deviation(), noise, rtol=1e-4, atol=1e-5)


def test_the_mean_of_a_barrier_net_obeys_the_rows_and_that_of_a_plain_policy_does_not() -> None:
    features, here = torch.randn(256, FEATURES), rows(256)
    plain, safe = fresh(False), fresh(True)
    for policy, least, most in ((plain, 0.1, 0.3), (safe, -1.0, 1e-6)):
        mean, correction, active = (value.detach() for value in policy.centre(features, policy.context(here)))
        excess = (torch.einsum("nmk,nk->nm", here.g, mean) - here.b).amax(1)
        assert least < float(excess.max()) <= most and (policy is safe) == bool(
            (correction[::2] > 0.01).all()
        )
    assert int(active[::2].min()) == 1 and int(active[1::2].max()) == 0


def test_every_parameter_gets_a_gradient_through_the_program() -> None:
    policy, features = fresh(True), torch.randn(128, FEATURES)
    context = policy.context(rows(128))
    action, _ = policy.draw(features, context, torch.Generator().manual_seed(0))
    policy.judge(features, action + 0.1, context).log_prob.mean().backward()
    for name, parameter in policy.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
        assert float(parameter.grad.abs().max()) > 0.0, name


def test_behind_an_active_row_the_gradient_is_along_the_row_alone() -> None:
    policy, features = fresh(True), torch.randn(8, FEATURES)
    nominal = policy.nominal(features).detach().requires_grad_()
    policy.nominal = lambda _: nominal  # type: ignore[method-assign]
    mean, _, _ = policy.centre(features, policy.context(rows(8)))
    mean.sum().backward()
    assert nominal.grad is not None
    torch.testing.assert_close(nominal.grad[::2], torch.tensor([[0.0, 1.0]]).repeat(4, 1))
    torch.testing.assert_close(nominal.grad[1::2], torch.ones(4, 2))


def test_the_deviation_keeps_to_its_interval() -> None:
    policy = fresh(False)
    policy.log_deviation.data[:] = torch.tensor([9.0, -9.0])
    policy.confine()
    high, low = LEARNING.deviation_high, LEARNING.deviation_low
    torch.testing.assert_close(policy.deviation().detach(), torch.tensor([high, low]))


def test_noise_before_the_program_leaves_the_deterministic_mean_safe() -> None:
    learning = dataclasses.replace(LEARNING, exploration="nominal")
    policy, features = fresh(True, learning), torch.randn(16, FEATURES)
    centre, correction, _ = policy.centre(features, policy.context(rows(16)))
    torch.testing.assert_close(centre, policy.nominal(features))
    assert float(correction[::2].min()) > 0.0

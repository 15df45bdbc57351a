"""What is said of the gradient before and behind the program is what finite arithmetic says."""

from __future__ import annotations

import math

import pytest
import torch

from tests.support.policy_rows import rows
from training.features import FEATURES
from training.learning.parameters import Learning
from training.learning.policies import BarrierNetPolicy, GaussianPolicy
from training.learning.ppo import Optimisers, update
from training.learning.probe import Probe
from training.learning.rollout import Rollout
from training.networks import perceptron

LEARNING = Learning(hidden=16, minibatch=32, epochs=1, divergence=10.0)
NEW = {
    "gradient_safe", "gradient_nominal", "gradient_passed", "active_0", "active_1", "active_2", "mean_correction",
}  # fmt: skip


@pytest.mark.parametrize("parts", [1, 4])
def test_norms_are_those_of_each_sample_s_own_loss(parts: int) -> None:
    torch.manual_seed(0)
    policy, features = BarrierNetPolicy(LEARNING), torch.randn(64, FEATURES)
    context, total = policy.context(rows(64)), torch.zeros(())
    for k in range(parts):
        part = slice(k * 64 // parts, (k + 1) * 64 // parts)
        mean, _, _ = policy.centre(features[part], tuple(value[part] for value in context))
        total = total + (mean * torch.tensor([3.0, 4.0])).sum() / 64
    total.backward()
    found = policy.probed()
    # Half of the samples keep 4 of (3, 4); the others all of it, 5.
    assert found["gradient_safe"] == pytest.approx(5.0, rel=1e-5)
    assert found["gradient_nominal"] == pytest.approx(math.sqrt((16.0 + 25.0) / 2.0), rel=1e-5)
    assert found["gradient_passed"] == pytest.approx(math.sqrt(20.5) / 5.0, rel=1e-5)
    assert (found["active_0"], found["active_1"], found["active_2"]) == (0.5, 0.5, 0.0)
    assert 0.05 < found["mean_correction"] < 0.15


def test_nothing_is_said_of_nothing() -> None:
    assert Probe().found() == {}


@pytest.mark.parametrize("safe", [False, True])
def test_the_curves_hold_them_where_there_is_a_program(safe: bool) -> None:
    torch.manual_seed(0)
    policy: GaussianPolicy = BarrierNetPolicy(LEARNING) if safe else GaussianPolicy(LEARNING)
    critic = perceptron([16], 1, "tanh", 1.0)
    optimisers = Optimisers(torch.optim.Adam(policy.parameters()), torch.optim.Adam(critic.parameters()))
    context = policy.context(rows(16))
    rollout = Rollout.empty(4, 16, context)
    rollout.features.normal_()
    rollout.rewards.normal_()
    for kept, value in zip(rollout.context, context, strict=True):
        kept[:] = value
    action, log_prob = policy.draw(
        rollout.features.flatten(0, 1), rollout.flat_context(), torch.Generator().manual_seed(0)
    )
    rollout.actions[:], rollout.log_prob[:] = action.view(4, 16, 2), log_prob.view(4, 16)
    found = update(LEARNING, policy, critic, optimisers, rollout, torch.Generator().manual_seed(1), False)
    assert NEW & set(found) == (NEW if safe else set())
    if safe:
        assert found["active_0"] + found["active_1"] + found["active_2"] == pytest.approx(1.0)
        assert 0.0 < found["gradient_nominal"] < found["gradient_safe"] and found["mean_correction"] > 0.0

"""Advantages are those of the definition, and an update goes the right way."""

from __future__ import annotations

import torch

from training.features import FEATURES
from training.learning.parameters import Learning
from training.learning.policies import GaussianPolicy
from training.learning.ppo import Optimisers, update
from training.learning.rollout import Rollout
from training.networks import perceptron

STEPS, GAMES = 12, 64


def drawn() -> Rollout:
    generator = torch.Generator().manual_seed(0)
    rollout = Rollout.empty(STEPS, GAMES)
    rollout.features[:] = torch.randn(STEPS, GAMES, FEATURES, generator=generator)
    rollout.values[:] = torch.randn(STEPS + 1, GAMES, generator=generator)
    rollout.rewards[:] = torch.randn(STEPS, GAMES, generator=generator)
    rollout.done[:] = torch.rand(STEPS, GAMES, generator=generator) < 0.2
    return rollout


def test_advantages_are_sums_of_discounted_errors_up_to_the_episode_s_end() -> None:
    rollout, discount, trace = drawn(), 0.9, 0.8
    found = rollout.advantages(discount, trace)
    for n in range(0, GAMES, 7):
        for t in range(STEPS):
            total, factor = 0.0, 1.0
            for k in range(t, STEPS):
                over = bool(rollout.done[k, n])
                after = 0.0 if over else float(rollout.values[k + 1, n])
                total += factor * (
                    float(rollout.rewards[k, n]) + discount * after - float(rollout.values[k, n])
                )
                factor *= discount * trace
                if over:
                    break
            assert abs(total - float(found[t, n])) < 1e-5


def learner(learning: Learning) -> tuple[GaussianPolicy, torch.nn.Module, Optimisers]:
    torch.manual_seed(0)
    policy, critic = GaussianPolicy(learning), perceptron([32], 1, "tanh", 1.0)
    return (
        policy,
        critic,
        Optimisers(torch.optim.Adam(policy.parameters(), 1e-3), torch.optim.Adam(critic.parameters(), 1e-3)),
    )


def test_what_was_rewarded_becomes_more_probable() -> None:
    learning = Learning(hidden=32, minibatch=128, epochs=4, discount=0.5, divergence=10.0)
    policy, critic, optimisers = learner(learning)
    generator = torch.Generator().manual_seed(1)
    rollout = drawn()
    rollout.done[:] = True
    rollout.values[:] = 0.0
    flat = rollout.features.flatten(0, 1)
    action, log_prob = policy.draw(flat, (), generator)
    rollout.actions[:], rollout.log_prob[:] = action.view(STEPS, GAMES, 2), log_prob.view(STEPS, GAMES)
    rollout.rewards[:] = rollout.actions[..., 1]
    before = policy.nominal(flat)[:, 1].mean()
    found = update(learning, policy, critic, optimisers, rollout, generator, value_only=False)
    assert float(policy.nominal(flat)[:, 1].mean() - before) > 0.01
    assert all(value == value for value in found.values()) and found["policy_steps"] == 24


def test_a_rollout_for_the_value_alone_leaves_the_policy() -> None:
    learning = Learning(hidden=32, minibatch=128)
    policy, critic, optimisers = learner(learning)
    before = [parameter.clone() for parameter in policy.parameters()]
    value = critic(drawn().features[0]).clone()
    update(learning, policy, critic, optimisers, drawn(), torch.Generator().manual_seed(0), value_only=True)
    for old, new in zip(before, policy.parameters(), strict=True):
        assert torch.equal(old, new)
    assert not torch.equal(value, critic(drawn().features[0]))


def test_passes_end_where_the_policy_has_moved_far_enough() -> None:
    learning = Learning(hidden=32, minibatch=64, epochs=20, divergence=0.0001, learning_rate=0.05)
    policy, critic, optimisers = learner(learning)
    optimisers.set_rate(0.05)
    rollout = drawn()
    flat = rollout.features.flatten(0, 1)
    action, log_prob = policy.draw(flat, (), torch.Generator().manual_seed(2))
    rollout.actions[:], rollout.log_prob[:] = action.view(STEPS, GAMES, 2), log_prob.view(STEPS, GAMES)
    found = update(
        learning, policy, critic, optimisers, rollout, torch.Generator().manual_seed(0), value_only=False
    )
    assert found["policy_steps"] < 20 * STEPS * GAMES / 64

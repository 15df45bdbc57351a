"""A BarrierNet that also asks for the barriers' gain: what it learns with is what is exported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pe_core.bundle import load_bundle
from pe_core.config import ConfigurationError
from training.games import BatchedGames
from training.learning.export import export
from training.learning.parameters import Learning
from training.learning.policies import BarrierNetPolicy, Rows
from training.learning.run import Training, task_of

LEARNING = Learning(
    algorithm="barriernet", least_share=0.2, hidden=16, games=64, horizon=8, minibatch=128, epochs=1, starts=64,
    steps=2048, critic_only=0, obstacles_low=0, obstacles_high=6,
)  # fmt: skip


def lively(policy: BarrierNetPolicy) -> None:
    """Weights with which it drives fast, turns, and asks for gains from all of the interval."""
    with torch.no_grad():
        last = policy.mean.net[-1]
        last.weight.mul_(100.0)
        last.bias.copy_(torch.tensor([1.5, 0.0, 0.0]))


def visited(learning: Learning, policy: BarrierNetPolicy, steps: int) -> tuple[np.ndarray, Rows]:
    """Observations and rows of the games' states on the way, every tenth step."""
    games = BatchedGames(task_of(learning, learning.opponents, 5), 64)
    module, seen, kept = policy.deterministic(), [], []
    for t in range(steps):
        observation = torch.from_numpy(games.observe(0).copy())
        if t % 10 == 9:
            seen.append(observation.numpy())
            kept.append([torch.from_numpy(part.copy()) for part in games.rows(0, learning.least_share)])
        with torch.inference_mode():
            games.step(module(observation.float()).double().numpy(), 0)
    return np.concatenate(seen), Rows(*(torch.cat(parts) for parts in zip(*kept, strict=True)))


@pytest.mark.slow
def test_the_bundle_does_what_the_learner_s_mean_does(tmp_path: Path) -> None:
    training = Training(LEARNING, 3, tmp_path / "run", 1, "test", resume=False)
    found = training.advance()
    assert 0.2 < found["gain_share"] < 1.0 and found["policy_steps"] > 0
    assert isinstance(training.policy, BarrierNetPolicy)
    lively(training.policy)
    training.save()
    path, _ = export(tmp_path / "run", "adaptive", tmp_path)
    bundle = load_bundle(str(path), role="pursuer", dt=0.05)
    observations, rows = visited(LEARNING, training.policy, 400)
    training.close()
    policy, act = training.policy, bundle.act(observations)
    for kind in (torch.float32, torch.float64):
        policy.to(kind)
        seen, sign = policy.mean.canonical(torch.from_numpy(observations).to(kind))
        here = Rows(rows.g.to(kind), rows.b.to(kind), rows.barrier).mirrored(sign)
        with torch.no_grad():
            features = policy.mean.features(seen)
            mean, correction, active = policy.centre(features, policy.context(here))
            share = policy.share(policy.mean.net(features))
            exact = policy.deterministic()(torch.from_numpy(observations).to(kind)).numpy()
        mean = torch.cat([mean[:, :1], mean[:, 1:] * sign], 1).numpy()
        # Where no command meets every row, or no turn is left, the bundle asks the filter instead.
        moves = mean[:, 0] > 0.01
        apart = np.abs((act if kind == torch.float32 else exact) - mean)[moves]
        # At a sharp vertex the rounding of float32 rows counts a hundredfold.
        assert np.quantile(apart, 0.99) < 1e-5
        assert apart.max() < (1e-5 if kind == torch.float64 else 1e-4)
    bound = moves & (active > 0).numpy() & (correction > 1e-4).numpy()
    assert bound.sum() > 50 and moves.sum() > 1000
    assert float(share.min()) < 0.4 and float(share.max()) > 0.7
    # A mirror image of the game has the mirror image of the action.
    mirrored = np.where(training.policy.mean.canonical.odd.numpy(), -observations, observations)
    assert np.abs(bundle.act(mirrored) * [1.0, -1.0] - act)[bound].max() < 1e-5


@pytest.mark.slow
def test_the_gradient_of_the_gain_is_that_of_finite_differences() -> None:
    torch.manual_seed(1)
    policy = BarrierNetPolicy(LEARNING)
    lively(policy)
    observations, rows = visited(LEARNING, policy, 200)
    policy.double()
    seen, sign = policy.mean.canonical(torch.from_numpy(observations))
    features, context = policy.mean.features(seen), policy.context(rows.mirrored(sign))
    bias = policy.mean.net[-1].bias
    assert isinstance(bias, torch.nn.Parameter)

    def means() -> tuple[torch.Tensor, torch.Tensor]:
        mean, _, active = policy.centre(features, context)
        return mean, active

    step, found = 1e-6, []
    for change in (step, -step):
        with torch.no_grad():
            bias[2] += change
            found.append(means())
            bias[2] -= change
    mean, active = means()
    same = (found[0][1] == active) & (found[1][1] == active) & (active > 0)
    finite = (found[0][0] - found[1][0])[same].sum(0) / (2.0 * step)
    assert int(same.sum()) > 50 and float(finite[0].abs()) > 0.1
    for axis in range(2):
        (gradient,) = torch.autograd.grad(mean[same][:, axis].sum(), bias, retain_graph=True)
        assert float(gradient[2]) == pytest.approx(float(finite[axis]), rel=1e-4, abs=1e-5)


def test_a_gain_is_adapted_by_programs_alone() -> None:
    with pytest.raises(ConfigurationError, match="least_share = 0.2: allowed: 1"):
        Learning(algorithm="ppo", least_share=0.2)

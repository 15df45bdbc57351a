"""The derivative of a rollout is that of the compiled simulator, whose values the chain has."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from pe_core.config import ConfigurationError
from training.games import LEARNER, BatchedGames, Task
from training.learning.analytic import OWN, advance, observe, reward, scene_of
from training.learning.parameters import Learning
from training.learning.policies import BarrierNetPolicy
from training.learning.rollout import Account, Rollout
from training.learning.shac import ShortHorizon, check
from training.networks import perceptron

LEARNING = Learning(algorithm="shac", hidden=16, games=32, horizon=8, deviation_high=0.05, discount=0.99)
GAMES = 32


def games_of(evader: str = "lookahead", obstacles: tuple[int, int] = (0, 6)) -> BatchedGames:
    task = Task(
        pursuer=LEARNER, evader=evader, speed_ratio=(1.0, 1.2), obstacles=obstacles, starts=64, seed=4
    )
    return BatchedGames(task, GAMES)


def learner(games: BatchedGames, learning: Learning = LEARNING) -> ShortHorizon:
    """With weights that drive fast and turn, in float64."""
    torch.manual_seed(0)
    policy = BarrierNetPolicy(learning).double()
    with torch.no_grad():
        last = policy.mean.net[-1]
        last.weight.mul_(50.0)
        last.bias.zero_()[0] = 1.0
    critic = perceptron([16], 1, "tanh", 1.0).double()
    return ShortHorizon(learning, games, policy, critic, 0.1)


def empty(steps: int) -> Rollout:
    rollout = Rollout.empty(steps, GAMES)
    for field in ("features", "values", "rewards"):
        setattr(rollout, field, getattr(rollout, field).double())
    return rollout


def test_the_observation_is_the_encoder_s() -> None:
    games, rng = games_of(), np.random.default_rng(0)
    for _ in range(60):
        games.step(rng.uniform([0.0, -1.0], [1.0, 1.0], (GAMES, 2)), OWN)
        seen = observe(torch.from_numpy(games.batch.states[:, OWN]), scene_of(games)).numpy()
        assert np.abs(seen - games.observe(OWN)).max() < 1e-6


def test_motion_and_reward_are_the_simulator_s() -> None:
    games, rng = games_of(), np.random.default_rng(1)
    weights, compared = torch.from_numpy(games.rules.weights), 0
    for _ in range(400):
        scene, before = scene_of(games), torch.from_numpy(games.batch.states[:, OWN].copy())
        b = games.step(rng.uniform([0.8, -0.3], [1.0, 0.3], (GAMES, 2)), OWN)
        running = ~(b.terminated | b.truncated)
        states = torch.from_numpy(b.states)
        after = advance(before, states[:, OWN, 3:] / scene.limits, scene)
        apart = (after - states[:, OWN]).numpy()
        apart[:, 2] = np.remainder(apart[:, 2] + math.pi, 2.0 * math.pi) - math.pi
        assert np.abs(apart[running]).max() < 1e-12
        paid = reward(before, after, states[:, 1, :2], scene, weights).numpy()
        assert np.abs(paid - b.rewards[:, OWN])[running].max() < 1e-12
        compared += int((np.abs(b.margins[:, OWN]) < 0.25)[running].sum())
    assert compared > 100


def test_a_chain_on_its_own_stays_with_the_simulator() -> None:
    """32 steps without the simulator's values, the opponent's as recorded: within 1e-8 m, rad."""
    games = games_of()
    short, horizon, worst, compared = learner(games), 32, 0.0, 0
    silent = torch.zeros(GAMES, 2, dtype=torch.float64)
    with torch.no_grad():
        for _ in range(4):
            own = torch.from_numpy(games.batch.states[:, OWN].copy())
            running = torch.ones(GAMES, dtype=torch.bool)
            for _ in range(horizon):
                scene = scene_of(games)
                _, real, _, _ = short.act(torch.from_numpy(games.observe(OWN).copy()), silent)
                _, action, asked, asks = short.act(observe(own, scene), silent)
                b = games.step(real.numpy(), OWN)
                running &= ~(torch.from_numpy(b.terminated | b.truncated) | asks)
                own = advance(own, action, scene)
                compared += int(((action - asked).abs().amax(1) > 1e-3)[running].sum())
            apart = own - torch.from_numpy(b.states[:, OWN])
            apart[:, 2] = torch.remainder(apart[:, 2] + math.pi, 2.0 * math.pi) - math.pi
            worst = max(worst, float(apart[running].abs().max()))
    assert worst < 1e-8 and compared > 50


def placed(wall: bool) -> BatchedGames:
    """Pursuers in the open, or driving along the eastern wall, against it; evaders far away, in a curve."""
    games, rng = games_of(LEARNER, (0, 0)), np.random.default_rng(2)
    b = games.batch
    b.states[:, OWN] = 0.0
    b.states[:, OWN, :2] = rng.uniform(-3.0, 3.0, (GAMES, 2))
    b.states[:, OWN, 2] = rng.uniform(-math.pi, math.pi, GAMES)
    if wall:
        b.states[:, OWN, 0] = rng.uniform(9.4, 9.7, GAMES)
        b.states[:, OWN, 2] = rng.uniform(0.3, 0.9, GAMES)
    b.states[:, 1] = 0.0
    b.states[:, 1, :2] = rng.uniform(-8.0, -6.0, (GAMES, 2))
    b.actions[:, 1] = [0.6, 0.2]
    return games


@pytest.mark.slow
@pytest.mark.parametrize("least_share", [1.0, 0.2])
@pytest.mark.parametrize("wall", [False, True])
def test_the_derivative_of_a_return_is_that_of_finite_differences(wall: bool, least_share: float) -> None:
    learning = dataclasses.replace(LEARNING, least_share=least_share, correction=0.0)
    steps, size = 12, 1e-6
    games = placed(wall)
    short = learner(games, learning)
    start = games.batch._make(array.copy() for array in games.batch)

    def rolled() -> tuple[torch.Tensor, np.ndarray]:
        for array, value in zip(games.batch, start, strict=True):
            array[:] = value
        loss = short.roll(torch.Generator().manual_seed(7), empty(steps), Account())
        return loss, games.batch.states.copy()

    if wall:
        with torch.no_grad():
            # Fast, and towards the wall.
            short.policy.mean.net[-1].bias[0] = 2.0
    loss, _ = rolled()
    loss.backward()
    found = short.policy.probed()
    if wall:
        assert found["active_1"] + found["active_2"] > 0.3
    else:
        assert found["active_0"] == 1.0
    names = dict(short.policy.named_parameters())
    outputs = 3 if least_share < 1.0 else 2
    picked = [("mean.net.4.bias", k) for k in range(outputs)] + [("log_deviation", 0), ("log_deviation", 1)]
    picked += [("mean.net.0.weight", k) for k in (0, 1, 78 * 5 + 44)] + [("mean.net.2.weight", 17)]
    sizes = []
    for name, k in picked:
        flat, values = names[name].data.view(-1), []
        for change in (size, -size):
            flat[k] += change
            with torch.no_grad():
                values.append(float(rolled()[0]))
            flat[k] -= change
        finite = (values[0] - values[1]) / (2.0 * size)
        gradient = names[name].grad
        exact = 0.0 if gradient is None else float(gradient.view(-1)[k])
        sizes.append(abs(finite))
        assert exact == pytest.approx(finite, rel=1e-4, abs=1e-8), (name, k)
    assert sum(value > 1e-6 for value in sizes) >= 5
    if wall and least_share < 1.0:
        assert sizes[2] > 1e-6


def test_what_the_derivative_does_not_cover_is_refused() -> None:
    for changes, message in (
        ({"role": "evader"}, "role = 'evader': allowed with algorithm = 'shac': pursuer"),
        ({"robot": "turtlebot3_burger"}, "robot = 'turtlebot3_burger': .* allowed"),
        ({"randomise": 1.0}, "randomise = 1.0"),
        ({"safety": "rcbf_robust"}, "safety = 'rcbf_robust'"),
        ({"feasibility": 0.05}, "feasibility = 0.05"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            check(dataclasses.replace(LEARNING, **changes))

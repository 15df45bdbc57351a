"""The integration tests that the specification names for BarrierNet, IT-01 to IT-07, on the bundle that is committed
and on trainings.  IT-02 is also in tests/pe_safety/test_barrier_net.py; IT-04 is in test_run.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pe_core.bundle import load_bundle
from pe_evaluation.evaluate import Match, evaluate
from pe_safety.qp_layer import solve_qp
from training.games import BatchedGames, Task
from training.learning.parameters import ALGORITHMS, BARRIERNET, Learning
from training.learning.policies import BarrierNetPolicy
from training.learning.run import Training

STATES = 1000
SMALL: dict[str, Any] = {
    "hidden": 16, "games": 64, "horizon": 16, "minibatch": 256, "epochs": 2, "starts": 128, "critic_only": 0,
}  # fmt: skip


@pytest.fixture
def training(tmp_path: Path) -> Training:
    return Training(Learning(algorithm=BARRIERNET, **SMALL), 0, tmp_path, 1, "test", resume=False)


def test_it_01_and_it_05_actions_keep_to_the_bounds_and_to_every_row_in_a_thousand_states() -> None:
    bundle, games = load_bundle("barriernet"), BatchedGames(Task(speed_ratio=1.2, starts=512), 100)
    seen = 0
    for step in range(600):
        action = bundle.act(games.observe(0))
        if step % 40 == 0:
            assert (np.abs(action) <= 1.0 + 1e-6).all() and (action[:, 0] >= -1e-6).all()
            g, b = (torch.from_numpy(value.copy()) for value in games.rows(0)[:2])
            found = solve_qp(g, b, torch.zeros(len(games), 2, dtype=torch.float64), (1.0, 1.0))
            excess = (torch.einsum("nmk,nk->nm", g, torch.from_numpy(action)) - b).amax(1)
            feasible = (torch.einsum("nmk,nk->nm", g, found.u) - b).amax(1) <= 1e-9
            assert float(excess[feasible].max()) <= 1e-4
            seen += int(feasible.sum())
        games.step(action, 0)
        assert int(games.batch.violated.sum()) == 0
    assert seen >= STATES


def test_it_02_every_parameter_of_the_learner_gets_a_gradient(training: Training) -> None:
    training.advance()
    for name, parameter in training.policy.named_parameters():
        assert parameter.grad is not None and float(parameter.grad.abs().max()) > 0.0, name
    training.close()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_it_03_an_update_is_finite_and_changes_the_policy(tmp_path: Path, algorithm: str) -> None:
    training = Training(Learning(algorithm=algorithm, **SMALL), 0, tmp_path, 1, "test", resume=False)
    before = [parameter.detach().clone() for parameter in training.policy.parameters()]
    line = training.advance()
    after = list(training.policy.parameters())
    assert all(np.isfinite(value) for value in line.values())
    assert all(bool(torch.isfinite(parameter).all()) for parameter in after)
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
    training.close()


@pytest.mark.slow
def test_it_06_ten_episodes_are_played_without_a_contact_and_won() -> None:
    records, _ = evaluate(Match("barriernet", "lookahead", "barriernet", seed=77), 10)
    assert [record.violations for record in records] == [0] * 10
    assert all(record.capture_time is not None for record in records)


def test_it_07_the_program_rebuilt_from_the_buffer_is_the_one_that_was_solved(training: Training) -> None:
    policy = training.policy
    assert isinstance(policy, BarrierNetPolicy)
    solved: list[torch.Tensor] = []
    centre = policy.centre

    def watched(features: torch.Tensor, context: tuple[torch.Tensor, ...]) -> Any:
        result = centre(features, context)
        solved.append(result[0].detach().clone())
        return result

    policy.centre = watched  # type: ignore[method-assign]
    weights = [parameter.detach().clone() for parameter in policy.parameters()]
    training.advance()
    with torch.no_grad():
        for parameter, value in zip(policy.parameters(), weights, strict=True):
            parameter.copy_(value)
    rollout = training.rollout
    again = centre(rollout.features.flatten(0, 1), rollout.flat_context())[0]
    then = torch.cat(solved[: SMALL["horizon"]])
    assert len(then) == len(again) and float((then - again).detach().abs().max()) <= 1e-4
    training.close()

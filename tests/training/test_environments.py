"""The single environments keep their interfaces' rules and equal the batch."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

gymnasium = pytest.importorskip("gymnasium")
pytest.importorskip("pettingzoo")

from gymnasium.utils.env_checker import check_env  # noqa: E402
from pettingzoo.test import parallel_api_test, parallel_seed_test  # noqa: E402

from pe_core.config import ConfigurationError  # noqa: E402
from training.environment import PursuitEvasion  # noqa: E402
from training.games import LEARNER, BatchedGames, Task  # noqa: E402
from training.opponents.learned import players_of  # noqa: E402
from training.opponents.play import GIVEN  # noqa: E402
from training.two_players import TwoPlayers  # noqa: E402

FEW = Task(starts=4)
BOTH = Task(evader=LEARNER, starts=4)


@pytest.mark.parametrize(
    "task",
    [FEW, Task(pursuer="lead", evader=LEARNER, starts=4), Task(evader="ppo-selfplay:1, flee:1", starts=4)],
    ids=["pursuer", "evader", "learned opponent"],
)
def test_gymnasium_checker_passes(task: Task) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_env(PursuitEvasion(task, "rgb_array"))


def test_pettingzoo_checkers_pass() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parallel_api_test(TwoPlayers(BOTH), num_cycles=50)
        parallel_seed_test(lambda: TwoPlayers(BOTH), num_cycles=30)


def test_single_environment_equals_the_batch() -> None:
    environment, batch = PursuitEvasion(FEW), BatchedGames(FEW, 3)
    environment.reset(seed=2)
    for action in np.random.default_rng(0).uniform([0.0, -1.0], 1.0, (120, 2)):
        seen, reward, *_ = environment.step(action)
        many = batch.step(np.tile(action, (3, 1)), 0)
        np.testing.assert_allclose(seen, many.observations[2, 0], rtol=0.0, atol=1e-9)
        assert reward == pytest.approx(many.rewards[2, 0], abs=1e-9)


def test_learned_opponents_play_as_in_the_batch() -> None:
    task = Task(evader="ppo-selfplay", starts=4)
    environment = PursuitEvasion(task)
    batch = BatchedGames(task, 1, players=players_of("ppo-selfplay", "pursuer", environment._games.config.dt))
    environment.reset(seed=2)
    batch.reset(2)
    there = batch.batch.states[0, 1].copy()
    for action in np.random.default_rng(0).uniform([0.0, -1.0], 1.0, (120, 2)):
        seen, reward, *_ = environment.step(action)
        many = batch.step(action[None], 0)
        np.testing.assert_array_equal(seen, many.observations[0, 0])
        assert reward == many.rewards[0, 0]
        assert many.opponents[0, 1] < GIVEN and np.abs(many.actions[0, 1]).max() > 0.0
    assert np.hypot(*(many.states[0, 1, :2] - there[:2])) > 0.2, "it drives"


def test_a_bundle_that_does_not_play_the_other_role_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="policy 'ppo' is made for role pursuer; wanted: evader"):
        PursuitEvasion(Task(evader="ppo", starts=4))
    with pytest.raises(ConfigurationError, match="policy 'nobody' is unknown"):
        PursuitEvasion(Task(evader="nobody", starts=4))


def test_same_episode_same_run() -> None:
    runs = []
    for _ in range(2):
        environment = PursuitEvasion(FEW)
        environment.reset(seed=1)
        runs.append([environment.step(np.array([1.0, 0.1]))[0] for _ in range(60)])
    np.testing.assert_array_equal(runs[0], runs[1])


def test_infos_tell_of_corrections() -> None:
    environment = PursuitEvasion(FEW)
    environment.reset(seed=0)
    infos = [environment.step(np.array([1.0, 0.0]))[4] for _ in range(500)]
    assert any(info["intervened"] and info["correction"] > 0.01 for info in infos)
    assert not any(info["violated"] for info in infos)
    assert min(info["margin"] for info in infos) > 0.0


def test_picture_shows_both_robots() -> None:
    environment = PursuitEvasion(FEW, "rgb_array")
    environment.reset(seed=0)
    for _ in range(30):
        environment.step(np.array([1.0, 0.0]))
    image = environment.render()
    assert image is not None and image.shape == (480, 480, 3) and image.dtype == np.uint8
    red, blue = image[..., 0].astype(int) - image[..., 2], image[..., 2].astype(int) - image[..., 0]
    assert (red > 100).sum() > 20 and (blue > 100).sum() > 20


def test_tasks_with_the_wrong_number_of_learners_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="exactly one"):
        PursuitEvasion(BOTH)
    with pytest.raises(ConfigurationError, match="both"):
        TwoPlayers(FEW)

"""Batched games are the games of the closed loop, and depend on nothing but their seed and episode."""

from __future__ import annotations

import numpy as np
import pytest

from pe_core.arena import load_arena
from pe_core.config import ConfigurationError
from pe_core.robot import V_MAX, load_robot
from pe_core.scenario import load_scenario, sample_layout
from pe_safety.closed_loop import Games
from pe_safety.parameters import load_safety
from training.batch import LEAST_MARGIN, LENGTH, PURSUER_RETURN
from training.games import LEARNER, BatchedGames, Task

GAMES, STEPS = 6, 150
BOTH = Task(evader=LEARNER, starts=8)


def drawn(seed: int, steps: int = STEPS, games: int = GAMES) -> np.ndarray:
    """Actions (steps, games, 2, 2), fast and held for a while, so that robots meet walls."""
    held = np.random.default_rng(seed).uniform([0.5, -0.4], [1.0, 0.4], (steps // 25 + 1, games, 2, 2))
    return np.repeat(held, 25, axis=0)[:steps]


def test_batch_equals_the_closed_loop_step_by_step() -> None:
    config, robot, safety = load_arena("reference"), load_robot("reference"), load_safety("rcbf")
    layouts = [sample_layout(load_scenario("random"), config, robot, robot, 0, i) for i in range(GAMES)]
    plain, batch = Games(layouts, config, (robot, robot), (safety, safety)), BatchedGames(BOTH, GAMES)
    for actions in drawn(1):
        assert len(plain.active) == GAMES
        for role in range(2):
            np.testing.assert_array_equal(batch.observe(role), plain.observe(role))
        plain.step(actions)
        batch.step(actions)
        np.testing.assert_array_equal(batch.batch.states, plain.states)
    np.testing.assert_array_equal(batch.batch.totals[:, LEAST_MARGIN], plain.min_margin)
    assert plain.corrections[:, :, 0].sum() > 0.0


@pytest.mark.parametrize("randomise", [0.0, 1.0])
def test_a_game_alone_equals_its_twin_in_a_batch(randomise: float) -> None:
    task = Task(starts=8, randomise=randomise, seed=3)
    together, alone = BatchedGames(task, GAMES), BatchedGames(task, 1)
    alone.reset(4)
    for actions in drawn(2):
        one, many = alone.step(actions[4:5, 0], 0), together.step(actions[:, 0], 0)
        np.testing.assert_allclose(one.observations[0], many.observations[4], rtol=0.0, atol=1e-9)
        np.testing.assert_allclose(one.rewards[0], many.rewards[4], rtol=0.0, atol=1e-9)
        if many.terminated[4]:
            break


def test_threads_change_nothing() -> None:
    task = Task(starts=8, randomise=1.0)
    one, two = BatchedGames(task, GAMES), BatchedGames(task, GAMES, threads=2)
    for actions in drawn(3, 40):
        one.step(actions[:, 0], 0)
        two.step(actions[:, 0], 0)
    two.close()
    np.testing.assert_array_equal(one.batch.observations, two.batch.observations)


def test_finished_games_begin_anew_and_leave_their_account() -> None:
    games = BatchedGames(Task(pursuer="lead", evader="random", starts=64), 16)
    ended, returns = 0, np.zeros(16)
    for _ in range(700):
        before = games.batch.episode.copy()
        batch = games.step(np.zeros((16, 2, 2)))
        returns += batch.rewards[:, 0]
        over = batch.terminated | batch.truncated
        np.testing.assert_array_equal(batch.episode, before + 16 * over)
        assert not batch.violated.any()
        for n in np.flatnonzero(over):
            assert batch.ended[n, PURSUER_RETURN] == pytest.approx(returns[n])
            assert batch.steps[n] == 0 and batch.ended[n, LENGTH] > 0
            returns[n] = 0.0
            ended += 1
    assert ended > 10


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="opponent 'lead'"):
        BatchedGames(Task(evader="lead", starts=1), 1)
    with pytest.raises(ConfigurationError, match="starts"):
        Task(starts=0)
    with pytest.raises(ConfigurationError, match="learns while it drives"):
        Task(safety="rcbf_gp")


def test_a_range_of_speeds_can_be_narrowed_and_nothing_else_changes() -> None:
    games = BatchedGames(Task(evader="flee", speed_ratio=(1.0, 1.4), starts=32), 4)
    before = games._starts
    games.set_speed_ratio(1.0, 1.1)
    np.testing.assert_array_equal(games._starts.poses, before.poses)
    assert games._starts.models[:, 1, V_MAX].max() < 1.1 * (1.0 + 1e-9) < before.models[:, 1, V_MAX].max()
    with pytest.raises(ConfigurationError, match="allowed: within the task's 1 to 1.4"):
        games.set_speed_ratio(1.0, 1.5)

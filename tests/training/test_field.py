"""Mixes say what they are, and draws keep to them."""

from __future__ import annotations

import numpy as np
import pytest

from pe_core.config import ConfigurationError
from training.field import Field, check_ranges, parse_mix
from training.games import BatchedGames, Task
from training.opponents.play import BOUNDARY, FLEE, GIVEN


def test_a_mix_is_names_and_weights() -> None:
    assert parse_mix("flee:3, lookahead") == {"flee": 3.0, "lookahead": 1.0}


@pytest.mark.parametrize("text", ["", "flee,", "flee:x", "flee:0", "flee:-1", "flee:nan", "flee, flee:2"])
def test_a_mix_that_says_nothing_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="mix of opponents"):
        parse_mix(text)


def test_ranges_that_make_no_sense_are_refused() -> None:
    for ratio, obstacles in (
        ((1.2, 1.0), None),
        ((0.0, 1.0), None),
        ((1.0, 9.0), None),
        ((1.0, 1.0), (3, 7)),
    ):
        with pytest.raises(ConfigurationError, match="allowed"):
            check_ranges(ratio, obstacles)


def test_draws_have_the_shares_and_the_ranges_of_the_field() -> None:
    field = Field(({-1: 1.0}, {3: 3.0, 5: 1.0}), (0.9, 1.3), (0, 6))
    rows = [field.draw(0, i) for i in range(4000)]
    assert rows[:50] == [field.draw(0, i) for i in range(50)]
    assert abs(np.mean([row.opponents[1] == 3 for row in rows]) - 0.75) < 0.03
    ratios = [row.speed_ratio for row in rows]
    assert 0.9 <= min(ratios) < 0.91 and 1.29 < max(ratios) <= 1.3
    counts = np.bincount([row.obstacles or 0 for row in rows], minlength=7)
    assert len(counts) == 7 and counts.min() > 0.1 * len(rows)


def test_every_game_has_its_own_opponent_speed_and_obstacles() -> None:
    task = Task(evader="flee, boundary", speed_ratio=(0.8, 1.2), obstacles=(0, 4), starts=200)
    games = BatchedGames(task, 200)
    assert set(games.batch.opponents[:, 1]) == {FLEE, BOUNDARY} and set(games.batch.opponents[:, 0]) == {
        GIVEN
    }
    assert set(games.batch.obstacle_count) == {0, 1, 2, 3, 4}
    ratios = games.observe(0)[:, 12]
    assert 0.8 <= ratios.min() < 0.85 and 1.15 < ratios.max() <= 1.2


def test_a_player_from_outside_acts_in_its_games_alone() -> None:
    asked: list[int] = []

    def still(observations: np.ndarray) -> np.ndarray:
        asked.append(len(observations))
        return np.zeros((len(observations), 2))

    games = BatchedGames(Task(evader="mine, flee", starts=100), 100, players={"mine": still})
    mine = games.batch.opponents[:, 1] == GIVEN - 1
    games.step(np.zeros((100, 2)), 0)
    assert asked == [mine.sum()] and 30 < mine.sum() < 70
    moved = games.batch.states[:, 1, 3:].any(axis=1)
    assert not moved[mine].any() and moved[~mine].mean() > 0.9

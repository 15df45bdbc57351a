"""A game whose robots something else moves is, with the plants as that something, the game of the batch."""

from __future__ import annotations

import numpy as np
import pytest

from pe_core.arena import load_arena
from pe_core.robot import load_robot
from pe_core.scenario import load_scenario, sample_layout
from pe_safety.closed_loop import Games
from pe_safety.embodied import EmbodiedGame, PlantBody
from pe_safety.parameters import load_safety

RNG = np.random.default_rng


@pytest.mark.parametrize(
    ("robot", "arena", "safety"),
    [("reference", "reference", "rcbf"), ("turtlebot3_burger", "turtlebot3", "rcbf_robust")],
)
def test_with_the_plants_as_its_body_it_is_the_game_of_the_batch(robot: str, arena: str, safety: str) -> None:
    config, model, parameters = load_arena(arena), load_robot(robot), load_safety(safety)
    robots, pair = (model, model), (parameters, parameters)
    layout = sample_layout(load_scenario("random"), config, *robots, 3, 0)
    batch = Games([layout], config, robots, pair)
    game = EmbodiedGame(layout, config, robots, pair, PlantBody(robots, config.dt))
    random = RNG(0)
    for _ in range(400):
        actions = np.stack([random.uniform(0.5, 1.2, (1, 2)), random.uniform(-0.2, 0.2, (1, 2))], axis=2)
        assert (game.observe(0) == batch.observe(0)).all()
        batch.step(actions)
        game.step(actions)
        assert (game.states == batch.states).all()
        if not len(batch.active):
            break
    assert (game.counts == batch.counts).all() and (game.reasons == batch.reasons).all()
    assert game.counts[0, 0, 0] > 0, "the filter had something to do"
    np.testing.assert_allclose(game.corrections, batch.corrections, rtol=1e-12)
    for name in ("steps", "captured", "violations", "min_margin", "active"):
        assert (getattr(game, name) == getattr(batch, name)).all(), name


def test_without_filters_commands_pass_through_the_limits_alone() -> None:
    config, model = load_arena("turtlebot3"), load_robot("turtlebot3_burger")
    robots = (model, model)
    layout = sample_layout(load_scenario("random"), config, *robots, 0, 0)
    game = EmbodiedGame(layout, config, robots, None, PlantBody(robots, config.dt))
    game.step(np.array([[[0.5, 0.123], [9.0, 0.0]]]))
    assert game.commands_now == pytest.approx(np.array([[0.10, 0.32], [0.21, 0.0]]))
    assert game.results == [None, None] and not game.counts.any()


def test_where_the_body_says_the_robots_are_is_what_policies_see_and_rules_judge() -> None:
    class Slid:
        """A body that sets the pursuer beside the evader, whatever is asked."""

        def begin(self, layout):
            return np.stack([np.append(layout.pursuer, [0.0, 0.0]), np.append(layout.evader, [0.0, 0.0])])

        def advance(self, commands):
            states = np.zeros((2, 5))
            states[0, 0], states[1, 0] = 0.0, 0.25
            return states

    config, model = load_arena("reference"), load_robot("reference")
    layout = sample_layout(load_scenario("open_field"), config, model, model, 0, 0)
    game = EmbodiedGame(layout, config, (model, model), None, Slid())
    game.step(np.zeros((1, 2, 2)))
    assert game.captured[0] and game.violations[0] == 1 and game.min_margin[0] == pytest.approx(-0.05)
    assert not len(game.active)

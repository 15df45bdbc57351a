"""Rows of many games at once: what the filter of the closed loop is given, in actions."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from pe_core.arena import load_arena
from pe_core.randomisation import draw, load_randomisation
from pe_core.robot import OMEGA_MAX, V_MAX, RobotModel, command_from_action, load_robot
from pe_core.scenario import Scenario, sample_layout
from pe_safety.barrier_net import BOUNDS, action_weights, rows_of_observation, shared_budgets
from pe_safety.closed_loop import BACKUPS, INFEASIBLE, Games
from pe_safety.game_rows import ROWS, rows_of_games
from pe_safety.parameters import SafetyParameters, load_safety
from pe_safety.qp_layer import solve_qp

GAMES = 60


def games_of(
    robot: RobotModel, arena: str, parameters: SafetyParameters, randomised: bool, ratio: float
) -> Games:
    robots = (robot, robot.with_speed_ratio(ratio))
    config = dataclasses.replace(load_arena(arena), obstacle_count=4, max_time=20.0)
    # Near one another, so that rows bind.
    config = dataclasses.replace(config, spawn_separation=4.0 * robot.radius)
    layouts = [sample_layout(Scenario(), config, *robots, 3, episode) for episode in range(GAMES)]
    worlds = None
    if randomised:
        worlds = [
            draw(load_randomisation("turtlebot3"), config, robots, 3, episode) for episode in range(GAMES)
        ]
    return Games(layouts, config, robots, (parameters, parameters), worlds)


def rows_of(games: Games, role: int, rows: int, least_share: float = 1.0):
    k = len(games.active)
    g, b, barrier = np.empty((k, rows, 2)), np.empty((k, rows)), np.empty((k, rows), np.bool_)
    crowded = rows_of_games(
        role, games.active, games.states, games._sent, games.half_side, games.obstacles, games.obstacle_count,
        games._models, games._parameters, games.config.dt, games._worlds is not None, games._seen, games._deviations,
        games._ages_now(), least_share, g, b, barrier,
    )  # fmt: skip
    assert crowded == 0
    return g, b, barrier


def actions_towards(games: Games, rng: np.random.Generator) -> np.ndarray:
    """Fast, turning, every other one towards the other robot."""
    actions = rng.uniform([0.3, -1.0], [1.0, 1.0], (len(games.active), 2, 2))
    for k, n in enumerate(games.active):
        for r in range(2):
            own, other = games.states[n, r], games.states[n, 1 - r]
            beta = np.arctan2(other[1] - own[1], other[0] - own[0]) - own[2]
            if (n + r) % 2:
                actions[k, r, 1] = np.clip(np.sin(beta), -1.0, 1.0)
    return actions


@pytest.mark.parametrize(
    ("name", "arena", "safety", "randomised", "rows"),
    [
        ("reference", "reference", "rcbf", False, ROWS),
        ("turtlebot4", "turtlebot4", "rcbf", False, ROWS),
        ("turtlebot4", "turtlebot4", "rcbf_robust", True, 96),
    ],
)
def test_their_solution_is_what_the_filter_commands(
    name: str, arena: str, safety: str, randomised: bool, rows: int
) -> None:
    robot = load_robot(name)
    games = games_of(robot, arena, load_safety(safety), randomised, 1.2)
    rng = np.random.default_rng(0)
    compared, corrected = 0, 0
    for _ in range(120):
        if not len(games.active):
            break
        active, actions = games.active.copy(), actions_towards(games, rng)
        solved, asked = [], []
        for role in range(2):
            g, b, _ = rows_of(games, role, rows)
            # Drawn robots differ in their limits: back to SI, where the weights are the same for all.
            model = games._models[active, role]
            v_max, omega_max = model[:, V_MAX, None], model[:, OMEGA_MAX, None]
            g[:, :, 1] *= v_max / omega_max
            pairs = zip(actions[:, role], model, strict=True)
            nominal = np.array([command_from_action(*action, limits) for action, limits in pairs])
            inputs = (torch.tensor(g), torch.tensor(b * v_max), torch.tensor(nominal))
            solved.append(solve_qp(*inputs, (150.0, 1.0)).u.numpy())
            asked.append(nominal)
        before = games.counts[:, :, [INFEASIBLE, BACKUPS]].sum(2)
        games.step(actions)
        for role in range(2):
            exact = (games.counts[:, role, INFEASIBLE] + games.counts[:, role, BACKUPS] == before[:, role])[
                active
            ]
            sent = games._sent[active, role, 0]
            assert np.abs(sent - solved[role])[exact].max(initial=0.0) < 1e-9
            compared += int(exact.sum())
            corrected += int((np.abs(sent - asked[role]).max(1) > 1e-3)[exact].sum())
    assert compared > 2000 and corrected > 500


def test_they_equal_the_rows_of_the_observation() -> None:
    games = games_of(load_robot("reference"), "reference", load_safety("rcbf"), False, 1.2)
    rng = np.random.default_rng(1)
    for step in range(100):
        if step % 10 == 0:
            nominal = torch.tensor(rng.uniform([-0.2, -1.2], [1.2, 1.2], (len(games.active), 2)))
            share = torch.tensor(rng.uniform(0.1, 1.0, (len(games.active), 1)))
            G, right = rows_of_observation(torch.tensor(games.observe(0)), 0.2)
            observed = torch.cat([right[:, :BOUNDS], shared_budgets(right[:, BOUNDS:], share)], 1)
            g, b, barrier = rows_of(games, 0, ROWS, 0.1)
            given = shared_budgets(torch.tensor(b), torch.where(torch.tensor(barrier), share, 1.0))
            ours = solve_qp(G, observed, nominal, action_weights()).u
            theirs = solve_qp(torch.tensor(g), given, nominal, action_weights()).u
            assert float((ours - theirs).abs().max()) < 1e-6
        games.step(actions_towards(games, rng))


def test_rows_that_are_not_there_never_bind_and_bounds_are_marked() -> None:
    games = games_of(load_robot("reference"), "reference", load_safety("rcbf"), False, 1.0)
    g, b, barrier = rows_of(games, 1, ROWS)
    assert (barrier[:, :4] == False).all() and np.isfinite(b[:, :4]).all()  # noqa: E712
    there = np.isfinite(b)
    assert (g[~there] == 0.0).all() and (b[~there] == np.inf).all() and not barrier[~there].any()
    assert barrier[:, 4:][there[:, 4:]].all()
    np.testing.assert_allclose(g[0, :4], [[1, 0], [-1, 0], [0, 2.84], [0, -2.84]])
    np.testing.assert_allclose(b[0, :4], [1.0, 0.0, 2.84, 2.84])


def test_games_with_more_rows_than_there_is_room_for_are_counted() -> None:
    games = games_of(load_robot("reference"), "reference", load_safety("rcbf"), False, 1.0)
    k = len(games.active)
    g, b, barrier = np.empty((k, 4, 2)), np.empty((k, 4)), np.empty((k, 4), np.bool_)
    crowded = rows_of_games(
        0, games.active, games.states, games._sent, games.half_side, games.obstacles, games.obstacle_count,
        games._models, games._parameters, games.config.dt, False, games._seen, games._deviations, games._ages_now(),
        0.05, g, b, barrier,
    )  # fmt: skip
    assert crowded > 0 and not barrier.any()

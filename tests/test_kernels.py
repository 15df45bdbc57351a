"""The large kernels are compiled and kept on disk, once, before other tests want them (``conftest.py``: first)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pe_core.arena import load_arena
from pe_core.randomisation import draw, load_randomisation
from pe_core.robot import load_robot
from pe_core.scenario import Scenario, sample_layout
from pe_evaluation.falsify import play as searched
from pe_evaluation.falsify.space import decode, space_of
from pe_safety import beta_sampling, closed_loop, game_rows, polygon, qp, truncated_beta
from pe_safety.disturbance import likelihood, posterior
from pe_safety.disturbance.filter import LearnedFilter
from pe_safety.disturbance.model import LearnedDisturbance
from pe_safety.disturbance.parameters import DisturbanceParameters
from pe_safety.feasibility import collect
from pe_safety.filter import SafetyFilter
from pe_safety.ladder import filter_step
from pe_safety.parameters import SafetyParameters
from pe_safety.qp_layer import solve_qp

ROBOT, CONFIG, PARAMETERS = load_robot("reference"), load_arena("reference"), SafetyParameters()
RANGES = load_randomisation("turtlebot3")


def games() -> None:
    layouts = [sample_layout(Scenario(), CONFIG, ROBOT, ROBOT, 0, 0)]
    for worlds in (None, [draw(RANGES, CONFIG, (ROBOT, ROBOT), 0, 0)]):
        played = closed_loop.Games(layouts, CONFIG, (ROBOT, ROBOT), (PARAMETERS, PARAMETERS), worlds)
        played.observe(0)
        played.step(np.zeros((1, 2, 2)))


def rows() -> None:
    played = closed_loop.Games([sample_layout(Scenario(), CONFIG, ROBOT, ROBOT, 0, 0)], CONFIG, (ROBOT, ROBOT), None)
    game_rows.rows_of_games(
        0, played.active, played.states, played._sent, played.half_side, played.obstacles, played.obstacle_count,
        played._models, played._parameters, CONFIG.dt, False, played._seen, played._deviations, played._ages_now(),
        1.0, np.empty((1, 32, 2)), np.empty((1, 32)), np.empty((1, 32), np.bool_),
    )  # fmt: skip


def search() -> None:
    space = space_of("reference")
    cases = decode(space, np.random.default_rng(0).random((1, space.size)))
    searched.play(cases, space.rules, settle=True)


def control_step() -> None:
    SafetyFilter(PARAMETERS, ROBOT, ROBOT, CONFIG.dt).warm_up()


def learning() -> None:
    learned = LearnedDisturbance(ROBOT, DisturbanceParameters(), CONFIG.dt, CONFIG.half_side)
    LearnedFilter(PARAMETERS, ROBOT, ROBOT, CONFIG.dt, learned).warm_up()


def labelled_games() -> None:
    collect.collect([ROBOT], PARAMETERS, RANGES, collect.Distribution(steps=20), 0, 1)


def programs() -> None:
    nominal = torch.zeros((2, 2), dtype=torch.float64, requires_grad=True)
    g, b = torch.ones((2, 3, 2), dtype=torch.float64), torch.ones((2, 3), dtype=torch.float64)
    solve_qp(g, b, nominal, (1.0, 1.0)).u.sum().backward()


def truncated_policies() -> None:
    g, b = np.ones((2, 3, 2)), np.ones((2, 3))
    found, theta = polygon.polygons(g, b, polygon.Box.of(ROBOT)), np.full((2, 4), 2.0)
    truncated_beta.evaluate(theta, beta_sampling.sample(theta, found, beta_sampling.draw_keys(0, 0, 2)), found)
    truncated_beta.log_mass(theta, found)


@pytest.mark.parametrize(
    ("use", "kernels"),
    [
        (games, [closed_loop.step_games, closed_loop.observe_games]),
        (rows, [game_rows.rows_of_games]),
        (search, [searched.play_cases]),
        (control_step, [filter_step]),
        (learning, [likelihood.descend, posterior.evaluate]),
        (labelled_games, [collect._play]),
        (programs, [qp.solve_batch, qp.gradient_batch]),
        (truncated_policies, [polygon.clip_batch, truncated_beta.evaluate_batch, beta_sampling.sample_batch]),
    ],
)
def test_kernels_are_kept_on_disk(use: Callable[[], None], kernels: list[Any]) -> None:
    use()
    for kernel in kernels:
        assert kernel.signatures
        assert list(Path(kernel.stats.cache_path).glob(f"*.{kernel.py_func.__name__}-*.nbc")), kernel

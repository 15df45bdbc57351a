"""The scripted policies in the game: captures, clearances of their own, no stalls, no work for the filter."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pe_core.arena import load_arena, static_margin
from pe_core.observation import SIZE, encode
from pe_core.robot import load_robot
from pe_core.scenario import load_scenario, sample_layout
from pe_core.scripted.build import POLICIES
from pe_core.unicycle import arc_step
from pe_evaluation.evaluate import Match, evaluate
from pe_evaluation.metrics import summarise

REFERENCE = load_robot("reference")
MODEL = REFERENCE.as_array()


def chase(
    pursuer: str, start: list[float], target: list[float], obstacles: list[list[float]], steps: int
) -> tuple:
    """An unfiltered pursuer against a robot that stands still: (time of capture or inf, smallest body margin)."""
    policy = torch.jit.script(POLICIES[pursuer].make().eval())
    own, other = np.array([*start, 0.0, 0.0]), np.array([*target, 0.0, 0.0, 0.0])
    padded = np.zeros((6, 3))
    padded[: len(obstacles)] = np.reshape(obstacles, (-1, 3))
    margin, out = math.inf, np.empty(SIZE)
    for k in range(steps):
        if math.dist(own[:2], other[:2]) <= 0.5:
            return k * 0.05, margin
        encode(own, other, MODEL, MODEL, 10.0, padded, len(obstacles), 0.5, 1.0, 0.05, out)
        with torch.inference_mode():
            v, omega = policy(torch.from_numpy(out[None])).numpy()[0] * [REFERENCE.v_max, REFERENCE.omega_max]
        own[:3] = arc_step(own[0], own[1], own[2], v, omega, 0.05)
        own[3:] = v, omega
        margin = min(margin, static_margin(own[0], own[1], REFERENCE.radius, 10.0, padded[: len(obstacles)]))
    return math.inf, margin


@pytest.mark.parametrize("pursuer", ["pure", "lead"])
@pytest.mark.parametrize("heading", [0.0, math.pi, 1.0, -math.pi / 2])
@pytest.mark.parametrize("radius", [0.3, 1.5])
def test_an_obstacle_exactly_in_the_way_does_not_stall(pursuer: str, heading: float, radius: float) -> None:
    time, margin = chase(pursuer, [-6.0, 0.0, heading], [6.0, 0.0], [[0.0, 0.0, radius]], 400)
    assert time < 11.5 + 2.0 + radius  # the straight way, turning round, the way round
    assert margin > 2.0 * REFERENCE.vcp_offset


@pytest.mark.parametrize("pursuer", ["pure", "lead"])
def test_the_central_obstacle_scenario_is_played_to_capture(pursuer: str) -> None:
    assert summarise(*evaluate(Match(pursuer, "flee", scenario="central_obstacle"), 1))["captures"] == 1


@pytest.mark.parametrize("pursuer", ["pure", "lead"])
def test_a_still_evader_is_reached_behind_any_obstacles(pursuer: str) -> None:
    """Evaders that touch an obstacle's ring, sit between two, or in a corner."""
    obstacles = [[0.0, 0.0, 1.5], [3.5, 0.0, 1.0], [-8.3, -8.3, 0.5], [1.5, 3.5, 1.2]]
    for target in ([1.8, 0.1], [-1.8, 0.0], [2.2, 1.6], [-9.7, -9.7], [9.7, -9.7], [4.8, 0.0], [1.5, 5.0]):
        for start in ([-6.0, 0.0, 0.0], [7.0, 7.0, -3.0], [0.5, -6.0, 2.0]):
            time, margin = chase(pursuer, start, target, obstacles, 700)
            assert time < 35.0, (start, target)
            assert margin > REFERENCE.vcp_offset


@pytest.mark.parametrize("start", [[9.6, 0.0, 0.0], [9.6, 9.6, 0.8], [0.0, 1.76, -1.57], [0.0, 1.76, 3.14]])
def test_a_robot_that_faces_something_near_gets_away(start: list[float]) -> None:
    time, margin = chase("pure", start, [-6.0, -6.0], [[0.0, 0.0, 1.5]], 700)
    assert time < 30.0
    assert margin > 0.0


@pytest.mark.slow
@pytest.mark.parametrize("evader", ["random", "flee", "lookahead", "boundary"])
def test_lead_captures_and_the_filter_is_idle(evader: str) -> None:
    metrics = summarise(*evaluate(Match("lead", evader, seed=7), 100))
    assert metrics["captures"] >= 98
    assert metrics["violations"] == 0 and metrics["infeasible"] == 0
    assert metrics["intervention_rate"] <= 0.01


@pytest.mark.slow
def test_the_hider_is_caught_only_before_it_reaches_cover() -> None:
    """At equal speeds an evader that keeps opposite on the ring of an obstacle cannot be caught."""
    metrics = summarise(*evaluate(Match("lead", "hider", seed=7), 60))
    assert metrics["captures"] < 30
    assert metrics["violations"] == 0 and metrics["intervention_rate"] <= 0.01


def test_layouts_of_the_random_scenario_are_what_these_tests_assume() -> None:
    layout = sample_layout(load_scenario("random"), load_arena("reference"), REFERENCE, REFERENCE, 0, 0)
    assert len(layout.arena.obstacles) == 2

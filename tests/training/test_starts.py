"""Starts are those that evaluation draws; in drawn worlds they keep to the ranges."""

from __future__ import annotations

import numpy as np

from pe_core.arena import load_arena
from pe_core.randomisation import load_randomisation
from pe_core.robot import DELAY, LAG, RADIUS, V_MAX, load_robot
from pe_core.scenario import load_scenario, sample_layout
from pe_safety.parameters import load_safety
from training.field import Field
from training.opponents.play import FLEE, GIVEN
from training.starts import Starts, draw_starts

ROBOT, CONFIG = load_robot("reference"), load_arena("reference")
RANGES = load_randomisation("turtlebot3")


def table(randomised: bool, count: int = 40) -> Starts:
    safety = load_safety("rcbf")
    parameters = np.stack([safety.as_array(CONFIG.dt)] * 2)
    ranges = RANGES if randomised else None
    field = Field(({GIVEN: 1.0}, {FLEE: 1.0}), (1.0, 1.0), None)
    return draw_starts(
        load_scenario("random"), CONFIG, ROBOT, field, parameters=parameters, filtered=(True, True),
        ranges=ranges, seed=7, count=count,
    )  # fmt: skip


def test_rows_are_the_layouts_of_evaluation() -> None:
    starts = table(False)
    for i in range(40):
        layout = sample_layout(load_scenario("random"), CONFIG, ROBOT, ROBOT, 7, i)
        np.testing.assert_array_equal(starts.poses[i], [layout.pursuer, layout.evader])
        known = starts.obstacle_count[i]
        np.testing.assert_array_equal(starts.obstacles[i, 0, :known], layout.arena.obstacles)
    np.testing.assert_array_equal(starts.models, starts.plants)
    assert (starts.wide[:, :, RADIUS] >= starts.models[:, :, RADIUS]).all()


def test_a_row_does_not_depend_on_how_many_there_are() -> None:
    few, many = table(True, 3), table(True)
    for one, other in zip(few, many, strict=True):
        np.testing.assert_array_equal(one, other[:3])


def test_drawn_worlds_keep_to_the_ranges_and_use_them() -> None:
    starts = table(True)
    delay, lag, speed = (starts.plants[:, :, k] for k in (DELAY, LAG, V_MAX))
    assert 0.0 <= delay.min() < 0.2 * RANGES.delay and 0.8 * RANGES.delay < delay.max() <= RANGES.delay
    assert 0.0 <= lag.min() and 0.5 * RANGES.lag < lag.max() <= ROBOT.lag + RANGES.lag
    assert (np.abs(speed / ROBOT.v_max - 1.0) <= RANGES.speed + 1e-12).all() and speed.std() > 0.05
    assert (np.abs(starts.gains - 1.0) <= RANGES.gain).all() and starts.gains.std() > 0.08
    assert (np.abs(starts.half_side[:, 0] / CONFIG.half_side - 1.0) <= RANGES.arena + 1e-12).all()

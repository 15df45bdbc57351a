"""Where episodes start: a table drawn before the training, so that a reset is a copy.

Row i is a function of (seed, i) alone, by the very functions that evaluation draws with.
"""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pe_core.arena import OBSTACLES_MAX, ArenaConfig
from pe_core.ekf import usual_deviations
from pe_core.randomisation import Randomisation, draw
from pe_core.robot import RADIUS, RobotModel
from pe_core.scenario import Scenario, sample_layout
from pe_safety.budget import usual_margin
from training.field import Field


class Starts(NamedTuple):
    """P starts; index 0 of the arenas' second axis is what the map shows, 1 what is true."""

    poses: NDArray[np.float64]  # (P, 2, 3): pursuer and evader, x, y, theta [m, m, rad]
    half_side: NDArray[np.float64]  # (P, 2) [m]
    obstacles: NDArray[np.float64]  # (P, 2, 6, 3): x, y, radius [m]
    obstacle_count: NDArray[np.int64]  # (P,)
    opponents: NDArray[np.int64]  # (P, 2): who plays each role
    models: NDArray[np.float64]  # (P, 2, .): robots as believed
    plants: NDArray[np.float64]  # (P, 2, .): robots as they are
    gains: NDArray[np.float64]  # (P, 2, 2): executed over commanded (v, omega)
    wide: NDArray[np.float64]  # (P, 2, .): models with the filter's margin added to the body


def deviations_of(ranges: Randomisation, dt: float) -> NDArray[np.float64]:
    """Deviations (4,) of odometry [m/s, rad/s] and of an absolute pose [m, rad]."""
    return np.array(
        [
            ranges.position_noise / dt,
            ranges.heading_noise / dt,
            ranges.pose_position_noise,
            ranges.pose_heading_noise,
        ]
    )


def draw_starts(
    scenario: Scenario,
    config: ArenaConfig,
    robot: RobotModel,
    field: Field,
    *,
    parameters: NDArray[np.float64],
    filtered: tuple[bool, bool],
    ranges: Randomisation | None,
    seed: int,
    count: int,
) -> Starts:
    """``count`` starts of ``scenario``; with ``ranges`` each in a world of its own.

    ``robot`` is the pursuer, and but for its speed the evader; ``parameters`` (2, .) are the filters'
    ``SafetyParameters.as_array``.
    """
    models = np.zeros((count, 2, len(robot.as_array())))
    table = Starts(
        poses=np.zeros((count, 2, 3)),
        half_side=np.zeros((count, 2)),
        obstacles=np.zeros((count, 2, OBSTACLES_MAX, 3)),
        obstacle_count=np.zeros(count, np.int64),
        opponents=np.zeros((count, 2), np.int64),
        models=models,
        plants=models.copy(),
        gains=np.ones((count, 2, 2)),
        wide=models.copy(),
    )
    sigma = (0.0, 0.0)
    if ranges is not None:
        noise = deviations_of(ranges, config.dt)
        sigma = usual_deviations((noise[0], noise[1]), (noise[2], noise[3]), ranges.pose_every, config.dt)
    for i in range(count):
        drawn = field.draw(seed, i)
        table.opponents[i] = drawn.opponents
        evader = robot if drawn.speed_ratio == 1.0 else robot.with_speed_ratio(drawn.speed_ratio)
        here = scenario
        if drawn.obstacles is not None:
            here = dataclasses.replace(scenario, obstacle_count=drawn.obstacles)
        if ranges is None:
            layout = sample_layout(here, config, robot, evader, seed, i)
            there = layout.arena
            for r, model in enumerate((robot, evader)):
                table.models[i, r] = table.plants[i, r] = model.as_array()
        else:
            world = draw(ranges, config, (robot, evader), seed, i)
            first, second = (each.model for each in world.robots)
            layout = world.surveyed(sample_layout(here, world.config, first, second, seed, i))
            there = world.true(layout.arena)
            for r, each in enumerate(world.robots):
                table.models[i, r], table.plants[i, r] = each.model.as_array(), each.plant.as_array()
                table.gains[i, r] = each.gain
        known = len(layout.arena.obstacles)
        table.poses[i] = layout.pursuer, layout.evader
        table.half_side[i] = layout.arena.half_side, there.half_side
        table.obstacle_count[i] = known
        table.obstacles[i, 0, :known], table.obstacles[i, 1, :known] = layout.arena.obstacles, there.obstacles
        table.wide[i] = table.models[i]
        for r in range(2):
            if filtered[r]:
                table.wide[i, r, RADIUS] += usual_margin(
                    table.models[i, r], table.models[i, 1 - r], parameters[r], sigma, config.dt
                )
    return table


def delay_rows(delay: float, dt: float) -> int:
    """Commands that a history must hold for a dead time of up to ``delay`` [s]."""
    return math.ceil(delay / dt) + 2 if delay > 0.0 else 1

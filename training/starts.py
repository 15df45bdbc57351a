"""Where episodes start: a table drawn before the training, so that a reset is a copy.

Row i is a function of (seed, i) alone, by the very functions that evaluation draws with.
"""

from __future__ import annotations

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


class Starts(NamedTuple):
    """P starts; index 0 of the arenas' second axis is what the map shows, 1 what is true."""

    poses: NDArray[np.float64]  # (P, 2, 3): pursuer and evader, x, y, theta [m, m, rad]
    half_side: NDArray[np.float64]  # (P, 2) [m]
    obstacles: NDArray[np.float64]  # (P, 2, 6, 3): x, y, radius [m]
    obstacle_count: NDArray[np.int64]  # (P,)
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
    robots: tuple[RobotModel, RobotModel],
    parameters: NDArray[np.float64],
    filtered: tuple[bool, bool],
    ranges: Randomisation | None,
    seed: int,
    count: int,
) -> Starts:
    """``count`` starts of ``scenario``; with ``ranges`` each in a world of its own.

    ``parameters`` (2, .) are the filters' ``SafetyParameters.as_array``.
    """
    models = np.stack([np.stack([robot.as_array() for robot in robots])] * count)
    table = Starts(
        poses=np.zeros((count, 2, 3)),
        half_side=np.zeros((count, 2)),
        obstacles=np.zeros((count, 2, OBSTACLES_MAX, 3)),
        obstacle_count=np.zeros(count, np.int64),
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
        if ranges is None:
            layout = sample_layout(scenario, config, *robots, seed, i)
            there = layout.arena
        else:
            world = draw(ranges, config, robots, seed, i)
            first, second = (robot.model for robot in world.robots)
            layout = world.surveyed(sample_layout(scenario, world.config, first, second, seed, i))
            there = world.true(layout.arena)
            for r, robot in enumerate(world.robots):
                table.models[i, r], table.plants[i, r] = robot.model.as_array(), robot.plant.as_array()
                table.gains[i, r] = robot.gain
        known = len(layout.arena.obstacles)
        table.poses[i] = layout.pursuer, layout.evader
        table.half_side[i] = layout.arena.half_side, there.half_side
        table.obstacle_count[i] = known
        table.obstacles[i, 0, :known], table.obstacles[i, 1, :known] = layout.arena.obstacles, there.obstacles
        table.wide[i] = table.models[i]
        for r in range(2):
            if filtered[r] and (i == 0 or ranges is not None):
                table.wide[i, r, RADIUS] += usual_margin(
                    table.models[i, r], table.models[i, 1 - r], parameters[r], sigma, config.dt
                )
            elif filtered[r]:
                table.wide[i, r] = table.wide[0, r]
    return table


def delay_rows(delay: float, dt: float) -> int:
    """Commands that a history must hold for a dead time of up to ``delay`` [s]."""
    return math.ceil(delay / dt) + 2 if delay > 0.0 else 1

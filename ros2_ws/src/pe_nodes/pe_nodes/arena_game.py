"""The simulated world of the arena simulator: two plants, the rules, the sensors; pure."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pe_core.arena import ArenaConfig
from pe_core.plant import Plant
from pe_core.randomness import generator
from pe_core.robot import RobotModel
from pe_core.rules import Outcome, body_margin, is_capture
from pe_core.scenario import Layout
from pe_core.unicycle import arc_step, half_angle_sinc, wrap_angle
from pe_nodes.episode import END, Episode

# Per control step, from the domain randomisation of TurtleBot3; the absolute pose as a tracker gives it.
POSITION_STEP = 0.005
HEADING_STEP = math.radians(0.5)
POSE_POSITION = 0.01
POSE_HEADING = math.radians(0.5)
POSE_PERIOD = 0.1


@dataclasses.dataclass
class Odometer:
    """What one robot's odometry says: pose in its own odom frame, twist of the last step; shape (5,).

    Without lag and delay (``ideal``) the velocity is constant over a step and is reported as it is.
    """

    random: np.random.Generator
    noisy: bool
    ideal: bool
    reading: NDArray[np.float64] = dataclasses.field(default_factory=lambda: np.zeros(5))

    def step(self, state: NDArray[np.float64], last: NDArray[np.float64], dt: float) -> None:
        """Account for one step from ``last`` to ``state``, both (x, y, theta, v, omega), of ``dt`` [s]."""
        v, omega = float(state[3]), float(state[4])
        if not self.ideal:
            # Wheels measure the way: the twist is the mean one of the step, as one arc.
            turn = wrap_angle(float(state[2] - last[2]))
            middle = last[2] + 0.5 * turn
            way = (state[0] - last[0]) * math.cos(middle) + (state[1] - last[1]) * math.sin(middle)
            v, omega = way / half_angle_sinc(0.5 * turn) / dt, turn / dt
        if self.noisy:
            v += self.random.normal(0.0, POSITION_STEP) / dt
            omega += self.random.normal(0.0, HEADING_STEP) / dt
        x, y, theta = arc_step(self.reading[0], self.reading[1], self.reading[2], v, omega, dt)
        self.reading[:] = (x, y, theta, v, omega)

    def absolute_pose(self, state: NDArray[np.float64]) -> tuple[float, float, float]:
        """A noisy absolute pose (x, y, theta), map frame."""
        dx, dy = self.random.normal(0.0, POSE_POSITION, 2)
        turn = self.random.normal(0.0, POSE_HEADING)
        return float(state[0] + dx), float(state[1] + dy), wrap_angle(float(state[2] + turn))


class ArenaGame:
    """One episode; index 0 is the pursuer, 1 the evader.

    Attributes:
        plants: true states.
        odometers: what odometry says.
        steps, outcome, min_margin [m], violations (steps with a margin <= 0).
    """

    def __init__(
        self,
        layout: Layout,
        config: ArenaConfig,
        robots: tuple[RobotModel, RobotModel],
        seed: int,
        episode: int,
        noisy: bool,
    ) -> None:
        self.layout = layout
        self.config = config
        self.seed = seed
        self.robots = robots
        self.plants = (Plant(robots[0], layout.pursuer), Plant(robots[1], layout.evader))
        self.odometers = tuple(
            Odometer(generator(seed, episode, f"odometry/{role}"), noisy, robot.lag == 0.0 and robot.delay == 0.0)
            for role, robot in zip(("pursuer", "evader"), robots, strict=True)
        )
        self.steps = 0
        self.outcome = Outcome.RUNNING
        self.min_margin = self.margin()
        self.violations = 0

    def episode(self, index: int, start_ns: int, scenario: str, speed_ratio: float) -> Episode:
        """The episode as it is announced."""
        layout, config = self.layout, self.config
        return Episode(
            index, self.seed, start_ns, config.dt, scenario, layout.arena, config.capture_radius, config.max_time,
            tuple(layout.pursuer.tolist()), tuple(layout.evader.tolist()), speed_ratio,
        )  # fmt: skip

    def account(self, outcome: str) -> dict[str, Any]:
        """What the ``end`` event says beside the announcement."""
        return {
            "event": END,
            "outcome": outcome,
            "steps": self.steps,
            "time_s": self.steps * self.config.dt,
            "min_margin_m": self.min_margin,
            "violations": self.violations,
        }

    def margin(self) -> float:
        """The smaller body margin [m] of the two robots."""
        arena = self.layout.arena
        first, second = (plant.state for plant in self.plants)
        radii = (self.robots[0].radius, self.robots[1].radius)
        return float(
            min(
                body_margin(first, second, radii[0], radii[1], arena.half_side, arena.obstacles),
                body_margin(second, first, radii[1], radii[0], arena.half_side, arena.obstacles),
            )
        )

    def distance(self) -> float:
        """Distance of the centres [m]."""
        first, second = (plant.state for plant in self.plants)
        return math.hypot(first[0] - second[0], first[1] - second[1])

    def step(self, commands: list[tuple[float, float]]) -> Outcome:
        """One control step under the two commands (v, omega)."""
        dt = self.config.dt
        for plant, odometer, command in zip(self.plants, self.odometers, commands, strict=True):
            last = plant.state.copy()
            plant.step(command, dt)
            odometer.step(plant.state, last, dt)
        self.steps += 1
        margin = self.margin()
        self.min_margin = min(self.min_margin, margin)
        self.violations += margin <= 0.0
        if is_capture(self.plants[0].state, self.plants[1].state, self.config.capture_radius):
            self.outcome = Outcome.CAPTURE
        elif self.steps >= self.config.max_steps:
            self.outcome = Outcome.TIMEOUT
        return self.outcome

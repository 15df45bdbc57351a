"""One episode under the rules, whoever moves the robots: margins, contacts, capture, time, and how it is announced."""

from __future__ import annotations

import abc
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pe_core.arena import ArenaConfig
from pe_core.robot import RobotModel
from pe_core.rules import Outcome, game_margin, is_capture
from pe_core.scenario import Layout
from pe_nodes.episode import END, Episode


class Score(abc.ABC):
    """Index 0 is the pursuer, 1 the evader.

    Attributes:
        steps: control steps played; outcome; min_margin [m], over all that was looked at; violations: steps with a
            margin <= 0.
    """

    def __init__(self, layout: Layout, config: ArenaConfig, robots: tuple[RobotModel, RobotModel]) -> None:
        self.layout, self.config, self.robots = layout, config, robots
        self.steps = 0
        self.outcome = Outcome.RUNNING
        self.min_margin = math.inf
        self.violations = 0

    @property
    @abc.abstractmethod
    def states(self) -> Sequence[NDArray[np.float64]]:
        """Both robots (x, y, theta, v, omega) as the rules see them."""

    def look(self) -> float:
        """The smaller body margin [m] of both robots now, which counts among the margins."""
        margin = self.margin()
        self.min_margin = min(self.min_margin, margin)
        return margin

    def end_step(self, margin: float) -> Outcome:
        """A control step has ended with ``margin`` [m]: contact, capture, time."""
        self.steps += 1
        self.violations += margin <= 0.0
        if is_capture(*self.states, self.config.capture_radius):
            self.outcome = Outcome.CAPTURE
        elif self.steps >= self.config.max_steps:
            self.outcome = Outcome.TIMEOUT
        return self.outcome

    def margin(self) -> float:
        """The smaller body margin [m] of the two robots."""
        arena, (pursuer, evader) = self.layout.arena, self.robots
        return float(game_margin(*self.states, pursuer.radius, evader.radius, arena.half_side, arena.obstacles))

    def distance(self) -> float:
        """Distance of the centres [m]."""
        first, second = self.states
        return math.hypot(first[0] - second[0], first[1] - second[1])

    def account(self, outcome: str) -> dict[str, Any]:
        """What the ``end`` event says beside the announcement."""
        return {
            "event": END,
            "outcome": outcome,
            "steps": self.steps,
            "time_s": self.steps * self.config.dt,
            "min_margin_m": self.min_margin if math.isfinite(self.min_margin) else 0.0,
            "violations": self.violations,
        }

    def announced(
        self, index: int, seed: int, start_ns: int, scenario: str, ratio: float, poses: Sequence[NDArray[np.float64]]
    ) -> Episode:
        """The episode as it is announced, its robots at ``poses`` (x, y, theta)."""
        layout, config = self.layout, self.config
        starts = [tuple(float(value) for value in pose) for pose in poses]
        return Episode(
            index, seed, start_ns, config.dt, scenario, layout.arena, config.capture_radius, config.max_time,
            starts[0], starts[1], ratio,
        )  # fmt: skip

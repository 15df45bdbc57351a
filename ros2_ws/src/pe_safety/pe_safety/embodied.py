"""A game whose robots are moved by something else than the model: a physics engine, or the plants in another process.

Policies' observations, filters and rules are those of :class:`pe_safety.closed_loop.Games`; only what a command does
to a robot is the body's.  A control step: both robots are filtered on the states at t_k, the body advances to t_{k+1}
under the executed commands, margins and capture are judged there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pe_core.arena import ArenaConfig
from pe_core.plant import Plant
from pe_core.robot import RobotModel, command_from_action, executed_command
from pe_core.scenario import Layout
from pe_safety.closed_loop import Games
from pe_safety.filter import REASONS, FilterResult, SafetyFilter, Tier
from pe_safety.judge import BACKUPS, COUNTS, INFEASIBLE, INTERVENTIONS, judge
from pe_safety.parameters import SafetyParameters

_NUMBER = {text: number for number, text in REASONS.items()}


class Body(Protocol):
    """What moves both robots.  A body is used for one game after the other."""

    def begin(self, layout: Layout) -> NDArray[np.float64]:
        """Put both robots at rest where ``layout`` says; returns their states (2, 5), see :meth:`advance`."""

    def advance(self, commands: NDArray[np.float64]) -> NDArray[np.float64]:
        """Drive for one control period under ``commands`` (2, 2), v [m/s] and omega [rad/s], pursuer first.

        Returns the true states (2, 5) at its end: x, y [m], theta [rad], v [m/s], omega [rad/s].
        """


Pilot = Callable[["EmbodiedGame", int, NDArray[np.float64]], FilterResult]
"""Filters the nominal command (2,) of a robot: game, role, command."""


class EmbodiedGame(Games):
    """One game; attributes and observations as those of a batch of one.

    Attributes:
        commands_now: (2, 2) executed in the last step [m/s, rad/s]; results: of both filters in it, None where a
            robot has none.
    """

    def __init__(
        self,
        layout: Layout,
        config: ArenaConfig,
        robots: tuple[RobotModel, RobotModel],
        parameters: tuple[SafetyParameters | None, SafetyParameters | None] | None,
        body: Body,
        pilots: tuple[Pilot | None, Pilot | None] = (None, None),
    ) -> None:
        """A game from ``layout`` in which ``body`` moves the robots.

        Args:
            parameters: of both filters, as for :class:`Games`.
            pilots: filters to use in place of those that ``parameters`` describe, which still say how wide the
                margins are.
        """
        super().__init__([layout], config, robots, parameters)
        chosen = parameters or (None, None)
        self._body = body
        self._filters = [
            None if own is None else pilot or _plain(SafetyFilter(own, robots[role], robots[1 - role], config.dt))
            for role, (own, pilot) in enumerate(zip(chosen, pilots, strict=True))
        ]
        self.states[0] = body.begin(layout)
        self.min_margin[0] = self._margin(0)
        self.commands_now = np.zeros((2, 2))
        self.results: list[FilterResult | None] = [None, None]

    def step(self, actions: NDArray[np.float64]) -> None:
        """One control step under ``actions`` (1, 2, 2): per role v / v_max and omega / omega_max."""
        if not len(self.active):
            return
        for role in range(2):
            nominal = np.array(command_from_action(*actions[0, role], self._models[0, role]))
            chosen = tuple(nominal)
            filtering = self._filters[role]
            if filtering is not None:
                result = filtering(self, role, nominal)
                self._count(role, result)
                self.results[role], chosen = result, result.command
            self.commands_now[role] = executed_command(*chosen, self._models[0, role])
        self._sent[0, :, 1:] = self._sent[0, :, :-1].copy()
        self._sent[0, :, 0] = self.commands_now
        self.states[0] = self._body.advance(self.commands_now)
        self.steps[0] += 1
        judge(
            0, self.states, self.half_side, self.obstacles, self.obstacle_count, self._models, self._parameters,
            self.config.capture_radius, self.captured, self.min_margin, self.violations, self._cycles,
        )  # fmt: skip
        if self.captured[0] or self.steps[0] >= self.config.max_steps:
            self.active = self.active[:0]

    def _count(self, role: int, result: FilterResult) -> None:
        counts = self._cycles[0, role]
        counts[INTERVENTIONS] += result.intervened
        counts[INFEASIBLE] += result.infeasible
        counts[BACKUPS] += result.tier is Tier.BACKUP
        counts[COUNTS + _NUMBER[result.reason]] += 1
        if math.isfinite(result.correction):
            self.corrections[0, role, 0] += result.correction
            self.corrections[0, role, 1] = max(self.corrections[0, role, 1], result.correction)


def _plain(safety: SafetyFilter) -> Pilot:
    def filtered(game: EmbodiedGame, role: int, nominal: NDArray[np.float64]) -> FilterResult:
        sight = game.sight(0, role)
        return safety.step(
            sight.ahead, nominal, sight.opponent, sight.arena, sight.age, sight.deviations, sight.opponent_deviations,
            sight.pending,
        )  # fmt: skip

    return filtered


class PlantBody:
    """The plants of the arena simulator as a body: what :class:`Games` drives itself."""

    def __init__(self, robots: tuple[RobotModel, RobotModel], dt: float) -> None:
        self._robots, self._dt = robots, dt
        self._plants: list[Plant] = []

    def begin(self, layout: Layout) -> NDArray[np.float64]:
        """See :class:`Body`."""
        starts = (layout.pursuer, layout.evader)
        self._plants = [Plant(robot, pose) for robot, pose in zip(self._robots, starts, strict=True)]
        return np.stack([plant.state for plant in self._plants])

    def advance(self, commands: NDArray[np.float64]) -> NDArray[np.float64]:
        """See :class:`Body`."""
        pairs = zip(self._plants, commands, strict=True)
        return np.stack([plant.follow((float(v), float(omega)), self._dt) for plant, (v, omega) in pairs])

"""Many games at once, in process: the filter, the plants and the rules of one control step, compiled.

The step is the one that the nodes take: both robots are filtered on the states at t_k, both plants advance to
t_{k+1}, margins and capture are judged there.  The loop calls :func:`pe_safety.ladder.filter_step` and
:func:`pe_core.plant.plant_step`, the very functions behind ``SafetyFilter`` and ``Plant``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pe_core.arena import OBSTACLES_MAX, ArenaConfig
from pe_core.observation import SIZE, encode_batch
from pe_core.plant import HISTORY, plant_step, state_at_actuation
from pe_core.robot import RADIUS, RobotModel, command_from_action, executed_command
from pe_core.rules import body_margin, is_capture
from pe_core.scenario import Layout
from pe_safety.barriers import BARRIERS_MAX, reaction_margin
from pe_safety.filter import INTERVENTION
from pe_safety.ladder import BACKUP, EXACT, correction_size, filter_step, is_infeasible
from pe_safety.parameters import SafetyParameters

# Columns of Games.counts, per robot.
INTERVENTIONS, INFEASIBLE, BACKUPS = range(3)


@njit(cache=True, nogil=True)
def step_games(
    active: NDArray[np.int64],
    states: NDArray[np.float64],
    histories: NDArray[np.float64],
    actions: NDArray[np.float64],
    half_side: float,
    obstacles: NDArray[np.float64],
    obstacle_count: NDArray[np.int64],
    models: NDArray[np.float64],
    parameters: NDArray[np.float64],
    filtered: bool,
    capture_radius: float,
    dt: float,
    steps: NDArray[np.int64],
    captured: NDArray[np.bool_],
    min_margin: NDArray[np.float64],
    violations: NDArray[np.int64],
    counts: NDArray[np.int64],
    corrections: NDArray[np.float64],
) -> None:
    """Advance the games ``active`` by one control step, in place.

    Args:
        active: indices (k,) of running games.
        states: (N, 2, 5): pursuer and evader, (x, y, theta, v, omega).
        histories: (N, 2, K, 2) executed commands, newest first.
        actions: (k, 2, 2) actions of the active games, v / v_max and omega / omega_max.
        obstacles, obstacle_count: (N, 6, 3), (N,).
        models, parameters: (2, .) robots and filter parameters.
        filtered: False passes nominal commands through the robot's limits alone.
        steps, captured, min_margin, violations: (N,); margin [m] of the worse body over all samples.
        counts: (N, 2, 3) interventions, infeasible, backup; corrections: (N, 2, 2) sum and largest.
    """
    h = np.empty(BARRIERS_MAX)
    commands = np.empty((2, 2))
    ahead = np.empty(5)
    for k in range(active.shape[0]):
        n = active[k]
        for r in range(2):
            nominal_v, nominal_omega = command_from_action(actions[k, r, 0], actions[k, r, 1], models[r])
            v, omega = nominal_v, nominal_omega
            if filtered:
                state_at_actuation(states[n, r], histories[n, r], models[r], dt, dt, 0.0, ahead)
                v, omega, tier, _, reason = filter_step(
                    ahead, v, omega, states[n, 1 - r], True, reaction_margin(models[r], models[1 - r]),
                    half_side, obstacles[n],
                    obstacle_count[n], models[r], models[1 - r, RADIUS], parameters[r], dt, h,
                )  # fmt: skip
                size = correction_size(nominal_v, nominal_omega, v, omega, models[r])
                counts[n, r, INTERVENTIONS] += tier != EXACT or size > INTERVENTION
                counts[n, r, INFEASIBLE] += is_infeasible(tier, reason)
                counts[n, r, BACKUPS] += tier == BACKUP
                if math.isfinite(size):
                    corrections[n, r, 0] += size
                    corrections[n, r, 1] = max(corrections[n, r, 1], size)
            commands[r, 0], commands[r, 1] = v, omega
        for r in range(2):
            for j in range(histories.shape[2] - 1, 0, -1):
                histories[n, r, j, 0] = histories[n, r, j - 1, 0]
                histories[n, r, j, 1] = histories[n, r, j - 1, 1]
            executed = executed_command(commands[r, 0], commands[r, 1], models[r])
            histories[n, r, 0, 0], histories[n, r, 0, 1] = executed
            plant_step(states[n, r], histories[n, r], models[r], dt)
        steps[n] += 1
        margin = min(
            body_margin(
                states[n, 0], states[n, 1], models[0, RADIUS], models[1, RADIUS], half_side,
                obstacles[n, : obstacle_count[n]],
            ),
            body_margin(
                states[n, 1], states[n, 0], models[1, RADIUS], models[0, RADIUS], half_side,
                obstacles[n, : obstacle_count[n]],
            ),
        )  # fmt: skip
        min_margin[n] = min(min_margin[n], margin)
        violations[n] += margin <= 0.0
        captured[n] = is_capture(states[n, 0], states[n, 1], capture_radius)


class Games:
    """A batch of games from given layouts; role 0 is the pursuer, role 1 the evader.

    Attributes:
        states: (N, 2, 5); steps, captured, min_margin, violations: (N,); counts: (N, 2, 3);
        corrections: (N, 2, 2).
        active: indices of the games that still run.
    """

    def __init__(
        self,
        layouts: Sequence[Layout],
        config: ArenaConfig,
        robots: tuple[RobotModel, RobotModel],
        parameters: tuple[SafetyParameters, SafetyParameters] | None,
    ) -> None:
        """Games in ``config`` between ``robots``; ``parameters`` None runs without a filter."""
        n = len(layouts)
        self.config = config
        self.states = np.zeros((n, 2, 5))
        self.obstacles = np.zeros((n, OBSTACLES_MAX, 3))
        self.obstacle_count = np.zeros(n, np.int64)
        for i, layout in enumerate(layouts):
            self.states[i, 0, :3] = layout.pursuer
            self.states[i, 1, :3] = layout.evader
            count = len(layout.arena.obstacles)
            self.obstacle_count[i] = count
            self.obstacles[i, :count] = layout.arena.obstacles
        delay = max(robot.delay for robot in robots)
        self._histories = np.zeros((n, 2, min(HISTORY, math.ceil(delay / config.dt) + 2 if delay else 1), 2))
        self._models = np.stack([robot.as_array() for robot in robots])
        self._filtered = parameters is not None
        chosen = parameters or (SafetyParameters(), SafetyParameters())
        self._parameters = np.stack([entry.as_array(config.dt) for entry in chosen])
        self.steps = np.zeros(n, np.int64)
        self.captured = np.zeros(n, np.bool_)
        self.violations = np.zeros(n, np.int64)
        self.counts = np.zeros((n, 2, 3), np.int64)
        self.corrections = np.zeros((n, 2, 2))
        self.min_margin = np.array([_margin(layout, robots) for layout in layouts])
        self.active = np.arange(n)

    def observe(self, role: int) -> NDArray[np.float64]:
        """Observations (k, SIZE) of robot ``role`` in the active games."""
        rows = self.active
        out = np.empty((len(rows), SIZE))
        left = 1.0 - self.steps[rows] / self.config.max_steps
        encode_batch(
            self.states[rows, role], self.states[rows, 1 - role], self._models[role], self._models[1 - role],
            self.config.half_side, self.obstacles[rows], self.obstacle_count[rows], self.config.capture_radius,
            left, self.config.dt, out,
        )  # fmt: skip
        return out

    def step(self, actions: NDArray[np.float64]) -> None:
        """One control step under ``actions`` (k, 2, 2): per role v / v_max and omega / omega_max."""
        step_games(
            self.active, self.states, self._histories, np.ascontiguousarray(actions),
            self.config.half_side, self.obstacles, self.obstacle_count, self._models, self._parameters,
            self._filtered, self.config.capture_radius, self.config.dt, self.steps, self.captured,
            self.min_margin, self.violations, self.counts, self.corrections,
        )  # fmt: skip
        running = ~self.captured[self.active] & (self.steps[self.active] < self.config.max_steps)
        if not running.all():
            self.active = self.active[running]


def _margin(layout: Layout, robots: tuple[RobotModel, RobotModel]) -> float:
    first, second = robots[0].radius, robots[1].radius
    arena = layout.arena
    return min(
        body_margin(layout.pursuer, layout.evader, first, second, arena.half_side, arena.obstacles),
        body_margin(layout.evader, layout.pursuer, second, first, arena.half_side, arena.obstacles),
    )

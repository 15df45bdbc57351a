"""Many games at once, in process: the filter, the plants and the rules of one control step, compiled.

The step is the one that the nodes take: both robots are filtered on the states at t_k, both plants advance to
t_{k+1}, margins and capture are judged there.  The loop calls :func:`pe_safety.ladder.filter_step` and
:func:`pe_core.plant.plant_step`, the very functions behind ``SafetyFilter`` and ``Plant``.

In a randomised world (:class:`pe_core.randomisation.WorldDraw`) filter and policies see estimates: noisy odometry
and absolute poses through the estimator's equations (``pe_core.ekf``), the opponent's estimate late by the drawn
age, obstacles where the map shows them.  The velocity that the filter knows of its own robot is that of the model
under the commands sent.  Margins are judged on what is true.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pe_core.arena import OBSTACLES_MAX, Arena, ArenaConfig
from pe_core.ekf import advance_in_place, correct_in_place, usual_deviations
from pe_core.ekf import deviations as deviation_of
from pe_core.observation import SIZE, encode_batch
from pe_core.plant import HISTORY, Bodies, advance, plant_step
from pe_core.randomisation import WorldDraw
from pe_core.robot import RADIUS, RobotModel, command_from_action, executed_command
from pe_core.rules import game_margin
from pe_core.scenario import Layout
from pe_core.unicycle import half_angle_sinc, wrap_angle
from pe_safety.barriers import BARRIERS_MAX
from pe_safety.budget import SIZE as BUDGET_SIZE
from pe_safety.budget import usual_margin
from pe_safety.feasibility.games import margins_of_games
from pe_safety.feasibility.model import FeasibilityModel
from pe_safety.filter import INTERVENTION
from pe_safety.game_rows import ROWS, rows_of_games
from pe_safety.judge import BACKUPS, COUNTS, INFEASIBLE, INTERVENTIONS, judge
from pe_safety.ladder import BACKUP, EXACT, REASONS, correction_size, filter_step, is_infeasible
from pe_safety.parameters import SafetyParameters
from pe_safety.pending import PENDING_SIZE, history_rows
from pe_safety.sight import Sight, write_sight

COMMAND, MOVE, JUDGE = 1, 2, 4
"""Parts of a control step: both commands are filtered, both robots move, margins and capture are judged."""
# Largest age of an opponent's state [control steps].
_AGES = 16


@njit(cache=True, nogil=True)
def step_games(
    active: NDArray[np.int64],
    states: NDArray[np.float64],
    sent: NDArray[np.float64],
    acting: NDArray[np.float64],
    actions: NDArray[np.float64],
    half_side: NDArray[np.float64],
    obstacles: NDArray[np.float64],
    obstacle_count: NDArray[np.int64],
    models: NDArray[np.float64],
    plants: NDArray[np.float64],
    gains: NDArray[np.float64],
    parameters: NDArray[np.float64],
    filtered: NDArray[np.bool_],
    capture_radius: float,
    dt: float,
    randomised: bool,
    seen: NDArray[np.float64],
    deviations: NDArray[np.float64],
    ages: NDArray[np.int64],
    steps: NDArray[np.int64],
    captured: NDArray[np.bool_],
    min_margin: NDArray[np.float64],
    violations: NDArray[np.int64],
    counts: NDArray[np.int64],
    corrections: NDArray[np.float64],
    phases: int = COMMAND | MOVE | JUDGE,
) -> None:
    """Advance the games ``active`` by one control step, in place.

    Args:
        active: indices (k,) of running games.
        states: (N, 2, 5): pursuer and evader, (x, y, theta, v, omega), true.
        sent, acting: (N, 2, K, 2) executed commands as sent and as the wheels turn them (times the gain), newest
            first; the same array where the world is not randomised.
        actions: (k, 2, 2) actions of the active games, v / v_max and omega / omega_max.
        half_side: (N, 2) of the map, and true [m].
        obstacles, obstacle_count: (N, 2, 6, 3): on the map, and true; (N,).
        models, plants: (N, 2, .) robots as believed, and as they are.
        gains: (N, 2, 2) executed over commanded (v, omega).
        parameters: (2, .) of the filters; filtered: (2,), False passes nominal commands through the limits alone.
        seen: (N, 2, A, 5) estimated states, newest first; deviations: (N, 2, A, 2) theirs.
        ages: (k, 2) age of the opponent's state that each robot sees [control steps].
        steps, captured, min_margin, violations: (N,); margin [m] of the worse body over all samples.
        counts: (N, 2, 5) interventions, infeasible, backup, samples in contact with the other robot, those at which
            this robot moved; with 5 + ladder.REASONS columns also cycles by the ladder's reason; corrections:
            (N, 2, 2) sum and largest.
        phases: which parts of the step are taken: ``COMMAND`` | ``MOVE`` | ``JUDGE``.
    """
    h = np.empty(BARRIERS_MAX)
    margins = np.empty(BARRIERS_MAX)
    budget = np.empty(BUDGET_SIZE)
    pending = np.empty(PENDING_SIZE)
    undisturbed = np.zeros((3, 4))
    commands = np.empty((2, 2))
    ahead = np.empty(5)
    for k in range(active.shape[0]):
        n = active[k]
        for r in range(2 if phases & COMMAND else 0):
            model, rival = models[n, r], models[n, 1 - r]
            nominal_v, nominal_omega = command_from_action(actions[k, r, 0], actions[k, r, 1], model)
            v, omega = nominal_v, nominal_omega
            if filtered[r]:
                other = write_sight(
                    n, r, ages[k, r] if randomised else 0, states, sent, models, parameters, dt, randomised, seen,
                    deviations, pending, budget, ahead,
                )  # fmt: skip
                v, omega, tier, _, reason = filter_step(
                    ahead, v, omega, other, True, half_side[n, 0], obstacles[n, 0], obstacle_count[n], model, rival,
                    parameters[r], budget, undisturbed, dt, h, margins,
                )  # fmt: skip
                size = correction_size(nominal_v, nominal_omega, v, omega, model)
                counts[n, r, INTERVENTIONS] += tier != EXACT or size > INTERVENTION
                counts[n, r, INFEASIBLE] += is_infeasible(tier, reason)
                counts[n, r, BACKUPS] += tier == BACKUP
                if counts.shape[2] > COUNTS:
                    counts[n, r, COUNTS + reason] += 1
                if math.isfinite(size):
                    corrections[n, r, 0] += size
                    corrections[n, r, 1] = max(corrections[n, r, 1], size)
            commands[r, 0], commands[r, 1] = v, omega
        for r in range(2 if phases & COMMAND else 0):
            for j in range(sent.shape[2] - 1, 0, -1):
                for axis in range(2):
                    sent[n, r, j, axis] = sent[n, r, j - 1, axis]
                    acting[n, r, j, axis] = acting[n, r, j - 1, axis]
            executed = executed_command(commands[r, 0], commands[r, 1], models[n, r])
            sent[n, r, 0, 0], sent[n, r, 0, 1] = executed
            if randomised:
                acting[n, r, 0, 0] = gains[n, r, 0] * executed[0]
                acting[n, r, 0, 1] = gains[n, r, 1] * executed[1]
        for r in range(2 if phases & MOVE else 0):
            plant_step(states[n, r], acting[n, r], plants[n, r], dt)
        if not phases & JUDGE:
            continue
        steps[n] += 1
        judge(
            n, states, half_side, obstacles, obstacle_count, models, parameters, capture_radius, captured, min_margin,
            violations, counts,
        )  # fmt: skip


@njit(cache=True, nogil=True)
def observe_games(
    active: NDArray[np.int64],
    last: NDArray[np.float64],
    states: NDArray[np.float64],
    sent: NDArray[np.float64],
    models: NDArray[np.float64],
    noise: NDArray[np.float64],
    deviation: NDArray[np.float64],
    absolute: bool,
    dt: float,
    means: NDArray[np.float64],
    covariances: NDArray[np.float64],
    seen: NDArray[np.float64],
    deviations: NDArray[np.float64],
) -> None:
    """Let both estimators see the step from ``last`` to ``states`` (N, 2, 5), in place.

    Args:
        noise: (k, 2, 5) standard normal: odometry (v, omega), absolute pose (x, y, theta).
        deviation: (4,): of odometry [m/s, rad/s], of the absolute pose [m, rad].
        absolute: whether this step brings an absolute pose.
        means, covariances: (N, 2, 3), (N, 2, 3, 3) of the estimators.
        seen, deviations: (N, 2, A, 5), (N, 2, A, 2), newest first; see :func:`step_games`.
    """
    pose = np.empty(3)
    model_state = np.empty(5)
    for k in range(active.shape[0]):
        n = active[k]
        for r in range(2):
            now, before = states[n, r], last[n, r]
            turn = wrap_angle(now[2] - before[2])
            middle = before[2] + 0.5 * turn
            way = (now[0] - before[0]) * math.cos(middle) + (now[1] - before[1]) * math.sin(middle)
            v = way / half_angle_sinc(0.5 * turn) / dt + noise[k, r, 0] * deviation[0]
            omega = turn / dt + noise[k, r, 1] * deviation[1]
            mean, covariance = means[n, r], covariances[n, r]
            advance_in_place(mean, covariance, v, omega, dt, deviation[0], deviation[1])
            if absolute:
                for axis in range(3):
                    pose[axis] = now[axis] + noise[k, r, 2 + axis] * deviation[2 if axis < 2 else 3]
                correct_in_place(mean, covariance, pose, deviation[2], deviation[3])
            for j in range(seen.shape[2] - 1, 0, -1):
                for axis in range(5):
                    seen[n, r, j, axis] = seen[n, r, j - 1, axis]
                for axis in range(2):
                    deviations[n, r, j, axis] = deviations[n, r, j - 1, axis]
            for axis in range(5):
                model_state[axis] = seen[n, r, 0, axis]
            advance(model_state, sent[n, r], models[n, r], dt, 0.0, dt)
            for axis in range(3):
                seen[n, r, 0, axis] = mean[axis]
            seen[n, r, 0, 3], seen[n, r, 0, 4] = model_state[3], model_state[4]
            deviations[n, r, 0, 0], deviations[n, r, 0, 1] = deviation_of(covariance)


class Games:
    """A batch of games from given layouts; role 0 is the pursuer, role 1 the evader.

    Attributes:
        states: (N, 2, 5), true; steps, captured, min_margin, violations: (N,); counts: (N, 2, 5);
        reasons: (N, 2, ladder.REASONS); corrections: (N, 2, 2).
        active: indices of the games that still run.
    """

    def __init__(
        self,
        layouts: Sequence[Layout],
        config: ArenaConfig,
        robots: tuple[RobotModel, RobotModel],
        parameters: tuple[SafetyParameters | None, SafetyParameters | None] | None,
        worlds: Sequence[WorldDraw] | None = None,
        bodies: Sequence[Bodies] | None = None,
    ) -> None:
        """Games in ``config`` between ``robots``.

        Args:
            layouts: of each game; with ``worlds`` as the map shows them.
            parameters: of both filters; None runs without a filter, one or both.
            worlds: the drawn world of each game, which then says what the robots are; None: everything is exact.
            bodies: who moves the robots of each game; None: the plants of ``pe_core``.

        Raises:
            ValueError: both worlds and bodies are given.
        """
        if worlds is not None and bodies is not None:
            raise ValueError("games in drawn worlds are moved by their own plants")
        n = len(layouts)
        self.config = config
        self._worlds = worlds
        self.states = np.zeros((n, 2, 5))
        self.half_side = np.full((n, 2), config.half_side)
        self.obstacles = np.zeros((n, 2, OBSTACLES_MAX, 3))
        self.obstacle_count = np.zeros(n, np.int64)
        self._models = np.stack([np.stack([robot.as_array() for robot in robots])] * n)
        self._plants = self._models
        self._gains = np.ones((n, 2, 2))
        for i, layout in enumerate(layouts):
            self.states[i, 0, :3] = layout.pursuer
            self.states[i, 1, :3] = layout.evader
            count = len(layout.arena.obstacles)
            self.obstacle_count[i] = count
            self.half_side[i] = layout.arena.half_side
            self.obstacles[i, :, :count] = layout.arena.obstacles
        self._bodies = bodies
        for i, body in enumerate(bodies or ()):
            self.states[i] = body.states
        delay = max(robot.delay for robot in robots)
        if worlds is not None:
            self._plants = self._models.copy()
            for i, (world, layout) in enumerate(zip(worlds, layouts, strict=True)):
                there = world.true(layout.arena)
                self.half_side[i, 1] = there.half_side
                self.obstacles[i, 1, : len(there.obstacles)] = there.obstacles
                for r, robot in enumerate(world.robots):
                    self._models[i, r], self._plants[i, r] = robot.model.as_array(), robot.plant.as_array()
                    self._gains[i, r] = robot.gain
                    delay = max(delay, robot.model.delay, robot.plant.delay, world.ranges.delay)
        self._filtered = np.array([False, False] if parameters is None else [entry is not None for entry in parameters])
        chosen = [entry or SafetyParameters() for entry in parameters or (None, None)]
        self._parameters = np.stack([entry.as_array(config.dt) for entry in chosen])
        rows = math.ceil(delay / config.dt) + 2 if delay else 1
        rows = max(rows, history_rows(self._models, self._parameters, config.dt))
        self._sent = np.zeros((n, 2, min(HISTORY, rows), 2))
        self._acting = self._sent if worlds is None else self._sent.copy()
        self.steps = np.zeros(n, np.int64)
        self.captured = np.zeros(n, np.bool_)
        self.violations = np.zeros(n, np.int64)
        self._cycles = np.zeros((n, 2, COUNTS + REASONS), np.int64)
        self.counts, self.reasons = self._cycles[:, :, :COUNTS], self._cycles[:, :, COUNTS:]
        self.corrections = np.zeros((n, 2, 2))
        self.min_margin = np.array([self._margin(i) for i in range(n)])
        self.active = np.arange(n)
        self._begin_estimates()

    def _begin_estimates(self) -> None:
        n = len(self.states)
        worlds = self._worlds
        self._ages = np.zeros((n, 0, 2), np.int64)
        if worlds is None:
            self._seen, self._deviations = np.zeros((1, 2, 1, 5)), np.zeros((1, 2, 1, 2))
            self._widen((0.0, 0.0))
            return
        steps = self.config.max_steps + 1
        ranges = worlds[0].ranges
        self._ages = np.stack([world.ages(steps, self.config.dt) for world in worlds])
        kept = min(int(self._ages.max()) + 1, _AGES)
        self._deviation = np.array(
            [
                ranges.position_noise / self.config.dt,
                ranges.heading_noise / self.config.dt,
                ranges.pose_position_noise,
                ranges.pose_heading_noise,
            ]
        )
        self._noise = np.stack([world.noise(steps) for world in worlds])
        self._means = self.states[:, :, :3].copy()
        self._means += self._noise[:, 0, :, 2:] * self._deviation[[2, 2, 3]]
        self._covariances = np.zeros((n, 2, 3, 3))
        self._covariances[:] = np.diag(np.maximum(self._deviation[[2, 2, 3]] ** 2, 1e-8))
        self._seen = np.zeros((n, 2, kept, 5))
        self._seen[:, :, :, :3] = self._means[:, :, None]
        self._deviations = np.zeros((n, 2, kept, 2))
        self._deviations[:] = self._deviation[2:]
        odometry, pose = self._deviation[:2], self._deviation[2:]
        self._widen(usual_deviations(tuple(odometry), tuple(pose), ranges.pose_every, self.config.dt))

    def _widen(self, deviations: tuple[float, float]) -> None:
        self._wide = self._models.copy()
        for r in np.flatnonzero(self._filtered):
            for i in range(len(self._models)):
                self._wide[i, r, RADIUS] += usual_margin(
                    self._models[i, r], self._models[i, 1 - r], self._parameters[r], deviations, self.config.dt
                )

    def observe(self, role: int) -> NDArray[np.float64]:
        """Observations (k, SIZE) of robot ``role`` in the active games.

        The own body is as wide as the filter's margins make it.
        """
        rows = self.active
        out = np.empty((len(rows), SIZE))
        left = 1.0 - self.steps[rows] / self.config.max_steps
        states = self.states if self._worlds is None else self._seen[:, :, 0]
        if self._worlds is None:
            encode_batch(
                states[rows, role], states[rows, 1 - role], self._wide[0, role], self._models[0, 1 - role],
                self.config.half_side, self.obstacles[rows, 0], self.obstacle_count[rows],
                self.config.capture_radius, left, self.config.dt, out,
            )  # fmt: skip
            return out
        for i, n in enumerate(rows):
            encode_batch(
                states[n : n + 1, role], states[n : n + 1, 1 - role], self._wide[n, role],
                self._models[n, 1 - role], self.half_side[n, 0], self.obstacles[n : n + 1, 0],
                self.obstacle_count[n : n + 1], self.config.capture_radius, left[i : i + 1], self.config.dt,
                out[i : i + 1],
            )  # fmt: skip
        return out

    def feasibility(self, model: FeasibilityModel) -> NDArray[np.float64]:
        """H_1 (k, 2) of both robots in the active games before the next step, as ``FeasibilityObserver`` gives it."""
        out = np.empty((len(self.active), 2))
        margins_of_games(
            self.active, self.states, self._sent, self.half_side, self.obstacles, self.obstacle_count, self._models,
            self._parameters, self.config.dt, self._worlds is not None, self._seen, self._deviations,
            self._ages_now(), model.weights, model.width, model.alarm, out,
        )  # fmt: skip
        return out

    def rows(self, role: int, games: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Safety rows G (k, M, 2), b (k, M) of robot ``role`` of ``games`` (k,) in the next step, in actions.

        See :mod:`pe_safety.game_rows`.

        Raises:
            ValueError: a robot has more than M rows.
        """
        k = len(games)
        g, b = np.empty((k, ROWS, 2)), np.empty((k, ROWS))
        crowded = rows_of_games(
            role, games, self.states, self._sent, self.half_side, self.obstacles, self.obstacle_count,
            self._models, self._parameters, self.config.dt, self._worlds is not None, self._seen, self._deviations,
            self._ages_of(games), 1.0, g, b, np.empty((k, ROWS), np.bool_),
        )  # fmt: skip
        if crowded:
            raise ValueError(f"{crowded} games have more than {ROWS} safety rows")
        return g, b

    def sight(self, n: int, role: int) -> Sight:
        """What robot ``role`` of game ``n`` knows before the next step: what its filter is given."""
        drawn, late = self._worlds is not None, 0
        own, certain = self.states[n, role], (0.0, 0.0)
        deviations = rival = certain
        if drawn:
            late = int(self._ages_of(np.array([n]))[0, role])
            own = self._seen[n, role, 0]
            deviations, rival = tuple(self._deviations[n, role, 0]), tuple(self._deviations[n, 1 - role, late])
        pending, budget, ahead = np.empty(PENDING_SIZE), np.empty(BUDGET_SIZE), np.empty(5)
        other = write_sight(
            n, role, late, self.states, self._sent, self._models, self._parameters, self.config.dt, drawn, self._seen,
            self._deviations, pending, budget, ahead,
        )  # fmt: skip
        arena = self.arena(n, on_map=True)
        age = late * self.config.dt
        return Sight(own.copy(), ahead, other.copy(), arena, age, deviations, rival, pending)

    def arena(self, n: int, on_map: bool = False) -> Arena:
        """Walls and obstacles of game ``n``, as they are or as the map shows them."""
        side = 0 if on_map else 1
        there = self.obstacles[n, side, : self.obstacle_count[n]].copy()
        return Arena(float(self.half_side[n, side]), there)

    def models_of(self, games: NDArray[np.int64]) -> NDArray[np.float64]:
        """Both robots of ``games`` as they are believed (k, 2, .): ``RobotModel.as_array``."""
        return self._models[games]

    def commands(self, games: NDArray[np.int64]) -> NDArray[np.float64]:
        """The commands (k, 2, 2) that both robots of ``games`` executed last [m/s, rad/s]."""
        return self._sent[games, :, 0]

    def take_over(self, role: int) -> None:
        """From now on commands of robot ``role`` are filtered by the caller: they pass through the limits alone."""
        self._filtered[role] = False

    def _ages_now(self) -> NDArray[np.int64]:
        return self._ages_of(self.active)

    def _ages_of(self, games: NDArray[np.int64]) -> NDArray[np.int64]:
        """Age (k, 2) of the opponent's state that each robot of ``games`` sees [control steps]."""
        now = self.steps[games]
        drawn = self._worlds is not None
        ages = np.minimum(self._ages[games, now], now[:, None]) if drawn else self._ages[:, 0:0]
        return np.ascontiguousarray(ages).reshape(-1, 2)

    def step(self, actions: NDArray[np.float64]) -> None:
        """One control step under ``actions`` (k, 2, 2): per role v / v_max and omega / omega_max."""
        randomised = self._worlds is not None
        now = self.steps[self.active]
        last = self.states.copy() if randomised else self.states
        if self._bodies is None:
            self._take(actions, COMMAND | MOVE | JUDGE)
        else:
            self._take(actions, COMMAND)
            for n in self.active:
                self.states[n] = self._bodies[n].follow(self._sent[n, :, 0], self.config.dt)
            self._take(actions, JUDGE)
        if self._worlds is not None:
            every = self._worlds[0].ranges.pose_every
            observe_games(
                self.active, last, self.states, self._sent, self._models, self._noise[self.active, now + 1],
                self._deviation, bool((now[0] + 1) % every == 0) if len(now) else False, self.config.dt,
                self._means, self._covariances, self._seen, self._deviations,
            )  # fmt: skip
        running = ~self.captured[self.active] & (self.steps[self.active] < self.config.max_steps)
        if not running.all():
            if self._bodies is not None:
                for n in self.active[~running]:
                    self._bodies[n].close()
            self.active = self.active[running]

    def _take(self, actions: NDArray[np.float64], phases: int) -> None:
        step_games(
            self.active, self.states, self._sent, self._acting, np.ascontiguousarray(actions), self.half_side,
            self.obstacles, self.obstacle_count, self._models, self._plants, self._gains, self._parameters,
            self._filtered, self.config.capture_radius, self.config.dt, self._worlds is not None, self._seen,
            self._deviations, self._ages_now(), self.steps, self.captured, self.min_margin, self.violations,
            self._cycles, self.corrections, phases,
        )  # fmt: skip

    def _margin(self, i: int) -> float:
        first, second = self._models[i, 0, RADIUS], self._models[i, 1, RADIUS]
        there = self.obstacles[i, 1, : self.obstacle_count[i]]
        return game_margin(*self.states[i], first, second, self.half_side[i, 1], there)

"""Games made to run into infeasible states: what a classifier of them learns from, and what its rounds are measured on.

The filter covers only what it is told of, and these games go beyond: estimates jump (with probability ``jump_rate``
a step, by a normal deviation of ``jump`` times radius + VCP offset, dying away by a fifth a step), arenas are eight to
twenty radii to a side with up to three obstacles, half of the games' parameters know nothing of noise, and nobody
looks where it drives: commands held at random, full speed at the other robot, or at a point which may lie in a wall.
In the other half the estimates have deviations, up to ``noise`` times the estimator's usual ones, and errors of that
size that die away like jumps; their filters cover them.
Starts are inside the safe set; with ``inside`` set they may also lie inside margins.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pe_core.arena import OBSTACLES_MAX
from pe_core.ekf import usual_deviations
from pe_core.plant import plant_step, state_at_actuation, stopping_pose
from pe_core.randomisation import Randomisation
from pe_core.randomness import generator
from pe_core.robot import LAG, RADIUS, V_MAX, RobotModel, command_from_action, executed_command
from pe_core.rules import body_margin
from pe_core.unicycle import wrap_angle
from pe_safety.barriers import BARRIERS_MAX, barrier_values
from pe_safety.budget import SIZE as BUDGET_SIZE
from pe_safety.budget import write_budget
from pe_safety.feasibility.bend import bend
from pe_safety.feasibility.features import SIZE, write_features
from pe_safety.feasibility.model import FeasibilityModel, length
from pe_safety.ladder import filter_step, is_infeasible
from pe_safety.parameters import SafetyParameters
from pe_safety.pending import PENDING_SIZE, write_pending, write_steady

TABLE, AT_OPPONENT, AT_POINT = range(3)
_DYING = 0.8
_HISTORY = 64
_HOLD = 15


@dataclasses.dataclass(frozen=True)
class Distribution:
    """What games are drawn."""

    steps: int = 200
    dt: float = 0.05
    jump_rate: float = 0.02
    jump: float = 0.3
    noise: float = 2.0
    inside: bool = False


@dataclasses.dataclass(frozen=True, eq=False)
class Games:
    """Features (n, 2, steps, SIZE) of every state, whether its QP was infeasible (n, 2, steps), speed asked and
    commanded over v_max, and the smallest true body margin of each game [m]."""

    features: NDArray[np.float64]
    infeasible: NDArray[np.bool_]
    asked: NDArray[np.float64]
    commanded: NDArray[np.float64]
    margin: NDArray[np.float64]

    def labelled(self, horizon: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Features (m, SIZE) and whether the QP is infeasible now or within ``horizon`` steps, shape (m,)."""
        soon = self.infeasible.copy()
        for ahead in range(1, horizon + 1):
            soon[:, :, :-ahead] |= self.infeasible[:, :, ahead:]
        usable = soon.shape[2] - horizon
        return self.features[:, :, :usable].reshape(-1, SIZE), soon[:, :, :usable].reshape(-1)


def collect(
    robots: Sequence[RobotModel],
    parameters: SafetyParameters,
    ranges: Randomisation,
    distribution: Distribution,
    seed: int,
    games: int,
    guard: FeasibilityModel | None = None,
    robust: SafetyParameters | None = None,
) -> Games:
    """Play ``games`` games, each between two robots of one profile drawn from ``robots``.

    Half of them are filtered by ``parameters``, the others by ``robust`` (None: the same) with bounds that cover
    ``ranges``.
    Game i of a seed is the same whatever ``guard`` is: only what the guard changes differs.
    """
    n, steps = games, distribution.steps
    features = np.empty((n, 2, steps, SIZE))
    infeasible = np.zeros((n, 2, steps), np.bool_)
    asked, commanded = np.zeros((n, 2, steps)), np.zeros((n, 2, steps))
    margin = np.empty(n)
    weights = np.zeros(length(1)) if guard is None else guard.weights
    covering = (robust or parameters).covering(ranges)
    odometry = (ranges.position_noise / distribution.dt, ranges.heading_noise / distribution.dt)
    pose = (ranges.pose_position_noise, ranges.pose_heading_noise)
    usual = np.array(usual_deviations(odometry, pose, ranges.pose_every, distribution.dt))
    for i in range(n):
        rng = generator(seed, i, "feasibility")
        robot = robots[rng.integers(len(robots))]
        model = robot.as_array()
        half_side = robot.radius * rng.uniform(8.0, 20.0)
        count = int(rng.integers(0, 4))
        obstacles = np.zeros((OBSTACLES_MAX, 3))
        obstacles[:count, :2] = rng.uniform(-half_side, half_side, (count, 2))
        obstacles[:count, 2] = robot.radius * rng.uniform(1.0, 4.0, count)
        chosen = parameters if rng.random() < 0.5 else covering
        behaviour = "cooperative" if rng.random() < 0.5 else "passive"
        sigma = rng.uniform(0.0, distribution.noise) * usual * (chosen is covering)
        values = dataclasses.replace(chosen, opponent_behaviour=behaviour).as_array(distribution.dt)
        states = _start(rng, model, half_side, obstacles, count, values, sigma, distribution)
        held = -(-steps // _HOLD)
        table = np.stack([rng.uniform(0.0, 1.0, (held, 2)), rng.uniform(-1.0, 1.0, (held, 2))], axis=2)
        jumps = rng.normal(0.0, 1.0, (steps, 2, 3)) * (rng.random((steps, 2, 1)) < distribution.jump_rate)
        jumps[:, :, :2] *= distribution.jump * (robot.radius + robot.vcp_offset)
        jumps[:, :, 2] *= 0.5 * distribution.jump
        # With these each error has the deviation sigma.
        jumps += math.sqrt(1.0 - _DYING**2) * sigma[[0, 0, 1]] * rng.normal(0.0, 1.0, (steps, 2, 3))
        margin[i] = _play(
            states, rng.integers(0, 3, 2), rng.uniform(-1.1, 1.1, (2, 2)) * half_side, table, jumps, half_side,
            obstacles, count, model, values, sigma, distribution.dt, weights, 1 if guard is None else guard.width,
            math.inf if guard is None else guard.threshold, guard is not None, features[i], infeasible[i], asked[i],
            commanded[i],
        )  # fmt: skip
    return Games(features, infeasible, asked, commanded, margin)


def _start(
    rng: np.random.Generator,
    model: NDArray[np.float64],
    half_side: float,
    obstacles: NDArray[np.float64],
    count: int,
    values: NDArray[np.float64],
    sigma: NDArray[np.float64],
    distribution: Distribution,
) -> NDArray[np.float64]:
    """States (2, 5) at speed, bodies apart and, unless ``inside``, every h >= 0; standing still after many tries."""
    budget, pose, pending = np.empty(BUDGET_SIZE), np.empty(5), np.empty(PENDING_SIZE)
    h, margins = np.empty(BARRIERS_MAX), np.empty(BARRIERS_MAX)
    states = np.zeros((2, 5))
    known = (float(sigma[0]), float(sigma[1]))
    for attempt in range(2000):
        # After as many the obstacles leave no room: those that are in the way shrink to a point outside.
        if attempt % 200 == 199:
            obstacles[:count, :2] = 3.0 * half_side
        states[:, :2] = rng.uniform(-half_side, half_side, (2, 2))
        states[:, 2] = rng.uniform(-math.pi, math.pi, 2)
        speed = rng.uniform(0.0, 1.0, 2) * model[V_MAX]
        states[:, 3] = speed if model[LAG] > 0.0 else 0.0
        least = math.inf
        for r in range(2):
            own, other = states[r], states[1 - r]
            there = obstacles[:count]
            least = min(least, body_margin(own, other, model[RADIUS], model[RADIUS], half_side, there))
            if not distribution.inside:
                write_steady(own[3], 0.0, model, values, distribution.dt, 0.0, pending)
                write_budget(model, model, values, known, known, pending, 0.0, distribution.dt, budget)
                stopping_pose(own, model[LAG], pose)
                held = barrier_values(
                    pose, other, True, half_side, obstacles, count, model, model, budget, h, margins
                )
                least = min(least, float(h[:held].min()))
        if least > 0.0:
            return states
    raise ValueError(f"no start in an arena of half_side {half_side:.2f} m")


@njit(cache=True, nogil=True)
def _play(
    states: NDArray[np.float64],
    modes: NDArray[np.int64],
    points: NDArray[np.float64],
    table: NDArray[np.float64],
    jumps: NDArray[np.float64],
    half_side: float,
    obstacles: NDArray[np.float64],
    count: int,
    model: NDArray[np.float64],
    values: NDArray[np.float64],
    sigma: NDArray[np.float64],
    dt: float,
    weights: NDArray[np.float64],
    width: int,
    threshold: float,
    guarded: bool,
    features: NDArray[np.float64],
    infeasible: NDArray[np.bool_],
    asked: NDArray[np.float64],
    commanded: NDArray[np.float64],
) -> float:
    """One game; writes features (2, steps, SIZE) and the others (2, steps), returns the least body margin [m]."""
    steps = jumps.shape[0]
    sent = np.zeros((2, _HISTORY, 2))
    for r in range(2):
        sent[r, :, 0] = states[r, 3]
    error = np.zeros((2, 3))
    seen = np.empty((2, 5))
    ahead, pose = np.empty(5), np.empty(5)
    budget, pending = np.empty(BUDGET_SIZE), np.empty(PENDING_SIZE)
    h, margins = np.empty(BARRIERS_MAX), np.empty(BARRIERS_MAX)
    undisturbed = np.zeros((3, 4))
    commands = np.empty((2, 2))
    known = (sigma[0], sigma[1])
    least = np.inf
    for k in range(steps):
        for r in range(2):
            for axis in range(3):
                error[r, axis] = _DYING * error[r, axis] + jumps[k, r, axis]
                seen[r, axis] = states[r, axis] + error[r, axis]
            seen[r, 3], seen[r, 4] = states[r, 3], states[r, 4]
        for r in range(2):
            own, other = seen[r], seen[1 - r]
            action_v, action_omega = table[k // _HOLD, r]
            if modes[r] != TABLE:
                x, y = points[r, 0], points[r, 1]
                if modes[r] == AT_OPPONENT:
                    x, y = other[0], other[1]
                bearing = wrap_angle(math.atan2(y - own[1], x - own[0]) - own[2])
                action_v, action_omega = 1.0, min(max(2.0 * bearing, -1.0), 1.0)
            v, omega = command_from_action(action_v, action_omega, model)
            asked[r, k] = v / model[V_MAX]
            write_pending(sent[r], dt, 0.0, model, values, dt, pending)
            write_budget(model, model, values, known, known, pending, 0.0, dt, budget)
            state_at_actuation(own, sent[r], model, dt, dt, 0.0, ahead)
            stopping_pose(ahead, model[LAG], pose)
            write_features(
                pose,
                other,
                True,
                half_side,
                obstacles,
                count,
                model,
                model,
                values,
                budget,
                dt,
                features[r, k],
            )
            if guarded:
                v, omega, _ = bend(
                    ahead, v, omega, other, True, half_side, obstacles, count, model, model, values, budget, dt,
                    weights, width, threshold,
                )  # fmt: skip
            v, omega, tier, _, reason = filter_step(
                ahead, v, omega, other, True, half_side, obstacles, count, model, model, values, budget, undisturbed,
                dt, h, margins,
            )  # fmt: skip
            infeasible[r, k] = is_infeasible(tier, reason)
            commanded[r, k] = v / model[V_MAX]
            commands[r, 0], commands[r, 1] = v, omega
        for r in range(2):
            for j in range(_HISTORY - 1, 0, -1):
                sent[r, j, 0], sent[r, j, 1] = sent[r, j - 1, 0], sent[r, j - 1, 1]
            sent[r, 0, 0], sent[r, 0, 1] = executed_command(commands[r, 0], commands[r, 1], model)
            plant_step(states[r], sent[r], model, dt)
        for r in range(2):
            least = min(
                least,
                body_margin(
                    states[r], states[1 - r], model[RADIUS], model[RADIUS], half_side, obstacles[:count]
                ),
            )
    return least

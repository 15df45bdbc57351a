"""N games in arrays, and the kernel that takes all of them one control step on.

One call lets the opponents act, filters and moves both robots by :func:`pe_safety.closed_loop.step_games`, pays
rewards, begins finished games anew from the table of starts and encodes what both robots then see.  Beside a few
numbers of scratch it allocates nothing, and it holds no lock: threads may take a share of the games each.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pe_core.arena import OBSTACLES_MAX
from pe_core.observation import SIZE, encode
from pe_core.rewards import write_rewards
from pe_core.robot import RADIUS
from pe_core.rules import body_margin
from pe_safety.closed_loop import COUNTS, INFEASIBLE, INTERVENTIONS, observe_games, step_games
from training.noise import normal, uniform
from training.opponents.play import GIVEN, NOISE_HOLD, OBSTACLES_SHAPE, TABLE_SHAPE, WORK_SHAPE, act
from training.starts import Starts

# Indices of Rules.numbers: rules of the game and of the drawn worlds, as floats.
CAPTURE_RADIUS, DT, MAX_STEPS, RANDOMISED, POSE_EVERY, AGE_MOST, SEED, GAMES = range(8)
# Indices of the random numbers that a step draws: normal numbers take two each.
_NORMALS, _AGES, _WALK = 0, 20, 22


class Rules(NamedTuple):
    """What holds in every game."""

    numbers: NDArray[np.float64]  # (8,), see above
    deviation: NDArray[np.float64]  # (4,): odometry [m/s, rad/s], absolute pose [m, rad]
    weights: NDArray[np.float64]  # Rewards.as_array()
    parameters: NDArray[np.float64]  # (2, .): SafetyParameters.as_array of either filter
    filtered: NDArray[np.bool_]  # (2,)


class Batch(NamedTuple):
    """N running games and what their last step brought; every array begins with the axis of the games."""

    episode: NDArray[np.int64]  # (N,)
    opponents: NDArray[
        np.int64
    ]  # (N, 2): who plays a role, training.opponents.play, or below 0: not compiled
    actions: NDArray[np.float64]  # (N, 2, 2): v / v_max, omega / omega_max, nominal
    states: NDArray[np.float64]  # (N, 2, 5): x, y, theta, v, omega, true
    last: NDArray[np.float64]  # (N, 2, 5): before the step
    sent: NDArray[np.float64]  # (N, 2, K, 2)
    acting: NDArray[np.float64]
    half_side: NDArray[np.float64]
    obstacles: NDArray[np.float64]
    obstacle_count: NDArray[np.int64]
    models: NDArray[np.float64]
    plants: NDArray[np.float64]
    gains: NDArray[np.float64]
    wide: NDArray[np.float64]
    seen: NDArray[np.float64]  # (N, 2, A, 5)
    deviations: NDArray[np.float64]  # (N, 2, A, 2)
    means: NDArray[np.float64]  # (N, 2, 3)
    covariances: NDArray[np.float64]  # (N, 2, 3, 3)
    noise: NDArray[np.float64]  # (N, 2, 5)
    ages: NDArray[np.int64]  # (N, 2): of the opponent's state that will be seen in the next step [control steps]
    steps: NDArray[np.int64]  # (N,): of the running episode
    captured: NDArray[np.bool_]
    margin: NDArray[np.float64]  # (N,) after this step, of the worse body [m]
    violated: NDArray[np.int64]  # (N,) this step
    counts: NDArray[np.int64]  # (N, 2, COUNTS) this step: pe_safety.closed_loop
    corrections: NDArray[np.float64]  # (N, 2, 2) this step: size, size
    margins: NDArray[np.float64]  # (N, 2) of each body [m]
    rewards: NDArray[np.float64]  # (N, 2)
    terminated: NDArray[np.bool_]  # (N,): capture
    truncated: NDArray[np.bool_]  # (N,): time is up
    observations: NDArray[np.float64]  # (N, 2, SIZE), of the new episode where one began
    final: NDArray[np.float64]  # (N, 2, SIZE): last observation of the episode that ended in this step
    totals: NDArray[np.float64]  # (N, TOTALS) of the running episode
    ended: NDArray[np.float64]  # (N, TOTALS) of the last episode that ended


# Columns of Batch.totals.
(LENGTH, PURSUER_RETURN, EVADER_RETURN, VIOLATIONS, LEAST_MARGIN, PURSUER_INTERVENED, EVADER_INTERVENED,
 PURSUER_INFEASIBLE, EVADER_INFEASIBLE, PURSUER_CORRECTION, EVADER_CORRECTION, CAPTURES) = range(12)  # fmt: skip
TOTALS = 12


def empty_batch(games: int, history: int, ages: int, models: int, first: int) -> Batch:
    """``games`` games whose episodes are numbered from ``first`` on, not yet begun.

    ``history`` commands and ``ages`` estimates are kept; ``models`` is the length of a robot's array.
    """
    n = games
    sent = np.zeros((n, 2, history, 2))
    return Batch(
        episode=np.arange(first, first + n),
        opponents=np.full((n, 2), GIVEN),
        actions=np.zeros((n, 2, 2)),
        states=np.zeros((n, 2, 5)),
        last=np.zeros((n, 2, 5)),
        sent=sent,
        acting=np.zeros_like(sent),
        half_side=np.zeros((n, 2)),
        obstacles=np.zeros((n, 2, OBSTACLES_MAX, 3)),
        obstacle_count=np.zeros(n, np.int64),
        models=np.zeros((n, 2, models)),
        plants=np.zeros((n, 2, models)),
        gains=np.ones((n, 2, 2)),
        wide=np.zeros((n, 2, models)),
        seen=np.zeros((n, 2, ages, 5)),
        deviations=np.zeros((n, 2, ages, 2)),
        means=np.zeros((n, 2, 3)),
        covariances=np.zeros((n, 2, 3, 3)),
        noise=np.zeros((n, 2, 5)),
        ages=np.zeros((n, 2), np.int64),
        steps=np.zeros(n, np.int64),
        captured=np.zeros(n, np.bool_),
        margin=np.zeros(n),
        violated=np.zeros(n, np.int64),
        counts=np.zeros((n, 2, COUNTS), np.int64),
        corrections=np.zeros((n, 2, 2)),
        margins=np.zeros((n, 2)),
        rewards=np.zeros((n, 2)),
        terminated=np.zeros(n, np.bool_),
        truncated=np.zeros(n, np.bool_),
        observations=np.zeros((n, 2, SIZE)),
        final=np.zeros((n, 2, SIZE)),
        totals=np.zeros((n, TOTALS)),
        ended=np.zeros((n, TOTALS)),
    )


@njit(cache=True, nogil=True)
def _observe(b: Batch, rules: Rules, n: int, out: NDArray[np.float64]) -> None:
    """Write what both robots of game ``n`` see, (2, SIZE)."""
    left = 1.0 - b.steps[n] / rules.numbers[MAX_STEPS]
    randomised = rules.numbers[RANDOMISED] > 0.0
    for r in range(2):
        own = b.seen[n, r, 0] if randomised else b.states[n, r]
        other = b.seen[n, 1 - r, 0] if randomised else b.states[n, 1 - r]
        encode(
            own, other, b.wide[n, r], b.models[n, 1 - r], b.half_side[n, 0], b.obstacles[n, 0], b.obstacle_count[n],
            rules.numbers[CAPTURE_RADIUS], left, rules.numbers[DT], out[r],
        )  # fmt: skip


@njit(cache=True, nogil=True)
def _draw_normals(b: Batch, seed: int, n: int, step: int) -> None:
    for r in range(2):
        for k in range(5):
            b.noise[n, r, k] = normal(seed, b.episode[n], step, _NORMALS + 5 * r + k)


@njit(cache=True, nogil=True)
def _draw_ages(b: Batch, rules: Rules, n: int) -> None:
    seed, most = int(rules.numbers[SEED]), rules.numbers[AGE_MOST] + 1.0
    for r in range(2):
        age = int(uniform(seed, b.episode[n], b.steps[n], _AGES + r) * most)
        b.ages[n, r] = min(age, b.steps[n])


@njit(cache=True, nogil=True)
def _measure(b: Batch, n: int) -> None:
    """Write the smallest margin of either body in game ``n``."""
    for r in range(2):
        b.margins[n, r] = body_margin(
            b.states[n, r], b.states[n, 1 - r], b.models[n, r, RADIUS], b.models[n, 1 - r, RADIUS],
            b.half_side[n, 1], b.obstacles[n, 1, : b.obstacle_count[n]],
        )  # fmt: skip


@njit(cache=True, nogil=True)
def begin(b: Batch, starts: Starts, rules: Rules, n: int) -> None:
    """Begin game ``n`` at the start of its episode, which is row ``episode`` modulo their number."""
    row = b.episode[n] % starts.poses.shape[0]
    b.opponents[n] = starts.opponents[row]
    b.sent[n] = 0.0
    b.acting[n] = 0.0
    b.half_side[n] = starts.half_side[row]
    b.obstacles[n] = starts.obstacles[row]
    b.obstacle_count[n] = starts.obstacle_count[row]
    b.models[n] = starts.models[row]
    b.plants[n] = starts.plants[row]
    b.gains[n] = starts.gains[row]
    b.wide[n] = starts.wide[row]
    b.states[n] = 0.0
    for r in range(2):
        for k in range(3):
            b.states[n, r, k] = starts.poses[row, r, k]
    b.last[n] = b.states[n]
    b.steps[n] = 0
    b.captured[n] = False
    b.totals[n] = 0.0
    _measure(b, n)
    b.totals[n, LEAST_MARGIN] = min(b.margins[n, 0], b.margins[n, 1])
    if rules.numbers[RANDOMISED] > 0.0:
        _draw_normals(b, int(rules.numbers[SEED]), n, 0)
        b.seen[n] = 0.0
        b.covariances[n] = 0.0
        for r in range(2):
            for k in range(3):
                deviation = rules.deviation[2 if k < 2 else 3]
                b.means[n, r, k] = b.states[n, r, k] + b.noise[n, r, 2 + k] * deviation
                b.covariances[n, r, k, k] = max(deviation * deviation, 1e-8)
            for a in range(b.seen.shape[2]):
                for k in range(3):
                    b.seen[n, r, a, k] = b.means[n, r, k]
                b.deviations[n, r, a, 0], b.deviations[n, r, a, 1] = rules.deviation[2], rules.deviation[3]
        _draw_ages(b, rules, n)
    _observe(b, rules, n, b.observations[n])


@njit(cache=True, nogil=True)
def begin_all(b: Batch, starts: Starts, rules: Rules) -> None:
    """Begin every game."""
    for n in range(b.states.shape[0]):
        begin(b, starts, rules, n)


@njit(cache=True, nogil=True)
def _opponents_act(b: Batch, rules: Rules) -> None:
    obstacles, work, table = np.empty(OBSTACLES_SHAPE), np.empty(WORK_SHAPE), np.empty(TABLE_SHAPE)
    walk = np.empty(2)
    seed = int(rules.numbers[SEED])
    for n in range(b.states.shape[0]):
        for r in range(2):
            if b.opponents[n, r] < 0:
                continue
            held = b.steps[n] // NOISE_HOLD
            walk[0] = uniform(seed, b.episode[n], held, _WALK + 2 * r)
            walk[1] = uniform(seed, b.episode[n], held, _WALK + 2 * r + 1)
            act(b.opponents[n, r], b.observations[n, r], walk, obstacles, work, table, b.actions[n, r])


@njit(cache=True, nogil=True)
def _estimate(b: Batch, rules: Rules, active: NDArray[np.int64]) -> None:
    """Let the estimators of every game see the step, each with an absolute pose when its own is due."""
    seed, every = int(rules.numbers[SEED]), int(rules.numbers[POSE_EVERY])
    for n in range(b.states.shape[0]):
        _draw_normals(b, seed, n, b.steps[n])
        observe_games(
            active[n : n + 1], b.last, b.states, b.sent, b.models, b.noise[n : n + 1], rules.deviation,
            b.steps[n] % every == 0, rules.numbers[DT], b.means, b.covariances, b.seen, b.deviations,
        )  # fmt: skip


@njit(cache=True, nogil=True)
def _settle(b: Batch, starts: Starts, rules: Rules, n: int) -> None:
    """Pay for the step of game ``n``, keep its account, and begin the next episode where it has ended."""
    _measure(b, n)
    before = math.hypot(b.last[n, 0, 0] - b.last[n, 1, 0], b.last[n, 0, 1] - b.last[n, 1, 1])
    after = math.hypot(b.states[n, 0, 0] - b.states[n, 1, 0], b.states[n, 0, 1] - b.states[n, 1, 1])
    write_rewards(
        b.captured[n], before - after, b.half_side[n, 1], int(rules.numbers[MAX_STEPS]), b.margins[n],
        b.corrections[n, :, 0], rules.weights, b.rewards[n],
    )  # fmt: skip
    total = b.totals[n]
    total[LENGTH] = b.steps[n]
    total[VIOLATIONS] += b.violated[n]
    total[LEAST_MARGIN] = min(total[LEAST_MARGIN], b.margin[n])
    total[CAPTURES] = 1.0 if b.captured[n] else 0.0
    for r in range(2):
        total[PURSUER_RETURN + r] += b.rewards[n, r]
        total[PURSUER_INTERVENED + r] += b.counts[n, r, INTERVENTIONS]
        total[PURSUER_INFEASIBLE + r] += b.counts[n, r, INFEASIBLE]
        total[PURSUER_CORRECTION + r] += b.corrections[n, r, 0]
    b.terminated[n] = b.captured[n]
    b.truncated[n] = not b.captured[n] and b.steps[n] >= rules.numbers[MAX_STEPS]
    if b.terminated[n] or b.truncated[n]:
        _observe(b, rules, n, b.final[n])
        b.ended[n] = total
        b.episode[n] += int(rules.numbers[GAMES])
        pursuer_margin, evader_margin = b.margins[n, 0], b.margins[n, 1]
        begin(b, starts, rules, n)
        b.margins[n, 0], b.margins[n, 1] = pursuer_margin, evader_margin
    else:
        if rules.numbers[RANDOMISED] > 0.0:
            _draw_ages(b, rules, n)
        _observe(b, rules, n, b.observations[n])


@njit(cache=True, nogil=True)
def step_batch(b: Batch, starts: Starts, rules: Rules, active: NDArray[np.int64]) -> None:
    """Take every game one control step on under ``b.actions``; ``active`` is arange(N)."""
    randomised = rules.numbers[RANDOMISED] > 0.0
    _opponents_act(b, rules)
    b.last[:] = b.states
    b.margin[:] = math.inf
    b.violated[:] = 0
    b.counts[:] = 0
    b.corrections[:] = 0.0
    step_games(
        active, b.states, b.sent, b.acting if randomised else b.sent, b.actions, b.half_side, b.obstacles,
        b.obstacle_count, b.models, b.plants, b.gains, rules.parameters, rules.filtered,
        rules.numbers[CAPTURE_RADIUS], rules.numbers[DT], randomised, b.seen, b.deviations, b.ages, b.steps,
        b.captured, b.margin, b.violated, b.counts, b.corrections,
    )  # fmt: skip
    if randomised:
        _estimate(b, rules, active)
    for n in range(b.states.shape[0]):
        _settle(b, starts, rules, n)

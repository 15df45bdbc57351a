"""Cases in batches, compiled: settle the start, play the steps, judge bodies on what is true.

A step is :func:`pe_safety.closed_loop.step_games`, the very function that evaluations run; what is chosen anew in
every step (nominal commands, gains, dead time, lag, errors of the estimates, ages) comes from the case's knots.
Bodies are judged four times in every control period where anything is near.
"""

from __future__ import annotations

import dataclasses
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pe_core.plant import advance
from pe_core.robot import DELAY, LAG, RADIUS, V_MAX, V_MIN, V_QUANTUM, VCP_OFFSET
from pe_evaluation.falsify.adversary import OPPONENT, nearest_thing, nominal_action, observe
from pe_safety.barriers import BARRIERS_MAX, barrier_values, facing
from pe_safety.budget import SIZE as BUDGET_SIZE
from pe_safety.budget import write_budget
from pe_safety.closed_loop import COUNTS, step_games
from pe_safety.parameters import GAIN_ERROR
from pe_safety.pending import PENDING_SIZE, history_rows
from pe_safety.rows import CREEP

COOPERATIVE, PASSIVE, PASSIVE_PAIR = "cooperative", "passive", "passive_pair"
MODES = (COOPERATIVE, PASSIVE, PASSIVE_PAIR)
"""Both robots run the filter and share the gap; the other is not ours and may ram; both take the other for a stranger.

What is promised: no contact; against a stranger no contact with walls and obstacles, and none with the stranger while
this robot moves.
"""

# Share of its limit below which a robot counts as standing, beside what it may creep at.
_REST = 0.01
_PARTS = 4
# A start is pushed at most this many times, and by this much [m] more than it lacks.
_PUSHES = 200
_SPARE = 1e-6
# What a robot drives at most, of its limit: gains are within 1 +- 0.9.
_STRETCH = 1.9


@dataclasses.dataclass(frozen=True, eq=False)
class Cases:
    """N cases of K knots; arrays are C-contiguous float64 unless said.

    Attributes:
        start: (N, 2, 3) true poses at rest [m, m, rad].
        half_side: (N, 2) of the map, and true [m]; obstacles: (N, 2, 6, 3) likewise; obstacle_count: (N,) int64.
        models: (N, 2, .) ``RobotModel.as_array()`` as believed; acceleration: (N, 2) true limit [m/s^2], 0: none.
        nominal: (N, K, 2, 3) behaviour, v / v_max, omega / omega_max.
        gain: (N, K, 2, 2) executed over commanded; delay, lag: (N, K, 2) true [s].
        errors: (N, K, 2, 3), see :func:`pe_evaluation.falsify.adversary.observe`; sigma: (N, K, 2, 2).
        age: (N, K, 2) int64, of the opponent's state [control steps].
    """

    start: NDArray[np.float64]
    half_side: NDArray[np.float64]
    obstacles: NDArray[np.float64]
    obstacle_count: NDArray[np.int64]
    models: NDArray[np.float64]
    acceleration: NDArray[np.float64]
    nominal: NDArray[np.float64]
    gain: NDArray[np.float64]
    delay: NDArray[np.float64]
    lag: NDArray[np.float64]
    errors: NDArray[np.float64]
    sigma: NDArray[np.float64]
    age: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.start)

    def part(self, rows: slice | NDArray[np.int64]) -> Cases:
        """Some of the cases."""
        return Cases(**{field.name: getattr(self, field.name)[rows] for field in dataclasses.fields(self)})


@dataclasses.dataclass(frozen=True, eq=False)
class Outcomes:
    """Of N cases.

    Attributes:
        margin: (N,) smallest body margin [m] of a robot that the mode protects; where the opponent is a stranger,
            the gap to it counts while this robot moves, faster than it may creep within the opponent's reach.
            At most 0: the promise of the mode was broken.
        robot, thing, time: (N,) int64, int64, float64: whose margin, to what (0 to 3 walls, 4 + i obstacles,
            -1 the other robot), when [s].
        lack: (N,) by how much [m] the start was not admissible; 0: admissible.
    """

    margin: NDArray[np.float64]
    robot: NDArray[np.int64]
    thing: NDArray[np.int64]
    time: NDArray[np.float64]
    lack: NDArray[np.float64]


@njit(cache=True, nogil=True)
def _lack(
    own: NDArray[np.float64],
    other: NDArray[np.float64],
    half_side: float,
    obstacles: NDArray[np.float64],
    count: int,
    model: NDArray[np.float64],
    rival: NDArray[np.float64],
    parameters: NDArray[np.float64],
    sigma: NDArray[np.float64],
    rival_sigma: NDArray[np.float64],
    age: float,
    dt: float,
    budget: NDArray[np.float64],
    h: NDArray[np.float64],
    margins: NDArray[np.float64],
) -> tuple[float, float, float]:
    """By how much [m] a robot that sees itself at ``own``, at rest, lacks its filter's margins at most (0: nowhere),
    and the direction (unit) that would mend it: both its control point and its body must keep d + margin."""
    write_budget(
        model,
        rival,
        parameters,
        (sigma[0], sigma[1]),
        (rival_sigma[0], rival_sigma[1]),
        np.zeros(PENDING_SIZE),
        age,
        dt,
        budget,
    )
    barriers = barrier_values(own, other, True, half_side, obstacles, count, model, rival, budget, h, margins)
    d = model[VCP_OFFSET]
    qx, qy = own[0] + d * math.cos(own[2]), own[1] + d * math.sin(own[2])
    worst, ux, uy = 0.0, 0.0, 0.0
    for k in range(barriers):
        keep = model[RADIUS] + d + margins[k] + (rival[RADIUS] if k == 4 + count else 0.0)
        # Of the control point, and of the body.
        for px, py in ((qx, qy), (own[0], own[1])):
            nx, ny, rho, radius = facing(px, py, k, half_side, obstacles, count, other)
            if keep + radius - rho > worst:
                worst, ux, uy = keep + radius - rho, nx, ny
    return worst, ux, uy


@njit(cache=True, nogil=True)
def play_cases(
    settle: bool,
    start: NDArray[np.float64],
    half_side: NDArray[np.float64],
    obstacles: NDArray[np.float64],
    obstacle_count: NDArray[np.int64],
    models: NDArray[np.float64],
    acceleration: NDArray[np.float64],
    nominal: NDArray[np.float64],
    gain: NDArray[np.float64],
    delay: NDArray[np.float64],
    lag: NDArray[np.float64],
    errors: NDArray[np.float64],
    sigma: NDArray[np.float64],
    age: NDArray[np.int64],
    parameters: NDArray[np.float64],
    filtered: NDArray[np.bool_],
    stranger: bool,
    steps: int,
    history: int,
    dt: float,
    margin: NDArray[np.float64],
    robot: NDArray[np.int64],
    thing: NDArray[np.int64],
    time: NDArray[np.float64],
    lack: NDArray[np.float64],
    track: NDArray[np.float64],
) -> None:
    """Play every case; arguments as in :class:`Cases` and :class:`Outcomes`.

    ``settle`` pushes a start that is not admissible, in place, until it is.  A case whose start is not admissible is
    not played: margin = 1 + lack.  ``track`` (N or 0, steps + 1, 2, 5) receives the true states.
    """
    n_cases, knots = start.shape[0], nominal.shape[1]
    states = np.zeros((n_cases, 2, 5))
    sent = np.zeros((n_cases, 2, history, 2))
    acting = np.zeros((n_cases, 2, history, 2))
    oldest = 1
    for n in range(n_cases):
        for k in range(knots):
            oldest = max(oldest, age[n, k, 0] + 1, age[n, k, 1] + 1)
    seen = np.zeros((n_cases, 2, oldest, 5))
    deviations = np.zeros((n_cases, 2, oldest, 2))
    plants = models.copy()
    gains = np.ones((n_cases, 2, 2))
    done = np.zeros(n_cases, np.int64)
    captured = np.zeros(n_cases, np.bool_)
    sampled = np.full(n_cases, math.inf)
    violations = np.zeros(n_cases, np.int64)
    counts = np.zeros((n_cases, 2, COUNTS), np.int64)
    corrections = np.zeros((n_cases, 2, 2))
    budget, h, margins = np.empty(BUDGET_SIZE), np.empty(BARRIERS_MAX), np.empty(BARRIERS_MAX)
    active = np.empty(1, np.int64)
    actions = np.empty((1, 2, 2))
    ages = np.empty((1, 2), np.int64)
    before = np.empty((2, 5))
    stretch = 1.0 + parameters[0, GAIN_ERROR]
    for n in range(n_cases):
        active[0] = n
        count = obstacle_count[n]
        there = obstacles[n, 1]
        for push in range(_PUSHES):
            states[n, :, :3] = start[n]
            observe(
                states[n], sent[n], models[n], half_side[n, 1], there, count, errors[n, 0], sigma[n, 0], dt, True,
                seen[n], deviations[n],
            )  # fmt: skip
            worst = 0.0
            for r in range(2):
                if not filtered[r]:
                    continue
                missing, ux, uy = _lack(
                    seen[n, r, 0], seen[n, 1 - r, 0], half_side[n, 0], obstacles[n, 0], count, models[n, r],
                    models[n, 1 - r], parameters[r], sigma[n, 0, r], sigma[n, 0, 1 - r], age[n, 0, r] * dt, dt,
                    budget, h, margins,
                )  # fmt: skip
                worst = max(worst, missing)
                if settle and missing > 0.0 and push < _PUSHES - 1:
                    start[n, r, 0] += (missing + _SPARE) * ux
                    start[n, r, 1] += (missing + _SPARE) * uy
            if worst == 0.0 or not settle:
                break
        lack[n] = worst
        margin[n], robot[n], thing[n], time[n] = 1.0 + worst, 0, 0, 0.0
        if worst > 0.0:
            continue
        margin[n] = math.inf
        if len(track):
            track[n, 0] = states[n]
        for step in range(steps):
            knot = step * knots // steps
            for r in range(2):
                actions[0, r, 0], actions[0, r, 1] = nominal_action(
                    nominal[n, knot, r], states[n, r], states[n, 1 - r], models[n, r], models[n, 1 - r],
                    half_side[n, 1], there, count, step,
                )  # fmt: skip
                gains[n, r] = gain[n, knot, r]
                plants[n, r, DELAY], plants[n, r, LAG] = delay[n, knot, r], lag[n, knot, r]
                plants[n, r, -1] = acceleration[n, r]
                ages[0, r] = min(age[n, knot, r], step)
            before[:] = states[n]
            step_games(
                active, states, sent, acting, actions, half_side, obstacles, obstacle_count, models, plants, gains,
                parameters, filtered, 0.0, dt, True, seen, deviations, ages, done, captured, sampled, violations,
                counts, corrections,
            )  # fmt: skip
            _judge(
                before, states[n], acting[n], plants[n], models[n], half_side[n, 1], there, count, filtered,
                stranger, stretch, step * dt, dt, n, margin, robot, thing, time,
            )  # fmt: skip
            knot = min((step + 1) * knots // steps, knots - 1)
            observe(
                states[n], sent[n], models[n], half_side[n, 1], there, count, errors[n, knot], sigma[n, knot], dt,
                False, seen[n], deviations[n],
            )  # fmt: skip
            if len(track):
                track[n, step + 1] = states[n]


@njit(cache=True, nogil=True)
def _judge(
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    acting: NDArray[np.float64],
    plants: NDArray[np.float64],
    models: NDArray[np.float64],
    half_side: float,
    obstacles: NDArray[np.float64],
    count: int,
    filtered: NDArray[np.bool_],
    stranger: bool,
    stretch: float,
    begin: float,
    dt: float,
    n: int,
    margin: NDArray[np.float64],
    robot: NDArray[np.int64],
    thing: NDArray[np.int64],
    time: NDArray[np.float64],
) -> None:
    """Update the smallest margin of case ``n`` over one period, from ``before`` (2, 5), which is used up."""
    # No two bodies come nearer than this within the period.
    way = 0.0
    for r in range(2):
        way += _STRETCH * max(models[r, V_MAX], -models[r, V_MIN]) * dt
    for part in range(1, _PARTS + 1):
        last = part == _PARTS
        for r in range(2):
            if last:
                before[r] = after[r]
            else:
                piece = dt / _PARTS
                advance(before[r], acting[r], plants[r], dt, (part - 1) * piece, piece)
        closest = math.inf
        for r in range(2):
            if not filtered[r]:
                continue
            value, what, _, _ = nearest_thing(
                before[r], before[1 - r], models[r, RADIUS], models[1 - r, RADIUS], half_side, obstacles, count,
                not stranger,
            )  # fmt: skip
            if stranger:
                gap = math.hypot(before[r, 0] - before[1 - r, 0], before[r, 1] - before[1 - r, 1])
                gap -= models[r, RADIUS] + models[1 - r, RADIUS]
                speed = max(models[r, V_MAX], -models[r, V_MIN])
                creep = max(CREEP * speed, 1.01 * models[r, V_QUANTUM])
                if gap < value and abs(before[r, 3]) > stretch * creep + _REST * speed:
                    value, what = gap, OPPONENT
            closest = min(closest, value)
            if value < margin[n]:
                margin[n], robot[n], thing[n], time[n] = value, r, what, begin + part * dt / _PARTS
        if part == 1 and not stranger and closest > max(margin[n], 0.0) + way:
            return


@dataclasses.dataclass(frozen=True)
class Rules:
    """How cases are played: parameters (2, .) of both filters, which are on, the number of steps, the period [s]."""

    parameters: NDArray[np.float64]
    filtered: tuple[bool, bool]
    stranger: bool
    steps: int
    dt: float


def play(cases: Cases, rules: Rules, settle: bool = False, workers: int = 1) -> Outcomes:
    """Play ``cases``; ``settle`` first moves starts that are not admissible, in place."""
    return _play(cases, rules, settle, workers, np.zeros((0, 0, 2, 5)))


def trajectories(cases: Cases, rules: Rules) -> NDArray[np.float64]:
    """True states (N, steps + 1, 2, 5)."""
    track = np.zeros((len(cases), rules.steps + 1, 2, 5))
    _play(cases, rules, False, 1, track)
    return track


def _play(cases: Cases, rules: Rules, settle: bool, workers: int, track: NDArray[np.float64]) -> Outcomes:
    n = len(cases)
    out = Outcomes(np.zeros(n), np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(n), np.zeros(n))
    history = history_rows(cases.models, rules.parameters, rules.dt)
    history = max(history, math.ceil(float(cases.delay.max()) / rules.dt) + 3)
    filtered = np.array(rules.filtered)

    def run(rows: slice) -> None:
        part = cases.part(rows)
        play_cases(
            settle, part.start, part.half_side, part.obstacles, part.obstacle_count, part.models, part.acceleration,
            part.nominal, part.gain, part.delay, part.lag, part.errors, part.sigma, part.age, rules.parameters,
            filtered, rules.stranger, rules.steps, history, rules.dt, out.margin[rows],
            out.robot[rows], out.thing[rows], out.time[rows], out.lack[rows], track[rows] if len(track) else track,
        )  # fmt: skip

    edges = np.linspace(0, n, min(workers, n) + 1).astype(int) if n else np.zeros(1, int)
    chunks = [slice(int(low), int(high)) for low, high in zip(edges[:-1], edges[1:], strict=True)]
    if len(chunks) == 1:
        run(chunks[0])
    else:
        with ThreadPoolExecutor(len(chunks)) as pool:
            list(pool.map(run, chunks))
    return out

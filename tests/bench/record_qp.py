"""Record the QPs of the safety filter in closed loop: ``python -m tests.bench.record_qp`` writes data/recorded_qp.npz.

Scripted pursuers and evaders of several kinds with exploration noise on their actions, all behind the filter.  Of
all control steps of both robots whose QP has a solution, a row beside the bounds and at most ``ROWS`` rows, the same
number is drawn where the nominal command breaks a row and where it does not.  Shorter problems are filled up with
unit rows 10 from the origin, which never bind (zero rows, which would do as well, make qpth fail).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from pe_core.robot import command_from_action
from pe_core.scenario import sample_layout
from pe_evaluation.evaluate import Match, prepare
from pe_safety.barriers import BARRIERS_MAX, ROWS_MAX, barrier_values, bound_rows
from pe_safety.budget import SIZE, write_budget
from pe_safety.closed_loop import Games
from pe_safety.filter import CERTAIN
from pe_safety.pending import PENDING_SIZE
from pe_safety.rows import barrier_rows, body_rows

ROWS = 12
KEPT = 2048
EPISODES = 24
EXPLORATION = 0.5
ANGLES = np.arange(ROWS_MAX)
FILLING = np.column_stack([np.cos(ANGLES), np.sin(ANGLES)])
MATCHES = [(p, e) for p in ("lead", "pure") for e in ("lookahead", "flee", "random", "boundary", "hider")]
FILE = Path(__file__).parent / "data" / "recorded_qp.npz"

Problem = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def record(pursuer: str, evader: str) -> tuple[list[Problem], list[Problem]]:
    """Problems (g, b, nominal) whose nominal command obeys every row, and those whose nominal command does not."""
    setup = prepare(Match(pursuer, evader, seed=1))
    assert setup.parameters is not None
    layouts = [
        sample_layout(setup.scenario, setup.config, *setup.robots, 1, episode) for episode in range(EPISODES)
    ]
    games = Games(layouts, setup.config, setup.robots, setup.parameters)
    models = [robot.as_array() for robot in setup.robots]
    parameters = setup.parameters[0].as_array(setup.config.dt)
    rng = np.random.default_rng(0)
    kept: tuple[list[Problem], list[Problem]] = ([], [])
    h, margins, owner = np.empty(BARRIERS_MAX), np.empty(BARRIERS_MAX), np.empty(ROWS_MAX, np.int64)
    budget, undisturbed, pending = np.empty(SIZE), np.zeros((3, 4)), np.zeros(PENDING_SIZE)
    while len(games.active):
        actions = np.empty((len(games.active), 2, 2))
        for role, policy in enumerate(setup.policies):
            drawn = rng.random((len(games.active), max(policy.schema.noise_size, 1)))
            actions[:, role] = policy.act(games.observe(role), drawn)
        actions = np.clip(actions + EXPLORATION * rng.standard_normal(actions.shape), -1.0, 1.0)
        for k, n in enumerate(games.active):
            for role in (0, 1):
                model, other = models[role], models[1 - role]
                own, opponent = games.states[n, role], games.states[n, 1 - role]
                count = int(games.obstacle_count[n])
                scene = (own, opponent, True, setup.config.half_side, games.obstacles[n, 0], count, model, other)
                write_budget(model, other, parameters, CERTAIN, CERTAIN, pending, 0.0, setup.config.dt, budget)
                barrier_values(*scene, budget, h, margins)
                g, b = np.zeros((ROWS_MAX, 2)), np.ones(ROWS_MAX)
                values = (parameters, budget, undisturbed, setup.config.dt, h)
                bounds = bound_rows(model, g, b)
                hard = body_rows(*scene, *values, g, b, bounds)
                rows = barrier_rows(*scene, *values, margins, g, b, owner, hard)
                if bounds < rows <= ROWS and _feasible(g, b):
                    g[rows:], b[rows:] = FILLING[: ROWS_MAX - rows], 10.0
                    nominal = np.array(command_from_action(*actions[k, role], model))
                    problem = (g[:ROWS], b[:ROWS], nominal)
                    kept[int((g @ nominal > b + 1e-9).any())].append(problem)
        games.step(actions)
    return kept


def _feasible(g: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    """Judged by HiGHS, not by the solver that is to be measured."""
    if (b >= 0.0).all():
        return True
    return linprog([0.0, 0.0], A_ub=g, b_ub=b, bounds=(None, None), method="highs").status == 0


def main() -> None:
    """Write the file."""
    free: list[Problem] = []
    bound: list[Problem] = []
    for match in MATCHES:
        without, with_correction = record(*match)
        print(*match, len(without), len(with_correction))
        free += without
        bound += with_correction
    rng = np.random.default_rng(0)
    chosen = [each[i] for each in (free, bound) for i in rng.choice(len(each), KEPT // 2, replace=False)]
    order = rng.permutation(KEPT)
    g, b, nominal = (np.stack([problem[part] for problem in chosen])[order] for part in range(3))
    np.savez_compressed(FILE, g=g, b=b, nominal=nominal)
    print(f"{len(free)} + {len(bound)} problems seen, {KEPT} kept: {FILE.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()

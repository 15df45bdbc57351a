"""The closest command of a robot with a resolution, by trying all that it has.

A command of the robot is a pair of multiples of its quanta within its limits.  All of them are listed, sorted by

    w_v (v - v_asked)^2 + w_omega (omega - omega_asked)^2,

and the first that meets every row is the closest.  Where one of v and omega has no resolution the candidates of each
multiple of the other are what is asked and where the rows end: the optimum on a line is one of these.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from pe_core.robot import RobotModel
from pe_evaluation.audit.programme import Matrix, Pair

COMMANDS_MOST = 1_000_000
"""Pairs of multiples that are tried at most."""
ROUNDING = 1e-12
"""By how much [m/s] a multiple may exceed a row, and the relative difference of two distances that are the same."""
_CHUNK = 256


def is_coarse(robot: RobotModel) -> bool:
    """Whether its commands have a resolution."""
    return robot.v_quantum > 0.0 or robot.omega_quantum > 0.0


def is_countable(robot: RobotModel) -> bool:
    """Whether its commands are few enough to try all."""
    speeds = (robot.v_max - robot.v_min) / robot.v_quantum if robot.v_quantum > 0.0 else 1.0
    rates = 2.0 * robot.omega_max / robot.omega_quantum if robot.omega_quantum > 0.0 else 1.0
    return (speeds + 1.0) * (rates + 1.0) <= COMMANDS_MOST


def _multiples(low: float, high: float, quantum: float) -> Matrix:
    return quantum * np.arange(math.ceil(low / quantum - 1e-9), math.floor(high / quantum + 1e-9) + 1)


@functools.lru_cache(maxsize=8)
def _pairs(robot: RobotModel) -> Matrix:
    """Every pair of multiples within v's and omega's limits (n, 2); the wheels' limits are among the rows."""
    speeds = _multiples(robot.v_min, robot.v_max, robot.v_quantum)
    rates = _multiples(-robot.omega_max, robot.omega_max, robot.omega_quantum)
    return np.stack(np.meshgrid(speeds, rates, indexing="ij"), axis=-1).reshape(-1, 2)


def _candidates(g: Matrix, b: Matrix, asked: Pair, robot: RobotModel) -> Matrix:
    if robot.v_quantum > 0.0 and robot.omega_quantum > 0.0:
        return _pairs(robot)
    axis = 0 if robot.v_quantum > 0.0 else 1
    if axis == 0:
        values = _multiples(robot.v_min, robot.v_max, robot.v_quantum)
    else:
        values = _multiples(-robot.omega_max, robot.omega_max, robot.omega_quantum)
    crossed = np.flatnonzero(g[:, 1 - axis])
    # A slope of 1e-300 ends a row nowhere.
    with np.errstate(over="ignore"):
        ends = (b[crossed] - values[:, None] * g[crossed, axis]) / g[crossed, 1 - axis]
    others = np.column_stack([np.full(len(values), asked[1 - axis]), np.nan_to_num(ends, posinf=1e9, neginf=-1e9)])
    found = np.empty((*others.shape, 2))
    found[..., axis], found[..., 1 - axis] = values[:, None], others
    return found.reshape(-1, 2)


def closest_multiple(
    g: Matrix,
    b: Matrix,
    asked: Pair,
    weights: Pair,
    robot: RobotModel,
    prefer: Pair | None = None,
    blur: float = 0.0,
) -> Pair | None:
    """The command of ``robot`` nearest to ``asked`` that meets every row; None where there is none.

    Of those that are equally near but for rounding, or but for ``blur`` [m/s, rad/s] by which ``asked`` itself is
    uncertain, the one at ``prefer``.
    """
    candidates = _candidates(g, b, asked, robot)
    root = np.sqrt(np.array(weights))
    distance = np.hypot(*((candidates - np.array(asked)) * root).T)
    order = np.argsort(distance, kind="stable")
    best: Pair | None = None
    limit = math.inf
    for start in range(0, len(order), _CHUNK):
        chunk = order[start : start + _CHUNK]
        if distance[chunk[0]] > limit:
            break
        for i in chunk[_met(g, b, candidates[chunk])]:
            u = float(candidates[i, 0]), float(candidates[i, 1])
            if distance[i] > limit:
                break
            if best is None:
                best, limit = u, distance[i] * (1.0 + ROUNDING) + 2.0 * blur * math.hypot(*root)
                if prefer is None:
                    return best
            elif prefer is not None and math.dist(u, prefer) < math.dist(best, prefer):
                best = u
    return best


def _met(g: Matrix, b: Matrix, commands: Matrix) -> Matrix:
    """Which of the commands (n, 2) meet every row."""
    return np.asarray((commands @ g.T <= b + ROUNDING).all(axis=1))

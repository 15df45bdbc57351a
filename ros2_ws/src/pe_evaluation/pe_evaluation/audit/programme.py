"""The quadratic program of two variables by enumeration, and the least slack by linear programming.

    minimise  w_v (v - v_nom)^2 + w_omega (omega - omega_nom)^2    subject to    G u <= b

Strictly convex, so the minimum has no active row, one or two: it is the nominal command, its projection on the line of
one row, or the point where the lines of two rows meet.  All of them are tried; the cheapest that meets every row is
the minimum.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from pe_evaluation.audit.constraints import Row

Pair = tuple[float, float]
Matrix = NDArray[np.float64]
MET = 1e-10
"""How far a row may be exceeded by rounding: [m/s], of one with a small coefficient as much less."""


def arrays(rows: Sequence[Row]) -> tuple[Matrix, Matrix]:
    """G (m, 2) and b (m,)."""
    return np.array([[row.v, row.omega] for row in rows]), np.array([row.limit for row in rows])


def excess(g: Matrix, b: Matrix, u: Pair) -> float:
    """By how much ``u`` exceeds the row that it exceeds most [m/s]; negative inside."""
    return float(np.max(g @ np.array(u) - b, initial=-math.inf))


def _sizes(g: Matrix) -> Matrix:
    """|g| of every row, at most 1: that the robot hardly moves in a row's direction does not make it a weak row."""
    size = np.hypot(g[:, 0], g[:, 1])
    return np.where(size > 0.0, np.minimum(size, 1.0), 1.0)


def met(g: Matrix, b: Matrix, u: Pair) -> bool:
    """Whether ``u`` meets every row, but for rounding."""
    return bool((g @ np.array(u) - b <= MET * _sizes(g)).all())


def closest(g: Matrix, b: Matrix, nominal: Pair, weights: Pair) -> Pair | None:
    """The command nearest to ``nominal`` that meets every row; None where there is none."""
    if met(g, b, nominal):
        return nominal
    root = np.sqrt(np.array(weights))
    point = np.array(nominal) * root
    # In the scaled variable y = W^(1/2) u distances are Euclidean; equal rows count once.
    scaled = np.unique(np.column_stack([g / root, b]), axis=0)
    a, c = scaled[:, :2], scaled[:, 2]
    length = (a**2).sum(axis=1)
    a, c, length = a[length > 0.0], c[length > 0.0], length[length > 0.0]
    projections = point - ((a @ point - c) / length)[:, None] * a
    first, second = np.triu_indices(len(a), 1)
    determinant = a[first, 0] * a[second, 1] - a[first, 1] * a[second, 0]
    crossing = np.abs(determinant) > 1e-12 * np.sqrt(length[first] * length[second])
    first, second, determinant = first[crossing], second[crossing], determinant[crossing]
    vertices = (
        np.column_stack(
            [
                c[first] * a[second, 1] - c[second] * a[first, 1],
                c[second] * a[first, 0] - c[first] * a[second, 0],
            ]
        )
        / determinant[:, None]
    )
    candidates = np.vstack([projections, vertices])
    cost = ((candidates - point) ** 2).sum(axis=1)
    for i in np.argsort(cost, kind="stable"):
        u = candidates[i] / root
        if met(g, b, (u[0], u[1])):
            return float(u[0]), float(u[1])
    return None


def least_slack(g: Matrix, b: Matrix, soft: Sequence[int]) -> float | None:
    """The least s >= 0 [m/s] with G u <= b + s on the rows ``soft``, and G u <= b on the others; None without any."""
    size, column = _sizes(g), np.zeros((len(b), 1))
    column[list(soft)] = -1.0
    rows = np.hstack([g, column]) / size[:, None]
    solution = linprog(
        [0.0, 0.0, 1.0], A_ub=rows, b_ub=b / size, bounds=[(None, None), (None, None), (0.0, None)],
        method="highs-ds", options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )  # fmt: skip
    return float(solution.x[2]) if solution.success else None

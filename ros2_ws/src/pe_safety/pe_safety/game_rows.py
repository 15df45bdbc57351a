r"""The safety QP's rows of many games at once, for learning through the QP: what the filter will be given, in
actions.

Of robot ``role`` of each game, in the state before :func:`pe_safety.closed_loop.step_games`, with the same
prediction, margins and age of the opponent's state.  The filter's row g_v v + g_omega omega <= b [m/s] becomes, for
the action u = (v / v_max, omega / omega_max) and speeds over v_max,

    g_v u_1 + (g_omega omega_max / v_max) u_2 <= b / v_max

Left out are rows that no command in the box can break, not even where b > 0 is multiplied by ``least_share``
(:func:`pe_safety.barrier_net.shared_budgets`): the bounds are rows themselves, so that the solution is the same.
The QP's weights are those of :func:`pe_safety.barrier_net.action_weights` for the limits of that robot.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pe_core.plant import stopping_pose
from pe_core.robot import LAG, OMEGA_MAX, V_MAX, V_MIN
from pe_safety.barriers import BARRIERS_MAX, ROWS_MAX, barrier_values, bound_rows
from pe_safety.budget import SIZE as BUDGET_SIZE
from pe_safety.pending import PENDING_SIZE
from pe_safety.rows import barrier_rows, body_rows
from pe_safety.sight import write_sight

ROWS = 32
"""More rows than any game of the profiles and their drawn worlds has been seen to have (22)."""


@njit(cache=True, nogil=True)
def rows_of_games(
    role: int,
    active: NDArray[np.int64],
    states: NDArray[np.float64],
    sent: NDArray[np.float64],
    half_side: NDArray[np.float64],
    obstacles: NDArray[np.float64],
    obstacle_count: NDArray[np.int64],
    models: NDArray[np.float64],
    parameters: NDArray[np.float64],
    dt: float,
    randomised: bool,
    seen: NDArray[np.float64],
    deviations: NDArray[np.float64],
    ages: NDArray[np.int64],
    least_share: float,
    g: NDArray[np.float64],
    b: NDArray[np.float64],
    barrier: NDArray[np.bool_],
) -> int:
    """Write the rows of robot ``role`` in the games ``active`` (k,).

    Args:
        states, sent, half_side, obstacles, obstacle_count, models, parameters, dt, randomised, seen, deviations:
            as in :func:`pe_safety.closed_loop.step_games`.
        ages: (k, 2), as there.
        least_share: the smallest number by which right-hand sides will be multiplied, in (0, 1].
        g, b: written, (k, M, 2) and (k, M), dimensionless; a row that is not there is 0 with the right-hand side +inf.
        barrier: written, (k, M): rows of barriers and bodies, not of bounds.

    Returns:
        How many games have more rows than M; theirs are not complete.
    """
    budget, pending = np.empty(BUDGET_SIZE), np.empty(PENDING_SIZE)
    ahead, pose, undisturbed = np.empty(5), np.empty(5), np.zeros((3, 4))
    h, margins = np.empty(BARRIERS_MAX), np.empty(BARRIERS_MAX)
    rows, right, owner = np.empty((ROWS_MAX, 2)), np.empty(ROWS_MAX), np.empty(ROWS_MAX, np.int64)
    most, crowded = b.shape[1], 0
    for k in range(active.shape[0]):
        n = active[k]
        model, rival, arena = models[n, role], models[n, 1 - role], half_side[n, 0]
        discs, discs_count = obstacles[n, 0], obstacle_count[n]
        other = write_sight(
            n, role, ages[k, role] if randomised else 0, states, sent, models, parameters, dt, randomised, seen,
            deviations, pending, budget, ahead,
        )  # fmt: skip
        stopping_pose(ahead, model[LAG], pose)
        barrier_values(pose, other, True, arena, discs, discs_count, model, rival, budget, h, margins)
        bounds = bound_rows(model, rows, right)
        bodies = body_rows(
            pose, other, True, arena, discs, discs_count, model, rival, parameters[role], budget, undisturbed, dt, h,
            rows, right, bounds, least_share,
        )  # fmt: skip
        count = barrier_rows(
            pose, other, True, arena, discs, discs_count, model, rival, parameters[role], budget, undisturbed, dt, h,
            margins, rows, right, owner, bodies, least_share,
        )  # fmt: skip
        speed, turn = model[V_MAX], model[OMEGA_MAX]
        used = 0
        for row in range(count):
            limit = right[row]
            if row >= bounds:
                reach = max(rows[row, 0] * speed, rows[row, 0] * model[V_MIN]) + abs(rows[row, 1]) * turn
                if (least_share * limit if limit > 0.0 else limit) >= reach:
                    continue
            if used == most:
                crowded += 1
                break
            g[k, used, 0], g[k, used, 1] = rows[row, 0], rows[row, 1] * turn / speed
            b[k, used] = limit / speed
            barrier[k, used] = row >= bounds
            used += 1
        for row in range(used, most):
            g[k, row, 0], g[k, row, 1], b[k, row], barrier[k, row] = 0.0, 0.0, np.inf, False
    return crowded

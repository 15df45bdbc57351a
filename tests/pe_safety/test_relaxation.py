"""Relaxation by priority against lexicographic linear programs (HiGHS), level by level, on any rows."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from pe_safety.barriers import ROWS_MAX, bound_rows
from pe_safety.ladder import _relax
from tests.support.safety_states import ROBOT

OBSTACLES = 2
OWNERS = {0: range(4), 1: range(4, 4 + OBSTACLES), 2: range(4 + OBSTACLES, 5 + OBSTACLES)}
# The ladder's order: the opponent's barrier, the walls', the obstacles'.
ORDER = (2, 0, 1)

# In 64ths: a coefficient of 1e-9 divides a program with a tolerance from one without.
share = st.integers(-64, 64).map(lambda n: n / 64.0)
row = st.tuples(
    share, share.map(lambda x: 0.25 * x), share.map(lambda x: 0.5 * x), st.integers(0, 4 + OBSTACLES)
)


def lexicographic(
    g: np.ndarray, b: np.ndarray, owner: np.ndarray, bounds: int
) -> tuple[list[float], np.ndarray]:
    """Least slack of each level by a linear program, and the right-hand sides with all of them."""
    used = [i for i in range(len(b)) if i < bounds or b[i] >= 0.0]
    relaxed, slacks = b.copy(), []
    for level in ORDER:
        mine = [i for i in range(bounds, len(b)) if b[i] < 0.0 and owner[i] in OWNERS[level]]
        if not mine:
            continue
        a = np.column_stack([g[[*used, *mine]], [0.0] * len(used) + [-1.0] * len(mine)])
        free = [(None, None), (None, None), (0, None)]
        solved = linprog([0, 0, 1], a, relaxed[[*used, *mine]], bounds=free)
        assert solved.status == 0
        slacks.append(solved.x[2])
        relaxed[mine] += solved.x[2] + 1e-9
        used += mine
    return slacks, relaxed


@settings(max_examples=200)
@given(st.lists(row, min_size=1, max_size=12), st.floats(0.0, 1.0), st.floats(-2.8, 2.8))
def test_slack_is_the_least_of_every_level(
    drawn: list[tuple[float, float, float, int]], v: float, w: float
) -> None:
    g, b = np.zeros((ROWS_MAX, 2)), np.zeros(ROWS_MAX)
    owner = np.full(ROWS_MAX, -1, np.int64)
    bounds = bound_rows(ROBOT.as_array(), g, b)
    rows = bounds + len(drawn)
    for i, (per_v, per_omega, limit, belongs) in enumerate(drawn):
        # A barrier's row has a direction.
        per_v = per_v if max(abs(per_v), abs(per_omega)) > 0.0 else 0.5
        g[bounds + i], b[bounds + i], owner[bounds + i] = (per_v, per_omega), limit, belongs
    found_v, found_w, slack, solved = _relax(g, b, owner, bounds, rows, OBSTACLES, 12.25, 1.0, v, w)
    assert solved
    slacks, relaxed = lexicographic(g[:rows], b[:rows], owner[:rows], bounds)
    assert abs(slack - max(slacks, default=0.0)) < 1e-6
    # What is kept is kept, and every level at its own least.
    excess = g[:rows] @ (found_v, found_w) - relaxed
    assert excess.max() < 1e-6

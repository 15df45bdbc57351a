"""The safety QP over the commands that a robot with a resolution can execute, solved exactly.

    minimise    w_v (v - v_a)^2 + w_omega (omega - omega_a)^2
    subject to  G u <= b,  v a multiple of v_quantum,  omega a multiple of omega_quantum

(v_a, omega_a) is what is asked, not the optimum of the continuous QP: the multiple nearest to that optimum is in
general neither the closest to what was asked nor, where the polygon is thin, there at all.

The multiples of the speed are columns.  The rows leave an interval of turn rates in each, and its best command is the
multiple in the interval that is nearest to omega_a.  The interval's least cost with any turn rate,

    C(v) = w_v (v - v_a)^2 + w_omega dist(omega_a, interval(v))^2,

is convex in v, and no multiple of the column is cheaper.  So columns are visited outward from a start, to either side
until C(v) reaches the best cost so far: where C still falls, all columns before were dearer, and where it rises all
behind are.  While there is no best, to the end of the robot's speeds, so that none is found only where there is none.
From the continuous optimum, where C is least, that takes the fewest columns.  Where the turn rate alone has a
resolution, columns are turn rates; what has none takes any value.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pe_core.robot import OMEGA_MAX, OMEGA_QUANTUM, V_MAX, V_MIN, V_QUANTUM, truncate
from pe_safety.parameters import WEIGHT_OMEGA, WEIGHT_V

# By how much [m/s] rounding may exceed a row.
MET = 1e-12
# Columns to either side of the start: all that there are with a v_quantum of 1 mm/s.  A finer one, which no robot has,
# would take minutes; its search may end before the closest, and where it found none the robot stands.
COLUMNS_MAX = 4096


@njit(cache=True, error_model="numpy")
def closest_multiple(
    g: NDArray[np.float64],
    b: NDArray[np.float64],
    rows: int,
    asked_v: float,
    asked_omega: float,
    start_v: float,
    start_omega: float,
    parameters: NDArray[np.float64],
    model: NDArray[np.float64],
) -> tuple[float, float, bool]:
    """The executable command closest to the asked one that meets every row; see the module docstring.

    Args:
        g, b, rows: G (m, 2), b (m,) [m/s] and how many of them count; the robot's bounds are among them.
        asked_v, asked_omega: the command to be close to [m/s, rad/s].
        start_v, start_omega: where to begin, within the robot's limits; the result does not depend on it.
        parameters: ``SafetyParameters.as_array()``.
        model: ``RobotModel.as_array()`` with a resolution of v, of omega or of both.

    Returns:
        v, omega as ``truncate`` returns them, and whether there is one; 0, 0 where there is none.
    """
    if model[V_QUANTUM] > 0.0:
        axis, quantum, step = 0, model[V_QUANTUM], model[OMEGA_QUANTUM]
        asked, beside, start = asked_v, asked_omega, start_v
        weight, weight_beside = parameters[WEIGHT_V], parameters[WEIGHT_OMEGA]
        lowest, highest = model[V_MIN], model[V_MAX]
    else:
        axis, quantum, step = 1, model[OMEGA_QUANTUM], 0.0
        asked, beside, start = asked_omega, asked_v, start_omega
        weight, weight_beside = parameters[WEIGHT_OMEGA], parameters[WEIGHT_V]
        lowest, highest = -model[OMEGA_MAX], model[OMEGA_MAX]
    first = np.floor(start / quantum + 1e-9)
    best, best_x, best_y = math.inf, 0.0, 0.0
    for side in (-1.0, 1.0):
        n = first if side < 0.0 else first + 1.0
        for _ in range(COLUMNS_MAX):
            x = truncate(n * quantum, quantum)
            if side * x > side * (lowest if side < 0.0 else highest) + MET:
                break
            n += side
            low, high = _interval(g, b, rows, axis, x, MET)
            apart = max(low - beside, beside - high, 0.0)
            least = weight * (x - asked) ** 2 + weight_beside * apart**2
            if least >= best:
                if best < math.inf:
                    break
                continue
            y, found = _nearest(g, b, rows, axis, x, low, high, beside, step)
            cost = weight * (x - asked) ** 2 + weight_beside * (y - beside) ** 2
            if found and cost < best:
                best, best_x, best_y = cost, x, y
    if best == math.inf:
        return 0.0, 0.0, _meets(g, b, rows, 0, 0.0, 0.0)
    v, omega = (best_x, best_y) if axis == 0 else (best_y, best_x)
    # Not scaled to the wheels' limit, which rounding may exceed: 0.02 (1 - eps) is 0.01 to a driver.
    v = min(max(v, model[V_MIN]), model[V_MAX])
    omega = min(max(omega, -model[OMEGA_MAX]), model[OMEGA_MAX])
    return v, omega, True


@njit(cache=True, error_model="numpy")
def _interval(
    g: NDArray[np.float64], b: NDArray[np.float64], rows: int, axis: int, x: float, tolerance: float
) -> tuple[float, float]:
    """What the rows leave of the other unknown where that of ``axis`` is x; (inf, -inf) where one without it fails."""
    low, high = -math.inf, math.inf
    for row in range(rows):
        slope = g[row, 1 - axis]
        room = b[row] + tolerance - g[row, axis] * x
        if slope > 0.0:
            high = min(high, room / slope)
        elif slope < 0.0:
            low = max(low, room / slope)
        elif not room >= 0.0:
            return math.inf, -math.inf
    return low, high


@njit(cache=True, error_model="numpy")
def _nearest(
    g: NDArray[np.float64],
    b: NDArray[np.float64],
    rows: int,
    axis: int,
    x: float,
    low: float,
    high: float,
    asked: float,
    step: float,
) -> tuple[float, bool]:
    """The multiple of ``step`` in [low, high] nearest to ``asked`` (any value where step is 0), and whether there is
    one."""
    if step <= 0.0:
        # Half of the tolerance is left for the rounding of this end, the other lets a slope of 1e-13 move nothing.
        low, high = _interval(g, b, rows, axis, x, 0.5 * MET)
        y = min(max(asked, low), high)
        return y, _meets(g, b, rows, axis, x, y)
    # The division may round a multiple out of the interval or into it: the rows themselves decide at its ends.
    last = np.floor(high / step) + 1.0
    first = np.ceil(low / step) - 1.0
    n = np.floor(asked / step + 1e-9)
    if (truncate((n + 1.0) * step, step) - asked) ** 2 < (truncate(n * step, step) - asked) ** 2:
        n += 1.0
    n = min(max(n, first), last)
    inward = -1.0 if n - first > last - n else 1.0
    for _ in range(3):
        if not first <= n <= last:
            break
        y = truncate(n * step, step)
        if _meets(g, b, rows, axis, x, y):
            return y, True
        n += inward
    return 0.0, False


@njit(cache=True, error_model="numpy")
def _meets(g: NDArray[np.float64], b: NDArray[np.float64], rows: int, axis: int, x: float, y: float) -> bool:
    for row in range(rows):
        if not g[row, axis] * x + g[row, 1 - axis] * y <= b[row] + MET:
            return False
    return True

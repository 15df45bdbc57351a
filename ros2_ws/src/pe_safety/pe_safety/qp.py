r"""The exact two-variable safety QP, compiled: scalar form and batch with closed-form gradient.

    minimise  1/2 sum_k w_k (u_k - u_nom_k)^2    subject to    G u <= b,    u in R^2

In the scaled variable y = W^(1/2) u this is the Euclidean projection of y_nom on a polygon.  Rows are taken one
at a time (Seidel's incremental scheme): while the optimum of the rows so far obeys the next row it stays; where
it does not, the new optimum lies on that row's line, and is the projection of y_nom on the line clamped to the
interval that the earlier rows leave.  At most two rows are active.  O(m) where nothing is violated, O(m^2) at
worst, no iteration, no tolerance to tune: comparisons allow for rounding alone.

Infeasible means that an interval is empty; then the row of the line and the two that bound the interval carry a
Farkas certificate: lambda >= 0, G^T lambda = 0, b^T lambda < 0 (:func:`farkas_certificate`).  Rows that are
parallel but for rounding count as parallel: a command that exists only dozens of times further out than the rows'
distances from the origin is not found.

Gradient, with a = W^(-1/2) g the active rows, s = a.a, mu = (a.y_nom - b) / s, and gbar = dL/dy:

    no active row    dL/dy_nom = gbar
    one              dL/dy_nom = P gbar,  P = I - a a^T / s;  nu = a.gbar / s = dL/db;  dL/da = -mu P gbar - nu y
    two, y = A^-1 b  dL/dy_nom = 0;       nu = A^-T gbar = dL/db;                       dL/dA = -nu y^T

which is the KKT system of the active rows, solved by hand.  On a change of the active set it is the one-sided
derivative on the side of the reported set.

Sources: Seidel 1991 (incremental linear programming); Amos and Kolter 2017 (gradients through a QP).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

OPTIMAL = 0
INFEASIBLE = 1

# Rounding of a sum of three products, with room; the gap that rounding may open between rows that meet in one
# point; and the sine under which two rows count as parallel.
ROUNDING = 32.0 * np.finfo(np.float64).eps
CONFLICT = 4096.0 * np.finfo(np.float64).eps
PARALLEL = 16.0 * np.finfo(np.float64).eps


@njit(cache=True, error_model="numpy")
def project(
    a: NDArray[np.float64], b: NDArray[np.float64], m: int, p0: float, p1: float
) -> tuple[float, float, int, int, int, int]:
    """Project (p0, p1) on {y : a[:m] y <= b[:m]}.

    Args:
        a: unit rows (m, 2), or zero rows for constraints without a variable.
        b: right-hand sides (m,).
        m: rows that count.
        p0, p1: the point.

    Returns:
        y0, y1, status, and row indices i, j, k (-1: none).  OPTIMAL: i, j are the active rows.
        INFEASIBLE: rows i, j, k contradict one another; a row or point that is not finite counts as
        infeasible too (b = +inf is a row that never binds).
    """
    y0, y1 = p0, p1
    first, second = -1, -1
    if not math.isfinite(p0 + p1):
        return y0, y1, INFEASIBLE, -1, -1, -1
    for i in range(m):
        c0, c1, ci = a[i, 0], a[i, 1], b[i]
        t0, t1 = c0 * y0, c1 * y1
        # At a violation within rounding |ci| is at most |t0| + |t1|.  NaN and -inf compare as violated.
        if t0 + t1 - ci <= ROUNDING * (abs(t0) + abs(t1)):
            continue
        if (c0 == 0.0 and c1 == 0.0) or not (math.isfinite(ci) and math.isfinite(c0 + c1)):
            return y0, y1, INFEASIBLE, i, -1, -1
        # The line c.y = ci as f + t d.  f is the foot of the origin, not of the point: a far point would leave
        # its rounding in every t.
        f0, f1 = ci * c0, ci * c1
        d0, d1 = -c1, c0
        low, high = -math.inf, math.inf
        low_row, high_row = -1, -1
        low_sine, high_sine = 1.0, 1.0
        for j in range(i):
            e0, e1, ej = a[j, 0], a[j, 1], b[j]
            sine = e0 * d0 + e1 * d1
            s0, s1 = e0 * f0, e1 * f1
            room = ej - (s0 + s1)
            if abs(sine) <= PARALLEL:
                if room < -CONFLICT * (abs(s0) + abs(s1) + abs(ej) + abs(ci)):
                    return y0, y1, INFEASIBLE, i, j, -1
                continue
            t = room / sine
            if sine > 0.0:
                if t < high:
                    high, high_row, high_sine = t, j, sine
            elif t > low:
                low, low_row, low_sine = t, j, -sine
        if low > high:
            # Rounding may open such a gap: the widest, measured as violation of the rows, decides.
            low, high, low_row, high_row = _widest_gap(a, b, i, f0, f1)
            low_sine = -(a[low_row, 0] * d0 + a[low_row, 1] * d1)
            high_sine = a[high_row, 0] * d0 + a[high_row, 1] * d1
            gap = (low - high) * low_sine * high_sine / (low_sine + high_sine)
            scale = abs(ci) + abs(b[low_row]) + abs(b[high_row])
            if gap > CONFLICT * scale:
                return y0, y1, INFEASIBLE, i, low_row, high_row
            middle = (low * low_sine + high * high_sine) / (low_sine + high_sine)
            low = middle
            high = middle
        first, second = i, -1
        t = p0 * d0 + p1 * d1
        if t < low:
            t, second = low, low_row
        elif t > high:
            t, second = high, high_row
        y0, y1 = f0 + t * d0, f1 + t * d1
        if second >= 0:
            y0, y1 = _vertex(a, b, first, second, y0, y1)
    return y0, y1, OPTIMAL, first, second, -1


@njit(cache=True, error_model="numpy")
def _widest_gap(
    a: NDArray[np.float64], b: NDArray[np.float64], i: int, f0: float, f1: float
) -> tuple[float, float, int, int]:
    """The pair of rows before i that lie furthest apart on the line of i, through its foot f.

    The gap of a pair is the violation of both at the best point between them.  The widest gap is the least
    violation of all rows along the line, and where it is met no other row is violated more.

    Returns:
        t of the lower bound, t of the upper bound, their rows.
    """
    d0, d1 = -a[i, 1], a[i, 0]
    widest = -math.inf
    low, high = 0.0, 0.0
    low_row, high_row = 0, 0
    for j in range(i):
        low_sine = -(a[j, 0] * d0 + a[j, 1] * d1)
        if not low_sine > PARALLEL:
            continue
        t_low = -(b[j] - (a[j, 0] * f0 + a[j, 1] * f1)) / low_sine
        for k in range(i):
            high_sine = a[k, 0] * d0 + a[k, 1] * d1
            if not high_sine > PARALLEL:
                continue
            t_high = (b[k] - (a[k, 0] * f0 + a[k, 1] * f1)) / high_sine
            gap = (t_low - t_high) * (low_sine * high_sine / (low_sine + high_sine))
            if gap > widest:
                widest = gap
                low, high, low_row, high_row = t_low, t_high, j, k
    return low, high, low_row, high_row


@njit(cache=True, error_model="numpy")
def _vertex(
    a: NDArray[np.float64], b: NDArray[np.float64], i: int, j: int, y0: float, y1: float
) -> tuple[float, float]:
    """One step of iterative refinement of a_i.y = b_i, a_j.y = b_j."""
    det = a[i, 0] * a[j, 1] - a[i, 1] * a[j, 0]
    if abs(det) < 1e-6:
        return y0, y1
    r = b[i] - (a[i, 0] * y0 + a[i, 1] * y1)
    s = b[j] - (a[j, 0] * y0 + a[j, 1] * y1)
    return y0 + (r * a[j, 1] - s * a[i, 1]) / det, y1 + (s * a[i, 0] - r * a[j, 0]) / det


@njit(cache=True, error_model="numpy")
def scale_rows(
    g: NDArray[np.float64],
    b: NDArray[np.float64],
    m: int,
    root_v: float,
    root_w: float,
    a_out: NDArray[np.float64],
    b_out: NDArray[np.float64],
) -> None:
    """Unit rows of the scaled problem: a = g / sqrt(w), both sides over |a|; zero rows stay zero.

    Rows may be float32 or float64.  A row that is not finite becomes NaN, which :func:`project` refuses.
    """
    for i in range(m):
        a0 = float(g[i, 0]) / root_v
        a1 = float(g[i, 1]) / root_w
        norm = math.sqrt(a0 * a0 + a1 * a1)
        if norm > 1e-150 and norm < 1e150:
            inverse = 1.0 / norm
            a_out[i, 0] = a0 * inverse
            a_out[i, 1] = a1 * inverse
            b_out[i] = float(b[i]) * inverse
            continue
        norm = math.hypot(a0, a1)
        if norm == 0.0:
            norm = 1.0
        elif not math.isfinite(norm):
            a0 = math.nan
        a_out[i, 0] = a0 / norm
        a_out[i, 1] = a1 / norm
        b_out[i] = float(b[i]) / norm


@njit(cache=True, error_model="numpy")
def solve(
    g: NDArray[np.float64],
    b: NDArray[np.float64],
    nominal_v: float,
    nominal_w: float,
    weight_v: float,
    weight_w: float,
) -> tuple[float, float, int, int, int, int]:
    """Solve one QP; see the module docstring.

    Args:
        g: rows (m, 2).
        b: right-hand sides (m,).
        nominal_v, nominal_w: u_nom.
        weight_v, weight_w: positive weights.

    Returns:
        v, omega (0, 0 when infeasible), status and rows i, j, k as :func:`project` returns them.
    """
    m = g.shape[0]
    a = np.empty((m, 2))
    c = np.empty(m)
    root_v = math.sqrt(weight_v)
    root_w = math.sqrt(weight_w)
    scale_rows(g, b, m, root_v, root_w, a, c)
    y0, y1, status, i, j, k = project(a, c, m, nominal_v * root_v, nominal_w * root_w)
    if status != OPTIMAL:
        return 0.0, 0.0, status, i, j, k
    if i < 0:
        return nominal_v, nominal_w, status, i, j, k
    return y0 / root_v, y1 / root_w, status, i, j, k


@njit(cache=True, error_model="numpy", nogil=True)
def solve_batch(
    g: NDArray[np.float64],
    b: NDArray[np.float64],
    nominal: NDArray[np.float64],
    weights: NDArray[np.float64],
    u: NDArray[np.float64],
    status: NDArray[np.int8],
    active: NDArray[np.int16],
) -> None:
    """Solve N problems of m rows into ``u`` (N, 2), ``status`` (N,), ``active`` (N, 2).

    ``g`` (N, m, 2), ``b`` (N, m), ``nominal`` (N, 2) may be float32 or float64; the arithmetic is float64.
    An infeasible problem gets u = 0 (stop), no active row, and status INFEASIBLE.
    """
    n_problems, m = b.shape
    a = np.empty((m, 2))
    c = np.empty(m)
    root_v = math.sqrt(weights[0])
    root_w = math.sqrt(weights[1])
    for n in range(n_problems):
        p0 = float(nominal[n, 0]) * root_v
        p1 = float(nominal[n, 1]) * root_w
        violated = not math.isfinite(p0 + p1)
        for i in range(m):
            t0 = float(g[n, i, 0]) * float(nominal[n, 0])
            t1 = float(g[n, i, 1]) * float(nominal[n, 1])
            ci = float(b[n, i])
            allowed = ROUNDING * (abs(t0) + abs(t1))
            if not (t0 + t1 - ci <= allowed and allowed < math.inf):
                violated = True
                break
        if not violated:
            u[n, 0] = nominal[n, 0]
            u[n, 1] = nominal[n, 1]
            status[n] = OPTIMAL
            active[n, 0] = -1
            active[n, 1] = -1
            continue
        scale_rows(g[n], b[n], m, root_v, root_w, a, c)
        y0, y1, state, i, j, _ = project(a, c, m, p0, p1)
        status[n] = state
        if state == OPTIMAL:
            u[n, 0] = y0 / root_v if i >= 0 else nominal[n, 0]
            u[n, 1] = y1 / root_w if i >= 0 else nominal[n, 1]
            active[n, 0] = i
            active[n, 1] = j
        else:
            u[n, 0] = 0.0
            u[n, 1] = 0.0
            active[n, 0] = -1
            active[n, 1] = -1


@njit(cache=True, error_model="numpy", nogil=True)
def gradient_batch(
    g: NDArray[np.float64],
    b: NDArray[np.float64],
    nominal: NDArray[np.float64],
    weights: NDArray[np.float64],
    u: NDArray[np.float64],
    status: NDArray[np.int8],
    active: NDArray[np.int16],
    grad_u: NDArray[np.float64],
    grad_nominal: NDArray[np.float64],
    grad_g: NDArray[np.float64],
    grad_b: NDArray[np.float64],
) -> None:
    """Vector-Jacobian product of :func:`solve_batch` (module docstring); ``grad_g``, ``grad_b`` come zeroed.

    Infeasible problems have gradient zero.
    """
    root_v = math.sqrt(weights[0])
    root_w = math.sqrt(weights[1])
    for n in range(u.shape[0]):
        i = active[n, 0]
        j = active[n, 1]
        if status[n] != OPTIMAL:
            grad_nominal[n, 0] = 0.0
            grad_nominal[n, 1] = 0.0
            continue
        if i < 0:
            grad_nominal[n, 0] = grad_u[n, 0]
            grad_nominal[n, 1] = grad_u[n, 1]
            continue
        q0 = grad_u[n, 0] / root_v
        q1 = grad_u[n, 1] / root_w
        y0 = u[n, 0] * root_v
        y1 = u[n, 1] * root_w
        a0 = g[n, i, 0] / root_v
        a1 = g[n, i, 1] / root_w
        if j < 0:
            s = a0 * a0 + a1 * a1
            nu = (a0 * q0 + a1 * q1) / s
            mu = (a0 * nominal[n, 0] * root_v + a1 * nominal[n, 1] * root_w - b[n, i]) / s
            t0 = q0 - nu * a0
            t1 = q1 - nu * a1
            grad_nominal[n, 0] = t0 * root_v
            grad_nominal[n, 1] = t1 * root_w
            grad_b[n, i] = nu
            grad_g[n, i, 0] = (-mu * t0 - nu * y0) / root_v
            grad_g[n, i, 1] = (-mu * t1 - nu * y1) / root_w
        else:
            e0 = g[n, j, 0] / root_v
            e1 = g[n, j, 1] / root_w
            det = a0 * e1 - a1 * e0
            nu = (q0 * e1 - q1 * e0) / det
            xi = (a0 * q1 - a1 * q0) / det
            grad_nominal[n, 0] = 0.0
            grad_nominal[n, 1] = 0.0
            grad_b[n, i] = nu
            grad_b[n, j] = xi
            grad_g[n, i, 0] = -nu * y0 / root_v
            grad_g[n, i, 1] = -nu * y1 / root_w
            grad_g[n, j, 0] = -xi * y0 / root_v
            grad_g[n, j, 1] = -xi * y1 / root_w


def farkas_certificate(
    g: NDArray[np.float64], b: NDArray[np.float64], rows: tuple[int, int, int]
) -> NDArray[np.float64]:
    """Multipliers lambda (m,) >= 0 with G^T lambda = 0 and b^T lambda < 0 from the contradicting ``rows``.

    With three rows the multipliers are the (signed) areas spanned by the other two; with two they are
    antiparallel; with one the row is zero.

    Raises:
        ValueError: the rows do not contradict one another.
    """
    picked = [row for row in rows if row >= 0]
    multipliers = np.zeros(len(b))
    norms = np.hypot(g[:, 0], g[:, 1])
    if len(picked) == 0:
        raise ValueError("no rows contradict one another")
    if len(picked) == 1:
        values = np.ones(1)
    elif len(picked) == 2:
        values = 1.0 / norms[picked]
    else:
        r = g[picked]
        cross = np.array(
            [
                r[1, 0] * r[2, 1] - r[1, 1] * r[2, 0],
                r[2, 0] * r[0, 1] - r[2, 1] * r[0, 0],
                r[0, 0] * r[1, 1] - r[0, 1] * r[1, 0],
            ]
        )
        values = cross if cross.sum() > 0.0 else -cross
    if (values < 0.0).any():
        raise ValueError(f"rows {rows} do not contradict one another")
    multipliers[picked] = values / np.abs(values).max()
    if float(b @ multipliers) >= 0.0:
        raise ValueError(f"rows {rows} do not contradict one another")
    return multipliers

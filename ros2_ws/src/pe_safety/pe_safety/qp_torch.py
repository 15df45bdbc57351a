r"""The exact two-variable safety QP in plain torch operations: batched, differentiable, TorchScript-able.

    minimise  1/2 sum_k w_k (u_k - u_nom_k)^2    subject to    G u <= b,    u in R^2

Search (detached, float64 whatever the input's type).  In the scaled variable y = W^(1/2) u with unit rows the
optimum is the projection of y_nom on a polygon.  Every problem of the batch keeps a working set S of rows and
y = the optimum over S.  Its most violated row i joins S; the new optimum lies on the line of i and is the
projection of y_nom on that line, clamped to the interval which the other rows of S leave.  S grows in each round,
so there are at most m rounds, O(m^2) in all; usually two or three, on ever fewer problems.  No iteration to a
tolerance: comparisons allow for rounding alone, as in :mod:`pe_safety.qp`.

Gradient.  The active rows A found by the search are solved again by operations that autograd sees:

    no active row   u = u_nom
    one             u = u_nom - W^-1 g (g.u_nom - b) / (g^T W^-1 g)
    two             u = A^-1 b

so that plain autograd gives the closed form of :mod:`pe_safety.qp`.  The value is the search's.  An infeasible
problem has u = 0, no active row, gradient zero and status 1; data that is not finite counts as infeasible
(b = +inf is a row that never binds).
"""

from __future__ import annotations

import torch
from torch import Tensor

OPTIMAL = 0
INFEASIBLE = 1

# As in pe_safety.qp.  TorchScript reads no globals: functions take them as default arguments.
ROUNDING = 32.0 * 2.220446049250313e-16
CONFLICT = 4096.0 * 2.220446049250313e-16
PARALLEL = 16.0 * 2.220446049250313e-16


def unusable(G: Tensor, b: Tensor, u_nom: Tensor) -> Tensor:
    """Problems (N,) whose data no command can meet: NaN anywhere, infinite G or u_nom, b = -inf."""
    # x - x is 0 where x is finite and NaN elsewhere; a sum of a row is NaN as soon as one entry is.
    rows = (G - G).sum(2).sum(1) + (u_nom - u_nom).sum(1)
    return torch.isnan(rows) | ~(b > -float("inf")).all(1)


def search(
    a0: Tensor, a1: Tensor, c: Tensor, p0: Tensor, p1: Tensor, rounding: float = ROUNDING
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Project points on polygons {y : a y <= c}.

    Args:
        a0, a1: components of unit (or zero) rows (N, m), float64.
        c: right-hand sides (N, m).
        p0, p1: components of the points (N,).

    Returns:
        y0, y1 (N,), active rows (N, 2) with -1 for none, feasible (N,).
    """
    out0, out1 = p0.clone(), p1.clone()
    n = p0.shape[0]
    active = torch.full([n, 2], -1, dtype=torch.int64, device=c.device)
    feasible = torch.ones([n], dtype=torch.bool, device=c.device)
    if c.shape[1] == 0 or n == 0:
        return out0, out1, active, feasible
    t0, t1 = a0 * p0.unsqueeze(1), a1 * p1.unsqueeze(1)
    excess = t0 + t1 - c
    excess = torch.where(excess > rounding * (t0.abs() + t1.abs()), excess, 0.0)
    worst, row = excess.max(1)
    live = torch.nonzero(worst > 0.0).squeeze(1)
    row = row[live]
    a0, a1, c, p0, p1 = a0[live], a1[live], c[live], p0[live], p1[live]
    work = torch.empty([live.shape[0], 0], dtype=torch.int64, device=c.device)
    while live.shape[0] > 0:
        column = row.unsqueeze(1)
        c0, c1, ci = (
            a0.gather(1, column).squeeze(1),
            a1.gather(1, column).squeeze(1),
            c.gather(1, column).squeeze(1),
        )
        # The row's line as f + t (-c1, c0).  f is the foot of the origin, not of the point: a far point would
        # leave its rounding in every t.
        f0, f1 = ci * c0, ci * c1
        t = p1 * c0 - p0 * c1
        conflict = (c0 == 0.0) & (c1 == 0.0)
        second = torch.full_like(row, -1)
        y0, y1 = f0 - t * c1, f1 + t * c0
        if work.shape[1] > 0:
            e0, e1, ej = a0.gather(1, work), a1.gather(1, work), c.gather(1, work)
            clash, t, bound = clamp_on_line(t, c0, c1, ci, f0, f1, e0, e1, ej)
            conflict = conflict | clash
            bounded = bound >= 0
            pick = bound.clamp(min=0).unsqueeze(1)
            second = torch.where(bounded, work.gather(1, pick).squeeze(1), second)
            y0, y1 = f0 - t * c1, f1 + t * c0
            # One step of iterative refinement of the vertex, unless it is too sharp for that to help.
            g0, g1, gj = (
                e0.gather(1, pick).squeeze(1),
                e1.gather(1, pick).squeeze(1),
                ej.gather(1, pick).squeeze(1),
            )
            det = c0 * g1 - c1 * g0
            refine = bounded & (det.abs() >= 1e-6)
            det = torch.where(refine, det, float("inf"))
            r, s = ci - (c0 * y0 + c1 * y1), gj - (g0 * y0 + g1 * y1)
            r, s = torch.where(refine, r, 0.0), torch.where(refine, s, 0.0)
            y0, y1 = y0 + (r * g1 - s * c1) / det, y1 + (s * c0 - r * g0) / det
        out0[live], out1[live] = y0, y1
        active[live] = torch.stack([row, second], 1)
        feasible[live] = ~conflict
        work = torch.cat([work, column], 1)
        t0, t1 = a0 * y0.unsqueeze(1), a1 * y1.unsqueeze(1)
        excess = t0 + t1 - c
        excess = torch.where(excess > rounding * (t0.abs() + t1.abs()), excess, 0.0)
        excess = excess.scatter(1, work, 0.0)
        worst, row = excess.max(1)
        keep = torch.nonzero((worst > 0.0) & ~conflict).squeeze(1)
        live, row, work = live[keep], row[keep], work[keep]
        a0, a1, c, p0, p1 = a0[keep], a1[keep], c[keep], p0[keep], p1[keep]
    return out0, out1, active, feasible


def clamp_on_line(
    t_nom: Tensor,
    c0: Tensor,
    c1: Tensor,
    ci: Tensor,
    f0: Tensor,
    f1: Tensor,
    e0: Tensor,
    e1: Tensor,
    ej: Tensor,
    flat: float = PARALLEL,
    tolerance: float = CONFLICT,
) -> tuple[Tensor, Tensor, Tensor]:
    """Clamp t_nom on lines f + t (-c1, c0) to what the rows e leave.

    Args:
        t_nom: the projection's place on the line (K,).
        c0, c1, ci, f0, f1: the line's unit row, its right-hand side and the foot (K,).
        e0, e1, ej: the other rows (K, k).

    Returns:
        conflict (K,), t (K,), column of the row that binds (K,) or -1.
    """
    infinity = float("inf")
    sine = e1 * c0.unsqueeze(1) - e0 * c1.unsqueeze(1)
    s0, s1 = e0 * f0.unsqueeze(1), e1 * f1.unsqueeze(1)
    room = ej - (s0 + s1)
    parallel = sine.abs() <= flat
    scale = s0.abs() + s1.abs() + ej.abs() + ci.abs().unsqueeze(1)
    conflict = (parallel & (room < -tolerance * scale)).any(1)
    t = room / torch.where(parallel, 1.0, sine)
    high, high_row = torch.where(sine > flat, t, infinity).min(1)
    low, low_row = torch.where(sine < -flat, t, -infinity).max(1)
    crossed = low > high
    if bool(crossed.any()):
        # Some pair leaves a gap: the widest, as violation of both rows at the best point between them, decides.
        # Rows that are no bound of their side get sine 0, hence gap 0.
        rise, fall = sine.clamp(min=0.0).unsqueeze(1), (-sine).clamp(min=0.0).unsqueeze(2)
        t_high, t_low = t.unsqueeze(1), t.unsqueeze(2)
        pair = torch.where((rise > flat) & (fall > flat), rise * fall / (rise + fall), 0.0)
        gap = torch.where(pair > 0.0, (t_low - t_high) * pair, -infinity)
        widest, place = gap.flatten(1).max(1)
        k = e0.shape[1]
        low_pick, high_pick = place.div(k, rounding_mode="floor"), place.remainder(k)
        low_row, high_row = torch.where(crossed, low_pick, low_row), torch.where(crossed, high_pick, high_row)
        limit = ci.abs() + ej.gather(1, low_row.unsqueeze(1)).squeeze(1).abs()
        limit = limit + ej.gather(1, high_row.unsqueeze(1)).squeeze(1).abs()
        conflict = conflict | (crossed & (widest > tolerance * limit))
        up, down = (
            sine.gather(1, high_row.unsqueeze(1)).squeeze(1),
            -sine.gather(1, low_row.unsqueeze(1)).squeeze(1),
        )
        above, below = (
            t.gather(1, high_row.unsqueeze(1)).squeeze(1),
            t.gather(1, low_row.unsqueeze(1)).squeeze(1),
        )
        total = torch.where(crossed, up + down, 1.0)
        middle = torch.where(crossed, below * down + above * up, 0.0) / total
        low, high = torch.where(crossed, middle, low), torch.where(crossed, middle, high)
    bound = torch.where(t_nom < low, low_row, torch.where(t_nom > high, high_row, -1))
    return conflict, t_nom.maximum(low).minimum(high), bound


def active_set_solution(
    G: Tensor, b: Tensor, u_nom: Tensor, weights: Tensor, active: Tensor, feasible: Tensor
) -> Tensor:
    """u (N, 2) from the active rows, by operations that autograd differentiates (module docstring)."""
    index = active.clamp(min=0)
    present = active >= 0
    rows = G.gather(1, index.unsqueeze(2).expand(-1, -1, 2))
    # Absent rows become constants before any division, so no branch that is not taken makes a NaN.
    plain = torch.eye(2, dtype=G.dtype, device=G.device)
    rows = torch.where(present.unsqueeze(2), rows, plain)
    right = torch.where(present, b.gather(1, index), 0.0)
    scale = rows.detach().abs().amax(2)
    rows, right = rows / scale.unsqueeze(2), right / scale
    g0, g1, e0, e1 = rows[:, 0, 0], rows[:, 0, 1], rows[:, 1, 0], rows[:, 1, 1]
    inverse = weights.reciprocal()
    n0, n1 = u_nom[:, 0], u_nom[:, 1]
    mu = (g0 * n0 + g1 * n1 - right[:, 0]) / (g0 * g0 * inverse[0] + g1 * g1 * inverse[1])
    one = torch.stack([n0 - mu * g0 * inverse[0], n1 - mu * g1 * inverse[1]], 1)
    vertex = present[:, 1]
    det = torch.where(vertex, g0 * e1 - g1 * e0, 1.0)
    two = torch.stack(
        [right[:, 0] * e1 - right[:, 1] * g1, right[:, 1] * g0 - right[:, 0] * e0], 1
    ) / det.unsqueeze(1)
    u = torch.where(vertex.unsqueeze(1), two, torch.where(present[:, :1], one, u_nom))
    return torch.where(feasible.unsqueeze(1), u, 0.0)


def solve_qp_torch(G: Tensor, b: Tensor, u_nom: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Solve N problems; gradients reach G, b and u_nom by plain autograd.

    Args:
        G: rows (N, m, 2), float32 or float64.
        b: right-hand sides (N, m).
        u_nom: nominal commands (N, 2).
        weights: positive (2,), constants.

    Returns:
        u (N, 2) of u_nom's type; status (N,) int8, 0 optimal, 1 infeasible (u = 0); active rows (N, 2) int16, -1 none.
    """
    if b.shape[1] == 0:
        G, b = G.new_zeros([G.shape[0], 1, 2]), b.new_zeros([b.shape[0], 1])
    # A finite sum proves every entry finite, in one pass; only otherwise are problems looked at one by one.
    total = G.detach().sum() + b.detach().sum() + u_nom.detach().sum()
    bad = torch.zeros_like(u_nom[:, 0], dtype=torch.bool)
    if not bool(torch.isfinite(total)):
        bad = unusable(G.detach(), b.detach(), u_nom.detach())
        G = torch.where(bad.unsqueeze(1).unsqueeze(2), 0.0, G)
        b = torch.where(bad.unsqueeze(1), 0.0, b)
        u_nom = torch.where(bad.unsqueeze(1), 0.0, u_nom)
    kind = u_nom.dtype
    G, b, u_nom = G.to(torch.float64), b.to(torch.float64), u_nom.to(torch.float64)
    weights = weights.detach().to(device=G.device, dtype=torch.float64)
    root = weights.sqrt()
    nominal = u_nom.detach()
    a = G.detach() / root
    a0, a1 = a[:, :, 0], a[:, :, 1]
    norm = torch.hypot(a0, a1)
    norm = torch.where(norm > 0.0, norm, 1.0)
    y0, y1, active, feasible = search(
        a0 / norm, a1 / norm, b.detach() / norm, nominal[:, 0] * root[0], nominal[:, 1] * root[1]
    )
    feasible = feasible & ~bad
    active = torch.where(feasible.unsqueeze(1), active, -1)
    value = torch.where(active[:, :1] >= 0, torch.stack([y0, y1], 1) / root, nominal)
    value = torch.where(feasible.unsqueeze(1), value, 0.0)
    status = (~feasible).to(torch.int8)
    if G.requires_grad or b.requires_grad or u_nom.requires_grad:
        u = active_set_solution(G, b, u_nom, weights, active, feasible)
        value = value + (u - u.detach())
    return value.to(kind), status, active.to(torch.int16)

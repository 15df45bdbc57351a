r"""The exact two-variable safety QP in one pass of few torch operations: what an exported policy runs.

    minimise  1/2 sum_k w_k (u_k - u_nom_k)^2    subject to    G u <= b,    u in R^2

In the scaled variable y = W^(1/2) u with unit rows a the optimum y* is the projection of y_nom on a polygon.  Unless
y_nom is in it, y_nom - y* = sum lambda_i a_i over active rows, lambda >= 0, hence sum lambda_i (a_i y_nom - c_i) =
|y_nom - y*|^2 > 0: y_nom violates one of the active rows.  So y* is the nearest to y_nom of the points

    the projection of y_nom on the line of row i, clamped to the interval that all other rows leave of the line

over the rows i that y_nom violates, of which there are few: O(k m), no search and no iteration.  Where rounding
leaves no interval, no line has one (the QP is infeasible) or rows are not finite, the point fails the check of all
rows, and :func:`pe_safety.qp_torch.solve_qp_torch` decides.  Same contract and gradient as there, for data of order
one: tolerances are absolute, 1e-9 in y.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pe_safety.qp_torch import active_set_solution, solve_qp_torch

# What counts as violated, the sine of parallel rows, the gap of an interval or the excess of a row from rounding.
VIOLATED, FLAT, GAP = 1e-13, 1e-12, 1e-9


def nearest_on_lines(
    rows: Tensor,
    p: Tensor,
    learning: bool,
    violated: float = VIOLATED,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Project points on polygons {y : a y <= c}.

    Args:
        rows: (3, m, N), a_0, a_1 and c of unit (or zero) rows, float64.
        p: the points (2, N).
        learning: whether active rows are wanted.

    Returns:
        y (2, N) of the points outside (N,); active rows (2, N), that of the line and that which bounds the interval or
        -1; whether the result obeys every row (N,).
    """
    a0, a1, c = rows.unbind(0)
    p0, p1 = p.unbind(0)
    excess = torch.addcmul(a0 * p0, a1, p1) - c
    # NaN counts as violated.
    met, every = (excess <= violated).sum(0), excess.shape[0]
    outside = met < every
    count = every - int(met.min())
    if count == 0:
        return p, torch.full_like(met, -1).expand(2, -1), outside, ~outside
    worst, row = excess.topk(count, 0, sorted=False)
    y, obeys, pick, bounding = nearest_of(rows, rows.gather(1, row.expand(3, -1, -1)), worst, p, learning)
    obeys = obeys | ~outside
    if not learning:
        return y, row, outside, obeys
    active = torch.cat([row.gather(0, pick), bounding.gather(0, pick)], 0)
    return y, torch.where(outside, active, -1), outside, obeys


def nearest_of(
    rows: Tensor,
    lines: Tensor,
    worst: Tensor,
    p: Tensor,
    learning: bool,
    violated: float = VIOLATED,
    flat: float = FLAT,
    slack: float = GAP,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The nearest to p (2, N) of the points of the module docstring, on ``lines`` (3, k, N) that are some of ``rows``.

    ``worst`` (k, N) is by how much p breaks each; those that it does not break are passed over.  ``learning``: whether
    the last result is wanted.

    Returns:
        y (2, N); whether it obeys every row (N,); the line (1, N) that it is on; the row (k, N) that bounds the
        interval at the point of each line, -1: none.
    """
    a0, a1, c = rows.unbind(0)
    p0, p1 = p.unbind(0)
    c0, c1, ci = lines.unbind(0)
    # The line of row i as f + t (-c1, c0).
    f0, f1, t_nom = ci * c0, ci * c1, p1 * c0 - p0 * c1
    sine = torch.addcmul(a1 * c0.unsqueeze(1), a0, c1.unsqueeze(1), value=-1.0)
    room = torch.addcmul(c, a0, f0.unsqueeze(1), value=-1.0)
    t = torch.addcmul(room, a1, f1.unsqueeze(1), value=-1.0) / sine
    high, high_row = torch.where(sine > flat, t, float("inf")).min(1)
    low, low_row = torch.where(sine < -flat, t, -float("inf")).max(1)
    t = t_nom.maximum(low).minimum(high)
    moved = t - t_nom
    distance = torch.addcmul(worst * worst, moved, moved)
    usable = (worst > violated) & (low <= high + slack)
    pick = torch.where(usable, distance, float("inf")).argmin(0, keepdim=True)
    y0 = torch.addcmul(f0, t, c1, value=-1.0).gather(0, pick)
    y1 = torch.addcmul(f1, t, c0).gather(0, pick)
    # 0 p is 0 where p is finite, else NaN.
    obeys = (torch.addcmul(a0 * y0, a1, y1) - c + 0.0 * (p0 + p1) <= slack).all(0)
    bounding = low_row
    if learning:
        bounding = torch.where(t_nom < low, low_row, torch.where(t_nom > high, high_row, -1))
    return torch.cat([y0, y1], 0), obeys, pick, bounding


def scale_of(weights: Tensor) -> Tensor:
    """What :func:`solve_rows` wants of weights (2,): (3, 1, 1), w_v^(-1/2), w_omega^(-1/2), 1, float64."""
    inverse = weights.detach().to(torch.float64).rsqrt()
    return torch.cat([inverse, torch.ones_like(inverse[:1])]).view(3, 1, 1)


def solve_rows(rows: Tensor, u_nom: Tensor, scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """:func:`solve_qp_lines` for rows (3, m, N), g_v, g_omega and b, that bound u; u_nom (2, N), N > 0, m > 0, all
    float64.

    Returns:
        u (2, N), feasible (N,), active rows (2, N) int64, -1 none; the last mean something only where a gradient is
        required.
    """
    learning = rows.requires_grad or u_nom.requires_grad
    fixed, nominal, per = rows.detach() * scale, u_nom.detach(), scale.squeeze(2).narrow(0, 0, 2)
    a0, a1, _c = fixed.unbind(0)
    fixed = fixed / torch.hypot(a0, a1).clamp(min=1e-150)
    y, active, outside, feasible = nearest_on_lines(fixed, nominal / per, learning)
    value = torch.where(outside, y * per, nominal)
    if not bool(feasible.all()):
        left = torch.nonzero(~feasible).squeeze(1)
        G, b = rows.detach()[:2, :, left].permute(2, 1, 0), rows.detach()[2, :, left].t()
        solved, status, found = solve_qp_torch(G, b, nominal[:, left].t(), per[:, 0] ** -2)
        value[:, left], feasible[left] = solved.t(), status == 0
        if learning:
            active[:, left] = found.to(torch.int64).t()
    if learning:
        G, b = rows[:2].permute(2, 1, 0), rows[2].t()
        u = active_set_solution(G, b, u_nom.t(), per[:, 0] ** -2, active.t(), feasible).t()
        value = value + (u - u.detach())
    return value, feasible, active


def solve_qp_lines(G: Tensor, b: Tensor, u_nom: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Solve N problems; arguments and u, status as of :func:`pe_safety.qp_torch.solve_qp_torch`."""
    total = float(u_nom.detach().sum())
    if G.shape[0] == 0 or G.shape[1] == 0 or total - total != 0.0:
        u, status, _active = solve_qp_torch(G, b, u_nom, weights)
        return u, status
    rows = torch.cat([G.permute(2, 1, 0), b.t().unsqueeze(0)], 0).to(torch.float64)
    u, feasible, _active = solve_rows(rows, u_nom.t().to(torch.float64), scale_of(weights))
    return u.t().to(u_nom.dtype), (~feasible).to(torch.int8)

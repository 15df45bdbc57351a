"""Other QP solvers behind the call of :mod:`pe_safety.qp_layer`: peers for tests and benchmarks, never at run time.

Each is imported when it is first used: OSQP (ADMM; set up once, updated in place and warm-started), qpth (batched
interior point, differentiable), quadprog (Goldfarb and Idnani's dual active set).  All minimise
1/2 sum_k w_k (u_k - u_nom_k)^2 subject to G u <= b.

Limits of the peers: qpth says nothing of infeasibility (its status is judged here by the violation of what it
returns); quadprog reports infeasible for a row and its negative that share their bound (an equality).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]

# Violation, relative to 1 + |b|, from which an answer of qpth counts as infeasible.
_QPTH_VIOLATION = 1e-4


class WarmOsqp:
    """OSQP set up once for m rows, then updated in place and warm-started from the last solution.

    Args:
        m: rows.
        weights: (w_v, w_omega).
        tolerance: absolute and relative; OSQP's own default is 1e-3.
        polish: solve the active set once more at the end.
    """

    def __init__(
        self, m: int, weights: Array, tolerance: float = 1e-3, polish: bool = False, iterations: int = 4000
    ) -> None:
        import osqp
        from scipy import sparse

        self._osqp = osqp
        self._weights = np.asarray(weights, dtype=np.float64)
        # Every entry is stored, so that an update may change any of them.
        pattern = sparse.csc_matrix(
            (np.ones(2 * m), np.tile(np.arange(m), 2), np.array([0, m, 2 * m])), shape=(m, 2)
        )
        self._solver = osqp.OSQP()
        self._solver.setup(
            sparse.csc_matrix(np.diag(self._weights)), np.zeros(2), pattern, np.full(m, -np.inf), np.ones(m),
            verbose=False, eps_abs=tolerance, eps_rel=tolerance, polishing=polish, max_iter=iterations,
            warm_starting=True,
        )  # fmt: skip

    def solve(self, g: Array, b: Array, nominal_v: float, nominal_w: float) -> tuple[float, float, int]:
        """Solve for rows (m, 2), bounds (m,): v, omega, status (0 optimal, 1 anything else)."""
        q = np.array([-self._weights[0] * nominal_v, -self._weights[1] * nominal_w])
        self._solver.update(q=q, u=b, Ax=np.ascontiguousarray(g.T).ravel())
        result = self._solver.solve(raise_error=False)
        if result.info.status_val != self._osqp.SolverStatus.OSQP_SOLVED:
            return 0.0, 0.0, 1
        return float(result.x[0]), float(result.x[1]), 0


def solve_quadprog(
    g: Array, b: Array, nominal_v: float, nominal_w: float, weight_v: float, weight_w: float
) -> tuple[float, float, int]:
    """quadprog on one problem: v, omega, status."""
    from quadprog import solve_qp

    hessian = np.array([[weight_v, 0.0], [0.0, weight_w]])
    linear = np.array([weight_v * nominal_v, weight_w * nominal_w])
    try:
        u = solve_qp(hessian, linear, -g.T, -b)[0]
    except ValueError as error:
        if "inconsistent" not in str(error):
            raise
        return 0.0, 0.0, 1
    return float(u[0]), float(u[1]), 0


def solve_qpth(G: Tensor, b: Tensor, u_nom: Tensor, weights: Array) -> tuple[Tensor, Tensor, Tensor]:
    """qpth on a batch; differentiable in G, b and u_nom.  Active rows are not reported (-1)."""
    from qpth.qp import QPFunction

    w = torch.as_tensor(weights, dtype=u_nom.dtype, device=u_nom.device)
    none = torch.empty(0, dtype=u_nom.dtype, device=u_nom.device)
    u = QPFunction(verbose=-1, check_Q_spd=False)(torch.diag(w), -w * u_nom, G, b, none, none)
    with torch.no_grad():
        worst = ((G @ u.unsqueeze(2)).squeeze(2) - b).amax(1)
        status = ~(worst <= _QPTH_VIOLATION * (1.0 + b.abs().amax(1)))
    return u, status.to(torch.int8), torch.full_like(u, -1).to(torch.int16)


def _one_by_one(
    solver: Callable[[Array, Array, float, float], tuple[float, float, int]],
    G: Tensor,
    b: Tensor,
    u_nom: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """A scalar solver over a batch, without gradient."""
    rows, right, nominal = (t.detach().cpu().double().numpy() for t in (G, b, u_nom))
    answers = [solver(g, c, float(p[0]), float(p[1])) for g, c, p in zip(rows, right, nominal, strict=True)]
    u = torch.tensor([answer[:2] for answer in answers], dtype=u_nom.dtype).reshape(-1, 2)
    status = torch.tensor([answer[2] for answer in answers], dtype=torch.int8)
    return u, status, torch.full((len(answers), 2), -1, dtype=torch.int16)


def _batch_osqp(G: Tensor, b: Tensor, u_nom: Tensor, weights: Array) -> tuple[Tensor, Tensor, Tensor]:
    return _one_by_one(WarmOsqp(b.shape[1], weights, 1e-9, polish=True).solve, G, b, u_nom)


def _batch_quadprog(G: Tensor, b: Tensor, u_nom: Tensor, weights: Array) -> tuple[Tensor, Tensor, Tensor]:
    v, w = float(weights[0]), float(weights[1])
    return _one_by_one(lambda g, c, p, q: solve_quadprog(g, c, p, q, v, w), G, b, u_nom)


SOLVERS: dict[str, Callable[[Tensor, Tensor, Tensor, Array], Any]] = {
    "osqp": _batch_osqp,
    "qpth": solve_qpth,
    "quadprog": _batch_quadprog,
}

"""Ours and the peers as calls without arguments, each with its inputs prepared in the form that suits it best.

A peer that is not installed is left out.  Everything runs on one thread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from pe_safety import qp
from pe_safety.qp_layer import solve_qp
from pe_safety.qp_reference import WarmOsqp, solve_qpth
from pe_safety.qp_torch import solve_qp_torch

Array = NDArray[np.float64]
Tensors = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
WEIGHTS = np.array([150.0, 1.0])
OURS = "pe_safety compiled"
LAYER = "pe_safety compiled, as torch layer"
EAGER = "pe_safety pure torch"
SCRIPTED = "pe_safety pure torch, TorchScript"


class Problems(NamedTuple):
    """g (N, m, 2), b (N, m), nominal (N, 2)."""

    g: Array
    b: Array
    nominal: Array

    def tensors(self) -> Tensors:
        """The same memory as torch tensors."""
        return torch.from_numpy(self.g), torch.from_numpy(self.b), torch.from_numpy(self.nominal)

    def head(self, n: int) -> Problems:
        """The first ``n`` problems, the whole repeated where it has fewer."""
        times = -(-n // len(self.b))
        return Problems(*(np.ascontiguousarray(np.concatenate([x] * times)[:n]) for x in self))


@dataclass(frozen=True)
class Scalar:
    """A solver of single problems: ``solve(k)`` solves problem k of ``count`` and returns (v, omega)."""

    solve: Callable[[int], Any]
    count: int


def scalar_subjects(problems: Problems, fast: int, slow: int) -> dict[str, Scalar]:
    """One problem at a time; ``fast`` and ``slow`` are how many problems a pass of a quick and a slow solver takes."""
    g, b = list(problems.g), list(problems.b)
    nominal = [(float(v), float(w)) for v, w in problems.nominal]
    w0, w1 = (float(w) for w in WEIGHTS)
    G, B, U = problems.tensors()
    single = [(G[k : k + 1], B[k : k + 1], U[k : k + 1]) for k in range(fast)]
    solve = qp.solve
    subjects = {
        OURS: Scalar(lambda k: solve(g[k], b[k], nominal[k][0], nominal[k][1], w0, w1)[:2], fast),
        LAYER: Scalar(lambda k: solve_qp(*single[k], WEIGHTS).u[0], fast),
        SCRIPTED: Scalar(_scripted_single(single), slow),
    }
    if find_spec("quadprog"):
        import quadprog

        hessian, linear = np.diag(WEIGHTS), list(WEIGHTS * problems.nominal)
        columns, below = [np.ascontiguousarray(-x.T) for x in g], [-x for x in b]
        subjects["quadprog"] = Scalar(
            lambda k: quadprog.solve_qp(hessian, linear[k], columns[k], below[k])[0], fast
        )
    if find_spec("osqp"):
        for name, tolerance in (("OSQP updated in place", 1e-3), ("OSQP updated in place, 1e-9", 1e-9)):
            subjects[name] = Scalar(
                _osqp(WarmOsqp(problems.b.shape[1], WEIGHTS, tolerance), g, b, nominal), slow
            )
    if find_spec("proxsuite"):
        subjects["proxsuite updated in place"] = Scalar(_proxsuite(problems), slow)
    if find_spec("qpth"):
        subjects["qpth"] = Scalar(lambda k: solve_qpth(*single[k], WEIGHTS)[0][0], min(slow, 20))
    if find_spec("cvxpylayers"):
        layer = _cvxpylayer(problems.b.shape[1])
        subjects["cvxpylayers"] = Scalar(lambda k: layer(*single[k])[0], min(slow, 10))
    return subjects


def batch_subjects(problems: Problems, upstream: torch.Tensor, large: bool) -> dict[str, Callable[[], Any]]:
    """Forward and backward to G, b and u_nom on the whole batch; each call returns u."""
    inputs = problems.tensors()
    for tensor in inputs:
        tensor.requires_grad_()
    weights = torch.from_numpy(WEIGHTS)
    scripted = torch.jit.script(solve_qp_torch)

    def both(forward: Callable[[], torch.Tensor]) -> Callable[[], torch.Tensor]:
        def call() -> torch.Tensor:
            u = forward()
            torch.autograd.grad(u, inputs, upstream)
            return u

        return call

    subjects = {
        LAYER: both(lambda: solve_qp(*inputs, WEIGHTS).u),
        EAGER: both(lambda: solve_qp_torch(*inputs, weights)[0]),
        SCRIPTED: both(lambda: scripted(*inputs, weights)[0]),
    }
    if find_spec("qpth"):
        subjects["qpth"] = both(lambda: solve_qpth(*inputs, WEIGHTS)[0])
    if find_spec("cvxpylayers") and not large:
        layer = _cvxpylayer(problems.b.shape[1])
        subjects["cvxpylayers"] = both(lambda: layer(*inputs))
    return subjects


def _scripted_single(single: list[Tensors]) -> Callable[[int], Any]:
    scripted, weights = torch.jit.script(solve_qp_torch), torch.from_numpy(WEIGHTS)
    return lambda k: scripted(*single[k], weights)[0][0]


def _osqp(
    solver: WarmOsqp, g: list[Array], b: list[Array], nominal: list[tuple[float, float]]
) -> Callable[[int], Any]:
    return lambda k: solver.solve(g[k], b[k], *nominal[k])[:2]


def _proxsuite(problems: Problems) -> Callable[[int], Any]:
    import proxsuite

    m = problems.b.shape[1]
    solver = proxsuite.proxqp.dense.QP(2, 0, m)
    solver.settings.eps_abs = 1e-9
    # With its own threshold, or started from the last solution, it calls many of these problems infeasible.
    solver.settings.eps_primal_inf = 1e-12
    solver.settings.initial_guess = proxsuite.proxqp.InitialGuess.NO_INITIAL_GUESS
    linear = -WEIGHTS * problems.nominal
    g, b = list(problems.g), list(problems.b)
    solver.init(np.diag(WEIGHTS), linear[0], None, None, g[0], None, b[0])

    def solve(k: int) -> Any:
        solver.update(g=linear[k], C=g[k], u=b[k])
        solver.solve()
        return solver.results.x

    return solve


def _cvxpylayer(m: int) -> Callable[..., torch.Tensor]:
    import cvxpy
    from cvxpylayers.torch import CvxpyLayer

    u = cvxpy.Variable(2)
    rows, right, scaled = cvxpy.Parameter((m, 2)), cvxpy.Parameter(m), cvxpy.Parameter(2)
    root = np.sqrt(WEIGHTS)
    problem = cvxpy.Problem(
        cvxpy.Minimize(0.5 * cvxpy.sum_squares(cvxpy.multiply(root, u) - scaled)), [rows @ u <= right]
    )
    layer = CvxpyLayer(problem, parameters=[rows, right, scaled], variables=[u])
    scale = torch.from_numpy(root)

    def call(G: torch.Tensor, b: torch.Tensor, u_nom: torch.Tensor) -> torch.Tensor:
        threads = {"n_jobs_forward": 1, "n_jobs_backward": 1} if G.requires_grad else {"n_jobs_forward": 1}
        (solution,) = layer(G, b, u_nom * scale, solver_args=threads)
        return solution

    return call

r"""The safety QP as a differentiable layer: one call, several back ends.

    u = argmin 1/2 sum_k w_k (u_k - u_nom_k)^2    subject to    G u <= b

``compiled`` runs the kernels of :mod:`pe_safety.qp` with their closed-form gradient (CPU; tensors on a GPU take
the ``torch`` form instead); ``torch`` is :func:`pe_safety.qp_torch.solve_qp_torch`, which can be TorchScripted.
``osqp``, ``qpth`` and ``quadprog`` are peers for tests and benchmarks (:mod:`pe_safety.qp_reference`).

An infeasible problem gives u = 0, no active row, status 1 and gradient zero, in every back end of ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from pe_safety.qp import gradient_batch, solve_batch
from pe_safety.qp_torch import solve_qp_torch

BACKENDS = ("compiled", "torch")
REFERENCES = ("osqp", "qpth", "quadprog")


class Solution(NamedTuple):
    """u (..., 2); status (...) int8, 0 optimal, 1 infeasible; active rows (..., 2) int16, -1 for none."""

    u: Tensor
    status: Tensor
    active: Tensor


class _CompiledQp(torch.autograd.Function):
    """The compiled batch kernels; gradients reach G (N, m, 2), b (N, m) and u_nom (N, 2)."""

    @staticmethod
    def forward(ctx: Any, G: Tensor, b: Tensor, u_nom: Tensor, weights: NDArray[np.float64]) -> Any:
        G, b, u_nom = G.contiguous(), b.contiguous(), u_nom.contiguous()
        n = u_nom.shape[0]
        u = torch.empty_like(u_nom)
        status = torch.empty(n, dtype=torch.int8)
        active = torch.empty((n, 2), dtype=torch.int16)
        solve_batch(G.numpy(), b.numpy(), u_nom.numpy(), weights, u.numpy(), status.numpy(), active.numpy())
        ctx.weights = weights
        ctx.save_for_backward(G, b, u_nom, u, status, active)
        ctx.mark_non_differentiable(status, active)
        return u, status, active

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_u: Tensor, _status: Any, _active: Any) -> Any:
        G, b, u_nom, u, status, active = ctx.saved_tensors
        grad_nominal = torch.empty_like(u_nom)
        grad_G = torch.zeros_like(G)
        grad_b = torch.zeros_like(b)
        gradient_batch(
            G.numpy(), b.numpy(), u_nom.numpy(), ctx.weights, u.numpy(), status.numpy(), active.numpy(),
            grad_u.contiguous().numpy(), grad_nominal.numpy(), grad_G.numpy(), grad_b.numpy(),
        )  # fmt: skip
        return grad_G, grad_b, grad_nominal, None


def solve_qp(
    G: Tensor, b: Tensor, u_nom: Tensor, weights: Sequence[float] | Tensor, backend: str = "compiled"
) -> Solution:
    """Solve a batch of two-variable QPs, differentiable in G, b and u_nom.

    Args:
        G: rows (..., m, 2), float32 or float64.
        b: right-hand sides (..., m), same type.
        u_nom: nominal commands (..., 2), same type.
        weights: two positive constants (w_v, w_omega).
        backend: one of ``BACKENDS`` or ``REFERENCES``.

    Raises:
        ValueError: shapes that do not fit, weights that are not positive, an unknown back end.
        TypeError: tensors of different or other types.
        ImportError: a reference back end that is not installed.
    """
    shape = u_nom.shape[:-1]
    if G.shape[-1:] != (2,) or u_nom.shape[-1:] != (2,) or G.shape[:-2] != shape or b.shape != G.shape[:-1]:
        raise ValueError(
            f"G {tuple(G.shape)}, b {tuple(b.shape)}, u_nom {tuple(u_nom.shape)}: "
            "expected (..., m, 2), (..., m), (..., 2)"
        )
    if G.dtype not in (torch.float32, torch.float64) or b.dtype != G.dtype or u_nom.dtype != G.dtype:
        raise TypeError(
            f"G, b, u_nom must all be float32 or all float64, not {G.dtype}, {b.dtype}, {u_nom.dtype}"
        )
    values = weights.tolist() if isinstance(weights, Tensor) else [float(w) for w in weights]
    if len(values) != 2 or not all(0.0 < w < float("inf") for w in values):
        raise ValueError(f"weights must be two positive numbers, not {values}")
    if G.dim() != 3:
        G, b, u_nom = G.reshape(-1, *G.shape[-2:]), b.reshape(-1, b.shape[-1]), u_nom.reshape(-1, 2)
    if backend == "compiled" and u_nom.device.type == "cpu":
        u, status, active = _CompiledQp.apply(G, b, u_nom, np.array(values))
    elif backend in BACKENDS:
        u, status, active = solve_qp_torch(G, b, u_nom, torch.tensor(values, dtype=torch.float64))
    elif backend in REFERENCES:
        from pe_safety import qp_reference

        u, status, active = qp_reference.SOLVERS[backend](G, b, u_nom, np.array(values))
    else:
        raise ValueError(f"unknown back end {backend!r}; known: {', '.join((*BACKENDS, *REFERENCES))}")
    if len(shape) != 1:
        u, status, active = u.reshape(*shape, 2), status.reshape(shape), active.reshape(*shape, 2)
    return Solution(u, status, active)

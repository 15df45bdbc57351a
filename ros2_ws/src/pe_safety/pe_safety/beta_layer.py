r"""Truncated Beta policies in torch: log-probability and entropy, differentiable in the parameters.

    log pi(x | C) and H of :mod:`pe_safety.truncated_beta`, forward and backward in one pass of compiled kernels

A rollout keeps the polygons (:func:`pe_safety.polygon.polygons`), the points that it drew
(:func:`pe_safety.beta_sampling.sample`) and the parameters that it drew them from; an update evaluates minibatches of
them by :func:`evaluate`.  Polygons and points are data: no gradient reaches them.

Tensors may be float32 or float64 and lie on any device; the arithmetic is float64, on the CPU, over the threads that
torch has (``torch.set_num_threads``), of which no value depends.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pe_safety import truncated_beta
from pe_safety.polygon import Box, Polygons, polygons


class Evaluation(NamedTuple):
    """log pi(x | C) (N,) and the entropy of pi(. | C) (N,), both per unit of the unit square."""

    log_prob: Tensor
    entropy: Tensor


class _TruncatedBeta(torch.autograd.Function):
    """The compiled kernels; gradients reach the parameters (N, 4)."""

    @staticmethod
    def forward(ctx: Any, parameters: Tensor, x: Tensor, vertices: Tensor, counts: Tensor) -> Any:
        arrays = [t.detach().cpu().contiguous().numpy() for t in (parameters, x, vertices, counts)]
        values = truncated_beta.evaluate(
            arrays[0], arrays[1], Polygons(arrays[2], arrays[3]), torch.get_num_threads()
        )
        log_prob, entropy, *grads = (torch.from_numpy(v).to(parameters) for v in values)
        ctx.save_for_backward(*grads)
        return log_prob, entropy

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_log_prob: Tensor, by_entropy: Tensor) -> Any:
        grad_log_prob, grad_entropy = ctx.saved_tensors
        return by_log_prob[:, None] * grad_log_prob + by_entropy[:, None] * grad_entropy, None, None, None


def beta_parameters(raw: Tensor) -> Tensor:
    """Parameters 1 + softplus(raw) > 1 of unimodal densities, from a network's outputs."""
    return 1.0 + torch.nn.functional.softplus(raw)


def evaluate(parameters: Tensor, x: Tensor, vertices: Tensor, counts: Tensor) -> Evaluation:
    """log pi(x | C) and the entropy of pi(. | C), differentiable in the parameters.

    Args:
        parameters: (a1, b1, a2, b2), (N, 4), at least 1, float32 or float64.
        x: points in unit coordinates (N, 2).  Whether they lie in C is not asked.
        vertices: of the polygons (N, V, 2); keep them in float64, in which thin sets stay sets.
        counts: (N,) int8; 0, no density, makes both outputs and their gradients 0.

    Raises:
        ValueError: shapes that do not fit, parameters that are not in [1, inf), a point that is NaN.
        TypeError: tensors of other types.
    """
    floats = (torch.float32, torch.float64)
    if any(t.dtype not in floats for t in (parameters, x, vertices)) or counts.dtype != torch.int8:
        raise TypeError(
            "parameters, x, vertices must be float32 or float64 and counts int8, not "
            f"{parameters.dtype}, {x.dtype}, {vertices.dtype}, {counts.dtype}"
        )
    return Evaluation(*_TruncatedBeta.apply(parameters, x, vertices, counts))


def log_prob(u: Tensor, parameters: Tensor, G: Tensor, b: Tensor, box: Box) -> Tensor:
    """log pi(u | C) (N,) of commands, density per m/s and rad/s, differentiable in the parameters.

    Args:
        u: commands (v, omega) [m/s, rad/s], (N, 2).
        parameters: (a1, b1, a2, b2), (N, 4), at least 1, float32 or float64.
        G: rows (N, m, 2), float32 or float64.
        b: right-hand sides (N, m) [m/s], same type; +inf makes a row that never binds.
        box: the control bounds.

    Raises:
        ValueError: as :func:`evaluate`, and rows that are not finite.
        TypeError: tensors of other types.
    """
    found = polygons(G.detach().cpu().numpy(), b.detach().cpu().numpy(), box)
    x = torch.from_numpy(box.unit(u.detach().cpu().numpy().astype(np.float64)))
    vertices, counts = torch.from_numpy(found.vertices), torch.from_numpy(found.counts)
    value = evaluate(parameters, x, vertices, counts).log_prob
    per_command = (counts > 0) * torch.tensor(np.log(box.span).sum(), dtype=torch.float64)
    return value - per_command.to(value)

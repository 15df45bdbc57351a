r"""What the quadratic program lets through of a loss's gradient.

    P_safe = rms_i |dL_i/du_safe|,    P_nom = rms_i |J_i^T dL_i/du_safe|,    J_i = du_safe/du_nom of sample i

L is the mean of the losses L_i of the samples, so that dL_i = (number of samples) dL.  P_nom is what leaves the
program towards the network; what a loss asks of u_nom beside the program (the price of a correction) is not in it.
P_nom / P_safe, the share that passes, is 1 where no row is active and 0 where two are; where one is, it may exceed 1,
for the program projects in its own metric.
"""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor


class Probe:
    """Watches tensors (n, 2) of one backward pass, in parts or whole; dimensionless actions."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget the last pass."""
        self._squares = {"safe": 0.0, "nominal": 0.0}
        self._corrections = 0.0
        self._counts = torch.zeros(3)
        self._noted: dict[str, list[float]] = {}

    def note(self, key: str, values: Tensor) -> None:
        """Something else of which the curves get the mean: any shape, the same in every call."""
        self._noted.setdefault(key, []).append(float(values.detach().mean()))

    def watch(self, entering: Tensor, leaving: Tensor, active: Tensor) -> None:
        """Note n solutions ``leaving`` (n, 2) of the programs of ``entering`` (n, 2).

        ``active`` (n,) is the number of active rows.  The norms come with the backward pass.
        """
        with torch.no_grad():
            self._counts += torch.bincount(active.long(), minlength=3)[:3]
            self._corrections += float(((leaving - entering) ** 2).sum(1).sqrt().sum())
        for key, tensor in (("safe", leaving), ("nominal", entering)):
            if tensor.requires_grad:
                tensor.register_hook(partial(self._add, key))

    def _add(self, key: str, gradient: Tensor) -> None:
        self._squares[key] += float(gradient.square().sum())

    def found(self) -> dict[str, float]:
        """Numbers for the curves, of all that was noted since :meth:`clear`; empty where nothing was."""
        n = float(self._counts.sum())
        if n == 0.0:
            return {}
        safe, nominal = (math.sqrt(n * self._squares[key]) for key in ("safe", "nominal"))
        shares = (self._counts / n).tolist()
        return {
            "gradient_safe": safe,
            "gradient_nominal": nominal,
            "gradient_passed": nominal / safe if safe > 0.0 else 0.0,
            **{f"active_{k}": share for k, share in enumerate(shares)},
            "mean_correction": self._corrections / n,
            **{key: sum(means) / len(means) for key, means in self._noted.items()},
        }

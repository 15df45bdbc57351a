r"""BarrierNet as straight-line code: no branch, loop or size that depends on a value, for formats that have none.

Every row is a candidate line (:func:`pe_safety.qp_lines.nearest_of` with k = m), also those that the point obeys, which
are passed over there.  What :mod:`pe_safety.barrier_net` leaves to :func:`pe_safety.qp_torch.solve_qp_torch`, problems
in which no candidate obeys every row to 1e-9, counts as infeasible: u = 0, or with ``defers`` what the network asks.
Those are the infeasible problems, and feasible ones in which rounding leaves no interval, hence nearly infeasible ones:
1 of 2,400 at the edge of the safe set (tests/training/learning/test_onnx.py).

O(m^2) a problem instead of O(k m).  Gradients pass, but nothing is learned through it.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from pe_safety.barrier_net import BarrierNet
from pe_safety.qp_lines import VIOLATED, nearest_of


class StraightBarrierNet(nn.Module):
    """A copy of a :class:`pe_safety.barrier_net.BarrierNet`: observation (N, SIZE) -> action (N, 2)."""

    def __init__(self, policy: BarrierNet) -> None:
        super().__init__()
        self.policy = copy.deepcopy(policy)
        self.policy.rows.every = True

    def forward(self, observation: Tensor) -> Tensor:
        """Actions (N, 2) = (v / v_max, omega / omega_max)."""
        nominal, share = self.policy.nominal(observation)
        rows = self.policy.tightened(self.policy.rows.stacked(observation), share) * self.policy.scale
        a0, a1, _c = rows.unbind(0)
        rows = rows / torch.hypot(a0, a1).clamp(min=1e-150)
        per = self.policy.scale.squeeze(2).narrow(0, 0, 2)
        asked = nominal.t().to(torch.float64)
        p = asked / per
        a0, a1, c = rows.unbind(0)
        excess = a0 * p[0] + a1 * p[1] - c
        outside = ~(excess <= VIOLATED).all(0)
        y, obeys, _pick, _bounding = nearest_of(rows, rows, excess, p, False)
        feasible = obeys | ~outside
        u = torch.where(outside, torch.where(feasible, y * per, 0.0), asked)
        return self.policy.settled(nominal, u, feasible)

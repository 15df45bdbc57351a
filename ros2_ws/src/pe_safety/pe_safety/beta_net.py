r"""A Beta policy that keeps its polygon: the mean of the truncated density, with rows made of the observation alone.

    (a1, b1, a2, b2) = net.density(observation)
    C = { u in the box : G(observation) u <= b(observation) },    u = E_pi[ u | C ]

in place of the mean of the whole density, which the filter would have to project.  C is convex, so that u lies in it
and passes the rows untouched; and it is what a policy trained in :mod:`pe_safety.truncated_beta` does on average.
The rows are those of :mod:`pe_safety.barrier_net`, with what is said there of what an observation does not hold.

The integrals, in the unit coordinates x = v / v_max and y = (1 + omega / omega_max) / 2.  Every row is an upper or a
lower bound of y, linear in x, so that the ends of C in x follow from all pairs of the two (Fourier and Motzkin), and

    E[(x, y) | C] = 1/Z int_{x0}^{x1} int_{lo(x)}^{hi(x)} (x, y) pi(x, y) dy dx

by Gauss and Legendre's rule in x and, on every chord, in y.  A mean of points of C with positive weights is in C
whatever the error of the rule.

Where C has no inside, or where :mod:`pe_safety.ladder` would turn a robot that stands, the action is the mean of the
whole density: the filter is asked.

Sources: Suttle et al. 2024 (arXiv:2403.04007), Beta policies on safe sets; Golub and Welsch 1969 (the rule).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from pe_safety.barrier_net import Exact, ObservationRows, left_to_filter

NODES = (32, 16)
"""Of the rule, in x and on a chord."""
# Coefficients of y smaller than this make a row a bound of x.
_FLAT = 1e-12
# Instead of a bound that is none.
_NONE = 1e6
# Parameters of trained densities reach 150: nothing is lost nearer to the edges of the box.
_EDGE = 1e-7
# Of a weight beside the largest: numbers too small for their type are slow.
_LEAST_LOG = -60.0


class BetaNet(Exact):
    """Observation (N, SIZE) -> action (N, 2) = (v / v_max, omega / omega_max), E[u | C]; module docstring."""

    def __init__(self, net: nn.Module, gamma: float = 0.2) -> None:
        """Keep the polygon of ``net``, whose ``density(observation)`` is (a1, b1, a2, b2), (N, 4), each at least 1.

        Args:
            net: its type is the type of the action.
            gamma: the filter's decay per control step.

        Raises:
            ValueError: gamma is not in (0, 1].
        """
        super().__init__()
        self.net = net
        self.rows = ObservationRows(gamma)
        self.flat, self.none, self.edge, self.least_log = _FLAT, _NONE, _EDGE, _LEAST_LOG
        (x, weights_x), (y, weights_y) = (np.polynomial.legendre.leggauss(nodes) for nodes in NODES)
        for name, values in (
            ("span", torch.tensor([1.0, 2.0])),
            ("least", torch.tensor([0.0, -1.0])),
            ("x", torch.from_numpy(0.5 + 0.5 * x[:, None])),
            ("y", torch.from_numpy(0.5 + 0.5 * y).float()),
            ("weights_x", torch.from_numpy(0.5 * weights_x).float()),
            ("weights_y", torch.from_numpy(0.5 * weights_y).float()),
            # A bound (fall, level) of y that is none, from above and from below; a x <= c that is none.
            ("never_above", torch.tensor([0.0, _NONE], dtype=torch.float64).view(2, 1, 1)),
            ("never_below", torch.tensor([0.0, -_NONE], dtype=torch.float64).view(2, 1, 1)),
            ("always", torch.tensor([0.0, 1.0], dtype=torch.float64).view(2, 1, 1, 1)),
            ("unheld", torch.zeros((), dtype=torch.float64)),
            ("one", torch.ones((), dtype=torch.float64)),
        ):
            self.register_buffer(name, values, persistent=False)

    @torch.jit.export
    def density(self, observation: Tensor) -> Tensor:
        """Parameters (a1, b1, a2, b2) (N, 4) of the whole density."""
        return self.net.density(observation)

    def forward(self, observation: Tensor) -> Tensor:
        """Actions (N, 2)."""
        density = self.net.density(observation)
        first, second = density.reshape(-1, 2, 2).unbind(2)
        whole = first / (first + second) * self.span + self.least
        if whole.shape[0] == 0:
            return whole
        mean, found = self.mean(density.float(), self.rows.stacked(observation))
        action = mean.to(whole.dtype) * self.span + self.least
        asks = left_to_filter(action, whole, found) | ~found
        return torch.where(asks.unsqueeze(1), whole, action)

    def mean(self, parameters: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """E[(x, y) | C] (N, 2) in unit coordinates, and where (N,) C has an inside.

        Args:
            parameters: (N, 4), float32; so is the density, of which the mean needs no more.
            rows: g_v, g_omega and b of actions, (3, m, N), float64.
        """
        lines, above, below = self.bounds(rows)
        x0, x1 = self.ends(lines, above, below, rows)
        found = x1 > x0
        x = x0 + (x1 - x0).clamp(min=0.0) * self.x
        low, high = self.chord(x, lines, above, below)
        low, chord = low.t().float(), (high - low).clamp(min=0.0).t().float()
        x = x.t().float()
        y = low.unsqueeze(2) + chord.unsqueeze(2) * self.y
        p1, q1, p2, q2 = (parameters - 1.0).split(1, 1)
        weight = self.log(x, p1, q1).unsqueeze(2) + self.log(y, p2.unsqueeze(2), q2.unsqueeze(2))
        weight = (weight - weight.amax([1, 2], True)).clamp(min=self.least_log).exp() * self.weights_y
        weight = weight * (chord * self.weights_x).unsqueeze(2)
        along = weight.sum(2)
        total = along.sum(1, True)
        some = total > 0.0
        sums = torch.stack([(along * x).sum(1), (weight * y).sum([1, 2])], 1)
        return sums / torch.where(some, total, torch.ones_like(total)), found & some.squeeze(1)

    def chord(self, x: Tensor, lines: Tensor, above: Tensor, below: Tensor) -> tuple[Tensor, Tensor]:
        """The least and the largest y (K, N) of C at ``x`` (K, N)."""
        at = x.unsqueeze(1)
        fall, level = torch.where(above, lines, self.never_above).unbind(0)
        high = (level - fall * at).amin(1)
        fall, level = torch.where(below, lines, self.never_below).unbind(0)
        low = (level - fall * at).amax(1)
        return low.clamp(0.0, 1.0), high.clamp(0.0, 1.0)

    def log(self, at: Tensor, p: Tensor, q: Tensor) -> Tensor:
        """p log at + q log(1 - at)."""
        return p * at.clamp(min=self.edge).log() + q * (1.0 - at).clamp(min=self.edge).log()

    def bounds(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rows as bounds y <= or >= level - fall x: (fall, level) (2, m, N), which bound from above, and from below."""
        across = 2.0 * rows[1]
        above, below = across > self.flat, across < -self.flat
        divisor = torch.where(above | below, across, self.one)
        level = ((rows[2] + rows[1]) / divisor).clamp(-self.none, self.none)
        return torch.stack([rows[0] / divisor, level]), above, below

    def ends(self, lines: Tensor, above: Tensor, below: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The least and the largest x (N,) of C; the one above the other where it is empty."""
        # a x <= c of every pair (m * m, N), and of the rows that do not hold y.
        pairs = above.unsqueeze(1) & below.unsqueeze(0)
        between = torch.where(pairs, lines.unsqueeze(2) - lines.unsqueeze(1), self.always).flatten(1, 2)
        alone = torch.where(above | below, self.unheld, rows[0::2])
        a, c = torch.cat([between, alone], 1).unbind(0)
        right, left = a > self.flat, a < -self.flat
        held = right | left
        at = c / torch.where(held, a, self.one)
        x1 = torch.where(right, at, self.one).amin(0).clamp(max=1.0)
        x0 = torch.where(left, at, self.unheld).amax(0).clamp(min=0.0)
        shut = torch.where(held, self.one, c).amin(0) < 0.0
        return x0, torch.where(shut, x0 - 1.0, x1)

"""CBF-Beta: a Beta policy whose support is the set of safe commands itself."""

from __future__ import annotations

import torch
from torch import Tensor

from pe_safety.axis_box import axis_boxes, centroids
from pe_safety.beta_layer import beta_parameters, evaluate
from pe_safety.beta_sampling import draw_keys, sample
from pe_safety.polygon import Box, Polygons, cut_ones, polygons
from training.learning.parameters import BOX as SUPPORT_BOX
from training.learning.parameters import Learning
from training.learning.policies import Context, Judged, Policy, Rows
from training.networks import BetaActor

BOX = Box(0.0, 1.0, 1.0)
"""Of actions."""


class CbfBetaPolicy(Policy):
    """u ~ pi / pi(C): Beta densities of v and omega, truncated to the exact polygon C = {u : G u <= b}.

    What is drawn is safe and is executed as it is, and its log-probability is that of the truncated density
    (:mod:`pe_safety.truncated_beta`).  The deterministic action is the mean of the whole densities, which the filter
    projects on C.

    With ``support: box`` the densities are truncated to the box about the centroid of C instead, one interval an axis
    (:mod:`pe_safety.axis_box`): of the state alone too, so that log-probability, entropy and gradients are exact for
    what is drawn; but part of C is left out, and what of the box lies outside C is corrected by the filter.
    """

    needs_rows = True

    def __init__(self, learning: Learning) -> None:
        super().__init__()
        self.support = learning.support
        self.mean = BetaActor([learning.hidden] * learning.layers, learning.activation, learning.symmetric)

    def context(self, rows: Rows | None) -> Context:
        """Vertices (N, V, 2) of the polygons in unit coordinates, float64, and their numbers (N,)."""
        assert rows is not None
        found = polygons(rows.g.numpy(), rows.b.numpy(), BOX, torch.get_num_threads())
        if self.support == SUPPORT_BOX:
            found = axis_boxes(found, centroids(found))
        return torch.from_numpy(found.vertices), torch.from_numpy(found.counts)

    @torch.no_grad()
    def draw(self, features: Tensor, context: Context, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """See :class:`Policy`."""
        parameters = beta_parameters(self.mean.net(features)).double()
        vertices, counts = context
        seed = int(torch.randint(2**62, (1,), generator=generator))
        keys = draw_keys(seed, 0, len(counts))
        found = Polygons(vertices.numpy(), counts.numpy())
        x = sample(parameters.numpy(), found, keys, torch.get_num_threads())
        action = torch.from_numpy(x * [1.0, 2.0] - [0.0, 1.0]).float()
        # Of the action as it is kept: near an edge of the box its rounding counts.
        return action, evaluate(parameters, unit(action).double(), vertices, counts).log_prob.float()

    def judge(self, features: Tensor, action: Tensor, context: Context) -> Judged:
        """See :class:`Policy`; the active rows are 1 where some row cuts the box."""
        parameters = beta_parameters(self.mean.net(features))
        found = evaluate(parameters, unit(action), *context)
        vertices, counts = context
        cut = torch.from_numpy(cut_ones(vertices.numpy(), counts.numpy()))
        return Judged(found.log_prob, found.entropy, torch.zeros_like(found.log_prob), cut)


def unit(action: Tensor) -> Tensor:
    """Unit coordinates (N, 2) of actions, at most in the box."""
    return torch.stack([action[:, 0], 0.5 + 0.5 * action[:, 1]], 1).clamp(0.0, 1.0)

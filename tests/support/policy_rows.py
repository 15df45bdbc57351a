"""Safety rows to try policies on."""

from __future__ import annotations

import torch

from training.learning.policies import Rows


def rows(n: int) -> Rows:
    """The control bounds, and v <= 0.3 of half of the states."""
    g = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0], [1.0, 0.0]]).repeat(n, 1, 1)
    b = torch.tensor([1.0, 0.0, 1.0, 1.0, float("inf")]).repeat(n, 1)
    b[::2, 4] = 0.3
    barrier = torch.tensor([False, False, False, False, True]).repeat(n, 1)
    return Rows(g, b, barrier)

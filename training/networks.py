"""Policy and value networks: the same multilayer perceptron, on the features."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from training.features import FEATURES, Canonical, Features

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "elu": nn.ELU}


def perceptron(sizes: Sequence[int], outputs: int, activation: str, gain: float) -> nn.Sequential:
    """FEATURES -> sizes -> outputs, orthogonal weights, zero biases; ``gain`` is the last layer's."""
    layers: list[nn.Module] = []
    width = FEATURES
    for size in sizes:
        layers += [_linear(width, size, math.sqrt(2.0)), ACTIVATIONS[activation]()]
        width = size
    layers.append(_linear(width, outputs, gain))
    return nn.Sequential(*layers)


def _linear(inputs: int, outputs: int, gain: float) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer


class Mean(nn.Module):
    """Observations (N, SIZE) to nominal actions (N, 2) in the box: v / v_max in [0, 1], omega / omega_max in [-1, 1].

    With raw outputs z the action is (sigmoid(2 z_0), tanh(z_1)): smooth, and inside the control bounds, so that only
    barriers are left for a quadratic program to correct.
    """

    def __init__(self, sizes: Sequence[int], activation: str, symmetric: bool) -> None:
        super().__init__()
        self.canonical = Canonical(symmetric)
        self.features = Features()
        self.net = perceptron(sizes, 2, activation, 0.01)

    def squash(self, raw: Tensor) -> Tensor:
        """Raw outputs (N, 2) to nominal actions (N, 2)."""
        return torch.stack([torch.sigmoid(2.0 * raw[:, 0]), torch.tanh(raw[:, 1])], 1)

    def forward(self, observation: Tensor) -> Tensor:
        """See the class."""
        seen, sign = self.canonical(observation)
        action = self.squash(self.net(self.features(seen)))
        return torch.cat([action[:, :1], action[:, 1:] * sign], 1)


class BetaMean(nn.Module):
    """Observations (N, SIZE) to the means (N, 2) of Beta densities on the box of actions.

    Raw outputs z give parameters (a1, b1, a2, b2) = 1 + softplus(z), which make unimodal densities of unit coordinates
    (v / v_max, (1 + omega / omega_max) / 2), with means a / (a + b).
    """

    def __init__(self, sizes: Sequence[int], activation: str, symmetric: bool) -> None:
        super().__init__()
        self.canonical = Canonical(symmetric)
        self.features = Features()
        self.net = perceptron(sizes, 4, activation, 0.01)

    def squash(self, raw: Tensor) -> Tensor:
        """Raw outputs (N, 4) to mean actions (N, 2)."""
        p = 1.0 + torch.nn.functional.softplus(raw)
        return torch.stack([p[:, 0] / (p[:, 0] + p[:, 1]), 2.0 * p[:, 2] / (p[:, 2] + p[:, 3]) - 1.0], 1)

    def forward(self, observation: Tensor) -> Tensor:
        """See the class."""
        seen, sign = self.canonical(observation)
        action = self.squash(self.net(self.features(seen)))
        return torch.cat([action[:, :1], action[:, 1:] * sign], 1)

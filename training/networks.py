"""Policy and value networks: the same multilayer perceptron, on the features."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pe_safety.beta_layer import beta_parameters
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


class Actor(nn.Module):
    """Observations (N, SIZE) to deterministic actions (N, 2): a network in the canonical frame, and what it means.

    Attributes:
        canonical, features: observations to features (``training.features``); net: features to raw outputs.
    """

    outputs = 2

    def __init__(self, sizes: Sequence[int], activation: str, symmetric: bool) -> None:
        super().__init__()
        self.canonical = Canonical(symmetric)
        self.features = Features()
        self.net = perceptron(sizes, self.outputs, activation, 0.01)

    def squash(self, raw: Tensor) -> Tensor:
        """Raw outputs (N, 2) to actions in the box: v / v_max = sigmoid(2 z_0), omega / omega_max = tanh(z_1).

        Smooth, and inside the control bounds, so that only barriers are left for a quadratic program to correct.
        """
        return torch.stack([torch.sigmoid(2.0 * raw[:, 0]), torch.tanh(raw[:, 1])], 1)

    def forward(self, observation: Tensor) -> Tensor:
        """See the class."""
        seen, sign = self.canonical(observation)
        action = self.squash(self.net(self.features(seen)))
        return torch.cat([action[:, :1], action[:, 1:] * sign], 1)


class AdaptiveActor(Actor):
    """Observations (N, SIZE) to actions and z (N, 3): ``pe_safety.barrier_net``, adaptive gain.

    z is a scalar of the game, the same in all mirror images.
    """

    outputs = 3

    def __init__(self, sizes: Sequence[int], activation: str, symmetric: bool) -> None:
        super().__init__(sizes, activation, symmetric)
        # Begins near the filter's own gain: sigmoid(2) = 0.88.
        nn.init.constant_(self.net[-1].bias[2:], 2.0)

    def forward(self, observation: Tensor) -> Tensor:
        """See the class."""
        seen, sign = self.canonical(observation)
        raw = self.net(self.features(seen))
        action = self.squash(raw)
        return torch.cat([action[:, :1], action[:, 1:] * sign, raw[:, 2:]], 1)


class BetaActor(Actor):
    """Observations (N, SIZE) to the means (N, 2) of Beta densities on the box of actions."""

    outputs = 4

    def __init__(self, sizes: Sequence[int], activation: str, symmetric: bool) -> None:
        super().__init__(sizes, activation, symmetric)
        self.register_buffer("mirrored", torch.tensor([0, 1, 3, 2]), persistent=False)

    def squash(self, raw: Tensor) -> Tensor:
        """Raw outputs (N, 4) to means a / (a + b) in unit coordinates (v / v_max, (1 + omega / omega_max) / 2).

        (a1, b1, a2, b2): :func:`pe_safety.beta_layer.beta_parameters`.
        """
        p = beta_parameters(raw)
        return torch.stack([p[:, 0] / (p[:, 0] + p[:, 1]), 2.0 * p[:, 2] / (p[:, 2] + p[:, 3]) - 1.0], 1)

    @torch.jit.export
    def density(self, observation: Tensor) -> Tensor:
        """Parameters (a1, b1, a2, b2) (N, 4) of the densities, in the robot's own frame.

        A mirror turns y, the share of the turn rate's range, into 1 - y, and so swaps a2 and b2.
        """
        seen, sign = self.canonical(observation)
        p = beta_parameters(self.net(self.features(seen)))
        return torch.where(sign > 0.0, p, p.index_select(1, self.mirrored))

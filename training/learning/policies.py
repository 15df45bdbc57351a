"""The stochastic policies that learn: how an action is drawn, and how probable it was.

Actions are dimensionless (v / v_max, omega / omega_max), in the canonical frame of ``training.features``, and so are
features and rows.  Every policy draws from random numbers that it is given, and says what it would do without noise.
``Rows`` are the safety rows G u <= b that the filter has in the same state.
"""

from __future__ import annotations

import abc
import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from pe_core.robot import load_robot
from pe_safety.barrier_net import BarrierNet, action_weights, shared_budgets
from pe_safety.parameters import load_safety
from pe_safety.qp_layer import solve_qp
from training.learning.parameters import Learning
from training.learning.probe import Probe
from training.networks import Actor, AdaptiveActor

_LOG_TWO_PI = math.log(2.0 * math.pi)


class Rows(NamedTuple):
    """Safety rows of N states in action units, padded by rows that never bind (b = inf)."""

    g: Tensor  # (N, m, 2)
    b: Tensor  # (N, m)
    barrier: Tensor  # (N, m) bool: of barriers and bodies, not of bounds

    def mirrored(self, sign: Tensor) -> Rows:
        """The same rows in frames in which turn rates have ``sign`` (N, 1)."""
        return Rows(torch.stack([self.g[..., 0], self.g[..., 1] * sign], 2), self.b, self.barrier)


Context = tuple[Tensor, ...]
"""What a policy keeps of the rows of N states, beside features and actions: first axes (N,)."""


class Judged(NamedTuple):
    """Of N actions: log-probability, entropy, |u_safe - u_nom|^2 of the mean (N,) each, rows active at the mean."""

    log_prob: Tensor
    entropy: Tensor
    correction: Tensor
    active: Tensor


class Policy(nn.Module, abc.ABC):
    """What :mod:`training.learning` asks of a stochastic policy.

    Attributes:
        mean: observations to deterministic actions; its parts make the features.
        needs_rows: whether :meth:`context` reads the rows.
    """

    mean: Actor
    needs_rows = False

    def nominal(self, features: Tensor) -> Tensor:
        """What it would do without noise, before any correction (N, 2)."""
        return self.mean.squash(self.mean.net(features))

    def context(self, rows: Rows | None) -> Context:
        """What of the rows is kept for :meth:`judge`."""
        return ()

    @abc.abstractmethod
    def draw(self, features: Tensor, context: Context, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Actions (N, 2) and their log-probabilities (N,), without gradients."""

    @abc.abstractmethod
    def judge(self, features: Tensor, action: Tensor, context: Context) -> Judged:
        """Of given actions (N, 2); differentiable."""

    def confine(self) -> None:
        """Bring parameters back into their intervals, after a gradient step."""

    def spread(self) -> dict[str, float]:
        """How much is explored, for the curves."""
        return {}

    def probed(self) -> dict[str, float]:
        """What its program made of the last loss's gradient, after the backward pass; empty without a program."""
        return {}

    def deterministic(self) -> nn.Module:
        """What runs on the robot: observations (N, SIZE) to actions (N, 2), without noise."""
        return self.mean

    def imitate(self, features: Tensor, wanted: Tensor) -> Tensor:
        """Loss of the mean beside what a teacher did (N, 2): a number."""
        return ((self.nominal(features) - wanted) ** 2).sum(1).mean()


class GaussianPolicy(Policy):
    """u ~ Normal(mean, sigma): plain PPO, what the filter makes of it is the world's affair.

    The deviation is one parameter an axis, kept within [low, high]: one that is free explodes where the filter hides
    what noise does.
    """

    def __init__(self, learning: Learning) -> None:
        super().__init__()
        self.mean = Actor([learning.hidden] * learning.layers, learning.activation, learning.symmetric)
        self.low, self.high = math.log(learning.deviation_low), math.log(learning.deviation_high)
        self.log_deviation = nn.Parameter(torch.full((2,), self.high))

    def deviation(self) -> Tensor:
        """(2,) of both axes."""
        return self.log_deviation.exp()

    @torch.no_grad()
    def confine(self) -> None:
        """Bring the deviation back into its interval, after a gradient step."""
        self.log_deviation.clamp_(self.low, self.high)

    def spread(self) -> dict[str, float]:
        """The deviations."""
        deviation = self.deviation().detach()
        return {"deviation_v": float(deviation[0]), "deviation_omega": float(deviation[1])}

    def centre(self, features: Tensor, context: Context) -> tuple[Tensor, Tensor, Tensor]:
        """What noise is added to (N, 2), |u_safe - u_nom|^2 (N,), and the number of active rows (N,)."""
        mean = self.nominal(features)
        zero = torch.zeros_like(mean[:, 0])
        return mean, zero, zero

    @torch.no_grad()
    def draw(self, features: Tensor, context: Context, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Actions (N, 2) and their log-probabilities (N,)."""
        mean, _, _ = self.centre(features, context)
        action = mean + self.deviation() * torch.randn(len(mean), 2, generator=generator)
        return action, _normal_log_prob(action, mean, self.deviation())

    def judge(self, features: Tensor, action: Tensor, context: Context) -> Judged:
        """Differentiable."""
        mean, correction, active = self.centre(features, context)
        deviation = self.deviation()
        entropy = (0.5 + 0.5 * _LOG_TWO_PI + torch.log(deviation)).sum().expand(len(mean))
        return Judged(_normal_log_prob(action, mean, deviation), entropy, correction, active)


class BarrierNetPolicy(GaussianPolicy):
    """u ~ Normal(QP(u_nom), sigma): the mean is safe, exactly, and what is learned is what is driven.

    Gradients pass the program by its KKT conditions.  The sample is executed through the filter, which has the same
    rows: for the learner that is part of the world, and the log-probability is that of the sample that was drawn, so
    that the gradient has no bias.  With ``exploration`` = nominal the noise comes before the program, as published:
    u ~ Normal(u_nom, sigma), and only the deterministic policy is safe of itself.

    With ``least_share`` < 1 the network has a third output z, the same in all mirror images, and the right-hand sides
    b > 0 of barriers and bodies are multiplied by s = least_share + (1 - least_share) sigmoid(z).
    """

    needs_rows = True

    def __init__(self, learning: Learning) -> None:
        super().__init__(learning)
        self.safety, self.robot = load_safety(learning.safety), load_robot(learning.robot)
        self.metric = (self.safety.weight_v, self.safety.weight_omega)
        self.weights = action_weights(self.metric, self.robot.v_max, self.robot.omega_max)
        self.safe_mean = learning.exploration == "safe-mean"
        self.least_share = learning.least_share
        if self.least_share < 1.0:
            self.mean = AdaptiveActor(
                [learning.hidden] * learning.layers, learning.activation, learning.symmetric
            )
        self.probe = Probe()

    def context(self, rows: Rows | None) -> Context:
        """The rows themselves, from which the program can be solved again."""
        assert rows is not None
        return (rows.g, rows.b, rows.barrier) if self.least_share < 1.0 else (rows.g, rows.b)

    def share(self, raw: Tensor) -> Tensor:
        """s (N, 1) of the network's outputs (N, 3)."""
        return self.least_share + (1.0 - self.least_share) * torch.sigmoid(raw[:, 2:])

    def deterministic(self) -> nn.Module:
        """The network with the program in it; its rows are made of the observation (:mod:`pe_safety.barrier_net`)."""
        return BarrierNet(
            self.mean,
            gamma=self.safety.gamma,
            v_max=self.robot.v_max,
            omega_max=self.robot.omega_max,
            weights=self.metric,
            share_min=self.least_share,
            defers=True,
        )

    def centre(self, features: Tensor, context: Context) -> tuple[Tensor, Tensor, Tensor]:
        """See :class:`GaussianPolicy`."""
        g, b = context[:2]
        if self.least_share < 1.0:
            raw = self.mean.net(features)
            nominal, share = self.mean.squash(raw), self.share(raw)
            b = torch.where(context[2], shared_budgets(b, share), b)
            if torch.is_grad_enabled():
                self.probe.note("gain_share", share)
        else:
            nominal = self.nominal(features)
        # A tensor of its own: the gradient that it gets has come through the program.
        entering = nominal.view_as(nominal)
        solution = solve_qp(g, b, entering, self.weights)
        correction = ((solution.u - nominal) ** 2).sum(1)
        active = (solution.active >= 0).sum(1)
        if torch.is_grad_enabled():
            self.probe.watch(entering, solution.u, active)
        return (solution.u if self.safe_mean else nominal), correction, active

    def judge(self, features: Tensor, action: Tensor, context: Context) -> Judged:
        """See :class:`Policy`; what is probed is of the last call."""
        self.probe.clear()
        return super().judge(features, action, context)

    def probed(self) -> dict[str, float]:
        """See :mod:`training.learning.probe`."""
        return self.probe.found()


def _normal_log_prob(action: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    z = (action - mean) / deviation
    return -0.5 * (z * z + _LOG_TWO_PI).sum(1) - torch.log(deviation).sum()

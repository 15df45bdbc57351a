r"""Proximal policy optimisation of one rollout.

With r = exp(log pi(u) - log pi_old(u)) and advantages A, normalised over the rollout, the loss of the policy is

    - mean min(r A, clip(r, 1 - eps, 1 + eps) A)  -  c_H entropy  +  c_u |u_safe - u_nom|^2

and that of the value is the mean square of (V - (A + V_old)).  Rewards are scaled so that values are of order one.
The correction of the mean has a price because the program hides it: behind an active row the return does not depend on
u_nom, which would drift where no gradient brings it back.

Own code, for what the kept libraries do not hold: safety rows in the buffer, a mean behind a quadratic program,
densities truncated to a polygon, and states that are arrays already (docs/training.md: why, and what it costs).
Source: Schulman et al. 2017.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from training.learning.parameters import Learning
from training.learning.policies import Context, Policy
from training.learning.rollout import Rollout


@dataclasses.dataclass
class Optimisers:
    """Adam for the policy, Adam for the value."""

    policy: torch.optim.Adam
    critic: torch.optim.Adam

    def set_rate(self, rate: float) -> None:
        """Learning rate of both."""
        for optimiser in (self.policy, self.critic):
            for group in optimiser.param_groups:
                group["lr"] = rate


def update(
    learning: Learning,
    policy: Policy,
    critic: nn.Module,
    optimisers: Optimisers,
    rollout: Rollout,
    generator: torch.Generator,
    value_only: bool,
) -> dict[str, float]:
    """Improve both networks by ``rollout``; returns diagnostics, means over the gradient steps."""
    advantages = rollout.advantages(learning.discount, learning.trace)
    returns = (advantages + rollout.values[:-1]).flatten()
    values = rollout.values[:-1].flatten()
    advantages = advantages.flatten()
    wanted = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    features, actions = rollout.features.flatten(0, 1), rollout.actions.flatten(0, 1)
    old, context = rollout.log_prob.flatten(), rollout.flat_context()
    sums: dict[str, float] = {}
    losses: list[float] = []
    policy_steps = 0
    stopped = value_only
    for _ in range(learning.epochs):
        order = torch.randperm(len(old), generator=generator)
        for part in order.split(learning.minibatch):
            seen = features[part]
            if not stopped:
                here = tuple(value[part] for value in context)
                found = _policy_step(
                    learning, policy, optimisers, seen, actions[part], here, old[part], wanted[part]
                )
                policy_steps += 1
                for key, value in found.items():
                    sums[key] = sums.get(key, 0.0) + value
                stopped = found["kl"] > learning.divergence
            losses.append(value_step(learning, critic, optimisers, seen, returns[part]))
    result = {key: value / policy_steps for key, value in sums.items()}
    result["value_loss"] = sum(losses) / len(losses)
    result["explained_variance"] = explained_variance(returns, values)
    result["policy_steps"] = float(policy_steps)
    return result | policy.spread()


def value_step(
    learning: Learning, critic: nn.Module, optimisers: Optimisers, features: Tensor, targets: Tensor
) -> float:
    """One step of the value (n,) of ``features`` towards ``targets`` (n,); returns the loss before it."""
    error = critic(features)[:, 0] - targets
    loss = learning.value * (error * error).mean()
    optimisers.critic.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(critic.parameters(), learning.gradient_norm)
    optimisers.critic.step()
    return float(loss.detach())


def explained_variance(targets: Tensor, values: Tensor) -> float:
    """1 - var(targets - values) / var(targets); 0 where all targets are equal."""
    spread = float(targets.var())
    return 1.0 - float((targets - values).var()) / spread if spread > 0.0 else 0.0


def _policy_step(
    learning: Learning,
    policy: Policy,
    optimisers: Optimisers,
    features: Tensor,
    actions: Tensor,
    context: Context,
    old: Tensor,
    advantages: Tensor,
) -> dict[str, float]:
    judged = policy.judge(features, actions, context)
    change = judged.log_prob - old
    ratio = change.exp()
    gain = torch.minimum(
        ratio * advantages, ratio.clamp(1.0 - learning.clip, 1.0 + learning.clip) * advantages
    )
    loss = -gain.mean() - learning.entropy * judged.entropy.mean()
    loss = loss + learning.correction * judged.correction.mean()
    optimisers.policy.zero_grad(set_to_none=True)
    loss.backward()
    norm = nn.utils.clip_grad_norm_(policy.parameters(), learning.gradient_norm)
    optimisers.policy.step()
    policy.confine()
    with torch.no_grad():
        return {
            "policy_loss": float(loss),
            "kl": float((ratio - 1.0 - change).mean()),
            "clipped": float(((ratio - 1.0).abs() > learning.clip).float().mean()),
            "gradient_norm": float(norm),
            "active_rows": float(judged.active.float().mean()),
            "entropy": float(judged.entropy.mean()),
            **policy.probed(),
        }

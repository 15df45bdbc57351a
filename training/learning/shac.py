r"""Short-horizon actor-critic: a BarrierNet pursuer that learns by the derivative of the game itself.

N games are played H steps on.  With o(s) the observation of the own state s, f the unicycle's step and eps standard
normal,

    u_t = QP(u_nom(o(s_t)) + sigma eps_t; rows(o(s_t))),    s_{t+1} = f(s_t, u_t)
    L = - 1/(N H) sum_n [ sum_t gamma^k r_t + gamma^k V(s_H) ]  +  c_u mean |u - u_asked|^2

k counts from the start of the rollout or of the episode; an episode that ends stops the chain, and what is beyond is
worth nothing.  One step of Adam follows the derivative of L through the observation, the network, the rows, the
program, the robot and the value, all of the H steps.  Every value in the chain is the compiled simulator's: s_{t+1} is
replaced by what it has, with the derivative of f, and so is r_t.  What the opponent did is data: it is taken not to
react within the horizon.  The bonus of a capture has no derivative in the chain; it reaches the policy by V alone,
which learns TD(lambda) targets (the rollout's advantages + values) by mean square error.

Where the filter is asked instead of the program (:mod:`pe_safety.barrier_net`, ``defers``) u_t is a constant.

Source: Xu et al. 2022 (Accelerated Policy Learning with Parallel Differentiable Simulation); no target network here.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from pe_core.config import ConfigurationError
from pe_core.rewards import load_rewards
from pe_core.robot import load_robot
from pe_safety.barrier_net import BOUNDS, ObservationRows, left_to_filter, shared_budgets
from pe_safety.parameters import SafetyParameters, load_safety
from pe_safety.qp_layer import solve_qp
from training.games import BatchedGames
from training.learning.analytic import OTHER, OWN, advance, observe, reward, scene_of
from training.learning.parameters import SHAC, Learning
from training.learning.policies import BarrierNetPolicy
from training.learning.ppo import Optimisers, explained_variance, value_step
from training.learning.rollout import Account, Rollout

_FREE = ("gamma", "weight_v", "weight_omega")


def check(learning: Learning) -> None:
    """Refuse what the derivative does not cover.

    Raises:
        ConfigurationError: another role, robot, world, filter or reward than the ideal pursuer's.
    """
    robot, safety, base = load_robot(learning.robot), load_safety(learning.safety), SafetyParameters()
    wrong: list[tuple[str, object, str]] = []
    if learning.role != "pursuer":
        wrong.append(("role", learning.role, "pursuer"))
    for field in ("v_min", "track", "lag", "delay", "v_quantum", "omega_quantum", "acceleration_max"):
        if getattr(robot, field) != 0.0:
            wrong.append(
                (f"robot = '{learning.robot}': {field}", getattr(robot, field), "0, as of reference")
            )
    if learning.randomise != 0.0:
        wrong.append(("randomise", learning.randomise, "0"))
    for entry in dataclasses.fields(SafetyParameters):
        value = getattr(safety, entry.name)
        if entry.name not in _FREE and value != getattr(base, entry.name):
            wrong.append(
                (f"safety = '{learning.safety}': {entry.name}", value, repr(getattr(base, entry.name)))
            )
    if learning.feasibility != 0.0:
        wrong.append(("feasibility", learning.feasibility, "0"))
    paid = load_rewards(learning.rewards).correction
    if paid != 0.0:
        wrong.append((f"rewards = '{learning.rewards}': correction", paid, "0"))
    if wrong:
        name, value, allowed = wrong[0]
        raise ConfigurationError(
            f"learning: {name} = {value!r}: allowed with algorithm = '{SHAC}': {allowed}"
        )


class ShortHorizon:
    """Rollouts with their derivative, and what is learned from them."""

    def __init__(
        self,
        learning: Learning,
        games: BatchedGames,
        policy: BarrierNetPolicy,
        critic: nn.Module,
        reward_scale: float,
    ) -> None:
        """For ``games`` of the task of ``learning``, whose actions ``policy`` gives.

        Raises:
            ConfigurationError: see :func:`check`.
        """
        check(learning)
        self.learning, self.games, self.policy, self.critic = learning, games, policy, critic
        self.reward_scale = reward_scale
        self.rows = ObservationRows(policy.safety.gamma)
        self.weights = torch.from_numpy(games.rules.weights)

    def act(self, observation: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What is done where ``observation`` (N, SIZE), float64, is seen.

        Args:
            noise: (N, 2), added to u_nom in the canonical frame.

        Returns:
            Features (N, FEATURES); actions (N, 2) and what was asked (N, 2), float64; which of them (N,) the filter
            decides, so that they are constants.
        """
        policy, mean = self.policy, self.policy.mean
        seen, sign = mean.canonical(observation.to(noise.dtype))
        features = mean.features(seen)
        raw = mean.net(features)
        asked = mean.squash(raw) + noise
        asked = torch.stack([asked[:, 0].clamp(0.0, 1.0), (asked[:, 1] * sign[:, 0]).clamp(-1.0, 1.0)], 1)
        g, b = self.rows(observation)
        if policy.least_share < 1.0:
            share = policy.share(raw)
            policy.probe.note("gain_share", share)
            b = torch.cat([b[:, :BOUNDS], shared_budgets(b[:, BOUNDS:], share.double())], 1)
        asked = asked.double()
        entering = asked.view_as(asked)
        solution = solve_qp(g, b, entering, policy.weights)
        policy.probe.watch(entering, solution.u, (solution.active >= 0).sum(1))
        with torch.no_grad():
            asks = left_to_filter(solution.u, asked, solution.status == 0)
        return features, torch.where(asks[:, None], asked.detach(), solution.u), asked, asks

    def roll(self, generator: torch.Generator, rollout: Rollout, account: Account) -> Tensor:
        """Play ``rollout`` full; returns L, differentiable in the policy where gradients are enabled."""
        learning, batch, policy = self.learning, self.games.batch, self.policy
        steps, n = rollout.rewards.shape
        kind = policy.log_deviation.dtype
        self.critic.requires_grad_(False)
        policy.probe.clear()
        own = torch.from_numpy(batch.states[:, OWN].copy())
        total, price, factor = (torch.zeros(n, dtype=torch.float64) for _ in range(3))
        factor += 1.0
        for t in range(steps):
            scene = scene_of(self.games)
            noise = policy.deviation() * torch.randn(n, 2, generator=generator, dtype=kind)
            features, action, asked, asks = self.act(observe(own, scene), noise)
            rollout.features[t] = features.detach()
            rollout.values[t] = self.critic(features.detach())[:, 0]
            opponents = batch.opponents[:, OTHER].copy()
            self.games.step(action.detach().numpy(), OWN)
            done = torch.from_numpy(batch.terminated | batch.truncated)
            rollout.done[t] = done
            paid = torch.from_numpy(batch.rewards[:, OWN].copy())
            rollout.rewards[t] = paid * self.reward_scale
            there = torch.from_numpy(batch.states[:, OWN].copy())
            # What the robot has done: what the filter has made of the action, which is the action but for rounding.
            executed = torch.where(done[:, None], action.detach(), there[:, 3:] / scene.limits)
            executed = executed + torch.where(asks[:, None], 0.0, action - action.detach())
            after = advance(own, executed, scene)
            ended = torch.from_numpy(batch.final[:, OTHER, :2]) * scene.half_side[:, None]
            then = torch.where(done[:, None], ended, torch.from_numpy(batch.states[:, OTHER, :2]))
            own_reward = reward(own, after, then, scene, self.weights)
            total = total + factor * self.reward_scale * (paid + own_reward - own_reward.detach())
            price = price + ((action - asked) ** 2).sum(1)
            own = torch.where(done[:, None], there, there + after - after.detach())
            factor = torch.where(done, 1.0, factor * learning.discount)
            account.add(done.numpy(), opponents, batch.ended)
        seen, _ = policy.mean.canonical(observe(own, scene_of(self.games)).to(kind))
        value = self.critic(policy.mean.features(seen))[:, 0]
        rollout.values[steps] = value.detach()
        total = total + torch.where(rollout.done[-1], 0.0, factor * value.double())
        self.critic.requires_grad_(True)
        return (learning.correction * price.sum() - total.sum()) / (n * steps)

    def improve(
        self, loss: Tensor, rollout: Rollout, optimisers: Optimisers, generator: torch.Generator
    ) -> dict[str, float]:
        """One step of the policy by ``loss`` where it has a derivative, and passes of the value over ``rollout``."""
        found: dict[str, float] = {}
        if loss.requires_grad:
            optimisers.policy.zero_grad(set_to_none=True)
            loss.backward()
            norm = nn.utils.clip_grad_norm_(self.policy.parameters(), self.learning.gradient_norm)
            optimisers.policy.step()
            self.policy.confine()
            found = {
                "policy_loss": float(loss.detach()),
                "gradient_norm": float(norm),
                **self.policy.probed(),
            }
        found["policy_steps"] = float(loss.requires_grad)
        return found | self._fit(rollout, optimisers, generator) | self.policy.spread()

    def _fit(self, rollout: Rollout, optimisers: Optimisers, generator: torch.Generator) -> dict[str, float]:
        learning = self.learning
        values, features = rollout.values[:-1].flatten(), rollout.features.flatten(0, 1)
        targets = rollout.advantages(learning.discount, learning.trace).flatten() + values
        losses = [
            value_step(learning, self.critic, optimisers, features[part], targets[part])
            for _ in range(learning.epochs)
            for part in torch.randperm(len(targets), generator=generator).split(learning.minibatch)
        ]
        return {
            "value_loss": sum(losses) / len(losses),
            "explained_variance": explained_variance(targets, values),
        }

r"""A pursuer's observation, motion and reward as differentiable functions of its own state, in torch.

Of the ideal robot whose every command acts at once, in games without drawn worlds.  With u = (v / v_max,
omega / omega_max), h = omega dt / 2 and sinc(h) = sin(h) / h one control step is

    x+ = x + v dt sinc(h) cos(theta + h),   y+ = y + v dt sinc(h) sin(theta + h),   theta+ = theta + omega dt,
    v+ = v,   omega+ = omega

The opponent, the obstacles and the time are data.  The values are those of :func:`pe_core.observation.encode`,
:func:`pe_core.unicycle.arc_step` and :func:`pe_core.rewards.write_rewards`, to rounding; all in float64.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from pe_core.arena import OBSTACLES_MAX
from pe_core.rewards import PROGRESS, SAFETY, SAFETY_SCALE, TIME
from pe_core.robot import OMEGA_MAX, RADIUS, V_MAX, VCP_OFFSET
from training.batch import CAPTURE_RADIUS, DT, MAX_STEPS
from training.games import BatchedGames

_SMALL = 1e-2
OWN, OTHER = 0, 1


class Scene(NamedTuple):
    """What N games are beside the pursuer's state, float64."""

    opponent: Tensor  # (N, 5): x, y, theta, v, omega
    half_side: Tensor  # (N,) [m]
    obstacles: Tensor  # (N, 6, 3): x, y, radius [m]
    present: Tensor  # (N, 6) bool
    model: Tensor  # (N, .): RobotModel.as_array of the pursuer, the body as wide as it is shown
    rival: Tensor  # (N, .)
    radius: Tensor  # (N,): the body itself [m]
    time_left: Tensor  # (N,): share of the episode
    capture_radius: float
    dt: float
    max_steps: float

    @property
    def limits(self) -> Tensor:
        """(N, 2): v_max [m/s], omega_max [rad/s]."""
        return self.model[:, [V_MAX, OMEGA_MAX]]


def scene_of(games: BatchedGames) -> Scene:
    """The scene of the pursuers of ``games`` now; nothing of it changes when the games go on."""
    b, numbers = games.batch, games.rules.numbers
    count = torch.from_numpy(b.obstacle_count.copy())
    return Scene(
        opponent=torch.from_numpy(b.states[:, OTHER].copy()),
        half_side=torch.from_numpy(b.half_side[:, 0].copy()),
        obstacles=torch.from_numpy(b.obstacles[:, 0].copy()),
        present=torch.arange(OBSTACLES_MAX) < count[:, None],
        model=torch.from_numpy(b.wide[:, OWN].copy()),
        rival=torch.from_numpy(b.models[:, OTHER].copy()),
        radius=torch.from_numpy(b.models[:, OWN, RADIUS].copy()),
        time_left=torch.from_numpy(1.0 - b.steps / numbers[MAX_STEPS]),
        capture_radius=float(numbers[CAPTURE_RADIUS]),
        dt=float(numbers[DT]),
        max_steps=float(numbers[MAX_STEPS]),
    )


def observe(own: Tensor, scene: Scene) -> Tensor:
    """Observations (N, SIZE) of pursuers in the states ``own`` (N, 5), x, y, theta, v, omega.

    Which obstacle is the nearest is decided by the values; at a tie the order jumps and the derivative is one-sided.
    """
    x, y, theta, v, omega = own.unbind(1)
    c, s = theta.cos(), theta.sin()
    side, model, rival, there = scene.half_side, scene.model, scene.rival, scene.opponent
    dx, dy, relative = there[:, 0] - x, there[:, 1] - y, there[:, 2] - theta
    v_max, omega_max = model[:, V_MAX], model[:, OMEGA_MAX]
    fixed = [
        x / side,
        y / side,
        c,
        s,
        v / v_max,
        omega / omega_max,
        (c * dx + s * dy) / side,
        (c * dy - s * dx) / side,
        relative.cos(),
        relative.sin(),
        there[:, 3] / v_max,
        there[:, 4] / omega_max,
        rival[:, V_MAX] / v_max,
        v_max / (omega_max * side),
        scene.capture_radius / side,
        model[:, RADIUS] / side,
        rival[:, RADIUS] / side,
        model[:, VCP_OFFSET] / side,
        scene.time_left,
        v_max * scene.dt / side,
    ]
    ox, oy = scene.obstacles[..., 0] - x[:, None], scene.obstacles[..., 1] - y[:, None]
    with torch.no_grad():
        gaps = torch.where(scene.present, torch.hypot(ox, oy) - scene.obstacles[..., 2], math.inf)
        order = gaps.argsort(dim=1, stable=True)
        # Those that are not there come last, in any order.
        present = scene.present.gather(1, order)
    ox, oy, radius = ox.gather(1, order), oy.gather(1, order), scene.obstacles[..., 2].gather(1, order)
    seen = torch.stack([c[:, None] * ox + s[:, None] * oy, c[:, None] * oy - s[:, None] * ox, radius], 2)
    seen = torch.where(present[..., None], seen / side[:, None, None], 0.0)
    obstacles = torch.cat([seen, present[..., None].to(seen.dtype)], 2)
    return torch.cat([torch.stack(fixed, 1), obstacles.flatten(1)], 1)


def advance(own: Tensor, action: Tensor, scene: Scene) -> Tensor:
    """States (N, 5) one control step after ``own`` under executed actions (N, 2); the heading is not wrapped."""
    v, omega = (action * scene.limits).unbind(1)
    half = 0.5 * scene.dt * omega
    small = half.abs() < _SMALL
    square = half * half
    large = torch.where(small, 1.0, half)
    sinc = torch.where(small, 1.0 - square / 6.0 + square * square / 120.0, large.sin() / large)
    chord, middle = v * scene.dt * sinc, own[:, 2] + half
    pose = [
        own[:, 0] + chord * middle.cos(),
        own[:, 1] + chord * middle.sin(),
        own[:, 2] + 2.0 * half,
    ]
    return torch.stack([*pose, v, omega], 1)


def reward(before: Tensor, after: Tensor, then: Tensor, scene: Scene, weights: Tensor) -> Tensor:
    """Rewards (N,) of a step without the bonus of a capture and the price of the filter's corrections.

    Args:
        before, after: the pursuer's states (N, 5); scene: before the step.
        then: (N, 2) where the opponent is after the step [m].
        weights: ``Rewards.as_array()``.
    """
    first = torch.hypot(before[:, 0] - scene.opponent[:, 0], before[:, 1] - scene.opponent[:, 1])
    second = torch.hypot(after[:, 0] - then[:, 0], after[:, 1] - then[:, 1])
    game = weights[PROGRESS] * (first - second) / scene.half_side - weights[TIME] / scene.max_steps
    walls = scene.half_side[:, None] - after[:, :2].abs() - scene.radius[:, None]
    away = torch.hypot(scene.obstacles[..., 0] - after[:, :1], scene.obstacles[..., 1] - after[:, 1:2])
    discs = torch.where(scene.present, away - scene.obstacles[..., 2] - scene.radius[:, None], math.inf)
    gap = second - scene.radius - scene.rival[:, RADIUS]
    margin = torch.cat([walls, discs, gap[:, None]], 1).amin(1)
    return game + weights[SAFETY] * ((margin / weights[SAFETY_SCALE]).clamp(-1.0, 1.0) - 1.0)

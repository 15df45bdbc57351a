r"""A differentiable simulator of two exact robots behind the filter, and descent of the body margin through it.

The robots are ideal (no lag, dead time or resolution) and known exactly, both run the filter: what is left of
:mod:`pe_safety.rows` is written in torch operations (:mod:`pe_safety.rows_torch`), and the QP is differentiable
(:func:`pe_safety.qp_layer.solve_qp`).  The trajectory is that of the compiled simulator up to rounding,
until a turn on the spot takes a control point out of its safe set (there the body stays clear, but the ladder is not
written out here, and an infeasible QP stands still).  Gradients reach starting poses and nominal commands from

    loss = -T log sum exp(-margin / T) + penalty(start),    over all steps, robots and things near them.

What is found starts CMA-ES runs in the imperfect world, which has no useful gradient: resolution, ages and rungs of
the ladder are steps.  One such step is here too, the turn on the spot, through which no gradient passes.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pe_core.randomness import generator
from pe_core.robot import OMEGA_MAX, RADIUS, TRACK, V_MAX, V_MIN, VCP_OFFSET, WHEEL_SPEED_MAX
from pe_evaluation.falsify.adversary import KNOTS
from pe_evaluation.falsify.play import COOPERATIVE, Cases, play
from pe_evaluation.falsify.space import Space, decode, gene_of, genes
from pe_safety.parameters import RATE, WEIGHT_OMEGA, WEIGHT_V
from pe_safety.qp_layer import solve_qp
from pe_safety.rows_torch import rows_of_poses

_ITERATIONS = 15
_STEP = 0.1
# Of the soft minimum, of the body radius.
_TEMPERATURE = 0.05
_PENALTY = 10.0
# Of what is not there [m].
_FAR = 1e4
# As in pe_safety.ladder.
_STANDING, _TURN_DENIED = 0.01, 0.05


def exact(space: Space) -> Space:
    """The same space of ideal robots that are known exactly, both filtered."""
    robot = dataclasses.replace(space.robot, lag=0.0, delay=0.0, v_quantum=0.0, omega_quantum=0.0)
    parameters = dataclasses.replace(
        space.parameters, opponent_behaviour="cooperative", sigmas=0.0, position_error=0.0, heading_error=0.0,
        gain_error=0.0, delay_error=0.0, lag_error=0.0, acceleration_min=0.0, map_error=0.0,
    )  # fmt: skip
    return dataclasses.replace(
        space, robot=robot, mode=COOPERATIVE, scale=0.0, ranges=None, parameters=parameters
    )


@dataclasses.dataclass(frozen=True, eq=False)
class World:
    """What does not change, for B pairs: models (B, 2, .), half_side (B,), obstacles (B, n, 3), all float64.

    Obstacles that are not there are far away.
    """

    models: Tensor
    half_side: Tensor
    obstacles: Tensor
    parameters: Tensor
    dt: float


def world_of(space: Space, cases: Cases) -> World:
    """The exact world of ``cases`` of an exact space."""
    obstacles = torch.from_numpy(cases.obstacles[:, 1].copy())
    there = torch.arange(obstacles.shape[1]) < torch.from_numpy(cases.obstacle_count)[:, None]
    obstacles[~there] = torch.tensor([_FAR, _FAR, 0.0], dtype=torch.float64)
    return World(
        torch.from_numpy(cases.models.copy()),
        torch.from_numpy(cases.half_side[:, 1].copy()),
        obstacles,
        torch.from_numpy(space.parameters.as_array(space.dt)),
        space.dt,
    )


def rollout(world: World, start: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
    """Play ``actions`` (T, B, 2, 2) from poses ``start`` (B, 2, 3) at rest.

    Returns:
        Poses (T + 1, B, 2, 3) and body margins (T, B, 2, things): walls, obstacles, the other robot [m].
    """
    poses, velocity = start, torch.zeros_like(start[..., :2])
    track, margins = [poses], []
    for action in actions:
        command = _filter(world, poses, velocity, action).unflatten(0, (-1, 2))
        poses, velocity = _arc(poses, command, world.dt), command
        track.append(poses)
        margins.append(torch.stack([body_margins(world, poses, r) for r in range(2)], 1))
    return torch.stack(track), torch.stack(margins)


def body_margins(world: World, poses: Tensor, r: int) -> Tensor:
    """Margins (B, 5 + n) [m] of the body of robot ``r``: walls, obstacles, the other robot."""
    own, other = poses[:, r], poses[:, 1 - r]
    radius = world.models[:, r, RADIUS]
    reach = (world.half_side - radius)[:, None]
    walls = torch.stack([reach - own[:, :2], reach + own[:, :2]], 2).flatten(1)
    obstacles = _norm(own[:, None, :2] - world.obstacles[..., :2]) - world.obstacles[..., 2] - radius[:, None]
    gap = _norm(own[:, :2] - other[:, :2]) - radius - world.models[:, 1 - r, RADIUS]
    return torch.cat([walls, obstacles, gap[:, None]], 1)


def _norm(vectors: Tensor) -> Tensor:
    return torch.sqrt((vectors * vectors).sum(-1) + 1e-24)


def _arc(poses: Tensor, command: Tensor, dt: float) -> Tensor:
    """Exact arcs."""
    half = 0.5 * dt * command[..., 1]
    chord = command[..., 0] * dt * torch.sinc(half / math.pi)
    middle = poses[..., 2] + half
    return torch.stack(
        [
            poses[..., 0] + chord * middle.cos(),
            poses[..., 1] + chord * middle.sin(),
            poses[..., 2] + 2.0 * half,
        ],
        -1,
    )


def _filter(world: World, poses: Tensor, velocity: Tensor, action: Tensor) -> Tensor:
    """The filtered commands (2 B, 2) of both robots of every pair."""
    model, rival = world.models.flatten(0, 1), world.models.flip(1).flatten(0, 1)
    nominal = _limited(action.flatten(0, 1) * model[:, [V_MAX, OMEGA_MAX]], model)
    g, b = rows_of_poses(
        poses.flatten(0, 1), poses.flip(1).flatten(0, 1), velocity.flip(1).flatten(0, 1)[:, 0],
        world.half_side.repeat_interleave(2), world.obstacles.repeat_interleave(2, 0), model, rival, world.dt,
        float(world.parameters[RATE]),
    )  # fmt: skip
    weights = (float(world.parameters[WEIGHT_V]), float(world.parameters[WEIGHT_OMEGA]))
    solution = solve_qp(g, b, nominal, weights)
    command = _limited(solution.u, model)
    # A robot that may not drive turns on the spot as it was asked to.
    v, omega = command[:, 0].detach(), command[:, 1].detach()
    asked, limit = nominal[:, 1].detach(), _TURN_DENIED * model[:, OMEGA_MAX]
    standing = torch.minimum(v.abs(), nominal[:, 0].detach().abs()) <= _STANDING * model[:, V_MAX]
    denied = standing & ((omega - asked).abs() > limit) & (asked.abs() > limit) & (solution.active[:, 0] >= 0)
    return torch.where(denied[:, None], torch.stack([torch.zeros_like(asked), asked], 1), command)


def _limited(command: Tensor, model: Tensor) -> Tensor:
    """Within the box and the wheel-speed limit, as :func:`pe_core.robot.clamp_command`."""
    v = torch.minimum(torch.maximum(command[:, 0], model[:, V_MIN]), model[:, V_MAX])
    omega = torch.minimum(torch.maximum(command[:, 1], -model[:, OMEGA_MAX]), model[:, OMEGA_MAX])
    wheel = v.abs() + 0.5 * model[:, TRACK] * omega.abs()
    over = (model[:, TRACK] > 0.0) & (wheel > model[:, WHEEL_SPEED_MAX])
    scale = torch.where(over, model[:, WHEEL_SPEED_MAX] / torch.where(over, wheel, 1.0), 1.0)
    return torch.stack([v * scale, omega * scale], 1)


def descend(space: Space, count: int, seed: int) -> list[tuple[str, NDArray[np.float64]]]:
    """Vectors of ``space`` that descending the exact margin from ``count`` random admissible starts has given."""
    ideal = exact(space)
    rng = generator(seed, 1, f"falsify/{space.robot.name}/gradient")
    vectors = rng.random((4 * count, ideal.size))
    gene = genes(ideal, vectors)
    # Close to one another, and as commands alone.
    gene["other"][:, 0] *= 0.5
    gene["nominal"].reshape(4 * count, space.knots, 2, 3)[..., 0] = 0.0
    cases = decode(ideal, vectors)
    rows = np.flatnonzero(play(cases, ideal.rules, settle=True).lack == 0.0)[:count]
    if not len(rows):
        return []
    cases, vectors = cases.part(rows), vectors[rows]
    world = world_of(ideal, cases)
    start = torch.from_numpy(cases.start.copy()).requires_grad_()
    knots = torch.from_numpy(cases.nominal[..., 1:].copy()).requires_grad_()
    optimiser = torch.optim.Adam(
        [{"params": [start], "lr": _STEP * space.robot.radius}, {"params": [knots]}], _STEP
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for _ in range(_ITERATIONS):
            optimiser.zero_grad()
            margin_loss(ideal, world, start, knots).sum().backward()
            for parameter in (start, knots):
                assert parameter.grad is not None
                parameter.grad.nan_to_num_(0.0, 0.0, 0.0)
            optimiser.step()
    finally:
        torch.set_num_threads(threads)
    _encode(ideal, vectors, start.detach().numpy(), knots.detach().numpy(), cases)
    return [(f"gradient {i}", vector) for i, vector in enumerate(vectors)]


def margin_loss(space: Space, world: World, start: Tensor, knots: Tensor) -> Tensor:
    """Soft minimum (B,) [m] of the body margins under ``knots`` (B, K, 2, 2), plus what the start lacks."""
    step = torch.arange(space.steps) * space.knots // space.steps
    actions = knots.clamp(-1.0, 1.0)[:, step].transpose(0, 1)
    _, margins = rollout(world, start, actions)
    temperature = _TEMPERATURE * space.robot.radius
    soft = -temperature * torch.logsumexp(-margins.transpose(0, 1).flatten(1) / temperature, 1)
    clear = torch.stack([body_margins(world, start, r) for r in range(2)], 1)
    lack = (2.0 * world.models[:, :, VCP_OFFSET, None] - clear).clamp(min=0.0)
    return soft + _PENALTY * lack.sum((1, 2))


def _encode(
    space: Space,
    vectors: NDArray[np.float64],
    start: NDArray[np.float64],
    knots: NDArray[np.float64],
    cases: Cases,
) -> None:
    """Write starts (B, 2, 3) and commands (B, K, 2, 2) into ``vectors``: the inverse of ``decode``."""
    gene = genes(space, vectors)
    reach = space.unit if space.open_field else cases.half_side[:, 1, None]
    gene["pose"][:, :2] = 0.5 + 0.5 * start[:, 0, :2] / reach
    gene["pose"][:, 2] = (0.5 + 0.5 * start[:, 0, 2] / math.pi) % 1.0
    between = start[:, 1, :2] - start[:, 0, :2]
    distance = np.linalg.norm(between, axis=1) - 2.0 * space.robot.radius
    gene["other"][:, 0] = np.sqrt(np.maximum(distance, 0.0) / (4.0 * space.unit))
    gene["other"][:, 1] = np.arctan2(between[:, 1], between[:, 0]) / (2.0 * math.pi) % 1.0
    gene["other"][:, 2] = (0.5 + 0.5 * start[:, 1, 2] / math.pi) % 1.0
    nominal = gene["nominal"].reshape(len(vectors), space.knots, 2, 3)
    nominal[..., 0] = KNOTS
    reverses = (cases.models[:, :, V_MIN] < 0.0)[:, None]
    nominal[..., 1] = np.where(
        reverses, gene_of(knots[..., 0]), (np.clip(knots[..., 0], 0.0, 1.0) + 0.3) / 1.8
    )
    nominal[..., 2] = gene_of(knots[..., 1])
    np.clip(vectors, 0.0, 1.0, out=vectors)

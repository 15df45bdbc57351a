"""The differentiable simulator: the compiled one's trajectories, and gradients that finite differences confirm."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from pe_core.robot import VCP_OFFSET
from pe_evaluation.falsify.differentiable import descend, exact, margin_loss, rollout, world_of
from pe_evaluation.falsify.play import COOPERATIVE, Cases, play, trajectories
from pe_evaluation.falsify.space import Space, decode, space_of

ROBOTS = ("reference", "turtlebot3_burger", "turtlebot3_waffle", "turtlebot4")


def settled(space: Space, count: int, seed: int) -> Cases:
    cases = decode(space, np.random.default_rng(seed).random((count, space.size)))
    cases.nominal[..., 0] = 0.0
    return cases.part(play(cases, space.rules, settle=True).lack == 0.0)


def torch_track(space: Space, cases: Cases) -> np.ndarray:
    knot = np.arange(space.steps) * space.knots // space.steps
    actions = torch.from_numpy(cases.nominal[:, knot, :, 1:].transpose(1, 0, 2, 3).copy())
    poses, _ = rollout(world_of(space, cases), torch.from_numpy(cases.start.copy()), actions)
    return poses.numpy().transpose(1, 0, 2, 3)


def least_clearance(space: Space, cases: Cases, track: np.ndarray) -> np.ndarray:
    """How far (N, T) [m] the control points stay inside their safe sets."""
    d = cases.models[:, None, :, VCP_OFFSET]
    q = track[..., :2] + d[..., None] * np.stack([np.cos(track[..., 2]), np.sin(track[..., 2])], -1)
    keep = space.robot.radius + space.robot.vcp_offset
    walls = cases.half_side[:, 1, None, None] - np.abs(q).max(-1) - keep
    there = cases.obstacles[:, 1]
    rho = (
        np.linalg.norm(q[:, :, :, None] - there[:, None, None, :, :2], axis=-1)
        - there[:, None, None, :, 2]
        - keep
    )
    rho = np.where(there[:, None, None, :, 2] > 0.0, rho, np.inf).min(-1)
    other = np.linalg.norm(q - track[:, :, ::-1, :2], axis=-1) - keep - space.robot.radius
    return np.minimum(np.minimum(walls, rho), other).min(-1)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("robot", ROBOTS)
def test_trajectories_equal_the_compiled_simulator(robot: str, reverse: bool) -> None:
    space = exact(space_of(robot, reverse=reverse, safety="rcbf"))
    cases = settled(space, 40, 1)
    compiled, differentiable = trajectories(cases, space.rules), torch_track(space, cases)
    inside = np.minimum.accumulate(least_clearance(space, cases, compiled) >= -1e-9, axis=1)
    # The pose at a step follows from the states before it.
    comparable = np.concatenate([inside[:, :1], inside[:, :-1]], axis=1)
    assert comparable.mean() > 0.6
    difference = np.abs(compiled[..., :2] - differentiable[..., :2]).max((2, 3))
    assert difference[comparable].max() < 1e-9
    assert np.abs(compiled[:, 1:, :, :2] - compiled[:, :1, :, :2]).max() > space.robot.radius


def test_gradient_equals_finite_differences() -> None:
    space = dataclasses.replace(exact(space_of("reference", COOPERATIVE)), steps=20, knots=4)
    cases = settled(space, 20, 2).part(slice(0, 6))
    world = world_of(space, cases)
    start = torch.from_numpy(cases.start.copy()).requires_grad_()
    knots = torch.from_numpy(0.8 * cases.nominal[..., 1:]).requires_grad_()
    loss = margin_loss(space, world, start, knots)
    loss.sum().backward()
    assert start.grad is not None and knots.grad is not None
    assert float(knots.grad.abs().max()) > 1e-3
    step, close, tried = 1e-6, 0, 0
    for axis in range(3):
        for robot in range(2):
            moved = torch.zeros_like(start)
            moved[:, robot, axis] = step
            with torch.no_grad():
                after = margin_loss(space, world, start + moved, knots)
                before = margin_loss(space, world, start - moved, knots)
            expected, got = (after - before) / (2.0 * step), start.grad[:, robot, axis]
            close += int(((expected - got).abs() < 1e-4 * (1.0 + expected.abs())).sum())
            tried += len(expected)
    # All but where a step of 1e-6 changes the active rows or the rung of the ladder.
    assert close >= 0.95 * tried


def test_descent_ends_nearer_than_random_starts_do() -> None:
    space = space_of("reference", COOPERATIVE, 0.0)
    starts = descend(space, 8, 0)
    assert [origin for origin, _ in starts] == [f"gradient {i}" for i in range(8)]
    vectors = np.stack([vector for _, vector in starts])
    assert vectors.min() >= 0.0 and vectors.max() <= 1.0
    found = play(decode(space, vectors), space.rules, settle=True)
    drawn = play(decode(space, np.random.default_rng(0).random((200, space.size))), space.rules, settle=True)
    assert found.margin.min() > 0.0
    assert np.median(found.margin) < np.median(drawn.margin[drawn.lack == 0.0])

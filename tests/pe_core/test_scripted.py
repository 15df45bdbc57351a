"""The scripted policies as functions: TorchScript, batches, scale, mirror, garbage, cost of nothing hidden."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from pe_core.arena import load_arena
from pe_core.observation import FIXED_SIZE, NAMES, SIZE, encode
from pe_core.robot import RobotModel, load_robot
from pe_core.scenario import load_scenario, sample_layout
from pe_core.scripted.build import POLICIES
from pe_core.scripted.steering import boundary_length, boundary_point

REFERENCE = load_robot("reference")
MIRRORED = {"waypoints": 3}
"""How many columns of its noise, the first ones, tell left from right; of others the first."""


def module(name: str) -> torch.nn.Module:
    return POLICIES[name].make().to(torch.float64).eval()


def act(
    policy: torch.nn.Module, name: str, observations: np.ndarray, noise: np.ndarray | None = None
) -> np.ndarray:
    inputs = [torch.from_numpy(observations)]
    size = POLICIES[name].noise_size
    if size:
        given = np.full((len(observations), size), 0.3) if noise is None else noise[:, :size]
        inputs.append(torch.from_numpy(given))
    with torch.inference_mode():
        return policy(*inputs).numpy()


def observe(
    own: np.ndarray,
    other: np.ndarray,
    obstacles: np.ndarray,
    robot: RobotModel = REFERENCE,
    scale: float = 1.0,
) -> np.ndarray:
    padded = np.zeros((6, 3))
    padded[: len(obstacles)] = obstacles
    out = np.empty(SIZE)
    model = robot.as_array()
    encode(own, other, model, model, 10.0 * scale, padded, len(obstacles), 0.5 * scale, 0.5, 0.05, out)
    return out


def states(
    seed: int, rows: int, obstacles: int | None = None
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """States of both robots and obstacles, from drawn layouts with 0 to 6 obstacles (or as many as given)."""
    arena = load_arena("reference")
    result = []
    for k in range(rows):
        count = k % 7 if obstacles is None else obstacles
        config = dataclasses.replace(arena, obstacle_count=count)
        layout = sample_layout(load_scenario("random"), config, REFERENCE, REFERENCE, seed, k)
        speeds = np.random.default_rng([seed, k]).uniform([0.0, -2.84], [1.0, 2.84], (2, 2))
        own, other = np.concatenate([layout.pursuer, speeds[0]]), np.concatenate([layout.evader, speeds[1]])
        result.append((own, other, layout.arena.obstacles))
    return result


def realistic(seed: int = 1, rows: int = 40) -> np.ndarray:
    return np.stack([observe(*state) for state in states(seed, rows)])


@pytest.mark.parametrize("name", POLICIES)
def test_torchscript_equals_eager(name: str) -> None:
    policy = module(name)
    observations = realistic()
    scripted = torch.jit.script(policy)
    for _ in range(3):  # the executor specialises after some calls
        np.testing.assert_allclose(
            act(scripted, name, observations), act(policy, name, observations), atol=1e-12
        )


@pytest.mark.parametrize("name", POLICIES)
def test_a_batch_equals_its_rows(name: str) -> None:
    policy = torch.jit.script(module(name))
    observations = realistic(seed=2, rows=49)
    rows = np.concatenate([act(policy, name, observations[k : k + 1]) for k in range(len(observations))])
    np.testing.assert_allclose(act(policy, name, observations), rows, rtol=0.0, atol=1e-12)


@pytest.mark.parametrize("name", POLICIES)
def test_the_action_does_not_depend_on_the_scale(name: str) -> None:
    policy = module(name)
    scale = 0.22
    small = dataclasses.replace(
        REFERENCE,
        v_max=REFERENCE.v_max * scale,
        radius=REFERENCE.radius * scale,
        vcp_offset=REFERENCE.vcp_offset * scale,
    )
    lengths = np.array([scale, scale, 1.0, scale, 1.0])
    for own, other, obstacles in states(3, 14):
        large = act(policy, name, observe(own, other, obstacles)[None])
        there = observe(own * lengths, other * lengths, obstacles * scale, small, scale)
        np.testing.assert_allclose(act(policy, name, there[None]), large, atol=1e-9)


@pytest.mark.parametrize("name", POLICIES)
def test_a_mirrored_game_has_the_mirrored_action(name: str) -> None:
    policy = module(name)
    mirror = np.array([1.0, -1.0, -1.0, 1.0, -1.0])
    noise = np.array([[0.3, 0.6, 0.8, 0.3, 0.7, 0.4]])
    mirrored = noise.copy()
    mirrored[:, : MIRRORED.get(name, 1)] = 1.0 - noise[:, : MIRRORED.get(name, 1)]
    for own, other, obstacles in states(4, 28):
        left = act(policy, name, observe(own, other, obstacles)[None], noise)[0]
        right = act(
            policy, name, observe(own * mirror, other * mirror, obstacles * [1.0, -1.0, 1.0])[None], mirrored
        )[0]
        if name in ("lookahead", "hider", "deep") and left[0] == 0.0 and abs(left[1]) == 1.0:
            right[1], left[1] = (
                abs(right[1]),
                -abs(left[1]),
            )  # one of the 16 headings is exactly behind: either way
        np.testing.assert_allclose(right, left * [1.0, -1.0], atol=1e-9)


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("spread", [0.0, 1e-3, 1.0, 1e3, 1e12])
def test_garbage_gives_a_command_within_the_limits(name: str, spread: float) -> None:
    policy = module(name)
    random = np.random.default_rng(5)
    garbage = random.normal(0.0, 1.0, (500, SIZE)) * spread
    garbage[:100] = np.round(garbage[:100])
    action = act(policy, name, garbage, random.uniform(0.0, 1.0, (500, 6)))
    assert action.shape == (500, 2) and action.dtype == np.float64
    assert np.isfinite(action).all()
    assert (action[:, 0] >= 0.0).all() and (np.abs(action) <= 1.0).all()


@pytest.mark.parametrize("name", POLICIES)
def test_what_is_not_a_number_still_gives_a_command(name: str) -> None:
    policy = module(name)
    for bad in (np.nan, np.inf, -np.inf):
        for column in range(SIZE):
            observations = realistic(seed=6, rows=2)
            observations[1, column] = bad
            action = act(policy, name, observations)
            assert np.isfinite(action).all() and (np.abs(action) <= 1.0).all(), NAMES[column]


@pytest.mark.parametrize("name", POLICIES)
def test_a_missing_obstacle_is_not_there(name: str) -> None:
    policy = module(name)
    observations = np.stack([observe(*state) for state in states(7, 20, obstacles=1)])
    phantom = observations.copy()
    phantom[:, FIXED_SIZE + 8 : FIXED_SIZE + 11] = [0.05, 0.0, 0.1]  # its "present" stays 0
    np.testing.assert_array_equal(act(policy, name, phantom), act(policy, name, observations))


def test_random_uses_its_noise_and_nothing_else_is_random() -> None:
    policy = module("random")
    observations = realistic(seed=8, rows=30)
    first, again, other = (act(policy, "random", observations, np.full((30, 2), u)) for u in (0.2, 0.2, 0.6))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max(axis=1).min() > 1e-3
    slow, fast = (act(policy, "random", observations, np.array([[0.2, u]] * 30)) for u in (0.0, 1.0))
    np.testing.assert_allclose(slow[:, 0], 0.5 * fast[:, 0], atol=1e-12)


def test_turning_stops_within_a_step() -> None:
    """A heading error below what one step can turn is closed by that step."""
    other = np.array([5.0, 0.0, 0.0, 0.0, 0.0])
    for error in (0.01, 0.05, 0.12, -0.1):
        own = np.array([0.0, 0.0, error, 1.0, 0.0])
        action = act(module("pure"), "pure", observe(own, other, np.zeros((0, 3)))[None])[0]
        assert action[1] * REFERENCE.omega_max * 0.05 == pytest.approx(-error, abs=1e-9)
        assert action[0] == 1.0


def test_a_wheeled_base_is_not_asked_for_more_than_its_wheels_give() -> None:
    robot = load_robot("turtlebot3_burger")
    model = robot.as_array()
    for name in (name for name in POLICIES if not name.startswith(("ram_", "uniform_"))):
        policy = module(name)
        for own, other, obstacles in states(9, 14):
            padded, out = np.zeros((6, 3)), np.empty(SIZE)
            padded[: len(obstacles)] = obstacles * 0.22
            lengths = np.array([0.22, 0.22, 1.0, 0.22, 1.0])
            encode(
                own * lengths,
                other * lengths,
                model,
                model,
                2.2,
                padded,
                len(obstacles),
                0.35,
                0.5,
                0.05,
                out,
            )
            v, omega = act(policy, name, out[None])[0] * [robot.v_max, robot.omega_max]
            assert v + abs(omega) * robot.track / 2.0 <= robot.wheel_speed_max + 1e-9


def test_the_boundary_is_walked_at_unit_speed_and_back() -> None:
    limit = torch.tensor(0.9, dtype=torch.float64)
    u = torch.linspace(0.0, 7.19, 400, dtype=torch.float64)
    x, y = boundary_point(u, limit)
    assert torch.allclose(torch.maximum(x.abs(), y.abs()), limit.expand(400))
    back = boundary_length(x, y, limit) - u
    assert torch.allclose(
        torch.minimum(back.abs(), (back - 7.2).abs()), torch.zeros(400, dtype=torch.float64), atol=1e-9
    )
    step = (x[1:] - x[:-1]).abs() + (y[1:] - y[:-1]).abs()
    assert torch.allclose(step, u[1:] - u[:-1], atol=1e-9)

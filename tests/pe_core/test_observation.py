"""The observation encoder: names, scale, rotation, order of obstacles, batch and loop."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pe_core.observation import FIXED_SIZE, NAMES, OBSTACLE_SIZE, SIZE, encode, encode_batch
from pe_core.robot import RobotModel

BOUNDED = settings(derandomize=True, max_examples=60)
OWN = RobotModel(v_max=1.0, omega_max=2.84, radius=0.15, vcp_offset=0.05)
OTHER = RobotModel(v_max=1.2, omega_max=2.0, radius=0.2, vcp_offset=0.07)


def observe(
    own: np.ndarray,
    other: np.ndarray,
    obstacles: np.ndarray,
    half_side: float = 10.0,
    robots: tuple[RobotModel, RobotModel] = (OWN, OTHER),
    capture_radius: float = 0.5,
    time_left: float = 0.75,
) -> dict[str, float]:
    out = np.full(SIZE, np.nan)
    padded = np.full((6, 3), 77.0)
    padded[: len(obstacles)] = np.asarray(obstacles).reshape(-1, 3)
    encode(
        own, other, robots[0].as_array(), robots[1].as_array(), half_side, padded, len(obstacles), capture_radius,
        time_left, 0.05, out,
    )  # fmt: skip
    return dict(zip(NAMES, out, strict=True))


OWN_STATE = np.array([1.0, -2.0, 0.5, 0.6, -1.42])
OTHER_STATE = np.array([4.0, 2.0, 2.0, 0.9, 1.0])
OBSTACLES = np.array([[3.0, -2.0, 0.5], [1.0, -5.0, 1.5], [-8.0, 8.0, 0.3]])


def test_every_entry_has_its_name_and_value() -> None:
    o = observe(OWN_STATE, OTHER_STATE, OBSTACLES)
    c, s = math.cos(0.5), math.sin(0.5)
    wanted = {
        "own_x": 0.1, "own_y": -0.2, "own_cos": c, "own_sin": s, "own_v": 0.6, "own_omega": -0.5,
        "opponent_x_body": (c * 3 + s * 4) / 10, "opponent_y_body": (-s * 3 + c * 4) / 10,
        "opponent_cos_relative": math.cos(1.5), "opponent_sin_relative": math.sin(1.5),
        "opponent_v": 0.9, "opponent_omega": 1.0 / 2.84, "speed_ratio": 1.2, "turn_radius": 1 / 28.4,
        "capture_radius": 0.05, "body_radius": 0.015, "opponent_radius": 0.02, "vcp_offset": 0.005,
        "time_left": 0.75, "step_length": 0.005,
        # Nearest surface first: 1.5 m to either of the first two, the tie keeps their order.
        "obstacle_0_x_body": c * 0.2, "obstacle_0_y_body": -s * 0.2, "obstacle_0_radius": 0.05, "obstacle_0_present": 1,
        "obstacle_1_x_body": -s * 0.3, "obstacle_1_y_body": -c * 0.3, "obstacle_1_radius": 0.15,
        "obstacle_2_x_body": -c * 0.9 + s, "obstacle_2_y_body": s * 0.9 + c, "obstacle_2_present": 1.0,
    }  # fmt: skip
    for name, value in wanted.items():
        assert o[name] == pytest.approx(value, abs=1e-12), name


def test_names_are_unique_and_as_many_as_entries() -> None:
    assert len(set(NAMES)) == len(NAMES) == SIZE == 44 == FIXED_SIZE + 6 * OBSTACLE_SIZE


def test_missing_obstacles_are_zero_whatever_the_array_holds() -> None:
    o = observe(OWN_STATE, OTHER_STATE, OBSTACLES[:1])
    assert o["obstacle_0_present"] == 1.0
    for i in range(1, 6):
        assert [o[f"obstacle_{i}_{part}"] for part in ("x_body", "y_body", "radius", "present")] == [0.0] * 4


def test_obstacles_come_nearest_surface_first_in_any_order() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        obstacles = np.column_stack([rng.uniform(-9, 9, (6, 2)), rng.uniform(0.3, 1.5, 6)])
        first = observe(OWN_STATE, OTHER_STATE, obstacles)
        assert first == observe(OWN_STATE, OTHER_STATE, obstacles[rng.permutation(6)])
        gaps = [
            math.hypot(first[f"obstacle_{i}_x_body"], first[f"obstacle_{i}_y_body"])
            - first[f"obstacle_{i}_radius"]
            for i in range(6)
        ]
        assert gaps == sorted(gaps)


@BOUNDED
@given(st.integers(0, 10_000), st.sampled_from([0.22, 0.3, 3.0]))
def test_scaling_the_whole_game_changes_nothing(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    own, other = rng.uniform(-5, 5, 5), rng.uniform(-5, 5, 5)
    obstacles = np.column_stack([rng.uniform(-9, 9, (3, 2)), rng.uniform(0.3, 1.5, 3)])

    def scaled(state: np.ndarray) -> np.ndarray:
        return state * np.array([scale, scale, 1.0, scale, 1.0])

    def smaller(robot: RobotModel) -> RobotModel:
        lengths = {name: getattr(robot, name) * scale for name in ("v_max", "radius", "vcp_offset")}
        return dataclasses.replace(robot, **lengths)

    robots = tuple(dataclasses.replace(robot, v_max=robot.v_max / 2) for robot in (OWN, OTHER))
    big = observe(own, other, obstacles, 10.0, robots)
    shrunk = (smaller(robots[0]), smaller(robots[1]))
    small = observe(scaled(own), scaled(other), obstacles * scale, 10.0 * scale, shrunk, 0.5 * scale)
    for name in NAMES:
        assert small[name] == pytest.approx(big[name], abs=1e-12), name


@BOUNDED
@given(st.integers(0, 10_000), st.floats(-3, 3))
def test_turning_the_game_turns_only_the_own_pose(seed: int, angle: float) -> None:
    rng = np.random.default_rng(seed)
    own, other = rng.uniform(-5, 5, 5), rng.uniform(-5, 5, 5)
    obstacles = np.column_stack([rng.uniform(-5, 5, (4, 2)), rng.uniform(0.3, 1.5, 4)])
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])

    def turned(state: np.ndarray) -> np.ndarray:
        return np.array([*(turn @ state[:2]), state[2] + angle, *state[3:]])

    before = observe(own, other, obstacles)
    after = observe(turned(own), turned(other), np.column_stack([obstacles[:, :2] @ turn.T, obstacles[:, 2]]))
    assert np.allclose(turn @ [before["own_x"], before["own_y"]], [after["own_x"], after["own_y"]])
    assert np.allclose(turn @ [before["own_cos"], before["own_sin"]], [after["own_cos"], after["own_sin"]])
    for name in NAMES[4:]:
        assert after[name] == pytest.approx(before[name], abs=1e-12), name


def test_batch_equals_loop_bit_for_bit() -> None:
    rng = np.random.default_rng(2)
    n = 64
    own, other = rng.uniform(-9, 9, (n, 5)), rng.uniform(-9, 9, (n, 5))
    obstacles = np.concatenate([rng.uniform(-9, 9, (n, 6, 2)), rng.uniform(0.3, 1.5, (n, 6, 1))], axis=2)
    count, left = rng.integers(0, 7, n), rng.random(n)
    batch = np.full((n, SIZE), np.nan)
    arrays = (OWN.as_array(), OTHER.as_array())
    encode_batch(own, other, *arrays, 10.0, obstacles, count, 0.5, left, 0.05, batch)
    for i in range(n):
        single = np.full(SIZE, np.nan)
        encode(own[i], other[i], *arrays, 10.0, obstacles[i], count[i], 0.5, left[i], 0.05, single)
        np.testing.assert_array_equal(single, batch[i])


def test_heading_beyond_a_turn_is_seen_as_the_same() -> None:
    turned = OWN_STATE + [0, 0, 2 * math.pi, 0, 0]
    one, two = observe(OWN_STATE, OTHER_STATE, OBSTACLES), observe(turned, OTHER_STATE, OBSTACLES)
    for name in NAMES:
        assert two[name] == pytest.approx(one[name], abs=1e-12), name

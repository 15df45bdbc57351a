"""States of two robots on the safe set, what the first one observes there, and what its filter commands."""

from __future__ import annotations

import dataclasses
import math
from functools import cache

import numpy as np

from pe_core.arena import OBSTACLES_MAX, Arena
from pe_core.observation import SIZE, encode
from pe_core.robot import RobotModel
from pe_safety.filter import FilterResult, SafetyFilter
from pe_safety.parameters import SafetyParameters
from tests.support.safety_states import DT, ROBOT, safe_state

PARAMETERS = SafetyParameters()
RATIOS = (0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4)


@dataclasses.dataclass(frozen=True, eq=False)
class Observed:
    """States (N, 5) of both robots, arenas, speed ratios (N,), nominal actions (N, 2), observations (N, SIZE)."""

    own: np.ndarray
    other: np.ndarray
    arenas: list[Arena]
    ratios: list[float]
    nominal: np.ndarray
    observations: np.ndarray
    robot: RobotModel

    def filtered(self, k: int, action: np.ndarray) -> FilterResult:
        """What the filter of state ``k`` makes of an action."""
        command = action * [self.robot.v_max, self.robot.omega_max]
        return _filter(self.robot, self.ratios[k]).step(self.own[k], command, self.other[k], self.arenas[k])


@cache
def _filter(robot: RobotModel, ratio: float) -> SafetyFilter:
    return SafetyFilter(PARAMETERS, robot, robot.with_speed_ratio(ratio), DT)


def observe(
    own: np.ndarray, other: np.ndarray, arena: Arena, robot: RobotModel, rival: RobotModel
) -> np.ndarray:
    """The observation (SIZE,) of the first robot."""
    padded, out = np.zeros((OBSTACLES_MAX, 3)), np.empty(SIZE)
    padded[: len(arena.obstacles)] = arena.obstacles
    encode(
        own, other, robot.as_array(), rival.as_array(), arena.half_side, padded, len(arena.obstacles), 0.5, 0.5, DT,
        out,
    )  # fmt: skip
    return out


def observed_states(seed: int, count: int, robot: RobotModel = ROBOT) -> Observed:
    """``count`` states of ``robot``: every second at the edge of its safe set, every second near the other robot."""
    rng = np.random.default_rng(seed)
    own, other, arenas, ratios = [], [], [], []
    reach = robot.radius / 0.15
    while len(own) < count:
        half_side = reach * rng.uniform(2.0, 10.0)
        discs = int(rng.integers(0, OBSTACLES_MAX + 1))
        places = rng.uniform(-half_side, half_side, (discs, 2))
        arena = Arena(half_side, np.column_stack([places, reach * rng.uniform(0.3, 1.5, discs)]))
        ratio = RATIOS[len(own) % len(RATIOS)]
        pose = np.array([*rng.uniform(-half_side, half_side, 2), rng.uniform(-math.pi, math.pi), 0.0, 0.0])
        pose[3] = rng.uniform(0.0, ratio * robot.v_max)
        state = safe_state(rng, arena, len(own) % 2 == 0, robot, pose)
        if state is None:
            continue
        state[3:] = rng.uniform([0.0, -robot.omega_max], [robot.v_max, robot.omega_max])
        if len(own) % 4 > 1:
            # Within a step or a few of the other robot, wherever that is.
            distance = 2.0 * robot.radius + 2.0 * robot.vcp_offset + reach * 0.3 * rng.random() ** 2
            angle = rng.uniform(-math.pi, math.pi)
            pose[:2] = state[:2] + distance * np.array([math.cos(angle), math.sin(angle)])
        own.append(state)
        other.append(pose)
        arenas.append(arena)
        ratios.append(ratio)
    return _observed(rng, own, other, arenas, ratios, robot)


def over_the_line(seed: int, count: int) -> Observed:
    """States of the reference robot before a wall: the control point is outside its safe set, the body clear."""
    rng = np.random.default_rng(seed)
    arena, r, d = Arena(5.0, np.zeros((0, 3))), ROBOT.radius, ROBOT.vcp_offset
    own = []
    for _ in range(count):
        heading = rng.uniform(-1.4, 1.4)
        gap = d * rng.uniform(0.2, 1.0 + math.cos(heading))
        own.append(np.array([5.0 - r - gap, rng.uniform(-3.0, 3.0), heading, 0.0, 0.0]))
    other = [np.array([-3.0, 0.0, 0.0, 0.0, 0.0])] * count
    return _observed(rng, own, other, [arena] * count, [1.0] * count, ROBOT)


def _observed(
    rng: np.random.Generator,
    own: list[np.ndarray],
    other: list[np.ndarray],
    arenas: list[Arena],
    ratios: list[float],
    robot: RobotModel,
) -> Observed:
    nominal = rng.uniform([-0.3, -1.3], [1.3, 1.3], (len(own), 2))
    rivals = {ratio: robot.with_speed_ratio(ratio) for ratio in RATIOS}
    seen = [observe(a, b, c, robot, rivals[r]) for a, b, c, r in zip(own, other, arenas, ratios, strict=True)]
    return Observed(np.stack(own), np.stack(other), arenas, ratios, nominal, np.stack(seen), robot)

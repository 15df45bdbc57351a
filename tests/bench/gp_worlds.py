"""One robot that presses on walls and obstacles and passes a narrow gap, in worlds that its model does not know."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from pe_core.arena import Arena
from pe_core.randomness import generator
from pe_core.robot import RADIUS, RobotModel
from pe_core.rules import body_margin
from pe_core.unicycle import wrap_angle
from pe_safety.disturbance.filter import LearnedFilter
from pe_safety.disturbance.model import LearnedDisturbance
from pe_safety.disturbance.simulation import Imperfection, ImperfectRobot
from pe_safety.filter import SafetyFilter, Tier
from pe_safety.parameters import SafetyParameters

DT, HALF_SIDE = 0.05, 2.0
ROBOT = RobotModel()
GAP, RADIUS_OF_OBSTACLE = 0.5, 0.8
"""Free width between the two obstacles that part the arena in two rooms [m]; the body is 0.3 m wide."""
_CENTRE = 0.5 * GAP + RADIUS_OF_OBSTACLE
ARENA = Arena(HALF_SIDE, np.array([[0.0, _CENTRE, RADIUS_OF_OBSTACLE], [0.0, -_CENTRE, RADIUS_OF_OBSTACLE]]))
_NOISE = (0.003, 0.003, 0.01)
_PRESS, _PATIENCE, _PRESSES = 3.0, 8.0, 3


def draw(world: str, seed: int) -> Imperfection:
    """The imperfection of ``world`` (gain, slip, slope or all of them) with ``seed``."""
    rng = generator(seed, 0, f"bench/gp-rows/{world}")
    parts: dict[str, Any] = {"noise": _NOISE}
    if world in ("gain", "all"):
        parts |= {
            "gain_v": rng.uniform(0.8, 1.2),
            "gain_omega": rng.uniform(0.8, 1.2),
            "lag": rng.uniform(0.0, 0.05),
        }
    if world in ("slip", "all"):
        parts |= {"slip": rng.uniform(0.0, 0.2), "side_slip": rng.uniform(0.02, 0.1)}
    if world in ("slope", "all"):
        pull, direction = rng.uniform(0.03, 0.1), rng.uniform(-math.pi, math.pi)
        parts |= {"slope_x": pull * math.cos(direction), "slope_y": pull * math.sin(direction)}
    return Imperfection(**parts)


class Presser:
    """Drives at full speed at points behind walls and in obstacles, then through the gap, and again.

    It knows nothing of barriers.  Attributes: crossings, passages of the gap.
    """

    def __init__(self, rng: np.random.Generator, side: float) -> None:
        """``side``: -1 or 1, the room in which the robot stands."""
        self._rng = rng
        self._side = side
        self.crossings = 0
        self._plan: list[tuple[np.ndarray, bool]] = []
        self._left = 0.0

    def __call__(self, state: np.ndarray) -> tuple[float, float]:
        """The nominal command (v, omega) at ``state``."""
        if state[0] * self._side < -0.6:
            self._side, self.crossings, self._plan = -self._side, self.crossings + 1, []
        if not self._plan:
            self._plan = self._draw()
            self._left = _PRESS
        target, passing = self._plan[0]
        self._left -= DT
        reached = passing and math.hypot(target[0] - state[0], target[1] - state[1]) < 0.12
        if self._left <= 0.0 or reached:
            self._plan.pop(0)
            self._left = _PATIENCE if self._plan and self._plan[0][1] else _PRESS
        error = wrap_angle(math.atan2(target[1] - state[1], target[0] - state[0]) - state[2])
        omega = max(-ROBOT.omega_max, min(ROBOT.omega_max, 5.0 * error))
        return ROBOT.v_max * max(math.cos(error), 0.0), omega

    def _draw(self) -> list[tuple[np.ndarray, bool]]:
        plan = []
        for _ in range(_PRESSES):
            kind = self._rng.integers(4)
            along = self._rng.uniform(0.2, 1.0) * HALF_SIDE
            up = self._rng.uniform(-1.0, 1.0) * HALF_SIDE
            point = {
                0: (1.5 * HALF_SIDE, up),
                1: (along, 1.5 * HALF_SIDE),
                2: (along, -1.5 * HALF_SIDE),
                3: (0.0, math.copysign(_CENTRE, up)),
            }[int(kind)]
            plan.append((np.array([self._side * point[0], point[1]]), False))
        for x in (1.0, -1.0):
            plan.append((np.array([x * self._side, 0.0]), True))
        return plan


@dataclasses.dataclass(frozen=True)
class Episode:
    """Outcome of one episode, and its series where asked for."""

    violations: int
    contact: bool
    min_margin: float
    crossings: int
    infeasible: int
    escapes: int
    unsettled: int
    passes: float
    steps: int
    series: dict[str, list]


def residuals(series: dict[str, list]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Actual residuals and the band predicted for them, low and high, (n, 3); NaN where none was accepted.

    The residual of a step is seen at the start of the next.
    """
    mean, bound = np.array(series["mean"]), np.array(series["bound"])
    actual = np.array([entry if entry is not None else [math.nan] * 3 for entry in series["actual"][1:]])
    return actual, (mean - bound)[:-1], (mean + bound)[:-1]


def play(
    method: str,
    bound: float,
    world: str,
    seed: int,
    steps: int,
    learnt: LearnedDisturbance | None,
    keep: bool = False,
) -> Episode:
    """One episode of ``method``.

    none; bound: the same ``bound`` [m/s] on d_x and d_y, always; distance: ``bound`` [m] on every distance; gp:
    ``learnt``, put back to its cold start; gp-rows: the same without turning round.
    """
    parameters = SafetyParameters(margin=bound if method == "distance" else 0.0)
    if learnt is not None:
        learnt.reset()
        safety: SafetyFilter = LearnedFilter(parameters, ROBOT, None, DT, learnt, turns_round=method == "gp")
    else:
        safety = SafetyFilter(parameters, ROBOT, None, DT)
    fixed = np.zeros((3, 4))
    if method == "bound":
        fixed[:, 3] = (bound, bound, 0.0)
    imperfection = draw(world, seed)
    rng = generator(seed, 0, f"bench/gp-rows/{world}/drive")
    side = float(rng.choice((-1.0, 1.0)))
    start = np.array([1.3 * side, rng.uniform(-0.5, 0.5), rng.uniform(-math.pi, math.pi)])
    robot = ImperfectRobot(ROBOT, imperfection, start, HALF_SIDE)
    policy = Presser(rng, side)
    radius = ROBOT.as_array()[RADIUS]
    noise = DT * np.array(imperfection.noise)
    nobody = np.full(5, 1e3)
    violations = infeasible = escapes = unsettled = passes = 0
    least = math.inf
    names = ("actual", "mean", "bound", "kappa", "sigma", "body")
    series: dict[str, list] = {name: [] for name in names}
    for k in range(steps):
        seen = robot.state.copy()
        seen[:3] += noise * rng.standard_normal(3)
        residual = safety.observe(seen, k * DT) if isinstance(safety, LearnedFilter) else None
        nominal = policy(seen)
        if isinstance(safety, LearnedFilter):
            result = safety.step(seen, nominal, None, ARENA)
        else:
            result = safety.step(seen, nominal, None, ARENA, disturbance=fixed)
        robot.step(result.command, DT)
        infeasible += result.tier is Tier.RELAXED or result.infeasible
        if isinstance(safety, LearnedFilter):
            safety.sent(result.command)
            latest = safety.latest
            assert latest is not None
            escapes += latest.escaped
            unsettled += not latest.settled and result.tier is Tier.EXACT
            passes += latest.passes
            if keep:
                series["actual"].append(None if residual is None else residual.tolist())
                series["mean"].append(latest.mean.tolist())
                series["bound"].append(latest.bound.tolist())
                series["kappa"].append(latest.kappa)
                series["sigma"].append(safety.learned.mean_sigma)
        margin = body_margin(robot.state, nobody, radius, radius, HALF_SIDE, ARENA.obstacles)
        if keep:
            series["body"].append(margin)
        violations += margin <= 0.0
        least = min(least, margin)
    return Episode(
        violations,
        violations > 0,
        least,
        policy.crossings,
        infeasible,
        escapes,
        unsettled,
        passes / steps,
        steps,
        series,
    )

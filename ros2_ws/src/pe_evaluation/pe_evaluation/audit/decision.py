"""Which command the ladder sends: the published rungs (:mod:`pe_safety.ladder`), taken one after the other.

    exact      the closest command that meets every row
    relaxed    none does: the rows with b < 0 are relaxed by priority, each class by the least slack that is enough;
               or, where that would let the robot not move, nothing falls further
    backup     turning on the spot

A robot with a resolution is sent the multiple that meets every row and is closest to what was asked; where none does,
the one nearest to the exact or relaxed command with which nothing falls further.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from pe_core.robot import RobotModel
from pe_evaluation.audit.constraints import ARENA, BODY, BOUND, COLLISION, OBSTACLE, Row, Scene
from pe_evaluation.audit.motion import wrapped
from pe_evaluation.audit.programme import Matrix, Pair, arrays, closest, excess, least_slack
from pe_evaluation.audit.resolution import closest_multiple, is_coarse

EXACT, RELAXED, BACKUP = "exact", "relaxed", "backup"
TURNING = "blocked: turning on the spot as the nominal command asks"
UNSAFE = "the least relaxation would leave the safe set"
NO_COMMAND = "no command meets the control bounds"
HOLDING = "the least relaxation would not let it move: nothing falls further instead"
_STANDING, _TURN_DENIED = 0.01, 0.05
_HEADINGS = 32
_NOMINAL_MAX = 1e6
_BLUR = 1e-6
"""How well [m/s, rad/s] an exact or relaxed command is known, from which the nearest multiple is taken."""


@dataclasses.dataclass(frozen=True)
class Decision:
    """Tier, why, what is sent, and the largest slack [m/s]."""

    tier: str
    reason: str
    command: Pair
    slack: float

    @property
    def infeasible(self) -> bool:
        """Whether it is for want of a command that meets every row."""
        return self.tier == RELAXED or (self.tier == BACKUP and self.reason != TURNING)


class Ladder:
    """The rungs for one cycle.

    ``tip`` [m/s] is added to every right-hand side and threshold: what rounding may tip either way comes out both
    ways with tips of either sign.  A multiple that stands exactly on a bound, or at 0 <= 0, is not rounded: it would
    make way for one a whole quantum off.  Of multiples that are equally close the one at ``sent`` is right.
    """

    def __init__(
        self, scene: Scene, rows: Sequence[Row], nominal: Pair, tip: float = 0.0, sent: Pair | None = None
    ) -> None:
        self._scene, self._robot, self._parameters, self._tip = scene, scene.robot, scene.parameters, tip
        self._kinds = [row.kind for row in rows]
        self._g, limits = arrays(rows)
        self._soft = np.array([kind not in (BOUND, BODY) for kind in self._kinds])
        self._negative = self._soft & (limits < 0.0)
        self._b = limits + tip
        self._floor = np.maximum(limits, 0.0) + abs(tip)
        tipped = np.where(limits < 0.0, self._b, np.maximum(self._b, 0.0))
        self._b_multiples = np.where([kind == BOUND for kind in self._kinds], limits, tipped)
        self._nominal, self._sent = nominal, sent
        limit = _NOMINAL_MAX
        self._asked = (min(max(nominal[0], -limit), limit), min(max(nominal[1], -limit), limit))

    def decide(self) -> Decision:
        """The published ladder, from its highest rung down."""
        u = self._closest(self._g, self._b)
        slack, tier, kept = 0.0, EXACT, True
        untouched = u == self._asked
        u = self._nominal if untouched else u
        if is_coarse(self._robot):
            multiple = self._multiple(self._asked, self._b_multiples, 0.0)
            if multiple is None and u is not None:
                tier, multiple = RELAXED, self._multiple(u, self._floor, _BLUR) or (0.0, 0.0)
                slack = self._violation(multiple)
            u = multiple
        if u is not None:
            if tier == EXACT and (untouched or not self._turn_denied(u)):
                return Decision(EXACT, "", u, 0.0)
        else:
            tier = RELAXED
            u, slack = self._relax()
            kept = u is not None and float(np.max(self._approach(u), initial=-1.0)) <= 1e-9 + abs(self._tip)
            if u is not None and kept and is_coarse(self._robot):
                u = self._multiple(u, self._floor, _BLUR) or (0.0, 0.0)
        slow = _STANDING * self._robot.v_max
        moves = u is not None and kept and abs(u[0]) > slow
        if tier == RELAXED and abs(self._asked[0]) > slow and not moves:
            held = self._hold()
            if abs(held[0]) > slow:
                return Decision(RELAXED, HOLDING, held, self._violation(held))
        if u is not None and self._turn_denied(u):
            return Decision(BACKUP, TURNING, self._turn(self._asked[1]), slack)
        if u is not None and kept:
            return Decision(RELAXED, "", u, slack)
        if u is not None and self._turn_denied((0.0, 0.0)):
            return Decision(BACKUP, TURNING, self._turn(self._asked[1]), slack)
        turn = freest_turn(self._scene)
        return Decision(BACKUP, NO_COMMAND if u is None else UNSAFE, self._turn(turn / self._scene.dt), slack)

    @property
    def feasible(self) -> bool:
        """Whether a command that the robot can execute meets every row."""
        if is_coarse(self._robot):
            return self._multiple(self._asked, self._b_multiples, 0.0) is not None
        return self._closest(self._g, self._b) is not None

    def _closest(self, g: Matrix, b: Matrix) -> Pair | None:
        return closest(g, b, self._asked, (self._parameters.weight_v, self._parameters.weight_omega))

    def _violation(self, u: Pair) -> float:
        return max(excess(self._g[self._soft], self._b[self._soft], u), 0.0)

    def _approach(self, u: Pair) -> Matrix:
        """g u of the barriers below zero."""
        return np.asarray(self._g[self._negative] @ np.array(u))

    def _relax(self) -> tuple[Pair | None, float]:
        """Lexicographic least slack, then the closest command; and the largest slack."""
        used = ~self._negative
        b, largest = self._b.copy(), 0.0
        for kind in (COLLISION, ARENA, OBSTACLE):
            mine = self._negative & np.array([k == kind for k in self._kinds])
            if not mine.any():
                continue
            used = used | mine
            picked = np.flatnonzero(used)
            slack = least_slack(self._g[picked], b[picked], np.flatnonzero(mine[picked]).tolist())
            if slack is None:
                return None, largest
            largest = max(largest, slack)
            b[mine] += slack
        # A set of one point needs room for rounding.
        b[self._negative] += 2e-10
        return self._closest(self._g, b), largest

    def _hold(self) -> Pair:
        held = self._closest(self._g, self._floor)
        if held is not None and is_coarse(self._robot):
            held = self._multiple(self._asked, self._floor, 0.0)
        return held or (0.0, 0.0)

    def _multiple(self, asked: Pair, b: Matrix, blur: float) -> Pair | None:
        weights = (self._parameters.weight_v, self._parameters.weight_omega)
        found = closest_multiple(self._g, b, asked, weights, self._robot, self._sent, blur)
        return None if found is None else executed(found, self._robot)

    def _turn_denied(self, u: Pair) -> bool:
        """No speed is left, or none was asked for, and the turn falls short of the nominal one."""
        limit, share = self._robot.omega_max, _TURN_DENIED * self._robot.omega_max
        wanted = min(max(self._asked[1], -limit), limit)
        short = abs(u[1] - wanted) > share + self._tip and abs(wanted) > share
        return short and min(abs(u[0]), abs(self._asked[0])) <= _STANDING * self._robot.v_max + self._tip

    def _turn(self, omega: float) -> Pair:
        """v = 0 and what bounds and bodies leave of ``omega``."""
        for g, b in zip(self._g[~self._soft], self._b[~self._soft], strict=True):
            if g[1] != 0.0 and g[1] * omega > b:
                omega = float(b / g[1])
        return executed((0.0, omega), self._robot)


def executed(u: Pair, robot: RobotModel) -> Pair:
    """What the firmware makes of a command: truncated towards zero, then within the limits."""
    v, omega = (
        math.copysign(math.floor(abs(value) / quantum + 1e-9) * quantum, value) if quantum > 0.0 else value
        for value, quantum in zip(u, (robot.v_quantum, robot.omega_quantum), strict=True)
    )
    v, omega = min(max(v, robot.v_min), robot.v_max), min(max(omega, -robot.omega_max), robot.omega_max)
    wheel = abs(v) + 0.5 * robot.track * abs(omega)
    if robot.track > 0.0 and wheel > robot.wheel_speed_max:
        v, omega = v * robot.wheel_speed_max / wheel, omega * robot.wheel_speed_max / wheel
    return v, omega


def freest_turn(scene: Scene) -> float:
    """The turn [rad] to the one of 32 headings whose straight line is free for longest, 1e-3 L per radian dearer."""
    x, y, theta = scene.pose
    reach = scene.half_side - scene.robot.radius
    discs = [(cx, cy, radius + scene.robot.radius) for cx, cy, radius in scene.obstacles]
    discs.append((scene.opponent[0], scene.opponent[1], scene.rival.radius + scene.robot.radius))
    best, best_turn = -math.inf, 0.0
    for k in range(_HEADINGS):
        heading = 2.0 * math.pi * k / _HEADINGS
        turn = wrapped(heading - theta)
        c, s = math.cos(heading), math.sin(heading)
        walls = [(math.copysign(reach, e) - p) / e for p, e in ((x, c), (y, s)) if e != 0.0]
        free = max(min(walls), 0.0)
        for cx, cy, radius in discs:
            ahead, aside = (cx - x) * c + (cy - y) * s, (cx - x) * s - (cy - y) * c
            if ahead > 0.0 and abs(aside) < radius:
                free = min(free, max(ahead - math.sqrt(radius**2 - aside**2), 0.0))
        free -= 1e-3 * scene.half_side * abs(turn)
        if free > best:
            best, best_turn = free, turn
    return best_turn

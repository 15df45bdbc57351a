"""The margin budget of one cycle, in plain floats; symbols and equations as in :mod:`pe_safety.budget`.

Bounds are named as there: eps relative gain error, k sigmas.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from pe_core.robot import RobotModel
from pe_evaluation.audit.pending import Pending, Piece, pending
from pe_safety.parameters import SafetyParameters

Pair = tuple[float, float]
_REST = 4.0
"""Time constants after which a passive-mode robot counts as at rest."""


def fastest(robot: RobotModel) -> float:
    """Largest |v| [m/s]."""
    return max(robot.v_max, -robot.v_min)


def largest_cosine(angle: float, within: float) -> float:
    """The largest cos(angle + e) over |e| <= within."""
    return math.cos(max(abs(math.remainder(angle, 2.0 * math.pi)) - within, 0.0))


def cosines(angle: float, low: float, high: float) -> Pair:
    """Largest and least cos(angle - e) over e in [low, high]."""
    within = 0.5 * (high - low)
    off = angle - 0.5 * (low + high)
    return largest_cosine(off, within), -largest_cosine(off + math.pi, within)


@dataclasses.dataclass(frozen=True)
class Budget:
    """What one cycle's margins are made of; lengths [m], angles [rad], times [s].

    Attributes:
        terms: by their logged names.
        static, other: margin of the body towards walls and obstacles, and towards the opponent, before what depends
            on direction.
        pending: what the commands on their way will still do; cone: headings on that way, with the estimate's error.
        heading_bound: error of the heading at rest.
        next_turn: what the robot may turn in a period.
        lag: its upper bound.
        window: time in which the opponent moves unseen; ramp: its ramp, over its speed; opponent_error: of its heading;
            opponent_rate: at which it may turn; opponent_turn, opponent_next_turn: its turn until it is at rest, and
            with a period more.
        passive_window: what is added to the window towards an opponent that is not ours.
        uncertain: anything but the constant margin counts.
        static_blur, other_blur: error of the place of a circle.
    """

    robot: RobotModel
    rival: RobotModel
    eps: float
    terms: dict[str, float]
    static: float
    other: float
    pending: Pending
    cone: Pair
    heading_bound: float
    next_turn: float
    lag: float
    window: float
    ramp: float
    opponent_error: float
    opponent_rate: float
    opponent_turn: float
    opponent_next_turn: float
    passive_window: float
    uncertain: bool
    static_blur: float
    other_blur: float

    def share(self, beta: float, more: float = 0.0) -> float:
        """Share of ``over`` that counts towards a barrier at ``beta``; ``more`` [rad] to either side of the cone."""
        largest, least = cosines(beta, self.cone[0] - more, self.cone[1] + more)
        return max(largest, 0.0, -least if self.robot.v_min < 0.0 else 0.0)

    def opponent_extent(self, phi: float) -> float:
        """How far the opponent may come towards ``phi``, an angle from its heading."""
        if self.window <= 0.0:
            return 0.0
        forward = self.rival.v_max * self._towards(abs(phi))
        reverse = -self.rival.v_min * self._towards(math.pi - abs(phi))
        return (1.0 + self.eps) * max(forward, reverse)

    def _towards(self, phi: float) -> float:
        """Integral over the window of [cos(max(phi - error - rate t, 0))]+, and the ramp."""
        off = phi - self.opponent_error
        # The angle that is left, from the time on at which it is below a right angle; at 0 it stays.
        first = max(min(off, 0.5 * math.pi), 0.0)
        last = min(max(off - self.opponent_rate * self.window, 0.0), first)
        straight = self.window - max(off, 0.0) / self.opponent_rate
        arc = (math.sin(first) - math.sin(last)) / self.opponent_rate
        return arc + max(straight, 0.0) + self.ramp * max(largest_cosine(phi, self.opponent_turn), 0.0)

    def opponent_leaves(self, phi: float) -> bool:
        """Whether it cannot come nearer towards ``phi`` before its next command has acted for a period."""
        return self.rival.v_min >= 0.0 and abs(phi) - self.opponent_next_turn > 0.5 * math.pi

    def body_margin(self, beta: float, phi: float | None) -> float:
        """Margin of the body towards a barrier at ``beta`` from the heading; ``phi`` for the opponent."""
        margin = self.static if phi is None else self.other + self.opponent_extent(phi)
        if not self.uncertain:
            return margin
        largest, least = cosines(beta, *self.cone)
        if self.robot.v_min < 0.0:
            return margin + self.pending.over * self.share(beta) + self.pending.way * (largest - least)
        sideways = max(largest, 0.0) - max(least, 0.0)
        return margin + self.pending.over * self.share(beta) + self.pending.way * sideways

    def point_margin(self, beta: float) -> float:
        """What the control point may be nearer than the body says: the heading at rest errs."""
        return self.robot.vcp_offset * (largest_cosine(beta, self.heading_bound) - math.cos(beta))


def budget(
    robot: RobotModel,
    rival: RobotModel,
    parameters: SafetyParameters,
    own: Pair,
    other: Pair,
    pieces: Sequence[Piece],
    state_age: float,
    age: float,
    dt: float,
) -> Budget:
    """The budget of one cycle.

    Args:
        own, other: deviations of both estimates (position [m], heading [rad]).
        pieces: commands that were sent; state_age: of the own state [s].
        age: of the opponent's state [s].
        dt: control period [s].
    """
    p, eps, k = parameters, parameters.gain_error, parameters.sigmas
    heading = k * own[1] + p.heading_error
    state = k * own[0] + p.position_error
    both = math.sqrt((k * own[0]) ** 2 + (k * other[0]) ** 2) + 2.0 * p.position_error
    uncertain = p.moves_otherwise or heading > 0.0 or state > 0.0 or p.map_error > 0.0
    known = any(
        (k, p.position_error, p.heading_error, eps, p.delay_error, p.lag_error, p.acceleration_min, p.map_error)
    )
    rest = pending(pieces, state_age, robot, p, dt) if known else Pending()
    cone = (rest.low - heading, rest.high + heading)
    heading_bound = heading + rest.turn_error
    path = (rest.way + rest.over) * math.sin(min(max(-cone[0], cone[1]), 0.5 * math.pi))
    ramps = [(1.0 + eps) * fastest(r) / p.acceleration_min if p.acceleration_min > 0.0 else 0.0 for r in (robot, rival)]
    reaction = rival.delay + p.delay_error + rival.lag + p.lag_error
    reach = (1.0 + eps) * fastest(rival)
    turn_rate = (1.0 + eps) * rival.omega_max
    opponent_error = k * other[1] + p.heading_error
    opponent_turn = turn_rate * (age + reaction + ramps[1]) + opponent_error
    passive = 0.0
    if p.opponent_behaviour == "passive":
        passive = age + robot.delay + p.delay_error + dt + _REST * (robot.lag + p.lag_error) + ramps[0]
    terms = {
        "constant": p.margin,
        "vcp": robot.vcp_offset,
        "state": state,
        "heading": robot.vcp_offset * heading_bound,
        "delay": rest.delay,
        "lag": rest.lag,
        "acceleration": rest.ramp,
        "gain": rest.gain,
        "path": path,
        "map": p.map_error,
        "opponent_state": both - state,
        "opponent_age": reach * age,
        "opponent_reaction": reach * (reaction + 0.5 * ramps[1]),
    }
    return Budget(
        robot, rival, eps, terms,
        static=p.margin + state + p.map_error,
        other=p.margin + both,
        pending=rest,
        cone=cone,
        heading_bound=heading_bound,
        next_turn=(1.0 + eps) * robot.omega_max * dt,
        lag=robot.lag + p.lag_error,
        window=age + reaction,
        ramp=0.5 * ramps[1],
        opponent_error=opponent_error,
        opponent_rate=turn_rate,
        opponent_turn=opponent_turn,
        opponent_next_turn=opponent_turn + turn_rate * dt,
        passive_window=passive,
        uncertain=uncertain,
        static_blur=state + p.map_error + path,
        other_blur=both + path + reach * (age + reaction + 0.5 * ramps[1]),
    )  # fmt: skip

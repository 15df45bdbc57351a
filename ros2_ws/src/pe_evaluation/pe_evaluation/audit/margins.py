"""The margin budget of one cycle, in plain floats; symbols and equations as in :mod:`pe_safety.budget`.

Bounds are named as there: eps relative gain error, k sigmas, Delta_delta and Delta_tau errors of dead time and lag, a
the least acceleration.  True dead time and lag are at most delta + Delta_delta and tau + Delta_tau; their sum is T.
"""

from __future__ import annotations

import dataclasses
import math

from pe_core.robot import RobotModel
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


@dataclasses.dataclass(frozen=True)
class Budget:
    """What one cycle's margins are made of; lengths [m], angles [rad], times [s].

    Attributes:
        terms: by their logged names.
        static, other: margin of the body towards walls and obstacles, and towards the opponent, before what depends
            on direction.
        growth: length per speed that has not run out [s]; peak: that speed [m/s].
        heading_bound: error of the direction of approach; spread: turn within T.
        lag: its upper bound.
        window: time in which the opponent moves unseen; opponent_turn, opponent_next_turn: its turn within it, and with
            a period more.
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
    growth: float
    peak: float
    heading_bound: float
    spread: float
    lag: float
    window: float
    opponent_turn: float
    opponent_next_turn: float
    passive_window: float
    uncertain: bool
    static_blur: float
    other_blur: float

    def along(self, beta: float, more: float = 0.0) -> float:
        """Share of an error along the way that counts towards a barrier at ``beta``; ``more`` [rad] of spread."""
        share = max(largest_cosine(beta, self.spread + more), 0.0)
        if self.robot.v_min < 0.0:
            share = max(share, largest_cosine(math.pi - abs(beta), self.spread + more))
        return share

    def opponent_extent(self, phi: float) -> float:
        """How far the opponent may come within the window towards ``phi``, an angle from its heading."""
        forward = self.rival.v_max * max(largest_cosine(phi, self.opponent_turn), 0.0)
        reverse = -self.rival.v_min * max(largest_cosine(math.pi - abs(phi), self.opponent_turn), 0.0)
        return (1.0 + self.eps) * self.window * max(forward, reverse) if self.window > 0.0 else 0.0

    def opponent_leaves(self, phi: float) -> bool:
        """Whether it cannot come nearer towards ``phi`` before its next command has acted for a period."""
        return self.rival.v_min >= 0.0 and abs(phi) - self.opponent_next_turn > 0.5 * math.pi

    def body_margin(self, beta: float, phi: float | None) -> float:
        """Margin of the body towards a barrier at ``beta`` from the heading; ``phi`` for the opponent."""
        margin = self.static if phi is None else self.other + self.opponent_extent(phi)
        return margin + self.growth * self.peak * self.along(beta)


def budget(
    robot: RobotModel,
    rival: RobotModel,
    parameters: SafetyParameters,
    own: Pair,
    other: Pair,
    peaks: Pair,
    age: float,
    dt: float,
) -> Budget:
    """The budget of one cycle.

    Args:
        own, other: deviations of both estimates (position [m], heading [rad]).
        peaks: largest |v|, |omega| that has not run out.
        age: of the opponent's state [s].
        dt: control period [s].
    """
    p, eps, k = parameters, parameters.gain_error, parameters.sigmas
    v_max, peak = fastest(robot), min(peaks[0], fastest(robot))
    ramp = 0.5 * v_max / p.acceleration_min if p.acceleration_min > 0.0 else 0.0
    rival_ramp = 0.5 * fastest(rival) / p.acceleration_min if p.acceleration_min > 0.0 else 0.0
    late, rolling = (1.0 + eps) * p.delay_error, (1.0 + eps) * p.lag_error
    gain = eps * (robot.delay + robot.lag)
    horizon = robot.delay + p.delay_error + robot.lag + p.lag_error
    heading = k * own[1] + p.heading_error
    turned = heading + (gain + late + rolling) * robot.omega_max
    smooth = 0.5 * v_max * robot.omega_max * (robot.lag + p.lag_error) ** 2 if p.lag_error > 0.0 else 0.0
    state = k * own[0] + p.position_error
    both = math.sqrt((k * own[0]) ** 2 + (k * other[0]) ** 2) + 2.0 * p.position_error
    reaction = rival.delay + p.delay_error + rival.lag + p.lag_error + rival_ramp
    reach = (1.0 + eps) * fastest(rival)
    turn_rate = (1.0 + eps) * rival.omega_max
    opponent_turn = turn_rate * (age + reaction) + k * other[1] + p.heading_error
    path = turned * horizon * v_max + smooth
    passive = 0.0
    if p.opponent_behaviour == "passive":
        passive = age + robot.delay + p.delay_error + dt + _REST * (robot.lag + p.lag_error) + ramp
    terms = {
        "constant": p.margin,
        "vcp": robot.vcp_offset,
        "state": state,
        "heading": robot.vcp_offset * turned,
        "delay": late * peak,
        "lag": rolling * peak,
        "acceleration": ramp * peak,
        "gain": gain * peak,
        "path": path,
        "map": p.map_error,
        "opponent_state": both - state,
        "opponent_age": reach * age,
        "opponent_reaction": reach * reaction,
    }
    growth = late + rolling + ramp + gain
    return Budget(
        robot, rival, eps, terms,
        static=p.margin + state + path + p.map_error,
        other=p.margin + both + path,
        growth=growth,
        peak=peak,
        heading_bound=heading + (gain + late + rolling) * min(peaks[1], robot.omega_max),
        spread=turned + robot.omega_max * horizon,
        lag=robot.lag + p.lag_error,
        window=age + reaction,
        opponent_turn=opponent_turn,
        opponent_next_turn=opponent_turn + turn_rate * dt,
        passive_window=passive,
        uncertain=eps > 0.0 or turned > 0.0 or growth > 0.0 or state > 0.0 or p.map_error > 0.0,
        static_blur=state + p.map_error,
        other_blur=both + reach * (age + reaction),
    )  # fmt: skip

"""Barriers and rows of one cycle, in plain floats; equations as in :mod:`pe_safety.barriers` and :mod:`pe_safety.rows`.

Every barrier gives all of its rows, also those that no admissible command can break.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from pe_core.robot import RobotModel
from pe_evaluation.audit.margins import Budget, fastest, largest_cosine
from pe_evaluation.audit.motion import State
from pe_safety.parameters import SafetyParameters

BOUND, BODY, COLLISION, ARENA, OBSTACLE = "bound", "body", "collision", "arena", "obstacle"
_BODY_CLOSING = 0.9
_SKIN = 0.1
_CREEP = 0.05
_ROUNDING = 1e-9
_CENTRE = 1e-9


@dataclasses.dataclass(frozen=True)
class Row:
    """v u_v + omega u_omega <= limit [m/s], and what it is for."""

    v: float
    omega: float
    limit: float
    kind: str


@dataclasses.dataclass(frozen=True)
class Scene:
    """What one cycle's rows depend on.

    Attributes:
        pose: stopping pose (x, y, theta); v, omega: velocity at actuation.
        opponent: (x, y, theta, v, omega).
        obstacles: (x, y, radius) each.
        dt: control period [s].
    """

    pose: tuple[float, float, float]
    v: float
    omega: float
    opponent: State
    half_side: float
    obstacles: Sequence[tuple[float, float, float]]
    robot: RobotModel
    rival: RobotModel
    parameters: SafetyParameters
    budget: Budget
    dt: float

    def point(self) -> tuple[float, float]:
        """The control point q."""
        x, y, theta = self.pose
        d = self.robot.vcp_offset
        return x + d * math.cos(theta), y + d * math.sin(theta)

    @property
    def rate(self) -> float:
        """Of decay: gamma / dt or alpha [1/s]."""
        return (
            self.parameters.gamma / self.dt
            if self.parameters.condition == "discrete"
            else self.parameters.alpha
        )


@dataclasses.dataclass(frozen=True)
class View:
    """One barrier from one point.

    Attributes:
        kind: ``arena``, ``obstacle`` or ``collision``.
        n: unit vector from the barrier to the point; zero on a centre.
        distance: to the wall's line or to the centre [m].
        radius: what the barrier's own body adds [m].
        beta: angle from the robot's heading to the barrier, -n.
        phi: angle from the opponent's heading to n; None for what stands.
    """

    name: str
    kind: str
    n: tuple[float, float]
    distance: float
    radius: float
    beta: float
    phi: float | None


def views(scene: Scene, x: float, y: float) -> list[View]:
    """Every barrier from (x, y)."""
    found = []
    theta, side = scene.pose[2], scene.half_side
    for name, nx, ny in (("east", -1.0, 0.0), ("west", 1.0, 0.0), ("north", 0.0, -1.0), ("south", 0.0, 1.0)):
        distance = side + nx * x + ny * y
        found.append(View(f"wall_{name}", ARENA, (nx, ny), distance, 0.0, _angle(-nx, -ny, theta), None))
    discs = [(f"obstacle_{i}", OBSTACLE, *disc) for i, disc in enumerate(scene.obstacles)]
    discs.append(("opponent", COLLISION, scene.opponent[0], scene.opponent[1], scene.rival.radius))
    for name, kind, cx, cy, radius in discs:
        distance = math.hypot(x - cx, y - cy)
        n = ((x - cx) / distance, (y - cy) / distance) if distance >= _CENTRE else (0.0, 0.0)
        phi = _angle(*n, scene.opponent[2]) if kind == COLLISION else None
        found.append(View(name, kind, n, distance, radius, _angle(-n[0], -n[1], theta), phi))
    return found


def _angle(x: float, y: float, heading: float) -> float:
    """From ``heading`` to the vector (x, y)."""
    c, s = math.cos(heading), math.sin(heading)
    return math.atan2(y * c - x * s, x * c + y * s)


def barriers(scene: Scene) -> tuple[dict[str, float], dict[str, float]]:
    """h by name, and the margin [m] that each keeps beside radii and d."""
    values, margins = {}, {}
    for view in views(scene, *scene.point()):
        values[view.name], margins[view.name] = _barrier(scene, _ahead(scene, view))
    return values, margins


def _ahead(scene: Scene, view: View) -> View:
    """Who stands on a centre sees it straight ahead."""
    if view.n != (0.0, 0.0):
        return view
    n = (-math.cos(scene.pose[2]), -math.sin(scene.pose[2]))
    phi = None if view.phi is None else _angle(*n, scene.opponent[2])
    return dataclasses.replace(view, n=n, beta=0.0, phi=phi)


def _barrier(scene: Scene, view: View) -> tuple[float, float]:
    margin = scene.budget.body_margin(view.beta, view.phi) + scene.budget.point_margin(view.beta)
    keep = view.radius + scene.robot.radius + scene.robot.vcp_offset + margin
    return (view.distance - keep if view.kind == ARENA else view.distance**2 - keep**2), margin


def bounds(robot: RobotModel) -> list[Row]:
    """The robot's limits: the box, and the wheels' diamond."""
    rows = [Row(1.0, 0.0, robot.v_max, BOUND), Row(-1.0, 0.0, -robot.v_min, BOUND)]
    rows += [Row(0.0, sign, robot.omega_max, BOUND) for sign in (1.0, -1.0)]
    if robot.track > 0.0:
        lever = 0.5 * robot.track
        rows += [Row(v, s * lever, robot.wheel_speed_max, BOUND) for v in (1.0, -1.0) for s in (1.0, -1.0)]
    return rows


def _signs(ahead: float, behind: float, left: float, right: float, limit: float, kind: str) -> list[Row]:
    """{ahead | behind} |v| + {left | right} |omega| <= limit; a coefficient that rounds to 0 is 0."""
    ahead, behind, left, right = (
        value if abs(value) > _ROUNDING else 0.0 for value in (ahead, behind, left, right)
    )
    return [Row(v, omega, limit, kind) for v in (ahead, -behind) for omega in (left, -right)]


def _lag_error(scene: Scene) -> tuple[float, float]:
    """Bounds on the stopping pose's extra error per u_v and per |u_omega|: (1/2) kappa tau / dt times what the lag lets
    the robot turn and run on, exactly tau |omega| and tau |v| or the most that may be; a ramp's way counts whole."""
    budget, tau = scene.budget, scene.budget.lag
    factor = 0.5 * (1.0 - math.exp(-scene.dt / tau)) * tau / scene.dt if tau > 0.0 else 0.0
    if not budget.uncertain:
        return factor * tau * abs(scene.omega), factor * tau * abs(scene.v)
    gain, rest = 1.0 + budget.eps, budget.pending
    return gain * factor * rest.roll_turn, gain * (factor * rest.roll + rest.roll_ramp)


def _arc_error(scene: Scene, sigma: float, beta: float) -> float:
    """Bound on the arc's error per |omega| for turns of sign ``sigma``."""
    robot, dt, d = scene.robot, scene.dt, scene.robot.vcp_offset
    psi = 0.5 * robot.omega_max * dt
    c, s = math.cos(beta), sigma * math.sin(beta)
    forward, reverse = max(robot.v_max, 0.0) * dt, max(-robot.v_min, 0.0) * dt
    bound = forward * max(s, 0.0) + (2.0 / 3.0 * forward + 2.0 * d) * psi * max(-c, 0.0)
    bound += 4.0 / 3.0 * d * psi**2 * max(-s, 0.0)
    bound += reverse * max(-s, 0.0) + 2.0 / 3.0 * reverse * psi * max(c, 0.0)
    return 0.5 * min(bound, dt * math.sqrt(fastest(robot) ** 2 + (d * robot.omega_max) ** 2))


def _place_error(length: float, distance: float) -> float:
    """Error of the direction to something whose place errs by ``length``."""
    return math.asin(length / distance) if length < distance else 0.5 * math.pi


def _worst(coefficient: float, eps: float) -> float:
    """The largest g c over gains g within 1 +- eps."""
    return max((1.0 - eps) * coefficient, (1.0 + eps) * coefficient)


def _opponent_speed(scene: Scene, view: View, full: float, gap: float, share: float) -> float:
    """Own closing speed allowed towards the opponent, of the ``gap`` at most ``share`` in a step."""
    if gap <= 0.0:
        return 0.0
    cooperative = scene.parameters.opponent_behaviour == "cooperative"
    leaves = scene.budget.opponent_leaves(_angle(*view.n, scene.opponent[2]))
    half = 0.5 if cooperative and not leaves else 1.0
    least = 0.5 * max(full, 0.0) if cooperative else 0.0
    return min(max(full - _closing(scene, view), least), half * share * gap / scene.dt)


def _closing(scene: Scene, view: View) -> float:
    """The opponent's speed towards us, at the bound of its error."""
    _, _, heading, speed, _ = scene.opponent
    closing = speed * (view.n[0] * math.cos(heading) + view.n[1] * math.sin(heading))
    return closing + scene.parameters.opponent_speed_error


def barrier_rows(scene: Scene, values: dict[str, float]) -> list[Row]:
    """The rows of the control point; ``values`` are the barriers, whose signs decide what is asked."""
    rows: list[Row] = []
    budget, robot, d = scene.budget, scene.robot, scene.robot.vcp_offset
    eps, with_arc = budget.eps, scene.parameters.condition == "discrete" and scene.parameters.arc_margin
    stretch = (1.0 + eps) ** 2
    lag_v, lag_omega = _lag_error(scene)
    for seen in views(scene, *scene.point()):
        view = _ahead(scene, seen)
        rho = view.distance if seen is view else _CENTRE
        h, moving, wall = values[view.name], view.kind == COLLISION, view.kind == ARENA
        keep = view.radius + robot.radius + d
        margin = _barrier(scene, view)[1]
        full, hold = scene.rate * (h if wall else h / (2.0 * rho)), False
        if h < 0.0 and budget.uncertain:
            bare = keep + scene.parameters.margin
            inside = rho - bare if wall else (rho**2 - bare**2) / (2.0 * rho)
            hold = inside >= 0.0
            full = 0.0 if hold else scene.rate * inside
        allowed = _opponent_speed(scene, view, full, rho - keep - margin, 1.0) if moving else full
        if -_ROUNDING < allowed < 0.0:
            allowed = 0.0
        blur = budget.heading_bound
        if h < 0.0 and budget.uncertain and not wall and (hold or moving):
            blur += _place_error(budget.other_blur if moving else budget.static_blur, rho)
        ahead = _worst(largest_cosine(view.beta, blur), eps) + lag_v
        behind = _worst(largest_cosine(view.beta + math.pi, blur), eps) + lag_v
        left = d * _worst(largest_cosine(view.beta - 0.5 * math.pi, blur), eps) + lag_omega
        right = d * _worst(largest_cosine(view.beta + 0.5 * math.pi, blur), eps) + lag_omega
        if with_arc:
            left += stretch * _arc_error(scene, 1.0, view.beta)
            right += stretch * _arc_error(scene, -1.0, view.beta)
        rows += _signs(ahead, behind, left, right, allowed, view.kind)
        if budget.pending.next_rate > 0.0 and not hold:
            rows += _growth(scene, view, (ahead, behind, left, right), allowed, view.kind)
    return rows


def _growth(
    scene: Scene, view: View, approach: tuple[float, float, float, float], allowed: float, kind: str
) -> list[Row]:
    """The same for what ``over`` will be in the next cycle; none where no command makes it grow."""
    budget, dt = scene.budget, scene.dt
    now, then = budget.share(view.beta), budget.share(view.beta, budget.next_turn)
    grown = (budget.pending.next * then - budget.pending.over * now) / dt
    per = budget.pending.next_rate * then / dt
    if per * fastest(scene.robot) + grown <= 0.0:
        return []
    ahead, behind, left, right = approach
    return _signs(ahead + per, behind + per, left, right, max(allowed - grown, min(allowed, 0.0)), kind)


def body_rows(scene: Scene, values: dict[str, float]) -> list[Row]:
    """The rows of the body, which no rung of the ladder gives up."""
    rows: list[Row] = []
    budget, robot, dt = scene.budget, scene.robot, scene.dt
    gain = 1.0 + budget.eps
    lag_v, lag_omega = _lag_error(scene)
    rate = min(scene.rate, _BODY_CLOSING / dt)
    half_turn = 0.5 * gain * robot.omega_max * dt
    for view in views(scene, scene.pose[0], scene.pose[1]):
        moving, wall = view.kind == COLLISION, view.kind == ARENA
        needed = values[view.name] < 0.0 or moving or robot.lag > 0.0 or robot.v_min < 0.0 or budget.uncertain
        if not needed or view.n == (0.0, 0.0):
            continue
        clear = view.distance - view.radius - robot.radius - _SKIN * robot.vcp_offset
        gap = clear - budget.body_margin(view.beta, view.phi)
        blur = half_turn + budget.heading_bound
        if moving:
            allowed = _opponent_speed(scene, view, scene.rate * gap, gap, _BODY_CLOSING)
            blur += _place_error(budget.other_blur, view.distance)
            if scene.parameters.opponent_behaviour == "passive":
                reach = gain * fastest(scene.rival) * budget.passive_window
                rest = rate * max(clear - budget.other - reach, 0.0)
                if _closing(scene, view) <= _CREEP * scene.rival.v_max:
                    rest = max(rest, _CREEP * fastest(robot))
                rows += _signs(1.0, 1.0, lag_omega, lag_omega, rest, BODY)
        else:
            allowed = rate * max(gap, 0.0)
            if gap < 0.0 and not wall:
                blur += _place_error(budget.static_blur, view.distance)
        # What leads away pays for the lag's error.
        away = (1.0 - budget.eps) * math.cos(half_turn)
        ahead, behind = (
            max(lag_v + cosine * (gain if cosine > 0.0 else away), 0.0)
            for cosine in (largest_cosine(view.beta, blur), largest_cosine(view.beta + math.pi, blur))
        )
        allowed = max(allowed, 0.0)
        approach = (ahead, behind, lag_omega, lag_omega)
        rows += _that_bind(scene, _signs(*approach, allowed, BODY))
        if budget.pending.next_rate > 0.0:
            rows += _that_bind(scene, _growth(scene, view, approach, allowed, BODY))
    return rows


def _that_bind(scene: Scene, rows: list[Row]) -> list[Row]:
    """Without the rows that the fastest command exceeds by rounding alone: 1e-20 v <= 0 is not v <= 0."""
    robot = scene.robot
    return [
        row
        for row in rows
        if max(row.v * robot.v_max, row.v * robot.v_min) + abs(row.omega) * robot.omega_max
        > row.limit + _ROUNDING
    ]

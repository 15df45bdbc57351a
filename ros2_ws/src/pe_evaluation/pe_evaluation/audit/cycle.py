"""One cycle, computed again from the messages behind it, against what was logged and sent."""

from __future__ import annotations

import dataclasses
import math

from pe_evaluation.audit.constraints import Scene, barrier_rows, barriers, body_rows, bounds
from pe_evaluation.audit.decision import BACKUP, EXACT, RELAXED, TURNING, Decision, Ladder
from pe_evaluation.audit.margins import Budget, budget
from pe_evaluation.audit.motion import Commands, State, stopping_pose, wrapped
from pe_evaluation.audit.resolution import is_coarse, is_countable
from pe_evaluation.audit.trace import Cycle, Trace

TOLERANCE = 1e-6
RELAXED_TOLERANCE = 1e-5
"""Of a relaxed command [m/s, rad/s]: the least slack leaves a set of one point, whose place is that much less sharp."""
_TIP = 1e-9
PREDICTION_LIMIT = 0.2
_FUTURE = 0.1
_PARTS = ("x", "y", "theta", "v", "omega")


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something that is not as it must be: in the status (or on cmd_vel), and as computed again."""

    episode: int
    robot: str
    step: int
    quantity: str
    logged: str
    expected: str

    def line(self) -> str:
        """In words."""
        return (
            f"episode {self.episode}, {self.robot}, cycle {self.step}: {self.quantity} is {self.logged}, "
            f"expected {self.expected}"
        )


@dataclasses.dataclass
class Verdict:
    """On one cycle.

    Attributes:
        findings: empty where everything is as it must be.
        unchecked: why it could not be computed again, or nothing.
        differences: of every quantity that was compared.
        tipped: rounding decides between two rungs or commands, and the other one was taken.
        turned: a turn on the spot was sent although a command existed that meets every row.
    """

    findings: list[Finding]
    unchecked: str = ""
    differences: dict[str, float] = dataclasses.field(default_factory=dict)
    tipped: bool = False
    turned: bool = False


def check(trace: Trace, cycle: Cycle) -> Verdict:
    """Compute one cycle again."""
    if reason := _missing(cycle):
        return Verdict([], reason)
    if is_coarse(trace.robot) and not is_countable(trace.robot):
        return Verdict([], "its robot's commands are too many to try all of them")
    return _Check(trace, cycle).run()


def _missing(cycle: Cycle) -> str:
    for name, value in (
        ("own state", cycle.own), ("opponent's state", cycle.opponent), ("nominal command", cycle.nominal),
        ("command on cmd_vel", cycle.sent),
    ):  # fmt: skip
        if value is None:
            return f"its {name} is missing"
    if cycle.logged.get("margin/disturbance", 0.0) != 0.0:
        return "a disturbance was learned, which this audit does not know"
    return cycle.gap


class _Check:
    def __init__(self, trace: Trace, cycle: Cycle) -> None:
        self._trace, self._cycle = trace, cycle
        self._verdict = Verdict([])

    def run(self) -> Verdict:
        trace, cycle = self._trace, self._cycle
        own, opponent, nominal, sent = cycle.own, cycle.opponent, cycle.nominal, cycle.sent
        assert own is not None and opponent is not None and nominal is not None and sent is not None
        commands = Commands(cycle.before, trace.robot, trace.dt)
        age = max((cycle.stamp_ns - own.stamp_ns) / 1e9, 0.0)
        measured = own.state
        if trace.parameters.moves_otherwise:
            measured = (*measured[:3], *commands.velocity(own.stamp_ns))
        state = commands.predict(measured, own.stamp_ns, min(age, PREDICTION_LIMIT))
        self._states("state", state)
        self._states("opponent", opponent.state)
        self._number("nominal_v", nominal[0])
        self._number("nominal_omega", nominal[1])
        self._age("state_age_ms", own.stamp_ns)
        opponent_age = self._age("opponent_age_ms", opponent.stamp_ns)
        terms = budget(
            trace.robot, trace.rival, trace.parameters, own.deviations, opponent.deviations,
            commands.pieces(cycle.stamp_ns), min(age, PREDICTION_LIMIT), opponent_age, trace.dt,
        )  # fmt: skip
        for name, value in terms.terms.items():
            self._number(f"margin/{name}", value)
        self._decide(self._scene(state, opponent.state, terms), nominal, sent)
        return self._verdict

    def _scene(self, state: State, opponent: State, terms: Budget) -> Scene:
        trace = self._trace
        return Scene(
            stopping_pose(state, trace.robot.lag), state[3], state[4], opponent, trace.half_side, trace.obstacles,
            trace.robot, trace.rival, trace.parameters, terms, trace.dt,
        )  # fmt: skip

    def _decide(self, scene: Scene, nominal: tuple[float, float], sent: tuple[float, float]) -> None:
        logged = self._cycle.logged
        values, margins = barriers(scene)
        for name in values:
            self._number(f"h/{name}", values[name])
            self._number(f"m/{name}", margins[name])
            said = logged.get(f"h/{name}", math.nan)
            if max(abs(values[name]), abs(said)) < _TIP:
                # Zero but for rounding: on which side decides what is asked, and both are right.
                values[name] = said
        rows = [*bounds(scene.robot), *body_rows(scene, values), *barrier_rows(scene, values)]
        ladders = [Ladder(scene, rows, nominal, tip, sent) for tip in (0.0, _TIP, -_TIP)]
        expected = ladders[0].decide()
        if not self._as_logged(expected):
            others = [other for ladder in ladders[1:] if self._as_logged(other := ladder.decide())]
            if others:
                expected, self._verdict.tipped = others[0], True
        self._compare(scene, expected, sent)
        if expected.tier == BACKUP and expected.reason == TURNING:
            self._verdict.turned = ladders[0].feasible

    def _tolerance(self, tier: str) -> float:
        return RELAXED_TOLERANCE if tier == RELAXED else TOLERANCE

    def _as_logged(self, decision: Decision) -> bool:
        logged = self._cycle.logged
        command = (logged.get("command_v", math.nan), logged.get("command_omega", math.nan))
        near = max(abs(a - b) for a, b in zip(decision.command, command, strict=True)) <= self._tolerance(
            decision.tier
        )
        return (
            (decision.tier, decision.reason) == (self._cycle.tier, self._cycle.reason)
            and near
            and abs(decision.slack - logged.get("slack", math.nan)) <= TOLERANCE
        )

    def _compare(self, scene: Scene, expected: Decision, sent: tuple[float, float]) -> None:
        logged, robot = self._cycle.logged, scene.robot
        if (self._cycle.tier, self._cycle.reason) != (expected.tier, expected.reason):
            rungs = ((self._cycle.tier, self._cycle.reason), (expected.tier, expected.reason))
            said = [f"{tier} ({reason})" if reason else tier for tier, reason in rungs]
            self._find("tier", *said)
        tolerance = self._tolerance(expected.tier)
        safe = " (a safe command existed)" if expected.tier == EXACT else ""
        for part, (name, value) in enumerate(zip(("v", "omega"), expected.command, strict=True)):
            self._number(f"command_{name}", value, tolerance)
            if not abs(sent[part] - value) <= tolerance or sent[part] != logged.get(f"command_{name}"):
                self._find(f"cmd_vel {name}", repr(sent[part]), repr(value) + safe)
        self._number("slack", expected.slack)
        v, omega = (logged.get(key, math.nan) for key in ("command_v", "command_omega"))
        nominal = self._cycle.nominal or (math.nan, math.nan)
        correction = math.sqrt(
            ((v - nominal[0]) / robot.v_max) ** 2 + ((omega - nominal[1]) / robot.omega_max) ** 2
        )
        self._number("correction", correction)
        self._number("intervened", float(self._cycle.tier != EXACT or correction > 1e-3))
        self._number("infeasible", float(expected.infeasible))
        lever = math.sqrt(v**2 + (robot.vcp_offset * omega) ** 2)
        self._number("margin/arc", 0.5 * scene.dt**2 * abs(omega) * lever)

    def _states(self, prefix: str, state: State) -> None:
        for name, value in zip(_PARTS, state, strict=True):
            key = f"{prefix}_{name}"
            logged = self._cycle.logged.get(key, math.nan)
            self._number(key, logged - wrapped(logged - value) if name == "theta" else value)

    def _age(self, key: str, stamp_ns: int) -> float:
        """The logged age [s] of an input: by receipt, which the bag does not know, it may be more than by stamp."""
        by_stamp = max(self._cycle.stamp_ns - stamp_ns, 0) / 1e9
        logged = self._cycle.logged.get(key, math.nan) / 1e3
        if not by_stamp - TOLERANCE <= logged <= by_stamp + _FUTURE + TOLERANCE:
            self._find(key, repr(1e3 * logged), f"{1e3 * by_stamp!r} or little more")
            return by_stamp
        return logged

    def _number(self, key: str, expected: float, tolerance: float = TOLERANCE) -> None:
        """Compare with what was logged; relative where the value is larger than one."""
        logged = self._cycle.logged.get(key, math.nan)
        difference = abs(logged - expected) / max(1.0, abs(expected))
        if not difference <= tolerance:
            self._find(key, repr(logged), repr(expected))
        if math.isfinite(difference):
            self._verdict.differences[key] = difference

    def _find(self, quantity: str, logged: str, expected: str) -> None:
        self._verdict.findings.append(
            Finding(self._trace.episode, self._trace.role, self._cycle.step, quantity, logged, expected)
        )

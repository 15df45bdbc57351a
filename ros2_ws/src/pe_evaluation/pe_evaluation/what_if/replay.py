"""A recorded run with another safety mechanism, cycle by cycle, open loop."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pe_core.config import ConfigurationError, from_mapping
from pe_core.paths import bundle_kind
from pe_core.robot import RobotModel
from pe_evaluation.audit.trace import Cycle
from pe_evaluation.bag import Episode, Run, RunReader
from pe_evaluation.metrics import ROLES, TIERS
from pe_evaluation.what_if.cycles import cycles_of, other_log
from pe_evaluation.what_if.mechanism import Answer, Mechanism
from pe_evaluation.what_if.program import Program
from pe_safety.filter import INTERVENTION
from pe_safety.parameters import BARRIER_NET, SafetyParameters, load_safety

Array = NDArray[np.float64]
UNKNOWN = "unknown"
"""The name of a recorded mechanism that the bag does not say."""


@dataclasses.dataclass(frozen=True, eq=False)
class Steps:
    """The compared cycles of one robot in one episode: n rows.

    Attributes:
        step: control steps of the episode; time [s] from its start.
        nominal, recorded, other, again: (n, 2) (v, omega) [m/s, rad/s]: what was asked, what was sent, what the other
            mechanism commands, and what the recorded one commands when it is computed again (NaN where unknown).
        recorded_tier, other_tier: indices of TIERS, -1 where unknown.
        recorded_intervened, other_intervened: 1, 0, or NaN where unknown.
        recorded_excess: by how much the recorded command exceeds the other mechanism's rows [m/s]; negative: it meets
            them.  other_excess: the reverse, NaN where the recorded mechanism is unknown.
        skipped: cycles that could not be compared, by reason.
    """

    episode: int
    role: str
    robot: RobotModel
    step: NDArray[np.int64]
    time: Array
    nominal: Array
    recorded: Array
    other: Array
    again: Array
    recorded_tier: NDArray[np.int64]
    other_tier: NDArray[np.int64]
    recorded_intervened: Array
    other_intervened: Array
    recorded_excess: Array
    other_excess: Array
    skipped: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.step)


@dataclasses.dataclass(frozen=True)
class Recorded:
    """What the manifest says of the mechanism that was recorded; ``parameters`` None where it does not."""

    name: str
    parameters: SafetyParameters | None


def recorded_mechanism(run: Run) -> Recorded:
    """The mechanism that a run was recorded with, from its manifest."""
    arguments, given = run.manifest.get("arguments"), run.manifest.get("safety")
    name = str(arguments.get("safety", UNKNOWN)) if isinstance(arguments, Mapping) else UNKNOWN
    try:
        if isinstance(given, Mapping):
            return Recorded(name, from_mapping(SafetyParameters, dict(given), "manifest: safety"))
    except ConfigurationError:
        return Recorded(name, None)
    return Recorded(name, None)


class WhatIf:
    """What ``mechanism`` would have commanded; iterate to get the steps of every robot in every episode.

    Attributes:
        recorded: the mechanism that ran; known once the first steps were given.
        programs: the roles whose commands BarrierNet's program is put on.
        remarks: what could not be done as usual, each once.
    """

    def __init__(
        self,
        bag: Path | str,
        mechanism: str,
        roles: Sequence[str] = ROLES,
        sample: int = 1,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """Open ``bag``; take every ``sample``-th cycle; ``progress`` is told of every episode done.

        Raises:
            ConfigurationError: the mechanism is unknown, or learns from every cycle and is to see only some.
            BagError: there is no bag.
        """
        self.mechanism, self._parameters = mechanism, load_safety(mechanism)
        self._roles, self._sample, self._progress = tuple(roles), sample, progress
        self._reader = RunReader(bag)
        self.recorded = Recorded(UNKNOWN, None)
        self.programs: dict[str, bool] = {}
        self.remarks: list[str] = []
        self._asked: dict[str, Mechanism] = {}
        self._again: dict[str, Mechanism] = {}

    @property
    def head(self) -> Run:
        """The run without its streams; whole when all steps were given."""
        return self._reader.head

    def __iter__(self) -> Iterator[Steps]:
        """Raises BagError where the bag cannot be read."""
        for count, part in enumerate(self._reader.parts(), start=1):
            for episode in part.episodes:
                if not self._asked:
                    self._begin(part, episode)
                for role in self._roles:
                    yield self._steps(part, episode, role)
            if self._progress is not None:
                self._progress(count)
        self.remarks += [line for line in self.head.warnings if line not in self.remarks]

    def _remark(self, line: str) -> None:
        if line not in self.remarks:
            self.remarks.append(line)

    def _begin(self, run: Run, episode: Episode) -> None:
        self.recorded = recorded_mechanism(run)
        if self.recorded.parameters is None:
            self._remark(
                "the manifest does not say which filter ran: its rows are unknown, and it is not computed again"
            )
        for role in self._roles:
            robots = run.robots[role].model, other_log(run, role).model
            self._asked[role] = Mechanism(self.mechanism, self._parameters, *robots, episode.dt)
            known = self.recorded.parameters
            if known is not None:
                self._again[role] = Mechanism(self.recorded.name, known, *robots, episode.dt)
            self.programs[role] = self._needs_program(run, role)
        learning = [m for m in (*self._asked.values(), *self._again.values()) if m.learns]
        if learning and self._sample > 1:
            raise ConfigurationError(
                f"sample = {self._sample}: allowed: 1, for '{learning[0].name}' learns from every cycle"
            )

    def _needs_program(self, run: Run, role: str) -> bool:
        if BARRIER_NET != self.mechanism or self.recorded.name == BARRIER_NET:
            return False
        bundles = run.manifest.get("bundles")
        bundle = bundles.get(role) if isinstance(bundles, Mapping) else None
        name = str(bundle.get("name")) if isinstance(bundle, Mapping) else ""
        try:
            return bundle_kind(name) != BARRIER_NET
        except (ConfigurationError, OSError, ValueError):
            self._remark(f"the {role}'s policy {name!r} is not here: it is taken for one without a BarrierNet head")
            return True

    def _steps(self, run: Run, episode: Episode, role: str) -> Steps:
        asked, again = self._asked[role], self._again.get(role)
        known = [asked.parameters] if again is None else [asked.parameters, again.parameters]
        found = cycles_of(run, episode, role, known, self._sample)
        for line in found.remarks:
            self._remark(line)
        cycles = found.cycles
        nominal = np.array([cycle.nominal for cycle in cycles]).reshape(-1, 2)
        given = nominal
        if self.programs[role] and len(cycles):
            own, rival = run.robots[role].model, other_log(run, role).model
            given = Program(self._parameters, own, rival, episode.dt).commands(cycles, episode, nominal)
        rows = [
            _compare(cycle, (float(v), float(omega)), asked, again, episode)
            for cycle, (v, omega) in zip(cycles, given, strict=True)
        ]
        table = np.array(rows, dtype=np.float64).reshape(-1, 12)
        model = run.robots[role].model
        intervened = _interventions(nominal, table[:, 2:4], table[:, 7] > 0.5, model)
        return Steps(
            episode.index,
            role,
            model,
            np.array([cycle.step for cycle in cycles], dtype=np.int64),
            np.array([(cycle.stamp_ns - episode.start_ns) * 1e-9 for cycle in cycles]),
            nominal,
            table[:, 0:2],
            table[:, 2:4],
            table[:, 4:6],
            table[:, 6].astype(np.int64),
            table[:, 7].astype(np.int64),
            table[:, 8],
            intervened if self.programs[role] else table[:, 9],
            table[:, 10],
            table[:, 11],
            found.skipped,
        )


def _interventions(nominal: Array, command: Array, not_exact: NDArray[np.bool_], robot: RobotModel) -> Array:
    """As the filter counts them, of a command that went through more than the filter."""
    size = np.hypot(*((command - nominal) / [robot.v_max, robot.omega_max]).T)
    return np.asarray((size > INTERVENTION) | not_exact, dtype=np.float64)


def _compare(
    cycle: Cycle, given: tuple[float, float], asked: Mechanism, again: Mechanism | None, episode: Episode
) -> tuple[float, ...]:
    """One row: recorded, other and repeated command; tiers; interventions; excesses."""
    assert cycle.sent is not None and cycle.nominal is not None
    other = asked.answer(cycle, given, episode.arena)
    same: Answer | None = None if again is None else again.answer(cycle, cycle.nominal, episode.arena)
    nan = float("nan")
    return (
        *cycle.sent,
        *other.command,
        *((nan, nan) if same is None else same.command),
        TIERS.index(cycle.tier) if cycle.tier in TIERS else -1,
        other.tier,
        cycle.logged.get("intervened", nan),
        float(other.intervened),
        other.excess(cycle.sent),
        nan if same is None else same.excess(other.command),
    )

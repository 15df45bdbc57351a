"""The cycles of a bag: which messages each command stood on, as the safety node says, or else by their times."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from pe_evaluation.audit.motion import deviations, felt
from pe_evaluation.audit.trace import Cycle, Estimate, trace_of
from pe_evaluation.bag import Episode, RobotLog, Run, Stream
from pe_evaluation.metrics import ROLES
from pe_safety.parameters import SafetyParameters

OLDEST_NS = 500_000_000
"""No state older than this is taken for the one that a command stood on."""


@dataclasses.dataclass(frozen=True)
class Cycles:
    """Cycles of one robot in one episode, in order.

    Attributes:
        cycles: those whose inputs are all there; a command that was not recorded on cmd_vel is the one of the status.
        skipped: the others, by reason.
        remarks: how they were found, where not as usual.
    """

    cycles: Sequence[Cycle]
    skipped: Counter[str]
    remarks: Sequence[str]


def cycles_of(
    run: Run, episode: Episode, role: str, parameters: Sequence[SafetyParameters], sample: int = 1
) -> Cycles:
    """The cycles of ``role`` in ``run``, the part of a bag that belongs to ``episode``; every ``sample``-th of them.

    ``parameters``: of the mechanisms that will be asked; they say for how long an older command is felt.
    """
    log, remarks = run.robots[role], []
    longest = max(parameters, key=lambda known: felt(log.model, known))
    if not len(log.status):
        remarks.append(
            f"/{role}/safety/status: no messages: the states that each command stood on are the newest before it"
        )
        found, skipped = _by_time(run, episode, role, felt(log.model, longest), sample)
        return Cycles(found, skipped, remarks)
    if not len(log.heard["command"]):
        remarks.append(f"/{role}/cmd_vel: no messages: the commands are those of /{role}/safety/status")
        run = _with_commands_of_status(run, role)
    trace = trace_of(run, episode, role, longest, sample, stamped_commands(run))
    usable: list[Cycle] = []
    skipped = Counter({"the filter did not run": trace.stopped} if trace.stopped else {})
    for cycle in trace.cycles:
        logged = (cycle.logged.get("command_v", math.nan), cycle.logged.get("command_omega", math.nan))
        said = logged if all(map(math.isfinite, logged)) else None
        reason = _missing(cycle, cycle.sent or said)
        if reason:
            skipped[reason] += 1
        else:
            usable.append(dataclasses.replace(cycle, sent=cycle.sent or said))
    return Cycles(usable, skipped, remarks)


def stamped_commands(run: Run) -> bool:
    """Whether commands carry stamps of their own; the manifest says where they do not."""
    arguments = run.manifest.get("arguments")
    return not (isinstance(arguments, dict) and arguments.get("stamped_cmd_vel") is False)


def _missing(cycle: Cycle, command: tuple[float, float] | None) -> str:
    for name, value in (
        ("own state", cycle.own), ("opponent's state", cycle.opponent), ("nominal command", cycle.nominal),
        ("command", command),
    ):  # fmt: skip
        if value is None:
            return f"its {name} is missing"
    return cycle.gap


def _with_commands_of_status(run: Run, role: str) -> Run:
    log = run.robots[role]
    order = np.argsort(log.status.log_ns, kind="stable")
    status = log.status.rows(order)
    said = Stream(status.stamp_ns, status.log_ns, status.columns("command_v", "command_omega"))
    heard = {**log.heard, "command": said.rows(np.flatnonzero(np.isfinite(said.values).all(axis=1)))}
    return dataclasses.replace(run, robots={**run.robots, role: dataclasses.replace(log, heard=heard)})


def _by_time(
    run: Run, episode: Episode, role: str, felt_s: float, sample: int
) -> tuple[list[Cycle], Counter[str]]:
    """A cycle for each nominal command: the newest states stamped up to it, and the first command stamped from then
    on within a period.  What a safety node refused, or held back, cannot be told."""
    log = run.robots[role]
    half = round(0.49e9 * episode.dt)
    nominal = log.heard["nominal"].window(*episode.cycle_window())
    own, opponent = _ordered(log.heard["state"]), _ordered(log.heard["opponent_state"])
    commands = _ordered(log.heard["command"])
    skipped: Counter[str] = Counter()
    found: list[Cycle] = []
    for row in range(0, len(nominal), sample):
        stamp = int(nominal.stamp_ns[row])
        at = int(np.searchsorted(commands.stamp_ns, stamp))
        sent = at < len(commands) and int(commands.stamp_ns[at]) - stamp <= half
        first = int(
            np.searchsorted(commands.stamp_ns, stamp - round((felt_s + 4.0 * episode.dt) * 1e9)) - 1
        )
        cycle = Cycle(
            step=round((stamp - episode.start_ns) * 1e-9 / episode.dt),
            stamp_ns=int(commands.stamp_ns[at]) if sent else stamp,
            tier="",
            reason="",
            logged={},
            own=_newest(own, stamp),
            opponent=_newest(opponent, stamp),
            nominal=_pair(nominal, row),
            sent=_pair(commands, at) if sent else None,
            before=[
                (int(commands.stamp_ns[k]), *_pair(commands, k)) for k in range(max(first, 0), at)
            ],
            gap="",
        )
        reason = _missing(cycle, cycle.sent)
        if reason:
            skipped[reason] += 1
        else:
            found.append(cycle)
    return found, skipped


def _ordered(stream: Stream) -> Stream:
    """By stamp; the first received message of each."""
    _, first = np.unique(stream.stamp_ns, return_index=True)
    return stream.rows(first)


def _pair(stream: Stream, row: int) -> tuple[float, float]:
    return float(stream.values[row, 0]), float(stream.values[row, 1])


def _newest(states: Stream, stamp: int) -> Estimate | None:
    at = int(np.searchsorted(states.stamp_ns, stamp, side="right")) - 1
    if at < 0 or stamp - int(states.stamp_ns[at]) > OLDEST_NS:
        return None
    x, y, theta, v, omega, *covariance = (float(value) for value in states.values[at])
    if not all(map(math.isfinite, (x, y, theta, v, omega))):
        return None
    return Estimate(int(states.stamp_ns[at]), (x, y, theta, v, omega), deviations(*covariance))


def other_log(run: Run, role: str) -> RobotLog:
    """The robot that ``role`` plays against."""
    return run.robots[ROLES[1 - ROLES.index(role)]]

"""What a bag says of every cycle of one safety node: what it heard and had sent before, what it logged and sent."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from pe_core.robot import RobotModel
from pe_evaluation.audit.motion import Pair, State, deviations, felt
from pe_evaluation.bag import Episode, RobotLog, Run, Status, Stream
from pe_evaluation.metrics import ROLES
from pe_safety.parameters import SafetyParameters

STEP, TURN = "command_v", "command_omega"
_JOINED = "joined a running episode"
_APART_NS = 500_000_000
"""Command and status of a cycle are received within this wall time of one another."""
Sent = tuple[int, float, float]


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A state message: stamp [ns], (x, y, theta, v, omega), standard deviations of position and heading [m, rad]."""

    stamp_ns: int
    state: State
    deviations: Pair


@dataclasses.dataclass(frozen=True)
class Cycle:
    """One cycle in which the filter ran; what is None was not recorded.

    Attributes:
        step: of the control steps of its episode, the one that it is nearest to.
        logged: every number of the status, by key; tier, reason likewise.
        own, opponent, nominal: the messages whose stamps the status names.
        sent: what was published with its stamp; before: what had been published, in order.
        gap: why ``before`` is not known to be whole, or nothing.
    """

    step: int
    stamp_ns: int
    tier: str
    reason: str
    logged: Mapping[str, float]
    own: Estimate | None
    opponent: Estimate | None
    nominal: Pair | None
    sent: Pair | None
    before: Sequence[Sent]
    gap: str


@dataclasses.dataclass(frozen=True)
class Trace:
    """One robot in one episode.

    Attributes:
        obstacles: (x, y, radius) each; dt [s].
        cycles: those to be computed again; active: how many there are.
        stopped: cycles in which the filter did not run; moving: those of them (step, v, omega) that did not send zero.
        stray: non-zero commands (step, v, omega) that no cycle accounts for; cut: commands after the last status.
        altered: commands on cmd_vel (step, logged, sent) of stopped cycles that are not what was logged.
    """

    episode: int
    role: str
    robot: RobotModel
    rival: RobotModel
    parameters: SafetyParameters
    half_side: float
    obstacles: Sequence[tuple[float, float, float]]
    dt: float
    cycles: Sequence[Cycle]
    active: int
    stopped: int
    moving: Sequence[tuple[int, float, float]]
    stray: Sequence[tuple[int, float, float]]
    cut: int


def trace_of(
    run: Run, episode: Episode, role: str, parameters: SafetyParameters, sample: int = 1, stamped: bool = True
) -> Trace:
    """What ``run``, the part of a bag that belongs to ``episode``, says of one robot; every ``sample``-th cycle."""
    log, rival = run.robots[role], run.robots[ROLES[1 - ROLES.index(role)]]
    status = log.status.rows(np.argsort(log.status.log_ns, kind="stable"))
    commands = _commands(log, status, stamped)
    tables = {name: _by_stamp(log.heard[name]) for name in ("state", "opponent_state", "nominal")}
    published: dict[int, list[int]] = {}
    for position, (stamp, _, _) in enumerate(commands):
        published.setdefault(stamp, []).append(position)
    logged = status.columns(STEP, TURN)
    said = {(int(stamp), float(v), float(w)) for stamp, (v, w) in zip(status.stamp_ns, logged, strict=True)}
    keys = list(status.values)
    table = status.columns(*keys) if keys else np.empty((len(status), 0))
    names = list(status.barriers)
    barriers = np.column_stack([status.barriers[n] for n in names]) if names else np.empty((len(status), 0))
    missing: list[int] = []
    cycles: list[Cycle] = []
    moving: list[tuple[int, float, float]] = []
    forgotten, active = -1, 0

    def step_of(stamp: int) -> int:
        return round((stamp - episode.start_ns) * 1e-9 / episode.dt)

    for i in range(len(status)):
        stamp = int(status.stamp_ns[i])
        places = published.get(stamp, [])
        if status.mode[i] != "active" or not math.isfinite(
            table[i, keys.index("correction")] if keys else math.nan
        ):
            if status.reason[i].startswith(_JOINED):
                forgotten = stamp
            sent_here = [commands[p][1:] for p in places]
            if any(logged[i]) or (places and (0.0, 0.0) not in sent_here):
                moving.append(
                    (
                        step_of(stamp),
                        *(sent_here[0] if places else (float(logged[i, 0]), float(logged[i, 1]))),
                    )
                )
            continue
        active += 1
        own = (float(logged[i, 0]), float(logged[i, 1]))
        match = next((p for p in places if commands[p][1:] == own), places[0] if places else None)
        if match is None:
            missing.append(stamp)
        if (active - 1) % sample:
            continue
        oldest = stamp - round((felt(log.model, parameters) + 4.0 * episode.dt) * 1e9)
        before = _before(commands, len(commands) if match is None else match, stamp, oldest, forgotten)
        lost = any(oldest <= earlier < stamp for earlier in missing)
        cycles.append(
            Cycle(
                step=step_of(stamp),
                stamp_ns=stamp,
                tier=_tier(status, i),
                reason=status.reason[i],
                logged={
                    **{key: float(value) for key, value in zip(keys, table[i], strict=True)},
                    **{f"h/{name}": float(value) for name, value in zip(names, barriers[i], strict=True)},
                },
                own=_estimate(tables["state"], status, "state_stamp_ns", i),
                opponent=_estimate(tables["opponent_state"], status, "opponent_stamp_ns", i),
                nominal=_nominal(tables["nominal"], status, i),
                sent=None if match is None else (commands[match][1], commands[match][2]),
                before=before,
                gap="a command before it is missing" if lost else "",
            )
        )
    last = int(status.log_ns.max(initial=0))
    stray, cut = [], 0
    for (stamp, v, omega), log_ns in zip(commands, log.heard["command"].log_ns, strict=True):
        if (v, omega) != (0.0, 0.0) and (stamp, v, omega) not in said:
            if log_ns > last and not cut:
                cut += 1
            elif not published_by_cycle(stamp, status):
                stray.append((step_of(stamp), v, omega))
    return Trace(
        episode.index, role, log.model, rival.model, parameters, episode.arena.half_side,
        [(float(x), float(y), float(r)) for x, y, r in episode.arena.obstacles], episode.dt, cycles, active,
        len(status) - active, moving, stray, cut,
    )  # fmt: skip


def published_by_cycle(stamp: int, status: Status) -> bool:
    """Whether a cycle has this stamp; that the command is another one is then found with the cycle."""
    return bool((status.stamp_ns == stamp).any())


def _tier(status: Status, row: int) -> str:
    return ("exact", "relaxed", "backup", "stop")[int(status.tier[row])]


def _commands(log: RobotLog, status: Status, stamped: bool) -> list[Sent]:
    """The published commands in order; without stamps of their own they get those of the cycles they belong to."""
    heard = log.heard["command"]
    found = [
        (int(stamp), float(v), float(w))
        for stamp, (v, w) in zip(heard.stamp_ns, heard.values.reshape(-1, 2), strict=True)
    ]
    if stamped:
        return found
    cycle, logged = 0, status.columns(STEP, TURN)
    for position, (_, v, w) in enumerate(found):
        received = int(heard.log_ns[position])
        ahead = cycle
        while ahead < len(status) and status.log_ns[ahead] < received + _APART_NS:
            if status.log_ns[ahead] > received - _APART_NS and tuple(logged[ahead]) == (v, w):
                break
            ahead += 1
        else:
            # A command that was repeated belongs to the same cycle again; any other to none.
            repeated = position > 0 and found[position - 1][1:] == (v, w)
            found[position] = (found[position - 1][0] if repeated else -1, v, w)
            continue
        found[position], cycle = (int(status.stamp_ns[ahead]), v, w), ahead + 1
    return found


def _by_stamp(stream: Stream) -> dict[int, tuple[float, ...]]:
    """The first received message of each stamp: it is the one that counts."""
    table: dict[int, tuple[float, ...]] = {}
    for stamp, values in zip(stream.stamp_ns.tolist(), stream.values.tolist(), strict=True):
        table.setdefault(stamp, tuple(values))
    return table


def _named(status: Status, key: str, row: int) -> int:
    stamps = status.stamps.get(key)
    return -1 if stamps is None else int(stamps[row])


def _estimate(table: Mapping[int, tuple[float, ...]], status: Status, key: str, row: int) -> Estimate | None:
    stamp = _named(status, key, row)
    values = table.get(stamp)
    if values is None or not all(map(math.isfinite, values)):
        return None
    x, y, theta, v, omega, *covariance = values
    return Estimate(stamp, (x, y, theta, v, omega), deviations(*covariance))


def _nominal(table: Mapping[int, tuple[float, ...]], status: Status, row: int) -> Pair | None:
    values = table.get(_named(status, "nominal_stamp_ns", row))
    return None if values is None else (values[0], values[1])


def _before(commands: Sequence[Sent], end: int, stamp: int, oldest: int, forgotten: int) -> list[Sent]:
    """The commands before position ``end`` that may still act; one older than all of these says what was before."""
    found: list[Sent] = []
    for position in range(end - 1, -1, -1):
        command = commands[position]
        if not max(forgotten, 0) <= command[0] < stamp:
            continue
        found.append(command)
        if command[0] < oldest:
            break
    return found[::-1]

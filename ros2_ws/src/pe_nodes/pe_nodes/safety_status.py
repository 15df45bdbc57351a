"""The safety node's account of one cycle as diagnostic_msgs/DiagnosticArray; floats round-trip exactly."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from pe_nodes import inputs
from pe_nodes.messages import set_stamp
from pe_nodes.safety_inputs import Mode, SafetyInputs
from pe_safety.filter import FilterResult

TIERS = ("exact", "relaxed", "backup")
STOP = "stop"
WARNING = "a state without a feasible program is near"
_COMPONENTS = ("x", "y", "theta", "v", "omega")


def _unseen() -> None:
    return None


@dataclasses.dataclass(frozen=True, slots=True)
class Cycle:
    """What the filter was given in one cycle, and what it gave; all None where it did not run.

    ``look`` gives the warning margin H_1 of that cycle, None where nobody looks.
    """

    nominal: Sequence[float] | None = None
    own: Any = None
    opponent: Any = None
    result: FilterResult | None = None
    look: Callable[[], float | None] = _unseen


UNFILTERED = Cycle()


class SafetyStatus:
    """Builds the message; key-value objects are made once and reused, cycle after cycle."""

    def __init__(self, name: str, namespace: str) -> None:
        self._status = DiagnosticStatus(name=name, hardware_id=namespace)
        self._message = DiagnosticArray(status=[self._status])
        self._pairs: dict[str, KeyValue] = {}

    def fill(
        self,
        stamp_ns: int,
        mode: Mode,
        reason: str,
        episode: int,
        sources: SafetyInputs,
        command: tuple[float, float],
        cycle: Cycle,
        margin: float | None = None,
    ) -> DiagnosticArray:
        """The message for one cycle; ``margin``: H_1 of the learned boundary, None where nobody looked."""
        values: list[KeyValue] = []
        nominal, result = cycle.nominal, cycle.result
        put = self._put
        tier = STOP if result is None else TIERS[result.tier]
        reason = reason or ("" if result is None else result.reason)
        put(values, "mode", str(mode))
        put(values, "tier", tier)
        put(values, "reason", reason)
        put(values, "episode", str(episode))
        if sources.unarmed:
            put(values, "armed", "0")
        put(values, "intervened", "1" if result is not None and result.intervened else "0")
        if nominal is not None:
            put(values, "nominal_v", repr(float(nominal[0])))
            put(values, "nominal_omega", repr(float(nominal[1])))
        put(values, "command_v", repr(float(command[0])))
        put(values, "command_omega", repr(float(command[1])))
        if result is not None:
            put(values, "infeasible", "1" if result.infeasible else "0")
            put(values, "correction", repr(result.correction))
            put(values, "slack", repr(float(result.slack)))
            put(values, "solve_time_us", repr(1e6 * result.solve_time))
            if margin is not None:
                put(values, "feasibility", repr(margin))
            for name, value in result.barriers.items():
                put(values, "h/" + name, repr(value))
                put(values, "m/" + name, repr(result.barrier_margins[name]))
            for name, value in result.margins.items():
                put(values, "margin/" + name, repr(value))
        for prefix, state in (("state_", cycle.own), ("opponent_", cycle.opponent)):
            if state is not None:
                for name, value in zip(_COMPONENTS, state, strict=True):
                    put(values, prefix + name, repr(float(value)))
        for prefix, source in (("state", sources.own), ("opponent", sources.opponent), ("nominal", sources.nominal)):
            if source.values is not None:
                put(values, prefix + "_stamp_ns", str(source.stamp_ns))
                put(values, prefix + "_age_ms", repr(1e3 * source.age(stamp_ns)))
        status = self._status
        status.values = values
        warned = margin is not None and margin < 0.0
        status.level = level_of(mode, tier, warned)
        if warned and not reason:
            reason = WARNING
        status.message = f"{mode}: {reason}" if reason else str(mode)
        set_stamp(self._message.header.stamp, stamp_ns)
        return self._message

    def _put(self, values: list[KeyValue], key: str, value: str) -> None:
        pair = self._pairs.get(key)
        if pair is None:
            pair = self._pairs[key] = KeyValue(key=key)
        pair.value = value
        values.append(pair)


class Counts:
    """What happened in the node's cycles since its start."""

    def __init__(self) -> None:
        self.values = {"interventions": 0, "relaxed": 0, "backup": 0, "warned": 0, "guarded_by_wall_clock": 0}

    def guarded(self) -> None:
        """Zeros went out because ROS time stood still."""
        self.values["guarded_by_wall_clock"] += 1

    def add(self, result: FilterResult, margin: float | None) -> None:
        """One cycle of the filter, and the warning margin H_1 beside it."""
        self.values["interventions"] += result.intervened
        self.values["relaxed"] += result.tier == 1
        self.values["backup"] += result.tier == 2
        self.values["warned"] += margin is not None and margin < 0.0

    def texts(self) -> dict[str, str]:
        """For the heartbeat."""
        return {key: str(count) for key, count in self.values.items()}


def level_of(mode: Mode, tier: str, warned: bool = False) -> bytes:
    """OK, WARN while a row is relaxed, the backup drives or that is expected, ERROR while stopped or in fault."""
    if mode in (Mode.STOPPED, Mode.FAULT):
        return bytes(DiagnosticStatus.ERROR)
    if mode is Mode.ACTIVE and (warned or tier != TIERS[0]):
        return bytes(DiagnosticStatus.WARN)
    return bytes(DiagnosticStatus.OK)


def account(sources: SafetyInputs, now_ns: int) -> dict[str, str]:
    """Ages and rejections of every input, for the heartbeat at ROS time ``now_ns`` [ns]."""
    values: dict[str, str] = {}
    for source in sources.all:
        values[f"{source.name} age_s"] = f"{source.age(now_ns):.3f}"
        values |= {f"{source.name}: {reason}": str(count) for reason, count in source.rejected.items()}
    return values


def judge(mode: Mode, reason: str, type_error: str, sources: SafetyInputs) -> tuple[bytes, str]:
    """Level and message of the heartbeat."""
    if type_error or mode is Mode.FAULT or sources.fault:
        return bytes(DiagnosticStatus.ERROR), type_error or f"fault: {sources.fault}"
    if mode is Mode.STOPPED:
        return bytes(DiagnosticStatus.ERROR), f"stopped: {reason}"
    if bad := sum(source.rejected.get(inputs.NOT_FINITE, 0) for source in sources.all):
        return bytes(DiagnosticStatus.WARN), f"{bad} inputs were not finite"
    return bytes(DiagnosticStatus.OK), str(mode)

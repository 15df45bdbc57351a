"""Where faults stand in the graph: topics that pass through the injector, and who hears them there; pure.

Publishers keep their topics, so that the bag holds what was said; subscribers are led to ``<robot>/faulted/<topic>``.
cmd_vel passes no injector: only the safety node publishes it.
"""

from __future__ import annotations

import dataclasses

from pe_core.config import ConfigurationError
from pe_nodes.faults import MESSAGE_KINDS, ClockError, Drop, Fault, Kill, Network, Plan
from pe_nodes.launch_arguments import LaunchArguments
from pe_nodes.settings import ROLES

ODOMETRY = "nav_msgs/msg/Odometry"
POSE = "geometry_msgs/msg/PoseWithCovarianceStamped"
COMMAND = "geometry_msgs/msg/TwistStamped"
KIND_OF = {
    "odom": ODOMETRY,
    "pose": POSE,
    "state": ODOMETRY,
    "opponent_state": ODOMETRY,
    "cmd_vel_nominal": COMMAND,
}
SENSORS = ("odom", "pose")
HEARD_BY = {
    "state_estimator": SENSORS,
    "policy": ("state", "opponent_state"),
    "safety": ("cmd_vel_nominal", "state", "opponent_state"),
}
CLOCK = "/clock"
EVENTS = "/faults"


@dataclasses.dataclass(frozen=True)
class Relay:
    """A topic that passes through the injector; ``target`` as faults name it."""

    target: str
    source: str
    output: str
    kind: str
    reliability: str


def _other(role: str) -> str:
    return ROLES[1 - ROLES.index(role)]


def message_faults(plan: Plan, target: str) -> list[Fault]:
    """The faults that act on the messages of a topic; a lost network drops what robots tell each other."""
    found: list[Fault] = []
    for fault in plan.faults:
        if isinstance(fault, MESSAGE_KINDS) and fault.target == target:
            found.append(fault)
        elif isinstance(fault, Network) and target.endswith("/opponent_state"):
            found.append(Drop(target=target, at=fault.at, duration=fault.duration, episode=fault.episode))
        elif isinstance(fault, ClockError) and fault.target in ROLES and target in _sensors(fault.target):
            found.append(fault)
    return found


def _sensors(role: str) -> tuple[str, ...]:
    return tuple(f"{role}/{name}" for name in SENSORS)


def relays(plan: Plan, poses: bool) -> list[Relay]:
    """Every topic that faults act on; ``poses``: whether the run has absolute poses."""
    found = []
    disturbed = {
        f"{role}/{name}" for role in ROLES for name in KIND_OF if message_faults(plan, f"{role}/{name}")
    }
    for target in sorted(disturbed):
        role, name = target.split("/")
        if name == "pose" and not poses:
            continue
        source = f"/{target}"
        if name == "opponent_state":
            other = f"{_other(role)}/state"
            source = faulted(other) if other in disturbed else f"/{other}"
        reliability = "best_effort" if name in SENSORS else "reliable"
        found.append(Relay(target, source, faulted(target), KIND_OF[name], reliability))
    return found


def faulted(target: str) -> str:
    """Where a disturbed topic is heard."""
    role, name = target.split("/")
    return f"/{role}/faulted/{name}"


def clocks(plan: Plan) -> dict[str, str]:
    """The topics of wrong clocks by target (a robot or one node)."""
    return {fault.target: f"/{fault.target}/faulted/clock" for fault in plan.of(ClockError)}


def remappings(plan: Plan, role: str, node: str, relayed: list[Relay]) -> dict[str, str]:
    """What one node of a robot must hear elsewhere."""
    outputs = {relay.target: relay.output for relay in relayed}
    found = {}
    for name in HEARD_BY.get(node, ()):
        if (output := outputs.get(f"{role}/{name}")) is not None:
            found[name] = output
        elif name == "opponent_state" and (output := outputs.get(f"{_other(role)}/state")) is not None:
            found[name] = output
    wrong = clocks(plan)
    clock = wrong.get(f"{role}/{node}") or wrong.get(role)
    return found | ({CLOCK: clock} if clock else {})


def restarts(plan: Plan) -> set[str]:
    """Nodes that are started again after they were killed."""
    return {fault.target for fault in plan.of(Kill) if fault.restart}  # type: ignore[attr-defined]


def check_plan(plan: Plan, arguments: LaunchArguments) -> None:
    """Whether a run can have these faults.

    Raises:
        ConfigurationError: the run has no such topic or node, or time does not pass by itself.
    """
    if plan.faults and arguments.rate == 0.0:
        raise ConfigurationError(
            "rate = 0: with faults time must pass by itself (in lockstep the simulator waits for whatever is late); "
            "allowed: rate in (0, 100]"
        )
    for fault in plan.faults:
        if fault.target.endswith("/pose") and arguments.noise == "none":
            raise ConfigurationError(
                f"faults: {fault.kind}: target = {fault.target!r}: a run without noise has no absolute pose; "
                "allowed: this target with noise:=turtlebot3"
            )
        if fault.target.endswith("/watchdog") and not arguments.watchdog:
            raise ConfigurationError(
                f"faults: {fault.kind}: target = {fault.target!r}: the run has none; allowed: with watchdog:=true"
            )
        if fault.target == "evaluation_recorder" and not arguments.record:
            raise ConfigurationError(
                f"faults: {fault.kind}: target = {fault.target!r}: nothing is recorded; allowed: with record:=true"
            )
    targets = [fault.target for fault in plan.of(ClockError)]
    for role in ROLES:
        inner = [target for target in targets if target.startswith(f"{role}/")]
        if role in targets and inner:
            raise ConfigurationError(
                f"faults: clock: targets {role!r} and {inner[0]!r}: a node has one clock; allowed: one of them"
            )

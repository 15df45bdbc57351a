"""The nodes of a run as plain records, from the arguments of a launch; pure.

``launch/pursuit.launch.py`` turns the records into launch_ros actions, ``process_launch`` into processes.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from pe_core.arena import arena_of, load_arena
from pe_core.bundle import load_bundle
from pe_core.paths import boundary_path, share_directory
from pe_core.robot import RobotModel, load_robot
from pe_core.rules import check_game
from pe_core.scenario import load_scenario, sample_layout
from pe_nodes import fault_wiring
from pe_nodes.arena_game import usual_deviations
from pe_nodes.child_environment import FASTDDS_PROFILES
from pe_nodes.devices import make_device
from pe_nodes.fault_wiring import EVENTS, Relay
from pe_nodes.faults import Plan, load_plan
from pe_nodes.heartbeats import RECORDER
from pe_nodes.launch_arguments import SIM, LaunchArguments
from pe_nodes.manifest import manifest
from pe_nodes.robot_models import scaled
from pe_nodes.settings import DRIVER_TOPIC, ROLES
from pe_safety.budget import usual_margin
from pe_safety.feasibility.model import load_feasibility
from pe_safety.parameters import load_safety

ODOMETRY = "nav_msgs/msg/Odometry"
POSE = "geometry_msgs/msg/PoseWithCovarianceStamped"
STATUS = "diagnostic_msgs/msg/DiagnosticArray"
INJECTOR = "fault_injector"
RESPAWN_DELAY = 0.2
# In lockstep the simulator waits, so a slow machine must not look like a dead node.
LOCKSTEP_GUARD = 3.0
LOCKSTEP_ANSWER = 8.0
WATCHDOG_TIMEOUT, WATCHDOG_TIMEOUT_MOST = 0.2, 5.0


@dataclasses.dataclass(frozen=True)
class NodeRecord:
    """One process of a run; ``remappings`` and ``parameters`` as a launch file would give them.

    ``respawn``: it is started again, ``RESPAWN_DELAY`` [s] after it has ended.
    """

    package: str
    executable: str
    name: str
    namespace: str
    parameters: dict[str, Any] = dataclasses.field(default_factory=dict)
    remappings: dict[str, str] = dataclasses.field(default_factory=dict)
    respawn: bool = False

    @property
    def full_name(self) -> str:
        """Fully-qualified node name."""
        return f"{self.namespace.rstrip('/')}/{self.name}"


@dataclasses.dataclass(frozen=True)
class Run:
    """Checked arguments: what the nodes will be told."""

    arguments: LaunchArguments
    arena: str
    speed_ratio: float
    robots: tuple[RobotModel, RobotModel]
    plan: Plan = Plan()

    @property
    def relays(self) -> list[Relay]:
        """The topics that pass through the fault injector."""
        return fault_wiring.relays(self.plan, self.arguments.noise != "none")


def check(arguments: LaunchArguments) -> Run:
    """Load everything that the arguments name, so that a run is refused before a process starts.

    Raises:
        ConfigurationError: with the reason, and what is known or allowed.
    """
    robot = load_robot(arguments.robot)
    name = arena_of(arguments.arena, arguments.robot)
    arena = load_arena(name)
    scenario = load_scenario(arguments.scenario)
    ratio = arguments.speed_ratio or scenario.speed_ratio
    robots = (robot, scaled(robot, ratio))
    check_game(arena, *robots)
    for each in robots:
        make_device(arguments.base, each)
    for role, bundle in (("pursuer", arguments.pursuer), ("evader", arguments.evader)):
        load_bundle(bundle, role, arena.dt)
    # A layout that leaves no room is refused here for the first episode, by the simulator for the others.
    sample_layout(scenario, arena, *robots, arguments.seed, arguments.first_episode)
    if arguments.feasibility:
        load_feasibility(boundary_path(arguments.feasibility))
    plan = load_plan(arguments.faults)
    fault_wiring.check_plan(plan, arguments)
    return Run(arguments, name, ratio, robots, plan)


def records(arguments: LaunchArguments) -> list[NodeRecord]:
    """Every node of a run; the recorder first, the simulator last.

    Raises:
        ConfigurationError: an argument is refused (see :func:`check`).
    """
    run = check(arguments)
    arena = load_arena(run.arena)
    robots = [record for role in ROLES for record in _robot(run, role, arena.dt)]
    expected = [record.full_name for record in robots]
    nodes = list(robots)
    if arguments.record:
        nodes.insert(0, _recorder(run))
        expected.append("/" + RECORDER)
    lockstep = arguments.rate == 0.0
    simulator: dict[str, Any] = {
        "episodes": arguments.episodes,
        "first_episode": arguments.first_episode,
        "seed": arguments.seed,
        "scenario": arguments.scenario,
        "arena": run.arena,
        "pursuer_robot": arguments.robot,
        "evader_robot": arguments.robot,
        "speed_ratio": run.speed_ratio,
        "pursuer_device": arguments.base,
        "evader_device": arguments.base,
        "rate": arguments.rate,
        "noise": arguments.noise,
        "stamped_cmd_vel": arguments.stamped_cmd_vel,
        "expected_nodes": expected,
        "answer_timeout": LOCKSTEP_ANSWER if lockstep else 1.0,
    }
    if arguments.prefixed:
        simulator |= {"odom_frame": "{ns}/odom", "base_frame": "{ns}/base_link"}
    remappings = {}
    if arguments.watchdog:
        nodes += [_watchdog(run, role) for role in ROLES]
        # As the driver of a robot with a watchdog: cmd_vel itself stays the safety node's.
        remappings = {f"/{role}/cmd_vel": f"/{role}/{DRIVER_TOPIC}" for role in ROLES}
    if run.plan.faults:
        nodes = [_faulty(run, node) for node in nodes]
        nodes.append(_injector(run, arena.dt))
        expected.append(nodes[-1].full_name)
    nodes.append(NodeRecord("pe_nodes", SIM, SIM, "/", simulator, remappings))
    return nodes


def _robot(run: Run, role: str, dt: float) -> list[NodeRecord]:
    arguments = run.arguments
    lockstep = arguments.rate == 0.0
    prefix = f"{role}/" if arguments.prefixed else ""
    common: dict[str, Any] = {
        "use_sim_time": True,
        "role": role,
        "robot": arguments.robot,
        "opponent_robot": arguments.robot,
        "speed_ratio": run.speed_ratio,
        "dt": dt,
        "lockstep": lockstep,
        "odom_frame": f"{prefix}odom",
        "base_frame": f"{prefix}base_link",
    }
    opponent = {"opponent_state": f"/{ROLES[1 - ROLES.index(role)]}/state"}
    estimator = {"velocity_smoothing": 0.7 if arguments.noise != "none" else 0.0}
    guard = {"clock_guard": LOCKSTEP_GUARD} if lockstep else {}
    bundle = arguments.pursuer if role == "pursuer" else arguments.evader
    namespace = f"/{role}"
    return [
        NodeRecord("pe_nodes", "state_estimator", "state_estimator", namespace, common | estimator),
        NodeRecord(
            "pe_nodes",
            "policy",
            "policy",
            namespace,
            common | {"bundle": bundle, "body_margin": _body_margin(run, role, dt)},
            dict(opponent),
        ),
        NodeRecord(
            "pe_nodes",
            "safety",
            "safety",
            namespace,
            common
            | {"profile": arguments.safety, "feasibility": arguments.feasibility}
            | {"stamped_cmd_vel": arguments.stamped_cmd_vel}
            | guard,
            dict(opponent),
        ),
    ]


def _body_margin(run: Run, role: str, dt: float) -> float:
    """What a policy must count as part of the own body, because the filter keeps that much more clear."""
    own, rival = (run.robots[ROLES.index(role) ^ other].as_array() for other in (0, 1))
    parameters = load_safety(run.arguments.safety).as_array(dt)
    return float(usual_margin(own, rival, parameters, usual_deviations(dt), dt))


def _watchdog(run: Run, role: str) -> NodeRecord:
    arguments = run.arguments
    parameters: dict[str, Any] = {
        "use_sim_time": True,
        "role": role,
        "robot": arguments.robot,
        "speed_ratio": run.speed_ratio,
        # It counts wall time, in which a slow simulation sends fewer commands.
        "timeout": min(WATCHDOG_TIMEOUT / min(arguments.rate, 1.0), WATCHDOG_TIMEOUT_MOST),
        "stamped_input": arguments.stamped_cmd_vel,
        "stamped_output": arguments.stamped_cmd_vel,
        "base_frame": f"{role}/base_link" if arguments.prefixed else "base_link",
    }
    return NodeRecord("pe_nodes", "watchdog", "watchdog", f"/{role}", parameters)


def _faulty(run: Run, node: NodeRecord) -> NodeRecord:
    """A node as the run's faults want it: what it must hear elsewhere, and whether it is started again."""
    role = node.namespace.strip("/")
    if role not in ROLES:
        return node
    heard = fault_wiring.remappings(run.plan, role, node.name, run.relays)
    respawn = f"{role}/{node.name}" in fault_wiring.restarts(run.plan)
    return dataclasses.replace(node, remappings=node.remappings | heard, respawn=respawn)


def _injector(run: Run, dt: float) -> NodeRecord:
    parameters: dict[str, Any] = {
        "plan": run.plan.text(),
        "rate": run.arguments.rate,
        "dt": dt,
        "poses": run.arguments.noise != "none",
    }
    return NodeRecord("pe_nodes", INJECTOR, INJECTOR, "/", parameters)


def environment_of(nodes: Sequence[NodeRecord]) -> dict[str, str]:
    """Environment variables that the nodes of a run need.

    Where a node is started again, Fast DDS must soon forget the killed one; other middlewares do not read this.
    """
    if not any(node.respawn for node in nodes):
        return {}
    return {FASTDDS_PROFILES: str(share_directory() / "config" / "middleware" / "fastdds_short_lease.xml")}


def recorded_topics(arguments: LaunchArguments) -> tuple[list[str], list[str]]:
    """(entries 'topic type reliability', topics that must have a publisher before an episode begins)."""
    stamped = arguments.stamped_cmd_vel
    command = "geometry_msgs/msg/TwistStamped" if stamped else "geometry_msgs/msg/Twist"
    # In lockstep the simulator keeps it for a recorder that was held up; see qos.kept.
    odometry = "reliable" if arguments.rate == 0.0 else "best_effort"
    entries = [
        "/clock rosgraph_msgs/msg/Clock best_effort",
        "/episode std_msgs/msg/String latched",
        f"/diagnostics {STATUS} reliable",
    ]
    for role in ROLES:
        entries += [
            f"/{role}/odom {ODOMETRY} {odometry}",
            f"/{role}/state {ODOMETRY} reliable",
            f"/{role}/ground_truth {ODOMETRY} reliable",
            f"/{role}/cmd_vel_nominal geometry_msgs/msg/TwistStamped reliable",
            f"/{role}/cmd_vel {command} reliable",
            f"/{role}/safety/status {STATUS} latched",
            f"/{role}/initialpose {POSE} reliable",
        ]
        if arguments.watchdog:
            entries.append(f"/{role}/{DRIVER_TOPIC} {command} reliable")
        if arguments.noise != "none":
            entries.append(f"/{role}/pose {POSE} best_effort")
    return entries, [entry.split()[0] for entry in entries]


def _recorder(run: Run) -> NodeRecord:
    topics, required = recorded_topics(run.arguments)
    identity = manifest(run.arguments, run.arena, run.speed_ratio, run.robots)
    if run.plan.faults:
        # What the nodes heard, beside what was said.
        disturbed = [f"{relay.output} {relay.kind} {relay.reliability}" for relay in run.relays]
        topics = [*topics, *disturbed, f"{EVENTS} std_msgs/msg/String latched"]
        required = [*required, *(relay.output for relay in run.relays), EVENTS]
        identity |= {"faults": json.loads(run.plan.text())}
    parameters = {
        "out": run.arguments.out,
        "topics": topics,
        "required": required,
        "bag_size": run.arguments.bag_size,
        "manifest": json.dumps(identity),
    }
    return NodeRecord("pe_nodes", RECORDER, RECORDER, "/", parameters)

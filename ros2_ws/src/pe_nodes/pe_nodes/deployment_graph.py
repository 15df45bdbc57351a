"""The nodes of one robot, and of the referee's machine, as plain records; pure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pe_core.arena import arena_of, load_arena
from pe_core.bundle import load_bundle
from pe_core.config import ConfigurationError
from pe_core.paths import boundary_path, share_directory
from pe_core.robot import RobotModel, load_robot
from pe_core.roles import ROLES
from pe_core.rules import check_game
from pe_core.scenario import load_scenario, sample_layout
from pe_nodes.arena_game import usual_deviations
from pe_nodes.deployment_arguments import (
    POSES,
    REFEREE,
    ArenaArguments,
    EmulatedArguments,
    RobotArguments,
    base_frame_of,
)
from pe_nodes.devices import make_device
from pe_nodes.graph import ODOMETRY, POSE, RECORDER, STATUS, WATCHDOG_TIMEOUT, NodeRecord
from pe_nodes.manifest import manifest, robot_manifest
from pe_nodes.refereeing import with_time
from pe_nodes.robot_models import scaled
from pe_nodes.settings import DRIVER_TOPIC
from pe_safety.budget import usual_margin
from pe_safety.feasibility.model import load_feasibility
from pe_safety.parameters import load_safety

SMOOTHING = 0.7
"""Of the velocity that wheel odometry measures, as in simulated runs with its noise."""
POSE_STAMPED = "geometry_msgs/msg/PoseStamped"
RELAYED_TOPIC = "cmd_vel_safe"
"""What the safety node says its commands on where cmd_vel is the driver's."""
BOOL = "std_msgs/msg/Bool"
STRING = "std_msgs/msg/String"


def robot_records(arguments: RobotArguments) -> list[NodeRecord]:
    """Every node that one robot runs: recorder first, then estimator, policy, safety and watchdog.

    Raises:
        ConfigurationError: an argument is refused.
    """
    place = arena_of(arguments.arena, arguments.robot)
    arena = load_arena(place)
    own, rival = _models(arguments.robot, arguments.opponent_robot, arguments.speed_ratio, arguments.role)
    robots = (own, rival) if arguments.role == "pursuer" else (rival, own)
    check_game(arena, *robots)
    load_bundle(arguments.bundle, arguments.role, arena.dt)
    if arguments.feasibility:
        load_feasibility(boundary_path(arguments.feasibility))
    own_namespace, prefix = f"/{arguments.own}", f"{arguments.own}/" if arguments.prefixed else ""
    common: dict[str, Any] = {
        "use_sim_time": arguments.use_sim_time,
        "role": arguments.role,
        "robot": arguments.robot,
        "opponent_robot": arguments.opponent_robot,
        "speed_ratio": arguments.speed_ratio,
        "dt": arena.dt,
        "odom_frame": f"{prefix}odom",
        "base_frame": arguments.body_frame,
    }
    margin = usual_margin(
        own.as_array(), rival.as_array(), load_safety(arguments.safety).as_array(arena.dt), usual_deviations(arena.dt),
        arena.dt,
    )  # fmt: skip
    # Frames without a namespace need a /tf of their own, as Nav2 has it.
    tf = {} if arguments.prefixed else {"/tf": "tf", "/tf_static": "tf_static"}
    rival_state = {"opponent_state": f"/{arguments.other}/state"}
    commands = {"cmd_vel": RELAYED_TOPIC} if _relayed(arguments) else {}
    safety = {
        "profile": arguments.safety,
        "feasibility": arguments.feasibility,
        "stamped_cmd_vel": arguments.stamped_cmd_vel,
        "require_arming": True,
        "stop_timeout": arguments.stop_timeout,
    }
    nodes = [
        _estimator(arguments, common, tf),
        NodeRecord(
            "pe_nodes", "policy", "policy", own_namespace,
            common | {"bundle": arguments.bundle, "body_margin": float(margin)}, dict(rival_state),
        ),
        NodeRecord("pe_nodes", "safety", "safety", own_namespace, common | safety, rival_state | commands),
    ]  # fmt: skip
    if arguments.watchdog:
        nodes.append(_watchdog(arguments, common["base_frame"], commands))
    if arguments.record:
        nodes.insert(0, _robot_recorder(arguments, robot_manifest(arguments, place, robots)))
    return nodes


def arena_records(arguments: ArenaArguments) -> list[NodeRecord]:
    """The referee's machine: recorder of both robots, and the referee last.

    Raises:
        ConfigurationError: an argument is refused.
    """
    name = arena_of(arguments.arena, arguments.robot)
    arena, scenario = with_time(load_arena(name), arguments.max_time), load_scenario(arguments.scenario)
    robots = _models(arguments.robot, arguments.opponent_robot, arguments.speed_ratio, "pursuer")
    check_game(arena, *robots)
    sample_layout(scenario, arena, *robots, arguments.seed, arguments.first_episode)
    bundles = {role: load_bundle(getattr(arguments, role), role, arena.dt).schema for role in ROLES}
    pursuer, evader = arguments.namespaces
    referee: dict[str, Any] = {
        "use_sim_time": arguments.use_sim_time,
        "episodes": arguments.episodes,
        "first_episode": arguments.first_episode,
        "seed": arguments.seed,
        "max_time": arguments.max_time,
        "scenario": arguments.scenario,
        "arena": name,
        "pursuer_robot": arguments.robot,
        "evader_robot": arguments.opponent_robot,
        "speed_ratio": arguments.speed_ratio,
        "pursuer_bundle": bundles["pursuer"].sha256,
        "evader_bundle": bundles["evader"].sha256,
        "pursuer_namespace": pursuer,
        "evader_namespace": evader,
        "truth": arguments.truth,
        "truth_topic": arguments.truth_topic,
        # A tracker knows where the robots are; odometry, and AMCL at its start, must be told.
        "placed_by_hand": arguments.localisation in ("odom", "amcl"),
        "start_tolerance": arguments.start_tolerance,
        "recorded": arguments.record,
    }
    nodes = [NodeRecord("pe_nodes", REFEREE, REFEREE, "/", referee)]
    if arguments.record:
        nodes.insert(0, _arena_recorder(arguments, name, robots))
    return nodes


def emulated_records(arguments: EmulatedArguments) -> list[NodeRecord]:
    """One emulated robot, at its start of the scenario.

    Raises:
        ConfigurationError: an argument is refused.
    """
    namespace = arguments.role if arguments.namespace == "auto" else arguments.namespace.strip("/")
    opponent = arguments.robot if arguments.opponent == "auto" else arguments.opponent
    own, rival = load_robot(arguments.robot), load_robot(opponent)
    make_device(arguments.base, own)
    arena = load_arena(arena_of(arguments.arena, arguments.robot))
    robots = (own, rival) if arguments.role == "pursuer" else (rival, own)
    layout = sample_layout(load_scenario(arguments.scenario), arena, *robots, arguments.seed, arguments.episode)
    x, y, heading = (float(value) for value in getattr(layout, arguments.role))
    prefix = f"{namespace}/" if arguments.base == "turtlebot3" else ""
    parameters = {
        "robot": arguments.robot,
        "device": arguments.base,
        "x": x,
        "y": y,
        "heading": heading,
        "noise": arguments.noise,
        "stamped_cmd_vel": arguments.stamped_cmd_vel,
        "clock_offset": arguments.clock_offset,
        "odom_frame": f"{prefix}odom",
        "base_frame": f"{prefix}{base_frame_of(arguments.base)}",
    }
    remappings = {"cmd_vel": arguments.driver_topic} if arguments.driver_topic != "cmd_vel" else {}
    if not prefix:
        remappings["/tf"] = "tf"
    return [NodeRecord("pe_nodes", "emulated_robot", "emulated_robot", f"/{namespace}", parameters, remappings)]


def _models(robot: str, opponent: str, ratio: float, role: str) -> tuple[RobotModel, RobotModel]:
    own, rival = load_robot(robot), load_robot(opponent)
    return (own, scaled(rival, ratio)) if role == "pursuer" else (scaled(own, ratio), rival)


def _relayed(arguments: RobotArguments | ArenaArguments) -> bool:
    """Whether cmd_vel is the driver's own topic, so that the safety node must say its commands elsewhere."""
    return arguments.watchdog and arguments.driver_topic == "cmd_vel"


def _estimator(arguments: RobotArguments, common: dict[str, Any], tf: dict[str, str]) -> NodeRecord:
    source = POSES.get(arguments.localisation)
    topic = arguments.pose_topic
    if topic == "auto":
        topic = source.topic if source else "pose"
    namespace = f"/{arguments.own}"
    if arguments.estimator == "robot_localization":
        return _robot_localization(arguments, common, tf, topic)
    parameters = common | {"velocity_smoothing": SMOOTHING}
    if source:
        parameters |= {
            "pose0_stamped": source.stamped,
            "pose0_deviation": source.deviation,
            "pose0_heading_deviation": source.heading_deviation,
        }
    remappings = tf | ({"pose": topic} if topic != "pose" else {})
    return NodeRecord("pe_nodes", "state_estimator", "state_estimator", namespace, parameters, remappings)


def _robot_localization(
    arguments: RobotArguments, common: dict[str, Any], tf: dict[str, str], topic: str
) -> NodeRecord:
    if POSES.get(arguments.localisation, POSES["amcl"]).stamped:
        raise ConfigurationError(
            f"estimator = 'robot_localization': localisation = {arguments.localisation!r} gives PoseStamped, which it "
            "does not take: allowed: odom, amcl"
        )
    kind = "amcl" if arguments.localisation == "amcl" else "odom"
    parameters = {
        "params_file": str(share_directory() / "config" / "robot_localization" / f"{kind}.yaml"),
        "use_sim_time": arguments.use_sim_time,
        "odom_frame": common["odom_frame"],
        "base_link_frame": common["base_frame"],
        "odom0": "odom",
    } | ({"pose0": topic} if kind == "amcl" else {})
    remappings = tf | {"odometry/filtered": "state", "set_pose": "initialpose"}
    return NodeRecord(
        "robot_localization", "ekf_node", "state_estimator", f"/{arguments.own}", parameters, remappings
    )


def _watchdog(arguments: RobotArguments, base_frame: str, commands: dict[str, str]) -> NodeRecord:
    parameters: dict[str, Any] = {
        "use_sim_time": arguments.use_sim_time,
        "role": arguments.role,
        "robot": arguments.robot,
        "speed_ratio": arguments.speed_ratio,
        "timeout": WATCHDOG_TIMEOUT,
        "synchronised_clocks": arguments.synchronised_clocks,
        "stop_timeout": arguments.stop_timeout,
        "stamped_input": arguments.stamped_cmd_vel,
        "stamped_output": arguments.stamped_cmd_vel,
        "base_frame": base_frame,
    }
    # Started again: nothing else stops the base once it is gone.
    remappings = commands | ({} if arguments.driver_topic == DRIVER_TOPIC else {DRIVER_TOPIC: arguments.driver_topic})
    return NodeRecord("pe_nodes", "watchdog", "watchdog", f"/{arguments.own}", parameters, remappings, respawn=True)


def command_kind(stamped: bool) -> str:
    """The type of cmd_vel."""
    return "geometry_msgs/msg/TwistStamped" if stamped else "geometry_msgs/msg/Twist"


def robot_topics(role: str, stamped: bool) -> list[str]:
    """What is recorded of one robot, as entries 'topic type reliability' below ``/<role>``."""
    return [
        f"/{role}/odom {ODOMETRY} best_effort",
        f"/{role}/state {ODOMETRY} reliable",
        f"/{role}/cmd_vel_nominal geometry_msgs/msg/TwistStamped reliable",
        f"/{role}/cmd_vel {command_kind(stamped)} reliable",
        f"/{role}/safety/status {STATUS} latched",
        f"/{role}/initialpose {POSE} reliable",
    ]


def _game_topics() -> list[str]:
    stop = f"/emergency_stop {BOOL} best_effort"
    return [f"/episode {STRING} latched", f"/next_episode {STRING} latched", stop, f"/diagnostics {STATUS} reliable"]


def _under(role: str, namespace: str, entries: list[str]) -> dict[str, str]:
    """A bag calls the robots pursuer and evader, whatever their namespaces are."""
    if role == namespace:
        return {}
    topics = [entry.split()[0] for entry in entries if entry.startswith(f"/{role}/")]
    return {topic: f"/{namespace}" + topic.removeprefix(f"/{role}") for topic in topics}


def _recorded(
    arguments: RobotArguments | ArenaArguments, role: str, namespace: str
) -> tuple[list[str], dict[str, str]]:
    """(entries, remappings) of one robot: in a bag cmd_vel is the safety node's and driver/cmd_vel the watchdog's,
    whatever they are on the robot."""
    entries = robot_topics(role, arguments.stamped_cmd_vel)
    elsewhere: dict[str, str] = {}
    if arguments.watchdog:
        heard = arguments.driver_topic
        entries.append(f"/{role}/{DRIVER_TOPIC} {command_kind(arguments.stamped_cmd_vel)} reliable")
        if heard != DRIVER_TOPIC:
            elsewhere[f"/{role}/{DRIVER_TOPIC}"] = heard if heard.startswith("/") else f"/{namespace}/{heard}"
    if _relayed(arguments):
        elsewhere[f"/{role}/cmd_vel"] = f"/{namespace}/{RELAYED_TOPIC}"
    return entries, _under(role, namespace, entries) | elsewhere


def _robot_recorder(arguments: RobotArguments, identity: dict[str, Any]) -> NodeRecord:
    other = ROLES[1 - ROLES.index(arguments.role)]
    mine, remappings = _recorded(arguments, arguments.role, arguments.own)
    entries = [*_game_topics(), *mine, f"/{other}/state {ODOMETRY} reliable"]
    remappings |= _under(other, arguments.other, entries)
    parameters = {
        "out": arguments.out,
        "topics": entries,
        "bag_size": arguments.bag_size,
        "manifest": json.dumps(identity),
        "use_sim_time": arguments.use_sim_time,
    }
    return NodeRecord("pe_nodes", RECORDER, RECORDER, f"/{arguments.own}", parameters, remappings)


def _arena_recorder(arguments: ArenaArguments, arena: str, robots: tuple[RobotModel, RobotModel]) -> NodeRecord:
    entries = _game_topics()
    remappings: dict[str, str] = {}
    for role, namespace in zip(ROLES, arguments.namespaces, strict=True):
        mine, elsewhere = _recorded(arguments, role, namespace)
        if arguments.truth == "mocap":
            tracked = [
                f"/{role}/ground_truth {ODOMETRY} reliable",
                f"/{role}/{arguments.truth_topic} {POSE_STAMPED} best_effort",
            ]
            mine += tracked
            elsewhere |= _under(role, namespace, tracked)
        entries += mine
        remappings |= elsewhere
    identity = manifest(arguments, arena, arguments.speed_ratio, robots)
    # Robots, not a simulation: what the configuration of one does not say.
    identity |= {"deployment": {key: getattr(arguments, key) for key in ("localisation", "truth", "max_time")}}
    parameters = {
        "out": str(Path(arguments.out)),
        "topics": entries,
        "bag_size": arguments.bag_size,
        "manifest": json.dumps(identity),
        "use_sim_time": arguments.use_sim_time,
    }
    return NodeRecord("pe_nodes", RECORDER, RECORDER, "/", parameters, remappings)


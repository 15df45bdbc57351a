"""What is looked at before a robot plays: pure functions from what was observed to findings.

``Observed`` is filled by :mod:`pe_nodes.robot_probe` from the running graph.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pe_core.robot import RobotModel
from pe_nodes.settings import EstimatorSettings

CLOCK_NOTE, CLOCK_FAIL = 0.05, 0.1
"""Offsets of a clock [s]: above the first is worth mending, above the second stamps are refused (future_tolerance)."""
RATE_LEAST, RATE_MOST = 0.85, 1.5
POSITION_MOST, HEADING_MOST = 0.15, 0.2
"""Deviations [m, rad] with which margins are larger than what is left of most arenas."""
LOST_MOST = 0.1
POSE_RATE = 5.0
"""Absolute poses that come more seldom [Hz] leave the robot to its wheels for long."""
POSE_TYPES = ("geometry_msgs/msg/PoseStamped", "geometry_msgs/msg/PoseWithCovarianceStamped")
CLOCK = "/clock"
BRINGUP = "start the robot's bringup; its namespace must be the same"


@dataclasses.dataclass(frozen=True)
class Finding:
    """One line of the report; only ``FAIL`` must be mended."""

    status: str
    subject: str
    text: str
    remedy: str = ""


@dataclasses.dataclass
class Topic:
    """What was seen of one topic.

    ``publishers`` and ``subscribers`` are (node, type); ``arrivals`` monotonic times [s]; ``stamps`` of the headers
    [s]; ``offsets`` stamp less the time of receipt by this machine's clock [s]; ``last`` the newest message's numbers;
    ``sim_offsets`` stamp less the newest time on /clock [s].
    """

    publishers: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    subscribers: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    arrivals: list[float] = dataclasses.field(default_factory=list)
    stamps: list[float] = dataclasses.field(default_factory=list)
    offsets: list[float] = dataclasses.field(default_factory=list)
    last: dict[str, Any] = dataclasses.field(default_factory=dict)
    sim_offsets: list[float] = dataclasses.field(default_factory=list)

    def rate(self) -> float:
        """Messages per second that were sent, by the usual step of their stamps (by arrival where they have none);
        NaN below three."""
        times = self.stamps if len(self.stamps) == len(self.arrivals) else self.arrivals
        steps = np.diff(times)
        if len(steps) < 2 or not np.median(steps) > 0.0:
            return math.nan
        return float(1.0 / np.median(steps))

    def lost(self) -> float:
        """Share of the messages sent that did not arrive here."""
        rate = self.rate()
        if math.isnan(rate):
            return 0.0
        times = self.stamps if len(self.stamps) == len(self.arrivals) else self.arrivals
        return max(1.0 - (len(times) - 1) / (rate * (times[-1] - times[0])), 0.0)

    def offset(self, simulated: bool = False) -> float:
        """Median of the offsets [s], of those by /clock where time is ``simulated``; NaN without any."""
        offsets = self.sim_offsets if simulated else self.offsets
        return float(np.median(offsets)) if offsets else math.nan


@dataclasses.dataclass
class Observed:
    """One robot as the graph shows it.

    ``parameters`` of each of its nodes; ``heartbeats`` (level, message, values) by node name; ``transforms``
    (parent, child) pairs, None where tf2_msgs is not installed here; ``pose_topic`` what the estimator hears absolute
    poses on, and ``pose_type`` the type that it takes; empty where it hears none.
    """

    namespace: str
    role: str
    robot: RobotModel
    seconds: float
    domain: str = ""
    topics: dict[str, Topic] = dataclasses.field(default_factory=dict)
    nodes: set[str] = dataclasses.field(default_factory=set)
    parameters: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    heartbeats: dict[str, tuple[int, str, Mapping[str, str]]] = dataclasses.field(default_factory=dict)
    transforms: set[tuple[str, str]] | None = None
    stop: str = ""
    pose_topic: str = ""
    pose_type: str = ""

    @property
    def simulated(self) -> bool:
        """Whether the nodes' time is that of /clock; where none runs yet, whether somebody publishes it."""
        told = self.of("state_estimator", "use_sim_time")
        return bool(self.topics.get(CLOCK, Topic()).publishers) if told is None else bool(told)

    @property
    def base_frame(self) -> str | None:
        """Frame of the body that the estimator expects (robot_localization calls it base_link_frame)."""
        frame = self.of("state_estimator", "base_frame")
        return frame if frame is not None else self.of("state_estimator", "base_link_frame")

    def topic(self, name: str) -> Topic:
        """Below the namespace."""
        return self.topics.setdefault(f"/{self.namespace}/{name}", Topic())

    def node(self, name: str) -> str:
        """Full name of one of this robot's nodes."""
        return f"/{self.namespace}/{name}"

    def of(self, node: str, parameter: str, default: Any = None) -> Any:
        """A parameter of one of this robot's nodes."""
        return self.parameters.get(node, {}).get(parameter, default)


def network(seen: Observed) -> list[Finding]:
    """The domain, and whether anything is heard below the namespace."""
    mine = sorted(name for name in seen.nodes if name.startswith(f"/{seen.namespace}/"))
    if mine:
        return [Finding("ok", "network", f"domain {seen.domain}: {len(mine)} nodes below /{seen.namespace}")]
    others = sorted({name.split("/")[1] for name in seen.nodes if name.count("/") > 1})
    there = f"; namespaces there: {', '.join(others)}" if others else "; no other node is seen"
    remedy = "the same ROS_DOMAIN_ID on all machines, ROS_AUTOMATIC_DISCOVERY_RANGE=SUBNET, multicast on the network"
    return [Finding("FAIL", "network", f"domain {seen.domain}: no node below /{seen.namespace}{there}", remedy)]


def odometry(seen: Observed) -> list[Finding]:
    """One publisher, at the base's rate, with finite numbers, in frames that the estimator expects."""
    topic, name = seen.topic("odom"), f"/{seen.namespace}/odom"
    found = _published(topic, name, "nav_msgs/msg/Odometry", BRINGUP)
    if found:
        return found
    wanted, rate = seen.robot.odometry_rate, topic.rate()
    text = f"{rate:.1f} Hz (profile {seen.robot.name}: {wanted:g} Hz)"
    if not rate >= RATE_LEAST * wanted:
        found.append(Finding("FAIL", "odometry", text, "a loaded computer, a weak network, or another robot profile"))
    elif rate > RATE_MOST * wanted:
        found.append(Finding("FAIL", "odometry", text, "odometry_rate of the robot profile is that of another base"))
    else:
        found.append(Finding("ok", "odometry", text))
    if topic.lost() > LOST_MOST:
        text = f"{100.0 * topic.lost():.0f} % of the messages did not arrive here"
        found.append(Finding("note", "odometry", text, "a loaded computer (this one?), or a weak network"))
    if not topic.last.get("finite", True):
        found.append(Finding("FAIL", "odometry", "numbers that are not finite", "look at the driver's log"))
    if topic.last.get("certain"):
        found.append(Finding("ok", "covariance", "odometry reports none; the estimator has floors"))
    expected = (
        ("frame", "odom_frame", seen.of("state_estimator", "odom_frame")),
        ("child", "base_frame", seen.base_frame),
    )
    for key, parameter, should in expected:
        is_ = str(topic.last.get(key, ""))
        if should is not None and is_ != should:
            text = f"odom has {key} frame '{is_}', the estimator {parameter} '{should}'"
            found.append(Finding("FAIL", "frames", text, _frame_remedy(key, is_, should)))
    return found


def _frame_remedy(key: str, is_: str, should: str) -> str:
    last = is_.split("/")[-1]
    if key == "child" and last != should.split("/")[-1]:
        return f"base_frame:={last}, or the driver's child_frame_id"
    return "frames:=plain or frames:=prefixed"


def clocks(seen: Observed) -> list[Finding]:
    """Stamps of odometry and of both states against this machine's clock, or /clock where that is the nodes' time."""
    found, simulated = [], seen.simulated
    clock = seen.topics.get(CLOCK, Topic())
    remedy = "chrony on every machine, one of them the server: chronyc tracking shows the offset"
    if simulated:
        if not clock.arrivals:
            text = "the nodes' time is /clock, which says nothing: stamps are not judged"
            return [Finding("FAIL", "clock", text, "start the simulator, or use_sim_time:=false")]
        found.append(Finding("note", "clock", "simulated time: stamps are judged by /clock, not by this machine's"))
        remedy = "the same /clock for all nodes, and a simulator that keeps up"
    elif clock.publishers:
        nodes = ", ".join(node for node, _ in clock.publishers)
        remedy = f"use_sim_time:=true in a simulator, or no /clock ({nodes}) beside robots"
    for name, topic in sorted(seen.topics.items()):
        offset = topic.offset(simulated)
        # A pose may be older, and is judged by itself.
        if math.isnan(offset) or name == seen.pose_topic:
            continue
        text = f"{name}: stamps are {1e3 * abs(offset):.0f} ms {'ahead' if offset > 0.0 else 'behind'}"
        if abs(offset) > CLOCK_FAIL:
            found.append(Finding("FAIL", "clock", text, remedy))
        elif abs(offset) > CLOCK_NOTE:
            found.append(Finding("note", "clock", text, remedy))
        else:
            found.append(Finding("ok", "clock", text))
    return found


def commands(seen: Observed) -> list[Finding]:
    """cmd_vel and the driver's topic: one publisher each, and both ends of one type."""
    found = []
    for name in ("cmd_vel_safe", "cmd_vel", "driver/cmd_vel"):
        topic = seen.topic(name)
        if not topic.publishers and not topic.subscribers:
            continue
        full = f"/{seen.namespace}/{name}"
        kinds = {kind for _, kind in (*topic.publishers, *topic.subscribers)}
        if len(kinds) > 1:
            said = "; ".join(f"{node}: {kind}" for node, kind in (*topic.publishers, *topic.subscribers))
            remedy = "stamped_cmd_vel:=false for a driver that takes Twist, or the driver's enable_stamped_cmd_vel"
            found.append(Finding("FAIL", "cmd_vel", f"{full} has two types, which never meet: {said}", remedy))
        elif len(topic.publishers) > 1:
            nodes = ", ".join(node for node, _ in topic.publishers)
            remedy = "stop teleoperation, Nav2, or the second launch"
            found.append(Finding("FAIL", "cmd_vel", f"{full} has {len(topic.publishers)} publishers: {nodes}", remedy))
        elif not topic.subscribers:
            remedy = "remap the driver (cmd_vel:=driver/cmd_vel), or driver_topic:=cmd_vel"
            found.append(Finding("FAIL", "cmd_vel", f"nobody listens on {full}", remedy))
        elif topic.publishers:
            text = f"{full}: {topic.publishers[0][0]} to {topic.subscribers[0][0]}, {next(iter(kinds)).split('/')[-1]}"
            found.append(Finding("ok", "cmd_vel", text))
        else:
            found.append(Finding("ok", "cmd_vel", f"{full}: {topic.subscribers[0][0]} listens"))
    if not found:
        found.append(Finding("FAIL", "cmd_vel", f"nobody listens below /{seen.namespace}", BRINGUP))
    return found


def nodes(seen: Observed) -> list[Finding]:
    """This robot's nodes run, and say that they are well."""
    found = []
    for name in ("state_estimator", "policy", "safety", "watchdog"):
        full = seen.node(name)
        if full not in seen.nodes:
            status = "note" if name == "watchdog" else "FAIL"
            remedy = "ros2 launch pe_bringup robot.launch.py (or ./pe launch robot.launch.py)"
            found.append(Finding(status, "nodes", f"{full} does not run", remedy))
            continue
        if full not in seen.heartbeats:
            if name == "state_estimator":
                found.append(Finding("note", "nodes", f"{full} says nothing on /diagnostics (robot_localization?)"))
            else:
                found.append(Finding("FAIL", "nodes", f"{full} runs, but says nothing on /diagnostics", "restart it"))
            continue
        level, message, _ = seen.heartbeats[full]
        found.append(Finding(("ok", "note", "FAIL")[min(level, 2)], "nodes", f"{full}: {message or 'well'}"))
    return found


def limits(seen: Observed) -> list[Finding]:
    """Every node drives the same robot, in the same role, at the same period."""
    found = []
    for parameter, wanted in (("robot", seen.robot.name), ("role", seen.role)):
        for node in ("state_estimator", "policy", "safety", "watchdog"):
            value = seen.of(node, parameter, wanted)
            if value != wanted:
                text = f"{seen.node(node)}: {parameter} is {value}, not {wanted}"
                found.append(Finding("FAIL", "limits", text, f"robot.launch.py {parameter}:={wanted}"))
    periods = {seen.of(node, "dt") for node in ("policy", "safety")} - {None}
    if len(periods) > 1:
        found.append(Finding("FAIL", "limits", f"control periods differ: {sorted(periods)} s", "the same arena:="))
    if seen.of("safety", "require_arming") is False:
        remedy = "robot.launch.py starts one that does"
        found.append(Finding("FAIL", "limits", "the safety node needs no arming", remedy))
    if not found and seen.parameters.get("safety"):
        it = seen.robot
        text = f"{it.name}: v <= {it.v_max:g} m/s, |omega| <= {it.omega_max:g} rad/s, radius {it.radius:g} m"
        found.append(Finding("ok", "limits", f"{text}, filter {seen.of('safety', 'profile')}"))
    return found


def states(seen: Observed) -> list[Finding]:
    """Own state and the opponent's: rate, frame, an uncertainty that is neither none nor too large."""
    found = []
    for subject, full in (("state", f"/{seen.namespace}/state"), ("opponent", _opponent_topic(seen))):
        topic = seen.topics.get(full, Topic())
        rate = topic.rate()
        if math.isnan(rate):
            remedy = "its estimator needs odometry and an initial pose (./pe robot placed)"
            if subject == "opponent":
                remedy = "start the other robot; its estimator needs an initial pose (./pe robot placed)"
            found.append(Finding("FAIL", subject, f"no {full} for {seen.seconds:g} s", remedy))
            continue
        position, heading = topic.last.get("deviations", (math.nan, math.nan))
        text = f"{full}: {rate:.1f} Hz, deviations {position:.3f} m, {math.degrees(heading):.1f} deg"
        if topic.last.get("certain"):
            remedy = "an estimator that says zero is not certain: give it process noise"
            found.append(Finding("FAIL", subject, f"{full}: covariance is zero", remedy))
        elif not (position < POSITION_MOST and heading < HEADING_MOST):
            remedy = "absolute poses (localisation:=), or place the robot anew"
            found.append(Finding("FAIL", subject, text, remedy))
        elif not rate >= RATE_LEAST * 20.0:
            found.append(Finding("FAIL", subject, text, "a weak network: states must come at 20 Hz at least"))
        else:
            found.append(Finding("ok", subject, text))
        if topic.last.get("frame", "map") != "map":
            found.append(Finding("FAIL", subject, f"{full} is in frame '{topic.last['frame']}'", "map_frame: map"))
    return found


def poses(seen: Observed) -> list[Finding]:
    """Absolute poses that the estimator hears: somebody publishes them, in its type, its time and its map."""
    name, topic = seen.pose_topic, seen.topics.get(seen.pose_topic, Topic())
    if not name:
        return []
    if not topic.publishers and not _localised(seen):
        return [Finding("ok", "poses", "none, wheels only (localisation:=odom)")]
    found = _published(topic, name, seen.pose_type, "start the tracker or AMCL, or pose_topic:=", "poses")
    if found:
        return found
    if not topic.arrivals:
        text = f"no {name} for {seen.seconds:g} s"
        if seen.pose_type == POSE_TYPES[1]:
            return [Finding("note", "poses", f"{text}: AMCL says its pose only while the robot moves")]
        return [Finding("FAIL", "poses", text, "is the robot seen by the tracker or the camera?")]
    rate = topic.rate()
    slow = not rate >= POSE_RATE
    said = "fewer than three" if math.isnan(rate) else f"{rate:.1f} Hz"
    remedy = f"above {POSE_RATE:g} Hz; between two of them only the wheels are believed"
    found.append(Finding("note" if slow else "ok", "poses", f"{name}: {said}, {seen.pose_type.split('/')[-1]}", remedy))
    offset, usual = topic.offset(seen.simulated), EstimatorSettings().sensor_timeout
    oldest = float(seen.of("state_estimator", "sensor_timeout", usual))
    if not topic.stamps:
        text = f"{name}: stamps are zero, and taken for the time of receipt"
        found.append(Finding("note", "poses", text, "a source that says when it saw the robot"))
    elif offset > CLOCK_FAIL or offset < -oldest:
        text = f"{name}: stamps are {1e3 * abs(offset):.0f} ms {'ahead' if offset > 0.0 else 'behind'}, and are refused"
        remedy = f"chrony on the tracker's computer, or a faster camera: at most {1e3 * oldest:.0f} ms behind"
        found.append(Finding("FAIL", "poses", text, remedy))
    is_, should = str(topic.last.get("frame", "")), seen.of("state_estimator", "map_frame", "map")
    if is_ != should:
        # A simulator gives its world a name of its own; a tracker's frame may be any.
        status = "note" if seen.simulated else "FAIL"
        text = f"{name} is in frame '{is_}', the estimator takes it for '{should}'"
        remedy = f"frame '{should}': origin in the middle of the arena, x and y along the walls; then name it so"
        found.append(Finding(status, "poses", text, remedy))
    return found


def _localised(seen: Observed) -> bool:
    """Whether the estimator was told of a source: a topic of its name, or how good it is."""
    usual = EstimatorSettings().pose0_deviation
    return seen.pose_topic != seen.node("pose") or seen.of("state_estimator", "pose0_deviation", usual) > usual


def transforms(seen: Observed) -> list[Finding]:
    """map -> odom -> base, where this machine can read them."""
    if seen.transforms is None:
        return [Finding("note", "transforms", "not checked: tf2_msgs is not installed here", "run this under ROS 2")]
    if seen.of("state_estimator", "odom_frame") is None:
        return []
    odom, base = seen.of("state_estimator", "odom_frame"), str(seen.base_frame)
    found = []
    for parent, child, who in (("map", odom, "the estimator"), (odom, base, "the driver")):
        there = (parent, child) in seen.transforms
        remedy = f"{who} publishes it: frames:=plain wants /{seen.namespace}/tf, prefixed wants /tf"
        if who == "the driver":
            remedy += "; base_frame:= as its odom has it"
        text = f"{parent} -> {child}" + ("" if there else " is missing")
        found.append(Finding("ok" if there else "FAIL", "transforms", text, remedy))
    return found


def stop(seen: Observed) -> list[Finding]:
    """The emergency stop is there, and released."""
    topic = seen.topics.get("/emergency_stop", Topic())
    if seen.stop == "pressed":
        return [Finding("FAIL", "stop", "pressed", "./pe robot release, then ./pe robot clear and arm")]
    if not topic.publishers:
        remedy = "start arena.launch.py, whose referee says it, or another stop"
        return [Finding("FAIL", "stop", "nobody says anything on /emergency_stop", remedy)]
    listeners = {node for node, _ in topic.subscribers} & {seen.node("safety"), seen.node("watchdog")}
    if seen.node("safety") not in listeners:
        return [Finding("FAIL", "stop", "the safety node does not listen on /emergency_stop", "restart it")]
    return [Finding("ok", "stop", f"released; {', '.join(sorted(listeners))} listen")]


def arming(seen: Observed) -> list[Finding]:
    """Whether the robot is armed, or would be."""
    _, _, values = seen.heartbeats.get(seen.node("safety"), (0, "", {}))
    if values.get("armed") == "yes":
        return [Finding("note", "arming", "armed: it may move")]
    if why := values.get("refused", ""):
        return [Finding("FAIL", "arming", f"would be refused: {why}")]
    return [Finding("ok", "arming", "not armed; nothing stands in the way")] if values else []


def _published(topic: Topic, name: str, kind: str, remedy: str, subject: str = "odometry") -> list[Finding]:
    if not topic.publishers:
        return [Finding("FAIL", subject, f"nobody publishes {name}", remedy)]
    wrong = [f"{node}: {said}" for node, said in topic.publishers if said != kind]
    if wrong:
        must = f"it must be {kind}"
        if subject == "poses":
            must += "; localisation:=amcl takes PoseWithCovarianceStamped, mocap and apriltag PoseStamped"
        return [Finding("FAIL", subject, f"{name} is of another type ({'; '.join(wrong)})", must)]
    if len(topic.publishers) > 1:
        said = f"{name} has {len(topic.publishers)} publishers: {', '.join(node for node, _ in topic.publishers)}"
        return [Finding("FAIL", subject, said, "one namespace a robot, and one source")]
    return []


def _opponent_topic(seen: Observed) -> str:
    """What the safety node hears as the opponent's state."""
    heard = [
        name
        for name, topic in seen.topics.items()
        if name.endswith("/state")
        and not name.startswith(f"/{seen.namespace}/")
        and any(node == seen.node("safety") for node, _ in topic.subscribers)
    ]
    return heard[0] if heard else f"/{'evader' if seen.role == 'pursuer' else 'pursuer'}/state"


DRIVER: tuple[Callable[[Observed], Sequence[Finding]], ...] = (network, odometry, commands, clocks)
STACK = (*DRIVER, nodes, limits, poses, states, transforms)
GAME = (*STACK, stop, arming)
STAGES = {"driver": DRIVER, "stack": STACK, "game": GAME}


def findings(seen: Observed, stage: str) -> list[Finding]:
    """Everything that ``stage`` (driver, stack or game) asks for."""
    return [finding for check in STAGES[stage] for finding in check(seen)]

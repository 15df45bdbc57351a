"""The page docs/nodes.md, made of the running nodes: what each publishes, hears and offers, and its parameters.

    .venv/bin/python -m tests.support.node_reference docs/nodes.md

Every executable of pe_nodes is made as a node with its defaults, configured, activated, and asked.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import rclpy
import yaml
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions

from pe_core.config import quantities
from pe_core.files import write_text
from pe_nodes.game_node import GameNode
from pe_nodes.process_launch import MODULES
from pe_safety.parameters import load_safety

NAMESPACE = "/pursuer"
EVERY_NODE = ("/rosout", "/parameter_events", "/diagnostics")
"""Topics that every node has."""

WORDS = {
    "state_estimator": "Fuses odometry and, where there are any, absolute poses; publishes the state in the map frame.",
    "policy": "Encodes the observation, runs the bundle. Without fresh states it says nothing, which stops the robot.",
    "safety": "The only one that commands the base. Publishes from its own timer; services clear what has latched.",
    "watchdog": "Runs on the robot's computer between `cmd_vel` and the driver ([robots.md](robots.md#the-watchdog)).",
    "arena_sim": "Bodies, sensors, clock and rules; ends when all episodes are played.",
    "evaluation_recorder": "Writes the bag. What it hears is the launch's matter: the parameter `topics`.",
    "fault_injector": "Stands in topics that a run spoils ([faults.md](faults.md)); which, its plan says.",
}

HEAD = """# Nodes

Made from the running nodes by `python -m tests.support.node_reference docs/nodes.md`; a test compares. What they are
for and how they work together: [architecture.md](architecture.md).

Names without a leading `/` are relative: they lie in the robot's namespace, `/pursuer` or `/evader`. Every node has the
services of a lifecycle node, the parameters `autostart` (true: configures and activates itself) and `use_sim_time`, and
publishes a heartbeat on `/diagnostics`. A parameter is read-only while its node is active; a value out of bounds is
refused when the node starts, with the name, the value and the range.
"""


def page() -> str:
    """The whole page."""
    with tempfile.TemporaryDirectory() as folder:
        return "\n".join([HEAD, *(section(executable, Path(folder)) for executable in WORDS)])


def section(executable: str, folder: Path) -> str:
    """One node's part of the page: its node is made, configured and activated in a context of its own."""
    module = importlib.import_module(MODULES[executable])
    kind = next(each for each in vars(module).values() if isinstance(each, type) and each.__module__ == module.__name__
                and issubclass(each, GameNode))  # fmt: skip
    namespace = "/" if executable in ("arena_sim", "evaluation_recorder", "fault_injector") else NAMESPACE
    plan = {"seed": 0, "faults": [{"kind": "hog", "at": "1000 s", "duration": "1 s"}]}
    needed = {"evaluation_recorder": {"out": str(folder / "run")}, "fault_injector": {"plan": json.dumps(plan)}}
    given = folder / f"{executable}.yaml"
    given.write_text(yaml.safe_dump({"/**": {"ros__parameters": {"autostart": True} | needed.get(executable, {})}}))
    words = ["--ros-args", "-r", f"__ns:={namespace}", "--params-file", str(given)]
    rclpy.init(args=words, signal_handler_options=SignalHandlerOptions.NO)
    try:
        node: GameNode = kind()
        for transition in (node.trigger_configure, node.trigger_activate):
            if transition() != TransitionCallbackReturn.SUCCESS:
                raise RuntimeError(f"{executable} cannot be configured and activated")
        text = f"## {executable}\n\n{WORDS[executable]}\n\n{interfaces(node)}\n{parameters(node)}"
        node.trigger_deactivate()
        node.destroy_node()
    finally:
        rclpy.try_shutdown()
    return text


def interfaces(node: GameNode) -> str:
    """The node's own topics and services as a table; what lies below both robots' namespaces is one row."""
    rows = [
        (word, name, type_name(each.msg_type), profile(each.qos_profile))
        for word, entities in (("publishes", node.publishers), ("hears", node.subscriptions))
        for each in entities
        if (name := short(each.topic_name, node)) not in EVERY_NODE and not name.endswith("/transition_event")
    ]
    rows += [
        ("offers", name, type_name(each.srv_type), "")
        for each in node.services
        if (name := short(each.srv_name, node)).startswith("~/clear")
    ]
    lines = [f"| {word} | `{name}` | {kind} | {quality} |" for word, name, kind, quality in dict.fromkeys(rows)]
    return "\n".join(["| | name | type | QoS |", "|---|---|---|---|", *lines, ""])


def parameters(node: GameNode) -> str:
    """The node's own parameters with their defaults, units and bounds, as they are declared."""
    sources: list[tuple[str, Any]] = [("", node._settings_type())]
    if node.has_parameter("filter.alpha") or any(name.startswith("filter.") for name in node.guarded):
        sources.append(("filter.", load_safety("rcbf")))
    lines = []
    for prefix, defaults in sources:
        for name, declared in quantities(type(defaults)).items():
            if prefix + name not in node.guarded:
                raise LookupError(f"{node.get_name()} does not declare {prefix + name}")
            value = getattr(defaults, name)
            shown = str(value).lower() if isinstance(value, bool) else "" if value in ((), "") else f"`{value}`"
            allowed = "true, false" if isinstance(value, bool) else declared.allowed()
            meaning = declared.description.replace("|", "\\|").replace("<", "&lt;")
            lines.append(f"| `{prefix}{name}` | {shown} | {declared.unit} | {allowed} | {meaning} |")
    return "\n".join(["| parameter | default | unit | allowed | meaning |", "|---|---|---|---|---|", *lines, ""])


def short(name: str, node: GameNode) -> str:
    """A name as people write it: ``~`` for the node, relative in its namespace, and either robot's as ROBOT."""
    own = node.get_fully_qualified_name()
    if name.startswith(own + "/"):
        return "~" + name.removeprefix(own)
    if node.get_namespace() == NAMESPACE:
        return name.removeprefix(NAMESPACE + "/")
    return re.sub(r"^/(?:pursuer|evader)/", "/ROBOT/", name)


def type_name(kind: type) -> str:
    """``nav_msgs/Odometry`` for ``nav_msgs.msg.Odometry``."""
    return f"{kind.__module__.partition('.')[0]}/{kind.__name__}"


def profile(quality: QoSProfile) -> str:
    """Reliability, depth and, where late joiners get old messages, that."""
    reliable = "reliable" if quality.reliability == ReliabilityPolicy.RELIABLE else "best effort"
    late = ", transient local" if quality.durability == DurabilityPolicy.TRANSIENT_LOCAL else ""
    return f"{reliable}, {quality.depth}{late}"


if __name__ == "__main__":
    write_text(Path(sys.argv[1]), page())

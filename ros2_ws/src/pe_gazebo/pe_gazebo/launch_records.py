"""Arguments and nodes of ``gazebo.launch.py``: those of ``pursuit.launch.py``, with Gazebo as the simulator; pure."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

from pe_core.arena import load_arena
from pe_core.config import quantity
from pe_gazebo.simulator import GazeboSimulator
from pe_nodes import graph
from pe_nodes.graph import RECORDER, SIM, NodeRecord
from pe_nodes.launch_arguments import LaunchArguments


@dataclasses.dataclass(frozen=True)
class GazeboArguments(LaunchArguments):
    """What ``name:=value`` may say."""

    physics: str = quantity(
        "nominal", description="floor, wheels and contacts, config/gazebo/<name>.yaml or a path"
    )
    lidar: bool = quantity(False, description="a lidar on both robots, LaserScan on /<role>/scan")


def records(arguments: GazeboArguments) -> list[NodeRecord]:
    """Every node of a run in Gazebo.

    Raises:
        ConfigurationError: an argument is refused, or Gazebo is not installed.
    """
    gazebo = GazeboSimulator.named(arguments.physics)
    nodes = graph.records(arguments)
    simulator = next(node for node in nodes if node.name == SIM)
    gazebo.physics.steps_in(load_arena(simulator.parameters["arena"]).dt)
    moved = dataclasses.replace(
        simulator, package="pe_gazebo", executable="gazebo_sim",
        parameters=simulator.parameters | {"physics": arguments.physics, "lidar": arguments.lidar},
    )  # fmt: skip
    told = {SIM: moved}
    recorder = next((node for node in nodes if node.name == RECORDER), None)
    if recorder is not None:
        told[RECORDER] = dataclasses.replace(
            recorder, parameters=recorder.parameters | {"manifest": _manifest(recorder, gazebo.identity())}
        )
    return [told.get(node.name, node) for node in nodes]


def _manifest(recorder: NodeRecord, simulator: dict[str, Any]) -> str:
    """The recorder's manifest with what moves the robots, which counts as configuration."""
    manifest: dict[str, Any] = json.loads(recorder.parameters["manifest"])
    manifest["simulator"] = simulator
    text = json.dumps([manifest["configuration_sha256"], manifest["simulator"]], sort_keys=True)
    return json.dumps(manifest | {"configuration_sha256": hashlib.sha256(text.encode()).hexdigest()})

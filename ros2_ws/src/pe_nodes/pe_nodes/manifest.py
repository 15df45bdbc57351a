"""The identity of a run: what the bag's metadata say about everything that ran."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

from pe_core.arena import load_arena
from pe_core.bundle import load_bundle
from pe_core.paths import boundary_path
from pe_core.provenance import git_revision, version
from pe_core.robot import RobotModel
from pe_core.scenario import load_scenario
from pe_nodes.deployment_arguments import ArenaArguments
from pe_nodes.launch_arguments import LaunchArguments
from pe_safety.parameters import load_safety


def manifest(
    arguments: LaunchArguments | ArenaArguments, arena: str, speed_ratio: float, robots: tuple[RobotModel, RobotModel]
) -> dict[str, Any]:
    """JSON-serialisable; kept in the bag under the key ``pe``.

    ``configuration_sha256`` is the hash of the canonical JSON of arena, scenario, robots and filter parameters,
    as the in-process evaluator computes it; noise and a device, which that has not, join them where there are any.
    """
    safety = dataclasses.asdict(load_safety(arguments.safety))
    profiles = {
        role: dataclasses.asdict(robot) for role, robot in zip(("pursuer", "evader"), robots, strict=True)
    }
    configuration: dict[str, Any] = {
        "arena": dataclasses.asdict(load_arena(arena)),
        "scenario": load_scenario(arguments.scenario).played(),
        "robots": [dataclasses.asdict(robot) for robot in robots],
        "safety": safety,
    }
    if arguments.noise != "none":
        configuration["noise"] = arguments.noise
    if arguments.base != "ideal":
        configuration["device"] = arguments.base
    names = {"pursuer": arguments.pursuer, "evader": arguments.evader}
    schemas = {role: load_bundle(name, role).schema for role, name in names.items()}
    boundary = arguments.feasibility
    digest = hashlib.sha256(boundary_path(boundary).read_bytes()).hexdigest() if boundary else None
    canonical = json.dumps(configuration, sort_keys=True)
    return {
        "git_revision": git_revision(),
        "version": version(),
        "bundles": {role: {"name": schema.name, "sha256": schema.sha256} for role, schema in schemas.items()},
        "configuration_sha256": hashlib.sha256(canonical.encode()).hexdigest(),
        "seed": arguments.seed,
        "scenario": arguments.scenario,
        "arena": arena,
        "arguments": dataclasses.asdict(arguments),
        "robots": profiles,
        "safety": safety,
        "feasibility": {"name": boundary, "sha256": digest},
        "speed_ratio": speed_ratio,
    }

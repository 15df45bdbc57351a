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
from pe_core.roles import ROLES
from pe_core.scenario import load_scenario
from pe_nodes.deployment_arguments import ArenaArguments, RobotArguments
from pe_nodes.launch_arguments import LaunchArguments
from pe_safety.parameters import load_safety


def manifest(
    arguments: LaunchArguments | ArenaArguments, arena: str, speed_ratio: float, robots: tuple[RobotModel, RobotModel]
) -> dict[str, Any]:
    """JSON-serialisable; kept in the bag under the key ``pe``.

    ``configuration_sha256`` is the hash of the canonical JSON of arena, scenario, robots and filter parameters,
    as the in-process evaluator computes it; noise and a device, which that has not, join them where there are any.
    """
    told = _told(arguments, arena, speed_ratio, robots)
    configuration: dict[str, Any] = {
        "arena": dataclasses.asdict(load_arena(arena)),
        "scenario": load_scenario(arguments.scenario).played(),
        "robots": list(told["robots"].values()),
        "safety": told["safety"],
    }
    if arguments.noise != "none":
        configuration["noise"] = arguments.noise
    if arguments.base != "ideal":
        configuration["device"] = arguments.base
    canonical = json.dumps(configuration, sort_keys=True)
    return told | {
        "bundles": {role: _bundle(getattr(arguments, role), role) for role in ROLES},
        "configuration_sha256": hashlib.sha256(canonical.encode()).hexdigest(),
        "seed": arguments.seed,
        "scenario": arguments.scenario,
    }


def robot_manifest(arguments: RobotArguments, arena: str, robots: tuple[RobotModel, RobotModel]) -> dict[str, Any]:
    """That of one robot's own bag: what it was told, so that every cycle of its safety node can be audited.

    Of the game it knows its part: seed, scenario and the opponent's policy are the referee's.
    """
    told = _told(arguments, arena, arguments.speed_ratio, robots)
    return told | {"bundles": {arguments.role: _bundle(arguments.bundle, arguments.role)}}


def _told(
    arguments: LaunchArguments | ArenaArguments | RobotArguments,
    arena: str,
    speed_ratio: float,
    robots: tuple[RobotModel, RobotModel],
) -> dict[str, Any]:
    """What every launch is told, and an audit needs."""
    boundary = arguments.feasibility
    digest = hashlib.sha256(boundary_path(boundary).read_bytes()).hexdigest() if boundary else None
    return {
        "git_revision": git_revision(),
        "version": version(),
        "arena": arena,
        "arguments": dataclasses.asdict(arguments),
        "robots": {role: dataclasses.asdict(robot) for role, robot in zip(ROLES, robots, strict=True)},
        "safety": dataclasses.asdict(load_safety(arguments.safety)),
        "feasibility": {"name": boundary, "sha256": digest},
        "speed_ratio": speed_ratio,
    }


def _bundle(name: str, role: str) -> dict[str, str]:
    schema = load_bundle(name, role).schema
    return {"name": schema.name, "sha256": schema.sha256}

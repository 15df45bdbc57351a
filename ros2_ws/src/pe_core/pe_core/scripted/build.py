"""Builds the bundles of the scripted policies: ``python -m pe_core.scripted.build [--out DIR] [NAME ...]``.

The result is a function of the sources in this directory alone: equal sources give equal files.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pe_core import observation
from pe_core.arena import load_arena
from pe_core.bundle import GOLDEN_ROWS, save_bundle
from pe_core.config import ConfigurationError
from pe_core.paths import share_directory
from pe_core.randomness import generator
from pe_core.robot import load_robot
from pe_core.scenario import load_scenario, sample_layout
from pe_core.scripted.evaders import BoundaryRunner, Flee, Hider, LookAhead, RandomWalk
from pe_core.scripted.held_out import Deep, Mixed, Waypoints
from pe_core.scripted.hostile import Ram, Uniform
from pe_core.scripted.pursuers import LeadPursuit, PurePursuit

COMMAND = "python -m pe_core.scripted.build"
DT = 0.05


@dataclasses.dataclass(frozen=True)
class Entry:
    """One scripted policy: its role, the class that makes it, and the noise it wants."""

    role: str
    make: Callable[[], nn.Module]
    noise_size: int = 0
    noise_hold: int = 1


POLICIES: dict[str, Entry] = {
    "pure": Entry("pursuer", PurePursuit),
    "lead": Entry("pursuer", LeadPursuit),
    "random": Entry("evader", RandomWalk, noise_size=2, noise_hold=20),
    "flee": Entry("evader", Flee),
    "lookahead": Entry("evader", LookAhead),
    "boundary": Entry("evader", BoundaryRunner),
    "hider": Entry("evader", Hider),
    "deep": Entry("evader", Deep),
    "mixed": Entry("evader", Mixed, noise_size=3, noise_hold=30),
    "waypoints": Entry("evader", Waypoints, noise_size=6, noise_hold=40),
    "ram_pursuer": Entry("pursuer", Ram),
    "ram_evader": Entry("evader", Ram),
    "uniform_pursuer": Entry("pursuer", Uniform, noise_size=2, noise_hold=4),
    "uniform_evader": Entry("evader", Uniform, noise_size=2, noise_hold=4),
}

HELD_OUT = ("deep", "mixed", "waypoints")
"""Evaders that no policy may be trained or chosen against: they test whether a trained pursuer generalises."""


def source_hash() -> str:
    """SHA-256 over the sources of the scripted policies, in order of their names."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def golden_observations(role: str, rows: int = GOLDEN_ROWS) -> NDArray[np.float64]:
    """Observations (rows, SIZE) of ``role`` in drawn layouts of the reference arena, robots on the move.

    Row k has k mod 7 obstacles; in odd rows the robots are nearer to one another than any start.
    """
    arena, robot = load_arena("reference"), load_robot("reference")
    model = robot.as_array()
    result = np.empty((rows, observation.SIZE))
    for k in range(rows):
        config = dataclasses.replace(arena, obstacle_count=k % 7)
        layout = sample_layout(load_scenario("random"), config, robot, robot, 0, k)
        random = generator(0, k, f"golden/{role}")
        own, other = np.zeros(5), np.zeros(5)
        own[:3], other[:3] = layout.pursuer, layout.evader
        near = own[:2] + (other[:2] - own[:2]) * random.uniform(0.0, 0.9)
        if k % 2 and layout.arena.body_margin(near[0], near[1], robot.radius) > config.spawn_clearance:
            own[:2] = near
        own[3:], other[3:] = random.uniform([0.0, -1.0], 1.0, (2, 2)) * [robot.v_max, robot.omega_max]
        obstacles = np.zeros((6, 3))
        obstacles[: len(layout.arena.obstacles)] = layout.arena.obstacles
        observation.encode(
            own,
            other,
            model,
            model,
            config.half_side,
            obstacles,
            len(layout.arena.obstacles),
            config.capture_radius,
            float(random.uniform()),
            config.dt,
            result[k],
        )
    return result


def build(name: str, out: Path) -> Path:
    """Write the bundle of the scripted policy ``name`` below ``out``; returns its directory."""
    if name not in POLICIES:
        raise ConfigurationError(f"scripted policy '{name}' is unknown; known: {', '.join(POLICIES)}")
    entry = POLICIES[name]
    save_bundle(
        entry.make(),
        out / name,
        name=name,
        role=entry.role,
        kind="scripted",
        dtype="float64",
        noise_size=entry.noise_size,
        noise_hold=entry.noise_hold,
        dt=DT,
        golden_observations=golden_observations(entry.role),
        provenance={
            "command": COMMAND,
            "source_sha256": source_hash(),
            "torch": torch.__version__.split("+")[0],
        },
    )
    return out / name


def main(arguments: list[str] | None = None) -> None:
    """Entry point of ``python -m pe_core.scripted.build``."""
    parser = argparse.ArgumentParser(prog=COMMAND, description="Build the bundles of the scripted policies.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(POLICIES)} (default: all)")
    parser.add_argument("--out", type=Path, default=share_directory() / "models", help="default: models/")
    options = parser.parse_args(arguments)
    for name in options.names or POLICIES:
        print(build(name, options.out))


if __name__ == "__main__":
    main()

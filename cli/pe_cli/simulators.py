"""Which simulator a command line names."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pe_core.plant import Simulator

ARENA, GAZEBO = "arena", "gazebo"


def simulator_of(name: str, physics: str | None) -> Simulator | None:
    """What moves the robots; None: the plants of the game.

    Raises:
        ConfigurationError: the name is unknown, ``physics`` is given without Gazebo, or Gazebo is not installed.
    """
    from pe_core.config import ConfigurationError

    if name == ARENA:
        if physics is not None:
            raise ConfigurationError(f"physics = '{physics}': allowed: with --simulator gazebo only")
        return None
    if name == GAZEBO:
        from pe_gazebo.simulator import GazeboSimulator

        return GazeboSimulator.named(physics or "nominal")
    raise ConfigurationError(f"simulator = '{name}': allowed: {ARENA}, {GAZEBO}")

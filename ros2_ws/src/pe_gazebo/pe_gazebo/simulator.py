"""Gazebo as the simulator of episodes in process (:class:`pe_core.plant.Simulator`)."""

from __future__ import annotations

import dataclasses
from typing import Any

from pe_core.arena import ArenaConfig
from pe_core.robot import RobotModel
from pe_core.scenario import Layout
from pe_gazebo import installation
from pe_gazebo.physics import Physics, load_physics
from pe_gazebo.plant import GazeboBodies


@dataclasses.dataclass(frozen=True)
class GazeboSimulator:
    """A gzserver for every episode, with floor, wheels and contacts of ``physics``."""

    physics: Physics

    @classmethod
    def named(cls, physics: str) -> GazeboSimulator:
        """With the setting ``config/gazebo/<physics>.yaml``.

        Raises:
            ConfigurationError: there is no such setting, or Gazebo is not installed.
        """
        installation.require()
        return cls(load_physics(physics))

    def bodies(
        self, layout: Layout, config: ArenaConfig, robots: tuple[RobotModel, RobotModel]
    ) -> GazeboBodies:
        """Both robots at rest where ``layout`` says, in a world of their own."""
        return GazeboBodies(layout, robots, self.physics, config.dt)

    def identity(self) -> dict[str, Any]:
        """Name, version and settings."""
        return {
            "name": "gazebo",
            "version": installation.VERSION,
            "physics": dataclasses.asdict(self.physics),
        }

"""Gazebo simulator node: the arena simulator, in which Gazebo moves the robots.

Rules, scoring, episodes, devices, noise and topics are those of ``pe_nodes.arena_sim_node``.  Every episode has a
gzserver of its own, which this node starts and which dies with it.

Wheels slip sideways, which no odometry of v and omega tells: without noise, centimetres in a quarter of a minute.  So
the robots have a tracker in every run, as they have in a laboratory; without noise its poses are exact.
"""

from __future__ import annotations

import dataclasses
import math
import os
from typing import NoReturn

from pe_core.config import quantity
from pe_gazebo.lidar import Lidar
from pe_gazebo.physics import Physics, load_physics
from pe_gazebo.plant import GazeboBodies
from pe_gazebo.transport import GazeboError
from pe_nodes.arena_game import ArenaGame
from pe_nodes.arena_sim_node import ArenaSimNode
from pe_nodes.launcher import LAUNCHER_GONE
from pe_nodes.node_process import run_process
from pe_nodes.scan_topic import ScanTopic
from pe_nodes.settings import ROLES, SimSettings

GAZEBO_FAILED = 5
TRACKER_POSITION, TRACKER_HEADING = 0.005, math.radians(0.3)
"""Deviations [m, rad] that the tracker of a run without noise claims: a share of a step's slip, which is to pass."""


@dataclasses.dataclass(frozen=True)
class GazeboSettings(SimSettings):
    """Parameters of the arena simulator, and how Gazebo's world behaves."""

    physics: str = quantity(
        "nominal", description="floor, wheels and contacts, config/gazebo/<name>.yaml or a path"
    )
    lidar: bool = quantity(False, description="a lidar on both robots, LaserScan on /<role>/scan")


class GazeboSimNode(ArenaSimNode):
    """Plays ``episodes`` episodes in Gazebo, then ends with exit code 0."""

    def __init__(self) -> None:
        super().__init__(GazeboSettings())
        self._physics = Physics()
        self._bodies: GazeboBodies | None = None
        self._tracked = False
        self._lidar: Lidar | None = None
        self._scans: dict[str, ScanTopic] = {}
        self._parent = os.getppid()

    def setup(self, settings: GazeboSettings) -> None:  # type: ignore[override]
        self._physics = load_physics(settings.physics)
        self._lidar = Lidar() if settings.lidar else None
        try:
            super().setup(settings)
        except BaseException:
            self._close()
            raise
        self._scans = {} if self._lidar is None else {role: self._scan_topic(role, self._lidar) for role in ROLES}
        self._tracked = settings.noise == "none"
        for topics in self._topics.values() if self._tracked else ():
            topics.add_tracker(self, TRACKER_POSITION, TRACKER_HEADING)

    def _scan_topic(self, role: str, lidar: Lidar) -> ScanTopic:
        frame = self.settings.base_frame.replace("{ns}", role)
        return ScanTopic(self, role, frame, lidar.samples, lidar.rate, (lidar.range_min, lidar.range_max))

    def _publish_truth(self) -> None:
        super()._publish_truth()
        for topics, plant in zip(
            self._topics.values() if self._tracked else (), self._game.plants, strict=False
        ):
            topics.publish_pose(self._time_ns, plant.state)
        for scan in self._bodies.scans() if self._bodies is not None and self._scans else ():
            self._scans[scan.role].publish(self._time_ns - scan.age_ns, scan.ranges)

    def _make_game(self, index: int) -> ArenaGame:
        self._close()
        game = super()._make_game(index)
        self._bodies = GazeboBodies(game.layout, self._robots, self._physics, game.tick, self._lidar)
        game.move_by(self._bodies)
        return game

    def _advance(self) -> None:
        try:
            super()._advance()
        except GazeboError as error:
            self._playing = False
            self.fail(GAZEBO_FAILED, str(error))

    def _look_at_launcher(self) -> None:
        # A server must not play on when nobody waits for it, whoever has launched this node.
        if os.getppid() != self._parent and not self.exit_code:
            self.fail(LAUNCHER_GONE, "the parent of this node is gone")
        super()._look_at_launcher()

    def deactivate(self) -> None:
        super().deactivate()
        self._close()

    def _tear_down(self) -> None:
        super()._tear_down()
        self._close()

    def _close(self) -> None:
        bodies, self._bodies = self._bodies, None
        if bodies is not None:
            bodies.close()


def main() -> NoReturn:
    """Entry point of the executable ``gazebo_sim``."""
    run_process(GazeboSimNode)


if __name__ == "__main__":
    main()

"""A lidar on top of a robot, for whoever wants to see the arena as a robot does; none of our nodes needs it."""

from __future__ import annotations

import dataclasses
import math
from xml.etree.ElementTree import Element

from pe_core.config import ConfigurationError, check_range, quantity
from pe_core.robot import RobotModel
from pe_gazebo.body import body_of
from pe_gazebo.sdf import element, pose

LIDAR_SENSOR = "lidar"


@dataclasses.dataclass(frozen=True)
class Lidar:
    """A planar scanner of a full turn; the defaults are those of a TurtleBot3's LDS-01."""

    rate: float = quantity(5.0, unit="Hz", low=0.1, high=100.0, description="scans per second")
    samples: int = quantity(360, low=2, high=10_000, description="beams of a scan")
    range_min: float = quantity(0.12, unit="m", low=0.0, high=10.0, description="shortest distance seen")
    range_max: float = quantity(3.5, unit="m", low=0.01, high=100.0, description="longest distance seen")

    def __post_init__(self) -> None:
        check_range(self, "lidar")
        if self.range_max <= self.range_min:
            raise ConfigurationError(
                f"lidar: range_max = {self.range_max!r}: allowed: more than range_min = {self.range_min!r}"
            )

    def classic(self, robot: RobotModel) -> Element:
        """The sensor of Gazebo classic."""
        return self._sensor(robot, "ray", "ray")

    def harmonic(self, robot: RobotModel, topic: str, frame: str) -> Element:
        """The sensor of gz-sim, which publishes on ``topic`` in ``frame``."""
        sensor = self._sensor(robot, "gpu_lidar", "lidar")
        sensor.extend([element("topic", topic), element("gz_frame_id", frame)])
        return sensor

    def _sensor(self, robot: RobotModel, kind: str, block: str) -> Element:
        step = math.tau / self.samples
        turn = [
            ("samples", self.samples),
            ("resolution", 1.0),
            ("min_angle", 0.0),
            ("max_angle", math.tau - step),
        ]
        reach = [("min", self.range_min), ("max", self.range_max), ("resolution", 0.01)]
        scan = element("scan", element("horizontal", *(element(name, value) for name, value in turn)))
        return element(
            "sensor",
            pose(z=body_of(robot).height + 0.02),
            element("always_on", True),
            element("update_rate", self.rate),
            element(block, scan, element("range", *(element(name, value) for name, value in reach))),
            name=LIDAR_SENSOR,
            type=kind,
        )

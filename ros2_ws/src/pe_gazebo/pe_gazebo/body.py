"""What a robot weighs and rolls on, which the game never needs to know (``config/gazebo_bodies/<robot>.yaml``)."""

from __future__ import annotations

import dataclasses

from pe_core.config import ConfigurationError, check_range, load_yaml, quantity
from pe_core.paths import config_names, config_path
from pe_core.robot import RobotModel

_TRACK_OF_RADIUS = 1.6


@dataclasses.dataclass(frozen=True)
class Body:
    """A round differential drive: two wheels on an axle through the middle, a caster behind."""

    mass: float = quantity(2.0, unit="kg", low=0.1, high=100.0, description="mass of the whole robot")
    wheel_mass: float = quantity(0.05, unit="kg", low=0.001, high=10.0, description="mass of one wheel")
    wheel_inertia: float = quantity(
        5e-4,
        unit="kg*m^2",
        low=1e-6,
        high=1.0,
        description="moment of inertia of a wheel with its gear and rotor",
    )
    wheel_radius: float = quantity(0.033, unit="m", low=0.01, high=0.3, description="radius of a wheel")
    height: float = quantity(0.15, unit="m", low=0.02, high=1.0, description="height of the body's top")
    clearance: float = quantity(
        0.015, unit="m", low=0.005, high=0.1, description="floor to the body's bottom"
    )

    def __post_init__(self) -> None:
        check_range(self, "body")
        if self.mass <= 2.0 * self.wheel_mass:
            raise ConfigurationError(
                f"body: mass = {self.mass!r}: allowed: more than its wheels' {2 * self.wheel_mass!r} kg"
            )
        if self.height <= self.clearance:
            raise ConfigurationError(
                f"body: height = {self.height!r}: allowed: more than clearance = {self.clearance!r}"
            )


def body_of(robot: RobotModel) -> Body:
    """The body of a profile; the default one where ``config/gazebo_bodies`` has none of its name."""
    if robot.name in config_names("gazebo_bodies"):
        return load_yaml(Body, config_path("gazebo_bodies", robot.name))
    return Body()


def wheel_track(robot: RobotModel) -> float:
    """Wheel separation [m]: the profile's, or where it has none one that fits the body."""
    return robot.track if robot.track > 0.0 else _TRACK_OF_RADIUS * robot.radius

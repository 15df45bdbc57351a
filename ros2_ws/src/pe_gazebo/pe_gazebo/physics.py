"""How the floor, the wheels and the contacts of a Gazebo world behave (``config/gazebo/<name>.yaml``)."""

from __future__ import annotations

import dataclasses

from pe_core.config import ConfigurationError, check_range, load_yaml, quantity
from pe_core.paths import config_path

SHAPES = ("sphere", "cylinder")


@dataclasses.dataclass(frozen=True)
class Physics:
    """What stands between a wheel's speed and the robot's motion, in the terms of Gazebo classic's ODE."""

    name: str = quantity("nominal", description="name of the setting")
    step: float = quantity(0.0025, unit="s", low=0.0001, high=0.01, description="physics step")
    iterations: int = quantity(50, low=10, high=1000, description="iterations of the solver in one step")
    wheel_shape: str = quantity("sphere", choices=SHAPES, description="collision shape of a wheel")
    wheel_width: float = quantity(
        0.018, unit="m", low=0.001, high=0.1, description="width of a cylindrical wheel"
    )
    wheel_mu: float = quantity(1.0, low=0.0, high=10.0, description="Coulomb friction of wheel and floor")
    wheel_slip: float = quantity(
        0.0, unit="m/s/N", low=0.0, high=10.0, description="slip of a wheel per force, in both directions"
    )
    caster_mu: float = quantity(0.0, low=0.0, high=10.0, description="Coulomb friction of caster and floor")
    caster_radius: float = quantity(
        0.01, unit="m", low=0.002, high=0.05, description="radius of the caster's ball"
    )
    contact_min_depth: float = quantity(
        1e-4,
        unit="m",
        low=0.0,
        high=0.01,
        description="depth of a contact that is left alone; at 0 a robot creeps",
    )
    contact_max_vel: float = quantity(
        0.1, unit="m/s", low=0.0, high=100.0, description="highest speed at which a contact is pushed apart"
    )

    def __post_init__(self) -> None:
        check_range(self, f"physics {self.name}")

    def steps_in(self, period: float) -> int:
        """Physics steps in one control period [s].

        Raises:
            ConfigurationError: the period is no whole number of steps.
        """
        steps = round(period / self.step)
        if steps < 1 or abs(steps * self.step - period) > 1e-9:
            raise ConfigurationError(
                f"physics {self.name}: step = {self.step!r}: allowed: a whole fraction of the control period "
                f"{period!r} s"
            )
        return steps


def load_physics(name: str) -> Physics:
    """The setting ``config/gazebo/<name>.yaml`` (or a path to a YAML file)."""
    return load_yaml(Physics, config_path("gazebo", name))

"""Parameters of the safety filter, declared once with units and bounds."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from pe_core.config import ConfigurationError, check_range, load_yaml, quantity
from pe_core.paths import config_path

# Order of the values in SafetyParameters.as_array, which compiled kernels read by index.
RATE, ARC, MARGIN, WEIGHT_V, WEIGHT_OMEGA, COOPERATIVE, OPPONENT_SPEED_ERROR = range(7)


@dataclasses.dataclass(frozen=True)
class SafetyParameters:
    """``config/safety/<name>.yaml``."""

    condition: str = quantity(
        "discrete", choices=("discrete", "continuous"), description="h(x+) >= (1 - gamma) h(x), or h' + alpha h >= 0"
    )
    gamma: float = quantity(0.2, low=0.001, high=1.0, description="decay per control step, discrete condition")
    alpha: float = quantity(1.5, unit="1/s", low=0.01, high=20.0, description="class-K gain, continuous condition")
    arc_margin: bool = quantity(True, description="cover the difference between Euler step and true arc")
    margin: float = quantity(0.0, unit="m", low=0.0, high=1.0, description="constant addition to every distance")
    weight_v: float = quantity(150.0, low=1e-6, high=1e6, description="QP weight of speed")
    weight_omega: float = quantity(1.0, low=1e-6, high=1e6, description="QP weight of turn rate")
    opponent_behaviour: str = quantity(
        "cooperative",
        choices=("cooperative", "passive"),
        description="cooperative: the opponent runs this filter too and takes half of the closing speed; "
        "passive: it may do anything, and this robot only promises not to close in itself",
    )
    opponent_speed_error: float = quantity(
        0.0, unit="m/s", low=0.0, high=2.0, description="bound on the error of the opponent's measured velocity"
    )

    def __post_init__(self) -> None:
        check_range(self, "safety")

    def as_array(self, dt: float) -> NDArray[np.float64]:
        """The values that compiled kernels need, for control period ``dt`` [s]."""
        if not 0.0 < dt <= 1.0:
            raise ConfigurationError(f"dt = {dt!r}: allowed: (0, 1] s")
        discrete = self.condition == "discrete"
        rate = self.gamma / dt if discrete else self.alpha
        arc = 1.0 if discrete and self.arc_margin else 0.0
        return np.array(
            [
                rate,
                arc,
                self.margin,
                self.weight_v,
                self.weight_omega,
                1.0 if self.opponent_behaviour == "cooperative" else 0.0,
                self.opponent_speed_error,
            ]
        )


def load_safety(name: str) -> SafetyParameters:
    """The parameters in ``config/safety/<name>.yaml`` (or a path to a YAML file)."""
    return load_yaml(SafetyParameters, config_path("safety", name))

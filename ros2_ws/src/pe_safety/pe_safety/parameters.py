"""Parameters of the safety filter, declared once with units and bounds."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from pe_core.config import ConfigurationError, check_range, load_yaml, quantity
from pe_core.paths import bundle_kind, config_names, config_path
from pe_core.randomisation import Randomisation

# Order of the values in SafetyParameters.as_array, which compiled kernels read by index.
(
    RATE, ARC, MARGIN, WEIGHT_V, WEIGHT_OMEGA, COOPERATIVE, OPPONENT_SPEED_ERROR, SIGMAS, POSITION_ERROR,
    HEADING_ERROR, GAIN_ERROR, DELAY_ERROR, LAG_ERROR, ACCELERATION_MIN, MAP_ERROR,
) = range(15)  # fmt: skip

BARRIER_NET = "barriernet"
"""The mechanism that is inside the policy, as kind of a bundle and as name of the filter that verifies it."""


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

    sigmas: float = quantity(
        0.0, low=0.0, high=10.0, description="standard deviations of an estimate that its margin covers; 0: exact"
    )
    position_error: float = quantity(
        0.0, unit="m", low=0.0, high=1.0, description="error of an estimated position beside its covariance"
    )
    heading_error: float = quantity(
        0.0, unit="rad", low=0.0, high=1.0, description="error of an estimated heading beside its covariance"
    )
    gain_error: float = quantity(
        0.0, low=0.0, high=0.9, description="bound on |executed / commanded velocity - 1| of either robot"
    )
    delay_error: float = quantity(
        0.0, unit="s", low=0.0, high=0.5, description="bound on the error of the robots' dead time"
    )
    lag_error: float = quantity(0.0, unit="s", low=0.0, high=0.5, description="bound on the error of their lag")
    acceleration_min: float = quantity(
        0.0, unit="m/s^2", low=0.0, high=100.0, description="acceleration that they reach at least; 0: no limit"
    )
    map_error: float = quantity(
        0.0, unit="m", low=0.0, high=1.0, description="error of walls' and obstacles' places in the map"
    )

    def __post_init__(self) -> None:
        check_range(self, "safety")

    @property
    def moves_otherwise(self) -> bool:
        """Whether robots may move otherwise than their model says."""
        return max(self.gain_error, self.delay_error, self.lag_error, self.acceleration_min) > 0.0

    def covering(self, ranges: Randomisation, sigmas: float = 4.0) -> SafetyParameters:
        """These parameters with bounds that cover ``ranges``, and ``sigmas`` deviations of the estimates.

        Models hold the middle of the range of dead time.
        """
        return dataclasses.replace(
            self,
            sigmas=sigmas,
            gain_error=ranges.gain,
            delay_error=0.5 * ranges.delay,
            lag_error=ranges.lag,
            map_error=ranges.map_error,
        )

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
                self.sigmas,
                self.position_error,
                self.heading_error,
                self.gain_error,
                self.delay_error,
                self.lag_error,
                self.acceleration_min,
                self.map_error,
            ]
        )


def load_safety(name: str) -> SafetyParameters:
    """The parameters in ``config/safety/<name>.yaml`` (or a path to a YAML file)."""
    return load_yaml(SafetyParameters, config_path("safety", name))


def check_mechanism(safety: str, policies: Iterable[str]) -> None:
    """Refuse ``safety`` = barriernet where no policy has the mechanism in it.

    The filter of that name has the rows of the program inside the network, and verifies what comes out of it; a robot
    whose policy is of another kind it filters like any other.

    Raises:
        ConfigurationError: none of the bundles ``policies`` has a BarrierNet head, or one is unknown.
    """
    if safety == BARRIER_NET and BARRIER_NET not in [bundle_kind(name) for name in policies]:
        others = ", ".join(name for name in config_names("safety") if name != BARRIER_NET)
        raise ConfigurationError(
            f"safety = 'barriernet': neither policy has a BarrierNet head; allowed: {others}, or a bundle of that kind"
        )

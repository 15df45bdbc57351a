"""Robot models: limits, wheel-speed coupling, body, actuator.

The command a robot executes is what is left after its firmware has truncated, clamped and coupled it:

    v, omega truncated toward zero to their quanta
    v in [v_min, v_max], |omega| <= omega_max
    |v| + |omega| track / 2 <= wheel_speed_max      (where track > 0)

Then a pure delay and a first-order lag, v' = (v_command - v) / lag, at most +-acceleration_max where that is set.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pe_core.config import ConfigurationError, check_range, load_yaml, quantity
from pe_core.paths import config_path

# Order of the values in RobotModel.as_array, which compiled kernels read by index.
(
    V_MIN, V_MAX, OMEGA_MAX, RADIUS, TRACK, WHEEL_SPEED_MAX, VCP_OFFSET, LAG, DELAY, V_QUANTUM, OMEGA_QUANTUM,
    ACCELERATION_MAX,
) = range(12)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class RobotModel:
    """One differential-drive robot as the game, the filter and the simulator see it."""

    name: str = quantity("reference", description="profile name")
    v_min: float = quantity(0.0, unit="m/s", low=-2.0, high=0.0, description="lowest forward speed")
    v_max: float = quantity(1.0, unit="m/s", low=0.01, high=2.0, description="highest forward speed")
    omega_max: float = quantity(2.84, unit="rad/s", low=0.1, high=10.0, description="highest turn rate")
    radius: float = quantity(0.15, unit="m", low=0.02, high=1.0, description="radius of the body's disc")
    track: float = quantity(0.0, unit="m", low=0.0, high=1.0, description="wheel separation; 0: no coupling")
    wheel_speed_max: float = quantity(
        0.0, unit="m/s", low=0.0, high=5.0, description="highest speed of one wheel; used where track > 0"
    )
    vcp_offset: float = quantity(
        0.05, unit="m", low=0.005, high=0.3, description="distance of the virtual control point ahead of the axle"
    )
    lag: float = quantity(0.0, unit="s", low=0.0, high=1.0, description="time constant of the velocity response")
    delay: float = quantity(0.0, unit="s", low=0.0, high=0.5, description="dead time from command to response")
    v_quantum: float = quantity(0.0, unit="m/s", low=0.0, high=0.1, description="resolution of executed speed")
    omega_quantum: float = quantity(
        0.0, unit="rad/s", low=0.0, high=0.1, description="resolution of executed turn rate"
    )
    acceleration_max: float = quantity(
        0.0, unit="m/s^2", low=0.0, high=100.0, description="limit of v's change; 0: none; the filter covers it "
        "by its acceleration_min"
    )  # fmt: skip
    odometry_rate: float = quantity(20.0, unit="Hz", low=1.0, high=200.0, description="rate of odometry")
    reverse_refused: bool = quantity(False, description="the base refuses negative speeds")

    def __post_init__(self) -> None:
        check_range(self, f"robot {self.name}")
        if self.track > 0.0 and self.wheel_speed_max <= 0.0:
            raise ConfigurationError(
                f"robot {self.name}: wheel_speed_max = {self.wheel_speed_max!r}: must be positive where track > 0"
            )

    def as_array(self) -> NDArray[np.float64]:
        """The values that compiled kernels need, in the order of the index constants of this module."""
        return np.array(
            [
                self.v_min,
                self.v_max,
                self.omega_max,
                self.radius,
                self.track,
                self.wheel_speed_max,
                self.vcp_offset,
                self.lag,
                self.delay,
                self.v_quantum,
                self.omega_quantum,
                self.acceleration_max,
            ]
        )

    def with_speed_ratio(self, ratio: float) -> RobotModel:
        """The same robot with its speed limits (and wheel-speed limit) scaled by ``ratio`` > 0."""
        if not (math.isfinite(ratio) and 0.1 <= ratio <= 3.0):
            raise ConfigurationError(f"speed ratio = {ratio!r}: allowed: [0.1, 3]")
        return dataclasses.replace(
            self,
            v_min=self.v_min * ratio,
            v_max=self.v_max * ratio,
            wheel_speed_max=self.wheel_speed_max * max(ratio, 1.0) if self.track > 0.0 else 0.0,
        )


def load_robot(name: str) -> RobotModel:
    """The robot profile ``config/robots/<name>.yaml`` (or a path to a YAML file)."""
    return load_yaml(RobotModel, config_path("robots", name))


@njit(cache=True)
def truncate(value: float, quantum: float) -> float:
    """``value`` truncated toward zero to a multiple of ``quantum`` (unchanged where quantum is 0).

    The small offset keeps values that already are multiples, up to rounding, where they are.  A driver truncates
    once more, x -> int(x / quantum), and 0.29 * 100 is 28.999999999999996: of the numbers next to the multiple the
    one is returned that the driver takes for it, for else the robot would do one quantum less than was checked.
    """
    if quantum <= 0.0:
        return value
    steps = math.floor(abs(value) / quantum + 1e-9)
    result = steps * quantum
    if math.floor(result * (1.0 / quantum)) < steps:
        result = np.nextafter(result, np.inf)
    return math.copysign(result, value)


@njit(cache=True)
def clamp_command(v: float, omega: float, model: NDArray[np.float64]) -> tuple[float, float]:
    """(v, omega) within the box and, where track > 0, within the wheel-speed diamond; NaN becomes 0.

    Coupling is met by scaling both, which keeps curvature.
    """
    if not math.isfinite(v):
        v = 0.0
    if not math.isfinite(omega):
        omega = 0.0
    v = min(max(v, model[V_MIN]), model[V_MAX])
    omega = min(max(omega, -model[OMEGA_MAX]), model[OMEGA_MAX])
    if model[TRACK] > 0.0:
        wheel = abs(v) + 0.5 * model[TRACK] * abs(omega)
        if wheel > model[WHEEL_SPEED_MAX]:
            scale = model[WHEEL_SPEED_MAX] / wheel
            v *= scale
            omega *= scale
    return v, omega


@njit(cache=True)
def command_from_action(
    action_v: float, action_omega: float, model: NDArray[np.float64]
) -> tuple[float, float]:
    """The nominal command (v, omega) of a policy's action (v / v_max, omega / omega_max), within the limits.

    A policy knows neither the wheel-speed coupling nor the resolution of commands; what it asks for becomes what
    the robot can do before the filter sees it, so that neither counts as an intervention.
    """
    v, omega = clamp_command(action_v * model[V_MAX], action_omega * model[OMEGA_MAX], model)
    return truncate(v, model[V_QUANTUM]), truncate(omega, model[OMEGA_QUANTUM])


@njit(cache=True)
def executed_command(v: float, omega: float, model: NDArray[np.float64]) -> tuple[float, float]:
    """The command as the firmware takes it: truncated, then clamped."""
    if not math.isfinite(v):
        v = 0.0
    if not math.isfinite(omega):
        omega = 0.0
    return clamp_command(truncate(v, model[V_QUANTUM]), truncate(omega, model[OMEGA_QUANTUM]), model)

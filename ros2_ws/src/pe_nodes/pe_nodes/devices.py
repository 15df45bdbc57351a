"""What the bases of real robots make of a command, and how they report odometry; pure, times [s] are arguments.

A device stands between cmd_vel and the body (:class:`pe_core.plant.Plant`).  ``receive`` is what its driver does
with a message, ``executed`` is the command (v, omega) that its motors follow at an instant.

TurtleBot3 (driver and firmware).  The driver sends whole hundredths, n = int(100 x), toward zero and without a
look at NaN; the firmware clamps v and omega each to its limit, mixes the wheels, and clamps each wheel on its own:

    w_l = v - omega track / 2,  w_r = v + omega track / 2,  |w| <= wheel_limit,  w = wheel_unit int(w / wheel_unit)

which changes curvature where one wheel is clamped.  The last command holds for as long as the driver lives.

Create 3 (the base of TurtleBot 4).  omega is clamped; a negative v zeroes both unless reverse is allowed; otherwise
both wheels are scaled so that the faster one meets the limit, which keeps curvature.  Half a second after the last
command it stops by itself.
"""

from __future__ import annotations

import dataclasses
import math

from pe_core.config import ConfigurationError, check_range, quantity
from pe_core.robot import RobotModel, executed_command

Command = tuple[float, float]
STANDING: Command = (0.0, 0.0)
SAFETY_OVERRIDES = ("none", "backup_only", "full")
_LOWEST_INTEGER = -(2**31)


@dataclasses.dataclass(frozen=True)
class TurtleBot3Firmware:
    """Limits of one TurtleBot3 model: 0.033 m wheels at the motor's highest speed."""

    name: str = quantity("burger", description="model")
    v_limit: float = quantity(0.2108, unit="m/s", low=0.01, high=1.0, description="clamp of v: 61 rpm")
    omega_limit: float = quantity(2.635, unit="rad/s", low=0.1, high=10.0, description="clamp of omega")
    track: float = quantity(0.160, unit="m", low=0.05, high=1.0, description="wheel separation")
    wheel_limit: float = quantity(0.2667, unit="m/s", low=0.01, high=1.0, description="clamp of each wheel: 337 units")
    wheel_unit: float = quantity(
        1.0 / 1263.632956882, unit="m/s", low=1e-6, high=0.01, description="resolution of a motor's goal speed"
    )

    def __post_init__(self) -> None:
        check_range(self, f"turtlebot3 {self.name}")


BURGER = TurtleBot3Firmware()
WAFFLE = TurtleBot3Firmware(name="waffle", v_limit=0.26609, omega_limit=1.8543, track=0.287)


@dataclasses.dataclass(frozen=True)
class Create3Firmware:
    """Limits of a Create 3."""

    safety_override: str = quantity("none", choices=SAFETY_OVERRIDES, description="'none' refuses reverse")
    omega_limit: float = quantity(1.9, unit="rad/s", low=0.1, high=10.0, description="clamp of omega")
    track: float = quantity(0.233, unit="m", low=0.05, high=1.0, description="wheel separation")
    timeout: float = quantity(0.5, unit="s", low=0.1, high=5.0, description="stops this long after the last command")

    def __post_init__(self) -> None:
        check_range(self, "create3")

    @property
    def wheel_limit(self) -> float:
        """Highest speed [m/s] of either wheel."""
        return 0.46 if self.safety_override == "full" else 0.306


class Device:
    """An ideal base: does what it was told last, within the limits of its profile.

    Attributes:
        zero_covariance: odometry reports covariances of zero.
        yaw_spikes: odometry's omega is a difference of yaws wrapped to (-pi, pi].
        odometry_rate: [Hz]; 0 is once a control period.
    """

    zero_covariance = False
    yaw_spikes = False
    odometry_rate = 0.0

    def __init__(self, robot: RobotModel) -> None:
        self._model = robot.as_array()
        self._told: Command = STANDING

    def receive(self, v: float, omega: float, now: float) -> None:
        """A command (v [m/s], omega [rad/s]) arrives at ``now`` [s]."""
        if math.isfinite(v) and math.isfinite(omega):
            self._told = (v, omega)

    def executed(self, now: float) -> Command:
        """What the motors follow at ``now`` [s]."""
        return executed_command(self._told[0], self._told[1], self._model)


class TurtleBot3(Device):
    """See the module's docstring.

    What C++ makes of a NaN or of a number beyond int32 is not defined; here it is the lowest integer, as on x86,
    which is full speed backwards and the worst that a compiler gives.
    """

    zero_covariance = True
    yaw_spikes = True

    def __init__(self, robot: RobotModel, firmware: TurtleBot3Firmware) -> None:
        super().__init__(robot)
        self.firmware = firmware
        self.odometry_rate = robot.odometry_rate

    def receive(self, v: float, omega: float, now: float) -> None:
        self._told = (_hundredths(v), _hundredths(omega))

    def executed(self, now: float) -> Command:
        f = self.firmware
        v, omega = _clamp(self._told[0], f.v_limit), _clamp(self._told[1], f.omega_limit)
        half = 0.5 * f.track * omega
        left, right = (
            f.wheel_unit * int(_clamp(wheel, f.wheel_limit) / f.wheel_unit) for wheel in (v - half, v + half)
        )
        return 0.5 * (left + right), (right - left) / f.track


class Create3(Device):
    """See the module's docstring.  A command that is not finite is taken for standing still (not documented)."""

    def __init__(self, robot: RobotModel, firmware: Create3Firmware) -> None:
        super().__init__(robot)
        self.firmware = firmware
        self.odometry_rate = robot.odometry_rate
        self._since = -math.inf

    def receive(self, v: float, omega: float, now: float) -> None:
        self._told = (v, omega) if math.isfinite(v) and math.isfinite(omega) else STANDING
        self._since = now

    def executed(self, now: float) -> Command:
        f = self.firmware
        v, omega = self._told
        # Rounding of times must not let a command live for one period more.
        if now - self._since > f.timeout - 1e-9 or (v < 0.0 and f.safety_override == "none"):
            return STANDING
        omega = _clamp(omega, f.omega_limit)
        fastest = abs(v) + 0.5 * f.track * abs(omega)
        scale = min(1.0, f.wheel_limit / fastest) if fastest > 0.0 else 1.0
        return v * scale, omega * scale


def make_device(name: str, robot: RobotModel) -> Device:
    """The device ``ideal``, ``turtlebot3`` or ``create3`` for a robot profile.

    Raises:
        ConfigurationError: the name is unknown, the robot is another one, or it is faster than the firmware lets it be.
    """
    if name == "ideal":
        return Device(robot)
    if name == "turtlebot3":
        firmware = next((f for f in (BURGER, WAFFLE) if math.isclose(f.track, robot.track, abs_tol=1e-3)), None)
        if firmware is not None:
            _check_limits(name, robot, firmware.v_limit, firmware.omega_limit, firmware.wheel_limit)
            return TurtleBot3(robot, firmware)
        raise _another(name, robot, (BURGER.track, WAFFLE.track))
    if name == "create3":
        base = Create3Firmware()
        if math.isclose(base.track, robot.track, abs_tol=1e-3):
            _check_limits(name, robot, base.wheel_limit, base.omega_limit, base.wheel_limit)
            if robot.v_min < 0.0:
                raise ConfigurationError(f"device create3: robot {robot.name}: v_min = {robot.v_min:g} m/s: allowed: 0")
            return Create3(robot, base)
        raise _another(name, robot, (base.track,))
    raise ConfigurationError(f"device = {name!r}: allowed: one of ideal, turtlebot3, create3")


def _check_limits(name: str, robot: RobotModel, v: float, omega: float, wheel: float) -> None:
    # A robot that the filter takes for faster than it is would be predicted where it is not.
    pairs = (
        ("v_max", robot.v_max, v), ("-v_min", -robot.v_min, v), ("omega_max", robot.omega_max, omega),
        ("wheel_speed_max", robot.wheel_speed_max, wheel),
    )  # fmt: skip
    for key, value, limit in pairs:
        if value > limit:
            raise ConfigurationError(
                f"device {name}: robot {robot.name}: {key} = {value:g}: its firmware allows at most {limit:g}"
                + (" (a speed ratio above 1 asks for more)" if key in ("v_max", "wheel_speed_max") else "")
            )


def _another(name: str, robot: RobotModel, tracks: tuple[float, ...]) -> ConfigurationError:
    known = " or ".join(f"{track:.3f} m" for track in tracks)
    return ConfigurationError(f"device {name}: robot {robot.name}: track = {robot.track:.3f} m: allowed: {known}")


def _hundredths(value: float) -> float:
    scaled = 100.0 * value
    return 0.01 * (int(scaled) if math.isfinite(scaled) and abs(scaled) < 2.0**31 else _LOWEST_INTEGER)


def _clamp(value: float, limit: float) -> float:
    return min(max(value, -limit), limit)

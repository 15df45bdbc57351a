"""The bodies of both robots of an episode in Gazebo, in place of :class:`pe_core.plant.Plant`.

What stands between a command and the wheels is the robot profile's: dead time, lag and limit of acceleration, by the
equations of ``pe_core.plant``.  What stands between the wheels and the motion is Gazebo's: friction, slip, contacts,
inertia.  A profile without dead time and lag turns its wheels at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pe_core.config import ConfigurationError
from pe_core.plant import HISTORY, advance
from pe_core.robot import RobotModel
from pe_core.roles import ROLES
from pe_core.scenario import Layout
from pe_core.unicycle import half_angle_sinc
from pe_gazebo.drive import centre_of_mass
from pe_gazebo.lidar import Lidar
from pe_gazebo.physics import Physics
from pe_gazebo.server import Server
from pe_gazebo.stepping import Stepper
from pe_gazebo.track import Track
from pe_gazebo.transport import GazeboError
from pe_gazebo.worlds import WORLD, world_sdf

SETTLE = 0.5
"""Time [s] in which the robots come to rest on their wheels, before the episode begins."""
PIECES = 2
"""Parts of a control period in which the wheels of a robot with lag keep their speed."""
OMEGA_MOST = math.pi
"""Gazebo's drive takes a turn rate as an angle."""


class Drive:
    """From executed commands to the speeds of the wheels: dead time, lag, acceleration."""

    def __init__(self, robot: RobotModel) -> None:
        self._model = robot.as_array()
        self._history = np.zeros((HISTORY, 2))
        self._state = np.zeros(5)
        self.instant = robot.lag == 0.0 and robot.delay == 0.0 and robot.acceleration_max == 0.0

    def take(self, executed: tuple[float, float]) -> None:
        """A command (v, omega) is sent, once a control period."""
        self._history[1:] = self._history[:-1]
        self._history[0] = executed

    def wheels(self, dt: float, since: float, duration: float) -> tuple[float, float]:
        """Mean (v, omega) of the wheels from ``since`` on, for ``duration`` [s]; ``dt`` is the control period [s].

        The model itself drives from the origin; what it drove is one arc: omega = turn / duration and
        v = chord / (duration sinc(turn / 2)).
        """
        if self.instant:
            return float(self._history[0, 0]), float(self._history[0, 1])
        self._state[:3] = 0.0
        advance(self._state, self._history, self._model, dt, since, duration)
        turn = self._state[2]
        chord = self._state[0] * math.cos(0.5 * turn) + self._state[1] * math.sin(0.5 * turn)
        return float(chord / half_angle_sinc(0.5 * turn) / duration), float(turn / duration)


class Scan(NamedTuple):
    """Ranges [m] that the lidar of a robot saw, ``age_ns`` before now; inf where it saw nothing."""

    role: str
    age_ns: int
    ranges: tuple[float, ...]


class GazeboBodies:
    """Two robots in a world of their own; a context manager.

    Attributes:
        states: (2, 5), pursuer and evader: x, y, theta, v (along the heading), omega, true.
    """

    def __init__(
        self,
        layout: Layout,
        robots: tuple[RobotModel, RobotModel],
        physics: Physics,
        period: float,
        lidar: Lidar | None = None,
    ) -> None:
        """Start a server with the world of ``layout`` and let the robots settle; ``period`` is the control period [s].

        ``lidar`` is on both robots; None: none.

        Raises:
            ConfigurationError: Gazebo is not installed, or the world cannot be built.
            GazeboError: the server does not come up.
        """
        for robot in robots:
            if robot.omega_max >= OMEGA_MOST:
                raise ConfigurationError(
                    f"robot {robot.name}: omega_max = {robot.omega_max:g} rad/s: Gazebo's drive takes less than "
                    f"{OMEGA_MOST:.4f}"
                )
        self._period = period
        self._drives = [Drive(robot) for robot in robots]
        self._pieces = 1 if all(drive.instant for drive in self._drives) else PIECES
        self._steps = physics.steps_in(period / self._pieces)
        if self._steps < 2:
            raise ConfigurationError(
                f"physics {physics.name}: step = {physics.step!r}: allowed: at most half a piece"
            )
        self._tracks = [
            Track(role, pose, physics.step, centre_of_mass(robot))
            for role, pose, robot in zip(ROLES, (layout.pursuer, layout.evader), robots, strict=True)
        ]
        self.states = np.zeros((2, 5))
        profiles = dict(zip(ROLES, robots, strict=True))
        world = world_sdf(layout, profiles, physics, period / self._pieces, lidar=lidar)
        self._server = Server(world, WORLD)
        try:
            self._stepper = Stepper(self._server, ROLES, physics.step, lidar=lidar is not None)
            for _ in range(max(round(SETTLE / period), 1) * self._pieces):
                self._batch([(0.0, 0.0), (0.0, 0.0)])
            self._stepper.seen()
        except BaseException:
            self.close()
            raise

    def follow(
        self, executed: Sequence[tuple[float, float]] | NDArray[np.float64], duration: float
    ) -> NDArray[np.float64]:
        """Advance one control period under executed commands (v, omega) of both robots; returns ``states``.

        Raises:
            GazeboError: the server is gone or has lost a step.
        """
        if abs(duration - self._period) > 1e-9:
            raise GazeboError(
                f"Gazebo: a step of {duration:g} s: allowed: the control period, {self._period:g} s"
            )
        for drive, command in zip(self._drives, executed, strict=True):
            drive.take((float(command[0]), float(command[1])))
        piece = self._period / self._pieces
        for k in range(self._pieces):
            self._batch([drive.wheels(self._period, k * piece, piece) for drive in self._drives])
        return self.states

    def scans(self) -> list[Scan]:
        """What the lidars have seen since this was last asked, oldest first."""
        now = self._stepper.time_ns
        return [Scan(role, now - seen.time_ns, seen.ranges) for role, seen in self._stepper.seen()]

    def _batch(self, wheels: list[tuple[float, float]]) -> None:
        done = self._stepper.batch(dict(zip(ROLES, wheels, strict=True)), self._steps)
        for i, role in enumerate(ROLES):
            self._tracks[i].add(done[role])
            self.states[i] = self._tracks[i].state(self._stepper.time_ns)

    def close(self) -> None:
        """Stop the server; may be called twice."""
        self._server.close()

    def __enter__(self) -> GazeboBodies:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

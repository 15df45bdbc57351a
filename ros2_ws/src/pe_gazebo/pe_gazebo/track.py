"""The true state of one robot in Gazebo, from its velocities at every physics step and its scans; pure."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pe_core.unicycle import wrap_angle
from pe_gazebo.messages import GIGA
from pe_gazebo.motion import Planar, corrected, moved
from pe_gazebo.stepping import Batch
from pe_gazebo.transport import GazeboError

UNHEARD_NS = 100_000_000
"""Time [ns] at the beginning in which velocities may be missing: a connection that stands does not say that a busy
server has taken the subscription in.  Meanwhile the robots, which come to rest on their wheels, are told to stand."""


class Track:
    """The pose of a robot at the newest physics step whose velocity is known."""

    def __init__(self, role: str, pose: NDArray[np.float64], step: float, behind: float) -> None:
        """Begin at time 0 and ``pose`` (x, y, theta), with a physics step [s]; ``behind`` as in :func:`moved`."""
        self._role, self._step, self._behind = role, step, behind
        self._step_ns = round(step * GIGA)
        self._pose: Planar = (float(pose[0]), float(pose[1]), float(pose[2]))
        self._velocity: Planar = (0.0, 0.0, 0.0)
        self._time_ns = 0

    def add(self, batch: Batch) -> None:
        """Go on by what came in a batch.

        Raises:
            GazeboError: the velocity of a step was lost.
        """
        if self._time_ns == 0 and batch.motions and batch.motions[0].time_ns <= UNHEARD_NS:
            self._time_ns = batch.motions[0].time_ns - self._step_ns
        last, poses, begin = self._pose, [], self._time_ns
        for entry in batch.motions:
            if entry.time_ns != self._time_ns + self._step_ns:
                raise GazeboError(
                    f"Gazebo: {self._role}: velocity of {entry.time_ns / GIGA:g} s after {self._time_ns / GIGA:g} s, "
                    f"physics step {self._step:g} s"
                )
            self._time_ns = entry.time_ns
            self._velocity = (entry.linear[0], entry.linear[1], entry.angular[2])
            self._pose = moved(self._pose, self._velocity, self._step, self._behind)
            poses.append(self._pose)
        if batch.scan is not None:
            index = (batch.scan.time_ns - begin) // self._step_ns - 1
            if 0 <= index < len(poses):
                self._pose = corrected(last, poses, (batch.scan.x, batch.scan.y, batch.scan.yaw), index)

    def state(self, time_ns: int) -> tuple[float, float, float, float, float]:
        """(x, y, theta, v along the heading, omega) at a time [ns], at the newest velocity where it is ahead."""
        pose = self._pose
        for _ in range((time_ns - self._time_ns) // self._step_ns):
            pose = moved(pose, self._velocity, self._step, self._behind)
        vx, vy, omega = self._velocity
        along = vx * math.cos(pose[2]) + vy * math.sin(pose[2])
        return pose[0], pose[1], wrap_angle(math.remainder(pose[2], math.tau)), along, omega

"""From odometry readings to an estimate, whichever of twist and pose can be believed; pure.

As long as readings come one after the other, the twist of a reading is that of the way since the last one.  After
missing readings, and in place of a turn rate that no robot has, the difference of the poses tells what happened.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pe_core import ekf
from pe_core.unicycle import wrap_angle
from pe_nodes.motion_checks import OdometryCheck, arc_between


class Track:
    """The estimate under odometry readings (x, y, theta, v, omega).

    Attributes:
        twist: (v, omega) of the last reading, without spikes.
        gated, jumps: readings whose twist, whose pose was not possible.
        fault: why the state is not known, or nothing.
    """

    def __init__(self, check: OdometryCheck, timeout: float) -> None:
        """``timeout`` [s]: longest time without a reading that tells what happened."""
        self._check = check
        self._timeout = timeout
        self.gated = self.jumps = 0
        self.clear()

    def clear(self) -> None:
        """A new initial pose."""
        self.twist = (0.0, 0.0)
        self.fault = ""
        self._unknown = 0.0
        # Estimate and reading at the last reading that could be believed, and the time [s] since then.
        self._anchor: tuple[ekf.Estimate, Sequence[float]] | None = None
        self._since = 0.0
        self._last: Sequence[float] | None = None
        self._check.clear()

    @property
    def doubtful(self) -> bool:
        """Whether it is not known how far the robot has gone since the last reading that could be believed."""
        return self._since > 0.0

    def corrected(self, estimate: ekf.Estimate) -> None:
        """An absolute pose has corrected the estimate at the last reading."""
        if self._last is not None:
            self._anchor = (estimate, self._last)

    def advance(
        self, estimate: ekf.Estimate, values: Sequence[float], elapsed: float, noise: ekf.Matrix
    ) -> ekf.Estimate:
        """The estimate at a reading ``elapsed`` [s] after the last; 0: not known, for the clock was set.

        ``noise`` (2, 2) is the covariance of the twist.
        """
        last = self._last
        if last is None:
            self._keep(estimate, values)
            return estimate
        if elapsed <= 0.0:
            # The way is known although the time is not.
            return self._by_pose(estimate, last, values, self._timeout, noise)
        self._since += elapsed
        if self._check.suspicious(last, values, elapsed):
            # Not yet known whether pose or twist is wrong.
            self._last = values
            if self._check.frozen:
                self.fault = (
                    "odometry is frozen: its pose stands still while its twist says that the robot moves"
                )
            return ekf.predict(estimate, *self.twist, elapsed, noise)
        if self._check.gap(self._since):
            begin = self._anchor or (estimate, last)
            return self._by_pose(begin[0], begin[1], values, self._since, noise)
        v, omega = self._gate(last, values, elapsed)
        moved = math.hypot(values[0] - last[0], values[1] - last[1]) / elapsed
        self.jumps += not self._check.plausible(moved, 0.0)
        return self._keep(ekf.predict(estimate, v, omega, elapsed, noise), values)

    def _gate(self, last: Sequence[float], values: Sequence[float], elapsed: float) -> tuple[float, float]:
        v, omega = values[3], values[4]
        good_v, good_omega = self._check.plausible(v, 0.0), self._check.plausible(0.0, omega)
        if not (good_v and good_omega):
            self.gated += 1
        if not good_omega:
            # A difference of wrapped yaws; the yaws themselves tell the turn.
            omega = wrap_angle(values[2] - last[2]) / elapsed
            good_omega = self._check.plausible(0.0, omega)
        if not good_omega:
            omega = self.twist[1]
        if not good_v:
            v = self.twist[0]
        known = good_v and good_omega
        self._unknown = 0.0 if known else self._unknown + elapsed
        self.fault = ""
        if self._unknown > self._timeout:
            self.fault = f"odometry is beyond the robot's limits: {values[3]:.2f} m/s, {values[4]:.2f} rad/s"
        self.twist = (v, omega)
        return self.twist

    def _by_pose(
        self,
        estimate: ekf.Estimate,
        last: Sequence[float],
        values: Sequence[float],
        elapsed: float,
        noise: ekf.Matrix,
    ) -> ekf.Estimate:
        v, omega, _ = arc_between(last, values, elapsed)
        if self._check.plausible(v, omega):
            now = self._gate(last, values, elapsed)
            covariance = ekf.predict(estimate, v, omega, elapsed, noise).covariance
            estimate = ekf.Estimate(moved(estimate.mean, last, values), covariance)
            self.twist = now
        else:
            self.jumps += 1
            estimate = ekf.predict(estimate, *self._gate(last, values, elapsed), elapsed, noise)
        return self._keep(estimate, values)

    def _keep(self, estimate: ekf.Estimate, values: Sequence[float]) -> ekf.Estimate:
        self._anchor, self._since, self._last = (estimate, values), 0.0, values
        self._check.clear()
        return estimate


def moved(mean: ekf.Matrix, last: Sequence[float], values: Sequence[float]) -> ekf.Matrix:
    """The pose (3,) ``mean`` after the motion from pose ``last`` to pose ``values`` of another frame.

    m + R(m_theta - last_theta) (values - last): exact for whatever path was driven between the two.
    """
    turn = mean[2] - last[2]
    c, s = math.cos(turn), math.sin(turn)
    dx, dy = values[0] - last[0], values[1] - last[1]
    theta = wrap_angle(float(mean[2] + values[2] - last[2]))
    return np.array([mean[0] + c * dx - s * dy, mean[1] + s * dx + c * dy, theta])


class PoseDoubt:
    """Absolute poses that are rejected for too long: they or the odometry are wrong, and nobody knows which."""

    def __init__(self, limit: float) -> None:
        """``limit`` [s] from the first of a row of rejected poses."""
        self._limit = limit
        self.clear()

    def clear(self) -> None:
        """A new initial pose."""
        self._since_ns = 0
        self.fault = ""

    def pause(self) -> None:
        """Poses cannot be judged for a while: the row of rejected ones is broken."""
        self._since_ns = 0

    def judged(self, accepted: bool, stamp_ns: int, distance: float) -> None:
        """A pose was accepted, or rejected at a Mahalanobis ``distance``."""
        if accepted:
            self.clear()
        elif not self._since_ns:
            self._since_ns = stamp_ns
        elif (stamp_ns - self._since_ns) / 1e9 >= self._limit:
            self.fault = (
                f"absolute pose and odometry disagree for {self._limit:g} s (distance {distance:.1f})"
            )

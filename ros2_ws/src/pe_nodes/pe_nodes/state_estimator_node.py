"""State estimator node: odometry and, where there is one, an absolute pose in; state in the map frame out."""

from __future__ import annotations

import time
from typing import Any, NoReturn

import numpy as np
from geometry_msgs.msg import PoseStamped, PoseWithCovarianceStamped
from nav_msgs.msg import Odometry

from pe_core import ekf
from pe_nodes import inputs, qos
from pe_nodes.episode import Episode
from pe_nodes.game_node import ERROR, OK, WARN, GameNode
from pe_nodes.heartbeats import INITIAL_POSE
from pe_nodes.inputs import StampedInput
from pe_nodes.messages import (
    odometry_values,
    planar_pose,
    set_odometry,
    set_planar_covariance,
    stamp_ns,
    yaw_of,
)
from pe_nodes.motion_checks import OdometryCheck
from pe_nodes.node_process import run_process
from pe_nodes.odometry_track import PoseDoubt, Track
from pe_nodes.robot_models import models
from pe_nodes.settings import EstimatorSettings
from pe_nodes.timing import Rate, Timing
from pe_nodes.transforms import TransformPublisher, compose_inverse

_PLANAR = np.ix_([0, 1, 5], [0, 1, 5])
_TWIST = np.ix_([0, 5], [0, 5])


class StateEstimatorNode(GameNode):
    """Publishes state on every odometry message, with the stamp of that message."""

    def __init__(self) -> None:
        super().__init__("state_estimator", EstimatorSettings())

    def setup(self, settings: EstimatorSettings) -> None:
        self.settings = settings
        model, _ = models(settings)
        limits = (settings.gate_factor * model.v_max, settings.gate_factor * model.omega_max)
        self._track = Track(OdometryCheck(*limits, settings.dt), settings.sensor_timeout)
        self._doubt = PoseDoubt(settings.pose0_rejection_time)
        self._fault = ""
        self._odometry = StampedInput("odometry", settings.sensor_timeout, settings.future_tolerance)
        self._pose = StampedInput("absolute pose", settings.sensor_timeout, settings.future_tolerance)
        self._estimate: ekf.Estimate | None = None
        self._stamp = 0
        self._smoothed = (0.0, 0.0)
        self._noise = ekf.twist_covariance(np.zeros((2, 2)), settings.v_deviation, settings.omega_deviation)
        deviations = (settings.pose0_deviation, settings.pose0_deviation, settings.pose0_heading_deviation)
        self._pose_floor = np.diag(np.square(deviations))
        self._reset_ns = -1
        self._arrived = time.monotonic()
        self._poses_rejected = self._predicted_only = 0
        self._distance = 0.0
        self._timing = Timing(deadline=0.5 * settings.dt)
        self._rate = Rate()
        self._message = Odometry(child_frame_id=settings.base_frame)
        self._message.header.frame_id = settings.map_frame
        self._tf = TransformPublisher(self, settings.map_frame, settings.odom_frame) if settings.publish_tf else None
        self._publisher = self.create_publisher(Odometry, "state", qos.kept(qos.STATE, settings.lockstep))
        self._link = self.create_subscription(Odometry, "odom", self._on_odometry, qos.SENSOR)
        kind = PoseStamped if settings.pose0_stamped else PoseWithCovarianceStamped
        self.create_subscription(kind, "pose", self._on_pose, qos.SENSOR)
        self.create_subscription(PoseWithCovarianceStamped, "initialpose", self._on_initial_pose, qos.EVENT)
        self.follow_episodes()
        if not settings.lockstep:
            self.create_timer(settings.dt, self._predict_late, clock=self.steady)
        ekf.predict(ekf.initial(np.zeros(3), np.eye(3)), 0.1, 0.1, settings.dt, self._noise)

    def ready_for(self, episode: Episode) -> bool:
        linked = self._link.get_publisher_count() > 0 and self._publisher.get_subscription_count() > 0
        return linked and self._reset_ns == episode.start_ns

    def _on_initial_pose(self, message: PoseWithCovarianceStamped) -> None:
        pose = message.pose.pose
        mean = np.array([pose.position.x, pose.position.y, yaw_of(pose.orientation)])
        covariance = np.array(message.pose.covariance).reshape(6, 6)[_PLANAR]
        if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
            self.get_logger().error("initialpose is not finite: rejected", throttle_duration_sec=5.0)
            return
        self._reset_ns = stamp_ns(message.header.stamp)
        self._estimate = ekf.initial(mean, covariance)
        self._stamp = 0
        self._smoothed = (0.0, 0.0)
        self._track.clear()
        self._doubt.clear()
        self._odometry.clear()
        self._pose.clear()
        self._judge()
        self.answer_ready()

    def clock_went_back(self, seconds: float) -> None:
        self._odometry.clear()
        self._pose.clear()
        self._doubt.clear()
        self._stamp = 0

    def _on_odometry(self, message: Odometry) -> None:
        if not self.active:
            return
        start = time.perf_counter()
        values = odometry_values(message)
        verdict = self._odometry.offer(values, stamp_ns(message.header.stamp), self.now_ns())
        if verdict == inputs.DUPLICATE and self._stamp and not self._fault:
            self._publisher.publish(self._message)
        if verdict != inputs.ACCEPTED or self._estimate is None:
            return
        stamp = self._odometry.stamp_ns
        reported = np.array(message.twist.covariance).reshape(6, 6)[_TWIST]
        self._noise = ekf.twist_covariance(reported, self.settings.v_deviation, self.settings.omega_deviation)
        elapsed = (stamp - self._stamp) / 1e9 if self._stamp else 0.0
        self._estimate = self._track.advance(self._estimate, values, elapsed, self._noise)
        v, omega = self._track.twist
        self._stamp = stamp
        keep = self.settings.velocity_smoothing
        self._smoothed = (
            (v, omega)
            if keep == 0.0
            else (keep * self._smoothed[0] + (1.0 - keep) * v, keep * self._smoothed[1] + (1.0 - keep) * omega)
        )
        self._arrived = time.monotonic()
        self._judge()
        if self._fault:
            return
        self._publish(self._estimate, stamp)
        if self._tf is not None:
            mean = self._estimate.mean
            self._tf.publish(stamp, compose_inverse((mean[0], mean[1], mean[2]), values[:3]))
        self._timing.add(time.perf_counter() - start)
        self._rate.tick()

    def _on_pose(self, message: PoseStamped | PoseWithCovarianceStamped) -> None:
        pose, covariance = planar_pose(message, self._pose_floor)
        values = (pose.position.x, pose.position.y, yaw_of(pose.orientation))
        verdict = self._pose.offer(values, stamp_ns(message.header.stamp), self.now_ns())
        if verdict != inputs.ACCEPTED or not self.active:
            return
        if self._estimate is None:
            self._estimate = ekf.initial(np.array(values), covariance)
            return
        missing = self._stamp and self._pose.stamp_ns - self._stamp > 1.5e9 * self.settings.dt
        if missing or self._track.doubtful:
            # Nobody knows how far the robot has gone since the estimate.
            self._doubt.pause()
            return
        self._estimate, self._distance, accepted = ekf.correct(
            self._estimate, np.array(values), covariance, self.settings.pose0_rejection_threshold
        )
        self._poses_rejected += not accepted
        self._doubt.judged(accepted, self._pose.stamp_ns, self._distance)
        if accepted:
            self._track.corrected(self._estimate)
        self._judge()

    def _judge(self) -> None:
        """Whether the state may be published; said at once when that changes."""
        fault = self._track.fault or self._doubt.fault
        if bool(fault) != bool(self._fault):
            self.get_logger().warning(fault or "the state is known again")
            self._fault = fault
            self.heartbeat()
        self._fault = fault

    def _predict_late(self) -> None:
        """Odometry is late: go on with the last twist for ``sensor_timeout``, then say nothing (the robot stops)."""
        late = time.monotonic() - self._arrived
        if not self.active or self._estimate is None or not self._stamp or self._fault:
            return
        if not 1.5 * self.settings.dt < late <= self.settings.sensor_timeout:
            return
        now = self.now_ns()
        if now <= self._stamp or (now - self._odometry.stamp_ns) / 1e9 > self.settings.sensor_timeout:
            return
        # Not kept: the odometry, when it comes, tells what really happened since its last message.
        guess = ekf.predict(self._estimate, *self._track.twist, (now - self._stamp) / 1e9, self._noise)
        self._predicted_only += 1
        self._publish(guess, now)

    def _publish(self, estimate: ekf.Estimate, stamp: int) -> None:
        mean, p = estimate.mean, estimate.covariance
        set_odometry(self._message, stamp, (mean[0], mean[1], mean[2], *self._smoothed))
        covariance = self._message.pose.covariance
        set_planar_covariance(covariance, p[0, 0], p[0, 1], p[1, 1], p[2, 2])
        covariance[5] = covariance[30] = p[0, 2]
        covariance[11] = covariance[31] = p[1, 2]
        set_planar_covariance(
            self._message.twist.covariance, self._noise[0, 0], 0.0, 1e-6, self._noise[1, 1]
        )
        self._publisher.publish(self._message)

    def diagnose(self, now: float) -> tuple[Any, str, dict[str, str]]:
        ros_now = self.now_ns()
        values = {
            "rate_hz": f"{self._rate.read(now):.1f}",
            "odometry_age_s": f"{self._odometry.age(ros_now):.3f}",
            "pose_age_s": f"{self._pose.age(ros_now):.3f}",
            "twists_gated": str(self._track.gated),
            "odometry_jumps": str(self._track.jumps),
            "poses_rejected": str(self._poses_rejected),
            "pose_distance": f"{self._distance:.2f}",
            "predicted_only": str(self._predicted_only),
            INITIAL_POSE: str(self._reset_ns),
            **{f"update_{key}": value for key, value in self._timing.summary_ms().items()},
        }
        for source in (self._odometry, self._pose):
            values |= {f"{source.name}: {reason}": str(count) for reason, count in source.rejected.items()}
        if self._estimate is None:
            return WARN, "no initial pose received", values
        if self._fault:
            return ERROR, self._fault, values
        if self._odometry.lost(ros_now):
            return WARN, self._odometry.describe(ros_now), values
        return OK, "estimating", values


def main() -> NoReturn:
    """Entry point of the executable ``state_estimator``."""
    run_process(StateEstimatorNode)


if __name__ == "__main__":
    main()

"""Emulated robot node: one body behind a driver's topics, for rehearsals of a deployment without the robot.

It speaks as the driver does: ``odom`` at the base's rate with its frames, covariances and spikes, ``cmd_vel`` of one
type, tf where tf2_msgs is installed, in wall time; it knows neither episodes nor arena.  ``mocap/pose`` and
``place`` (geometry_msgs/PoseStamped) stand for a tracker and for the hand that puts the robot somewhere.
"""

from __future__ import annotations

import math
import time
from typing import Any, NoReturn

import numpy as np
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry

from pe_core.plant import Plant
from pe_core.randomness import generator
from pe_core.robot import load_robot
from pe_nodes import qos
from pe_nodes.arena_game import Odometer
from pe_nodes.deployment_settings import MOCAP_TOPIC, EmulatedRobotSettings
from pe_nodes.devices import make_device
from pe_nodes.game_node import OK, GameNode
from pe_nodes.messages import (
    NANO,
    command_type,
    command_values,
    set_odometry,
    set_planar_covariance,
    set_pose,
    set_stamp,
    yaw_of,
)
from pe_nodes.node_process import run_process
from pe_nodes.robot_models import scaled
from pe_nodes.transforms import TransformPublisher

MOCAP_EVERY = 2
CATCH_UP = 0.5
"""A machine that stood still for longer [s] has lost that time; less is caught up with."""


class EmulatedRobotNode(GameNode):
    """Steps the body from a steady timer, as often as wall time has passed."""

    def __init__(self) -> None:
        super().__init__("emulated_robot", EmulatedRobotSettings())

    def setup(self, settings: EmulatedRobotSettings) -> None:
        self.settings = settings
        model = scaled(load_robot(settings.robot), settings.speed_ratio)
        self._plant = Plant(model, np.array([settings.x, settings.y, settings.heading]))
        self._device = device = make_device(settings.device, model)
        # Odometry by time, not by steps: 62 Hz are no whole number of them.
        self._period = 1.0 / device.odometry_rate
        noisy = settings.noise != "none"
        self._odometer = Odometer(
            generator(settings.seed, 0, self.get_namespace()), noisy, False, device.yaw_spikes
        )
        self._read = self._plant.state.copy()
        self._time = self._read_at = 0.0
        self._begun = time.monotonic()
        self._heard = self._turn = 0
        self._odometry = Odometry(child_frame_id=settings.base_frame)
        self._odometry.header.frame_id = settings.odom_frame
        if not device.zero_covariance:
            set_planar_covariance(self._odometry.pose.covariance, 1e-4, 0.0, 1e-4, 1e-4)
            set_planar_covariance(self._odometry.twist.covariance, 1e-4, 0.0, 1e-8, 1e-3)
        self._pose = PoseStamped()
        self._pose.header.frame_id = settings.map_frame
        self._odom = self.create_publisher(Odometry, "odom", qos.SENSOR)
        self._mocap = self.create_publisher(PoseStamped, MOCAP_TOPIC, qos.SENSOR) if settings.mocap else None
        self._tf = TransformPublisher(self, settings.odom_frame, settings.base_frame)
        self.create_subscription(command_type(settings.stamped_cmd_vel), "cmd_vel", self._on_command, qos.COMMAND)
        self.create_subscription(PoseStamped, "place", self._on_place, qos.EVENT)
        self.create_timer(settings.dt, self._on_timer, clock=self.steady)

    def _on_command(self, message: Any) -> None:
        self._heard += 1
        self._device.receive(*command_values(message), self._time)

    def _on_place(self, message: PoseStamped) -> None:
        # Lifted and put down: wheels and odometry do not know.
        pose = message.pose
        self._plant.state[:3] = (pose.position.x, pose.position.y, yaw_of(pose.orientation))
        self._read[:] = self._plant.state

    def _on_timer(self) -> None:
        now = time.monotonic() - self._begun
        dt = self.settings.dt
        if now - self._time > CATCH_UP:
            self._begun += now - self._time - dt
            now = self._time + dt
        while self._time + dt <= now + 1e-9:
            self._plant.follow(self._device.executed(self._time), dt)
            self._time += dt
            if self._time - self._read_at >= self._period - 0.5 * dt:
                self._publish_odometry()
        self._turn += 1
        if self._mocap is not None and self._turn % MOCAP_EVERY == 0:
            x, y, theta = self._plant.state[:3]
            set_stamp(self._pose.header.stamp, self._stamp())
            set_pose(self._pose.pose, x, y, theta)
            self._mocap.publish(self._pose)

    def _publish_odometry(self) -> None:
        self._odometer.step(self._plant.state, self._read, self._time - self._read_at)
        self._read[:], self._read_at = self._plant.state, self._time
        reading, stamp = self._odometer.reading, self._stamp() + round(self.settings.clock_offset * NANO)
        set_odometry(self._odometry, stamp, reading)
        self._odom.publish(self._odometry)
        self._tf.publish(stamp, (reading[0], reading[1], reading[2]))

    def _stamp(self) -> int:
        """Wall time [ns] of the body's last step."""
        behind = time.monotonic() - self._begun - self._time
        return int(self.get_clock().now().nanoseconds) - round(behind * NANO)

    def diagnose(self, now: float) -> tuple[Any, str, dict[str, str]]:
        x, y, theta, v, omega = self._plant.state
        values = {"x": f"{x:.3f}", "y": f"{y:.3f}", "heading_deg": f"{math.degrees(theta):.1f}"}
        values |= {"v": f"{v:.3f}", "omega": f"{omega:.3f}", "commands": str(self._heard)}
        return OK, "driving" if abs(v) + abs(omega) > 1e-3 else "standing", values


def main() -> NoReturn:
    """Entry point of the executable ``emulated_robot``."""
    run_process(EmulatedRobotNode)


if __name__ == "__main__":
    main()

"""Quality of service of every topic of the game."""

from __future__ import annotations

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy, qos_profile_sensor_data

SENSOR = qos_profile_sensor_data
COMMAND = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
STATE = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
EVENT = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
# Whoever comes late needs the episode that is being played, and why a robot stands still.
LATCHED = QoSProfile(
    depth=10, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)
CLOCK = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)

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
LOCKSTEP_DEPTH = 1000


def kept(profile: QoSProfile, lockstep: bool) -> QoSProfile:
    """The profile of a publisher whose messages are recorded; in lockstep the recorder must get every one.

    Then nothing is ever stale, everybody waits, and a history of one message would be gone before a recorder that
    the machine held up for a moment could ask for it again.
    """
    if not lockstep:
        return profile
    return QoSProfile(
        depth=LOCKSTEP_DEPTH, reliability=ReliabilityPolicy.RELIABLE, durability=profile.durability
    )

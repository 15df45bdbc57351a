"""Parameters of the nodes that only a deployment has: referee and emulated robot."""

from __future__ import annotations

import dataclasses

from pe_core.config import check_range, quantity
from pe_nodes.settings import DEVICES, NOISE

TRUTH = ("state", "mocap")
MOCAP_TOPIC = "mocap/pose"


@dataclasses.dataclass(frozen=True)
class RefereeSettings:
    """Parameters of the referee."""

    episodes: int = quantity(1, low=1, high=1_000_000, description="episodes to play, then the node ends")
    first_episode: int = quantity(0, low=0, high=1_000_000, description="index of the first episode")
    seed: int = quantity(0, low=0, high=2_147_483_647, description="seed of layouts")
    max_time: float = quantity(
        0.0, unit="s", low=0.0, high=3600.0, description="longest episode; 0: as the arena has it"
    )
    scenario: str = quantity("random", description="scenario, config/scenarios/<name>.yaml or a path")
    arena: str = quantity("turtlebot3", description="arena, config/arena/<name>.yaml or a path")
    pursuer_robot: str = quantity("turtlebot3_burger", description="robot profile of the pursuer")
    evader_robot: str = quantity("turtlebot3_burger", description="robot profile of the evader")
    speed_ratio: float = quantity(1.0, low=0.1, high=3.0, description="evader's speed over the pursuer's")
    pursuer_bundle: str = quantity("", description="SHA-256 of the policy that the pursuer must run; empty: any")
    evader_bundle: str = quantity("", description="SHA-256 of the policy that the evader must run; empty: any")
    pursuer_namespace: str = quantity("pursuer", description="namespace of the pursuer")
    evader_namespace: str = quantity("evader", description="namespace of the evader")
    truth: str = quantity("state", choices=TRUTH, description="what is judged: states, or a tracker's poses")
    truth_topic: str = quantity(MOCAP_TOPIC, description="geometry_msgs/PoseStamped below each robot's namespace")
    placed_by_hand: bool = quantity(
        True, description="wait for ~/robots_placed, then tell the estimators that the robots stand at their starts"
    )
    placement_deviation: float = quantity(
        0.02, unit="m", low=1e-3, high=1.0, description="deviation of a robot placed by hand"
    )
    placement_heading_deviation: float = quantity(
        0.04, unit="rad", low=1e-3, high=1.0, description="the same of its heading"
    )
    start_tolerance: float = quantity(
        0.15, unit="m", low=0.01, high=100.0, description="a robot further from its start does not begin"
    )
    start_heading_tolerance: float = quantity(
        0.35, unit="rad", low=0.01, high=3.2, description="the same for its heading"
    )
    truth_timeout: float = quantity(
        1.0, unit="s", low=0.1, high=5.0, description="poses missing for longer interrupt the episode"
    )
    recorded: bool = quantity(False, description="wait for /evaluation_recorder and its links with both policies")
    map_frame: str = quantity("map", description="frame of the arena")

    def __post_init__(self) -> None:
        check_range(self, type(self).__name__)


@dataclasses.dataclass(frozen=True)
class EmulatedRobotSettings:
    """Parameters of an emulated robot."""

    robot: str = quantity("turtlebot3_burger", description="robot profile, config/robots/<name>.yaml or a path")
    device: str = quantity("turtlebot3", choices=DEVICES, description="whose habits the base has")
    speed_ratio: float = quantity(1.0, low=0.1, high=3.0, description="scales the robot's speed limits")
    x: float = quantity(0.0, unit="m", low=-100.0, high=100.0, description="start in the map frame")
    y: float = quantity(0.0, unit="m", low=-100.0, high=100.0, description="start in the map frame")
    heading: float = quantity(0.0, unit="rad", low=-6.3, high=6.3, description="start in the map frame")
    noise: str = quantity("none", choices=NOISE, description="noise of odometry")
    seed: int = quantity(0, low=0, high=2_147_483_647, description="seed of the noise")
    dt: float = quantity(0.01, unit="s", low=0.001, high=0.05, description="step of the body's motion")
    clock_offset: float = quantity(
        0.0, unit="s", low=-60.0, high=60.0, description="by how much this robot's clock is ahead of the others'"
    )
    stamped_cmd_vel: bool = quantity(True, description="the driver takes TwistStamped (Jazzy), not Twist")
    mocap: bool = quantity(True, description="a tracker publishes the true pose on mocap/pose, 50 Hz")
    map_frame: str = quantity("map", description="frame of the tracker's poses")
    odom_frame: str = quantity("odom", description="frame of odometry")
    base_frame: str = quantity("base_link", description="frame of the robot's body")

    def __post_init__(self) -> None:
        check_range(self, type(self).__name__)

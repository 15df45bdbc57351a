"""Parameters of every node, declared once with units and bounds; ROS parameters are declared from these."""

from __future__ import annotations

import dataclasses
from typing import Any

from pe_core.config import ConfigurationError, check_range, quantity
from pe_core.paths import BOUNDARY
from pe_core.roles import ROLES

NOISE = ("none", "turtlebot3")
DEVICES = ("ideal", "turtlebot3", "create3")
# What a driver with a watchdog before it listens to, below the robot's namespace.
DRIVER_TOPIC = "driver/cmd_vel"
RELIABILITIES = ("reliable", "best_effort", "latched")


def bag_size_quantity() -> Any:
    """How large a file of a bag may become; the same wherever it is asked for."""
    return quantity(
        512, unit="MB", low=0, high=1_000_000, description="size at which the next file of the bag is begun; 0: never"
    )


@dataclasses.dataclass(frozen=True)
class RobotSettings:
    """What every node of one robot knows."""

    role: str = quantity("pursuer", choices=ROLES, description="which of the two robots this is")
    robot: str = quantity("reference", description="robot profile, config/robots/<name>.yaml or a path")
    opponent_robot: str = quantity("reference", description="robot profile of the opponent")
    speed_ratio: float = quantity(1.0, low=0.1, high=3.0, description="evader's speed over the pursuer's")
    dt: float = quantity(0.05, unit="s", low=0.01, high=0.2, description="control period")
    lockstep: bool = quantity(False, description="the simulator waits for every command: wait for every input")
    map_frame: str = quantity("map", description="frame of poses in state")
    odom_frame: str = quantity("odom", description="frame of poses in odom")
    base_frame: str = quantity("base_link", description="frame of the robot's body")
    future_tolerance: float = quantity(
        0.1, unit="s", low=0.0, high=1.0, description="stamps further in the future are rejected"
    )

    def __post_init__(self) -> None:
        check_range(self, type(self).__name__)


@dataclasses.dataclass(frozen=True)
class PolicySettings(RobotSettings):
    """Parameters of the policy node."""

    bundle: str = quantity("lead", description="policy bundle, models/<name> or a path")
    state_timeout: float = quantity(0.3, unit="s", low=0.05, high=0.5, description="older own state: no command")
    opponent_timeout: float = quantity(
        0.5, unit="s", low=0.05, high=0.5, description="older opponent state: no command"
    )
    body_margin: float = quantity(
        0.0, unit="m", low=0.0, high=2.0, description="what the filter's margins add to the own body's radius"
    )
    pairing_wait: float = quantity(
        0.01, unit="s", low=0.0, high=0.1, description="wait for the opponent's state of the same instant"
    )


@dataclasses.dataclass(frozen=True)
class SafetySettings(RobotSettings):
    """Parameters of the safety node beside those of the filter."""

    profile: str = quantity("rcbf", description="filter parameters, config/safety/<name>.yaml or a path")
    feasibility: str = quantity(
        BOUNDARY, description="who warns of infeasible states, models/feasibility/<name>.npz or a path; empty: nobody"
    )
    publish_rate: float = quantity(20.0, unit="Hz", low=20.0, high=50.0, description="rate of the node's own timer")
    nominal_timeout: float = quantity(0.3, unit="s", low=0.05, high=0.5, description="older nominal command: stop")
    state_timeout: float = quantity(0.3, unit="s", low=0.05, high=0.5, description="older own state: stop")
    opponent_timeout: float = quantity(
        0.5, unit="s", low=0.05, high=0.5, description="margin grows up to this age of the opponent's state, then stop"
    )
    prediction_limit: float = quantity(
        0.2, unit="s", low=0.0, high=0.5, description="longest prediction of a state to the time of actuation"
    )
    clock_guard: float = quantity(
        0.5, unit="s", low=0.1, high=10.0, description="wall time without a cycle after which zeros are published"
    )
    stamped_cmd_vel: bool = quantity(True, description="cmd_vel is TwistStamped (Jazzy), not Twist")
    jump_tolerance: float = quantity(
        0.1, unit="m", low=0.0, high=10.0, description="a state may step so much further than a robot moves"
    )
    turn_tolerance: float = quantity(0.3, unit="rad", low=0.0, high=3.2, description="the same for its heading")
    require_arming: bool = quantity(False, description="nothing moves before the service ~/arm, every episode anew")
    stop_timeout: float = quantity(
        0.0, unit="s", low=0.0, high=10.0, description="silence on /emergency_stop that counts as a stop; 0: none does"
    )


@dataclasses.dataclass(frozen=True)
class EstimatorSettings(RobotSettings):
    """Parameters of the state estimator; names follow robot_localization where it has one."""

    sensor_timeout: float = quantity(
        0.2, unit="s", low=0.01, high=0.5, description="prediction goes on this long without odometry"
    )
    pose0_rejection_threshold: float = quantity(
        4.0, low=0.1, high=100.0, description="Mahalanobis distance beyond which an absolute pose is rejected"
    )
    pose0_rejection_time: float = quantity(
        1.0, unit="s", low=0.1, high=60.0, description="absolute poses rejected for so long: no state is published"
    )
    pose0_stamped: bool = quantity(
        False, description="pose is geometry_msgs/PoseStamped, as trackers say it, not PoseWithCovarianceStamped"
    )
    pose0_deviation: float = quantity(
        1e-4, unit="m", low=1e-4, high=1.0, description="least deviation of an absolute position"
    )
    pose0_heading_deviation: float = quantity(
        1e-4, unit="rad", low=1e-4, high=1.0, description="least deviation of an absolute heading"
    )
    publish_tf: bool = quantity(True, description="publish map -> odom where tf2_msgs is installed")
    v_deviation: float = quantity(0.02, unit="m/s", low=1e-4, high=1.0, description="least deviation of odometry's v")
    omega_deviation: float = quantity(
        0.05, unit="rad/s", low=1e-4, high=5.0, description="least deviation of odometry's omega"
    )
    gate_factor: float = quantity(
        1.5, low=1.0, high=10.0, description="odometry beyond this multiple of the robot's limits is a spike"
    )
    velocity_smoothing: float = quantity(
        0.0, low=0.0, high=0.95, description="weight of the last velocity in the published one; 0: as measured"
    )


@dataclasses.dataclass(frozen=True)
class WatchdogSettings:
    """Parameters of the watchdog, which runs on the robot itself."""

    role: str = quantity("pursuer", choices=ROLES, description="which of the two robots this is")
    robot: str = quantity("reference", description="robot profile, config/robots/<name>.yaml or a path")
    speed_ratio: float = quantity(1.0, low=0.1, high=3.0, description="evader's speed over the pursuer's")
    timeout: float = quantity(
        0.2, unit="s", low=0.05, high=5.0, description="zeros are sent this long after the last fresh command"
    )
    publish_rate: float = quantity(25.0, unit="Hz", low=20.0, high=100.0, description="rate of zeros while stopped")
    synchronised_clocks: bool = quantity(
        True, description="header stamps count too: the clocks of sender and robot agree"
    )
    future_tolerance: float = quantity(
        0.1, unit="s", low=0.0, high=1.0, description="stamps further in the future are rejected"
    )
    limit_tolerance: float = quantity(
        0.02, low=0.0, high=0.5, description="share of the limits by which a command may exceed them"
    )
    stop_timeout: float = quantity(
        0.0, unit="s", low=0.0, high=10.0, description="silence on /emergency_stop that counts as a stop; 0: none does"
    )
    stamped_input: bool = quantity(True, description="cmd_vel is TwistStamped (Jazzy), not Twist")
    stamped_output: bool = quantity(True, description="the driver takes TwistStamped (Jazzy), not Twist")
    base_frame: str = quantity("base_link", description="frame of the robot's body")

    def __post_init__(self) -> None:
        check_range(self, type(self).__name__)


@dataclasses.dataclass(frozen=True)
class SimSettings:
    """Parameters of the arena simulator."""

    episodes: int = quantity(1, low=1, high=1_000_000, description="episodes to play, then the node ends")
    first_episode: int = quantity(0, low=0, high=1_000_000, description="index of the first episode")
    seed: int = quantity(0, low=0, high=2_147_483_647, description="seed of layouts and noise")
    scenario: str = quantity("random", description="scenario, config/scenarios/<name>.yaml or a path")
    arena: str = quantity("reference", description="arena, config/arena/<name>.yaml or a path")
    pursuer_robot: str = quantity("reference", description="robot profile of the pursuer")
    evader_robot: str = quantity("reference", description="robot profile of the evader")
    speed_ratio: float = quantity(1.0, low=0.1, high=3.0, description="evader's speed over the pursuer's")
    pursuer_device: str = quantity("ideal", choices=DEVICES, description="whose habits the pursuer's base has")
    evader_device: str = quantity("ideal", choices=DEVICES, description="whose habits the evader's base has")
    rate: float = quantity(
        1.0, low=0.0, high=100.0, description="simulated over wall time; 0: lockstep, as fast as it goes"
    )
    noise: str = quantity("none", choices=NOISE, description="noise of odometry")
    stamped_cmd_vel: bool = quantity(True, description="cmd_vel is TwistStamped (Jazzy), not Twist")
    expected_nodes: tuple[str, ...] = quantity((), description="nodes that must answer before an episode begins")
    answer_timeout: float = quantity(
        5.0, unit="s", low=0.2, high=60.0, description="lockstep: wall time without a command before it is reported"
    )
    ready_timeout: float = quantity(
        60.0, unit="s", low=1.0, high=600.0, description="wall time in which the expected nodes must be ready"
    )
    map_frame: str = quantity("map", description="frame of ground truth")
    odom_frame: str = quantity("odom", description="frame of odometry; {ns} becomes the robot's namespace")
    base_frame: str = quantity("base_link", description="frame of a robot's body; {ns} becomes its namespace")

    def __post_init__(self) -> None:
        check_range(self, type(self).__name__)

    @property
    def devices(self) -> tuple[str, str]:
        """Devices of pursuer and evader."""
        return self.pursuer_device, self.evader_device


@dataclasses.dataclass(frozen=True)
class FaultSettings:
    """Parameters of the fault injector."""

    plan: str = quantity('{"faults": []}', description="JSON object with seed and faults, as in config/faults")
    rate: float = quantity(1.0, low=0.01, high=100.0, description="simulated over wall time")
    dt: float = quantity(0.05, unit="s", low=0.01, high=0.2, description="control period")
    poses: bool = quantity(False, description="the run has absolute poses")

    def __post_init__(self) -> None:
        check_range(self, type(self).__name__)


@dataclasses.dataclass(frozen=True)
class RecorderSettings:
    """Parameters of the evaluation recorder."""

    out: str = quantity("out", description="directory of the run; the bag is written to <out>/bag")
    topics: tuple[str, ...] = quantity((), description="what is recorded, each 'topic type reliability'")
    required: tuple[str, ...] = quantity((), description="topics that must have a publisher before an episode begins")
    manifest: str = quantity("{}", description="JSON object kept in the bag's metadata under the key 'pe'")
    bag_size: int = bag_size_quantity()
    drain_time: float = quantity(
        0.3, unit="s", low=0.0, high=5.0, description="time to receive what is on its way when the node is stopped"
    )

    def __post_init__(self) -> None:
        check_range(self, type(self).__name__)
        for entry in self.topics:
            words = entry.split()
            if len(words) != 3 or words[2] not in RELIABILITIES:
                raise ConfigurationError(
                    f"topics: {entry!r}: allowed: 'topic type reliability' such as "
                    f"'/clock rosgraph_msgs/msg/Clock best_effort'; reliability: {', '.join(RELIABILITIES)}"
                )

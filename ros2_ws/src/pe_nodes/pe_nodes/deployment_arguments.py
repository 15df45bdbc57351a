"""Arguments of ``robot.launch.py`` and ``arena.launch.py``, declared once for both launchers; pure."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from pe_core.config import ConfigurationError, quantity
from pe_core.paths import BOUNDARY, config_names
from pe_core.roles import ROLES, USUAL
from pe_nodes.deployment_settings import MOCAP_TOPIC, TRUTH
from pe_nodes.launch_arguments import log_level_quantity
from pe_nodes.settings import DEVICES, DRIVER_TOPIC, NOISE, bag_size_quantity
from pe_safety.parameters import check_mechanism

LOCALISATION = ("odom", "amcl", "mocap", "apriltag")
ESTIMATORS = ("own", "robot_localization")
REFEREE = "referee"
BASE_FRAMES = {"turtlebot3": "base_footprint"}
"""Frame of the body that the odometry of a robot or device has, by the first word of its name; others: base_link."""


def base_frame_of(name: str) -> str:
    """What the driver of a robot profile, or of a device, calls its body."""
    return BASE_FRAMES.get(name.partition("_")[0], "base_link")


@dataclasses.dataclass(frozen=True)
class PoseSource:
    """Where absolute poses come from: topic below the namespace, PoseStamped or PoseWithCovarianceStamped, and the
    least deviations [m, rad] that are believed."""

    topic: str
    stamped: bool
    deviation: float
    heading_deviation: float


POSES = {
    "amcl": PoseSource("amcl_pose", False, 0.02, 0.03),
    "mocap": PoseSource(MOCAP_TOPIC, True, 0.005, 0.01),
    "apriltag": PoseSource("apriltag/pose", True, 0.03, 0.05),
}


def _check_filter(safety: str, policies: tuple[str, ...]) -> None:
    if safety == "none":
        known = ", ".join(config_names("safety"))
        raise ConfigurationError(f"safety = 'none': refused: every robot stands behind a filter; allowed: {known}")
    check_mechanism(safety, policies)


@dataclasses.dataclass(frozen=True)
class RobotArguments:
    """What ``robot.launch.py`` may be told."""

    role: str = quantity("pursuer", choices=ROLES, description="which of the two robots this is")
    namespace: str = quantity("auto", description="namespace of this robot; auto: its role")
    robot: str = quantity("turtlebot3_burger", description="robot profile, config/robots/<name>.yaml or a path")
    opponent: str = quantity("auto", description="robot profile of the opponent; auto: the same")
    opponent_namespace: str = quantity("auto", description="namespace of the opponent; auto: its role")
    localisation: str = quantity("odom", choices=LOCALISATION, description="who says where the robot is")
    pose_topic: str = quantity("auto", description="absolute poses; auto: as the localisation has it")
    estimator: str = quantity("own", choices=ESTIMATORS, description="who makes the state of odometry and poses")
    policy: str = quantity("auto", description="policy bundle, models/<name> or a path; auto: the role's own")
    safety: str = quantity("rcbf_robust", description="safety filter, config/safety/<name>.yaml or a path")
    feasibility: str = quantity(
        BOUNDARY, description="who warns of infeasible states, models/feasibility/<name>.npz or a path; empty: nobody"
    )
    arena: str = quantity("auto", description="arena, config/arena/<name>.yaml or a path; auto: the robot's own")
    speed_ratio: float = quantity(1.0, low=0.1, high=3.0, description="evader's speed over the pursuer's")
    frames: str = quantity(
        "auto", choices=("auto", "plain", "prefixed"),
        description="odom with /tf in the namespace, or <namespace>/odom with one /tf; auto: TurtleBot3 prefixes",
    )  # fmt: skip
    base_frame: str = quantity(
        "auto", description="child frame of odom, without namespace; auto: base_footprint of a TurtleBot3, base_link"
    )
    stamped_cmd_vel: bool = quantity(True, description="the driver takes TwistStamped (Jazzy), not Twist")
    watchdog: bool = quantity(True, description="a watchdog between safety node and driver")
    driver_topic: str = quantity(
        DRIVER_TOPIC, description="what the driver listens to; cmd_vel where it cannot be remapped"
    )
    synchronised_clocks: bool = quantity(True, description="the watchdog counts header stamps too")
    stop_timeout: float = quantity(
        1.0, unit="s", low=0.0, high=10.0, description="silence on /emergency_stop that counts as a stop; 0: none does"
    )
    use_sim_time: bool = quantity(False, description="time from /clock: in a simulator that is not ours")
    record: bool = quantity(True, description="record what this robot hears and says")
    out: str = quantity("out", description="directory of the bag")
    bag_size: int = bag_size_quantity()
    log_level: str = log_level_quantity()

    LAST: ClassVar[str] = ""
    ON_ONE_MACHINE: ClassVar[bool] = False
    REPORTED: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _check_filter(self.safety, (self.bundle,))
        for key in ("namespace", "opponent_namespace", "base_frame", "driver_topic", "out"):
            if not getattr(self, key).strip("/"):
                raise ConfigurationError(f"{key} = {getattr(self, key)!r}: allowed: a name")
        if self.own == self.other:
            raise ConfigurationError(f"opponent_namespace = {self.other!r}: allowed: another than the robot's own")
        if not self.watchdog and self.driver_topic not in (DRIVER_TOPIC, "cmd_vel"):
            raise ConfigurationError(
                f"driver_topic = {self.driver_topic!r}: allowed: cmd_vel, for without a watchdog nobody relays"
            )

    @property
    def own(self) -> str:
        """This robot's namespace."""
        return self.role if self.namespace == "auto" else self.namespace.strip("/")

    @property
    def other(self) -> str:
        """The opponent's namespace."""
        other = ROLES[1 - ROLES.index(self.role)]
        return other if self.opponent_namespace == "auto" else self.opponent_namespace.strip("/")

    @property
    def bundle(self) -> str:
        """The policy that ``policy`` stands for."""
        return USUAL[self.role] if self.policy == "auto" else self.policy

    @property
    def opponent_robot(self) -> str:
        """The profile that ``opponent`` stands for."""
        return self.robot if self.opponent == "auto" else self.opponent

    @property
    def prefixed(self) -> bool:
        """Whether frames carry the namespace."""
        return self.frames == "prefixed" or (self.frames == "auto" and self.robot.startswith("turtlebot3"))

    @property
    def body_frame(self) -> str:
        """Frame of the body, with the namespace where frames carry it."""
        frame = base_frame_of(self.robot) if self.base_frame == "auto" else self.base_frame.strip("/")
        return f"{self.own}/{frame}" if self.prefixed else frame


@dataclasses.dataclass(frozen=True)
class ArenaArguments:
    """What ``arena.launch.py`` may be told; what the robots run is named here to be checked and recorded."""

    episodes: int = quantity(1, low=1, high=1_000_000, description="episodes to play")
    first_episode: int = quantity(0, low=0, high=1_000_000, description="index of the first episode")
    seed: int = quantity(0, low=0, high=2_147_483_647, description="seed of layouts")
    scenario: str = quantity("random", description="scenario, config/scenarios/<name>.yaml or a path")
    arena: str = quantity("auto", description="arena, config/arena/<name>.yaml or a path; auto: the robot's own")
    max_time: float = quantity(
        0.0, unit="s", low=0.0, high=3600.0, description="longest episode; 0: as the arena has it"
    )
    robot: str = quantity("turtlebot3_burger", description="robot profile of the pursuer")
    opponent: str = quantity("auto", description="robot profile of the evader; auto: the same")
    speed_ratio: float = quantity(1.0, low=0.1, high=3.0, description="evader's speed over the pursuer's")
    pursuer: str = quantity(USUAL["pursuer"], description="policy bundle that the pursuer runs")
    evader: str = quantity(USUAL["evader"], description="policy bundle that the evader runs")
    safety: str = quantity("rcbf_robust", description="safety filter that both run")
    feasibility: str = quantity(BOUNDARY, description="who warns of infeasible states; empty: nobody")
    pursuer_namespace: str = quantity("pursuer", description="namespace of the pursuer")
    evader_namespace: str = quantity("evader", description="namespace of the evader")
    localisation: str = quantity("odom", choices=LOCALISATION, description="as the robots have it")
    truth: str = quantity(
        "state", choices=TRUTH, description="what is judged: the robots' states, or a tracker's poses (mocap)"
    )
    truth_topic: str = quantity(MOCAP_TOPIC, description="geometry_msgs/PoseStamped below each namespace")
    start_tolerance: float = quantity(
        0.15, unit="m", low=0.01, high=100.0, description="a robot further from its start does not begin"
    )
    stamped_cmd_vel: bool = quantity(True, description="cmd_vel is TwistStamped (Jazzy), not Twist")
    watchdog: bool = quantity(True, description="the robots have watchdogs, whose commands are recorded too")
    driver_topic: str = quantity(DRIVER_TOPIC, description="what the drivers listen to")
    use_sim_time: bool = quantity(False, description="time from /clock: in a simulator that is not ours")
    record: bool = quantity(True, description="record a bag, and report when the run is over")
    out: str = quantity("out", description="directory of the run: bag, metrics and report")
    bag_size: int = bag_size_quantity()
    log_level: str = log_level_quantity()

    LAST: ClassVar[str] = REFEREE
    ON_ONE_MACHINE: ClassVar[bool] = False
    REPORTED: ClassVar[bool] = True

    # What the identity of a simulated run has and a robot has not.
    noise: ClassVar[str] = "none"
    base: ClassVar[str] = "ideal"

    def __post_init__(self) -> None:
        _check_filter(self.safety, (self.pursuer, self.evader))
        if not self.out:
            raise ConfigurationError("out = '': allowed: a directory")
        if self.pursuer_namespace.strip("/") == self.evader_namespace.strip("/"):
            raise ConfigurationError(f"evader_namespace = {self.evader_namespace!r}: allowed: not the pursuer's")

    @property
    def namespaces(self) -> tuple[str, str]:
        """Of pursuer and evader."""
        return self.pursuer_namespace.strip("/"), self.evader_namespace.strip("/")

    @property
    def opponent_robot(self) -> str:
        """The profile that ``opponent`` stands for."""
        return self.robot if self.opponent == "auto" else self.opponent


@dataclasses.dataclass(frozen=True)
class EmulatedArguments:
    """What ``emulated_robot.launch.py`` may be told; the robot begins at its start of a scenario."""

    role: str = quantity("pursuer", choices=ROLES, description="which of the two robots this is")
    namespace: str = quantity("auto", description="namespace of this robot; auto: its role")
    robot: str = quantity("turtlebot3_burger", description="robot profile, config/robots/<name>.yaml or a path")
    opponent: str = quantity("auto", description="robot profile of the opponent; auto: the same")
    arena: str = quantity("auto", description="arena, config/arena/<name>.yaml or a path; auto: the robot's own")
    scenario: str = quantity("random", description="scenario, config/scenarios/<name>.yaml or a path")
    seed: int = quantity(0, low=0, high=2_147_483_647, description="seed of layouts")
    episode: int = quantity(0, low=0, high=1_000_000, description="index of the episode whose start is meant")
    device: str = quantity(
        "auto", choices=("auto", *DEVICES), description="whose habits the base has; auto: those of the robot"
    )
    noise: str = quantity("none", choices=NOISE, description="noise of odometry")
    stamped_cmd_vel: bool = quantity(True, description="the driver takes TwistStamped (Jazzy), not Twist")
    driver_topic: str = quantity(DRIVER_TOPIC, description="what the driver listens to")
    clock_offset: float = quantity(
        0.0, unit="s", low=-60.0, high=60.0, description="by how much its clock is ahead of the others'"
    )
    log_level: str = log_level_quantity()

    # Nothing is recorded.
    out: ClassVar[str] = ""
    record: ClassVar[bool] = False
    LAST: ClassVar[str] = ""
    ON_ONE_MACHINE: ClassVar[bool] = False
    REPORTED: ClassVar[bool] = False

    @property
    def base(self) -> str:
        """The device that ``device`` stands for."""
        if self.device != "auto":
            return self.device
        return {"turtlebot3": "turtlebot3", "turtlebot4": "create3"}.get(self.robot.partition("_")[0], "ideal")

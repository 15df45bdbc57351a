"""The two robots of a game from the names and the speed ratio in a node's settings; pure."""

from __future__ import annotations

from pe_core.robot import RobotModel, load_robot
from pe_nodes.settings import RobotSettings


def models(settings: RobotSettings) -> tuple[RobotModel, RobotModel]:
    """(own, opponent); the speed ratio scales whichever is the evader.

    Raises:
        ConfigurationError: a profile is unknown or not valid.
    """
    own, opponent = load_robot(settings.robot), load_robot(settings.opponent_robot)
    if settings.role == "evader":
        return scaled(own, settings.speed_ratio), opponent
    return own, scaled(opponent, settings.speed_ratio)


def scaled(robot: RobotModel, ratio: float) -> RobotModel:
    """The robot with its speed scaled; the very same object where the ratio is one."""
    return robot if ratio == 1.0 else robot.with_speed_ratio(ratio)

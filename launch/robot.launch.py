"""One robot: estimator, policy, safety node, watchdog and recorder, in wall time, next to its driver.

Under ROS 2: ``ros2 launch pe_bringup robot.launch.py role:=pursuer robot:=turtlebot3_burger``; without: ``./pe launch
robot.launch.py ...``.  Nothing moves before the robot is armed (docs/deployment.md).
"""

from pe_nodes import launch_actions
from pe_nodes.deployment_arguments import RobotArguments as ARGUMENTS
from pe_nodes.deployment_graph import robot_records as records

__all__ = ["ARGUMENTS", "generate_launch_description", "records"]


def generate_launch_description():
    """The robot as launch_ros actions."""
    return launch_actions.description(ARGUMENTS, records)

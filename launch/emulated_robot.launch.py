"""A robot that is not there: its driver's topics, for a rehearsal of docs/deployment.md.

Under ROS 2: ``ros2 launch pe_bringup emulated_robot.launch.py role:=pursuer scenario:=checks/wall``; without:
``./pe launch emulated_robot.launch.py ...``.
"""

from pe_nodes import launch_actions
from pe_nodes.deployment_arguments import EmulatedArguments as ARGUMENTS
from pe_nodes.deployment_graph import emulated_records as records

__all__ = ["ARGUMENTS", "generate_launch_description", "records"]


def generate_launch_description():
    """The emulated robot as launch_ros actions."""
    return launch_actions.description(ARGUMENTS, records)

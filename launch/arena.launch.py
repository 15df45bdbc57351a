"""The referee's machine: rules, scoring, markers, emergency stop, recorder of both robots, report.

Under ROS 2: ``ros2 launch pe_bringup arena.launch.py robot:=turtlebot3_burger``; without: ``./pe launch
arena.launch.py ...``.  The robots run robot.launch.py (docs/deployment.md).
"""

from pe_nodes import launch_actions
from pe_nodes.deployment_arguments import ArenaArguments as ARGUMENTS
from pe_nodes.deployment_graph import arena_records as records

__all__ = ["ARGUMENTS", "generate_launch_description", "records"]


def generate_launch_description():
    """The referee's machine as launch_ros actions."""
    return launch_actions.description(ARGUMENTS, records)

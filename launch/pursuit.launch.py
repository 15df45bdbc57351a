"""A chase: simulator, and for each robot estimator, policy and safety node; recorder; report.

Under ROS 2: ``ros2 launch pe_bringup pursuit.launch.py episodes:=10 rate:=0``; without: ``./pe launch
pursuit.launch.py ...``.  Both start the records of :func:`pe_nodes.graph.records`.
"""

from pe_nodes import launch_actions
from pe_nodes.graph import records
from pe_nodes.launch_arguments import LaunchArguments as ARGUMENTS

__all__ = ["ARGUMENTS", "generate_launch_description", "records"]


def generate_launch_description():
    """The run as launch_ros actions."""
    return launch_actions.description(ARGUMENTS, records)

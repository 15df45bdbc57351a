"""A chase in Gazebo: the nodes of pursuit.launch.py, with a gzserver that moves the robots.

Under ROS 2: ``ros2 launch pe_bringup gazebo.launch.py episodes:=10 rate:=0 physics:=slippery``; without: ``./pe launch
gazebo.launch.py ...``.  ``./pe setup gazebo`` installs Gazebo.
"""

from pe_gazebo.launch_records import GazeboArguments as ARGUMENTS
from pe_gazebo.launch_records import records
from pe_nodes import launch_actions

__all__ = ["ARGUMENTS", "generate_launch_description", "records"]


def generate_launch_description():
    """The run as launch_ros actions."""
    return launch_actions.description(ARGUMENTS, records)

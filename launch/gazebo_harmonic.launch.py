"""A chase in Gazebo Harmonic, through ros_gz: Gazebo's robots are two robots under a tracker (docs/gazebo.md).

``ros2 launch pe_bringup gazebo_harmonic.launch.py robot:=turtlebot3_burger``.  Nothing moves before both are armed:
``./pe robot arm pursuer evader``.  Written by the documentation of gz-sim 8 and ros_gz; it has not been run.
"""

from pathlib import Path

from pe_gazebo import harmonic
from pe_gazebo.harmonic_run import HarmonicArguments as ARGUMENTS
from pe_gazebo.harmonic_run import records, server_words, write_files
from pe_nodes import launch_actions, launch_arguments

__all__ = ["ARGUMENTS", "generate_launch_description", "records"]


def generate_launch_description():
    """Our nodes as launch_ros actions, then Gazebo, its robots and the bridge."""
    from launch.actions import OpaqueFunction

    description = launch_actions.description(ARGUMENTS, records)
    description.add_action(OpaqueFunction(function=_simulator))
    return description


def _simulator(context):
    from ament_index_python.packages import get_package_share_directory
    from launch.actions import IncludeLaunchDescription
    from launch.launch_description_sources import PythonLaunchDescriptionSource
    from launch_ros.actions import Node

    known = {row[0] for row in launch_arguments.table(ARGUMENTS)}
    given = {name: value for name, value in context.launch_configurations.items() if name in known}
    arguments = launch_arguments.from_texts(given, ARGUMENTS)
    # Beside the bag: the directory was prepared by the action before.
    files = write_files(arguments, Path(arguments.out).expanduser().resolve() / "gazebo")
    server = Path(get_package_share_directory("ros_gz_sim")) / "launch" / "gz_sim.launch.py"
    actions = [
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(str(server)),
            launch_arguments={"gz_args": server_words(arguments, files.world), "on_exit_shutdown": "true"}.items(),
        ),
        Node(
            package="ros_gz_bridge",
            executable="parameter_bridge",
            name="gazebo_bridge",
            parameters=[{"config_file": str(files.bridge)}],
            output="screen",
        ),
    ]
    for role, (x, y, yaw) in files.starts.items():
        spawned = {"world": harmonic.WORLD, "name": role, "file": str(files.models[role]), "x": x, "y": y, "Y": yaw}
        actions.append(
            Node(
                package="ros_gz_sim",
                executable="create",
                name="create",
                namespace=role,
                parameters=[spawned],
                output="screen",
            )
        )
    return actions

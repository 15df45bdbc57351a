"""A chase: simulator, and for each robot estimator, policy and safety node; recorder; report.

Under ROS 2: ``ros2 launch pe_bringup pursuit.launch.py episodes:=10 rate:=0``; without: ``./pe launch
pursuit.launch.py ...``.  Both start the records of :func:`pe_nodes.graph.records`.
"""

import sys
import uuid
from pathlib import Path

from pe_nodes import kernels, launch_arguments
from pe_nodes.child_environment import RUN_TOKEN
from pe_nodes.graph import RECORDER, RESPAWN_DELAY, SIM, environment_of, records
from pe_nodes.run_directory import prepare

__all__ = ["generate_launch_description", "records"]


def generate_launch_description():
    """The run as launch_ros actions; launch_ros is imported here, for the records need none of it."""
    from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable

    from launch import LaunchDescription

    declared = [
        DeclareLaunchArgument(name, default_value=default, description=f"{description} ({allowed})")
        for name, default, allowed, description in launch_arguments.table()
    ]
    single_thread = SetEnvironmentVariable("OMP_NUM_THREADS", "1")
    token = SetEnvironmentVariable(RUN_TOKEN, uuid.uuid4().hex)
    return LaunchDescription([*declared, single_thread, token, OpaqueFunction(function=_actions)])


def _actions(context):
    from launch.actions import RegisterEventHandler, SetEnvironmentVariable, Shutdown
    from launch.event_handlers import OnProcessExit
    from launch_ros.actions import Node

    known = {row[0] for row in launch_arguments.table()}
    # Words of the command line are all ours, so an unknown one is refused; configurations of a launch file that
    # includes this one are not.
    words = {word.partition(":=")[0] for word in sys.argv[1:] if ":=" in word}
    given = {name: value for name, value in context.launch_configurations.items() if name in known | words}
    arguments = launch_arguments.from_texts(given)
    given_out, out = arguments.out, Path(arguments.out).expanduser().resolve()
    nodes = records(launch_arguments.with_out(arguments, out))
    # Last: a run that is refused moves no earlier one aside.
    prepare(given_out)
    kernels.compile_once(print)
    actions = [SetEnvironmentVariable(name, value) for name, value in environment_of(nodes).items()]
    for record in nodes:
        action = Node(
            package=record.package,
            executable=record.executable,
            name=record.name,
            namespace=record.namespace,
            parameters=[record.parameters],
            remappings=list(record.remappings.items()),
            ros_arguments=["--log-level", arguments.log_level],
            output="screen",
            sigterm_timeout="5",
            respawn=record.respawn,
            respawn_delay=RESPAWN_DELAY,
        )
        actions.append(action)
        if record.respawn:
            continue
        # The simulator ends when all episodes are played; any other node that ends is a failure of the run.
        reason = "all episodes are played" if record.name == SIM else f"{record.full_name} ended"
        actions.append(
            RegisterEventHandler(OnProcessExit(target_action=action, on_exit=[Shutdown(reason=reason)]))
        )
        if record.name == RECORDER:
            actions.append(
                Node(
                    package="pe_evaluation",
                    executable="report",
                    arguments=[str(out), "--wait"],
                    output="screen",
                    sigterm_timeout="30",
                )
            )
    return actions

"""The records of a launch file as launch_ros actions; launch and launch_ros are imported only when that is asked."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pe_nodes import kernels, launch_arguments
from pe_nodes.child_environment import RUN_TOKEN
from pe_nodes.graph import RECORDER, RESPAWN_DELAY, NodeRecord, environment_of
from pe_nodes.launch_arguments import Arguments
from pe_nodes.run_directory import prepare


def description(kind: type[Arguments], records: Callable[[Any], Sequence[NodeRecord]]) -> Any:
    """A LaunchDescription of ``records`` for arguments of ``kind``."""
    from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable

    from launch import LaunchDescription

    declared = [
        DeclareLaunchArgument(name, default_value=default, description=f"{text} ({allowed})")
        for name, default, allowed, text in launch_arguments.table(kind)
    ]
    single_thread = SetEnvironmentVariable("OMP_NUM_THREADS", "1")
    token = SetEnvironmentVariable(RUN_TOKEN, os.environ.get(RUN_TOKEN, uuid.uuid4().hex))
    return LaunchDescription(
        [*declared, single_thread, token, OpaqueFunction(function=_actions, args=(kind, records))]
    )


def _actions(context: Any, kind: type[Arguments], records: Callable[[Any], Sequence[NodeRecord]]) -> list[Any]:
    from launch.actions import RegisterEventHandler, SetEnvironmentVariable, Shutdown
    from launch.event_handlers import OnProcessExit
    from launch_ros.actions import Node

    known = {row[0] for row in launch_arguments.table(kind)}
    # Words of the command line are all ours, so an unknown one is refused; configurations of a launch file that
    # includes this one are not.
    words = {word.partition(":=")[0] for word in sys.argv[1:] if ":=" in word}
    given = {name: value for name, value in context.launch_configurations.items() if name in known | words}
    arguments = launch_arguments.from_texts(given, kind)
    given_out, out = arguments.out, Path(arguments.out).expanduser().resolve()
    nodes = records(launch_arguments.with_out(arguments, out))
    # Last: a run that is refused moves no earlier one aside.
    if arguments.record or kind.ON_ONE_MACHINE:
        prepare(given_out)
    kernels.compile_once(print)
    actions = [SetEnvironmentVariable(name, value) for name, value in environment_of(nodes).items()]
    for record in nodes:
        action = Node(
            package=record.package,
            executable=record.executable,
            name=record.name,
            namespace=record.namespace,
            parameters=parameters_of(record),
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
        # The run's last node ends when all is done; any other node that ends is a failure of the run.
        reason = "all episodes are played" if record.name == kind.LAST else f"{record.full_name} ended"
        actions.append(
            RegisterEventHandler(OnProcessExit(target_action=action, on_exit=[Shutdown(reason=reason)]))
        )
        if record.name == RECORDER and kind.REPORTED:
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


def parameters_of(record: NodeRecord) -> list[Any]:
    """What launch_ros takes: a parameter file first, where the record names one, then its own parameters."""
    own = dict(record.parameters)
    file = own.pop("params_file", None)
    return [own] if file is None else [file, own]

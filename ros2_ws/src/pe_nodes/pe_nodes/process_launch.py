"""Starts the records of a launch file as processes, supervised by honcho, where launch_ros is not installed.

The launch file is the one that ``ros2 launch`` takes; only its ``records`` are used here.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml
from honcho import manager as honcho_manager
from rich.console import Console
from rich.table import Table

from pe_core.config import ConfigurationError
from pe_core.paths import share_directory
from pe_nodes import kernels, launch_arguments
from pe_nodes.child_environment import child_environment
from pe_nodes.graph import RESPAWN_DELAY, NodeRecord, environment_of
from pe_nodes.launch_arguments import Arguments, LaunchArguments
from pe_nodes.launch_display import LaunchDisplay
from pe_nodes.run_directory import prepare

REFUSED = 2
FAILED = 1
STOP_WAIT = 15
"""Seconds from the signal to a node to its SIGKILL."""
MODULES = {
    "policy": "pe_nodes.policy_node",
    "safety": "pe_nodes.safety_node",
    "state_estimator": "pe_nodes.state_estimator_node",
    "arena_sim": "pe_nodes.arena_sim_node",
    "watchdog": "pe_nodes.watchdog_node",
    "evaluation_recorder": "pe_nodes.evaluation_recorder_node",
    "fault_injector": "pe_nodes.fault_injector_node",
    "referee": "pe_nodes.referee_node",
    "emulated_robot": "pe_nodes.emulated_robot_node",
    "gazebo_sim": "pe_gazebo.gazebo_sim_node",
}


class OrderlyManager(honcho_manager.Manager):
    """honcho's manager, which may also be told to stop before it has heard of all its processes."""

    def terminate(self) -> None:
        if all(process.get("pid") is not None for process in self._processes.values()):
            super().terminate()
        else:
            # A signal came while processes are being started; honcho asks again once they all are.
            signal.setitimer(signal.ITIMER_REAL, 0.2)

    def loop(self) -> None:
        # honcho's five seconds are short on a busy machine for a node that closes a bag and leaves the graph.
        honcho_manager.KILL_WAIT = STOP_WAIT
        signal.signal(signal.SIGALRM, lambda *_: self.terminate())
        super().loop()


def main(file: str, words: Sequence[str]) -> int:
    """Run a launch file: 0 when every episode was played and reported, 1 when something failed, 2 if refused.

    A run ended by SIGINT or SIGTERM is reported too, and returns 130 or 143; one that has no end of its own (a
    robot's) then returns 0, for that is how it ends.
    """
    console = Console(stderr=True)
    try:
        module = load(file)
        kind = getattr(module, "ARGUMENTS", LaunchArguments)
        if any(word in ("--show-args", "-s") for word in words):
            show_arguments(Console(), kind)
            return 0
        arguments = launch_arguments.parse(words, kind)
        out = arguments.out
        arguments = launch_arguments.with_out(arguments, Path(out).expanduser().resolve())
        nodes: list[NodeRecord] = module.records(arguments)
        check_startable(nodes)
        # Last: a run that is refused moves no earlier one aside.
        if arguments.record or arguments.ON_ONE_MACHINE:
            prepare(out)
    except ConfigurationError as error:
        console.print(f"error: {error}", style="red", highlight=False, markup=False)
        return REFUSED
    kernels.compile_once(lambda text: console.print(text, highlight=False))
    code = supervise(nodes, arguments, console)
    if arguments.record and arguments.REPORTED:
        reported = report(Path(arguments.out), console)
        code = code or (0 if reported else FAILED)
    return code


def load(file: str) -> ModuleType:
    """The launch file as a module: a name in ``launch/``, or a path.

    Raises:
        ConfigurationError: there is no such file, or it has no ``records``.
    """
    folder = share_directory() / "launch"
    path = next((p for p in (folder / file, folder / f"{file}.launch.py", Path(file)) if p.is_file()), None)
    if path is None:
        known = ", ".join(sorted(p.name for p in folder.glob("*.launch.py")))
        raise ConfigurationError(f"launch file '{file}' is unknown; known: {known} (or a path)")
    spec = importlib.util.spec_from_file_location(path.name.removesuffix(".py").replace(".", "_"), path)
    if spec is None or spec.loader is None:
        raise ConfigurationError(f"launch file '{path}': cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not callable(getattr(module, "records", None)):
        raise ConfigurationError(f"launch file '{path}': has no function records(arguments)")
    return module


def check_startable(nodes: Sequence[NodeRecord]) -> None:
    """Refuse nodes that are not ours: where they lie only ROS 2 knows.

    Raises:
        ConfigurationError: with their names.
    """
    foreign = sorted({f"{node.package}/{node.executable}" for node in nodes if node.executable not in MODULES})
    if foreign:
        raise ConfigurationError(
            f"{', '.join(foreign)}: ./pe launch starts this project's nodes only; allowed: ros2 launch pe_bringup ..."
        )


def command_of(record: NodeRecord, parameters: Path, log_level: str) -> list[str]:
    """The command line of one node."""
    words = [sys.executable, "-m", MODULES[record.executable], "--ros-args", "--log-level", log_level]
    if record.respawn:
        words = [sys.executable, "-m", "pe_nodes.respawn", str(RESPAWN_DELAY), *words]
    words += ["-r", f"__node:={record.name}", "-r", f"__ns:={record.namespace}"]
    for source, target in record.remappings.items():
        words += ["-r", f"{source}:={target}"]
    return [*words, "--params-file", str(parameters)]


def parameter_file(record: NodeRecord, folder: Path) -> Path:
    """A ROS parameter file for one node."""
    path = folder / (record.full_name.strip("/").replace("/", "_") + ".yaml")
    given = {name: value for name, value in record.parameters.items() if value != []}
    path.write_text(yaml.safe_dump({"/**": {"ros__parameters": given}}))
    return path


def supervise(nodes: Sequence[NodeRecord], arguments: Arguments, console: Console) -> int:
    """Run the nodes until the last of the run has played, one of them fails, or a signal comes."""
    environment = child_environment(os.environ | environment_of(nodes), arguments.ON_ONE_MACHINE)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pe-launch-")))
        display = stack.enter_context(LaunchDisplay(console))
        manager = OrderlyManager(display)
        for record in nodes:
            words = command_of(record, parameter_file(record, folder), arguments.log_level)
            # exec: the signal must reach the node, not a shell around it.
            name = record.full_name.strip("/")
            manager.add_process(name, "exec " + shlex.join(words), env=environment)
        manager.loop()
    first, code = display.stopped[0] if display.stopped else ("", FAILED)
    if manager.returncode in (130, 143) and code in (0, -signal.SIGTERM):
        console.print("interrupted: all nodes have stopped", highlight=False)
        return int(manager.returncode) if arguments.LAST else 0
    if first == arguments.LAST and code == 0:
        late = [f"{name} (exit code {value})" for name, value in display.stopped if value != 0]
        if late:
            console.print(f"error: ended badly: {', '.join(late)}", style="red", highlight=False)
        return FAILED if late else 0
    reason = next((line for line in display.errors if line.startswith(first + ":")), "")
    text = f"error: {first} ended with exit code {code}; the run was stopped. {reason}"
    console.print(text, style="red", highlight=False, markup=False)
    return FAILED


def report(out: Path, console: Console) -> bool:
    """Write metrics.json and report.html in a process of its own (another layer), and show the numbers."""
    with console.status("writing the report ..."):
        words = [sys.executable, "-m", "pe_evaluation.report_main", str(out)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    metrics = out / "metrics.json"
    if done.returncode != 0 or not metrics.is_file():
        console.print(f"error: no report: {done.stderr.strip() or done.stdout.strip()}", style="red", markup=False)
        return False
    console.print(summary(json.loads(metrics.read_text()), out))
    return True


def summary(metrics: dict[str, Any], out: Path) -> Table:
    """The run's numbers as a table."""
    table = Table(title=str(out), show_header=False)
    keys = ("episodes", "captures", "capture_rate", "violations", "min_margin_m", "interventions", "intervention_rate",
            "infeasible", "infeasibility_warnings", "backup")  # fmt: skip
    for key in keys:
        value = metrics.get(key)
        table.add_row(key, f"{value:.4g}" if isinstance(value, float) else str(value))
    for key in ("control_period_ms", "odom_to_command_ms"):
        values = metrics.get(key) or {}
        numbers = [(name, values.get(name)) for name in ("p50", "p99", "max")]
        shown = [f"{name} {value:.2f}" for name, value in numbers if isinstance(value, (int, float))]
        table.add_row(key, ", ".join(shown) or "-")
    table.add_row("report", str(out / "report.html"))
    return table


def show_arguments(console: Console, kind: type[Arguments] = LaunchArguments) -> None:
    """Print every launch argument."""
    table = Table("name", "default", "allowed", "meaning")
    for row in launch_arguments.table(kind):
        table.add_row(*row)
    console.print(table)

"""Compiles the filter's kernels once, before nodes start that would each compile them for themselves.

On two cores, two safety nodes that compile beside each other take longer than the simulator waits for them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from numba import config

from pe_core.paths import BOUNDARY, boundary_path
from pe_core.robot import load_robot
from pe_safety.feasibility.model import load_feasibility
from pe_safety.feasibility.observer import FeasibilityObserver
from pe_safety.filter import SafetyFilter
from pe_safety.ladder import filter_step
from pe_safety.parameters import SafetyParameters
from pe_safety.sent_commands import SentCommands


def are_compiled() -> bool:
    """Whether numba's cache holds the kernel of a control step, which is compiled last; or nothing is compiled."""
    if config.DISABLE_JIT:
        return True
    function = filter_step.py_func
    module = function.__module__.rpartition(".")[2]
    return any(Path(filter_step.stats.cache_path).glob(f"{module}.{function.__qualname__}-*.nbi"))


def compile_once(say: Callable[[str], None]) -> bool:
    """Compile what a control step of a safety node calls, unless that has been done; returns whether it had to.

    ``say`` is told before, for it takes about a minute.
    """
    if are_compiled():
        return False
    say("compiling the numerical kernels, once; this takes about a minute ...")
    robot, dt = load_robot("reference"), 0.05
    observer = FeasibilityObserver(load_feasibility(boundary_path(BOUNDARY)), SafetyParameters(), robot, robot, dt)
    SentCommands(robot.as_array(), dt).warm_up()
    observer.warm_up()
    SafetyFilter(SafetyParameters(), robot, robot, dt).warm_up()
    return True

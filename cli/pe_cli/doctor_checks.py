"""What ``./pe doctor`` looks at: one small function a check, each returning a `Finding`."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from pe_cli import discovery_probe

MINIMUM_DISK_GB = 0.5
"""Below this a run's bag and numba's cache may not fit."""

MINIMUM_SHARED_MEMORY_MB = 64
"""Fast DDS keeps about half a megabyte of shared memory a process."""


@dataclass(frozen=True)
class Finding:
    """One line of the report. `note` is for what is optional or worth knowing; only `FAIL` must be mended."""

    status: Literal["ok", "note", "FAIL"]
    subject: str
    text: str
    remedy: str = ""


def python() -> Finding:
    """Python 3.11 or 3.12: what the ROS wheels, numba and numpy 1.26 have in common."""
    text = f"{platform.python_version()} at {sys.executable}"
    if sys.version_info[:2] in ((3, 11), (3, 12)):
        return Finding("ok", "Python", text)
    return Finding("FAIL", "Python", text, "remove .venv, then PE_PYTHON=python3.11 ./pe doctor")


def dependencies() -> Finding:
    """Every library that the distribution names is installed, in the version that it names."""
    from packaging.requirements import Requirement

    try:
        lines = metadata.requires("pursuit-evasion") or []
    except metadata.PackageNotFoundError:
        return Finding("note", "libraries", "the project is not installed by pip (a colcon workspace)")
    problems = []
    for requirement in map(Requirement, lines):
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        version = _version(requirement.name)
        if version is None:
            problems.append(f"{requirement.name} is missing")
        elif not requirement.specifier.contains(version, prereleases=True):
            problems.append(f"{requirement.name} is {version}, wanted {requirement.specifier}")
    if problems:
        return Finding("FAIL", "libraries", "; ".join(problems), "remove .venv/pe-install/run, run ./pe doctor again")
    named = ", ".join(f"{name} {_version(name)}" for name in ("numpy", "torch", "numba", "rosbags"))
    return Finding("ok", "libraries", named)


def ros() -> Finding:
    """ROS 2, from wheels in this environment or from the distribution's packages."""
    wheels = _version("ros-rclpy")
    distribution = os.environ.get("ROS_DISTRO")
    if wheels and distribution:
        return Finding(
            "note",
            "ROS 2",
            f"wheels (rclpy {wheels}) in .venv, and ROS 2 {distribution} is sourced in this shell",
            "two versions may mix: use a shell without ROS 2, or remove .venv so that ./pe takes the sourced one",
        )
    if wheels:
        return Finding("ok", "ROS 2", f"Jazzy from wheels, rclpy {wheels}")
    if importlib.util.find_spec("rclpy") is not None:
        return Finding("ok", "ROS 2", f"{distribution or 'unnamed distribution'}, from this machine")
    return Finding("FAIL", "ROS 2", "rclpy is not installed", "remove .venv/pe-install/run, run ./pe doctor again")


def discovery() -> Finding:
    """Two processes find one another and exchange a message."""
    outcome = discovery_probe.run()
    if outcome.seconds is not None:
        text = f"two processes exchanged a message {outcome.seconds:.1f} s after their start"
        return Finding("ok", "discovery", text)
    return Finding(
        "FAIL",
        "discovery",
        f"two ROS 2 processes on this machine did not find one another: {outcome.reason}",
        "let UDP pass on the loopback interface (firewall, container), and unset ROS_DISCOVERY_SERVER and "
        "FASTRTPS_DEFAULT_PROFILES_FILE if they are set",
    )


def shared_memory() -> Finding:
    """Room in /dev/shm, which Fast DDS uses between processes of one machine."""
    folder = Path("/dev/shm")
    if not os.access(folder, os.W_OK):
        return Finding("note", "shared memory", f"{folder} is not writable; DDS takes UDP instead, a little slower")
    free = shutil.disk_usage(folder).free / 1e6
    if free < MINIMUM_SHARED_MEMORY_MB:
        remedy = "remove stale fastrtps_* files there, or give the container a larger --shm-size"
        return Finding("note", "shared memory", f"{free:.0f} MB free in {folder}", remedy)
    return Finding("ok", "shared memory", f"{free:.0f} MB free")


def numba_cache() -> Finding:
    """Compiled kernels can be kept, so that not every process compiles them anew."""
    folders = [os.environ["NUMBA_CACHE_DIR"]] if os.environ.get("NUMBA_CACHE_DIR") else _package_folders()
    for folder in folders:
        try:
            os.makedirs(folder, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            remedy = "export NUMBA_CACHE_DIR=$HOME/.cache/numba (or another writable directory)"
            text = f"{folder} is not writable ({error.strerror}): every node start would compile for seconds"
            return Finding("note", "numba cache", text, remedy)
    return Finding("ok", "numba cache", "writable")


def configuration() -> Finding:
    """The configuration and the policy bundles are found."""
    from pe_core import paths
    from pe_core.config import ConfigurationError

    try:
        home = paths.share_directory()
    except ConfigurationError as error:
        return Finding("FAIL", "configuration", str(error))
    bundles = paths.bundle_names()
    text = f"in {home}, {len(bundles)} policy bundles"
    return Finding("ok", "configuration", text) if bundles else Finding("note", "configuration", text)


def disk() -> Finding:
    """Room for bags and reports where we stand."""
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    text = f"{free:.1f} GB free in {Path.cwd()}"
    if free < MINIMUM_DISK_GB:
        return Finding("FAIL", "disk", text, "make room, or run in a folder on another disk")
    return Finding("ok", "disk", text)


def cores() -> Finding:
    """Processors that this process may use."""
    count = len(os.sched_getaffinity(0))
    if count < 2:
        text = "1: nodes in real time may miss control periods"
        return Finding("note", "processors", text, "rate:=0 is not affected")
    return Finding("ok", "processors", str(count))


def git() -> Finding:
    """Git, whose revision is written into every run's metrics."""
    if shutil.which("git"):
        return Finding("ok", "git", shutil.which("git") or "")
    return Finding("note", "git", "not found: runs will not name the revision that they ran", "apt install git")


def launch_ros() -> Finding:
    """The real launch system, where this machine has it."""
    if importlib.util.find_spec("launch_ros") is not None:
        return Finding("ok", "launch_ros", "present: ros2 launch pe_bringup pursuit.launch.py works too")
    return Finding("note", "launch_ros", "not installed, not needed: ./pe launch starts the same nodes as processes")


def colcon() -> Finding:
    """colcon, to build the workspace."""
    if importlib.util.find_spec("colcon_core") is not None:
        text = "present: cd ros2_ws && ../.venv/bin/python -m colcon build"
        return Finding("ok", "colcon", text)
    return Finding("note", "colcon", "not in this environment; needed to build ros2_ws only", "./pe test brings it")


def gazebo() -> Finding:
    """A real gzserver, for runs in Gazebo."""
    from pe_core.config import ConfigurationError
    from pe_gazebo import installation

    try:
        target = installation.prefix()
    except ConfigurationError as error:
        return Finding("note", "Gazebo", str(error))
    if installation.installed():
        return Finding("ok", "Gazebo", f"{installation.VERSION} in {target}")
    text = f"not in {target}; needed for runs in Gazebo only"
    return Finding("note", "Gazebo", text, installation.REMEDY)


CHECKS: tuple[Callable[[], Finding], ...] = (
    python,
    dependencies,
    ros,
    discovery,
    shared_memory,
    numba_cache,
    configuration,
    disk,
    cores,
    git,
    launch_ros,
    colcon,
    gazebo,
)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _package_folders() -> list[str]:
    """Where numba keeps the kernels of our packages: beside their source."""
    specs = [importlib.util.find_spec(name) for name in ("pe_core", "pe_safety", "pe_evaluation")]
    return [f"{folder}/__pycache__" for spec in specs if spec for folder in spec.submodule_search_locations or ()]

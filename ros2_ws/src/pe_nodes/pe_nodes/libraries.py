"""Libraries for ``ros2 launch``, which runs in the distribution's Python: those that the nodes of the workspace have.

colcon writes the Python that ran it into the nodes' executables.  Where that is a virtual environment, its packages
stand, in a launching Python that lacks them, where they would in the environment: behind PYTHONPATH and before the
distribution's own.  For this process alone: a PYTHONPATH would hide the distribution's packages from every program of
the shell.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import site
import sys
from pathlib import Path

NEEDED = ("numba", "torch")
"""What a launch file imports and no distribution brings."""

EXECUTABLE = Path("lib") / "pe_nodes" / "policy"


def lend() -> None:
    """Let this Python import what the nodes of a sourced workspace can; without one, nothing is done.

    Raises:
        ImportError: they have it in no virtual environment, or for another version of Python.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    python = nodes_python(os.environ.get("AMENT_PREFIX_PATH", "")) if missing else None
    if python is None:
        return
    version = "{}.{}".format(*sys.version_info[:2])
    environment = python.parent.parent
    packages = environment / "lib" / f"python{version}" / "site-packages"
    wrong = None
    if not (environment / "pyvenv.cfg").is_file():
        wrong = "which is in no virtual environment"
    elif not packages.is_dir():
        found = ", ".join(folder.name for folder in sorted(environment.glob("lib/python3*"))) or "no Python"
        wrong = f"an environment of {found}"
    elif lost := [name for name in missing if not (packages / name).is_dir()]:
        wrong = f"which lacks {', '.join(lost)}"
    if wrong:
        raise ImportError(
            f"{', '.join(missing)} cannot be imported by {sys.executable} (Python {version}), and the nodes start with "
            f"{python}, {wrong}; allowed: a virtual environment of Python {version} that has them, whose "
            "'python -m colcon build' made the workspace"
        )
    own = {*site.getsitepackages(), site.getusersitepackages()}
    place = next((number for number, entry in enumerate(sys.path) if entry in own), len(sys.path))
    sys.path.insert(place, str(packages))


def nodes_python(prefixes: str) -> Path | None:
    """The Python in the first line of the nodes' executables below ``prefixes``; None where there are none."""
    for prefix in filter(None, prefixes.split(os.pathsep)):
        executable = Path(prefix) / EXECUTABLE
        if executable.is_file():
            with executable.open(errors="replace") as file:
                words = shlex.split(file.readline().removeprefix("#!"))
            return Path(words[0]) if words else None
    return None

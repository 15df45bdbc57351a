"""Which revision and which version of this program runs."""

from __future__ import annotations

import subprocess
from importlib import metadata
from pathlib import Path

DISTRIBUTIONS = ("pursuit-evasion", "pe_core")
"""What holds this file: the wheel, or the package that colcon built."""


def git_revision() -> str | None:
    """The checkout's revision, with ``-dirty`` where tracked files were changed; None outside a checkout.

    A checkout that does not track this very file, such as one whose virtual environment we are installed in, has
    another program's revisions: None.
    """
    source = Path(__file__).resolve()
    git = ["git", "-C", str(source.parent)]
    try:
        _answer([*git, "ls-files", "--error-unmatch", source.name])
        return _answer([*git, "describe", "--always", "--dirty", "--abbrev=12"])
    except (OSError, subprocess.SubprocessError):
        return None


def version() -> str:
    """The version that is installed; ``unknown`` where this file is run from a folder that nothing has installed."""
    for name in DISTRIBUTIONS:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return "unknown"


def _answer(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

"""Which revision of this program runs."""

from __future__ import annotations

import subprocess
from pathlib import Path


def git_revision() -> str | None:
    """The checkout's revision, with ``-dirty`` where tracked files were changed; None outside a checkout."""
    command = ["git", "-C", str(Path(__file__).resolve().parent), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None

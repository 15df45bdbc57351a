"""What the project is made of, as git knows it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def tracked_names() -> list[str]:
    """Paths in the repository of all tracked files; the test is skipped where there is no checkout."""
    if not (REPOSITORY / ".git").exists():
        pytest.skip("not a git checkout (an unpacked source distribution)")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, check=True).stdout
    return [os.fsdecode(name) for name in listed.split(b"\0") if name]

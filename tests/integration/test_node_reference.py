"""The page of nodes is what the nodes are: every topic, type, QoS, service and parameter, asked of running ones."""

from __future__ import annotations

import difflib
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.integration
def test_the_page_of_nodes_says_what_the_nodes_say(
    repository: Path, ros_environment: dict[str, str], tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "tests.support.node_reference", str(tmp_path / "nodes.md")]
    done = subprocess.run(
        command, cwd=repository, env=ros_environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    now, written = (tmp_path / "nodes.md").read_text(), (repository / "docs" / "nodes.md").read_text()
    names = {"fromfile": "docs/nodes.md", "tofile": "the nodes", "lineterm": "", "n": 0}
    changes = difflib.unified_diff(written.splitlines(), now.splitlines(), **names)
    assert now == written, "\n".join([*changes, "", "python -m tests.support.node_reference docs/nodes.md"])

"""Nodes know when what has launched them is gone, and what keeps them does not start them again."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pe_nodes.child_environment import LAUNCHER
from pe_nodes.launcher import LAUNCHER_GONE, Launcher
from pe_nodes.respawn import CONFIGURATION_FAILED, Keeper


def test_a_launcher_is_gone_when_its_process_is(monkeypatch: pytest.MonkeyPatch) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    monkeypatch.setenv(LAUNCHER, str(process.pid))
    launcher = Launcher()
    assert not launcher.gone()
    process.communicate(b"\n")
    assert launcher.gone()
    assert Launcher().gone(), "also for a node that was still starting"


@pytest.mark.parametrize("given", ["", "none"])
def test_where_nobody_is_named_nobody_is_gone(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv(LAUNCHER, given)
    assert not Launcher().gone()


@pytest.mark.parametrize("code", [CONFIGURATION_FAILED, LAUNCHER_GONE])
def test_a_command_that_would_only_end_again_is_not_started_again(code: int) -> None:
    assert Keeper(0.0, [sys.executable, "-c", f"raise SystemExit({code})"]).run() == code

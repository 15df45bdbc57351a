"""The filter's kernels are compiled before nodes start, once, and a run that finds them does not wait."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from pe_core.robot import load_robot
from pe_nodes import kernels
from pe_safety.filter import SafetyFilter
from pe_safety.parameters import SafetyParameters


def are_compiled(**settings: str) -> str:
    command = [sys.executable, "-c", "from pe_nodes import kernels; print(kernels.are_compiled())"]
    environment = {**os.environ, **settings}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()


def test_an_empty_cache_is_noticed(tmp_path: Path) -> None:
    assert are_compiled(NUMBA_CACHE_DIR=str(tmp_path)) == "False"


def test_nothing_is_compiled_where_compiling_is_switched_off(tmp_path: Path) -> None:
    assert are_compiled(NUMBA_CACHE_DIR=str(tmp_path), NUMBA_DISABLE_JIT="1") == "True"


def test_what_is_compiled_is_not_compiled_again() -> None:
    SafetyFilter(SafetyParameters(), load_robot("reference"), load_robot("reference"), 0.05).warm_up()
    said: list[str] = []
    assert kernels.are_compiled() and not kernels.compile_once(said.append) and not said

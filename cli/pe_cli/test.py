"""``./pe test``: the whole suite: lint, types, then the tests in two parts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

NO_TESTS_COLLECTED = 5
"""pytest's exit status where a selection leaves nothing."""

WORKERS = 2
"""Processes of the part that may run side by side."""

BY_FILE = ("--dist", "loadfile", "--no-loadscope-reorder")
"""A file's tests run in one process, in order: what they share (kernels, models, builds) is made once."""


def test(
    context: typer.Context,
    quick: Annotated[bool, typer.Option("--quick", help="Leave out integration, slow and system tests.")] = False,
) -> None:
    """Run ruff, mypy and pytest: first what may run side by side, then the tests that start ROS 2 nodes, alone.

    Other words go to pytest. Where one of them names a test file or folder, only pytest runs, and only on that:
    ./pe test tests/repository -k layering
    """
    raise typer.Exit(run(find_root(), list(context.args), quick))


def find_root() -> Path:
    """The checkout that this command line was installed from."""
    root = Path(__file__).resolve().parents[2]
    if not (root / "tests").is_dir() or not (root / "pyproject.toml").is_file():
        print("pe: tests and benches are not part of an installed package; run ./pe in a checkout", file=sys.stderr)
        raise typer.Exit(2)
    return root


def run(root: Path, words: list[str], quick: bool) -> int:
    """Run the suite in the checkout `root`; `words` go to pytest. Returns the exit status, 0 for all good."""
    if any(_names_tests(root, word) for word in words):
        marks = ["-m", "not integration and not slow and not system"] if quick else []
        return _call(root, "pytest", [*marks, *words])
    lint = [_call(root, "ruff", ["check", "."]), _call(root, "mypy", [])]
    return _verdict(lint, [_call(root, "pytest", part) for part in _parts(words, quick)])


def _names_tests(root: Path, word: str) -> bool:
    return not word.startswith("-") and (root / word.partition("::")[0]).exists()


def _parts(words: list[str], quick: bool) -> list[list[str]]:
    """The arguments of each pytest run. Nodes of two tests at once would starve each other on a small machine."""
    workers = [] if _has(words, "-n", "--numprocesses") else ["-n", str(WORKERS), *BY_FILE]
    if _has(words, "-m"):
        return [[*workers, *words]]
    if quick:
        return [["-m", "not integration and not slow and not system", *workers, *words]]
    return [["-m", "not integration", *workers, *words], ["-m", "integration", *words]]


def _has(words: list[str], *options: str) -> bool:
    return any(word.startswith(options) for word in words)


def _verdict(lint: list[int], tests: list[int]) -> int:
    """One exit status of all: the first failure, and "no test at all" where no part had one."""
    ran = [status for status in tests if status != NO_TESTS_COLLECTED]
    failures = [status for status in [*ran, *lint] if status]
    if failures:
        return failures[0]
    return 0 if ran else NO_TESTS_COLLECTED


def _call(root: Path, tool: str, arguments: list[str]) -> int:
    print(f"== {tool} {' '.join(arguments)}".rstrip(), flush=True)
    return subprocess.run([sys.executable, "-m", tool, *arguments], cwd=root, check=False).returncode

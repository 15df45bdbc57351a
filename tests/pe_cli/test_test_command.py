"""``./pe test``: what it runs for which words, and what it makes of the exit statuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from pe_cli import test as command

QUICK = "not integration and not slow and not system"
WORKERS = ("-n", "2", "--dist", "loadfile", "--no-loadscope-reorder")


class Tools:
    """Takes the place of ruff, mypy and pytest: writes down calls, answers with the exit statuses given."""

    def __init__(self, **statuses: list[int]) -> None:
        self.statuses = statuses
        self.calls: list[list[str]] = []

    def __call__(self, root: Path, tool: str, arguments: list[str]) -> int:
        self.calls.append([tool, *arguments])
        waiting = self.statuses.get(tool, [])
        return waiting.pop(0) if waiting else 0


def run(monkeypatch: pytest.MonkeyPatch, tools: Tools, words: list[str], quick: bool = False) -> int:
    monkeypatch.setattr(command, "_call", tools)
    return command.run(command.find_root(), words, quick)


def test_whole_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    tools = Tools()
    assert run(monkeypatch, tools, ["-x"]) == 0
    assert tools.calls == [
        ["ruff", "check", "."],
        ["mypy"],
        ["pytest", "-m", "not integration", *WORKERS, "-x"],
        ["pytest", "-m", "integration", "-x"],
    ]


def test_quick_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    tools = Tools()
    run(monkeypatch, tools, [], quick=True)
    assert tools.calls[2:] == [["pytest", "-m", QUICK, *WORKERS]]


def test_own_marks_and_workers_are_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    tools = Tools()
    run(monkeypatch, tools, ["-m", "slow", "-n0"])
    assert tools.calls[2:] == [["pytest", "-m", "slow", "-n0"]]


def test_named_tests_run_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    tools = Tools()
    run(monkeypatch, tools, ["tests/conftest.py::test_x", "-v"])
    assert tools.calls == [["pytest", "tests/conftest.py::test_x", "-v"]]


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ({}, 0),
        ({"ruff": [1]}, 1),
        ({"mypy": [2]}, 2),
        ({"pytest": [1, 0]}, 1),
        ({"pytest": [0, 1]}, 1),
        ({"pytest": [5, 0]}, 0),
        ({"pytest": [0, 5]}, 0),
        ({"pytest": [5, 5]}, 5),
        ({"pytest": [5, 5], "ruff": [1]}, 1),
    ],
)
def test_exit_status(monkeypatch: pytest.MonkeyPatch, statuses: dict[str, list[int]], expected: int) -> None:
    assert run(monkeypatch, Tools(**statuses), []) == expected


def test_installed_package_says_that_it_has_no_tests(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "__file__", str(tmp_path / "lib" / "pe_cli" / "test.py"))
    with pytest.raises(Exception) as refused:
        command.find_root()
    assert getattr(refused.value, "exit_code", None) == 2
    assert "run ./pe in a checkout" in capsys.readouterr().err

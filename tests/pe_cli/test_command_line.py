"""The command line as a user meets it: help at once, mistakes in one line, exit statuses."""

from __future__ import annotations

import inspect
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pe_cli.app import app
from pe_cli.scenarios import scenarios
from pe_core.roles import ROLES, USUAL

COMMANDS = ("launch", "test", "evaluate", "falsify", "scenarios", "bag", "bench", "policy", "doctor", "world")


def pe(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pe_cli", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=cwd, check=False)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert "Usage:" in result.output


def processor_time() -> float:
    """What finished child processes have computed [s]; on a busy machine they wait longer, but compute the same."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_help_lists_every_command_and_comes_at_once() -> None:
    durations = []
    for _ in range(3):
        start = processor_time()
        result = pe("--help")
        durations.append(processor_time() - start)
    assert result.returncode == 0
    assert all(command in result.stdout for command in COMMANDS)
    assert min(durations) < 1.0  # 0.2 s on an idle machine


def test_command_line_starts_without_the_heavy_libraries() -> None:
    heavy = "{'torch', 'numba', 'numpy', 'scipy', 'matplotlib', 'rclpy', 'rosbags'}"
    program = f"import sys, pe_cli.app; print(sorted({heavy} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_scenarios_are_played_by_the_usual_policies() -> None:
    defaults = {name: parameter.default for name, parameter in inspect.signature(scenarios).parameters.items()}
    assert {role: defaults[role] for role in ROLES} == USUAL


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("policy", "check", "no-such-bundle"), "no-such-bundle"),
        (("evaluate", "--pursuer", "lead", "--evader", "flee", "--safety", "hope"), "safety"),
        (("evaluate", "--pursuer", "lead", "--evader", "flee", "--scenario", "nowhere"), "nowhere"),
        (("scenarios", "nowhere"), "scenario 'nowhere' is unknown; known: "),
        (("evaluate", "--pursuer", "lead", "--evader", "flee", "--obstacles", "7"), "obstacles = 7: allowed: 0 to 6"),
    ],
)
def test_mistake_of_the_user_is_one_line_and_status_2(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    result = pe(*words, cwd=tmp_path)
    assert result.returncode == 2
    message = result.stderr.strip()
    assert message.startswith("pe: ") and said in message
    assert len(message.splitlines()) == 1
    assert "Traceback" not in result.stderr + result.stdout


def test_unknown_command_is_status_2() -> None:
    result = pe("no-such-command")
    assert result.returncode == 2 and "no-such-command" in result.stderr


def test_policy_check_and_show() -> None:
    assert "lead: sound" in pe("policy", "check", "lead").stdout
    assert '"role": "pursuer"' in pe("policy", "show", "lead").stdout


@pytest.mark.slow
def test_scenarios_end_with_1_where_a_criterion_does_not_hold_and_0_where_all_do(
    tmp_path: Path, repository: Path
) -> None:
    text = (repository / "config" / "scenarios" / "corner.yaml").read_text()
    assert "capture_time_most: 30 s" in text
    hard = tmp_path / "hard.yaml"
    hard.write_text(text.replace("capture_time_most: 30 s", "capture_time_most: 0.1 s"))
    lines = tmp_path / "rows.jsonl"
    words = ("scenarios", str(hard), "--pursuer", "lead", "--episodes", "2", "--json", str(lines))
    failed = pe(*words)
    assert failed.returncode == 1 and "FAIL" in failed.stdout, failed.stderr
    row = json.loads(lines.read_text())
    assert [c["criterion"] for c in row["criteria"] if not c["passed"]] == ["capture_time_most"]
    passed = pe("scenarios", "corner", "--pursuer", "lead", "--episodes", "2")
    assert passed.returncode == 0 and "FAIL" not in passed.stdout, passed.stderr


@pytest.mark.parametrize(("given", "wanted"), [(None, "3000"), ("0", "0")])
def test_threads_that_wait_spin_briefly_unless_told_otherwise(given: str | None, wanted: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "GOMP_SPINCOUNT"}
    if given is not None:
        environment["GOMP_SPINCOUNT"] = given
    asked = "import os, sys, pe_cli.app; print(os.environ['GOMP_SPINCOUNT'], 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", asked], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [wanted, "False"], "it must be set before torch is loaded"

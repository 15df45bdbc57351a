"""``./pe scenarios --nodes``: played through real nodes, judged as in process, and nothing left behind."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import psutil
import pytest

from pe_cli.scenario_nodes import free_domain
from pe_evaluation.suite import Players, load_cases, play
from tests.support.patience import patience

pytestmark = pytest.mark.integration


def left_over(out: Path) -> list[str]:
    """Command lines of processes, our own apart, that were told this directory."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if process.pid != psutil.Process().pid and any(str(out) in word for word in words):
            found.append(" ".join(words))
    return found


def suite_through_nodes(processes, out: Path, *words: str):
    command = [sys.executable, "-m", "pe_cli", "scenarios", "--nodes", "--pursuer", "lead", "--out", str(out)]
    return processes.start([*command, *words])


def test_two_scenarios_through_the_nodes_are_what_they_are_in_process(processes, tmp_path):
    out, lines = tmp_path / "out", tmp_path / "rows.jsonl"
    process = suite_through_nodes(processes, out, "head_on", "corner", "--json", str(lines))
    assert process.wait(patience(240)) == 0, processes.output(process)
    rows = {row["scenario"]: row for row in map(json.loads, lines.read_text().splitlines())}
    assert list(rows) == ["head_on", "corner"]
    for case in load_cases(["head_on", "corner"]):
        name = case.scenario.name
        wanted = play(case, Players("lead", episodes=1))
        got = rows[name]["metrics"]
        assert rows[name]["through_nodes"] and rows[name]["passed"]
        for key in ("captures", "violations", "infeasible", "capture_time_s", "min_margin_m"):
            assert got[key] == wanted[key], (name, key)
        assert rows[name]["identity"]["configuration_sha256"] == wanted["identity"]["configuration_sha256"]
        assert (out / name / "report.html").is_file() and (out / name / "bag").is_dir()
    assert not left_over(out)


def test_a_run_over_its_limit_is_stopped_with_everything_below_it(processes, tmp_path):
    out = tmp_path / "out"
    process = suite_through_nodes(processes, out, "open_field", "--episodes", "500", "--limit", "20")
    assert process.wait(patience(120)) == 2, processes.output(process)
    assert "scenario open_field: not played within 20 s and stopped" in " ".join(processes.output(process).split())
    end = time.monotonic() + patience(20)
    while left_over(out) and time.monotonic() < end:
        time.sleep(0.2)
    assert not left_over(out)


def test_what_is_unknown_is_refused_before_a_process_starts(processes, tmp_path):
    process = suite_through_nodes(processes, tmp_path / "out", "nowhere")
    assert process.wait(patience(60)) == 2
    assert "scenario 'nowhere' is unknown; known: " in processes.output(process)
    assert not (tmp_path / "out").exists()


def test_two_runs_at_once_have_different_domains():
    with free_domain() as one, free_domain() as other:
        assert one != other

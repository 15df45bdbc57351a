"""What real nodes record is what an independent computation makes of it, in every cycle."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    "words",
    [
        ("seed:=3",),
        ("robot:=turtlebot3_burger", "safety:=rcbf_robust", "noise:=turtlebot3", "seed:=1"),
    ],
    ids=["defaults", "burger"],
)
def test_every_cycle_of_a_run_is_computed_again(processes, tmp_path: Path, words: tuple[str, ...]) -> None:
    out = tmp_path / "out"
    process = processes.launch("rate:=0", "episodes:=1", f"out:={out}", *words)
    assert process.wait(200) == 0, processes.output(process)
    account = tmp_path / "found.json"
    command = [sys.executable, "-m", "pe_cli", "bag", str(out / "bag"), "--audit", "--json", str(account)]
    audit = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert audit.returncode == 0, audit.stdout + audit.stderr
    found = json.loads(account.read_text())
    metrics = json.loads((out / "metrics.json").read_text())
    assert found["checked"] == found["cycles"] >= 2 * metrics["steps"] - 2 > 100
    assert (found["failures"], found["missing"]) == (0, 0)
    assert metrics["audit"]["passed"] is True
    terms = metrics["margin_terms_mm"]
    assert terms["vcp"]["p50"] == terms["vcp"]["max"] > 0.0
    assert (terms["state"]["max"] > 0.0) is ("safety:=rcbf_robust" in words)

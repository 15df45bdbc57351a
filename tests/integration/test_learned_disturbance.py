"""Real nodes with the profile whose filter learns a disturbance."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.integration


def test_a_chase_with_the_learning_profile(processes, tmp_path):
    out = tmp_path / "out"
    process = processes.launch("rate:=0", "episodes:=2", "seed:=3", "safety:=rcbf_gp", f"out:={out}")
    assert process.wait(300) == 0, processes.output(process)
    metrics = json.loads((out / "metrics.json").read_text())
    assert (metrics["episodes"], metrics["violations"]) == (2, 0)
    assert metrics["min_margin_m"] > 0.0

"""What real nodes record, asked what if, and taken as episodes of a comparison, whole and with a wrong clock."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pe_evaluation import what_if_main
from pe_evaluation.audit.cycle import TOLERANCE
from pe_evaluation.comparison.from_bags import read_bag
from tests.support.damaged_bags import rewritten, shifted, truncated, without

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def recorded(module_processes: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two episodes of a policy that its filter corrects, with the filter that learns."""
    out = tmp_path_factory.mktemp("recorded") / "out"
    words = ("rate:=0", "episodes:=2", "pursuer:=ppo", "evader:=flee", "safety:=rcbf_gp", f"out:={out}")
    process = module_processes.launch(*words)
    assert process.wait(200) == 0, module_processes.output(process)
    return out / "bag"


def test_the_recorded_filter_gives_what_the_nodes_sent_although_it_learns(recorded: Path, tmp_path: Path) -> None:
    target = tmp_path / "found.json"
    assert what_if_main.main(recorded, "rcbf_gp", json=target) == 0
    found = json.loads(target.read_text())
    assert found["recorded_mechanism"] == "rcbf_gp"
    for row in found["robots"].values():
        assert row["steps"] > 100 and max(row["v"]["max"], row["omega"]["max"]) <= TOLERANCE
        assert row["recorded"]["interventions"] == row["other"]["interventions"]


def test_its_bag_is_scored_as_the_run_was(recorded: Path) -> None:
    found = read_bag(recorded)
    metrics = json.loads((recorded.parent / "metrics.json").read_text())
    assert found.approach == "ppo+rcbf_gp" and found.left_out == []
    assert [row["steps"] for row in found.rows] == [row["steps"] for row in metrics["per_episode"]]
    assert sum(row["captured"] for row in found.rows) == metrics["captures"]
    total = sum(row["interventions"] + row["evader_interventions"] for row in found.rows)
    assert total == metrics["interventions"]


def test_damage_to_it_is_named_and_the_rest_is_computed(recorded: Path, tmp_path: Path) -> None:
    whole = read_bag(recorded)
    late = read_bag(rewritten(recorded, tmp_path / "late", shifted("evader", 2 * 10**9)))
    assert any("evader's is 2.0" in line and "ahead of pursuer's" in line for line in late.remarks)
    assert [row["interventions"] for row in late.rows] == [row["interventions"] for row in whole.rows]
    silent = read_bag(rewritten(recorded, tmp_path / "silent", without("/pursuer/safety/status")))
    assert {row["interventions"] for row in silent.rows} == {"no /pursuer/safety/status"}
    assert [row["margin_min_m"] for row in silent.rows] == [row["margin_min_m"] for row in whole.rows]
    size = next(recorded.glob("*.mcap")).stat().st_size
    half = read_bag(truncated(recorded, tmp_path / "half", size // 2))
    assert any("truncated" in line for line in half.remarks) and len(half.rows) < len(whole.rows)

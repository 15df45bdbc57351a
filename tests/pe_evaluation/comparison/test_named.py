"""The tests that the specification names, on a small comparison that is really played: ST-01 to ST-07, CF-01."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from pe_evaluation.compare_main import MAPS, Request, run
from pe_evaluation.comparison.document import markdown, table
from pe_evaluation.comparison.page import render
from pe_evaluation.comparison.sections import sections_of, titles_of
from pe_evaluation.comparison.store import read_identity
from pe_evaluation.comparison.summary import empty_cells
from pe_evaluation.comparison.track import load_track
from tests.support.comparison import described

pytestmark = pytest.mark.slow
EPISODES, SEEDS = 100, (0, 1)
NAMES = ("ppo-alone", "cbf-trained", "cbf", "net-trained", "net", "hybrid")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 episodes of each approach against the look-ahead evader; one a seed where the filter learns."""
    home = tmp_path_factory.mktemp("comparison")
    plan = described(
        NAMES,
        cells=[{"evader": "lookahead", "speed_ratios": [1.0]}],
        tracks={"scenarios": ["open_field"], "first_episodes": 1},
        randomised={
            "approaches": ["net"],
            "cells": [{"evader": "random", "speed_ratios": [1.0]}],
            "episodes_most": 2,
        },
    )
    (home / "plan.yaml").write_text(yaml.safe_dump(plan))
    assert run(Request(EPISODES, SEEDS, home / "out", str(home / "plan.yaml"))) == 0
    return home


@pytest.fixture(scope="module")
def summary(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "out" / "summary.json").read_text())
    return found


def gap(summary: dict[str, Any], name: str) -> dict[str, Any]:
    return next(row for row in summary["gaps"] if row["name"] == name)


def account(summary: dict[str, Any], name: str) -> dict[str, Any]:
    return next(row for row in summary["accounts"] if row["approach"] == name)


def test_st_01_barriernet_gap_is_below_one_percent(summary: dict[str, Any]) -> None:
    found = gap(summary, "barriernet")
    assert found["captured"]["gap"] < 0.01
    assert found["captured"]["episodes"] == EPISODES * len(SEEDS)


def test_st_02_cbf_beta_gap_is_measured(summary: dict[str, Any]) -> None:
    found = gap(summary, "cbf-beta")
    for key in ("captured", "return"):
        assert found[key]["low"] <= found[key]["gap"] <= found[key]["high"]
        assert found[key]["gap"] == pytest.approx(found[key]["trained"] - found[key]["deployed"])
    assert found["return"]["low"] < found["return"]["high"]


@pytest.mark.parametrize("name", ["net", "net-trained", "cbf", "cbf-trained"])
def test_st_03_st_04_no_violation_in_200_episodes(summary: dict[str, Any], name: str) -> None:
    found = account(summary, name)
    assert found["episodes"] == 200
    assert found["violating_episodes"] == found["violations"] == 0
    assert found["violation_upper"] == pytest.approx(1.0 - 0.05 ** (1 / 200))


def test_st_05_capture_rates_within_ten_percent(summary: dict[str, Any]) -> None:
    rates = [account(summary, name)["captured"]["mean"] for name in ("net", "cbf")]
    assert abs(rates[0] - rates[1]) <= 0.10


def test_st_06_welch_is_recorded(summary: dict[str, Any]) -> None:
    for row in summary["pairs"]:
        for over in ("welch_episodes", "welch_seeds"):
            assert 0.0 <= row[over]["p"] <= 1.0
        assert 0.0 <= row["p"] <= row["p_holm"] <= 1.0


def test_st_07_barriernet_trains_in_less_than_five_times_cbf_beta(summary: dict[str, Any]) -> None:
    seconds = {row["candidate"]: row["numbers"]["training_s"] for row in summary["decision"]["matrix"]}
    assert 0.0 < seconds["barriernet"] < 5.0 * seconds["cbf-beta"]


def test_cf_01_no_empty_cell(summary: dict[str, Any]) -> None:
    assert list(empty_cells(summary)) == []
    assert {row["approach"] for row in summary["accounts"]} == set(NAMES)
    for section in sections_of(summary):
        assert section.blocks
    with pytest.raises(ValueError, match="missing or empty"):
        table(("a", "b"), [("x", " ")])


def test_gates_name_their_evidence(summary: dict[str, Any]) -> None:
    assert [gate["gate"] for gate in summary["gates"]] == ["PG-01", "PG-02", "PG-03", "PG-04", "PG-05"]
    for gate in summary["gates"]:
        assert gate["checks"] and gate["where"]
        assert gate["passed"] == all(check["passed"] for check in gate["checks"])
    # Two episodes of the learning filter are fewer than the gate asks for.
    assert not summary["gates"][2]["passed"]


def test_the_folder_is_as_described(folder: Path, summary: dict[str, Any]) -> None:
    out = folder / "out"
    identity = read_identity(out)
    assert identity is not None and len(identity["configuration_sha256"]) == 64 and identity["git_revisions"]
    assert set(identity["bundles"]) == {
        "pursuer barriernet", "pursuer cbf-beta", "pursuer ppo", "evader lookahead", "evader random",
    }  # fmt: skip
    assert (out / MAPS / "ideal_net.npz").is_file()
    tracks = sorted(path.stem for path in (out / "tracks").glob("*.npz"))
    assert len(tracks) == 2 * len(NAMES)
    track = load_track(out / "tracks" / "net_lookahead_1_open_field_s0_e0.npz")
    assert track.scenario == "open_field" and track.captured and track.name == "Net"


def test_reports_are_whole(folder: Path, summary: dict[str, Any]) -> None:
    text = (folder / "out" / "decision_report.md").read_text()
    own = markdown("Decision report", sections_of(summary))
    assert text.startswith(own) and "## Figures: " in text[len(own) :]
    page = render(summary, [("A figure of ours", "<svg></svg>")])
    for title in [*titles_of(summary), "A figure of ours"]:
        assert f">{title}</h2>" in page
    assert "http" not in page.replace("http-equiv", "")
    _Balanced().feed(page)


class _Balanced(HTMLParser):
    """Fails where a tag is closed that is not open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "br", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

"""Curves are thinned without losing an episode."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.learning.curves import read_curves, thin

LINES = [
    {"steps": 10.0, "wall_s": 1.0, "kl": 0.2, "episodes": 1.0, "capture_rate": 1.0},
    {"steps": 20.0, "wall_s": 2.0, "kl": 0.4},
    {"steps": 30.0, "wall_s": 3.0, "kl": 0.6, "episodes": 3.0, "capture_rate": 0.0, "episodes/0": 2.0,
     "capture_rate/0": 0.5},
]  # fmt: skip


def test_a_thinned_line_is_the_mean_of_its_share_weighted_by_episodes() -> None:
    (only,) = thin(LINES, 1)
    assert (only["steps"], only["wall_s"], only["episodes"]) == (30.0, 3.0, 4.0)
    assert only["kl"] == pytest.approx(0.4) and only["capture_rate"] == pytest.approx(0.25)
    assert only["capture_rate/0"] == 0.5


def test_few_lines_are_kept_as_they_are() -> None:
    assert thin(LINES, 10) == LINES
    assert thin([], 10) == []


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "curves.jsonl"
    path.write_text('{"steps": 1.0}\n{"steps": 2')
    assert read_curves(path) == [{"steps": 1.0}]

"""The tables of learned pursuers say what the rows say, and the words below them name the same extremes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench import learned_page

ROOT = Path(__file__).parents[2]


def test_the_committed_tables_are_those_of_the_committed_rows() -> None:
    for path, text in learned_page.pages(ROOT).items():
        assert path.read_text() == text, f"{path.name}: python -m tests.bench.learned_page writes it anew"


def test_the_words_below_the_table_name_the_extremes_of_the_rows() -> None:
    results = ROOT / "docs" / "results"
    values = learned_page.values_of(json.loads((results / "learned.json").read_text()))
    page = " ".join((results / "learned.md").read_text().split())
    for line in learned_page.extremes(values).splitlines():
        assert line in page


def test_a_page_without_its_table_is_refused() -> None:
    with pytest.raises(ValueError, match="found 0 times"):
        learned_page.with_table("no table", "| evader |", iter([]))

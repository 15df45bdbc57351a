"""The benchmark of boxes beside polygons: its rows, on few states."""

from __future__ import annotations

import pytest

from tests.bench import beta_box as bench
from tests.bench.rows import Row, find


@pytest.mark.slow
def test_rows() -> None:
    met = bench.states(games=32, steps=200)
    rows = bench.geometry(met) + bench.costs(met, 1)
    assert all(set(row) == set(Row.__annotations__) for row in rows)
    assert find(rows, "states", "met", "states") == 32 * 20
    for subject in (bench.MEAN, bench.CENTROID):
        assert 0.0 < (find(rows, subject, "cut", "covered") or 0.0) < 1.0
    for subject in (bench.POLYGON, bench.CENTROID):
        assert all(
            (find(rows, subject, "cut states", metric) or 0.0) > 0.0 for metric in ("set", "draw", "evaluate")
        )

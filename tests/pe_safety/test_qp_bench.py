"""The benchmark of the QP: its rows, its data, and that it measures solvers that agree."""

from __future__ import annotations

import numpy as np
import pytest

from pe_safety import qp
from pe_safety.qp_reference import solve_quadprog
from tests.bench import qp as bench
from tests.bench.rows import Row, find, in_turn, ratio_rows, renewed, timing_rows


def test_recorded_problems_are_feasible_and_half_of_them_corrected() -> None:
    problems = bench.recorded_problems()
    assert problems.g.shape == (2048, bench.ROWS, 2)
    corrected = 0
    for g, b, p in zip(*problems, strict=True):
        v, w, status, i, _, _ = qp.solve(g, b, p[0], p[1], 150.0, 1.0)
        assert status == qp.OPTIMAL
        corrected += i >= 0
        np.testing.assert_allclose(solve_quadprog(g, b, p[0], p[1], 150.0, 1.0)[:2], [v, w], atol=1e-6)
    assert corrected == 1024


def test_scalar_rows() -> None:
    rows = bench.scalar("random", bench.random_problems(8), rounds=1, fast=8, slow=2)
    assert all(set(row) == set(Row.__annotations__) for row in rows)
    subjects = {row["subject"] for row in rows}
    assert {bench.OURS, "quadprog", "OSQP updated in place", "qpth"} <= subjects
    ours = find(rows, bench.OURS, "scalar, random", "violation")
    assert ours is not None and ours <= 1e-9
    assert (find(rows, "qpth", "scalar, random", "ratio") or 0.0) > 1.0


def test_batch_rows() -> None:
    rows = bench.batch("random", bench.random_problems(8), 16, rounds=1)
    case = "batch 16 forward + backward, random"
    assert (find(rows, bench.LAYER, case, "median") or 0.0) > 0.0
    assert (find(rows, bench.SCRIPTED, case, "distance to ours") or 0.0) < 1e-9


def test_ratio_is_the_peer_over_ours() -> None:
    rows = timing_rows("b", "c", {"ours": [1.0, 2.0, 3.0], "peer": [8.0, 8.0, 80.0]}, 1e3, "ms")
    assert find(rows, "ours", "c", "median") == 2000.0
    (ratio,) = ratio_rows(rows, "ours", "c")
    assert ratio["subject"] == "peer" and ratio["value"] == 4.0


def test_subjects_take_turns() -> None:
    order: list[str] = []
    in_turn({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, rounds=2, warm_up=1, least=0.0)
    assert order == ["a", "b", "a", "b", "a", "b"]


def test_targets_name_subjects_and_cases_that_exist() -> None:
    rows: list[Row] = [
        {
            "bench": "qp",
            "subject": "qpth",
            "case": "scalar, random",
            "metric": "ratio",
            "value": 900.0,
            "unit": "x",
        }
    ]
    assert [row["value"] for row in bench.target_rows(rows)] == [pytest.approx(500.0)]


def test_what_is_measured_again_takes_the_place_of_what_was() -> None:
    def row(subject: str, case: str, value: float) -> Row:
        return Row(bench="b", subject=subject, case=case, metric="median", value=value, unit="s")

    before = [row("a", "one", 1.0), row("a", "two", 2.0), row("b", "one", 3.0)]
    assert renewed(before, iter([row("a", "one", 9.0)])) == [before[1], before[2], row("a", "one", 9.0)]
    assert renewed(before, []) == before

"""``./pe bench qp``: the two-variable QP with 12 rows, ours and the peers' in turn in one run, on one thread.

Scalar: one problem a call, through the public call from Python, everything that the call needs included.
Batch: forward and backward, gradients to G, b and u_nom.
Problems: random ones, of which nearly all have active rows, and ones recorded from the filter in closed loop
(:mod:`tests.bench.record_qp`), of which half do.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from pe_safety.qp_layer import solve_qp
from tests.bench import qp_subjects
from tests.bench.qp_subjects import EAGER, LAYER, OURS, SCRIPTED, WEIGHTS, Problems
from tests.bench.rows import Row, find, in_turn, print_table, ratio_rows, timing_rows, write_rows

BENCH = "qp"
DATA = Path(__file__).parent / "data" / "recorded_qp.npz"
ROWS = 12
BATCHES = (256, 4096)

# What the specification asks: (peer, case, least ratio of its time to ours).
TARGETS = (
    ("qpth", "scalar,", 500.0),
    ("OSQP updated in place", "scalar,", 10.0),
    ("quadprog", "scalar,", 1.0),
    ("qpth", "batch 256 ", 50.0),
    ("qpth", "batch 4096 ", 100.0),
)
OURS_ALL = (OURS, LAYER, EAGER, SCRIPTED)


def random_problems(n: int, seed: int = 0) -> Problems:
    """Feasible problems: rows around a random point with room, nominal commands mostly outside."""
    rng = np.random.default_rng(seed)
    g = rng.standard_normal((n, ROWS, 2))
    centre = 0.5 * rng.standard_normal((n, 2))
    b = np.einsum("nmk,nk->nm", g, centre) + rng.uniform(0.05, 1.0, (n, ROWS))
    return Problems(g, b, 2.0 * rng.standard_normal((n, 2)))


def recorded_problems() -> Problems:
    """Problems from closed loop, (2048, 12, 2)."""
    with np.load(DATA) as data:
        return Problems(data["g"], data["b"], data["nominal"])


def violation(problems: Problems, u: np.ndarray) -> float:
    """Largest G u - b, not below 0."""
    n = len(u)
    return float(max(0.0, (np.einsum("nmk,nk->nm", problems.g[:n], u) - problems.b[:n]).max()))


def quality_rows(
    case: str, problems: Problems, answers: dict[str, np.ndarray], ours: np.ndarray
) -> list[Row]:
    """Violation of each subject's answers, and their distance to ours."""
    rows = []
    for subject, u in answers.items():
        gap = float(np.abs(u - ours[: len(u)]).max())
        for metric, value in (("violation", violation(problems, u)), ("distance to ours", gap)):
            rows.append(Row(bench=BENCH, subject=subject, case=case, metric=metric, value=value, unit=""))
    return rows


def scalar(name: str, problems: Problems, rounds: int, fast: int = 500, slow: int = 60) -> list[Row]:
    """One solve at a time: time of a pass over the problems, divided by their number."""
    case = f"scalar, {name}"
    subjects = qp_subjects.scalar_subjects(problems, fast, slow)

    def one_pass(subject: str) -> Any:
        solve, count = subjects[subject].solve, subjects[subject].count

        def call() -> None:
            for k in range(count):
                solve(k)

        return call

    times = in_turn({subject: one_pass(subject) for subject in subjects}, rounds)
    per_solve = {subject: [t / subjects[subject].count for t in values] for subject, values in times.items()}
    rows = timing_rows(BENCH, case, per_solve, 1e6, "us")
    answers = {
        subject: np.array([np.array(each.solve(k), dtype=float) for k in range(each.count)])
        for subject, each in subjects.items()
    }
    return rows + ratio_rows(rows, OURS, case) + quality_rows(case, problems, answers, answers[OURS])


def batch(name: str, problems: Problems, n: int, rounds: int) -> list[Row]:
    """Forward and backward on n problems."""
    case = f"batch {n} forward + backward, {name}"
    chosen = problems.head(n)
    upstream = torch.randn(n, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    subjects = qp_subjects.batch_subjects(chosen, upstream, large=n > 1000)
    times = in_turn(subjects, rounds)
    rows = timing_rows(BENCH, case, times, 1e3, "ms")
    answers = {subject: call().detach().numpy() for subject, call in subjects.items()}
    return rows + ratio_rows(rows, LAYER, case) + quality_rows(case, chosen, answers, answers[LAYER])


def single_precision(name: str, problems: Problems) -> list[Row]:
    """Violation of the compiled form in float32, measured on the same float32 data."""
    G, b, u_nom = (x.float() for x in problems.tensors())
    u = solve_qp(G, b, u_nom, WEIGHTS).u.double().numpy()
    rounded = Problems(G.double().numpy(), b.double().numpy(), u_nom.double().numpy())
    value = violation(rounded, u)
    return [
        Row(bench=BENCH, subject=LAYER, case=f"float32, {name}", metric="violation", value=value, unit="")
    ]


def target_rows(rows: list[Row]) -> list[Row]:
    """The least ratio that the specification asks for, beside each ratio that it names."""
    return [
        Row(**{**row, "metric": "target ratio", "value": least})
        for peer, start, least in TARGETS
        for row in rows
        if row["metric"] == "ratio" and row["subject"] == peer and row["case"].startswith(start)
    ]


def run(json_path: Path | None, rounds: int = 15) -> list[Row]:
    """Measure, print the table, return the rows; ``json_path`` gets them too."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    rows: list[Row] = []
    try:
        for name, problems in (("random", random_problems(4096)), ("recorded", recorded_problems())):
            rows += scalar(name, problems, rounds)
            for n in BATCHES:
                rows += batch(name, problems, n, max(3, rounds // (1 if n < 1000 else 3)))
            rows += single_precision(name, problems)
    finally:
        torch.set_num_threads(threads)
    print_table(
        f"QP, 2 variables, {ROWS} rows, one thread (ratio: times the time of ours)",
        rows,
        ["median", "ratio", "violation", "distance to ours"],
    )
    for target in target_rows(rows):
        ratio = find(rows, target["subject"], target["case"], "ratio") or 0.0
        met = "met   " if ratio >= target["value"] else "MISSED"
        print(
            f"{met} {target['case']}: {ratio:.1f} times faster than {target['subject']}, asked {target['value']:.0f}"
        )
        rows.append(target)
    found = [row for row in rows if row["metric"] == "violation" and row["subject"] in OURS_ALL]
    single = max(row["value"] for row in found if row["case"].startswith("float32"))
    double = max(row["value"] for row in found if not row["case"].startswith("float32"))
    print(f"largest violation of ours: {double:.1e} in float64, {single:.1e} in float32")
    if json_path is not None:
        write_rows(json_path, rows)
    return rows

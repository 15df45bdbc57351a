"""Truncated Beta policies, one thread: ``python -m tests.bench.truncated_beta [rows.json]``.

The safe sets are those of the problems recorded in closed loop (``record_qp``), with ``ROWS`` rows by rows that never
bind, in single precision.  A case mixes them with sets that no row cuts.  The parameters are random, 1.1 to 33.

Timed are clipping, a draw, and log-probability, entropy and their gradients from stored polygons and from rows.  Boxes
of one interval an axis, about the projected mean, stand beside the polygons: area, safe probability, unsafe draws.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pe_core.robot import load_robot
from pe_safety import beta_layer
from pe_safety.axis_box import Comparison, compare
from pe_safety.beta_sampling import draw_keys, mean_command, sample
from pe_safety.polygon import Box, areas, polygons
from tests.bench.qp import recorded_problems
from tests.bench.rows import Row, find, in_turn, print_table, write_rows

BENCH = "truncated_beta"
BATCH, ROWS = 8192, 28
SHARES = (0.0, 0.05, 0.1, 0.3, 1.0)
WEIGHTS = (150.0, 1.0)
BOX = Box.of(load_robot("reference"))
CLIP, DRAW, STORED, WHOLE = "clip", "draw", "evaluate, stored polygons", "evaluate, from rows"
TARGET_CASE, TARGET = "5 % cut", 5e5

Array = NDArray[np.float64]


def cut_rows() -> tuple[Array, Array]:
    """The recorded rows (N, 12, 2), (N, 12) of problems whose box some row cuts."""
    problems = recorded_problems()
    cut = areas(polygons(problems.g, problems.b, BOX)) < 1.0 - 1e-9
    return problems.g[cut], problems.b[cut]


def batch_of(share: float, rng: np.random.Generator, n: int = BATCH) -> tuple[Array, Array, Array]:
    """Rows (n, ROWS, 2), (n, ROWS) of which ``share`` cut, and parameters (n, 4), in single precision."""
    g, b = np.zeros((n, ROWS, 2)), np.full((n, ROWS), np.inf)
    g[:, :, 0], b[:] = 1.0, 10.0
    taken = rng.permutation(n)[: round(share * n)]
    some_g, some_b = cut_rows()
    drawn = rng.integers(0, len(some_b), len(taken))
    g[taken, : some_b.shape[1]], b[taken, : some_b.shape[1]] = some_g[drawn], some_b[drawn]
    parameters = 1.0 + 10.0 ** rng.uniform(-1.0, 1.5, (n, 4))
    return g.astype(np.float32), b.astype(np.float32), parameters.astype(np.float32)


def timings(share: float, rounds: int, n: int = BATCH) -> list[Row]:
    """Problems a second of every step, medians over rounds."""
    g, b, parameters = batch_of(share, np.random.default_rng(0), n)
    found, keys = polygons(g, b, BOX), draw_keys(0, 0, n)
    x = sample(parameters, found, keys)
    theta = torch.from_numpy(parameters).requires_grad_()
    points, vertices, counts = (torch.from_numpy(v) for v in (x, found.vertices, found.counts))
    u, rows, right = torch.from_numpy(BOX.command(x)), torch.from_numpy(g), torch.from_numpy(b)

    def stored() -> None:
        value = beta_layer.evaluate(theta, points, vertices, counts)
        (value.log_prob.sum() + value.entropy.sum()).backward()

    def from_rows() -> None:
        beta_layer.log_prob(u, theta, rows, right, BOX).sum().backward()

    calls = {
        CLIP: lambda: polygons(g, b, BOX),
        DRAW: lambda: sample(parameters, found, keys),
        STORED: stored,
        WHOLE: from_rows,
    }
    case = f"{100 * share:.0f} % cut"
    return [
        Row(
            bench=BENCH,
            subject=subject,
            case=case,
            metric="rate",
            value=n / float(np.median(times)),
            unit="1/s",
        )
        for subject, times in in_turn(calls, rounds).items()
    ]


def boxes_beside_polygons(n: int = BATCH) -> Comparison:
    """Boxes about the projected mean, on the recorded sets."""
    g, b, parameters = batch_of(1.0, np.random.default_rng(1), n)
    u, _ = mean_command(parameters, g, b, BOX, WEIGHTS)
    return compare(polygons(g, b, BOX), np.clip(BOX.unit(u), 0.0, 1.0), parameters)


def run(json_path: Path | None, rounds: int = 9) -> list[Row]:
    """Measure, print, and write the rows."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        rows = [row for share in SHARES for row in timings(share, rounds)]
    finally:
        torch.set_num_threads(threads)
    print_table(f"Truncated Beta, {BATCH} problems, {ROWS} rows, one thread", rows, ["rate"])
    rate = find(rows, STORED, TARGET_CASE, "rate") or 0.0
    print(
        f"{'met   ' if rate >= TARGET else 'MISSED'} {TARGET_CASE}: {rate:.3g} a second, asked {TARGET:.3g}"
    )
    for metric, value in boxes_beside_polygons()._asdict().items():
        print(f"boxes beside polygons, {metric}: {value:.3g}")
        rows.append(Row(bench=BENCH, subject="box", case="recorded", metric=metric, value=value, unit=""))
    if json_path is not None:
        write_rows(json_path, rows)
    return rows


if __name__ == "__main__":
    run(Path(sys.argv[1]) if len(sys.argv) > 1 else None)

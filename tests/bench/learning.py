"""Training, end to end: ours beside Stable-Baselines3, rsl_rl and skrl on the same game, in turn in the same run.

A step is one control step of one game with everything that learning from it costs.  Stable-Baselines3 is measured as
its manual uses it, on Gymnasium environments stepped one by one; it and the others, on our batched games, which is the
best that can be done for them.  Every learner has networks of two layers of 128 and the same opponent.
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.bench import learning_peers
from tests.bench.rows import Row, print_table
from training.learning.parameters import Learning, load_learning
from training.learning.run import Training

BENCH = "training"
OURS, SB3 = "ours", "stable-baselines3, 8 environments"
PEERS: dict[str, Callable[[int], Callable[[], int]]] = {
    SB3: learning_peers.stable_baselines,
    "stable-baselines3, on our batched games": learning_peers.stable_baselines_batched,
    "rsl_rl, on our batched games": learning_peers.rsl_rl,
    "skrl, on our batched games": learning_peers.skrl,
}
TIMES, RATE = 50.0, 40_000.0
"""Asked: plain PPO over Stable-Baselines3 as its manual uses it; BarrierNet, steps a second."""


def _ours(learning: Learning, threads: int, folder: Path) -> Callable[[], int]:
    chosen = dataclasses.replace(learning, imitation=0, teacher="", critic_only=0, starts=2048)
    training = Training(chosen, 0, folder, threads, "bench", resume=False)

    def call() -> int:
        training.advance()
        return learning.games * learning.horizon

    return call


def subjects(threads: int, folder: Path) -> dict[tuple[str, str], Callable[[], int]]:
    """What is measured, by subject and case."""
    result: dict[tuple[str, str], Callable[[], int]] = {}
    for name in ("ppo", "cbf-beta", "barriernet"):
        result[OURS, name] = _ours(load_learning(name), threads, folder / name)
    for subject, make in PEERS.items():
        try:
            result[subject, "ppo"] = make(threads)
        except ImportError as error:
            print(f"{subject}: {error}; pip install -e .[bench]")
    return result


def measure(threads: int, rounds: int) -> list[Row]:
    """Steps a second of every subject, in turn, ``rounds`` times: medians."""
    import torch

    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        calls = subjects(threads, Path(folder))
        rates: dict[tuple[str, str], list[float]] = {key: [] for key in calls}
        for round_ in range(rounds + 1):
            for key, call in calls.items():
                torch.set_num_threads(threads)
                start = time.perf_counter()
                steps = call()
                if round_:
                    rates[key].append(steps / (time.perf_counter() - start))
        for (subject, case), values in rates.items():
            rows.append(
                Row(
                    bench=BENCH, subject=subject, case=f"learning, {case}, {threads} threads", metric="median",
                    value=float(np.median(values)), unit="steps/s",
                )
            )  # fmt: skip
    return rows


def run(threads: int, rounds: int = 3) -> list[Row]:
    """Measure, print the table and the targets, return the rows."""
    rows = measure(threads, rounds)
    print_table(f"learning steps a second, {threads} threads", rows, ["median"])
    rate = {(row["subject"], row["case"].split(", ")[1]): row["value"] for row in rows}
    ours, peer = rate[OURS, "ppo"], rate.get((SB3, "ppo"))
    if peer is not None:
        print(
            f"{'met   ' if ours >= TIMES * peer else 'MISSED'} ppo: {ours / peer:.0f} x {SB3}, asked {TIMES:.0f} x"
        )
    net = rate[OURS, "barriernet"]
    print(f"{'met   ' if net >= RATE else 'MISSED'} barriernet: {net:,.0f} steps/s, asked {RATE:,.0f}")
    return rows

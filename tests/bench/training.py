"""``./pe bench training``: environment steps a second, filters and scripted opponent included, and learning's.

An environment step is one control step of one game: both robots' filters, plants, observations and rewards, the
opponent's decision, and a new start where a game has ended.  Times are those of the wall clock, since threads share
the work; the row ``cores`` says how many cores the process really had, without which a row says little.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from pe_core.arena import load_arena
from pe_core.bundle import load_bundle
from pe_core.robot import load_robot
from pe_core.scenario import load_scenario, sample_layout
from pe_safety.closed_loop import Games
from pe_safety.parameters import load_safety
from tests.bench import learning
from tests.bench.rows import Row, find, print_table, write_rows
from training.games import BatchedGames, Task

BENCH = "training"
COMPILED, BUNDLE = "batched games", "closed loop and bundle"
GAMES = 1024
TARGET_CASE = "lookahead, 2 threads"
TARGET = 300_000.0
LEAST_S = 0.5
"""Wall time [s] of one turn."""
OPPONENTS = ("lookahead", "flee", "boundary", "hider", "random")

Measured = dict[tuple[str, str], list[tuple[float, float]]]


def _batched(task: Task, threads: int) -> Callable[[], int]:
    """Steps that go straight for the opponent's side, so that filters and resets have work to do."""
    games = BatchedGames(task, GAMES, threads)
    drawn = np.random.default_rng(0).uniform([0.5, -0.5], [1.0, 0.5], (16, GAMES, 2))
    taken = 0

    def call() -> int:
        nonlocal taken
        games.step(drawn[taken // 20 % 16], 0)
        taken += 1
        return GAMES

    return call


def _bundle() -> Callable[[], int]:
    """The loop of the evaluator: the same kernels, the opponent as its TorchScript bundle."""
    config, robot, safety = load_arena("reference"), load_robot("reference"), load_safety("rcbf")
    scenario, opponent = load_scenario("random"), load_bundle("lookahead")
    layouts = [sample_layout(scenario, config, robot, robot, 0, i) for i in range(GAMES)]
    drawn = np.random.default_rng(0).uniform([0.5, -0.5], [1.0, 0.5], (GAMES, 2))
    games = Games(layouts, config, (robot, robot), (safety, safety))

    def call() -> int:
        nonlocal games
        if len(games.active) < GAMES // 2:
            games = Games(layouts, config, (robot, robot), (safety, safety))
        games.observe(0)
        running = games.active
        games.step(np.stack([drawn[running], opponent.act(games.observe(1))], axis=1))
        return len(running)

    return call


def subjects(threads: int) -> dict[tuple[str, str], Callable[[], int]]:
    """What is measured, by subject and case."""
    few = 1024
    result: dict[tuple[str, str], Callable[[], int]] = {(BUNDLE, "lookahead, 1 thread"): _bundle()}
    for count in sorted({1, threads}):
        plural = "s" if count > 1 else ""
        for name in OPPONENTS:
            case = f"{name}, {count} thread{plural}"
            result[COMPILED, case] = _batched(Task(evader=name, starts=few), count)
        case = f"lookahead, randomised, {count} thread{plural}"
        result[COMPILED, case] = _batched(Task(starts=few, randomise=1.0), count)
    return result


def measure(calls: dict[tuple[str, str], Callable[[], int]], rounds: int) -> Measured:
    """Steps a second and cores had, of every subject in turn, ``rounds`` times."""
    for call in calls.values():
        call()
    result: Measured = {key: [] for key in calls}
    for _ in range(rounds):
        for key, call in calls.items():
            steps, wall, cpu = 0, time.perf_counter(), time.process_time()
            while (took := time.perf_counter() - wall) < LEAST_S:
                steps += call()
            result[key].append((steps / took, (time.process_time() - cpu) / took))
    return result


def rows_of(measured: Measured) -> list[Row]:
    """Median, least and largest rate, and the median of the cores, of each subject."""
    rows: list[Row] = []
    for (subject, case), values in measured.items():
        rates = [rate for rate, _ in values]
        for metric, value, unit in (
            ("median", statistics.median(rates), "steps/s"),
            ("least", min(rates), "steps/s"),
            ("largest", max(rates), "steps/s"),
            ("cores", statistics.median(cores for _, cores in values), ""),
        ):
            rows.append(Row(bench=BENCH, subject=subject, case=case, metric=metric, value=value, unit=unit))
    return rows


def run(json_path: Path | None, rounds: int = 7) -> list[Row]:
    """Measure, print the table, return the rows; ``json_path`` gets them too."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        rows = rows_of(measure(subjects(min(2, len(os.sched_getaffinity(0)))), rounds))
    finally:
        torch.set_num_threads(before)
    print_table(f"environment steps a second, {GAMES} games", rows, ["median", "least", "largest", "cores"])
    reached = find(rows, COMPILED, TARGET_CASE, "median")
    if reached is None:
        print(f"{TARGET_CASE}: not measured, this process has one core")
    else:
        met = "met   " if reached >= TARGET else "MISSED"
        print(f"{met} {TARGET_CASE}: {reached:,.0f} steps/s, asked {TARGET:,.0f}")
        rows.append(
            Row(
                bench=BENCH, subject=COMPILED, case=TARGET_CASE, metric="target", value=TARGET, unit="steps/s"
            )
        )
    rows += learning.run(min(2, len(os.sched_getaffinity(0))))
    if json_path is not None:
        write_rows(json_path, rows)
    return rows

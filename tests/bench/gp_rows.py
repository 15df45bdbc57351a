"""Safety rows with a learned disturbance, beside fixed margins and none, in worlds that the model does not know.

    python -m tests.bench.gp_rows --json docs/results/gp_rows.json --page docs/results/gp_rows.md
    python -m tests.bench.gp_rows --json docs/results/gp_rows.json --control
    python -m tests.bench.gp_rows --read docs/results/gp_rows.json --page docs/results/gp_rows.md

One robot presses on walls and obstacles and passes a gap of 0.5 m (see gp_worlds).  Every method plays the same
worlds with the same noise.  Beside it the 20 Hz control step with and without refits in the background.  The second
command measures that step alone and replaces its rows; the third plays nothing: it writes page and figure from rows
that are there.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import functools
import json
import multiprocessing
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pe_core.randomness import generator
from pe_evaluation.statistics import clopper_pearson
from pe_safety.disturbance.filter import LearnedFilter
from pe_safety.disturbance.model import LearnedDisturbance
from pe_safety.disturbance.parameters import DisturbanceParameters
from pe_safety.disturbance.refit import Fit, InCaller, InThread, Publish, Refitter
from pe_safety.disturbance.simulation import ImperfectRobot
from pe_safety.parameters import SafetyParameters
from tests.bench import gp_rows_figure, gp_rows_page
from tests.bench.gp import Never
from tests.bench.gp_rows_page import AXES, LEARNT, WINDOWS, window
from tests.bench.gp_worlds import ARENA, DT, HALF_SIDE, ROBOT, Episode, Presser, draw, play, residuals

SEEDS, STEPS, SECONDS = 30, 600, 30.0
WORLDS = ("slip", "gain", "slope", "all")
DRIFTING = ("slope",)
"""Where the rows are also tried without turning round."""
METHODS: dict[str, tuple[str, float]] = {
    "no margin": ("none", 0.0),
    "fixed 0.1 m/s": ("bound", 0.1),
    "fixed 0.4 m/s": ("bound", 0.4),
    "fixed 0.05 m": ("distance", 0.05),
    "fixed 0.15 m": ("distance", 0.15),
    LEARNT: ("gp", 0.0),
    "learnt, no turning round": ("gp-rows", 0.0),
}


@functools.cache
def _learnt() -> LearnedDisturbance:
    return LearnedDisturbance(ROBOT, DisturbanceParameters(), DT, HALF_SIDE)


def episode(job: tuple[str, str, int]) -> Episode:
    """One episode of (method, world, seed)."""
    name, world, seed = job
    kind, bound = METHODS[name]
    return play(kind, bound, world, seed, STEPS, _learnt() if kind.startswith("gp") else None, keep=name == LEARNT)


def _row(subject: str, case: str, metric: str, value: float, unit: str) -> dict[str, Any]:
    return {
        "bench": "gp-rows",
        "subject": subject,
        "case": case,
        "metric": metric,
        "value": value,
        "unit": unit,
    }


def summary(name: str, world: str, episodes: Sequence[Episode]) -> list[dict[str, Any]]:
    """Rows of one method in one world."""
    n = len(episodes)
    contacts = sum(each.contact for each in episodes)
    low, high = clopper_pearson(contacts, n)
    steps = sum(each.steps for each in episodes)
    crossings = [each.crossings for each in episodes]
    values = {
        "episodes with contact": (contacts, "episodes"),
        "of episodes with contact, 95 % from": (100.0 * low, "%"),
        "of episodes with contact, 95 % to": (100.0 * high, "%"),
        "steps in contact": (sum(each.violations for each in episodes), "steps"),
        "smallest body margin": (min(each.min_margin for each in episodes), "m"),
        "passages of the gap, mean": (float(np.mean(crossings)), "1"),
        "episodes without a passage": (sum(count == 0 for count in crossings), "episodes"),
        "infeasible": (100.0 * sum(each.infeasible for each in episodes) / steps, "%"),
        "turning round": (100.0 * sum(each.escapes for each in episodes) / steps, "%"),
        "not settled": (sum(each.unsettled for each in episodes), "steps"),
        "solutions a step, mean": (float(np.mean([each.passes for each in episodes])), "1"),
    }
    if name == LEARNT:
        values |= learning(episodes)
    return [_row(name, f"{world}, {n} episodes", metric, *value) for metric, value in values.items()]


def learning(episodes: Sequence[Episode]) -> dict[str, tuple[float, str]]:
    """The learnt margin kappa sigma at the commands sent, pooled over episodes, and how often its band held."""
    bounds = np.array([each.series["bound"] for each in episodes])
    values: dict[str, tuple[float, str]] = {}
    for o, axis in enumerate(AXES):
        for span in WINDOWS:
            part = bounds[:, round(span[0] / DT) : round(span[1] / DT), o]
            for label, quantile in (("median", 0.5), ("90 %", 0.9)):
                values[f"{axis} margin, {label}, {window(span)}"] = (float(np.quantile(part, quantile)), "m/s")
    for seed, each in enumerate(episodes):
        if each.contact:
            first = int(np.argmax(np.array(each.series["body"]) <= 0.0))
            values[f"contact of seed {seed}, begin"] = (first * DT, "s")
            values[f"contact of seed {seed}, depth"] = (-each.min_margin, "m")
    found = [residuals(each.series) for each in episodes]
    actual, low, high = (np.concatenate([each[k][round(1.0 / DT) :] for each in found]) for k in range(3))
    for o, axis in enumerate((*AXES, "turn")):
        seen = np.isfinite(actual[:, o])
        inside = (actual[:, o] >= low[:, o]) & (actual[:, o] <= high[:, o])
        values[f"{axis} residuals in the band"] = (100.0 * float(inside[seen].mean()), "%")
    return values


class Timed(InThread):
    """The thread, with the time that each fit took [s]."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def submit(self, fit: Fit, publish: Publish) -> None:
        """As the thread does."""

        def timed() -> Any:
            start = time.perf_counter()
            result = fit()
            self.seconds.append(time.perf_counter() - start)
            return result

        super().submit(timed, publish)


def control_steps(refitter: Refitter, seconds: float) -> np.ndarray:
    """Work of each 20 Hz step [s]: observe, filter, remember."""
    learned = LearnedDisturbance(ROBOT, DisturbanceParameters(), DT, HALF_SIDE, refitter)
    safety = LearnedFilter(SafetyParameters(), ROBOT, None, DT, learned)
    safety.warm_up()
    robot = ImperfectRobot(ROBOT, draw("all", 0), np.array([1.3, 0.0, 1.0]), HALF_SIDE)
    policy = Presser(generator(0, 0, "bench/gp-rows/control"), 1.0)
    warm, count = 40, round(seconds / DT)
    work = np.empty(warm + count)
    begin = time.perf_counter()
    for k in range(warm + count):
        time.sleep(max(0.0, begin + k * DT - time.perf_counter()))
        start = time.perf_counter()
        safety.observe(robot.state, k * DT)
        command = safety.step(robot.state, policy(robot.state), None, ARENA).command
        safety.sent(command)
        work[k] = time.perf_counter() - start
        robot.step(command, DT)
    learned.close()
    return work[warm:]


def measure_control(seconds: float) -> list[dict[str, Any]]:
    """The control step without refits, beside them, and waiting for them, in turn, twice."""
    cases = {"without refits": Never, "refits in the thread": Timed, "refits in the control step": InCaller}
    work: dict[str, list[np.ndarray]] = {name: [] for name in cases}
    fits: list[float] = []
    control_steps(InCaller(), 1.0)  # compiles the fit: a compilation would hold the interpreter lock beside a step
    before = os.getloadavg()[0]
    for _ in range(2):
        for name, make in cases.items():
            refitter = make()
            work[name].append(control_steps(refitter, seconds))
            fits += refitter.seconds if isinstance(refitter, Timed) else []
            print(f"gp-rows: control step, {name}", flush=True)
    rows = [
        _row("machine", "control step", "load before", before, "1"),
        _row("machine", "control step", "load after", os.getloadavg()[0], "1"),
        _row("machine", "control step", "processors", len(os.sched_getaffinity(0)), "1"),
        _row("refits in the thread", "control step", "refits", len(fits), "1"),
        _row("refits in the thread", "control step", "refit, median", 1e3 * float(np.median(fits)), "ms"),
    ]
    for name, parts in work.items():
        times = 1e6 * np.concatenate(parts)
        for quantile, label in ((0.5, "p50"), (0.99, "p99"), (1.0, "max")):
            value = float(np.quantile(times, quantile))
            rows.append(_row(name, f"20 Hz control step, {len(times)} samples", f"work {label}", value, "us"))
    return rows


def remeasure(json_path: Path, seconds: float = SECONDS) -> list[dict[str, Any]]:
    """Measure the control step anew, and put it into the rows at ``json_path``."""
    kept = [row for row in json.loads(json_path.read_text()) if "control step" not in row["case"]]
    rows = [*measure_control(seconds), *kept]
    json_path.write_text(json.dumps(rows, indent=1) + "\n")
    return rows


def run(
    json_path: Path | None, seeds: int = SEEDS, workers: int = 2, seconds: float = SECONDS
) -> list[dict[str, Any]]:
    """Play and measure everything, print it, return the rows; ``json_path`` gets them too."""
    rows = [*measure_control(seconds), _row("all methods", "games", "episodes of a world", seeds, "1")]
    with concurrent.futures.ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        for world in WORLDS:
            for name, (kind, _) in METHODS.items():
                if kind == "gp-rows" and world not in DRIFTING:
                    continue
                jobs = [(name, world, seed) for seed in range(seeds)]
                rows += summary(name, world, list(pool.map(episode, jobs, chunksize=4)))
                print(f"gp-rows: {world}, {name}", flush=True)
                if json_path is not None:
                    json_path.write_text(json.dumps(rows, indent=1) + "\n")
    for row in rows:
        print(
            f"{row['subject']:>32}  {row['case']:<32} {row['metric']:>36}  {row['value']:12.3f} {row['unit']}"
        )
    return rows


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="worlds of each kind")
    parser.add_argument("--workers", type=int, default=2, help="processes to share the episodes")
    parser.add_argument("--page", type=Path, help="write the page here, its figures beside it")
    parser.add_argument("--control", action="store_true", help="measure the control step alone, into --json")
    parser.add_argument("--read", type=Path, help="take the rows from this file instead of playing")
    parser.add_argument("--figure", type=Path, help="draw one episode of each world instead; data beside it")
    arguments = parser.parse_args()
    if arguments.figure is not None:
        gp_rows_figure.draw(arguments.figure)
        return
    if arguments.control:
        if arguments.json is None:
            parser.error("--control: --json names the rows that it belongs to")
        rows = remeasure(arguments.json)
    elif arguments.read is not None:
        rows = json.loads(arguments.read.read_text())
    else:
        rows = run(arguments.json, arguments.seeds, arguments.workers)
    if arguments.page is not None:
        figure, series = (arguments.page.with_name(f"{arguments.page.stem}{part}.png") for part in ("", "_series"))
        gp_rows_page.draw(rows, figure)
        if arguments.read is None and not arguments.control:
            gp_rows_figure.draw(series)
        arguments.page.write_text(gp_rows_page.page(rows, figure.name, series.name))


if __name__ == "__main__":
    main()

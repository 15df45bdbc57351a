"""The learned disturbance: ours beside its peers, and a 20 Hz control step with and without refits beside it.

    python -m tests.bench.gp [--json FILE] [--seconds S] [--control] [--figure PNG]

Peers that are not installed are left out.  One thread for every linear algebra library.
"""

from __future__ import annotations

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import argparse  # noqa: E402
import concurrent.futures  # noqa: E402
import dataclasses  # noqa: E402
import json  # noqa: E402
import math  # noqa: E402
import multiprocessing  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402

from pe_core.arena import Arena  # noqa: E402
from pe_core.robot import RobotModel  # noqa: E402
from pe_safety.disturbance.model import LearnedDisturbance  # noqa: E402
from pe_safety.disturbance.parameters import DisturbanceParameters  # noqa: E402
from pe_safety.disturbance.posterior import Posterior  # noqa: E402
from pe_safety.disturbance.refit import Fit, InCaller, InThread, Publish, Refitter  # noqa: E402
from pe_safety.disturbance.simulation import Imperfection, ImperfectRobot  # noqa: E402
from pe_safety.filter import SafetyFilter  # noqa: E402
from pe_safety.parameters import SafetyParameters  # noqa: E402
from tests.bench import gp_figure, gp_peers  # noqa: E402

DT, HALF_SIDE = 0.05, 10.0
SECONDS, ROUNDS = 20.0, 2
ROBOT = RobotModel()
IMPERFECTION = Imperfection(gain_v=0.9, gain_omega=1.1, side_slip=0.02, noise=(0.01, 0.01, 0.03))


class Never:
    """No refits: the control step alone."""

    def submit(self, fit: Fit, publish: Publish) -> None:
        """Nothing."""

    def wait(self, timeout: float) -> bool:
        return True

    def close(self) -> None:
        """Nothing to end."""


class InProcess:
    """Refits in another process: what a thread is compared with."""

    def __init__(self) -> None:
        self._pool = concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
        self._pool.submit(math.sqrt, 1.0).result()

    def submit(self, fit: Fit, publish: Publish) -> None:
        """Pickle the window, send it, have the pool's own thread publish the answer."""
        self._pool.submit(fit).add_done_callback(lambda done: publish(None if done.cancelled() else done.result()))

    def wait(self, timeout: float) -> bool:
        return True

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)


class PythonThread(InThread):
    """A thread whose fit is Python over LAPACK, as with a library: it takes and leaves the lock all the time."""

    def submit(self, fit: Fit, publish: Publish) -> None:
        """Fit as scipy does, for its time only; the posterior is ours."""
        window, hyperparameters = fit.args[:2]  # type: ignore[attr-defined]

        def slow() -> Posterior | None:
            for output in range(3):
                gp_peers.scipy_fit(window.inputs, window.targets[:, output], hyperparameters, output, 8)
            return fit()

        super().submit(slow, publish)


CASES: dict[str, tuple[Callable[[], Refitter], int]] = {
    "no refits": (Never, 10),
    "thread, compiled without the lock": (InThread, 10),
    "thread, refits without a pause": (InThread, 1),
    "thread, Python over LAPACK": (PythonThread, 10),
    "process": (InProcess, 10),
    "in the caller": (InCaller, 10),
}


def control_steps(name: str, seconds: float) -> tuple[dict[str, np.ndarray], int]:
    """Times of each 20 Hz step [s], and refits done.

    work: model and safety filter; predict: one prediction in it; lateness: of the step's start.
    """
    make, every = CASES[name]
    parameters = dataclasses.replace(DisturbanceParameters(), refit_every=every)
    model = LearnedDisturbance(ROBOT, parameters, DT, HALF_SIDE, make())
    safety = SafetyFilter(SafetyParameters(), ROBOT, ROBOT, DT)
    safety.warm_up()
    arena = Arena(HALF_SIDE, np.array([[2.0, 1.0, 0.5], [-3.0, 2.0, 0.8]]))
    opponent = np.array([5.0, 5.0, 0.0, 0.5, 0.0])
    rng = np.random.default_rng(0)
    robot = ImperfectRobot(ROBOT, IMPERFECTION, np.zeros(3), HALF_SIDE)
    warm, count = 40, round(seconds / DT)
    times = {what: np.empty(warm + count) for what in ("work", "predict", "lateness")}
    nominal = np.zeros(2)
    begin = time.perf_counter()
    for k in range(warm + count):
        if k % 8 == 0:
            nominal = np.array([rng.uniform(0.0, ROBOT.v_max), ROBOT.omega_max * rng.uniform(-1.0, 1.0)])
        due = begin + k * DT
        time.sleep(max(0.0, due - time.perf_counter()))
        start = time.perf_counter()
        model.observe(robot.state, k * DT)
        before = time.perf_counter()
        model.predict(robot.state, nominal)
        times["predict"][k] = time.perf_counter() - before
        command = safety.step(robot.state, nominal, opponent, arena).command
        model.command(command)
        end = time.perf_counter()
        times["lateness"][k], times["work"][k] = start - due, end - start
        robot.step(command, DT)
    refits = model.counts.refits
    model.close()
    return {what: values[warm:] for what, values in times.items()}, refits


def measure_control(seconds: float) -> list[dict[str, Any]]:
    """Work of a control step in every case, in turn, round after round."""
    times: dict[str, list[dict[str, np.ndarray]]] = {name: [] for name in CASES}
    refits = dict.fromkeys(CASES, 0)
    control_steps("in the caller", 1.0)  # compiles the fit: a compilation would hold the interpreter lock beside a step
    load = [os.getloadavg()[0]]
    for round_ in range(ROUNDS):
        for name in CASES:
            print(f"gp: round {round_ + 1} of {ROUNDS}, control step, {name} ...", flush=True)
            step, done = control_steps(name, seconds)
            times[name].append(step)
            refits[name] += done
    load.append(os.getloadavg()[0])
    rows = [
        {"bench": "gp", "subject": "machine", "case": "20 Hz control step", "metric": f"load {when}", "value": value,
         "unit": "1"}
        for when, value in zip(("before", "after"), load, strict=True)
    ]  # fmt: skip
    for name in CASES:
        for what in ("work", "predict", "lateness"):
            values = 1e6 * np.concatenate([each[what] for each in times[name]])
            case = f"20 Hz control step, {len(values)} samples, {refits[name]} refits"
            for quantile, label in ((0.5, "p50"), (0.99, "p99"), (1.0, "max")):
                rows.append(
                    {
                        "bench": "gp",
                        "subject": f"refits: {name}",
                        "case": case,
                        "metric": f"{what} {label}",
                        "value": float(np.quantile(values, quantile)),
                        "unit": "us",
                    }
                )
    return rows


def run(json_path: Path | None, seconds: float = SECONDS, control: bool = False) -> list[dict[str, Any]]:
    """Measure, print a table, return the rows; ``json_path`` gets them too.

    With ``control`` only the control step is measured, and takes the place of its rows in ``json_path``.
    """
    if control:
        kept = json.loads(json_path.read_text()) if json_path is not None and json_path.exists() else []
        rows = [row for row in kept if not row["subject"].startswith(("refits: ", "machine"))]
    else:
        rows = gp_peers.measure()
    rows += measure_control(seconds)
    for row in rows:
        print(f"{row['subject']:>42}  {row['case']:<48} {row['metric']:>32}  {row['value']:12.3f} {row['unit']}")
    if json_path is not None:
        json_path.write_text(json.dumps(rows, indent=1) + "\n")
    return rows


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="length of each round of control steps")
    parser.add_argument("--control", action="store_true", help="measure the control step alone")
    parser.add_argument("--figure", type=Path, help="draw predicted against actual residuals instead; data beside it")
    arguments = parser.parse_args()
    if arguments.figure is not None:
        gp_figure.draw(arguments.figure)
    else:
        run(arguments.json, arguments.seconds, arguments.control)


if __name__ == "__main__":
    main()

"""Predicted against actual residual of one robot over time, with the band of two deviations, and kappa."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np

from pe_core.randomness import generator
from pe_core.robot import RobotModel
from pe_safety.disturbance.model import LearnedDisturbance
from pe_safety.disturbance.parameters import DisturbanceParameters
from pe_safety.disturbance.simulation import Imperfection, ImperfectRobot

DT, HALF_SIDE, STEPS, SEED = 0.05, 10.0, 400, 4
FLOOR = 200
"""Step at which the robot drives on to a slippery, sloping floor."""
ROBOT = RobotModel()
FIRST = Imperfection(gain_v=0.85, gain_omega=1.1, lag=0.03)
SECOND = Imperfection(gain_v=0.85, gain_omega=1.1, lag=0.03, slip=0.1, side_slip=0.03, slope_x=0.08, slope_y=0.04)
LABELS = ("forward $d_x$ [m/s]", "sideways $d_y$ [m/s]", "turn $d_\\theta$ [rad/s]")


def simulate() -> dict[str, list]:
    """One drive: time, actual residual, what was predicted for it one step before, kappa, mean sigma."""
    model = LearnedDisturbance(ROBOT, DisturbanceParameters(), DT, HALF_SIDE)
    robot = ImperfectRobot(ROBOT, FIRST, np.array([-4.0, -3.0, 0.3]), HALF_SIDE)
    rng = generator(SEED, 0, "bench/gp-figure")
    noise = 0.003 * np.array([ROBOT.v_max, ROBOT.v_max, ROBOT.omega_max])
    series: dict[str, list] = {key: [] for key in ("time", "actual", "mean", "sigma", "kappa", "mean_sigma")}
    prediction = None
    command = (0.0, 0.0)
    for k in range(STEPS):
        if k == FLOOR:
            robot.imperfection = SECOND
        if k % 10 == 0:
            command = (rng.uniform(0.2, 1.0), ROBOT.omega_max * rng.uniform(-0.7, 0.7))
        seen = robot.state.copy()
        # What an estimator would leave: a residual's noise, as displacement within one step.
        seen[:3] += DT * noise * rng.standard_normal(3)
        actual = model.observe(seen, k * DT)
        if actual is not None and prediction is not None:
            series["time"].append((k - 1) * DT)
            series["actual"].append(actual.tolist())
            series["mean"].append(prediction.mean.tolist())
            series["sigma"].append(prediction.sigma.tolist())
            series["kappa"].append(model.kappa)
            series["mean_sigma"].append(model.mean_sigma if math.isfinite(model.mean_sigma) else None)
        prediction = model.predict(seen, command)
        model.command(command)
        robot.step(command, DT)
    return series


def draw(path: Path) -> None:
    """Write the figure to ``path`` and its data beside it (.json)."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    series = simulate()
    path.with_suffix(".json").write_text(json.dumps(series) + "\n")
    time = np.array(series["time"])
    actual, mean, sigma = (np.array(series[key]) for key in ("actual", "mean", "sigma"))
    figure, axes = plt.subplots(4, 1, figsize=(10, 10), sharex=True, height_ratios=(3, 3, 3, 2))
    for o, axis in enumerate(axes[:3]):
        low, high = mean[:, o] - 2.0 * sigma[:, o], mean[:, o] + 2.0 * sigma[:, o]
        axis.fill_between(time, low, high, color="#9ecae1", alpha=0.7, lw=0, label="predicted $\\pm 2\\sigma$")
        axis.plot(time, mean[:, o], color="#08519c", lw=1.0, label="predicted mean")
        axis.plot(time, actual[:, o], ".", color="#d94801", ms=2.5, label="actual")
        axis.axvline(FLOOR * DT, color="0.4", ls="--", lw=0.8)
        axis.set_ylabel(LABELS[o])
        axis.grid(alpha=0.25)
        inside = (actual[:, o] >= low) & (actual[:, o] <= high)
        late = inside[time > 1.0]
        axis.set_title(f"{100 * late.mean():.0f} % within the band after the first second", fontsize=9, loc="right")
    # Band of the first half second would hide the rest.
    for o, axis in enumerate(axes[:3]):
        reach = 1.3 * np.abs(actual[:, o]).max()
        axis.set_ylim(-reach, reach)
    axes[0].legend(loc="upper center", ncols=3, fontsize=9, framealpha=0.9)
    axes[0].text(FLOOR * DT + 0.1, axes[0].get_ylim()[0] * 0.93, "slippery, sloping floor from here", fontsize=9)
    axes[3].plot(time, series["kappa"], color="#238b45", label="$\\kappa$")
    axes[3].axhline(DisturbanceParameters().kappa, color="#238b45", ls=":", lw=1.0, label="nominal")
    axes[3].set_ylabel("$\\kappa$")
    axes[3].set_ylim(0.0, 1.1 * max(series["kappa"]))
    axes[3].set_xlabel("time [s]")
    axes[3].grid(alpha=0.25)
    right = axes[3].twinx()
    known = [value if value is not None else math.nan for value in series["mean_sigma"]]
    right.semilogy(time, known, color="#6a51a3", lw=1.0, label="mean $\\sigma$")
    right.axhline(DisturbanceParameters().kappa_end, color="#6a51a3", ls=":", lw=1.0, label="threshold")
    right.set_ylabel("mean $\\sigma$ [m/s, rad/s]")
    lines = [*axes[3].get_lines(), *right.get_lines()]
    axes[3].legend(lines, [line.get_label() for line in lines], loc="upper right", ncols=4, fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    print(f"{path} and {path.with_suffix('.json')}")

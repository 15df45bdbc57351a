"""Gaussian processes side by side: ours, scikit-learn's, GPyTorch's and a plain LAPACK one, on the same residuals.

All have the kernel s^2 exp(-1/2 sum (z - z')^2 / l^2) + n^2 with a length per input, one process per output, and
200 training points.  The peers learn by their own ways from their own starts; ``scipy`` maximises our objective.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.metadata
import math
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.linalg
import scipy.optimize

from pe_core.randomness import generator
from pe_core.robot import RobotModel
from pe_safety.disturbance import posterior
from pe_safety.disturbance.posterior import Hyperparameters, Posterior, Window, fit, generic_hyperparameters
from pe_safety.disturbance.residual import INPUTS, OUTPUTS
from pe_safety.disturbance.simulation import draw_imperfection, drive, simulated_hyperparameters

ROBOT = RobotModel()
DT, HALF_SIDE = 0.05, 10.0
SCALE = np.array([ROBOT.v_max, ROBOT.v_max, ROBOT.omega_max])
PRIOR, MEASURED = np.array([0.1, 0.05, 0.1]), np.zeros(3)
TRAIN, TEST, ROBOTS = 200, 100, 8
GENERIC = generic_hyperparameters(PRIOR, MEASURED)

Predict = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
Learn = Callable[[np.ndarray, np.ndarray], Predict]

_SKLEARN = ["scikit-learn", "joblib", "threadpoolctl", "narwhals"]
NEEDED = {
    "ours": [],
    "scikit-learn": _SKLEARN,
    "gpytorch": ["gpytorch", "linear_operator", "jaxtyping", "wadler-lindig", *_SKLEARN],
}
"""What each adds to what the project already has (numpy, scipy, numba, torch)."""
IMPORTS = {
    "ours": "pe_safety.disturbance.posterior",
    "scikit-learn": "sklearn.gaussian_process",
    "gpytorch": "gpytorch",
}


def robots(ramp: float = 0.0, half_side: float = HALF_SIDE) -> list[tuple[np.ndarray, np.ndarray]]:
    """Inputs (300, 8) and scaled residuals (300, 3) of simulated robots, all different; ``ramp``: uneven floor."""
    series = []
    for index in range(ROBOTS):
        rng = generator(11, index, "bench/gp")
        imperfection = draw_imperfection(rng, ROBOT)
        slope = {"slope_x": 2.0 * imperfection.slope_x, "slope_y": 2.0 * imperfection.slope_y} if ramp else {}
        imperfection = dataclasses.replace(imperfection, ramp=ramp, **slope)
        inputs, residuals = drive(ROBOT, imperfection, half_side, DT, TRAIN + TEST, rng)
        series.append((inputs, residuals / SCALE))
    return series


def _ours(hyperparameters: Hyperparameters, evaluations: int) -> Learn:
    def learn(inputs: np.ndarray, targets: np.ndarray) -> Predict:
        window = Window(inputs, targets, np.zeros(targets.shape))
        one = np.ones(3)
        result = fit(window, hyperparameters, evaluations, one, one[:2], MEASURED, PRIOR)
        assert isinstance(result, Posterior)

        def predict(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            prediction = result.predict(z)
            return prediction.mean, prediction.sigma

        return predict

    return learn


def _dense(a: np.ndarray, b: np.ndarray, phi: np.ndarray) -> np.ndarray:
    left, right = a / np.exp(phi[:INPUTS]), b / np.exp(phi[:INPUTS])
    square = (left**2).sum(1)[:, None] + (right**2).sum(1) - 2.0 * left @ right.T
    return math.exp(2.0 * phi[INPUTS]) * np.exp(-0.5 * np.maximum(square, 0.0))


def scipy_fit(
    inputs: np.ndarray, target: np.ndarray, hyperparameters: Hyperparameters, output: int, evaluations: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """phi, alpha and the factor by LAPACK and L-BFGS-B on our objective."""
    center, width = hyperparameters.center[output], hyperparameters.width[output]

    def value(phi: np.ndarray) -> tuple[float, np.ndarray]:
        kernel = _dense(inputs, inputs, phi)
        noise = math.exp(2.0 * phi[-1])
        factor = scipy.linalg.cholesky(kernel + (noise + 1e-10) * np.eye(len(inputs)), lower=True)
        alpha = scipy.linalg.cho_solve((factor, True), target)
        weight = scipy.linalg.cho_solve((factor, True), np.eye(len(inputs))) - np.outer(alpha, alpha)
        gradient = np.empty(INPUTS + 2)
        product = weight * kernel
        for d in range(INPUTS):
            offset = inputs[:, d, None] - inputs[None, :, d]
            gradient[d] = 0.5 * (product * offset**2).sum() * math.exp(-2.0 * phi[d])
        gradient[INPUTS] = product.sum()
        gradient[INPUTS + 1] = noise * np.trace(weight)
        offset = (phi - center) / width
        total = 0.5 * target @ alpha + np.log(np.diag(factor)).sum() + 0.5 * (offset**2).sum()
        return float(total), gradient + offset / width

    bounds = list(zip(hyperparameters.low[output], hyperparameters.high[output], strict=True))
    found = scipy.optimize.minimize(
        value, hyperparameters.phi[output], jac=True, method="L-BFGS-B", bounds=bounds, options={"maxfun": evaluations}
    )
    kernel = _dense(inputs, inputs, found.x) + math.exp(2.0 * found.x[-1]) * np.eye(len(inputs))
    factor = scipy.linalg.cholesky(kernel, lower=True)
    return found.x, scipy.linalg.cho_solve((factor, True), target), factor


def _scipy(hyperparameters: Hyperparameters, evaluations: int) -> Learn:
    def learn(inputs: np.ndarray, targets: np.ndarray) -> Predict:
        fits = [scipy_fit(inputs, targets[:, o], hyperparameters, o, evaluations) for o in range(OUTPUTS)]

        def predict(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            mean, sigma = np.empty(OUTPUTS), np.empty(OUTPUTS)
            for o, (phi, alpha, factor) in enumerate(fits):
                cross = _dense(z[None], inputs, phi)[0]
                v = scipy.linalg.solve_triangular(factor, cross, lower=True, check_finite=False)
                mean[o] = cross @ alpha
                sigma[o] = math.sqrt(max(math.exp(2.0 * phi[-2]) - v @ v, 0.0) + math.exp(2.0 * phi[-1]))
            return mean, sigma

        return predict

    return learn


def _sklearn() -> Learn:
    process = importlib.import_module("sklearn.gaussian_process")
    kernels = importlib.import_module("sklearn.gaussian_process.kernels")

    def learn(inputs: np.ndarray, targets: np.ndarray) -> Predict:
        fits = []
        for o in range(OUTPUTS):
            kernel = kernels.ConstantKernel(PRIOR[o] ** 2, (1e-6, 1e2)) * kernels.RBF(
                np.full(INPUTS, 2.0), (0.1, 100.0)
            ) + kernels.WhiteKernel(1e-4, (1e-6, 1.0))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                fits.append(process.GaussianProcessRegressor(kernel).fit(inputs, targets[:, o]))

        def predict(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            both = [each.predict(z[None], return_std=True) for each in fits]
            return np.array([m[0] for m, _ in both]), np.array([s[0] for _, s in both])

        return predict

    return learn


def _gpytorch(iterations: int = 100) -> Learn:
    torch, gpytorch = importlib.import_module("torch"), importlib.import_module("gpytorch")
    torch.set_num_threads(1)
    shape = torch.Size([OUTPUTS])

    class Process(gpytorch.models.ExactGP):  # type: ignore[misc, name-defined]
        def __init__(self, x: Any, y: Any, likelihood: Any) -> None:
            super().__init__(x, y, likelihood)
            self.mean_module = gpytorch.means.ZeroMean(batch_shape=shape)
            self.covar_module = gpytorch.kernels.ScaleKernel(
                gpytorch.kernels.RBFKernel(ard_num_dims=INPUTS, batch_shape=shape), batch_shape=shape
            )

        def forward(self, x: Any) -> Any:
            return gpytorch.distributions.MultivariateNormal(self.mean_module(x), self.covar_module(x))

    def learn(inputs: np.ndarray, targets: np.ndarray) -> Predict:
        x = torch.tensor(inputs).expand(OUTPUTS, *inputs.shape)
        y = torch.tensor(targets.T.copy())
        likelihood = gpytorch.likelihoods.GaussianLikelihood(
            batch_shape=shape, noise_constraint=gpytorch.constraints.GreaterThan(1e-6)
        )
        model = Process(x, y, likelihood).double()
        model.covar_module.base_kernel.lengthscale = 2.0
        model.covar_module.outputscale = torch.tensor(PRIOR**2)
        likelihood.noise = 1e-4
        model.train()
        likelihood.train()
        optimiser = torch.optim.Adam(model.parameters(), lr=0.1)
        marginal = gpytorch.mlls.ExactMarginalLogLikelihood(likelihood, model)
        for _ in range(iterations):
            optimiser.zero_grad()
            loss = -marginal(model(x), y).sum()
            loss.backward()
            optimiser.step()
        model.eval()
        likelihood.eval()

        def predict(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            with torch.no_grad(), gpytorch.settings.fast_pred_var(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = likelihood(model(torch.tensor(z).expand(OUTPUTS, 1, INPUTS)))
                return found.mean[:, 0].numpy(), found.stddev[:, 0].numpy()

        return predict

    return learn


def subjects() -> dict[str, Learn]:
    """Every process that can be imported here."""
    simulated = simulated_hyperparameters(ROBOT, HALF_SIDE, DT, 0, GENERIC)
    found: dict[str, Learn] = {
        "ours, one refit (8 evaluations)": _ours(simulated, 8),
        "ours, 30 evaluations": _ours(simulated, 30),
        "scipy LAPACK + L-BFGS-B, 8 evaluations": _scipy(simulated, 8),
        "scipy LAPACK + L-BFGS-B, 30 evaluations": _scipy(simulated, 30),
    }
    for name, make in (("scikit-learn", _sklearn), ("gpytorch, 100 Adam steps", _gpytorch)):
        try:
            found[name] = make()
        except ImportError as error:
            print(f"gp: {name} left out: {error}")
    return found


def measure() -> list[dict[str, Any]]:
    """Fit and predict time, accuracy and calibration of each subject over all robots, in turn robot by robot."""
    series, rows = robots(), []
    makers = subjects()
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in makers}
    scores: dict[str, list[np.ndarray]] = {name: [] for name in makers}
    for turn, (inputs, targets) in enumerate([series[0], *series]):
        for name, learn in makers.items():
            start = time.perf_counter()
            predict = learn(inputs[:TRAIN].copy(), targets[:TRAIN].copy())
            fitted = time.perf_counter() - start
            predict(inputs[TRAIN])
            start = time.perf_counter()
            answers = [predict(z) for z in inputs[TRAIN:]]
            predicted = (time.perf_counter() - start) / TEST
            if turn == 0:
                continue  # compilation, first allocation
            times[name].append((fitted, predicted))
            mean, sigma = (np.array([answer[i] for answer in answers]) for i in range(2))
            scores[name].append(_scores(targets[TRAIN:], mean, sigma))
    for name in makers:
        fitted, predicted = np.median(np.array(times[name]), axis=0)
        score = np.mean(scores[name], axis=0)
        values = {
            "fit, 3 outputs": (1e3 * fitted, "ms"),
            "predict, 3 outputs": (1e6 * predicted, "us"),
            "rmse": (score[0], "1"),
            "negative log predictive density": (score[1], "nat"),
            "95 % interval covers": (100.0 * score[2], "%"),
        }
        rows += [_row(name, f"{TRAIN} points, {ROBOTS} robots", key, *value) for key, value in values.items()]
    return rows + _lock(series[0]) + _ablation(series) + _weights()


def _lock(series: tuple[np.ndarray, np.ndarray]) -> list[dict[str, Any]]:
    """Processor time of a refit of ours, and how much of it lies outside the call that holds no interpreter lock."""
    spent: list[tuple[float, float]] = []
    inner = posterior._learn

    def timed(*arguments: Any) -> bool:
        start = time.thread_time()
        learnt = inner(*arguments)
        spent.append((0.0, time.thread_time() - start))
        return bool(learnt)

    learn = _ours(simulated_hyperparameters(ROBOT, HALF_SIDE, DT, 0, GENERIC), 8)
    posterior._learn = timed
    try:
        for turn in range(21):
            start = time.thread_time()
            learn(series[0][:TRAIN], series[1][:TRAIN])
            spent[turn] = (time.thread_time() - start, spent[turn][1])
    finally:
        posterior._learn = inner
    whole, compiled = np.array(spent[1:]).T
    case = f"{TRAIN} points, median of {len(whole)}"
    return [
        _row("ours, one refit (8 evaluations)", case, "processor time", 1e3 * np.median(whole), "ms"),
        _row("ours, one refit (8 evaluations)", case, "with the lock held", 1e6 * np.median(whole - compiled), "us"),
    ]


def _scores(came: np.ndarray, mean: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """rmse, negative log density, coverage; over points and outputs, in scaled units."""
    error = came - mean
    density = 0.5 * (error / sigma) ** 2 + np.log(sigma) + 0.5 * math.log(2.0 * math.pi)
    return np.array([math.sqrt(np.mean(error**2)), density.mean(), (np.abs(error) <= 1.96 * sigma).mean()])


def _ablation(series: list[tuple[np.ndarray, np.ndarray]]) -> list[dict[str, Any]]:
    """What each group of inputs is worth: held out, by our process with 30 evaluations."""
    dropped = {
        "all 8 inputs": [],
        "without heading": [0, 1],
        "without position": [2, 3],
        "without command": [4, 5],
        "without change of velocity": [6, 7],
    }
    learn = _ours(simulated_hyperparameters(ROBOT, HALF_SIDE, DT, 0, GENERIC), 30)
    rows = []
    cases = [(case, columns, series) for case, columns in dropped.items()]
    uneven = robots(ramp=2.0, half_side=2.0)
    cases += [(case + ", uneven floor", dropped[case], uneven) for case in ("all 8 inputs", "without position")]
    for case, columns, chosen in cases:
        scores = []
        for inputs, targets in chosen:
            kept = inputs.copy()
            kept[:, columns] = 0.0
            predict = learn(kept[:TRAIN], targets[:TRAIN])
            mean, sigma = (np.array(each) for each in zip(*[predict(z) for z in kept[TRAIN:]], strict=True))
            scores.append(_scores(targets[TRAIN:], mean, sigma))
        score = np.mean(scores, axis=0)
        rows.append(_row("ours, inputs", case, "rmse", score[0], "1"))
        rows.append(_row("ours, inputs", case, "negative log predictive density", score[1], "nat"))
    return rows


def _weights() -> list[dict[str, Any]]:
    """Bytes that each adds to an installation, and the time of its import in a fresh process."""
    rows = []
    for name, packages in NEEDED.items():
        try:
            size = sum(
                (file.locate().stat().st_size if file.locate().is_file() else 0)  # type: ignore[attr-defined]
                for package in packages
                for file in importlib.metadata.distribution(package).files or []
            )
            program = f"import time; t = time.perf_counter(); import {IMPORTS[name]}; print(time.perf_counter() - t)"
            runs = [float(subprocess.check_output([sys.executable, "-c", program])) for _ in range(3)]
        except (importlib.metadata.PackageNotFoundError, subprocess.CalledProcessError):
            continue
        rows.append(_row(name, f"{len(packages)} more packages", "install weight", size / 1e6, "MB"))
        rows.append(_row(name, "fresh process, best of 3", "import", 1e3 * min(runs), "ms"))
    return rows


def _row(subject: str, case: str, metric: str, value: float, unit: str) -> dict[str, Any]:
    return {"bench": "gp", "subject": subject, "case": case, "metric": metric, "value": float(value), "unit": unit}

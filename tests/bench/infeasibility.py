"""``python -m tests.bench.infeasibility``: a learned boundary of infeasible states, round by round.

    python -m tests.bench.infeasibility docs/results/infeasibility.json models/feasibility/network.npz

Round 0 plays games made to run into infeasible states (:mod:`pe_safety.feasibility.collect`).  Each of three rounds
fits the classifier to everything collected so far, bends the nominal commands of new games by it, and counts: the
games of the table are the same draws in every round, and none that was learned from.  Then a support vector machine
(linear; RBF) and the network on the same data: area under the ROC curve, recall at fixed shares of false alarms, time
of a prediction.  The model of the last round is the one that warns beside the filter.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from pe_core.provenance import git_revision
from pe_core.randomisation import load_randomisation
from pe_core.robot import load_robot
from pe_evaluation.metrics import foreseen
from pe_evaluation.statistics import clopper_pearson
from pe_safety.feasibility.collect import Distribution, Games, collect
from pe_safety.feasibility.fit import fit_network
from pe_safety.feasibility.model import FeasibilityModel
from pe_safety.parameters import load_safety
from tests.bench.rows import Row, print_table, write_rows

BENCH = "infeasibility"
ROUNDS = 3
GAMES = 400
MEASURED = 600
HORIZON = 10
FALSE_ALARMS = (0.01, 0.05, 0.1)
# A support vector machine's fit grows with the square of the states.
SVM_STATES = 6000
PROFILES = ("reference", "turtlebot3_burger", "turtlebot3_waffle", "turtlebot4")
EXACT, ROBUST, RANGES = "rcbf", "rcbf_robust", "turtlebot3"
MEASURING_SEED = 1000
COMMAND = "python -m tests.bench.infeasibility docs/results/infeasibility.json models/feasibility/network.npz"


def play(seed: int, games: int, guard: FeasibilityModel | None, distribution: Distribution) -> Games:
    """Games between two robots of any profile, exact and covering parameters in turn."""
    robots = [load_robot(name) for name in PROFILES]
    ranges = load_randomisation(RANGES)
    return collect(robots, load_safety(EXACT), ranges, distribution, seed, games, guard, load_safety(ROBUST))


def table_rows(name: str, games: Games) -> list[Row]:
    """Infeasible control steps and games with one, with their intervals; what the guard costs."""
    steps, bad = games.infeasible.size, int(games.infeasible.sum())
    touched = games.infeasible.any(axis=(1, 2))
    values: list[tuple[str, float, str]] = [
        ("control_steps", steps, "1"),
        ("infeasible", bad, "1"),
        ("infeasible_rate", bad / steps, "1"),
        *zip(
            ("infeasible_rate_low", "infeasible_rate_high"),
            clopper_pearson(bad, steps),
            ("1", "1"),
            strict=True,
        ),
        ("games", len(touched), "1"),
        ("infeasible_games", int(touched.sum()), "1"),
        *zip(
            ("infeasible_games_low", "infeasible_games_high"),
            clopper_pearson(int(touched.sum()), len(touched)),
            ("1", "1"),
            strict=True,
        ),
        ("contacts", int((games.margin <= 0.0).sum()), "1"),
        ("speed_asked", float(games.asked.mean()), "v_max"),
        ("speed_commanded", float(games.commanded.mean()), "v_max"),
    ]
    return [Row(bench=BENCH, subject=name, case="rounds", metric=m, value=v, unit=u) for m, v, u in values]


def rounds(
    distribution: Distribution,
) -> tuple[list[Row], FeasibilityModel, NDArray[np.float64], NDArray[np.bool_]]:
    """The rounds: rows of the table, the last model, and all data collected."""
    model: FeasibilityModel | None = None
    features, labels = [], []
    rows = table_rows("no guard", play(MEASURING_SEED, MEASURED, None, distribution))
    for index in range(ROUNDS):
        x, y = play(index, GAMES, model, distribution).labelled(HORIZON)
        features.append(x)
        labels.append(y)
        model = fit_network(np.concatenate(features), np.concatenate(labels), HORIZON)
        rows += table_rows(f"round {index + 1}", play(MEASURING_SEED, MEASURED, model, distribution))
    assert model is not None
    return rows, model, np.concatenate(features), np.concatenate(labels)


def recall_at(scores: NDArray[np.float64], labels: NDArray[np.bool_], false_alarms: float) -> float:
    """Share of the infeasible states above the threshold that ``false_alarms`` of the feasible ones pass."""
    return float((scores[labels] > np.quantile(scores[~labels], 1.0 - false_alarms)).mean())


def compare(x: NDArray[np.float64], y: NDArray[np.bool_], distribution: Distribution) -> list[Row]:
    """Machines and network, fitted to ``x, y``, judged on games of the measuring seed without a guard."""
    rng = np.random.default_rng(0)
    infeasible, feasible = np.flatnonzero(y), np.flatnonzero(~y)
    chosen = np.concatenate(
        [
            rng.choice(infeasible, min(len(infeasible), SVM_STATES // 2), replace=False),
            rng.choice(feasible, min(len(feasible), SVM_STATES // 2), replace=False),
        ]
    )
    test_x, test_y = play(MEASURING_SEED, MEASURED // 2, None, distribution).labelled(HORIZON)
    few = rng.choice(len(test_x), min(len(test_x), 40_000), replace=False)
    test_x, test_y = test_x[few], test_y[few]
    rows: list[Row] = []

    def add(subject: str, scores: NDArray[np.float64], seconds: float, predict: Any) -> None:
        one = test_x[:1]
        predict(one)
        start = time.perf_counter()
        for _ in range(200):
            predict(one)
        single = (time.perf_counter() - start) / 200
        values = [
            ("auc", float(roc_auc_score(test_y, scores)), "1"),
            *((f"recall_at_{share:g}", recall_at(scores, test_y, share), "1") for share in FALSE_ALARMS),
            ("fit", seconds, "s"),
            ("prediction", 1e6 * single, "us"),
        ]
        rows.extend(
            Row(bench=BENCH, subject=subject, case="classifiers", metric=m, value=v, unit=u)
            for m, v, u in values
        )

    for name, machine in (
        ("linear SVM", LinearSVC(class_weight="balanced", dual=False)),
        ("RBF SVM", SVC(kernel="rbf", C=10.0, class_weight="balanced", cache_size=500)),
    ):
        start = time.perf_counter()
        fitted = make_pipeline(StandardScaler(), machine).fit(x[chosen], y[chosen])
        seconds = time.perf_counter() - start
        add(name, fitted.decision_function(test_x), seconds, fitted.decision_function)
    for name, select in (("network, same states", chosen), ("network, all states", slice(None))):
        start = time.perf_counter()
        net = fit_network(x[select], y[select], HORIZON)
        seconds = time.perf_counter() - start
        add(name, net.logits(test_x), seconds, lambda one, net=net: net.logit(one[0]))
    return rows


def warning_rows(model: FeasibilityModel, distribution: Distribution) -> list[Row]:
    """What the warning beside the filter says in the games of the measuring seed, without a guard."""
    games = play(MEASURING_SEED, MEASURED, None, distribution)
    shape = games.infeasible.shape
    warned = (model.logits(games.features.reshape(-1, games.features.shape[-1])) > model.alarm).reshape(shape)
    told = sum(
        foreseen(warned[game, robot], games.infeasible[game, robot])
        for game, robot in np.ndindex(shape[0], shape[1])
    )
    soon = games.infeasible.copy()
    for ahead in range(1, HORIZON + 1):
        soon[:, :, :-ahead] |= games.infeasible[:, :, ahead:]
    values = [
        ("control_steps", warned.size, "1"),
        ("warned", int(warned.sum()), "1"),
        ("warned_and_infeasible_within_the_horizon", int((warned & soon).sum()), "1"),
        ("infeasible", int(games.infeasible.sum()), "1"),
        ("infeasible_foreseen", told, "1"),
    ]
    return [Row(bench=BENCH, subject="alarm", case="warning", metric=m, value=v, unit=u) for m, v, u in values]


def provenance(
    revision: str | None, distribution: Distribution, x: NDArray[np.float64], y: NDArray[np.bool_]
) -> dict[str, Any]:
    """What the last model was fitted to."""
    return {
        "command": COMMAND,
        "git_revision": revision,
        "rounds": ROUNDS,
        "games_a_round": GAMES,
        "seeds": list(range(ROUNDS)),
        "distribution": dataclasses.asdict(distribution),
        "robots": list(PROFILES),
        "randomisation": RANGES,
        "safety": {name: dataclasses.asdict(load_safety(name)) for name in (EXACT, ROBUST)},
        "states": len(x),
        "infeasible_within_the_horizon": int(y.sum()),
        "numpy": np.__version__,
        "torch": torch.__version__,
    }


def run(json_path: Path | None = None, model_path: Path | None = None) -> list[Row]:
    """All of it; rows to ``json_path``, the last round's model to ``model_path``."""
    revision = git_revision()  # before the files that are written here
    distribution = Distribution()
    rows, model, x, y = rounds(distribution)
    rows += compare(x, y, distribution) + warning_rows(model, distribution)
    print_table("infeasible states", rows, list(dict.fromkeys(row["metric"] for row in rows)))
    if json_path is not None:
        write_rows(json_path, rows)
    if model_path is not None:
        model_path.parent.mkdir(parents=True, exist_ok=True)
        dataclasses.replace(model, provenance=provenance(revision, distribution, x, y)).save(model_path)
    return rows


if __name__ == "__main__":
    run(*(Path(argument) for argument in sys.argv[1:]))

"""``./pe bench beta-box``: boxes of safe commands beside the exact polygon, in states that real games meet.

The pursuer is ``models/cbf-beta`` without noise, the evader looks ahead and is 1.0 to 1.2 times as fast, 2 obstacles,
both behind ``rcbf``.  Of every tenth step of every game, the pursuer's safe set in action units and the densities of
its network.  Boxes are taken about the projected mean, which is what the robot does, and about the centroid of C, which
depends on the state alone and is what ``support: box`` learns on.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from pe_core.bundle import load_bundle
from pe_core.config import from_mapping
from pe_core.robot import load_robot
from pe_safety.axis_box import axis_boxes, centroids, compare, overlaps
from pe_safety.barrier_net import action_weights
from pe_safety.beta_layer import beta_parameters
from pe_safety.beta_sampling import draw_keys, mean_command, sample
from pe_safety.parameters import load_safety
from pe_safety.polygon import Polygons, cut_ones, polygons
from pe_safety.truncated_beta import evaluate
from tests.bench.rows import Row, in_turn, print_table, write_rows
from training.games import LEARNER, BatchedGames, Task
from training.learning.beta_policy import BOX, CbfBetaPolicy
from training.learning.parameters import Learning
from training.learning.policies import Rows
from training.learning.rebuilt import module_of

BENCH = "beta_box"
GAMES, STEPS, EVERY = 128, 2400, 10
POLICY = "cbf-beta"
MEAN, CENTROID, POLYGON = "box about the projected mean", "box about the centroid", "polygon"
QUANTILES = (10, 50, 90)

Array = NDArray[np.float64]


class States(NamedTuple):
    """Polygons, Beta parameters (N, 4) and projected means (N, 2) in unit coordinates; rows G (N, m, 2), b (N, m)."""

    found: Polygons
    parameters: Array
    means: Array
    g: Array
    b: Array


def states(games: int = GAMES, steps: int = STEPS, every: int = EVERY) -> States:
    """States that the pursuer meets, in the frame of its network."""
    bundle = load_bundle(POLICY, role="pursuer")
    known = bundle.schema.provenance["learning"]
    learning = from_mapping(
        Learning,
        {key: known[key] for key in ("algorithm", "hidden", "layers", "activation", "symmetric")},
        POLICY,
    )
    policy = CbfBetaPolicy(learning)
    policy.mean.load_state_dict(module_of(bundle).state_dict())
    task = Task(
        pursuer=LEARNER, evader="lookahead", safety="rcbf", speed_ratio=(1.0, 1.2), obstacles=2, seed=11
    )
    played = BatchedGames(task, games)
    kept: list[tuple[Array, Array, Array]] = []
    with torch.inference_mode():
        for step in range(steps):
            observation = played.observe(0)
            if step % every == 0:
                seen, sign = policy.mean.canonical(torch.from_numpy(observation).float())
                theta = beta_parameters(policy.mean.net(policy.mean.features(seen)).double())
                g, b, barrier = played.rows(0)
                rows = Rows(*(torch.from_numpy(part).clone() for part in (g, b, barrier))).mirrored(sign)
                kept.append((rows.g.numpy(), rows.b.numpy(), theta.numpy()))
            played.step(bundle.act(observation), 0)
    played.close()
    g, b, parameters = (np.concatenate(parts) for parts in zip(*kept, strict=True))
    robot, safety = load_robot("reference"), load_safety("rcbf")
    weights = action_weights((safety.weight_v, safety.weight_omega), robot.v_max, robot.omega_max)
    u, _ = mean_command(parameters, g, b, BOX, weights)
    return States(polygons(g, b, BOX), parameters, BOX.unit(u).clip(0.0, 1.0), g, b)


def geometry(met: States) -> list[Row]:
    """How much of C boxes hold and how much of them is unsafe, over the states in which some row cuts."""
    cuts = cut_ones(met.found.vertices, met.found.counts)
    rows = [
        _row("states", "met", "states", float(len(cuts))),
        _row("states", "met", "cut", float(cuts.mean())),
        _row("states", "met", "empty", float((met.found.counts == 0).mean())),
    ]
    cut = Polygons(met.found.vertices[cuts], met.found.counts[cuts])
    for subject, points in ((MEAN, met.means[cuts]), (CENTROID, centroids(cut))):
        found = compare(cut, points, met.parameters[cuts])
        rows += [_row(subject, "cut", key, float(value)) for key, value in found._asdict().items()]
        _, whole, box, both = overlaps(cut, axis_boxes(cut, points))
        for metric, values in (("covered", both / whole), ("unsafe_area", 1.0 - both / box)):
            rows += [
                _row(subject, "cut", f"{metric}_p{q}", float(np.percentile(values, q))) for q in QUANTILES
            ]
        rows.append(_row(subject, "cut", "unsafe_states", float(((1.0 - both / box) > 0.01).mean())))
    return rows


def costs(met: States, rounds: int) -> list[Row]:
    """Microseconds a state, one thread: the set from rows, a draw, log-probability with entropy and gradients."""
    rows: list[Row] = []
    cuts = cut_ones(met.found.vertices, met.found.counts)
    for case, taken in (("all states", np.arange(len(cuts))), ("cut states", np.flatnonzero(cuts))):
        taken = taken[:: max(len(taken) // 4096, 1)]
        g, b = np.ascontiguousarray(met.g[taken]), np.ascontiguousarray(met.b[taken])
        parameters, keys = met.parameters[taken], draw_keys(0, 0, len(taken))
        whole = polygons(g, b, BOX)
        boxes = axis_boxes(whole, centroids(whole))
        points = {POLYGON: sample(parameters, whole, keys), CENTROID: sample(parameters, boxes, keys)}

        def make_boxes(g: Array = g, b: Array = b) -> None:
            found = polygons(g, b, BOX)
            axis_boxes(found, centroids(found))

        calls = {(POLYGON, "set"): lambda g=g, b=b: polygons(g, b, BOX), (CENTROID, "set"): make_boxes}
        for name, support in ((POLYGON, whole), (CENTROID, boxes)):
            calls[name, "draw"] = lambda p=parameters, s=support, k=keys: sample(p, s, k)
            calls[name, "evaluate"] = lambda p=parameters, s=support, x=points[name]: evaluate(p, x, s)
        timed = in_turn({" / ".join(key): call for key, call in calls.items()}, rounds)
        for key in calls:
            value = 1e6 * float(np.median(timed[" / ".join(key)])) / len(taken)
            rows.append(_row(key[0], case, key[1], value, "us"))
    return rows


def _row(subject: str, case: str, metric: str, value: float, unit: str = "1") -> Row:
    return Row(bench=BENCH, subject=subject, case=case, metric=metric, value=value, unit=unit)


def run(json_path: Path | None, rounds: int = 9) -> list[Row]:
    """Measure, print, return the rows."""
    met = states()
    found, timed = geometry(met), costs(met, rounds)
    for row in found:
        print(f"{row['subject']}, {row['case']}, {row['metric']}: {row['value']:.4g}")
    print_table("Cost of a state, one thread", timed, ["set", "draw", "evaluate"])
    if json_path is not None:
        write_rows(json_path, [*found, *timed])
    return [*found, *timed]

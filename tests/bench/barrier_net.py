"""``./pe bench barrier-net``: what an exported BarrierNet costs, and the rows that one learns with.

The network has two hidden layers of 128; states are those of the tests, half of them at the edge of the safe set and
half close to the other robot, so that the QP has work to do.  ``act``, what nodes call, is padded to 16 rows.  The
learned bundles of models/ stand beside fresh networks: they also turn and mirror what they see, and make features.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from pe_core.bundle import GOLDEN_ROWS, MODEL_FILE, PolicyBundle, load_bundle, save_bundle
from pe_core.observation import SIZE
from pe_core.paths import bundle_path
from pe_safety.barrier_net import BarrierNet
from pe_safety.game_rows import ROWS, rows_of_games
from tests.bench.rows import Row, find, in_turn, print_table, timing_rows, write_rows
from tests.support.observed_states import observed_states
from training.games import BatchedGames, Task

BENCH = "barrier_net"
STATES, GAMES = 480, 1024
COMMITTED = ("ppo", "cbf-beta", "cbf-beta-polygon", "barriernet")
TARGETS = {
    ("barrier net", "forward, 1 state"): 300.0,
    **{(f"models/{name}", "forward, 1 state"): 300.0 for name in COMMITTED},
    ("game rows", f"{GAMES} games"): 1000.0,
}
"""Largest medians [us] that are asked for."""


def _network(outputs: int) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(SIZE, 128), nn.Tanh(), nn.Linear(128, 128), nn.Tanh(), nn.Linear(128, outputs)
    )


def _policies() -> dict[str, nn.Module]:
    return {
        "network alone": nn.Sequential(_network(2), nn.Tanh()),
        "barrier net": BarrierNet(_network(2)),
        "barrier net, adaptive": BarrierNet(_network(3), share_min=0.1),
    }


def _bundle(name: str, module: nn.Module, observations: np.ndarray) -> PolicyBundle:
    with tempfile.TemporaryDirectory() as folder:
        save_bundle(
            module, Path(folder) / "bundle", name=name, role="pursuer", kind="bench", dtype="float32", noise_size=0,
            noise_hold=1, dt=0.05, golden_observations=observations[:GOLDEN_ROWS], provenance={},
        )  # fmt: skip
        return load_bundle(str(Path(folder) / "bundle"))


def _in_parts(call: Callable[[int], object], size: int) -> Callable[[], None]:
    """Calls of ``size`` states each, the next ones every time."""
    at = 0

    def next_part() -> None:
        nonlocal at
        at = (at + size) % STATES
        call(at)

    return next_part


def _policy_subjects() -> dict[str, dict[str, Callable[[], object]]]:
    observations = observed_states(1, STATES + 16).observations
    seen = torch.tensor(observations, dtype=torch.float32)
    cases: dict[str, dict[str, Callable[[], object]]] = {}
    subjects = {
        name: (torch.jit.script(module.eval()), _bundle(name, module, observations))
        for name, module in _policies().items()
    }
    for name in COMMITTED:
        bundle = load_bundle(name, role="pursuer")
        subjects[f"models/{name}"] = torch.jit.load(str(bundle_path(name) / MODEL_FILE)), bundle
    for subject, (scripted, bundle) in subjects.items():
        for n in (1, 16):
            states = f"{n} state" + ("s" if n > 1 else "")
            cases.setdefault(f"forward, {states}", {})[subject] = _in_parts(
                lambda k, n=n, scripted=scripted: scripted(seen[k : k + n]), n
            )
            cases.setdefault(f"act, {states}", {})[subject] = _in_parts(
                lambda k, n=n, bundle=bundle: bundle.act(observations[k : k + n]), n
            )
    return cases


def _rows_subject() -> Callable[[], object]:
    games = BatchedGames(Task(evader="learner", starts=1024), GAMES)
    batch, rules = games.batch, games.rules
    random = np.random.default_rng(0)
    for _ in range(100):
        games.step(random.uniform([0.3, -1.0], [1.0, 1.0], (GAMES, 2, 2)))
    g, b, barrier = np.empty((GAMES, ROWS, 2)), np.empty((GAMES, ROWS)), np.empty((GAMES, ROWS), np.bool_)
    active = np.arange(GAMES)
    return lambda: rows_of_games(
        0, active, batch.states, batch.sent, batch.half_side, batch.obstacles, batch.obstacle_count, batch.models,
        rules.parameters, games.config.dt, False, batch.seen, batch.deviations, batch.ages, 1.0, g, b, barrier,
    )  # fmt: skip


def run(json_path: Path | None, rounds: int = 15) -> list[Row]:
    """Measure, print the table, return the rows; ``json_path`` gets them too."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    rows: list[Row] = []
    try:
        with torch.inference_mode():
            for case, subjects in _policy_subjects().items():
                rows += timing_rows(BENCH, case, in_turn(subjects, rounds, warm_up=40), 1e6, "us")
        times = in_turn({"game rows": _rows_subject()}, rounds)
        rows += timing_rows(BENCH, f"{GAMES} games", times, 1e6, "us")
    finally:
        torch.set_num_threads(before)
    print_table("BarrierNet, one thread, CPU time of a call", rows, ["median", "least", "largest"])
    for (subject, case), asked in TARGETS.items():
        value = find(rows, subject, case, "median")
        assert value is not None
        print(
            f"{'met   ' if value <= asked else 'MISSED'} {subject}, {case}: {value:.0f} us, asked {asked:.0f}"
        )
    if json_path is not None:
        write_rows(json_path, rows)
    return rows

"""Training, end to end: ours beside Stable-Baselines3 on the same game, in turn in the same run.

A step is one control step of one game with everything that learning from it costs.  Stable-Baselines3 is measured as
its manual uses it, on Gymnasium environments stepped one by one, and on our batched games through its vector interface,
which is the best that can be done for it.  Every learner has networks of two layers of 128 and the same opponent.
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.bench.rows import Row, print_table
from training.environment import PursuitEvasion, action_space, observation_space
from training.games import BatchedGames, Task
from training.learning.parameters import Learning, load_learning
from training.learning.run import Training

BENCH = "training"
OURS, SB3, SB3_BATCHED = (
    "ours",
    "stable-baselines3, 8 environments",
    "stable-baselines3, on our batched games",
)
TIMES, RATE = 50.0, 40_000.0
"""Asked: plain PPO over Stable-Baselines3 as its manual uses it; BarrierNet, steps a second."""
_SB3_GAMES = 256


def _ours(learning: Learning, threads: int, folder: Path) -> Callable[[], int]:
    chosen = dataclasses.replace(learning, imitation=0, teacher="", critic_only=0, starts=2048)
    training = Training(chosen, 0, folder, threads, "bench", resume=False)

    def call() -> int:
        training.advance()
        return learning.games * learning.horizon

    return call


def _stable_baselines(envs: Any, horizon: int, batch: int, threads: int) -> Callable[[], int]:
    import torch
    from stable_baselines3 import PPO

    torch.set_num_threads(threads)
    networks = {"pi": [128, 128], "vf": [128, 128]}
    learner = PPO(
        "MlpPolicy", envs, n_steps=horizon, batch_size=batch, n_epochs=3, policy_kwargs={"net_arch": networks},
        device="cpu", seed=0,
    )  # fmt: skip
    steps = horizon * envs.num_envs

    def call() -> int:
        learner.learn(steps, reset_num_timesteps=False)
        return steps

    return call


def _one_by_one() -> Any:
    from stable_baselines3.common.vec_env import DummyVecEnv

    return DummyVecEnv([lambda: PursuitEvasion(Task(starts=256)) for _ in range(8)])


def _batched(threads: int) -> Any:
    """Our batched games as a vector environment of Stable-Baselines3."""
    from stable_baselines3.common.vec_env import VecEnv

    class Adapter(VecEnv):  # type: ignore[misc]
        def __init__(self) -> None:
            self.inner = BatchedGames(Task(starts=2048), _SB3_GAMES, threads)
            super().__init__(_SB3_GAMES, observation_space(), action_space(0.0))

        def reset(self) -> np.ndarray:
            self.inner.reset()
            return self.inner.observe(0).copy()

        def step_async(self, actions: np.ndarray) -> None:
            self.inner.step(actions.astype(np.float64), 0)

        def step_wait(self) -> Any:
            batch = self.inner.batch
            over = batch.terminated | batch.truncated
            infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
            for n in np.flatnonzero(over):
                infos[n]["terminal_observation"] = batch.final[n, 0].copy()
            return self.inner.observe(0).copy(), batch.rewards[:, 0].copy(), over, infos

        def close(self) -> None:
            self.inner.close()

        def get_attr(self, name: str, indices: Any = None) -> Any:
            return [getattr(self, name, None)] * self.num_envs

        def set_attr(self, name: str, value: Any, indices: Any = None) -> None:
            raise AttributeError(name)

        def env_method(self, name: str, *args: Any, indices: Any = None, **kwargs: Any) -> Any:
            raise AttributeError(name)

        def env_is_wrapped(self, wrapper: Any, indices: Any = None) -> list[bool]:
            return [False] * self.num_envs

    return Adapter()


def subjects(threads: int, folder: Path) -> dict[tuple[str, str], Callable[[], int]]:
    """What is measured, by subject and case."""
    result: dict[tuple[str, str], Callable[[], int]] = {}
    for name in ("ppo", "cbf-beta", "barriernet"):
        result[OURS, name] = _ours(load_learning(name), threads, folder / name)
    try:
        result[SB3, "ppo"] = _stable_baselines(_one_by_one(), 256, 256, threads)
        result[SB3_BATCHED, "ppo"] = _stable_baselines(_batched(threads), 64, 4096, threads)
    except ImportError:
        print("stable-baselines3 is not installed: pip install -e .[bench]")
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

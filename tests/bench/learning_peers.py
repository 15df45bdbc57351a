"""Proximal policy optimisation as others have it, on the same game: what ``./pe bench training`` measures ours beside.

Each function gives a call that takes one rollout and learns from it, and returns how many environment steps that were.
All have networks of two layers of 128, three passes and no entropy; ImportError where the library is not installed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pe_core.observation import SIZE
from training.environment import PursuitEvasion, action_space, observation_space
from training.games import BatchedGames, Task

GAMES, HORIZON, MINIBATCH, EPOCHS = 256, 64, 4096, 3
RATE = 5e-4
_ALONE, _ALONE_HORIZON = 8, 256


def stable_baselines(threads: int) -> Callable[[], int]:
    """Stable-Baselines3 as its manual uses it: Gymnasium environments stepped one by one."""
    from stable_baselines3.common.vec_env import DummyVecEnv

    envs = DummyVecEnv([lambda: PursuitEvasion(Task(starts=256)) for _ in range(_ALONE)])
    return _stable_baselines(envs, _ALONE_HORIZON, 256)


def stable_baselines_batched(threads: int) -> Callable[[], int]:
    """Stable-Baselines3 on our batched games, through its vector interface."""
    from stable_baselines3.common.vec_env import VecEnv

    class Adapter(VecEnv):  # type: ignore[misc]
        def __init__(self) -> None:
            self.inner = BatchedGames(Task(starts=2048), GAMES, threads)
            super().__init__(GAMES, observation_space(), action_space(0.0))

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

    return _stable_baselines(Adapter(), HORIZON, MINIBATCH)


def _stable_baselines(envs: Any, horizon: int, batch: int) -> Callable[[], int]:
    from stable_baselines3 import PPO

    networks = {"pi": [128, 128], "vf": [128, 128]}
    learner = PPO(
        "MlpPolicy", envs, n_steps=horizon, batch_size=batch, n_epochs=EPOCHS, policy_kwargs={"net_arch": networks},
        device="cpu", seed=0,
    )  # fmt: skip
    steps = horizon * envs.num_envs

    def call() -> int:
        learner.learn(steps, reset_num_timesteps=False)
        return steps

    return call


def rsl_rl(threads: int) -> Callable[[], int]:
    """rsl_rl's algorithm and networks on our batched games; its runner would add the logging."""
    import torch
    from rsl_rl.algorithms import PPO
    from rsl_rl.models import MLPModel
    from rsl_rl.storage import RolloutStorage
    from tensordict import TensorDict

    torch.manual_seed(0)
    games = BatchedGames(Task(starts=2048), GAMES, threads)

    def seen() -> TensorDict:
        return TensorDict({"policy": torch.from_numpy(games.observe(0)).float()}, batch_size=[GAMES])

    groups = {"actor": ["policy"], "critic": ["policy"]}
    normal = {"class_name": "rsl_rl.modules.distribution.GaussianDistribution", "init_std": 0.5}
    actor = MLPModel(seen(), groups, "actor", 2, [128, 128], "tanh", distribution_cfg=normal)
    critic = MLPModel(seen(), groups, "critic", 1, [128, 128], "tanh")
    learner = PPO(
        actor, critic, RolloutStorage("rl", GAMES, HORIZON, seen(), [2], "cpu"), num_learning_epochs=EPOCHS,
        num_mini_batches=GAMES * HORIZON // MINIBATCH, learning_rate=RATE, entropy_coef=0.0, schedule="fixed",
    )  # fmt: skip
    learner.train_mode()

    def call() -> int:
        observations = seen()
        with torch.inference_mode():
            for _ in range(HORIZON):
                games.step(learner.act(observations).double().numpy(), 0)
                batch, observations = games.batch, seen()
                learner.process_env_step(
                    observations,
                    torch.from_numpy(batch.rewards[:, 0]).float(),
                    torch.from_numpy(batch.terminated | batch.truncated),
                    {"time_outs": torch.from_numpy(batch.truncated.copy())},
                )
            learner.compute_returns(observations)
        learner.update()
        return GAMES * HORIZON

    return call


def skrl(threads: int) -> Callable[[], int]:
    """skrl's agent, memory and model classes on our batched games; its trainer would add the progress."""
    import torch
    from skrl.agents.torch.ppo import PPO
    from skrl.memories.torch import RandomMemory
    from skrl.models.torch import DeterministicMixin, GaussianMixin, Model
    from torch import nn

    torch.manual_seed(0)
    games = BatchedGames(Task(starts=2048), GAMES, threads)
    spaces = {"observation_space": observation_space(), "action_space": action_space(0.0), "device": "cpu"}

    def network(outputs: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Linear(SIZE, 128), nn.Tanh(), nn.Linear(128, 128), nn.Tanh(), nn.Linear(128, outputs)
        )

    class Policy(GaussianMixin, Model):  # type: ignore[misc]
        def __init__(self) -> None:
            Model.__init__(self, **spaces)
            GaussianMixin.__init__(self)
            self.net, self.deviation = network(2), nn.Parameter(torch.full((2,), -0.7))

        def compute(self, inputs: Any, role: str) -> Any:
            return self.net(inputs["observations"]), {"log_std": self.deviation}

    class Value(DeterministicMixin, Model):  # type: ignore[misc]
        def __init__(self) -> None:
            Model.__init__(self, **spaces)
            DeterministicMixin.__init__(self)
            self.net = network(1)

        def compute(self, inputs: Any, role: str) -> Any:
            return self.net(inputs["observations"]), {}

    chosen = {
        "rollouts": HORIZON, "learning_epochs": EPOCHS, "mini_batches": GAMES * HORIZON // MINIBATCH,
        "learning_rate": RATE, "experiment": {"write_interval": 0, "checkpoint_interval": 0},
    }  # fmt: skip
    memory = RandomMemory(memory_size=HORIZON, num_envs=GAMES, device="cpu")
    learner = PPO(models={"policy": Policy(), "value": Value()}, memory=memory, cfg=chosen, **spaces)
    learner.init()
    learner.enable_training_mode(True)

    def column(values: Any) -> torch.Tensor:
        return torch.from_numpy(np.array(values)).reshape(-1, 1)

    def call() -> int:
        for step in range(HORIZON):
            with torch.no_grad():
                observations = torch.from_numpy(games.observe(0)).float()
                actions, _ = learner.act(observations, None, timestep=step, timesteps=HORIZON)
                games.step(actions.double().numpy(), 0)
                batch = games.batch
                learner.record_transition(
                    observations=observations, states=None, actions=actions,
                    rewards=column(batch.rewards[:, 0]).float(),
                    next_observations=torch.from_numpy(games.observe(0)).float(), next_states=None,
                    terminated=column(batch.terminated), truncated=column(batch.truncated), infos={}, timestep=step,
                    timesteps=HORIZON,
                )  # fmt: skip
            learner.post_interaction(timestep=step, timesteps=HORIZON)
        return GAMES * HORIZON

    return call

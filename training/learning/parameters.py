"""Parameters of a training run, ``config/learning/<name>.yaml``."""

from __future__ import annotations

import dataclasses
import hashlib
import json

from pe_core.arena import OBSTACLES_MAX
from pe_core.config import ConfigurationError, check_range, load_yaml, quantity
from pe_core.paths import BOUNDARY, config_path
from pe_core.roles import ROLES
from training.networks import ACTIVATIONS

PPO, CBF_BETA, BARRIERNET, SHAC = "ppo", "cbf-beta", "barriernet", "shac"
ALGORITHMS = (PPO, CBF_BETA, BARRIERNET, SHAC)
STAGES = 8
"""Of a curriculum."""
NOMINAL = "nominal"
EXPLORATION = ("safe-mean", NOMINAL)
POLYGON, BOX = "polygon", "box"
SUPPORTS = (POLYGON, BOX)
KEPT_POLYGON = "polygon"
"""Key of the provenance of a CBF-Beta bundle that keeps its polygon: its gamma, and the bundle that it was made of."""
_CORRECTION = 0.01


@dataclasses.dataclass(frozen=True)
class Learning:
    """What is learned, against whom, and how; equations in :mod:`training.learning.ppo`."""

    algorithm: str = quantity(PPO, choices=ALGORITHMS, description="how actions are drawn and learned")
    role: str = quantity("pursuer", choices=ROLES, description="who learns")
    opponents: str = quantity("lookahead", description="mix of opponents, NAME:WEIGHT, ...")
    safety: str = quantity("rcbf", description="filter of both robots in training")
    robot: str = quantity("reference", description="robot profile")
    rewards: str = quantity("reference", description="config/training/<name>.yaml")
    randomise: float = quantity(0.0, low=0.0, high=4.0, description="scale of the drawn worlds; 0: none")
    ratio_low: float = quantity(
        1.0, low=0.1, high=3.0, description="least speed of the evader over the pursuer's"
    )
    ratio_high: float = quantity(1.0, low=0.1, high=3.0, description="largest")
    curriculum: float = quantity(
        0.0, low=0.0, high=1.0, description="share of the steps by which evaders are as fast as ratio_high; 0: at once"
    )
    obstacles_low: int = quantity(2, low=0, high=OBSTACLES_MAX, description="fewest obstacles")
    obstacles_high: int = quantity(2, low=0, high=OBSTACLES_MAX, description="most obstacles")
    starts: int = quantity(16384, low=1, high=1_000_000, description="different starts")
    steps: int = quantity(60_000_000, low=1, high=10**11, description="environment steps of the training")
    games: int = quantity(1024, low=1, high=65536, description="games in a batch")
    horizon: int = quantity(64, low=2, high=4096, description="steps of each game in a rollout")
    epochs: int = quantity(3, low=1, high=50, description="passes over a rollout")
    minibatch: int = quantity(8192, low=16, high=10**7, description="samples of a gradient step")
    learning_rate: float = quantity(
        5e-4, low=1e-7, high=0.1, description="Adam's, at the start; falls to a tenth"
    )
    discount: float = quantity(0.995, low=0.5, high=1.0, description="of the next step's value")
    trace: float = quantity(0.95, low=0.0, high=1.0, description="lambda of the advantage estimate")
    clip: float = quantity(0.2, low=0.01, high=1.0, description="of the ratio of probabilities")
    entropy: float = quantity(0.0, low=0.0, high=1.0, description="weight of the entropy")
    value: float = quantity(0.5, low=0.0, high=10.0, description="weight of the value loss")
    correction: float = quantity(
        _CORRECTION, low=0.0, high=100.0, description="weight of |u_safe - u_nom|^2 of the mean, in action units"
    )
    feasibility: float = quantity(
        0.0,
        low=0.0,
        high=10.0,
        description="taken for a step to a state that the learned boundary calls infeasible",
    )
    boundary: str = quantity(BOUNDARY, description="models/feasibility/<name>.npz")
    gradient_norm: float = quantity(0.5, low=0.001, high=1000.0, description="largest norm of a gradient")
    divergence: float = quantity(
        0.03, low=0.0001, high=10.0, description="mean KL that ends the passes of a rollout"
    )
    deviation_high: float = quantity(0.5, low=0.001, high=2.0, description="largest deviation, and the first")
    deviation_low: float = quantity(0.05, low=0.001, high=2.0, description="least")
    exploration: str = quantity(
        "safe-mean", choices=EXPLORATION, description="noise about the safe mean, or before the program"
    )
    least_share: float = quantity(
        1.0, low=0.05, high=1.0, description="least factor of the barriers' gain that a BarrierNet asks for; 1: fixed"
    )
    support: str = quantity(
        POLYGON, choices=SUPPORTS, description="of cbf-beta: the safe commands, or one interval an axis"
    )
    symmetric: bool = quantity(True, description="act alike in the arena's eight mirror images")
    hidden: int = quantity(128, low=1, high=4096, description="units of a layer")
    layers: int = quantity(2, low=1, high=8, description="hidden layers")
    activation: str = quantity("tanh", choices=tuple(ACTIVATIONS), description="of hidden layers")
    teacher: str = quantity("", description="scripted policy to imitate first; empty: none")
    imitation: int = quantity(0, low=0, high=10**10, description="environment steps of imitation")
    critic_only: int = quantity(8, low=0, high=10**6, description="first rollouts that train the value alone")

    def __post_init__(self) -> None:
        check_range(self, "learning")
        if self.ratio_low > self.ratio_high or self.obstacles_low > self.obstacles_high:
            raise ConfigurationError(
                f"learning: ratio_low = {self.ratio_low}, ratio_high = {self.ratio_high}, obstacles_low = "
                f"{self.obstacles_low}, obstacles_high = {self.obstacles_high}: allowed: the lower first"
            )
        if self.deviation_low > self.deviation_high:
            raise ConfigurationError(
                f"learning: deviation_low = {self.deviation_low}: allowed: at most deviation_high = "
                f"{self.deviation_high}"
            )
        if self.least_share < 1.0 and self.algorithm in (PPO, CBF_BETA):
            raise ConfigurationError(
                f"learning: least_share = {self.least_share}: allowed: 1 with algorithm = '{self.algorithm}', "
                "which has no program in its network"
            )
        if self.correction != _CORRECTION and self.algorithm in (PPO, CBF_BETA):
            raise ConfigurationError(
                f"learning: correction = {self.correction}: allowed: {_CORRECTION} with algorithm = "
                f"'{self.algorithm}', which has no program in its network; what its filter corrects is charged by "
                "correction in config/training (rewards)"
            )
        if self.imitation and not self.teacher:
            raise ConfigurationError("learning: imitation > 0 needs a teacher")
        if self.imitation >= self.steps:
            raise ConfigurationError(
                f"learning: imitation = {self.imitation}: allowed: less than steps = {self.steps}"
            )

    def speed_ratio(self, steps: int) -> tuple[float, float]:
        """Range of the evader's speed over the pursuer's after ``steps``: its end rises in ``STAGES`` equal steps."""
        if self.curriculum == 0.0:
            return self.ratio_low, self.ratio_high
        stage = min(int(STAGES * steps / (self.curriculum * self.steps)) + 1, STAGES)
        return self.ratio_low, self.ratio_low + (self.ratio_high - self.ratio_low) * stage / STAGES

    def sha256(self) -> str:
        """Of the values, in order of their names."""
        return hashlib.sha256(json.dumps(dataclasses.asdict(self), sort_keys=True).encode()).hexdigest()


def load_learning(name: str) -> Learning:
    """The parameters in ``config/learning/<name>.yaml`` (or a path to a YAML file)."""
    return load_yaml(Learning, config_path("learning", name))

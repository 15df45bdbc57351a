"""Parameters of the learned disturbance, declared once with units and bounds."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from pe_core.config import check_range, load_yaml, quantity
from pe_core.paths import config_names, config_path


@dataclasses.dataclass(frozen=True)
class DisturbanceParameters:
    """Gaussian process, gate and kappa schedule.

    Deviations named per output are relative: of v_max for (d_x, d_y), of omega_max for d_theta, so that one set
    serves robots of every scale.
    """

    window: int = quantity(200, low=10, high=500, description="residuals kept, newest first to stay")
    refit_every: int = quantity(10, low=1, high=1000, description="control steps between refits")
    evaluations: int = quantity(8, low=0, high=200, description="likelihood evaluations of each output per refit")
    background: bool = quantity(False, description="refit in a thread beside the control step, or in the caller")
    prior_forward: float = quantity(0.1, low=1e-4, high=2.0, description="prior deviation of d_x over v_max")
    prior_lateral: float = quantity(0.05, low=1e-4, high=2.0, description="prior deviation of d_y over v_max")
    prior_turn: float = quantity(0.1, low=1e-4, high=2.0, description="prior deviation of d_theta over omega_max")
    measured_forward: float = quantity(
        0.0, unit="m/s", low=0.0, high=5.0,
        description="deviation of d_x that comes from pose noise, sqrt(2) sigma / dt; not a disturbance",
    )  # fmt: skip
    measured_lateral: float = quantity(0.0, unit="m/s", low=0.0, high=5.0, description="the same of d_y")
    measured_turn: float = quantity(0.0, unit="rad/s", low=0.0, high=20.0, description="the same of d_theta")
    gate: float = quantity(6.0, low=1.0, high=100.0, description="deviations at which a residual is an outlier")
    distrust_after: int = quantity(
        20, low=2, high=10000, description="outliers in a row after which the old data are forgotten"
    )
    prefilled: int = quantity(200, low=0, high=500, description="simulated residuals in the window at the start")
    seed: int = quantity(0, low=0, high=2**31, description="seed of the simulated residuals")
    kappa: float = quantity(2.0, low=0.0, high=10.0, description="nominal kappa, deviations added to a row")
    kappa_factor: float = quantity(2.0, low=1.0, high=10.0, description="kappa at the start over its nominal")
    kappa_tau: float = quantity(50.0, low=1e-3, high=1e6, description="control steps of the decay of kappa")
    kappa_end: float = quantity(
        0.01, low=0.0, high=10.0, description="mean deviation [m/s, rad/s] under which kappa is nominal at once"
    )

    def __post_init__(self) -> None:
        check_range(self, "disturbance")


def load_disturbance(profile: str) -> DisturbanceParameters | None:
    """What belongs to the safety profile ``profile`` (a name, or a path to a YAML file): the parameters in
    ``config/disturbance/<name>.yaml``, None where there are none and nothing is learnt.

    Raises:
        ConfigurationError: the file says something that is not allowed.
    """
    name = Path(profile).stem if profile.endswith((".yaml", ".yml")) else profile
    if name not in config_names("disturbance"):
        return None
    return load_yaml(DisturbanceParameters, config_path("disturbance", name))

"""What a control step is worth to each robot.

With the distance g_k of the centres after step k, the arena's half side L, the steps of a full episode T and the
smallest margin m of the robot's own body, the pursuer is paid

    r_k = capture [captured] - time / T + progress (g_{k-1} - g_k) / L
          + safety (clip(m / safety_scale, -1, 1) - 1) - correction c_k^2

and the evader the negative of the first line with its own second line.  The first line is the game, zero-sum; its
progress sums to (g_0 - g_end) / L over an episode, whatever the way.  The safety term is never positive, so that
nobody gains by living longer in the open: 0 from safety_scale on, - safety at contact.  c_k^2 is
|u_safe - u_nom|^2 in action units (v / v_max, omega / omega_max), the square of ``pe_safety.ladder.correction_size``,
which is infinite where the nominal command is not finite; with a weight of 0 that costs nothing.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pe_core.config import check_range, load_yaml, quantity
from pe_core.paths import config_path

CAPTURE, TIME, PROGRESS, SAFETY, SAFETY_SCALE, CORRECTION = range(6)


@dataclasses.dataclass(frozen=True)
class Rewards:
    """``config/training/<name>.yaml``."""

    capture: float = quantity(10.0, low=0.0, high=1000.0, description="for a capture")
    time: float = quantity(
        5.0, low=0.0, high=1000.0, description="taken over a whole episode, in equal parts"
    )
    progress: float = quantity(5.0, low=0.0, high=1000.0, description="for closing in by half_side")
    safety: float = quantity(0.05, low=0.0, high=10.0, description="w5: taken in each step in contact")
    safety_scale: float = quantity(
        0.25, unit="m", low=0.001, high=10.0, description="body margin from which the safety term is zero"
    )
    correction: float = quantity(
        0.0, low=0.0, high=10.0, description="weight of |u_safe - u_nom|^2 of a step, in action units"
    )

    def __post_init__(self) -> None:
        check_range(self, "training")

    def as_array(self) -> NDArray[np.float64]:
        """The values in the order of the index constants of this module."""
        return np.array(
            [self.capture, self.time, self.progress, self.safety, self.safety_scale, self.correction]
        )


def load_rewards(name: str) -> Rewards:
    """The rewards in ``config/training/<name>.yaml`` (or a path to a YAML file)."""
    return load_yaml(Rewards, config_path("training", name))


@njit(cache=True, nogil=True)
def write_rewards(
    captured: bool,
    closed: float,
    half_side: float,
    max_steps: int,
    margins: NDArray[np.float64],
    corrections: NDArray[np.float64],
    weights: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """Write both robots' rewards (2,) of one step.

    Args:
        closed: g_{k-1} - g_k [m]; half_side: [m].
        margins: (2,) smallest margin of each body [m]; corrections: (2,) sizes c_k.
        weights: ``Rewards.as_array()``.
    """
    game = weights[PROGRESS] * closed / half_side - weights[TIME] / max_steps
    if captured:
        game += weights[CAPTURE]
    for r in range(2):
        near = min(max(margins[r] / weights[SAFETY_SCALE], -1.0), 1.0) - 1.0
        own = weights[SAFETY] * near
        if weights[CORRECTION] > 0.0:  # 0 times an infinite correction would be NaN
            own -= weights[CORRECTION] * corrections[r] ** 2
        out[r] = own + (game if r == 0 else -game)

"""The classifier: a small network, evaluated without a framework, with the threshold of its warning.

    z = W_3 relu(W_2 relu(W_1 (x - mean) / scale + b_1) + b_2) + b_3,    P(infeasible within the horizon) = sigmoid(z)

The feasibility margin H(x) = z_0 - z, with z_0 the threshold, is a barrier-like function: H >= 0 where the state is
taken for feasible.  Training can charge H < 0; games of ``collect`` can ask for H(x+) >= min(H, 0) (``bend``).  What is
cheap to obey may be asked too often, a warning may not: it stands beside the filter where H_1(x) = z_1 - z < 0, with
z_1 > z_0 the alarm.
"""

from __future__ import annotations

import dataclasses
import json
import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pe_core.config import ConfigurationError
from pe_safety.feasibility.features import NAMES, SIZE

_LAYERS = 3


@dataclasses.dataclass(frozen=True, eq=False)
class FeasibilityModel:
    """Weights of the network, as one vector that compiled kernels read.

    Attributes:
        width: of both hidden layers.
        weights: mean and scale (SIZE each), then W, b of each layer, row by row, shape (n,).
        threshold: z_0 above which the state counts as infeasible.
        horizon: control steps that the prediction reaches.
        alarm: z_1 above which a warning is due; infinite: never.
        provenance: what it was fitted to and by which command, JSON-serialisable.
    """

    width: int
    weights: NDArray[np.float64]
    threshold: float
    horizon: int
    alarm: float = math.inf
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        wanted = length(self.width)
        if self.weights.shape != (wanted,) or not np.isfinite(self.weights).all():
            raise ConfigurationError(
                f"feasibility model: weights of shape {self.weights.shape}: allowed: ({wanted},), all finite"
            )
        if not (self.weights[SIZE : 2 * SIZE] > 0.0).all():
            raise ConfigurationError("feasibility model: a scale of its features is not positive")
        if not math.isfinite(self.threshold):
            raise ConfigurationError(
                f"feasibility model: threshold = {self.threshold!r}: allowed: a finite number"
            )

    def logit(self, features: NDArray[np.float64]) -> float:
        """z of one feature vector, shape (SIZE,)."""
        return float(logit(features, self.weights, self.width))

    def logits(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """z of many, (n, SIZE) to (n,)."""
        return logits(np.ascontiguousarray(features, dtype=np.float64), self.weights, self.width)

    def margin(self, features: NDArray[np.float64]) -> float:
        """H = z_0 - z; negative: the state will, as far as is known, have no feasible QP within the horizon."""
        return self.threshold - self.logit(features)

    def warning(self, features: NDArray[np.float64]) -> float:
        """H_1 = z_1 - z; negative: that is to be expected."""
        return self.alarm - self.logit(features)

    def save(self, path: Path) -> None:
        """Write as .npz, with the names of the features and the provenance."""
        np.savez_compressed(
            path, width=self.width, weights=self.weights, threshold=self.threshold, horizon=self.horizon,
            alarm=self.alarm, features=np.array(NAMES), provenance=json.dumps(self.provenance),
        )  # fmt: skip


def load_feasibility(path: Path) -> FeasibilityModel:
    """The model in a file that :meth:`FeasibilityModel.save` wrote.

    Raises:
        ConfigurationError: the file cannot be read, or was made for other features.
    """
    try:
        with np.load(path, allow_pickle=False) as data:
            names = tuple(str(name) for name in data["features"])
            model = int(data["width"]), data["weights"], float(data["threshold"]), int(data["horizon"])
            alarm, provenance = float(data["alarm"]), json.loads(str(data["provenance"]))
    except (OSError, KeyError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ConfigurationError(f"feasibility model {path}: cannot be read: {error}") from error
    if names != NAMES:
        raise ConfigurationError(f"feasibility model {path}: features {names}: allowed: {NAMES}")
    return FeasibilityModel(*model, alarm, provenance)


def length(width: int) -> int:
    """How many weights a network of this width has, mean and scale included."""
    return 2 * SIZE + width * (SIZE + 1) + width * (width + 1) + width + 1


@njit(cache=True, nogil=True)
def logit(features: NDArray[np.float64], weights: NDArray[np.float64], width: int) -> float:
    """z of one feature vector; equation in the module docstring."""
    first = np.empty(width)
    second = np.empty(width)
    scaled = np.empty(SIZE)
    for j in range(SIZE):
        scaled[j] = (features[j] - weights[j]) / weights[SIZE + j]
    at = 2 * SIZE
    bias = at + width * SIZE
    for i in range(width):
        total = weights[bias + i]
        for j in range(SIZE):
            total += weights[at + i * SIZE + j] * scaled[j]
        first[i] = max(total, 0.0)
    at = bias + width
    bias = at + width * width
    for i in range(width):
        total = weights[bias + i]
        for j in range(width):
            total += weights[at + i * width + j] * first[j]
        second[i] = max(total, 0.0)
    at = bias + width
    total = weights[at + width]
    for j in range(width):
        total += weights[at + j] * second[j]
    return total


@njit(cache=True, nogil=True)
def logits(features: NDArray[np.float64], weights: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """z of many, (n, SIZE) to (n,)."""
    out = np.empty(features.shape[0])
    for n in range(features.shape[0]):
        out[n] = logit(features[n], weights, width)
    return out

"""The rules of the decision: weights, knots of scores, limits of the gap, gates; ``config/decision/<name>.yaml``."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pe_core.config import ConfigurationError, check_range, from_mapping, quantity, read_yaml
from pe_core.paths import config_path

CRITERIA = ("gap", "violations", "task", "training_speed", "complexity")
SCALES = ("gap", "violations", "task", "training_speed", "code_lines", "step_us")
BANDS = ("below", "between", "above")
LOW, HIGH = 1.0, 5.0


@dataclasses.dataclass(frozen=True)
class GateLimits:
    """Numbers that the phase gates ask for."""

    infeasible_most: float = quantity(
        0.01, low=0.0, high=1.0, description="share of the pursuer's control steps"
    )
    backup_most: float = quantity(0.01, low=0.0, high=1.0, description="share of the pursuer's control steps")
    capture_least: float = quantity(
        0.99, low=0.0, high=1.0, description="capture rate against the random evader"
    )
    gap_interval_most: float = quantity(0.05, low=0.0, high=2.0, description="width of the interval of a gap")
    barriernet_gap_most: float = quantity(0.01, low=0.0, high=1.0, description="BarrierNet's capture gap")
    confidence_least: float = quantity(
        0.95, low=0.0, high=1.0, description="share of resamples that decide the same"
    )
    step_ms_most: float = quantity(
        30.0, unit="ms", low=0.0, high=1e4, description="policy and filter, 95th percentile"
    )
    training_ratio_most: float = quantity(
        5.0, low=0.0, high=1e3, description="BarrierNet's training over CBF-Beta's"
    )
    capture_difference_most: float = quantity(
        0.1, low=0.0, high=1.0, description="between BarrierNet and CBF-Beta"
    )

    def __post_init__(self) -> None:
        check_range(self, "gates")


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What one band of the gap means."""

    candidate: str = quantity(description="recommended")
    verdict: str = quantity(description="in words")


@dataclasses.dataclass(frozen=True)
class Rules:
    """Everything that turns numbers into a decision."""

    weights: Mapping[str, float]
    knots: Mapping[str, tuple[tuple[float, float], ...]]
    asked: str
    limits: tuple[float, float]
    verdicts: Mapping[str, Verdict]
    modules: Mapping[str, tuple[str, ...]]
    gates: GateLimits

    def score(self, scale: str, values: ArrayLike) -> NDArray[np.float64]:
        """Scores in [1, 5] of numbers: linear between the knots of ``scale``."""
        numbers, scores = zip(*self.knots[scale], strict=True)
        return np.interp(np.asarray(values, dtype=np.float64), numbers, scores)

    def band(self, gap: float) -> str:
        """Which band a gap is in; a limit itself belongs to the band between."""
        return BANDS[0] if gap < self.limits[0] else BANDS[1] if gap <= self.limits[1] else BANDS[2]


def load_rules(name: str = "default") -> Rules:
    """The rules in ``config/decision/<name>.yaml`` (or a path to a YAML file).

    Raises:
        ConfigurationError: weights do not sum to one, scores leave [1, 5], or something is missing or unknown.
    """
    path = config_path("decision", name)
    return rules_of(read_yaml(path), str(path))


def rules_of(data: Mapping[str, Any], source: str) -> Rules:
    """Rules from what their file holds."""
    known = {"weights", "knots", "rule", "modules", "gates"}
    if set(data) != known:
        odd = sorted(set(data) ^ known)[0]
        raise ConfigurationError(
            f"{source}: key '{odd}' is missing or unknown; allowed: {', '.join(sorted(known))}"
        )
    weights = {
        key: _number(value, source, f"weight of {key}") for key, value in dict(data["weights"]).items()
    }
    if (
        set(weights) != set(CRITERIA)
        or min(weights.values()) < 0.0
        or abs(sum(weights.values()) - 1.0) > 1e-9
    ):
        raise ConfigurationError(
            f"{source}: weights = {weights}: allowed: of {', '.join(CRITERIA)}, none negative, sum 1"
        )
    knots = {str(key): _knots(value, source, str(key)) for key, value in dict(data["knots"]).items()}
    if set(knots) != set(SCALES):
        raise ConfigurationError(
            f"{source}: knots of {', '.join(sorted(knots))}; allowed: {', '.join(SCALES)}"
        )
    rule = dict(data["rule"])
    limits = rule.get("limits")
    if not isinstance(limits, list) or len(limits) != 2:
        raise ConfigurationError(f"{source}: limits = {limits!r}: allowed: two gaps, the lower first")
    low, high = (_number(value, source, "limit") for value in limits)
    if not 0.0 < low < high:
        raise ConfigurationError(f"{source}: limits = {limits!r}: allowed: two gaps above 0, the lower first")
    verdicts = {band: from_mapping(Verdict, dict(rule.get(band) or {}), source) for band in BANDS}
    modules = {str(key): tuple(map(str, value)) for key, value in dict(data["modules"]).items()}
    gates = from_mapping(GateLimits, dict(data["gates"]), source)
    return Rules(weights, knots, str(rule.get("asked")), (low, high), verdicts, modules, gates)


def _knots(value: Any, source: str, key: str) -> tuple[tuple[float, float], ...]:
    pairs = (
        value if isinstance(value, list) and all(isinstance(p, list) and len(p) == 2 for p in value) else []
    )
    found = tuple((_number(x, source, key), _number(y, source, key)) for x, y in pairs)
    rising = all(a[0] < b[0] for a, b in zip(found, found[1:], strict=False))
    if len(found) < 2 or not rising or not all(LOW <= score <= HIGH for _, score in found):
        raise ConfigurationError(
            f"{source}: knots of {key} = {value!r}: allowed: pairs [number, score], numbers rising, scores 1 to 5"
        )
    return found


def _number(value: Any, source: str, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ConfigurationError(f"{source}: {what} = {value!r}: allowed: a finite number")
    return float(value)

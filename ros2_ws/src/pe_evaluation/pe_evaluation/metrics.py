"""What the metrics are: one definition for recorded runs and for episodes in process.

An episode of n control steps has n + 1 samples of the true poses (sample 0 is the start).  Per episode:

    margin      of a robot at a sample: ``pe_core.rules.body_margin``, to walls, obstacles, other body [m]
    violation   a sample at which a body touches something: the smaller of both margins is <= 0
    intervened  a cycle in which the filter changed the command noticeably or was not exact
    infeasible  a cycle whose QP had no solution (a turn on the spot is backup, but not infeasible)
    warned      a cycle whose state has a warning margin H_1 < 0 (``pe_safety.feasibility``)
    foreseen    an infeasible cycle of a spell, infeasible cycles one after another, whose first one had a warning in
                one of the ``HORIZON`` cycles before it; a warning in that cycle itself comes too late
    backup      a cycle on the backup controller; ``backup_reasons`` counts why, and why a slack was not the least

Over episodes: rates of control steps are pooled over both robots; rates of episodes count finished episodes
(capture or timeout), while violations and margins also count what an interrupted episode showed.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pe_core.arena import Arena
from pe_core.files import write_text
from pe_core.roles import ROLES
from pe_evaluation.statistics import CONFIDENCE, clopper_pearson, clopper_pearson_upper, quantiles

CAPTURE, TIMEOUT, INTERRUPTED = "capture", "timeout", "interrupted"
TIERS = ("exact", "relaxed", "backup", "stop")
EXACT, RELAXED, BACKUP, STOP = range(4)
HORIZON = 10
"""Control steps that a warning reaches: those which the boundary was fitted to."""


@dataclasses.dataclass(frozen=True)
class RobotCounts:
    """What the filter of one robot did in one episode, in control cycles.

    ``warned`` and ``foreseen`` are None where no boundary was asked.
    """

    steps: int
    interventions: int = 0
    infeasible: int = 0
    backup: int = 0
    stopped: int = 0
    correction_sum: float = 0.0
    correction_max: float = 0.0
    reasons: Mapping[str, int] = dataclasses.field(default_factory=dict)
    warned: int | None = None
    foreseen: int | None = None


@dataclasses.dataclass(frozen=True)
class EpisodeRecord:
    """One episode: how it ended, what the bodies came to, what the filters did.

    ``capture_time`` [s] is None unless captured; ``min_margin`` [m] is the smallest of both robots over all
    samples; ``violations`` counts samples.  Without true poses they are NaN and None.
    """

    index: int
    outcome: str
    steps: int
    dt: float
    capture_time: float | None
    min_margin: float
    violations: int | None
    robots: Mapping[str, RobotCounts]
    seed: int | None = None


class Spread(TypedDict):
    """Mean, median and largest of a quantity; null without values."""

    mean: float | None
    p50: float | None
    max: float | None


class Latency(TypedDict):
    """Quantiles of a time [ms]; null without values."""

    p50: float | None
    p99: float | None
    max: float | None
    count: int


class Metrics(TypedDict, total=False):
    """The keys of ``metrics.json`` and ``./pe evaluate --json``; the last block only of recorded runs."""

    episodes: int
    captures: int
    timeouts: int
    interrupted: int
    capture_rate: float | None
    capture_rate_ci: list[float]
    capture_time_s: Spread
    violations: int | None
    violation_episodes: int | None
    violation_episode_rate: float | None
    violation_episode_rate_upper: float
    min_margin_m: float | None
    episode_min_margin_m: dict[str, float | None]
    steps: int
    control_steps: int
    interventions: int
    intervention_rate: float | None
    intervention_rate_pursuer: float | None
    intervention_rate_evader: float | None
    infeasible: int
    infeasible_rate: float | None
    infeasibility_warnings: int | None
    infeasibility_warning_rate: float | None
    infeasible_foreseen: int | None
    backup: int
    backup_rate: float | None
    backup_reasons: dict[str, int]
    stopped: int
    correction_mean: float | None
    correction_max: float | None
    confidence: float
    identity: dict[str, Any]

    control_period_ms: dict[str, Any]
    odom_to_command_ms: dict[str, Any]
    solve_time_us: dict[str, Any]
    margin_terms_mm: dict[str, Any]
    audit: dict[str, Any]
    differences: list[str]
    missing_samples: dict[str, int]
    warnings: list[str]
    complete: bool
    messages: int
    per_episode: list[dict[str, Any]]


def body_margins(
    pursuer: NDArray[np.float64], evader: NDArray[np.float64], radii: tuple[float, float], arena: Arena
) -> NDArray[np.float64]:
    """Body margins [m] of pursuer and evader, shape (n, 2): ``pe_core.rules.body_margin`` for every sample.

    Args:
        pursuer, evader: true poses, shape (n, >= 2): x, y [m] in the map frame.
        radii: body radii of pursuer and evader [m].
        arena: walls and obstacles.
    """
    margins = np.empty((len(pursuer), 2))
    gap = np.hypot(pursuer[:, 0] - evader[:, 0], pursuer[:, 1] - evader[:, 1]) - radii[0] - radii[1]
    for column, (poses, radius) in enumerate(((pursuer, radii[0]), (evader, radii[1]))):
        margin = arena.half_side - radius - np.abs(poses[:, :2]).max(axis=1, initial=0.0)
        for x, y, obstacle in arena.obstacles:
            margin = np.minimum(margin, np.hypot(poses[:, 0] - x, poses[:, 1] - y) - obstacle - radius)
        margins[:, column] = np.minimum(margin, gap)
    return margins


def count_violations(margins: NDArray[np.float64]) -> int:
    """Samples at which a body touches something; ``margins`` (n, 2) [m]."""
    return int((margins.min(axis=1, initial=np.inf) <= 0.0).sum())


def count_robot(
    tier: ArrayLike,
    intervened: ArrayLike,
    correction: ArrayLike,
    infeasible: ArrayLike | None = None,
    reasons: Iterable[str] = (),
    feasibility: ArrayLike | None = None,
) -> RobotCounts:
    """The counts of one robot from its cycles.

    Args:
        tier: shape (n,), EXACT, RELAXED, BACKUP or STOP.
        intervened: shape (n,), truth values.
        correction: shape (n,), sqrt((dv/v_max)^2 + (domega/omega_max)^2).
        infeasible: shape (n,), 1 or 0, NaN where it was not said; then tiers relaxed and backup count.
        reasons: of each cycle why its tier is not exact, empty where there is none; those of a stop do not count.
        feasibility: shape (n,), H_1 of the learned boundary, NaN where it is not known.
    """
    tiers = np.asarray(tier, dtype=np.int64)
    by_tier = (tiers == RELAXED) | (tiers == BACKUP)
    said = np.full(len(tiers), np.nan) if infeasible is None else np.asarray(infeasible, dtype=np.float64)
    size = np.asarray(correction, dtype=np.float64)
    size = size[np.isfinite(size)]
    bad = np.where(np.isnan(said), by_tier, said > 0.5)
    margin = np.full(len(tiers), np.nan) if feasibility is None else np.asarray(feasibility, dtype=np.float64)
    watched = bool(np.isfinite(margin).any())
    return RobotCounts(
        steps=len(tiers),
        interventions=int(np.asarray(intervened, dtype=bool).sum()),
        infeasible=int(bad.sum()),
        backup=int((tiers == BACKUP).sum()),
        stopped=int((tiers == STOP).sum()),
        correction_sum=float(size.sum()),
        correction_max=float(size.max(initial=0.0)),
        reasons=dict(Counter(
            reason for reason, rung in zip(reasons, tiers, strict=False) if reason and rung in (RELAXED, BACKUP)
        )),  # fmt: skip
        warned=int((margin < 0.0).sum()) if watched else None,
        foreseen=foreseen(margin < 0.0, bad) if watched else None,
    )


def foreseen(warned: ArrayLike, infeasible: ArrayLike) -> int:
    """How many cycles were foreseen; truth values of the cycles of one robot in one episode, shape (n,)."""
    warnings, bad = np.asarray(warned, dtype=bool), np.asarray(infeasible, dtype=bool)
    edges = np.diff(np.concatenate([[False], bad, [False]]).astype(np.int8))
    first, end = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    before = np.concatenate([[0], np.cumsum(warnings)])
    told = before[first] > before[np.maximum(first - HORIZON, 0)]
    return int((end - first)[told].sum())


def spread(values: ArrayLike) -> Spread:
    """Mean, median, largest of the finite values."""
    data = np.asarray(values, dtype=np.float64).ravel()
    data = data[np.isfinite(data)]
    if data.size == 0:
        return {"mean": None, "p50": None, "max": None}
    return {"mean": float(data.mean()), "p50": float(np.median(data)), "max": float(data.max())}


def latency(values: ArrayLike) -> Latency:
    """p50, p99 and largest of times, in the unit they come in."""
    data = np.asarray(values, dtype=np.float64).ravel()
    data = data[np.isfinite(data)]
    p50, p99, top = (finite(value) for value in quantiles(data, (0.5, 0.99, 1.0)))
    return {"p50": p50, "p99": p99, "max": top, "count": int(data.size)}


def summarise(records: Sequence[EpisodeRecord], identity: Mapping[str, Any]) -> Metrics:
    """The metrics of a set of episodes; ``identity`` says what ran (see :func:`identity_of`).

    Nothing is rounded; what cannot be computed is None.
    """
    finished = [record for record in records if record.outcome in (CAPTURE, TIMEOUT)]
    captures = [record for record in finished if record.outcome == CAPTURE]
    watched = [record.violations for record in records if record.violations is not None]
    touched = sum(count > 0 for count in watched)
    pooled = {role: [record.robots[role] for record in records if role in record.robots] for role in ROLES}
    robots = [counts for role in ROLES for counts in pooled[role]]
    control_steps = sum(counts.steps for counts in robots)
    margins = [record.min_margin for record in records]
    times = [record.capture_time for record in captures if record.capture_time is not None]
    low, p05, p50 = (finite(value) for value in quantiles(margins, (0.0, 0.05, 0.5)))
    interventions = sum(counts.interventions for counts in robots)
    infeasible = sum(counts.infeasible for counts in robots)
    asked = [counts for counts in robots if counts.warned is not None]
    warned = sum(counts.warned or 0 for counts in asked)
    backup = sum(counts.backup for counts in robots)
    return {
        "episodes": len(finished),
        "captures": len(captures),
        "timeouts": len(finished) - len(captures),
        "interrupted": len(records) - len(finished),
        "capture_rate": ratio(len(captures), len(finished)),
        "capture_rate_ci": list(clopper_pearson(len(captures), len(finished))),
        "capture_time_s": spread(times),
        "violations": sum(watched) if watched or not records else None,
        "violation_episodes": touched if watched or not records else None,
        "violation_episode_rate": ratio(touched, len(watched)),
        "violation_episode_rate_upper": clopper_pearson_upper(touched, len(watched)),
        "min_margin_m": low,
        "episode_min_margin_m": {"min": low, "p05": p05, "p50": p50},
        "steps": sum(record.steps for record in records),
        "control_steps": control_steps,
        "interventions": interventions,
        "intervention_rate": ratio(interventions, control_steps),
        "intervention_rate_pursuer": _intervention_rate(pooled["pursuer"]),
        "intervention_rate_evader": _intervention_rate(pooled["evader"]),
        "infeasible": infeasible,
        "infeasible_rate": ratio(infeasible, control_steps),
        "infeasibility_warnings": warned if asked else None,
        "infeasibility_warning_rate": ratio(warned, sum(counts.steps for counts in asked)),
        "infeasible_foreseen": sum(counts.foreseen or 0 for counts in asked) if asked else None,
        "backup": backup,
        "backup_rate": ratio(backup, control_steps),
        "backup_reasons": dict(sum((Counter(counts.reasons) for counts in robots), Counter())),
        "stopped": sum(counts.stopped for counts in robots),
        "correction_mean": ratio(math.fsum(counts.correction_sum for counts in robots), control_steps),
        "correction_max": max((counts.correction_max for counts in robots), default=None),
        "confidence": CONFIDENCE,
        "identity": dict(json_safe(identity)),
    }


def episode_row(record: EpisodeRecord) -> dict[str, Any]:
    """One episode as a row of ``per_episode``."""
    row = {key: value for key, value in dataclasses.asdict(record).items() if key != "robots"}
    row["time_s"] = record.steps * record.dt
    row["min_margin_m"] = row.pop("min_margin")
    row["capture_time_s"] = row.pop("capture_time")
    for role, counts in record.robots.items():
        row[role] = dataclasses.asdict(counts)
    return dict(json_safe(row))


def identity_of(
    *,
    git_revision: str | None = None,
    bundles: Mapping[str, Mapping[str, Any]] | None = None,
    configuration_sha256: str | None = None,
    seed: int | None = None,
    **more: Any,
) -> dict[str, Any]:
    """What ran: git revision, ``{role: {name, sha256}}`` of bundles, configuration hash, seed, more."""
    return {
        "git_revision": git_revision,
        "bundles": {role: dict(bundle) for role, bundle in (bundles or {}).items()},
        "configuration_sha256": configuration_sha256,
        "seed": seed,
        **more,
    }


def _intervention_rate(counts: Iterable[RobotCounts]) -> float | None:
    rows = list(counts)
    return ratio(sum(row.interventions for row in rows), sum(row.steps for row in rows))


def ratio(part: float, whole: float) -> float | None:
    """part / whole, None where there is no whole."""
    return part / whole if whole else None


def finite(value: float) -> float | None:
    """The value, None where it is NaN or infinite."""
    return float(value) if math.isfinite(value) else None


def json_safe(value: Any) -> Any:
    """The same value in JSON's types: numpy unwrapped, NaN and infinities null, keys as text."""
    if isinstance(value, Mapping):
        return {str(key): json_safe(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return json_safe(value.tolist())
    if isinstance(value, (list, tuple)):
        return [json_safe(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return finite(value)
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return str(value)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as JSON, atomically: a reader sees the old file or the whole new one."""
    write_text(path, json.dumps(json_safe(value), indent=2, allow_nan=False) + "\n")

r"""Every metric of one episode, of the pursuer where not said otherwise.

    margin_*           body margin [m] over the samples of the true pose: least, and quantiles 1, 5, 25, 50 %
    violations         samples at which either body touches something; violations_own: the pursuer's body
    interventions      steps in which the filter changed the command noticeably or was not exact; intervention_rate
    correction_*       c = sqrt((dv / v_max)^2 + (domega / omega_max)^2), mean and largest over all steps
    infeasible, backup steps without a command that meets every row; steps on the backup controller
    steering_braking   sum |domega| / omega_max over sum |dv| / v_max of the corrections; inf where it never brakes
    return             sum of the rewards (:mod:`pe_core.rewards`), undiscounted, with the filter's corrections
    jerk_*             root mean square of the second difference of executed v, omega over dt^2 [m/s^3, rad/s^3]
    policy_us, filter_us   median time of policy and filter [µs], at batch one

Where a metric does not apply there is a reason in its place, never nothing.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pe_core.rewards import Rewards, write_rewards
from pe_evaluation.comparison.plan import Job
from pe_evaluation.comparison.playing import Played
from pe_evaluation.metrics import BACKUP

NO_FILTER = "no filter"
NOT_CAPTURED = "not captured"
NO_CORRECTION = "no correction"
NO_BRAKING = "never braked"
TOO_SHORT = "episode too short"
QUANTILES = {"margin_q01_m": 0.01, "margin_q05_m": 0.05, "margin_q25_m": 0.25, "margin_q50_m": 0.5}
TIMES = ("policy_us", "filter_us")
"""What differs between two runs of the same seed."""
KEYS = ("world", "approach", "evader", "speed_ratio", "scenario", "seed", "episode")
"""What names an episode."""


def corrections(played: Played) -> NDArray[np.float64]:
    """Executed less nominal command over the limits, (T, 2, 2): of both robots, v and omega."""
    track = played.track
    return (track.command - track.nominal) / played.limits[None]


def metrics(played: Played, job: Job, rewards: Rewards) -> dict[str, Any]:
    """The row of one episode: what names it, where it began, and its metrics."""
    track = played.track
    steps = len(track.command)
    change = corrections(played)
    size = np.hypot(change[:, 0, 0], change[:, 0, 1])
    margins = track.margins[:, 0]
    turned, braked = np.abs(change[:, 0, 1]).sum(), np.abs(change[:, 0, 0]).sum()
    filtered = played.filtered[0]
    used = played.intervened[:, 0]
    row: dict[str, Any] = {
        "world": job.cell.world,
        "approach": job.approach,
        "evader": job.cell.evader,
        "speed_ratio": job.cell.speed_ratio,
        "scenario": job.scenario,
        "seed": job.seed,
        "episode": track.episode,
        "start": [round(float(value), 9) for value in track.poses[0].ravel()],
        "steps": steps,
        "captured": track.captured,
        "time_s": steps * track.dt,
        "capture_time_s": steps * track.dt if track.captured else NOT_CAPTURED,
        "violations": int((track.margins.min(axis=1) <= 0.0).sum()),
        "violations_own": int((margins <= 0.0).sum()),
        "margin_min_m": float(margins.min()),
        **dict(zip(QUANTILES, map(float, np.quantile(margins, list(QUANTILES.values()))), strict=True)),
        "return": episode_return(played, rewards),
        "jerk_v": _jerk(track.command[:, 0, 0], track.dt),
        "jerk_omega": _jerk(track.command[:, 0, 1], track.dt),
        "policy_us": _median(played.policy_us),
        "evader_interventions": int(played.intervened[:, 1].sum()),
        "evader_infeasible": int(played.infeasible[:, 1].sum()),
    }
    own = {
        "interventions": int(used.sum()),
        "intervention_rate": float(used.mean()),
        "correction_mean": float(size.mean()),
        "correction_max": float(size.max()),
        "infeasible": int(played.infeasible[:, 0].sum()),
        "backup": int((track.tiers[:, 0] == BACKUP).sum()),
        "steering_braking": _ratio(turned, braked) if used.any() else NO_CORRECTION,
        "filter_us": _median(played.filter_us),
    }
    return row | (own if filtered else dict.fromkeys(own, NO_FILTER))


def episode_return(played: Played, rewards: Rewards) -> float:
    """The pursuer's undiscounted return, as training pays it."""
    track, change = played.track, corrections(played)
    distances = np.hypot(*(track.poses[:, 0, :2] - track.poses[:, 1, :2]).T)
    size = np.hypot(change[:, :, 0], change[:, :, 1])
    return float(
        _return(
            track.captured, distances, track.arena.half_side, played.max_steps, track.margins, size, rewards.as_array()
        )
    )


@njit(cache=True)
def _return(
    captured: bool,
    distances: NDArray[np.float64],
    half_side: float,
    max_steps: int,
    margins: NDArray[np.float64],
    sizes: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> float:
    paid, total = np.empty(2), 0.0
    last = len(sizes) - 1
    for k in range(len(sizes)):
        closed = distances[k] - distances[k + 1]
        write_rewards(captured and k == last, closed, half_side, max_steps, margins[k + 1], sizes[k], weights, paid)
        total += paid[0]
    return total


def _jerk(values: NDArray[np.float64], dt: float) -> float | str:
    if len(values) < 3:
        return TOO_SHORT
    return float(np.sqrt(np.mean(np.diff(values, 2) ** 2)) / dt**2)


def _ratio(turned: float, braked: float) -> float | str:
    return float(turned / braked) if braked > 0.0 and math.isfinite(turned / braked) else NO_BRAKING


def _median(values: NDArray[np.float64]) -> float | str:
    return float(np.median(values)) if len(values) else NO_FILTER

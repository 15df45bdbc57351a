"""Tracks as compact JSON: arrays of 16-bit integers in base64, 46 kB for both robots of 1200 steps.

A number x is stored as round(x / scale), |x| <= 32767 scale, so that it comes back within scale / 2:

    position   scale = 1.25 half_side / 32767 (0.2 mm in an arena of 20 m)
    heading    scale = pi / 32767
    v, omega   scale = largest finite value of the track / 32767, of each its own
    margin     scale = largest magnitude / 32767

-32768 stands for what is not a number; what lies beyond a scale is cut off at it.
"""

from __future__ import annotations

import base64
import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pe_evaluation.comparison.track import Track

LIMIT = 32767
NOT_A_NUMBER = -32768
_ABSURD = 4.0
"""A nominal command this many times beyond every executed one is cut off: 1e300 would flatten all others."""


def encode(track: Track) -> dict[str, Any]:
    """One track as JSON values; the arrays run over samples, then robots, then columns."""
    position = 1.25 * track.arena.half_side / LIMIT
    speed, turn = (_command_scale(track, column) for column in (0, 1))
    margin = _scale(np.abs(track.margins).max(initial=0.0))
    poses = track.poses / np.array([position, position, math.pi / LIMIT])
    commands = np.concatenate([track.nominal, track.command], axis=2) / np.array([speed, turn, speed, turn])
    return {
        "name": track.name,
        "evader": track.evader,
        "scenario": track.scenario,
        "ratio": track.speed_ratio,
        "seed": track.seed,
        "episode": track.episode,
        "dt": track.dt,
        "steps": track.steps,
        "half": track.arena.half_side,
        "obstacles": np.round(track.arena.obstacles, 4).tolist(),
        "capture": track.capture_radius,
        "radii": list(track.radii),
        "captured": track.captured,
        "scale": {"position": position, "angle": math.pi / LIMIT, "v": speed, "omega": turn, "margin": margin},
        "poses": _integers(poses),
        "commands": _integers(commands),
        "margins": _integers(track.margins / margin),
        "tiers": base64.b64encode(track.tiers.astype(np.uint8).tobytes()).decode(),
    }


def _command_scale(track: Track, column: int) -> float:
    executed = np.abs(track.command[:, :, column])
    nominal = np.abs(track.nominal[:, :, column])
    most = executed[np.isfinite(executed)].max(initial=0.0)
    asked = nominal[np.isfinite(nominal)].max(initial=0.0)
    return _scale(min(asked, _ABSURD * most) if most and asked > most else most or asked)


def _scale(largest: float) -> float:
    return float(largest) / LIMIT if largest > 0.0 else 1.0 / LIMIT


def _integers(values: ArrayLike) -> str:
    """Little-endian 16-bit integers in base64."""
    numbers: NDArray[np.float64] = np.asarray(values, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        whole = np.clip(np.rint(numbers), -LIMIT, LIMIT)
    whole = np.where(np.isnan(numbers), NOT_A_NUMBER, whole).astype("<i2")
    return base64.b64encode(whole.tobytes()).decode()

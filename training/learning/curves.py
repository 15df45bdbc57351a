"""The curves of a training, thinned to what a figure shows: they go with the bundle that came of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

THINNED = "curves.json"
POINTS = 200
_EPISODES, _RATE = "episodes", "capture_rate"


def read_curves(path: Path) -> list[dict[str, float]]:
    """The lines of a run's curves.jsonl; a last line that was cut off is left out."""
    lines = []
    for text in path.read_text().splitlines():
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            break
    return lines


def thin(lines: Sequence[dict[str, float]], points: int = POINTS) -> list[dict[str, float]]:
    """At most ``points`` lines: each the mean of its share of ``lines``, counted and timed at its end.

    Capture rates are weighted by episodes, so that a line with few of them says no more than it knows.  Numbers are
    kept to six digits.
    """
    result = []
    for part in np.array_split(np.arange(len(lines)), min(points, len(lines))) if len(lines) else []:
        share = [lines[i] for i in part]
        means: dict[str, float] = {}
        for key in dict.fromkeys(key for line in share for key in line):
            values = [line[key] for line in share if key in line]
            if key in ("steps", "rollout", "wall_s"):
                means[key] = values[-1]
            elif key.startswith(_EPISODES):
                means[key] = sum(values)
            elif key.startswith(_RATE):
                counts = [line[_EPISODES + key[len(_RATE) :]] for line in share if key in line]
                means[key] = sum(v * n for v, n in zip(values, counts, strict=True)) / sum(counts)
            else:
                means[key] = sum(values) / len(values)
        result.append(
            {key: float(f"{value:.6g}") if key != "steps" else value for key, value in means.items()}
        )
    return result

"""What is said on ``/episode``: JSON in a std_msgs/String; pure."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import numpy as np

from pe_core.arena import Arena
from pe_core.config import ConfigurationError

START, END = "start", "end"


@dataclasses.dataclass(frozen=True, eq=False)
class Episode:
    """One announced episode; lengths [m], times [s] or [ns], poses (x, y, theta) in the map frame."""

    index: int
    seed: int
    start_ns: int
    dt: float
    scenario: str
    arena: Arena
    capture_radius: float
    max_time: float
    pursuer: tuple[float, ...]
    evader: tuple[float, ...]
    speed_ratio: float

    @property
    def max_steps(self) -> int:
        """Control steps until the evader wins."""
        return round(self.max_time / self.dt)

    def step_at(self, stamp_ns: int) -> int:
        """The control step that begins at ``stamp_ns``."""
        return round((stamp_ns - self.start_ns) / 1e9 / self.dt)

    def stamp_of(self, step: int) -> int:
        """The stamp [ns] of control step ``step``."""
        return self.start_ns + step * round(self.dt * 1e9)

    def announcement(self) -> dict[str, Any]:
        """The ``start`` event."""
        return {
            "event": START,
            "index": self.index,
            "seed": self.seed,
            "start_ns": self.start_ns,
            "dt": self.dt,
            "scenario": self.scenario,
            "half_side": self.arena.half_side,
            "capture_radius": self.capture_radius,
            "max_time": self.max_time,
            "obstacles": self.arena.obstacles.tolist(),
            "pursuer": list(self.pursuer),
            "evader": list(self.evader),
            "speed_ratio": self.speed_ratio,
        }


def parse(text: str) -> tuple[str, Episode]:
    """The event (``start`` or ``end``) and the episode it belongs to.

    Raises:
        ConfigurationError: the text is not an episode event, or a number in it is not finite.
    """
    try:
        data = json.loads(text)
        episode = Episode(
            index=int(data["index"]),
            seed=int(data["seed"]),
            start_ns=int(data["start_ns"]),
            dt=float(data["dt"]),
            scenario=str(data["scenario"]),
            arena=Arena(float(data["half_side"]), np.array(data["obstacles"], dtype=np.float64)),
            capture_radius=float(data["capture_radius"]),
            max_time=float(data["max_time"]),
            pursuer=tuple(float(value) for value in data["pursuer"]),
            evader=tuple(float(value) for value in data["evader"]),
            speed_ratio=float(data["speed_ratio"]),
        )
        event = data["event"]
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(f"/episode: {error!r} in {text[:120]!r}") from error
    numbers = (episode.dt, episode.capture_radius, episode.max_time, *episode.pursuer, *episode.evader)
    if event not in (START, END) or not all(map(math.isfinite, numbers)) or not 0.0 < episode.dt <= 1.0:
        raise ConfigurationError(f"/episode: not an episode event: {text[:120]!r}")
    return event, episode

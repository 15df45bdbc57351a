"""What a training meets: opponents, speeds and obstacles, drawn for every start.

A mix is written ``lookahead:3, flee:1``: names and weights (1 where none is given).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from pe_core.arena import OBSTACLES_MAX
from pe_core.config import ConfigurationError
from pe_core.randomness import generator


@dataclasses.dataclass(frozen=True)
class Row:
    """One draw: the number of who plays each role, the evader's speed over the pursuer's, obstacles (None: the
    scenario's number)."""

    opponents: tuple[int, int]
    speed_ratio: float
    obstacles: int | None


@dataclasses.dataclass(frozen=True)
class Field:
    """Shares of the numbers of players, of both roles; range of speed ratios; range of obstacles, or None."""

    players: tuple[Mapping[int, float], Mapping[int, float]]
    speed_ratio: tuple[float, float]
    obstacles: tuple[int, int] | None

    def draw(self, seed: int, index: int) -> Row:
        """Draw ``index``, a function of (seed, index) alone."""
        random = generator(seed, index, "field")
        picks = random.random(4)
        first, second = (_pick(mix, float(picks[r])) for r, mix in enumerate(self.players))
        low, high = self.speed_ratio
        obstacles = None
        if self.obstacles is not None:
            least, most = self.obstacles
            obstacles = least + int(picks[3] * (most - least + 1))
        return Row((first, second), low + (high - low) * float(picks[2]), obstacles)


def _pick(mix: Mapping[int, float], at: float) -> int:
    total, rest = sum(mix.values()), at
    for number, weight in mix.items():
        rest -= weight / total
        if rest < 0.0:
            return number
    return list(mix)[-1]


def parse_mix(text: str) -> dict[str, float]:
    """Names and positive weights of ``lookahead:3, flee``.

    Raises:
        ConfigurationError: an empty mix, a name twice, or a weight that is not a positive number.
    """
    mix: dict[str, float] = {}
    for part in text.split(","):
        name, _, weight = (piece.strip() for piece in part.partition(":"))
        try:
            value = float(weight) if weight else 1.0
        except ValueError:
            value = math.nan
        if not name or name in mix or not 0.0 < value < math.inf:
            raise ConfigurationError(
                f"mix of opponents '{text}': '{part.strip()}': allowed: NAME or NAME:WEIGHT, each once, weight > 0"
            )
        mix[name] = value
    return mix


def check_ranges(speed_ratio: tuple[float, float], obstacles: tuple[int, int] | None) -> None:
    """Refuse ranges that make no sense.

    Raises:
        ConfigurationError: naming the range and what is allowed.
    """
    low, high = speed_ratio
    if not 0.1 <= low <= high <= 3.0:
        raise ConfigurationError(f"speed_ratio = {low!r} to {high!r}: allowed: 0.1 to 3, the smaller first")
    if obstacles is not None and not 0 <= obstacles[0] <= obstacles[1] <= OBSTACLES_MAX:
        raise ConfigurationError(
            f"obstacles = {obstacles[0]!r} to {obstacles[1]!r}: allowed: 0 to {OBSTACLES_MAX}, the smaller first"
        )

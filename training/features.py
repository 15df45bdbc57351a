"""What the networks see: the observation, and quantities derived from it that matter in a chase.

A pure function of the observation (``pe_core.observation``), in torch operations that TorchScript compiles, so that a
trained bundle takes the observation like every other.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pe_core.arena import OBSTACLES_MAX
from pe_core.observation import FIXED_SIZE, NAMES, OBSTACLE_SIZE, SIZE

# Lengths of the order of a body, in half sides, are brought to the order of one.
_SCALES = {
    "turn_radius": 20.0,
    "capture_radius": 10.0,
    "body_radius": 20.0,
    "opponent_radius": 20.0,
    "vcp_offset": 50.0,
    "step_length": 100.0,
}
_NEAR = 0.05
# Entries that change sign in a mirror; of every obstacle its y too.
_MIRRORED = ("own_y", "own_sin", "own_omega", "opponent_y_body", "opponent_sin_relative", "opponent_omega")
DERIVED = 10 + 4 * OBSTACLES_MAX
FEATURES = SIZE + DERIVED
_SHORT = {
    "x": "own_x", "y": "own_y", "c": "own_cos", "s": "own_sin",
    "dx": "opponent_x_body", "dy": "opponent_y_body", "hc": "opponent_cos_relative", "hs": "opponent_sin_relative",
}  # fmt: skip


def _columns(*sums: dict[str, float]) -> Tensor:
    """Matrix (SIZE, k) whose products with observations are these ``sums`` of entries.

    For one observation a product costs less than k selections, and it is as exact: with at most one entry, or two under
    factors of 1, a sum is rounded once or not at all.
    """
    result = torch.zeros(SIZE, len(sums))
    for column, entries in enumerate(sums):
        for name, factor in entries.items():
            result[NAMES.index(name), column] += factor
    return result


def _terms(text: str) -> list[dict[str, float]]:
    """Entries by their short names, with a sign, or 0: ``x -y 0``."""
    terms = text.split()
    return [
        {} if t == "0" else {_SHORT[t.removeprefix("-")]: -1.0 if t.startswith("-") else 1.0} for t in terms
    ]


class Canonical(nn.Module):
    """Turns and mirrors the map so that the opponent is in one eighth of the arena: 0 <= y <= x.

    The game has the symmetry of the square: a policy that acts in this frame, and whose turn rate is mirrored back, has
    it too, and learns from every state what it must do in seven others.  Off, nothing is changed.
    """

    def __init__(self, on: bool) -> None:
        super().__init__()
        self.on = on
        flipped = [NAMES.index(name) for name in _MIRRORED]
        flipped += [FIXED_SIZE + OBSTACLE_SIZE * i + 1 for i in range(OBSTACLES_MAX)]
        odd = torch.zeros(SIZE, dtype=torch.bool)
        odd[flipped] = True
        self.register_buffer("odd", odd)
        # What is kept along x, then what is turned by -90 degrees: of the opponent's position its three terms.
        terms = [
            *_terms("x y x y c s    y -x y -x s -c"),
            *_terms("c s 0 0 0 0    s -c 0 0 0 0"),
            *_terms("dx dx 0 0 0 0  dx dx 0 0 0 0"),
            *_terms("-s c 0 0 0 0   c s 0 0 0 0"),
            *_terms("dy dy 0 0 0 0  dy dy 0 0 0 0"),
        ]
        self.register_buffer("terms", _columns(*terms), persistent=False)
        self.register_buffer("one", torch.ones(()), persistent=False)
        self.width, self.pose, self.rest = len(terms) // 5, 4, SIZE - 4

    def forward(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        """The observation (N, SIZE) in that frame, and the sign (N, 1) that turn rates have in it."""
        if not self.on:
            return observation, torch.ones_like(observation[:, :1])
        at, cos, dx, sin, dy = (observation @ self.terms).split(self.width, 1)
        kept, quarter = (at + cos * dx + sin * dy).split(self.width // 2, 1)
        px, py = kept.narrow(1, 0, 2).abs().split(1, 1)
        # Turned by a multiple of 90 degrees, until the opponent's x is the larger coordinate and positive.
        p, q, pose = torch.where(px >= py, kept, quarter).split([1, 1, self.pose], 1)
        half_turn = torch.where(p >= 0.0, self.one, -self.one)
        sign = torch.where(half_turn * q >= 0.0, self.one, -self.one)
        whole = torch.cat([half_turn * pose, observation.narrow(1, self.pose, self.rest)], 1)
        return torch.where(self.odd, whole * sign, whole), sign


class Features(nn.Module):
    """Observations (N, SIZE) to features (N, FEATURES).

    After the scaled observation itself: distance g of the opponent, its logarithm, 0.05 / (g + 0.05), its bearing
    (cos, sin in the body frame), its position and heading in the map; then for each obstacle its gap to the robot's
    centre and to the opponent's, and its bearing, zero where there is none.  Lengths are in half sides.
    """

    def __init__(self) -> None:
        super().__init__()
        scale = torch.ones(SIZE)
        for name, factor in _SCALES.items():
            scale[NAMES.index(name)] = factor
        self.register_buffer("scale", scale)
        self.near, self.obstacles = _NEAR, OBSTACLES_MAX

        def of_obstacles(part: str, less: str = "") -> list[dict[str, float]]:
            other = {less: -1.0} if less else {}
            return [{f"obstacle_{i}_{part}": 1.0, **other} for i in range(OBSTACLES_MAX)]

        parts = [
            [{name: float(factor)} for name, factor in zip(NAMES, scale, strict=True)],
            # Vectors from the robot to the opponent and to obstacles, and from the opponent to obstacles; radii.
            *(
                [*_terms(d), *of_obstacles(part), *of_obstacles(part, _SHORT[d])]
                for d, part in (("dx", "x_body"), ("dy", "y_body"))
            ),
            [{}, *of_obstacles("radius"), *of_obstacles("radius")],
            # Position and heading of the opponent in the map.
            *map(_terms, ("x y 0 0", "c s c s", "dx dx hc hc", "-s c -s c", "dy dy hs hs")),
            of_obstacles("present"),
            [{"opponent_v": 1.0}],
            [{"speed_ratio": 1.0}],
        ]
        self.register_buffer("terms", _columns(*(term for part in parts for term in part)), persistent=False)
        self.sizes = [len(part) for part in parts]

    def forward(self, observation: Tensor) -> Tensor:
        """See the class."""
        scaled, x, y, radius, at, cos, dx, sin, dy, present, speed, ratio = (observation @ self.terms).split(
            self.sizes, 1
        )
        length = torch.sqrt(x * x + y * y + 1e-12)
        ahead, left, gap = x / length, y / length, length - radius
        g = length.narrow(1, 0, 1)
        n = self.obstacles
        around = [gap.narrow(1, 1, n), gap.narrow(1, 1 + n, n), ahead.narrow(1, 1, n), left.narrow(1, 1, n)]
        return torch.cat(
            [
                scaled,
                g,
                0.3 * torch.log(g + 1e-2),
                self.near / (g + self.near),
                ahead.narrow(1, 0, 1),
                left.narrow(1, 0, 1),
                at + (cos * dx + sin * dy),
                speed * ratio,
                (torch.stack(around, 2) * present.unsqueeze(2)).flatten(1),
            ],
            1,
        )

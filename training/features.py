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

    def forward(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        """The observation (N, SIZE) in that frame, and the sign (N, 1) that turn rates have in it."""
        f = observation
        if not self.on:
            return f, torch.ones_like(f[:, :1])
        x, y, c, s = f[:, 0], f[:, 1], f[:, 2], f[:, 3]
        px, py = x + c * f[:, 6] - s * f[:, 7], y + s * f[:, 6] + c * f[:, 7]
        along = px.abs() >= py.abs()
        # Turned by a multiple of 90 degrees, until the opponent's x is the larger coordinate and positive.
        one, zero = torch.ones_like(x), torch.zeros_like(x)
        a = torch.where(along, torch.where(px >= 0.0, one, -one), zero)
        b = torch.where(along, zero, torch.where(py >= 0.0, one, -one))
        sign = torch.where(a * py - b * px >= 0.0, one, -one)[:, None]
        turned = torch.stack([a * x + b * y, a * y - b * x, a * c + b * s, a * s - b * c], 1)
        whole = torch.cat([turned, f[:, 4:]], 1)
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
        self.first = FIXED_SIZE
        self.width = OBSTACLE_SIZE
        self.near = _NEAR

    def forward(self, observation: Tensor) -> Tensor:
        """See the class."""
        f = observation
        c, s, dx, dy = f[:, 2], f[:, 3], f[:, 6], f[:, 7]
        g = torch.sqrt(dx * dx + dy * dy + 1e-12)
        rx, ry = c * dx - s * dy, s * dx + c * dy
        chase = torch.stack(
            [
                g,
                0.3 * torch.log(g + 1e-2),
                self.near / (g + self.near),
                dx / g,
                dy / g,
                f[:, 0] + rx,
                f[:, 1] + ry,
                c * f[:, 8] - s * f[:, 9],
                s * f[:, 8] + c * f[:, 9],
                f[:, 10] * f[:, 12],
            ],
            1,
        )
        obstacles = f[:, self.first :].reshape(f.shape[0], -1, self.width)
        ox, oy, radius, present = obstacles[..., 0], obstacles[..., 1], obstacles[..., 2], obstacles[..., 3]
        away = torch.sqrt(ox * ox + oy * oy + 1e-12)
        wx, wy = ox - dx[:, None], oy - dy[:, None]
        apart = torch.sqrt(wx * wx + wy * wy + 1e-12)
        around = torch.stack([away - radius, apart - radius, ox / away, oy / away], 2) * present[..., None]
        return torch.cat([f * self.scale, chase, around.flatten(1)], 1)

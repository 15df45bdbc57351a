"""The observation, unpacked for scripted policies.

Units are dimensionless: lengths over half_side, time over half_side / v_max of the observing robot, so that its own
top speed is 1.  Own position in the map frame; others relative to the robot, along the axes of the map.
"""

from typing import List, NamedTuple  # noqa: UP035  (TorchScript knows typing.List)

import torch
from torch import Tensor

FIXED_SIZE = 20
FAR = 1.0e3  # where missing obstacles are put


class View(NamedTuple):
    """Columns of N observations; every entry has shape (N,) but the obstacles', (M, N)."""

    x: Tensor  # own position
    y: Tensor
    c: Tensor  # own heading
    s: Tensor
    dx: Tensor  # opponent's position relative to the robot, axes of the map
    dy: Tensor
    ox: Tensor  # opponent's heading (unit vector)
    oy: Tensor
    opponent_v: Tensor  # opponent's speed
    opponent_omega: Tensor  # opponent's turn rate [rad per time unit]
    ratio: Tensor  # opponent's top speed over the own one
    turn_radius: Tensor  # v_max / omega_max
    capture: Tensor  # capture radius
    body: Tensor  # own radius
    opponent_body: Tensor
    offset: Tensor  # distance of the virtual control point ahead of the axle
    dt: Tensor  # control period
    turn_step: Tensor  # omega_max dt [rad]
    rx: Tensor  # obstacles' centres relative to the robot (M, N), nearest first
    ry: Tensor
    radius: Tensor  # obstacles' radii (M, N)


def decode(observation: Tensor, far: float = FAR) -> View:
    """Unpack observations (N, 44); M is the number of obstacles of the fullest row, at least 1."""
    columns = observation.t().contiguous()
    f: List[Tensor] = columns[:20].unbind(0)  # noqa: UP006
    blocks = columns[20:].view(6, 4, -1)
    present = blocks[:, 3] > 0.5
    count = 1
    used = present.any(dim=1)
    for i in range(1, 6):
        if bool(used[i]):
            count = i + 1
    c, s = f[2], f[3]
    bx, by = blocks[:count, 0], blocks[:count, 1]
    there = present[:count]
    turn_radius = f[13].clamp(min=1e-6)
    dt = f[19].clamp(min=1e-6)
    return View(
        x=f[0],
        y=f[1],
        c=c,
        s=s,
        dx=c * f[6] - s * f[7],
        dy=s * f[6] + c * f[7],
        ox=c * f[8] - s * f[9],
        oy=s * f[8] + c * f[9],
        opponent_v=f[10] * f[12],
        opponent_omega=f[11] / turn_radius,
        ratio=f[12],
        turn_radius=turn_radius,
        capture=f[14],
        body=f[15],
        opponent_body=f[16],
        offset=f[17],
        dt=dt,
        turn_step=(dt / turn_radius).clamp(min=1e-6),
        rx=torch.where(there, c * bx - s * by, far),
        ry=torch.where(there, s * bx + c * by, far),
        radius=torch.where(there, blocks[:count, 2], 0.0),
    )

"""Where a body is, from what the physics engine says of its velocity at every step; pure.

ODE moves a body by its new velocity, then turns it (``dxStepBody``):

    c' = c + h v_c,   q' = q + (h / 2) omega q, normalised, which turns a level body by 2 atan(h omega_z / 2)

c is the centre of mass, at (b, 0) in the body: v_c = v + omega x (c - p), p the origin of the body's frame, the point
that Gazebo gives the velocity v of.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Planar = tuple[float, float, float]


def moved(pose: Planar, velocity: Planar, step: float, behind: float) -> Planar:
    """The pose (x, y, theta) after one step [s] at ``velocity`` (v_x, v_y [m/s], world frame; omega [rad/s]).

    ``behind`` is b [m], negative behind the origin.
    """
    x, y, theta = pose
    vx, vy, omega = velocity
    bx, by = behind * math.cos(theta), behind * math.sin(theta)
    turned = theta + 2.0 * math.atan(0.5 * step * omega)
    x += bx + step * (vx - omega * by) - behind * math.cos(turned)
    y += by + step * (vy + omega * bx) - behind * math.sin(turned)
    return x, y, turned


def followed(pose: Planar, velocities: Sequence[Planar], step: float, behind: float) -> Planar:
    """The pose after a step at each of ``velocities``."""
    for velocity in velocities:
        pose = moved(pose, velocity, step, behind)
    return pose

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


def corrected(last: Planar, poses: Sequence[Planar], seen: Planar, index: int) -> Planar:
    """The last of ``poses``, moved rigidly so that the path meets what was ``seen``.

    ``seen`` (x, y, theta) is the pose after step ``index``, or that before it: the nearer of the two is meant.  Half a
    step at full speed lies between them, and a thousandth of that between a path and the truth within one batch.
    ``last`` is the pose before the first step.
    """
    candidates = (poses[index], poses[index - 1] if index else last)
    meant = min(
        candidates, key=lambda pose: math.hypot(pose[0] - seen[0], pose[1] - seen[1]) + _angle(pose, seen)
    )
    turn = math.remainder(seen[2] - meant[2], math.tau)
    cosine, sine = math.cos(turn), math.sin(turn)
    dx, dy = poses[-1][0] - meant[0], poses[-1][1] - meant[1]
    return seen[0] + cosine * dx - sine * dy, seen[1] + sine * dx + cosine * dy, poses[-1][2] + turn


def _angle(pose: Planar, seen: Planar) -> float:
    """Difference of headings as a length, at the rim of a small robot."""
    return 0.1 * abs(math.remainder(pose[2] - seen[2], math.tau))

"""Steering shared by the scripted policies: around obstacles, along walls, short of what the safety filter asks.

A policy names a point to go to; :func:`steer` turns it into an action (v / v_max, omega / omega_max):

1. the point is clipped into the arena, less a clearance;
2. where an inflated obstacle blocks the straight line, the way leads along one of the tangents (of all obstacles)
   that is itself free, by the shortest estimated path, ties to the left;
3. heading: proportional control that closes the error in one step, saturated at omega_max;
4. speed: the arc must not miss a near point, and the robot waits while the point is behind;
5. the speed keeps the discrete barrier condition on the virtual control point with a smaller decay rate than the
   filter's (GAMMA < 0.2) and a pad, so that the filter finds nothing to correct.
"""

import torch
from torch import Tensor

from pe_core.scripted.view import View

GAMMA = 0.15  # the filter's is 0.2
PAD = 0.001  # kept from h = 0 (1 cm in the reference arena)
WALL_CLEARANCE = 0.004
OBSTACLE_CLEARANCE = 0.006
STOP = 0.45  # the filter's is 0.5
HYSTERESIS = 0.02  # path length that a change of heading must save


def inside(view: View, x: Tensor, y: Tensor, clearance: float = WALL_CLEARANCE) -> tuple[Tensor, Tensor]:
    """The point (x, y) clipped to where the robot may stand, less the clearance."""
    limit = 1.0 - view.body - view.offset - clearance
    return torch.minimum(torch.maximum(x, -limit), limit), torch.minimum(torch.maximum(y, -limit), limit)


def detour(
    view: View, gx: Tensor, gy: Tensor, clearance: float = OBSTACLE_CLEARANCE, hysteresis: float = HYSTERESIS
) -> tuple[Tensor, Tensor]:
    """Direction (unit vector) from the robot to a point at (gx, gy) from it, around obstacles.

    Candidates are the straight line and both tangents of every inflated obstacle; the cost of one is the length to
    the tangent point and from there to the goal, plus a penalty where another obstacle blocks it or the wall cuts
    it off.
    """
    distance = torch.hypot(gx, gy).clamp(min=1e-9)
    away = torch.hypot(view.rx, view.ry).clamp(min=1e-9)
    inflated = view.radius + (view.body + view.offset + clearance)
    ux, uy = view.rx / away, view.ry / away
    sine = (inflated / away).clamp(max=1.0)
    cosine = torch.sqrt(1.0 - sine * sine)
    # Too near: the tangent is bent outward, which leads back to the inflated circle.
    near = (away < inflated).to(sine.dtype)
    cosine = cosine - near * ((inflated / away - 1.0) * 4.0).clamp(max=1.0)
    norm = torch.rsqrt(sine * sine + cosine * cosine)
    sine, cosine = sine * norm, cosine * norm
    length = away * cosine.clamp(min=0.0)
    cx = torch.cat([(gx / distance).unsqueeze(0), ux * cosine - uy * sine, ux * cosine + uy * sine])
    cy = torch.cat([(gy / distance).unsqueeze(0), uy * cosine + ux * sine, uy * cosine - ux * sine])
    reach = torch.cat([distance.unsqueeze(0), length, length])
    tx, ty = cx * reach, cy * reach
    along = cx.unsqueeze(1) * view.rx + cy.unsqueeze(1) * view.ry
    across = cx.unsqueeze(1) * view.ry - cy.unsqueeze(1) * view.rx
    slim = inflated * (1.0 - 1e-6)
    half = slim * slim - across * across
    entry = along - torch.sqrt(half.clamp(min=0.0))
    blocked = ((half > 0.0) & (along > 1e-9) & (entry < reach.unsqueeze(1))).any(dim=1)
    limit = 1.0 - view.body - view.offset
    beyond = torch.maximum((view.x + tx).abs(), (view.y + ty).abs()) > limit
    turn = 1.0 - (cx * view.c + cy * view.s)
    cost = reach + torch.hypot(gx - tx, gy - ty) + hysteresis * turn
    cost = cost + 10.0 * (blocked | beyond).to(cost.dtype)
    m = view.rx.size(0)
    cost[1 + m :] += 1e-9
    best = cost.argmin(dim=0, keepdim=True)
    return cx.gather(0, best).squeeze(0), cy.gather(0, best).squeeze(0)


def limit_speed(
    view: View, v: Tensor, omega: Tensor, gamma: float = GAMMA, pad: float = PAD, stop: float = STOP
) -> tuple[Tensor, Tensor]:
    """(v, omega) reduced until every barrier row of the virtual control point q holds with decay GAMMA.

    Row k, n the unit normal toward the thing: n . (v t + d omega n_perp) <= GAMMA (h - PAD) / dt + n . v_thing,
    less the arc error 1/2 dt |omega|.
    """
    turn_rate = 1.0 / view.turn_radius
    px, py = view.offset * view.c, view.offset * view.s
    box = 1.0 - view.body - view.offset
    qx, qy = view.x + px, view.y + py
    rx = torch.cat([view.rx, view.dx.unsqueeze(0)]) - px
    ry = torch.cat([view.ry, view.dy.unsqueeze(0)]) - py
    chi = torch.cat([view.radius, view.opponent_body.unsqueeze(0)]) + (view.body + view.offset)
    gap = torch.hypot(rx, ry).clamp(min=1e-9)
    nx, ny = rx / gap, ry / gap
    h = (gap * gap - chi * chi) / (2.0 * gap)
    toward = torch.cat([torch.stack([view.c, -view.c, view.s, -view.s]), nx * view.c + ny * view.s])
    sideways = torch.cat([torch.stack([-view.s, view.s, view.c, -view.c]), ny * view.c - nx * view.s])
    h = torch.cat([torch.stack([box - qx, box + qx, box - qy, box + qy]), h])
    room = (gamma * (h - pad)).clamp(min=0.0) / view.dt
    # The opponent moves: the filter takes half of the decay where it comes, and credits half of the gap where it
    # flees; so does this, with the smaller decay.
    full = room[-1]
    flight = view.opponent_v * (nx[-1] * view.ox + ny[-1] * view.oy)
    credit = torch.minimum(full + flight, torch.where(flight >= 0.0, stop * (gap[-1] - chi[-1]) / view.dt, 1e3))
    room[-1] = torch.maximum(credit, 0.5 * full)
    lateral = view.offset * turn_rate * sideways
    swing = omega * lateral + 0.5 * view.turn_step * omega.abs()
    share = torch.where(swing > room, (room.clamp(min=0.0) + 1e-12) / (swing.clamp(min=0.0) + 1e-12), 1.0)
    omega = omega * share.amin(dim=0).clamp(0.0, 1.0)
    swing = omega * lateral + 0.5 * view.turn_step * omega.abs()
    bound = torch.where(toward > 1e-9, (room - swing) / toward.clamp(min=1e-9), 2.0)
    v = torch.minimum(v, bound.amin(dim=0)).clamp(min=0.0)
    return v, omega


def steer(view: View, x: Tensor, y: Tensor) -> Tensor:
    """Action (N, 2) of a robot that goes to the point (x, y) of the map, shape (N,) each."""
    x, y = inside(view, x, y)
    gx, gy = x - view.x, y - view.y
    ux, uy = detour(view, gx, gy)
    ahead = ux * view.c + uy * view.s
    left = uy * view.c - ux * view.s
    error = torch.atan2(left, ahead)
    omega = (error / view.turn_step).clamp(-1.0, 1.0)
    arc = torch.hypot(gx, gy) / (2.0 * view.turn_radius * left.abs()).clamp(min=1e-9)
    v = torch.minimum((4.0 * ahead).clamp(0.0, 1.0), arc.clamp(max=1.0))
    v, omega = limit_speed(view, v, omega)
    return torch.nan_to_num(torch.stack([v, omega], dim=1)).clamp(-1.0, 1.0)

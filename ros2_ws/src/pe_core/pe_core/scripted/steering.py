"""Steering shared by the scripted policies: around obstacles, along walls, within what the safety filter allows.

A policy names a point to go to; :func:`steer` turns it into an action (v / v_max, omega / omega_max):

1. the point is clipped into the arena and out of obstacles, less a clearance in which a robot can turn on the spot;
2. where an obstacle blocks the straight line, the way leads along a tangent of it, or of the one that blocks that
   tangent, by the shortest way round, ties to the left;
3. heading: proportional control that closes the error in one step, saturated at omega_max;
4. speed: the arc must not miss a near point, and the robot turns on the spot while the point is behind;
5. the speed keeps the discrete barrier condition of the virtual control point with a smaller decay than the filter's
   (GAMMA < 0.2) and a pad, so that the filter finds nothing to correct.
"""

import math

import torch
from torch import Tensor

from pe_core.scripted.view import View

GAMMA = 0.15  # the filter's is 0.2
PAD = 0.001  # kept from h = 0 (1 cm in the reference arena)
CLEARANCE = 0.003  # beyond 2 d, within which a robot that turns on the spot would bring q too near
STOP = 0.45  # of the gap in a step; the filter's is 0.5
STOP_ALONE = 0.9  # of the gap to an opponent that leaves; the filter's is 1
LEAVING = 0.6  # cosine of its heading to the line of sight
LAGGING = 0.25  # share of the heading error that a base with wheels closes in a step
HYSTERESIS = 0.02  # path length that a change of heading must save


def lane(view: View, clearance: float = CLEARANCE) -> Tensor:
    """Largest |x| and |y| at which a robot may go along a wall and still turn either way, shape (N,)."""
    return 1.0 - view.body - 2.0 * view.offset - clearance


def ring(view: View, clearance: float = CLEARANCE) -> Tensor:
    """Radius of the circle about each obstacle on which a robot may go round it, shape (M, N)."""
    return view.radius + (view.body + 2.0 * view.offset + clearance)


def clear(view: View, gx: Tensor, gy: Tensor) -> tuple[Tensor, Tensor]:
    """The point (gx, gy), relative to the robot, moved out of the inflated obstacle that it lies in, if any."""
    inflated = ring(view)
    cx, cy = gx - view.rx, gy - view.ry
    gap = torch.hypot(cx, cy).clamp(min=1e-9)
    depth, deepest = (inflated - gap).max(dim=0, keepdim=True)
    out = (depth.clamp(min=0.0) / gap.gather(0, deepest)).squeeze(0)
    return gx + out * cx.gather(0, deepest).squeeze(0), gy + out * cy.gather(0, deepest).squeeze(0)


def detour(view: View, gx: Tensor, gy: Tensor, hysteresis: float = HYSTERESIS) -> tuple[Tensor, Tensor]:
    """Direction (unit vector) from the robot to a point at (gx, gy) from it, around obstacles.

    Candidates are the straight line and both tangents of every obstacle that blocks it, or that blocks a tangent
    of one that does.  The cost of a tangent is the length of the shortest way around its circle; a candidate that
    another obstacle blocks, or that touches its circle beyond a wall, comes last.
    """
    m = view.rx.size(0)
    distance = torch.hypot(gx, gy).clamp(min=1e-9)
    away = torch.hypot(view.rx, view.ry).clamp(min=1e-9)
    inflated = ring(view)
    sine = (inflated / away).clamp(max=1.0)
    cosine = torch.sqrt(1.0 - sine * sine)
    # Too near: the tangent is bent outward, which leads back to the inflated circle.
    cosine = cosine - ((inflated / away - 1.0) * 4.0).clamp(0.0, 1.0)
    norm = torch.rsqrt(sine * sine + cosine * cosine) / away
    sine, cosine = sine * norm, cosine * norm
    ax, ay = view.rx * cosine, view.ry * cosine
    bx, by = view.rx * sine, view.ry * sine
    cx = torch.cat([(gx / distance).unsqueeze(0), ax - by, ax + by])
    cy = torch.cat([(gy / distance).unsqueeze(0), ay + bx, ay - bx])
    length = (away * away * cosine).clamp(min=0.0)
    reach = torch.cat([distance.unsqueeze(0), length, length])

    along = cx.unsqueeze(1) * view.rx + cy.unsqueeze(1) * view.ry
    across = cx.unsqueeze(1) * view.ry - cy.unsqueeze(1) * view.rx
    slim = inflated * (1.0 - 1e-6)
    half = slim * slim - across * across
    entry = along - torch.sqrt(half.clamp(min=0.0))
    blocks = (half > 0.0) & (along > 1e-9) & (entry < reach.unsqueeze(1))  # (candidate, obstacle, N)
    first = blocks[0]
    second = ((blocks[1 : 1 + m] | blocks[1 + m :]) & first.unsqueeze(1)).any(dim=0)
    useful = first | second

    # The way around circle i: to the tangent point t, along the circle, off at the tangent to the goal.
    tx, ty = cx[1:] * reach[1:], cy[1:] * reach[1:]
    ox, oy = torch.cat([view.rx, view.rx]), torch.cat([view.ry, view.ry])
    ux, uy = tx - ox, ty - oy
    wx, wy = gx - ox, gy - oy
    sign = torch.ones_like(cx[1:])
    sign[:m] = -1.0  # the left tangent goes round clockwise
    angle = torch.atan2(sign * (ux * wy - uy * wx), ux * wx + uy * wy)
    beyond_goal = torch.hypot(wx, wy).clamp(min=1e-9)
    circle = torch.cat([inflated, inflated])
    free = torch.acos((circle / beyond_goal).clamp(max=1.0))
    angle = torch.where(angle < -1e-6, angle + 2.0 * math.pi, angle)
    straight = torch.sqrt((beyond_goal * beyond_goal - circle * circle).clamp(min=0.0))
    around = reach[1:] + circle * (angle - free).clamp(min=0.0) + straight
    walled = torch.maximum((view.x + tx).abs(), (view.y + ty).abs()) > lane(view)
    penalty = walled.to(cx.dtype) * 10.0 + (~torch.cat([useful, useful])).to(cx.dtype) * 1e3
    penalty[m:] += 1e-9  # ties to the left
    cost = torch.cat([distance.unsqueeze(0), around + penalty])
    cost = cost + blocks.any(dim=1).to(cx.dtype) * 10.0 - hysteresis * (cx * view.c + cy * view.s)
    best = cost.argmin(dim=0, keepdim=True)
    return cx.gather(0, best).squeeze(0), cy.gather(0, best).squeeze(0)


def limit_speed(
    view: View,
    v: Tensor,
    omega: Tensor,
    gamma: float = GAMMA,
    pad: float = PAD,
    stop: float = STOP,
    stop_alone: float = STOP_ALONE,
    leaving: float = LEAVING,
) -> tuple[Tensor, Tensor]:
    """(v, omega) reduced until every barrier row of the virtual control point q holds with decay GAMMA.

    Row k, n the unit normal toward the thing: n . (v t + d omega n_perp) <= GAMMA (h - PAD) / dt + n . v_thing,
    less the arc error.  t is the heading, d the offset of q; directions of n are cosines in the body frame.
    """
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
    rate = gamma / view.dt
    room = rate * h.clamp(min=0.0)
    # The opponent moves: the filter takes half of the decay where it comes, and credits half of the gap where it
    # flees; so does this, with the smaller decay.
    full = room[-1]
    flight = view.opponent_v * (nx[-1] * view.ox + ny[-1] * view.oy)
    leaves = nx[-1] * view.ox + ny[-1] * view.oy > leaving
    reach = torch.where(leaves, stop_alone, stop)
    credit = torch.minimum(
        full + flight, torch.where(flight >= 0.0, reach * (gap[-1] - chi[-1]) / view.dt, 1e3)
    )
    room[-1] = torch.maximum(credit, 0.5 * full)
    # What turning costs a row: d omega n_perp and the arc error (as bounded in the filter; turning away from what
    # lies ahead is nearly free).
    side = torch.where(omega >= 0.0, sideways, -sideways)
    half = 0.5 * view.turn_step
    ratio = view.offset / view.dt
    arc = side.clamp(min=0.0) + half * (
        (0.7 + 2.0 * ratio) * (-toward).clamp(min=0.0) + 1.4 * ratio * half * (-side).clamp(min=0.0)
    )
    swing = omega.abs() * (view.offset / view.turn_radius * side + half * arc)
    share = torch.where(swing > room, room / swing.clamp(min=1e-12), 1.0).amin(dim=0).clamp(0.0, 1.0)
    omega, swing = omega * share, swing * share
    # Driving, unlike turning, keeps the pad and room to turn on the spot: the row of the point d ahead in the worst
    # direction, which is d (1 - toward) nearer than q.
    stay = view.offset * (1.0 - toward)
    stay[-1] = 0.0
    room = torch.minimum((room - rate * (stay + pad)).clamp(min=0.0), room - swing)
    bound = torch.where(toward > 1e-9, room / toward.clamp(min=1e-9), 2.0)
    v = torch.minimum(v, bound.amin(dim=0)).clamp(min=0.0)
    return v, omega


def steer(view: View, x: Tensor, y: Tensor, lagging: float = LAGGING) -> Tensor:
    """Action (N, 2) of a robot that goes to the point (x, y) of the map, shape (N,) each."""
    limit = lane(view)
    gx, gy = clear(view, torch.clamp(x, -limit, limit) - view.x, torch.clamp(y, -limit, limit) - view.y)
    ux, uy = detour(view, gx, gy)
    ahead = ux * view.c + uy * view.s
    left = uy * view.c - ux * view.s
    # A base that could turn at omega_max and v_max within its own body is bounded by the speed of its wheels: the
    # faster it turns, the slower it goes; and it lags, so that closing the error in one step would overshoot.
    wheels = view.turn_radius < view.body
    gain = torch.where(wheels, lagging, 1.0) / view.turn_step
    omega = (gain * torch.atan2(left, ahead)).clamp(-1.0, 1.0)
    distance = torch.hypot(gx, gy)
    v = torch.minimum(
        (4.0 * ahead).clamp(0.0, 1.0), distance / (2.0 * view.turn_radius * left.abs()).clamp(min=1e-9)
    )
    v = torch.minimum(v, 0.5 * distance / view.dt)
    v = torch.where(wheels, torch.minimum(v, 1.0 - omega.abs()), v)
    v, omega = limit_speed(view, v, omega)
    return torch.nan_to_num(torch.stack([v, omega], dim=1)).clamp(-1.0, 1.0)


def boundary_point(u: Tensor, limit: Tensor) -> tuple[Tensor, Tensor]:
    """The point at arc length u (counterclockwise from (-limit, 0) by the south) of the square |x|, |y| <= limit."""
    x = torch.clamp(2.0 * limit - (torch.remainder(u, 8.0 * limit) - 4.0 * limit).abs(), -limit, limit)
    v = u - 2.0 * limit
    y = torch.clamp(2.0 * limit - (torch.remainder(v, 8.0 * limit) - 4.0 * limit).abs(), -limit, limit)
    return x, y


def boundary_length(x: Tensor, y: Tensor, limit: Tensor) -> Tensor:
    """The arc length u of :func:`boundary_point` at a point (x, y) of the square's boundary."""
    side = torch.where(x > 0.0, 4.0 * limit + y, 8.0 * limit - y)
    end = torch.where(y > 0.0, 6.0 * limit - x, 2.0 * limit + x)
    return torch.where(x.abs() >= y.abs(), side, end)

"""Steering of the scripted policies, compiled; twin of ``pe_core.scripted.steering``, where it is explained.

Lengths are over half_side, times over half_side / v_max, see :mod:`training.opponents.view`.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pe_core.scripted import steering as scripted
from training.opponents.view import OBSTACLE_ROWS, View

GAMMA, PAD, CLEARANCE = scripted.GAMMA, scripted.PAD, scripted.CLEARANCE
STOP, STOP_ALONE, LEAVING = scripted.STOP, scripted.STOP_ALONE, scripted.LEAVING
LAGGING, HYSTERESIS = scripted.LAGGING, scripted.HYSTERESIS
CANDIDATES = 1 + 2 * OBSTACLE_ROWS
_X, _Y, _REACH, _BLOCKED = range(4)


@njit(cache=True, nogil=True)
def clip(value: float, low: float, high: float) -> float:
    """``value`` within [low, high]."""
    return min(max(value, low), high)


@njit(cache=True, nogil=True)
def lane(view: View) -> float:
    """Largest |x| and |y| at which a robot may go along a wall and still turn either way."""
    return 1.0 - view.body - 2.0 * view.offset - CLEARANCE


@njit(cache=True, nogil=True)
def ring(view: View, i: int) -> float:
    """Radius of the circle about obstacle ``i`` on which a robot may go round it."""
    return view.radius[i] + (view.body + 2.0 * view.offset + CLEARANCE)


@njit(cache=True, nogil=True)
def clear(view: View, gx: float, gy: float) -> tuple[float, float]:
    """The point (gx, gy), relative to the robot, moved out of the inflated obstacle that it lies in, if any."""
    depth, deepest, gap = 0.0, -1, 1.0
    for i in range(view.known):
        here = max(math.hypot(gx - view.rx[i], gy - view.ry[i]), 1e-9)
        if ring(view, i) - here > depth:
            depth, deepest, gap = ring(view, i) - here, i, here
    if deepest < 0:
        return gx, gy
    out = depth / gap
    return gx + out * (gx - view.rx[deepest]), gy + out * (gy - view.ry[deepest])


@njit(cache=True, nogil=True)
def _blocks(view: View, i: int, cx: float, cy: float, reach: float) -> bool:
    """Whether obstacle ``i`` lies across the way of length ``reach`` along (cx, cy)."""
    along = cx * view.rx[i] + cy * view.ry[i]
    across = cx * view.ry[i] - cy * view.rx[i]
    slim = ring(view, i) * (1.0 - 1e-6)
    half = slim * slim - across * across
    return half > 0.0 and along > 1e-9 and along - math.sqrt(half) < reach


@njit(cache=True, nogil=True)
def detour(view: View, gx: float, gy: float, work: NDArray[np.float64]) -> tuple[float, float]:
    """Direction (unit vector) from the robot to a point at (gx, gy) from it, around obstacles.

    Where nothing blocks the straight line, it is the straight line.  ``work``: scratch (4, 13).
    """
    m = view.known
    distance = max(math.hypot(gx, gy), 1e-9)
    straight_x, straight_y = gx / distance, gy / distance
    first = 0
    for i in range(m):
        if _blocks(view, i, straight_x, straight_y, distance):
            first |= 1 << i
    if first == 0:
        return straight_x, straight_y
    for i in range(m):
        inflated = ring(view, i)
        away = max(math.hypot(view.rx[i], view.ry[i]), 1e-9)
        sine = min(inflated / away, 1.0)
        cosine = math.sqrt(1.0 - sine * sine) - clip((inflated / away - 1.0) * 4.0, 0.0, 1.0)
        norm = 1.0 / math.sqrt(sine * sine + cosine * cosine) / away
        sine, cosine = sine * norm, cosine * norm
        ax, ay = view.rx[i] * cosine, view.ry[i] * cosine
        bx, by = view.rx[i] * sine, view.ry[i] * sine
        work[_X, i], work[_Y, i] = ax - by, ay + bx
        work[_X, m + i], work[_Y, m + i] = ax + by, ay - bx
        length = max(away * away * cosine, 0.0)
        work[_REACH, i] = work[_REACH, m + i] = length
    useful = first
    for k in range(2 * m):
        work[_BLOCKED, k] = 0.0
        for i in range(m):
            if _blocks(view, i, work[_X, k], work[_Y, k], work[_REACH, k]):
                work[_BLOCKED, k] = 10.0
                if (first >> (k % m)) & 1:
                    useful |= 1 << i
    best_x, best_y = straight_x, straight_y
    least = distance + 10.0 - HYSTERESIS * (straight_x * view.c + straight_y * view.s)
    limit = lane(view)
    for k in range(2 * m):
        i = k % m
        if not (useful >> i) & 1:
            continue
        inflated = ring(view, i)
        tx, ty = work[_X, k] * work[_REACH, k], work[_Y, k] * work[_REACH, k]
        ux, uy = tx - view.rx[i], ty - view.ry[i]
        wx, wy = gx - view.rx[i], gy - view.ry[i]
        sign = -1.0 if k < m else 1.0
        angle = math.atan2(sign * (ux * wy - uy * wx), ux * wx + uy * wy)
        beyond = max(math.hypot(wx, wy), 1e-9)
        free = math.acos(min(inflated / beyond, 1.0))
        if angle < -1e-6:
            angle += 2.0 * math.pi
        onward = math.sqrt(max(beyond * beyond - inflated * inflated, 0.0))
        cost = work[_REACH, k] + inflated * max(angle - free, 0.0) + onward
        if max(abs(view.x + tx), abs(view.y + ty)) > limit:
            cost += 10.0
        if k >= m:
            cost += 1e-9
        cost += work[_BLOCKED, k] - HYSTERESIS * (work[_X, k] * view.c + work[_Y, k] * view.s)
        if cost < least:
            least, best_x, best_y = cost, work[_X, k], work[_Y, k]
    return best_x, best_y


@njit(cache=True, nogil=True)
def limit_speed(view: View, v: float, omega: float, work: NDArray[np.float64]) -> tuple[float, float]:
    """(v, omega) reduced until every barrier row of the virtual control point holds with decay GAMMA.

    ``work``: scratch (4, 13); its rows are room, toward, sideways, swing of each row.
    """
    room, toward, side_of, swing = work[0], work[1], work[2], work[3]
    px, py = view.offset * view.c, view.offset * view.s
    box = 1.0 - view.body - view.offset
    qx, qy = view.x + px, view.y + py
    rate = GAMMA / view.dt
    toward[0], toward[1], toward[2], toward[3] = view.c, -view.c, view.s, -view.s
    side_of[0], side_of[1], side_of[2], side_of[3] = -view.s, view.s, view.c, -view.c
    room[0], room[1] = rate * max(box - qx, 0.0), rate * max(box + qx, 0.0)
    room[2], room[3] = rate * max(box - qy, 0.0), rate * max(box + qy, 0.0)
    last = 4 + view.known
    for k in range(4, last + 1):
        i = k - 4
        if k == last:
            rx, ry, radius = view.dx - px, view.dy - py, view.opponent_body
        else:
            rx, ry, radius = view.rx[i] - px, view.ry[i] - py, view.radius[i]
        chi = radius + (view.body + view.offset)
        gap = max(math.hypot(rx, ry), 1e-9)
        nx, ny = rx / gap, ry / gap
        toward[k] = nx * view.c + ny * view.s
        side_of[k] = ny * view.c - nx * view.s
        room[k] = rate * max((gap * gap - chi * chi) / (2.0 * gap), 0.0)
        if k == last:
            full = room[k]
            cosine = nx * view.ox + ny * view.oy
            flight = view.opponent_v * cosine
            most = 1e3
            if flight >= 0.0:
                most = (STOP_ALONE if cosine > LEAVING else STOP) * (gap - chi) / view.dt
            room[k] = max(min(full + flight, most), 0.5 * full)
    half = 0.5 * view.turn_step
    ratio = view.offset / view.dt
    lever = view.offset / view.turn_radius
    share = 1.0
    for k in range(last + 1):
        side = side_of[k] if omega >= 0.0 else -side_of[k]
        arc = max(side, 0.0) + half * (
            (0.7 + 2.0 * ratio) * max(-toward[k], 0.0) + 1.4 * ratio * half * max(-side, 0.0)
        )
        swing[k] = abs(omega) * (lever * side + half * arc)
        if swing[k] > room[k]:
            share = min(share, room[k] / max(swing[k], 1e-12))
    share = max(share, 0.0)
    omega *= share
    bound = 2.0
    for k in range(last + 1):
        if toward[k] > 1e-9:
            stay = 0.0 if k == last else view.offset * (1.0 - toward[k])
            left = min(max(room[k] - rate * (stay + PAD), 0.0), room[k] - swing[k] * share)
            bound = min(bound, left / toward[k])
    return max(min(v, bound), 0.0), omega


@njit(cache=True, nogil=True)
def steer(view: View, x: float, y: float, work: NDArray[np.float64], action: NDArray[np.float64]) -> None:
    """Write the action (2,) of a robot that goes to the point (x, y) of the map; ``work``: scratch (4, 13)."""
    limit = lane(view)
    gx, gy = clear(view, clip(x, -limit, limit) - view.x, clip(y, -limit, limit) - view.y)
    ux, uy = detour(view, gx, gy, work)
    ahead = ux * view.c + uy * view.s
    left = uy * view.c - ux * view.s
    wheels = view.turn_radius < view.body
    gain = (LAGGING if wheels else 1.0) / view.turn_step
    omega = clip(gain * math.atan2(left, ahead), -1.0, 1.0)
    distance = math.hypot(gx, gy)
    v = min(clip(4.0 * ahead, 0.0, 1.0), distance / max(2.0 * view.turn_radius * abs(left), 1e-9))
    v = min(v, 0.5 * distance / view.dt)
    if wheels:
        v = min(v, 1.0 - abs(omega))
    v, omega = limit_speed(view, v, omega, work)
    action[0] = clip(v, -1.0, 1.0) if math.isfinite(v) else 0.0
    action[1] = clip(omega, -1.0, 1.0) if math.isfinite(omega) else 0.0


@njit(cache=True, nogil=True)
def boundary_point(u: float, limit: float) -> tuple[float, float]:
    """The point at arc length u (counterclockwise from (-limit, 0) by the south) of the square |x|, |y| <= limit."""
    around = 8.0 * limit
    a = u - around * math.floor(u / around)
    w = u - 2.0 * limit
    b = w - around * math.floor(w / around)
    return (
        clip(2.0 * limit - abs(a - 4.0 * limit), -limit, limit),
        clip(2.0 * limit - abs(b - 4.0 * limit), -limit, limit),
    )


@njit(cache=True, nogil=True)
def boundary_length(x: float, y: float, limit: float) -> float:
    """The arc length u of :func:`boundary_point` at a point (x, y) of the square's boundary."""
    if abs(x) >= abs(y):
        return 4.0 * limit + y if x > 0.0 else 8.0 * limit - y
    return 6.0 * limit - x if y > 0.0 else 2.0 * limit + x

"""The scripted pursuers, compiled; twins of ``pe_core.scripted.pursuers``, where they are explained."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pe_core.scripted import pursuers as scripted
from training.opponents.steering import boundary_length, boundary_point, clip, detour, lane, ring, steer
from training.opponents.view import View

LEAD, HORIZON, INTERCEPTS = scripted.LEAD, scripted.HORIZON, scripted.INTERCEPTS
SLACK, ALONG_WALL = scripted.SLACK, scripted.ALONG_WALL


@njit(cache=True, nogil=True)
def pure_pursuit(view: View, work: NDArray[np.float64], action: NDArray[np.float64]) -> None:
    """Goes to where the evader is."""
    steer(view, view.x + view.dx, view.y + view.dy, work, action)


@njit(cache=True, nogil=True)
def predicted(view: View, time: float) -> tuple[float, float]:
    """Where the evader is after ``time`` if it keeps its speed, straight on and then along the walls it meets."""
    limit = lane(view)
    ex, ey = clip(view.x + view.dx, -limit, limit), clip(view.y + view.dy, -limit, limit)
    sign_x, sign_y = np.sign(view.ox), np.sign(view.oy)
    to_x = (limit - ex * sign_x) / max(abs(view.ox), 1e-6)
    to_y = (limit - ey * sign_y) / max(abs(view.oy), 1e-6)
    wall = max(min(to_x, to_y), 0.0)
    way = time * view.opponent_v
    if way < wall:
        return ex + view.ox * way, ey + view.oy * way
    start = boundary_length(ex + view.ox * wall, ey + view.oy * wall, limit)
    turn = sign_x * view.oy if to_x <= to_y else -sign_y * view.ox
    return boundary_point(start + (1.0 if turn >= 0.0 else -1.0) * max(way - wall, 0.0), limit)


@njit(cache=True, nogil=True)
def frontier_midpoint(view: View, dx: float, dy: float) -> tuple[float, float]:
    """Midpoint, relative to the robot, of the chord that both it and an evader at (dx, dy) reach at one time."""
    distance = max(math.hypot(dx, dy), 1e-9)
    wx, wy = -dy / distance, dx / distance
    mx, my = 0.5 * dx, 0.5 * dy
    limit = lane(view)
    sx = (1.0 if wx >= 0.0 else -1.0) * max(abs(wx), 1e-9)
    sy = (1.0 if wy >= 0.0 else -1.0) * max(abs(wy), 1e-9)
    ax, bx = (-limit - mx - view.x) / sx, (limit - mx - view.x) / sx
    ay, by = (-limit - my - view.y) / sy, (limit - my - view.y) / sy
    low = min(max(min(ax, bx), min(ay, by)), 0.0)
    high = max(min(max(ax, bx), max(ay, by)), 0.0)
    s = 0.5 * (low + high)
    return mx + s * wx, my + s * wy


@njit(cache=True, nogil=True)
def lead_pursuit(view: View, work: NDArray[np.float64], action: NDArray[np.float64]) -> None:
    """Goes to where it cuts the evader off: the earliest intercept along a wall, else the frontier's midpoint."""
    distance = math.hypot(view.dx, view.dy)
    lx, ly = predicted(view, LEAD * distance)
    gx, gy = frontier_midpoint(view, lx - view.x, ly - view.y)
    at_wall = max(abs(view.x + view.dx), abs(view.y + view.dy)) > lane(view) - ALONG_WALL
    if at_wall and view.opponent_v > 0.3 * view.ratio:
        for k in range(1, INTERCEPTS + 1):
            time = k * (HORIZON / INTERCEPTS)
            px, py = predicted(view, time)
            px, py = px - view.x, py - view.y
            if math.hypot(px, py) <= time + SLACK * view.capture:
                gx, gy = px, py
                break
    wx, wy = detour(view, view.dx, view.dy, work)
    ahead = view.dx * wx + view.dy * wy
    covered = ahead < (1.0 - 1e-9) * distance and gx * wx + gy * wy <= 0.0
    for i in range(view.known):
        covered = covered or math.hypot(gx - view.rx[i], gy - view.ry[i]) < ring(view, i)
    if covered:
        gx, gy = view.dx, view.dy
    steer(view, view.x + gx, view.y + gy, work, action)

"""The scripted evaders, compiled; twins of ``pe_core.scripted.evaders``, where they are explained.

Each writes the action (2,) of one observation.  ``work`` is scratch (4, 13), ``table`` scratch (10, 16).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pe_core.scripted import evaders as scripted
from training.opponents.steering import boundary_length, boundary_point, lane, ring, steer
from training.opponents.view import View

REACH, ENOUGH = scripted.REACH, scripted.ENOUGH
HEADINGS, STEPS, HORIZON = scripted.HEADINGS, scripted.STEPS, scripted.HORIZON
_ANGLE = np.arange(HEADINGS) * (2.0 * math.pi / HEADINGS)
FAN = np.stack([np.cos(_ANGLE), np.sin(_ANGLE)])
AHEAD, BONUS, SENSE_TIMES = 0.15, 0.1, 8
TABLE_ROWS = 10
_HX, _HY, _FREE, _WALL_X, _WALL_Y, _PX, _PY, _WORST, _TOTAL, _GAP = range(TABLE_ROWS)


@njit(cache=True, nogil=True)
def random_walk(
    view: View, noise: NDArray[np.float64], work: NDArray[np.float64], action: NDArray[np.float64]
) -> None:
    """In a random direction at a random speed; noise (2,): direction, speed."""
    angle = 2.0 * math.pi * noise[0]
    steer(view, view.x + REACH * math.cos(angle), view.y + REACH * math.sin(angle), work, action)
    action[0] *= 0.5 + 0.5 * noise[1]


@njit(cache=True, nogil=True)
def flee(view: View, work: NDArray[np.float64], action: NDArray[np.float64]) -> None:
    """Straight away from the pursuer; along walls and around obstacles that are in the way."""
    distance = max(math.hypot(view.dx, view.dy), 1e-9)
    steer(view, view.x - REACH * view.dx / distance, view.y - REACH * view.dy / distance, work, action)


@njit(cache=True, nogil=True, error_model="numpy")
def best_heading(view: View, table: NDArray[np.float64]) -> tuple[float, float]:
    """The heading, of 16 evenly around the body, that keeps the pursuer away best over HORIZON.

    With r_k the predicted distance after step k and w_k = min(r_1 .. r_k) the score is
    w_end + mean(w) / 4 + r_end / 50.  The headings are the inner loop, which compiles to vector instructions.
    ``table``: scratch (10, 16).
    """
    limit = lane(view)
    x, y = view.x, view.y
    hx_of, hy_of, free_of, wall_x, wall_y = (
        table[_HX],
        table[_HY],
        table[_FREE],
        table[_WALL_X],
        table[_WALL_Y],
    )
    px, py, worst, total, gap = table[_PX], table[_PY], table[_WORST], table[_TOTAL], table[_GAP]
    for j in range(HEADINGS):
        hx = FAN[0, j] * view.c - FAN[1, j] * view.s
        hy = FAN[1, j] * view.c + FAN[0, j] * view.s
        free = 10.0
        for i in range(view.known):
            along = hx * view.rx[i] + hy * view.ry[i]
            across = hx * view.ry[i] - hy * view.rx[i]
            circle = ring(view, i)
            half = circle * circle - across * across
            if half > 0.0 and along > 0.0:
                free = min(free, along - math.sqrt(half))
        hx_of[j], hy_of[j], free_of[j] = hx, hy, max(free, 0.0)
        # A robot slides in y once it has met the wall in x, and the other way round.
        wall_y[j] = max((limit - math.copysign(1.0, hx) * x) / max(abs(hx), 1e-9), 0.0)
        wall_x[j] = max((limit - math.copysign(1.0, hy) * y) / max(abs(hy), 1e-9), 0.0)
        px[j], py[j] = x + view.dx, y + view.dy
        worst[j], total[j] = 1e3, 0.0
    step = HORIZON / STEPS
    stride = view.ratio * step
    for k in range(STEPS):
        way = (k + 1) * step
        for j in range(HEADINGS):
            hx, hy = hx_of[j], hy_of[j]
            s = min(free_of[j], way)
            slide_x = math.copysign(1.0 - abs(hx), hx)
            slide_y = math.copysign(1.0 - abs(hy), hy)
            ex = x + hx * s + slide_x * max(s - wall_x[j], 0.0)
            ey = y + hy * s + slide_y * max(s - wall_y[j], 0.0)
            gx = min(max(ex, -limit), limit) - px[j]
            gy = min(max(ey, -limit), limit) - py[j]
            distance = math.sqrt(gx * gx + gy * gy)
            share = min(stride / max(distance, 1e-300), 1.0)
            px[j] += gx * share
            py[j] += gy * share
            worst[j] = min(worst[j], distance)
            total[j] += worst[j]
            gap[j] = distance
    best, most = 0, -1.0
    for j in range(HEADINGS):
        score = worst[j] + total[j] * (0.25 / STEPS) + 0.02 * gap[j]
        if score > most:
            best, most = j, score
    return hx_of[best], hy_of[best]


@njit(cache=True, nogil=True)
def look_ahead(
    view: View, work: NDArray[np.float64], table: NDArray[np.float64], action: NDArray[np.float64]
) -> None:
    """Rolls 16 headings forward against the pursuit that it expects and takes the best: :func:`best_heading`."""
    hx, hy = best_heading(view, table)
    steer(view, view.x + REACH * hx, view.y + REACH * hy, work, action)


@njit(cache=True, nogil=True)
def boundary_runner(view: View, work: NDArray[np.float64], action: NDArray[np.float64]) -> None:
    """Runs around the arena along its walls, in the sense that the pursuer can block least."""
    limit = lane(view)
    scale = limit / max(abs(view.x), abs(view.y), 1e-6)
    u = boundary_length(view.x * scale, view.y * scale, limit)
    px, py = view.x + view.dx, view.y + view.dy
    left, right = math.inf, math.inf
    for k in range(1, SENSE_TIMES + 1):
        time = k * 0.2
        threat = view.ratio * time
        lx, ly = boundary_point(u + time, limit)
        rx, ry = boundary_point(u - time, limit)
        left = min(left, math.hypot(lx - px, ly - py) - threat)
        right = min(right, math.hypot(rx - px, ry - py) - threat)
    x, y = boundary_point(u + AHEAD, limit)
    bx, by = boundary_point(u - AHEAD, limit)
    going = (view.c * (x - bx) + view.s * (y - by)) / AHEAD
    if left - right + BONUS * going >= 0.0:
        steer(view, x, y, work, action)
    else:
        steer(view, bx, by, work, action)


@njit(cache=True, nogil=True)
def hider(
    view: View, work: NDArray[np.float64], table: NDArray[np.float64], action: NDArray[np.float64]
) -> None:
    """Keeps an obstacle between itself and the pursuer; without a lead to any place it flees by looking ahead."""
    best, lead_there, goal_x, goal_y = -math.inf, -1.0, 0.0, 0.0
    for i in range(view.known):
        ax, ay = view.rx[i] - view.dx, view.ry[i] - view.dy
        gap = max(math.hypot(ax, ay), 1e-9)
        circle = ring(view, i) + 1e-3
        hx, hy = view.rx[i] + ax / gap * circle, view.ry[i] + ay / gap * circle
        way = math.hypot(hx, hy)
        lead = (gap + circle) / max(view.ratio, 1e-3) - way
        worth = min(lead, ENOUGH) - 0.1 * way
        if worth > best:
            best, lead_there, goal_x, goal_y = worth, lead, hx, hy
    if lead_there <= 0.0:
        hx, hy = best_heading(view, table)
        goal_x, goal_y = REACH * hx, REACH * hy
    steer(view, view.x + goal_x, view.y + goal_y, work, action)

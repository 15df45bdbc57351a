r"""Drift of a robot that cannot reverse: whether it could still turn round in time.

Rows on the command cannot hold a robot that drifts while at rest (velocity D, map frame) and faces what it drifts to:
nothing is left to choose.  It must have turned before.  So a command is sent only if after it, for every barrier k
with unit normal n_k (away from it) and drift D_k = -n_k^T D > 0 towards it, the distance h_k of the control point
beyond the barrier's margin is

    h_k >= D_k (t_k + reserve),    t_k = turn_k / turn rate

turn_k being the turn, the shorter way towards -D, after which driving outdoes the drift: heading e with
e^T n_k >= c_k = 2 D_k / v_max.  -D itself is such a heading for all k as long as |D| <= v_max / 2.  Otherwise the robot
turns on the spot as far as that, then drives, turning on against the drift.

Against the drift may be towards something else, as in a corner, whose row then leaves less speed than the drift has.
So the heading that it turns to is the one nearest to -D, among those that outdo the drift, that leads towards nothing
which is near.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pe_core.robot import RADIUS, V_MAX, VCP_OFFSET
from pe_core.unicycle import wrap_angle
from pe_safety.barriers import facing

# How much faster than the drift the robot must be able to drive away.
_OUTDO = 2.0
# Headings that are tried to either side of the one against the drift.
_HEADINGS = 16


@njit(cache=True)
def turning_round(
    pose: NDArray[np.float64],
    drift_x: float,
    drift_y: float,
    turn_rate: float,
    side: float,
    least: float,
    opponent: NDArray[np.float64],
    half_side: float,
    obstacles: NDArray[np.float64],
    margins: NDArray[np.float64],
    model: NDArray[np.float64],
    opponent_radius: float,
    reserve: float,
) -> tuple[bool, float]:
    """Whether h_k >= D_k (t_k + reserve) for every barrier at ``pose`` (x, y, theta), and the largest turn_k [rad]
    of those barriers that the robot would reach within half a turn.

    Args:
        drift_x, drift_y: D, map frame [m/s].
        turn_rate: that the robot really reaches on the spot [rad/s].
        side: +1 or -1, the way in which it would turn.
        least: drift towards a barrier that counts [m/s].
        margins: of each barrier [m], in their order; as many as there are barriers.
        model: ``RobotModel.as_array()``.
        reserve: time that a decision and the filter's own rounding take [s].
    """
    c, s = math.cos(pose[2]), math.sin(pose[2])
    offset = model[VCP_OFFSET]
    qx, qy = pose[0] + offset * c, pose[1] + offset * s
    in_time, largest = True, 0.0
    for k in range(margins.shape[0]):
        nx, ny, gap = _gap(qx, qy, k, opponent, half_side, obstacles, margins, model, opponent_radius)
        drift = -(nx * drift_x + ny * drift_y)
        if drift <= least:
            continue
        reach = math.acos(min(_OUTDO * drift / model[V_MAX], 1.0))
        away = wrap_angle(math.atan2(ny, nx) - pose[2])
        turn = 0.0
        if abs(away) > reach:
            turn = max((side * away) % (2.0 * math.pi) - reach, 0.0)
        in_time = in_time and gap >= drift * (turn / turn_rate + reserve)
        if gap < drift * (math.pi / turn_rate + reserve):
            largest = max(largest, turn)
    return in_time, largest


@njit(cache=True)
def clear_turn(
    pose: NDArray[np.float64],
    drift_x: float,
    drift_y: float,
    near: float,
    opponent: NDArray[np.float64],
    half_side: float,
    obstacles: NDArray[np.float64],
    margins: NDArray[np.float64],
    model: NDArray[np.float64],
    opponent_radius: float,
) -> float:
    """The turn [rad] to the heading e nearest to -D with e^T n_k >= 0 for every barrier whose h_k < ``near`` [m],
    within the headings that outdo the drift; to -D where there is none."""
    straight = turn_against(pose[2], drift_x, drift_y)
    offset = model[VCP_OFFSET]
    qx, qy = pose[0] + offset * math.cos(pose[2]), pose[1] + offset * math.sin(pose[2])
    reach = math.acos(min(_OUTDO * math.hypot(drift_x, drift_y) / model[V_MAX], 1.0))
    normals = np.empty((margins.shape[0], 2))
    close = 0
    for k in range(margins.shape[0]):
        nx, ny, gap = _gap(qx, qy, k, opponent, half_side, obstacles, margins, model, opponent_radius)
        if gap < near:
            normals[close, 0], normals[close, 1] = nx, ny
            close += 1
    for j in range(2 * _HEADINGS + 1):
        off = reach * ((j + 1) // 2) / _HEADINGS * (1.0 if j % 2 else -1.0)
        ex, ey = math.cos(pose[2] + straight + off), math.sin(pose[2] + straight + off)
        free = True
        for k in range(close):
            free = free and normals[k, 0] * ex + normals[k, 1] * ey >= 0.0
        if free:
            return wrap_angle(straight + off)
    return straight


@njit(cache=True)
def _gap(
    qx: float,
    qy: float,
    k: int,
    opponent: NDArray[np.float64],
    half_side: float,
    obstacles: NDArray[np.float64],
    margins: NDArray[np.float64],
    model: NDArray[np.float64],
    opponent_radius: float,
) -> tuple[float, float, float]:
    """Normal from barrier ``k`` to the control point (qx, qy), and what is left of the gap beyond its margin [m]."""
    nx, ny, rho, radius = facing(qx, qy, k, half_side, obstacles, obstacles.shape[0], opponent)
    gap = rho - radius - model[RADIUS] - model[VCP_OFFSET] - margins[k]
    return nx, ny, gap - opponent_radius if k >= 4 + obstacles.shape[0] else gap


@njit(cache=True)
def turn_against(theta: float, drift_x: float, drift_y: float) -> float:
    """The turn [rad] from heading ``theta`` to where the drift (map frame) comes from."""
    return wrap_angle(math.atan2(-drift_y, -drift_x) - theta)

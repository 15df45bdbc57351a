r"""What an adversary decides within the bounds, compiled: nominal commands and errors of the estimates.

Nominal commands follow one of these behaviours, which know the true states:

    knots      (v, omega) as given
    ram        v, towards the other robot
    lead       v, towards where the other robot will be when this one is there
    side       v, past the other robot's side, two radii from its centre; the sign of omega says which
    nearest    v, towards the nearest wall or obstacle
    nervous    v, full turns, the other way in every step

Errors of an estimate are given along the direction away from the nearest thing (wall, obstacle or the other robot),
to its left, and of the heading: an estimate that lies where there seems to be room is the one that deceives.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pe_core.plant import advance
from pe_core.robot import RADIUS, V_MAX
from pe_core.unicycle import wrap_angle

BEHAVIOURS = ("knots", "ram", "lead", "side", "nearest", "nervous")
KNOTS, RAM, LEAD, SIDE, NEAREST, NERVOUS = range(len(BEHAVIOURS))
OPPONENT = -1
"""The other robot, where walls are 0 to 3 and obstacle i is 4 + i."""

# Turn rate over the error of heading, of their largest values [1/rad].
_STEER = 3.0


@njit(cache=True, nogil=True)
def nearest_thing(
    own: NDArray[np.float64],
    other: NDArray[np.float64],
    radius: float,
    other_radius: float,
    half_side: float,
    obstacles: NDArray[np.float64],
    count: int,
    with_other: bool,
) -> tuple[float, int, float, float]:
    """Body margin [m] to the nearest thing, which it is, and the unit vector from it to the body."""
    x, y = own[0], own[1]
    best, thing, ux, uy = half_side - radius - x, 0, -1.0, 0.0
    if half_side - radius + x < best:
        best, thing, ux, uy = half_side - radius + x, 1, 1.0, 0.0
    if half_side - radius - y < best:
        best, thing, ux, uy = half_side - radius - y, 2, 0.0, -1.0
    if half_side - radius + y < best:
        best, thing, ux, uy = half_side - radius + y, 3, 0.0, 1.0
    for i in range(count):
        dx, dy = x - obstacles[i, 0], y - obstacles[i, 1]
        rho = math.hypot(dx, dy)
        gap = rho - obstacles[i, 2] - radius
        if gap < best and rho > 0.0:
            best, thing, ux, uy = gap, 4 + i, dx / rho, dy / rho
    if with_other:
        dx, dy = x - other[0], y - other[1]
        rho = math.hypot(dx, dy)
        gap = rho - other_radius - radius
        if gap < best and rho > 0.0:
            best, thing, ux, uy = gap, OPPONENT, dx / rho, dy / rho
    return best, thing, ux, uy


@njit(cache=True, nogil=True)
def nominal_action(
    wish: NDArray[np.float64],
    own: NDArray[np.float64],
    other: NDArray[np.float64],
    model: NDArray[np.float64],
    rival: NDArray[np.float64],
    half_side: float,
    obstacles: NDArray[np.float64],
    count: int,
    step: int,
) -> tuple[float, float]:
    """The action (v / v_max, omega / omega_max) of ``wish``: (behaviour, v / v_max, omega / omega_max)."""
    behaviour, v, omega = int(wish[0]), wish[1], wish[2]
    if behaviour == KNOTS:
        return v, omega
    if behaviour == NERVOUS:
        return v, 1.0 if step % 2 else -1.0
    dx, dy = other[0] - own[0], other[1] - own[1]
    rho = math.hypot(dx, dy)
    if behaviour == LEAD:
        time = rho / model[V_MAX]
        dx += time * other[3] * math.cos(other[2])
        dy += time * other[3] * math.sin(other[2])
    elif behaviour == SIDE and rho > 0.0:
        aside = math.copysign(model[RADIUS] + rival[RADIUS], omega)
        dx, dy = dx - aside * dy / rho, dy + aside * dx / rho
    elif behaviour == NEAREST:
        _, _, ux, uy = nearest_thing(
            own, other, model[RADIUS], rival[RADIUS], half_side, obstacles, count, False
        )
        dx, dy = -ux, -uy
    error = wrap_angle(math.atan2(dy, dx) - own[2])
    return v, min(max(_STEER * error + 0.3 * omega, -1.0), 1.0)


@njit(cache=True, nogil=True)
def observe(
    states: NDArray[np.float64],
    sent: NDArray[np.float64],
    models: NDArray[np.float64],
    half_side: float,
    obstacles: NDArray[np.float64],
    count: int,
    errors: NDArray[np.float64],
    sigma: NDArray[np.float64],
    dt: float,
    first: bool,
    seen: NDArray[np.float64],
    deviations: NDArray[np.float64],
) -> None:
    """Write both robots' estimates, newest first: the true pose plus the chosen error, the model's velocity.

    Args:
        states: (2, 5), true.
        sent: (2, K, 2) executed commands, newest first; models: (2, .).
        half_side, obstacles, count: true.
        errors: (2, 3): away from the nearest thing, to the left of that [m], heading [rad].
        sigma: (2, 2): deviations that are claimed: position [m], heading [rad].
        first: the first estimate, at rest: all older ones are the same.
        seen, deviations: (2, A, 5), (2, A, 2).
    """
    model_state = np.empty(5)
    for r in range(2):
        own, other = states[r], states[1 - r]
        _, _, ux, uy = nearest_thing(
            own, other, models[r, RADIUS], models[1 - r, RADIUS], half_side, obstacles, count, True
        )
        for axis in range(5):
            model_state[axis] = seen[r, 0, axis]
        if not first:
            advance(model_state, sent[r], models[r], dt, 0.0, dt)
        for j in range(seen.shape[1] - 1, 0, -1):
            seen[r, j] = seen[r, j - 1]
            deviations[r, j] = deviations[r, j - 1]
        seen[r, 0, 0] = own[0] + errors[r, 0] * ux - errors[r, 1] * uy
        seen[r, 0, 1] = own[1] + errors[r, 0] * uy + errors[r, 1] * ux
        seen[r, 0, 2] = wrap_angle(own[2] + errors[r, 2])
        seen[r, 0, 3], seen[r, 0, 4] = (0.0, 0.0) if first else (model_state[3], model_state[4])
        deviations[r, 0] = sigma[r]
        if first:
            for j in range(1, seen.shape[1]):
                seen[r, j] = seen[r, 0]
                deviations[r, j] = deviations[r, 0]

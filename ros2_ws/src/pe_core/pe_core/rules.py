"""Rules of the game: capture, timeout, violation, all on true body poses."""

from __future__ import annotations

import enum
import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pe_core.arena import ArenaConfig, static_margin
from pe_core.config import ConfigurationError
from pe_core.robot import RobotModel


class Outcome(enum.IntEnum):
    """How an episode ended."""

    RUNNING = 0
    CAPTURE = 1
    TIMEOUT = 2


@njit(cache=True)
def body_margin(
    own: NDArray[np.float64],
    other: NDArray[np.float64],
    own_radius: float,
    other_radius: float,
    half_side: float,
    obstacles: NDArray[np.float64],
) -> float:
    """Smallest margin [m] of the body at ``own`` (x, y, ...) to walls, obstacles and the other body."""
    gap = math.hypot(own[0] - other[0], own[1] - other[1]) - own_radius - other_radius
    return min(gap, static_margin(own[0], own[1], own_radius, half_side, obstacles))


@njit(cache=True)
def game_margin(
    pursuer: NDArray[np.float64],
    evader: NDArray[np.float64],
    pursuer_radius: float,
    evader_radius: float,
    half_side: float,
    obstacles: NDArray[np.float64],
) -> float:
    """The smaller :func:`body_margin` [m] of the two robots."""
    return min(
        body_margin(pursuer, evader, pursuer_radius, evader_radius, half_side, obstacles),
        body_margin(evader, pursuer, evader_radius, pursuer_radius, half_side, obstacles),
    )


@njit(cache=True)
def is_capture(pursuer: NDArray[np.float64], evader: NDArray[np.float64], capture_radius: float) -> bool:
    """Whether the centres (x, y, ...) are within ``capture_radius`` [m]."""
    return math.hypot(pursuer[0] - evader[0], pursuer[1] - evader[1]) <= capture_radius


def check_game(arena: ArenaConfig, pursuer: RobotModel, evader: RobotModel) -> None:
    """Refuse a game in which capture would be contact, or in which nobody fits.

    Raises:
        ConfigurationError: the capture radius leaves no room between the bodies for one control step of
            both robots at full speed, or the arena is smaller than the robots.
    """
    contact = pursuer.radius + evader.radius
    step = (pursuer.v_max + evader.v_max) * arena.dt
    if arena.capture_radius < contact + step:
        raise ConfigurationError(
            f"capture_radius = {arena.capture_radius:g} m: allowed: at least {contact + step:g} m "
            f"(bodies touch at {contact:g} m and may close {step:g} m in a step)"
        )
    if arena.half_side < 4.0 * max(pursuer.radius, evader.radius):
        raise ConfigurationError(
            f"half_side = {arena.half_side:g} m: allowed: at least four body radii "
            f"({4.0 * max(pursuer.radius, evader.radius):g} m)"
        )

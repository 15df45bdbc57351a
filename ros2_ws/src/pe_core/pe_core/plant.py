"""What a commanded robot does: truncation, limits, dead time, first-order lag, exact arcs.

The command in force changes at the exact end of its dead time.  Between changes the velocity follows
v' = (v_command - v) / lag, whose mean over a substep is known exactly; the robot drives an arc with that mean.
Where the change of v over a substep exceeds its limit, v follows a ramp.  Without delay, lag and limit one step is
one exact arc.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pe_core.arena import ArenaConfig
from pe_core.robot import ACCELERATION_MAX, DELAY, LAG, RobotModel, executed_command
from pe_core.scenario import Layout
from pe_core.unicycle import arc_step

SUBSTEPS = 10
HISTORY = 64
_INSTANT = 1e-9


@njit(cache=True)
def advance(
    state: NDArray[np.float64],
    history: NDArray[np.float64],
    model: NDArray[np.float64],
    dt: float,
    since: float,
    duration: float,
) -> None:
    """Advance ``state`` (x, y, theta, v, omega) by ``duration`` [s] in place.

    Args:
        state: shape (5,); after the call (v, omega) is the velocity at the end.
        history: executed commands (v, omega), newest first, one per control period, shape (K, 2); before the
            oldest the robot is taken to have done the same as then.
        model: ``RobotModel.as_array()``.
        dt: control period [s].
        since: how long ago, at the start, the newest command was sent [s].
        duration: [s].
    """
    delay = model[DELAY]
    now = since
    end = since + duration
    while end - now > _INSTANT:
        # Command i was sent at -i dt and acts from delay - i dt on.
        index = max(0, math.ceil((delay - now) / dt - _INSTANT))
        until = end if index == 0 else min(end, delay - (index - 1) * dt)
        row = min(index, history.shape[0] - 1)
        _follow(state, history[row, 0], history[row, 1], model[LAG], model[ACCELERATION_MAX], dt, until - now)
        now = until


@njit(cache=True)
def _follow(
    state: NDArray[np.float64],
    v: float,
    omega: float,
    lag: float,
    acceleration: float,
    dt: float,
    duration: float,
) -> None:
    if lag == 0.0 and acceleration == 0.0:
        state[3] = v
        state[4] = omega
        state[0], state[1], state[2] = arc_step(state[0], state[1], state[2], v, omega, duration)
        return
    steps = max(1, math.ceil(SUBSTEPS * duration / dt - _INSTANT))
    h = duration / steps
    keep = math.exp(-h / lag) if lag > 0.0 else 0.0
    share = lag * (1.0 - keep) / h
    for _ in range(steps):
        mean_v = v + (state[3] - v) * share
        mean_omega = omega + (state[4] - omega) * share
        end_v = v + (state[3] - v) * keep
        if acceleration > 0.0 and abs(end_v - state[3]) > acceleration * h:
            end_v = state[3] + math.copysign(acceleration * h, end_v - state[3])
            mean_v = 0.5 * (state[3] + end_v)
        state[0], state[1], state[2] = arc_step(state[0], state[1], state[2], mean_v, mean_omega, h)
        state[3] = end_v
        state[4] = omega + (state[4] - omega) * keep


@njit(cache=True)
def plant_step(
    state: NDArray[np.float64], history: NDArray[np.float64], model: NDArray[np.float64], dt: float
) -> None:
    """Advance ``state`` by one control period ``dt`` [s] in place, the newest command having just been sent."""
    advance(state, history, model, dt, 0.0, dt)


@njit(cache=True)
def state_at_actuation(
    state: NDArray[np.float64],
    history: NDArray[np.float64],
    model: NDArray[np.float64],
    dt: float,
    since: float,
    age: float,
    out: NDArray[np.float64],
) -> None:
    """Write the state at which a command sent now begins to act: ``age`` [s] from the state's stamp to now, and
    the dead time from now on, under the commands sent before.

    ``since`` [s] is the time from the newest command's sending to the state's stamp; see :func:`advance`.
    """
    for k in range(5):
        out[k] = state[k]
    ahead = age + model[DELAY]
    if ahead > 0.0:
        advance(out, history, model, dt, since, ahead)


@njit(cache=True)
def stopping_pose(state: NDArray[np.float64], lag: float, out: NDArray[np.float64]) -> None:
    """Write the pose at which a robot in ``state`` would come to rest if told to stop, and its velocity as it is.

    With lag tau the robot runs on for v tau and omega tau; substituting sigma = tau (1 - exp(-t / tau)),

        integral_0^inf v exp(-t/tau) e(theta(t)) dt = integral_0^tau v e(theta + omega sigma) dsigma

    which is the exact arc of duration tau at constant (v, omega).
    """
    out[0], out[1], out[2] = arc_step(state[0], state[1], state[2], state[3], state[4], lag)
    out[3] = state[3]
    out[4] = state[4]


class Bodies(Protocol):
    """Both robots of one episode, moved by somebody else than :class:`Plant`, such as a physics engine.

    ``states`` is (2, 5): pursuer and evader, (x, y, theta, v, omega), true.
    """

    states: NDArray[np.float64]

    def follow(
        self, executed: Sequence[tuple[float, float]] | NDArray[np.float64], duration: float
    ) -> NDArray[np.float64]:
        """Advance ``duration`` [s] under what the firmware has made of both commands; returns ``states``."""

    def close(self) -> None:
        """The episode is over."""


class Simulator(Protocol):
    """Makes the bodies of an episode; it may be sent to another process."""

    def bodies(self, layout: Layout, config: ArenaConfig, robots: tuple[RobotModel, RobotModel]) -> Bodies:
        """Both robots at rest where ``layout`` says; raises ConfigurationError."""

    def identity(self) -> dict[str, Any]:
        """Name, version and settings, for the identity of a run."""


class Plant:
    """One simulated robot: holds its state and the commands that are still on their way."""

    def __init__(self, model: RobotModel, pose: NDArray[np.float64]) -> None:
        self.model = model
        self._array = model.as_array()
        self.state = np.zeros(5)
        self._history = np.zeros((HISTORY, 2))
        self.reset(pose)

    def reset(self, pose: NDArray[np.float64]) -> None:
        """Stand still at ``pose`` (x, y, theta) with no command on its way."""
        self.state[:3] = pose
        self.state[3:] = 0.0
        self._history[:] = 0.0

    def step(self, command: tuple[float, float] | NDArray[np.float64], dt: float) -> NDArray[np.float64]:
        """Advance ``dt`` [s] under ``command`` (v, omega); returns the state (x, y, theta, v, omega)."""
        return self.follow(executed_command(command[0], command[1], self._array), dt)

    def follow(self, executed: tuple[float, float], dt: float) -> NDArray[np.float64]:
        """Advance ``dt`` [s] under what the firmware has made of a command; every call with the same ``dt``."""
        self._history[1:] = self._history[:-1]
        self._history[0] = executed
        plant_step(self.state, self._history, self._array, dt)
        return self.state

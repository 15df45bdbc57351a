"""Robots that differ from their model: what they do, and the residuals from which the model starts."""

from __future__ import annotations

import dataclasses
import functools
import math

import numpy as np
from numpy.typing import NDArray

from pe_core.plant import HISTORY, Plant, plant_step
from pe_core.randomness import generator
from pe_core.robot import RobotModel, executed_command
from pe_safety.disturbance.likelihood import STEP_FIRST, descend
from pe_safety.disturbance.posterior import Hyperparameters
from pe_safety.disturbance.residual import INPUTS, OUTPUTS, acting_command, displaced, residual, write_inputs

Array = NDArray[np.float64]

PLANTS = 20
"""Simulated robots behind the residuals of the cold start."""
PLANTS_FITTED, STEPS_FITTED, EVALUATIONS = 6, 60, 30
"""Robots, steps of each and likelihood evaluations from which the first hyperparameters come."""
HOLD = 8
"""Mean number of control steps for which a simulated command is held."""


@dataclasses.dataclass(frozen=True)
class Imperfection:
    """How one robot and its floor differ from the model.

    Attributes:
        gain_v, gain_omega: executed over commanded velocity.
        lag: time constant that the model does not have [s], added to the model's.
        slip: share of forward speed that is lost.
        side_slip: lateral speed -side_slip v omega [s]: the robot drifts out of its turn.
        slope_x, slope_y: velocity by which the floor pulls, map frame [m/s].
        ramp: the pull is multiplied by (1 + ramp sin(pi x / L)), L the half-side.
        noise: deviation of each observed residual (3,) [m/s, m/s, rad/s].
    """

    gain_v: float = 1.0
    gain_omega: float = 1.0
    lag: float = 0.0
    slip: float = 0.0
    side_slip: float = 0.0
    slope_x: float = 0.0
    slope_y: float = 0.0
    ramp: float = 0.0
    noise: tuple[float, float, float] = (0.0, 0.0, 0.0)


class ImperfectRobot:
    """A simulated robot with an :class:`Imperfection`; ``state`` (x, y, theta, v, omega)."""

    def __init__(self, model: RobotModel, imperfection: Imperfection, pose: Array, half_side: float) -> None:
        self.model = model
        self.imperfection = imperfection
        self.half_side = half_side
        # The limits hold for commands; what the wheels then do is off by the gain.
        wide = dataclasses.replace(
            model,
            v_min=max(-2.0, 2.0 * model.v_min),
            v_max=min(2.0, 2.0 * model.v_max),
            omega_max=min(10.0, 2.0 * model.omega_max),
            wheel_speed_max=min(5.0, 2.0 * model.wheel_speed_max),
            v_quantum=0.0,
            omega_quantum=0.0,
            lag=min(1.0, model.lag + imperfection.lag),
        )
        self._array = model.as_array()
        self._plant = Plant(wide, pose)

    @property
    def state(self) -> Array:
        """(x, y, theta, v, omega), the velocity without slip and slope, as wheels measure it."""
        return self._plant.state

    def reset(self, pose: Array) -> None:
        """Stand still at ``pose``."""
        self._plant.reset(pose)

    def step(self, command: tuple[float, float] | Array, dt: float) -> Array:
        """Advance ``dt`` [s]; returns the state."""
        imperfection = self.imperfection
        v, omega = executed_command(command[0], command[1], self._array)
        start = self._plant.state.copy()
        end = self._plant.step((imperfection.gain_v * v, imperfection.gain_omega * omega), dt)
        forward, turn = 0.5 * (start[3] + end[3]), 0.5 * (start[4] + end[4])
        pull = 1.0 + imperfection.ramp * math.sin(math.pi * start[0] / self.half_side)
        c, s = math.cos(start[2]), math.sin(start[2])
        gx, gy = pull * imperfection.slope_x, pull * imperfection.slope_y
        drift = np.array(
            [
                -imperfection.slip * forward + c * gx + s * gy,
                -imperfection.side_slip * forward * turn - s * gx + c * gy,
                0.0,
            ]
        )
        end[:3] = displaced(start, end, drift, dt)
        return end


def draw_imperfection(rng: np.random.Generator, model: RobotModel) -> Imperfection:
    """Gains 0.8 to 1.2, lag to 50 ms, slip to 10 %, side slip to 20 ms, slope to 5 % of v_max; noise 1 % of limits."""
    speed = 0.05 * model.v_max * rng.uniform()
    direction = rng.uniform(-math.pi, math.pi)
    return Imperfection(
        gain_v=rng.uniform(0.8, 1.2),
        gain_omega=rng.uniform(0.8, 1.2),
        lag=rng.uniform(0.0, 0.05),
        slip=rng.uniform(0.0, 0.1),
        side_slip=rng.uniform(0.0, 0.02),
        slope_x=speed * math.cos(direction),
        slope_y=speed * math.sin(direction),
        noise=(0.01 * model.v_max, 0.01 * model.v_max, 0.01 * model.omega_max),
    )


def drive(
    model: RobotModel, imperfection: Imperfection, half_side: float, dt: float, steps: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Inputs z (steps, INPUTS) and residuals (steps, 3) [m/s, m/s, rad/s] of one robot under random held commands.

    Where the robot leaves the arena it is turned to the centre.
    """
    pose = np.array([*rng.uniform(-0.7 * half_side, 0.7 * half_side, 2), rng.uniform(-math.pi, math.pi)])
    robot = ImperfectRobot(model, imperfection, pose, half_side)
    array = model.as_array()
    history = np.zeros((HISTORY, 2))
    scale = np.array([half_side, model.v_max, model.omega_max])
    inputs, residuals = np.empty((steps, INPUTS)), np.empty((steps, OUTPUTS))
    noise = np.array(imperfection.noise)
    command = np.zeros(2)
    for i in range(steps):
        if i == 0 or rng.uniform() < 1.0 / HOLD:
            command = np.array([rng.uniform(max(0.0, model.v_min), model.v_max), model.omega_max * rng.uniform(-1, 1)])
        state = robot.state.copy()
        if max(abs(state[0]), abs(state[1])) > 0.9 * half_side:
            bearing = math.atan2(-state[1], -state[0]) - state[2]
            turn = math.atan2(math.sin(bearing), math.cos(bearing)) / (4.0 * dt)
            command = np.array([0.5 * model.v_max, np.clip(turn, -model.omega_max, model.omega_max)])
        history[1:] = history[:-1]
        history[0] = executed_command(command[0], command[1], array)
        nominal = state.copy()
        plant_step(nominal, history, array, dt)
        v, omega = acting_command(history, array, dt)
        write_inputs(state, v, omega, scale, inputs[i])
        residuals[i] = np.array(residual(state, nominal, robot.step(command, dt), dt))
        residuals[i] += noise * rng.standard_normal(OUTPUTS)
    return inputs, residuals


def simulated_residuals(
    model: RobotModel, half_side: float, dt: float, count: int, seed: int
) -> tuple[Array, Array]:
    """``count`` inputs and residuals of :data:`PLANTS` robots with imperfections drawn by ``seed``, mixed."""
    each = math.ceil(count / PLANTS)
    series = []
    for plant in range(PLANTS):
        rng = generator(seed, plant, "disturbance/prefill")
        series.append(drive(model, draw_imperfection(rng, model), half_side, dt, each, rng))
    order = generator(seed, PLANTS, "disturbance/prefill").permutation(each * PLANTS)[:count]
    return (
        np.concatenate([inputs for inputs, _ in series])[order],
        np.concatenate([residuals for _, residuals in series])[order],
    )


@functools.lru_cache(maxsize=32)
def _fitted(
    model: RobotModel, half_side: float, dt: float, seed: int, low: bytes, high: bytes, center: bytes, width: bytes
) -> Array:
    shape = (OUTPUTS, INPUTS + 2)
    bounds = [np.frombuffer(each).reshape(shape) for each in (center, width, low, high)]
    series = []
    for plant in range(PLANTS_FITTED):
        rng = generator(seed, plant, "disturbance/hyperparameters")
        series.append(drive(model, draw_imperfection(rng, model), half_side, dt, STEPS_FITTED, rng))
    inputs = np.concatenate([each for each, _ in series])
    targets = np.concatenate([each for _, each in series]) / (model.v_max, model.v_max, model.omega_max)
    starts = np.arange(PLANTS_FITTED + 1) * STEPS_FITTED
    phi = bounds[0].copy()
    for o in range(OUTPUTS):
        steps = np.full(shape[1], STEP_FIRST)
        descend(
            inputs, targets[:, o].copy(), np.zeros(len(inputs)), starts, phi[o], steps,
            *(each[o].copy() for each in bounds), EVALUATIONS,
        )  # fmt: skip
    phi.setflags(write=False)
    return phi


def simulated_hyperparameters(
    model: RobotModel, half_side: float, dt: float, seed: int, generic: Hyperparameters
) -> Hyperparameters:
    """The hyperparameters that fit several simulated robots best, each a draw from one Gaussian process.

    They are the start and the centre of the hyperprior of the fits that follow.  Done once per process and model.
    """
    phi = _fitted(
        model, half_side, dt, seed,
        generic.low.tobytes(), generic.high.tobytes(), generic.center.tobytes(), generic.width.tobytes(),
    )  # fmt: skip
    return dataclasses.replace(generic, phi=phi.copy(), center=phi.copy(), steps=np.full_like(phi, STEP_FIRST))

"""The learned disturbance of one robot, as a control step uses it."""

from __future__ import annotations

import collections
import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pe_core.plant import HISTORY, advance
from pe_core.robot import RobotModel, executed_command
from pe_safety.disturbance.kappa import KappaSchedule
from pe_safety.disturbance.parameters import DisturbanceParameters
from pe_safety.disturbance.posterior import (
    Hyperparameters,
    Posterior,
    Prediction,
    Window,
    fit,
    generic_hyperparameters,
)
from pe_safety.disturbance.refit import InCaller, InThread, Refitter
from pe_safety.disturbance.residual import INPUTS, OUTPUTS, acting_command, residual, write_inputs
from pe_safety.disturbance.simulation import simulated_hyperparameters, simulated_residuals

Array = NDArray[np.float64]

PERIOD_LOW, PERIOD_HIGH = 0.5, 1.5
"""Control periods over dt from which a residual is taken; a longer one had commands that we do not know."""

AHEAD = 50
"""Residuals, newest first, whose deviations as predicted before they were seen make the mean deviation."""

SURPRISES = 10
"""Residuals, newest first, by which sigma is checked: as many as come between refits."""


@dataclasses.dataclass(frozen=True)
class Counts:
    """What became of the residuals and of the refits since the last reset."""

    accepted: int = 0
    not_finite: int = 0
    outliers: int = 0
    irregular: int = 0
    forgotten: int = 0
    refits: int = 0
    failed_refits: int = 0


class LearnedDisturbance:
    """Gaussian process on the residual of one robot's motion, with cold start and kappa.

    One control step at time t_k calls, in this order, from one thread:

        observe(state, time)      the residual of the step that ended at t_k
        predict(state, command)   d_hat, sigma_d at the state and command that the safety rows are written for
        command(u)                what was sent at t_k

    None of them waits for a refit: they read the newest finished posterior, one reference to an immutable object.

    A posterior is sure of a world that stays; where the floor changes under the robot it is wrong and sure until
    enough of the window is new.  So sigma is multiplied, output by output, by

        inflation = sqrt(max(1, mean of (d - d_hat)^2 / (sigma^2 + measured^2) over the last residuals))

    which makes the band as wide as the errors that are seen, within a step of the change.
    """

    def __init__(
        self,
        robot: RobotModel,
        parameters: DisturbanceParameters,
        dt: float,
        half_side: float,
        refitter: Refitter | None = None,
    ) -> None:
        """Model for ``robot`` with control period ``dt`` [s] in an arena of half-side ``half_side`` [m].

        ``refitter`` None: as ``parameters.background`` says.  Compiles what it needs.
        """
        self.robot = robot
        self.parameters = parameters
        self.dt = dt
        self._model = robot.as_array()
        self._scale = np.array([half_side, robot.v_max, robot.omega_max])
        self._output_scale = self._scale[[1, 1, 2]]
        self._command_scale = self._scale[1:].copy()
        self._prior = np.array([parameters.prior_forward, parameters.prior_lateral, parameters.prior_turn])
        measured = (parameters.measured_forward, parameters.measured_lateral, parameters.measured_turn)
        self._measured = np.array(measured) / self._output_scale
        self._refitter = refitter or (InThread() if parameters.background else InCaller())
        self._kappa = KappaSchedule(
            parameters.kappa, parameters.kappa_factor, parameters.kappa_tau, parameters.kappa_end
        )
        size = parameters.window
        self._inputs, self._targets = np.zeros((size, INPUTS)), np.zeros((size, OUTPUTS))
        self._extra = np.zeros((size, OUTPUTS))
        self._next = self._filled = self._observed = 0
        self._ahead: collections.deque[float] = collections.deque(maxlen=AHEAD)
        self._generation = 0
        self._initial = self._cold_start(half_side)
        self._published = self._initial
        self._refits = self._failed = 0
        self.reset()
        self.predict(np.zeros(5), (0.0, 0.0))

    @property
    def posterior(self) -> Posterior:
        """The newest finished posterior since the last reset."""
        published = self._published
        return published if published.generation == self._generation else self._initial

    @property
    def kappa(self) -> float:
        """Deviations that a row is to pay for in the present control step."""
        return self._kappa.value

    @property
    def mean_sigma(self) -> float:
        """Mean over the outputs and the last residuals of sigma_d as predicted before each was seen; inf before that.

        Deviations at points that are in the window already would say little: they are small after a few steps.
        """
        return sum(self._ahead) / AHEAD if len(self._ahead) == AHEAD else math.inf

    @property
    def inflation(self) -> Array:
        """Factor on sigma of each output (3,), at least 1."""
        return self._inflation.copy()

    @property
    def counts(self) -> Counts:
        """Accepted and rejected residuals, refits."""
        return dataclasses.replace(self._counts, refits=self._refits, failed_refits=self._failed)

    def reset(self) -> None:
        """Cold start, for a new episode or another robot: simulated residuals, kappa at its start.

        Fits that are under way are void.
        """
        self._generation += 1
        self._fill()
        self._kappa.reset()
        self._ahead.clear()
        self._surprises, self._inflation = np.zeros((SURPRISES, OUTPUTS)), np.ones(OUTPUTS)
        self._counts = Counts()
        self._refits = self._failed = 0
        self._since_refit = 0
        self._started = False
        self.interrupt()

    def interrupt(self) -> None:
        """The robot was moved by hand or its estimate was set: the step from then to now is no residual."""
        self._previous: Array | None = None
        self._previous_time = math.nan
        self._in_a_row = 0
        self._history = np.zeros((HISTORY, 2))
        self._z = np.zeros(INPUTS)

    def observe(self, state: Sequence[float] | Array, time: float | None = None) -> Array | None:
        """Take the state (x, y, theta, v, omega) at the start of a control step, map frame, and perhaps its stamp [s].

        Returns the residual (3,) of the step that ended here if it was accepted, else None (see :attr:`counts`).
        Without stamps steps are taken to be ``dt`` apart.
        """
        now = np.array(state, dtype=np.float64)
        previous, before = self._previous, self._previous_time
        self._previous = now if np.isfinite(now).all() else None
        self._previous_time = math.nan if time is None else time
        accepted = None
        if self._previous is None:
            self._count("not_finite")
        elif previous is not None:
            accepted = self._take(previous, now, self.dt if time is None else time - before)
        if self._started:
            self._kappa.step(self.mean_sigma)
        self._started = True
        self._since_refit += 1
        if self._since_refit >= self.parameters.refit_every and self._observed > 0:
            self._since_refit = 0
            self._submit()
        return accepted

    def predict(self, state: Sequence[float] | Array, command: Sequence[float] | Array) -> Prediction:
        """d_hat, sigma_d and slope where ``command`` (v, omega) acts at ``state`` (5,); body frame, physical units."""
        where = np.array(state, dtype=np.float64)
        write_inputs(where, float(command[0]), float(command[1]), self._scale, self._z)
        prediction = self.posterior.predict(self._z)
        return dataclasses.replace(prediction, sigma=prediction.sigma * self._inflation)

    def command(self, command: Sequence[float] | Array) -> None:
        """Remember the command (v, omega) that was sent in this control step."""
        self._history[1:] = self._history[:-1]
        self._history[0] = executed_command(float(command[0]), float(command[1]), self._model)

    def commands(self, history: Array) -> None:
        """Replace what is remembered of commands by ``history`` (K, 2), newest first, one per control period."""
        count = min(len(history), HISTORY)
        self._history[:] = 0.0
        for row in range(count):
            self._history[row] = executed_command(history[row, 0], history[row, 1], self._model)

    def wait(self, timeout: float = 10.0) -> bool:
        """Wait until no refit is under way, at most ``timeout`` [s]; for tests, never in a control step."""
        return self._refitter.wait(timeout)

    def close(self) -> None:
        """End the thread, if there is one."""
        self._refitter.close()

    def __enter__(self) -> LearnedDisturbance:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take(self, start: Array, end: Array, elapsed: float) -> Array | None:
        """Put the residual of one step into the window unless the gate refuses it."""
        if not PERIOD_LOW * self.dt <= elapsed <= PERIOD_HIGH * self.dt:
            self._count("irregular")
            return None
        nominal = start.copy()
        advance(nominal, self._history, self._model, self.dt, 0.0, elapsed)
        d = np.array(residual(start, nominal, end, elapsed))
        if not np.isfinite(d).all():
            self._count("not_finite")
            return None
        v, omega = acting_command(self._history, self._model, self.dt)
        z = np.empty(INPUTS)
        write_inputs(start, v, omega, self._scale, z)
        posterior = self.posterior
        mean, sigma = posterior.predict(z)
        noise = np.maximum(posterior.noise, self._measured) * self._output_scale
        allowed = self.parameters.gate * np.sqrt(sigma**2 + noise**2 + (self._prior * self._output_scale) ** 2)
        # A lag unknown to the model cannot do more than keep the velocity as it was.
        jump = abs(v - start[3])
        allowed += (jump, jump, abs(omega - start[4]))
        if (np.abs(d - mean) > allowed).any():
            self._count("outliers")
            self._in_a_row += 1
            if self._in_a_row >= self.parameters.distrust_after:
                self._forget()
            return None
        self._in_a_row = 0
        self._ahead.append(float((sigma * self._inflation).mean()))
        self._surprises[1:] = self._surprises[:-1]
        self._surprises[0] = (d - mean) ** 2 / (sigma**2 + (self._measured * self._output_scale) ** 2)
        self._inflation = np.sqrt(np.maximum(1.0, self._surprises.mean(axis=0)))
        self._push(z, d / self._output_scale, np.zeros(OUTPUTS))
        self._observed = min(self._observed + 1, self.parameters.window)
        self._count("accepted")
        return d

    def _forget(self) -> None:
        """The world is no longer the one that was learnt: cold start, the count of what happened kept."""
        previous, time, history, counts = self._previous, self._previous_time, self._history, self.counts
        self.reset()
        self._previous, self._previous_time, self._history = previous, time, history
        self._refits, self._failed = counts.refits, counts.failed_refits
        self._counts = dataclasses.replace(counts, forgotten=counts.forgotten + 1)

    def _count(self, name: str) -> None:
        self._counts = dataclasses.replace(self._counts, **{name: getattr(self._counts, name) + 1})

    def _push(self, z: Array, target: Array, extra: Array) -> None:
        self._inputs[self._next], self._targets[self._next], self._extra[self._next] = z, target, extra
        self._next = (self._next + 1) % self.parameters.window
        self._filled = min(self._filled + 1, self.parameters.window)

    def _window(self) -> Window:
        """A copy of the data, oldest first."""
        order = (self._next - self._filled + np.arange(self._filled)) % self.parameters.window
        return Window(self._inputs[order], self._targets[order], self._extra[order])

    def _submit(self) -> None:
        """Ask for a posterior of the window as it is now, going on from the newest hyperparameters."""
        task = functools.partial(
            fit, self._window(), self.posterior.hyperparameters, self.parameters.evaluations, self._output_scale,
            self._command_scale, self._measured, self._prior, self._generation, self._counts.accepted,
        )  # fmt: skip
        self._refitter.submit(task, self._publish)

    def _publish(self, result: Posterior | None) -> None:
        if result is None:
            self._failed += 1
            return
        # One store of one reference: a reader sees the old posterior or the new one, never a mixture.
        self._published = result
        self._refits += result.generation == self._generation

    def _cold_start(self, half_side: float) -> Posterior:
        """The posterior of the simulated residuals alone, with hyperparameters fitted to simulated robots."""
        parameters = self.parameters
        count = min(parameters.prefilled, parameters.window)
        generic = generic_hyperparameters(self._prior, self._measured)
        hyperparameters: Hyperparameters = generic
        self._simulated = (np.zeros((0, INPUTS)), np.zeros((0, OUTPUTS)))
        if count:
            hyperparameters = simulated_hyperparameters(
                self.robot, half_side, self.dt, parameters.seed, generic
            )
            inputs, residuals = simulated_residuals(self.robot, half_side, self.dt, count, parameters.seed)
            self._simulated = (inputs, residuals / self._output_scale)
        self._fill()
        for evaluations in (1, 0):  # the first call compiles the whole of a refit
            start = fit(
                self._window(), hyperparameters, evaluations, self._output_scale, self._command_scale,
                self._measured, self._prior,
            )  # fmt: skip
        if start is None:
            raise ArithmeticError("the simulated residuals have no posterior")
        return start

    def _fill(self) -> None:
        """Only simulated residuals in the window.

        They tell what robots of this kind do on average, not what this robot does: all of them together count
        like one residual observed with the deviation that robots have among themselves, about the prior's.
        """
        self._next = self._filled = self._observed = 0
        inputs, targets = self._simulated
        extra = self._prior * math.sqrt(max(1, len(inputs)))
        for z, target in zip(inputs, targets, strict=True):
            self._push(z, target, extra)

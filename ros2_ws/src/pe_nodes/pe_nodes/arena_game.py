"""The simulated world of the arena simulator: two plants, the rules, the sensors; pure."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pe_core import ekf
from pe_core.arena import ArenaConfig
from pe_core.plant import Bodies, Plant
from pe_core.randomness import generator
from pe_core.robot import RobotModel
from pe_core.rules import Outcome
from pe_core.scenario import Layout
from pe_core.unicycle import arc_step, half_angle_sinc, wrap_angle
from pe_nodes.devices import Command, make_device
from pe_nodes.episode import Episode
from pe_nodes.score import Score

# Per control step, from the domain randomisation of TurtleBot3; the absolute pose as a tracker gives it.
POSITION_STEP = 0.005
HEADING_STEP = math.radians(0.5)
POSE_POSITION = 0.01
POSE_HEADING = math.radians(0.5)
POSE_PERIOD = 0.1


def usual_deviations(dt: float) -> tuple[float, float]:
    """Deviations [m, rad] of an estimate from the sensors of noise ``turtlebot3``."""
    odometry = (POSITION_STEP / dt, HEADING_STEP / dt)
    return ekf.usual_deviations(odometry, (POSE_POSITION, POSE_HEADING), round(POSE_PERIOD / dt), dt)


@dataclasses.dataclass
class Odometer:
    """What one robot's odometry says: pose in its own odom frame, twist of the last step; shape (5,).

    Without lag and delay (``ideal``) the velocity is constant over a step and is reported as it is.  Where omega is
    a difference of wrapped yaws (``spikes``), a step over +-pi turns by 2 pi too much: TurtleBot3 reports
    omega -+ 2 pi / dt, and adds the way at the middle of both headings, which then points backwards.
    """

    random: np.random.Generator
    noisy: bool
    ideal: bool
    spikes: bool = False
    period: float = 0.05
    reading: NDArray[np.float64] = dataclasses.field(default_factory=lambda: np.zeros(5))

    def step(self, state: NDArray[np.float64], last: NDArray[np.float64], dt: float) -> None:
        """Account for one step from ``last`` to ``state``, both (x, y, theta, v, omega), of ``dt`` [s]."""
        v, omega = float(state[3]), float(state[4])
        if not self.ideal:
            # Wheels measure the way: the twist is the mean one of the step, as one arc.
            turn = wrap_angle(float(state[2] - last[2]))
            middle = last[2] + 0.5 * turn
            way = (state[0] - last[0]) * math.cos(middle) + (state[1] - last[1]) * math.sin(middle)
            v, omega = way / half_angle_sinc(0.5 * turn) / dt, turn / dt
        if self.noisy:
            # Independent steps: variances add up to those of a control step, ``period`` [s].
            share = math.sqrt(dt / self.period)
            v += share * self.random.normal(0.0, POSITION_STEP) / dt
            omega += share * self.random.normal(0.0, HEADING_STEP) / dt
        x, y, theta = arc_step(self.reading[0], self.reading[1], self.reading[2], v, omega, dt)
        difference = theta - self.reading[2]
        if self.spikes and abs(difference) > math.pi:
            omega = difference / dt
            x, y = 2.0 * self.reading[0] - x, 2.0 * self.reading[1] - y
        self.reading[:] = (x, y, theta, v, omega)

    def absolute_pose(self, state: NDArray[np.float64]) -> tuple[float, float, float]:
        """A noisy absolute pose (x, y, theta), map frame."""
        dx, dy = self.random.normal(0.0, POSE_POSITION, 2)
        turn = self.random.normal(0.0, POSE_HEADING)
        return float(state[0] + dx), float(state[1] + dy), wrap_angle(float(state[2] + turn))


class ArenaGame(Score):
    """One episode; index 0 is the pursuer, 1 the evader.

    A control step is one tick, or as many as the fastest odometry wants; rules are judged at control steps.

    Attributes:
        plants: true states.
        devices: what the bases make of commands.
        odometers: what odometry says; readings: how often a control step; due: whose reading is of the last tick.
        tick: [s]; ticks.
    """

    def __init__(
        self,
        layout: Layout,
        config: ArenaConfig,
        robots: tuple[RobotModel, RobotModel],
        seed: int,
        episode: int,
        noisy: bool,
        devices: tuple[str, str] = ("ideal", "ideal"),
        lockstep: bool = True,
    ) -> None:
        """``devices`` by name, see :func:`make_device`; in ``lockstep`` odometry comes at control steps only."""
        super().__init__(layout, config, robots)
        self.seed = seed
        self.plants = (Plant(robots[0], layout.pursuer), Plant(robots[1], layout.evader))
        self.devices = (make_device(devices[0], robots[0]), make_device(devices[1], robots[1]))
        self.odometers = tuple(
            Odometer(
                generator(seed, episode, f"odometry/{role}"), noisy, robot.lag == 0.0 and robot.delay == 0.0,
                device.yaw_spikes, config.dt,
            )
            for role, robot, device in zip(("pursuer", "evader"), robots, self.devices, strict=True)
        )  # fmt: skip
        # Nearest to the rate of the real one that is a whole multiple of the control rate: 60 Hz for 62.
        self.readings = [1 if lockstep else max(round(d.odometry_rate * config.dt), 1) for d in self.devices]
        self.ticks_a_step = math.lcm(*self.readings)
        self.tick = config.dt / self.ticks_a_step
        self._ticks_a_reading = [self.ticks_a_step // n for n in self.readings]
        self._read = [plant.state.copy() for plant in self.plants]
        self.due = (True, True)
        self.ticks = 0
        self.look()
        self._bodies: Bodies | None = None

    def move_by(self, bodies: Bodies) -> None:
        """From now on ``bodies`` move, with what the devices make of commands; before the first tick.

        Odometry then measures the way, for a body that has mass does not jump to a new velocity.
        """
        self._bodies = bodies
        self._adopt(bodies.states)
        self._read = [plant.state.copy() for plant in self.plants]
        for odometer in self.odometers:
            odometer.ideal = False
        self.min_margin = self.margin()

    def _adopt(self, states: NDArray[np.float64]) -> None:
        for plant, state in zip(self.plants, states, strict=True):
            plant.state[:] = state

    @property
    def states(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The true states, (5,) each."""
        return self.plants[0].state, self.plants[1].state

    def episode(self, index: int, start_ns: int, scenario: str, speed_ratio: float) -> Episode:
        """The episode as it is announced."""
        poses = (self.layout.pursuer, self.layout.evader)
        return self.announced(index, self.seed, start_ns, scenario, speed_ratio, poses)

    def receive(self, robot: int, command: Command) -> None:
        """A command (v, omega) reaches a robot's base."""
        self.devices[robot].receive(command[0], command[1], self.ticks * self.tick)

    def rehearsed(self) -> ArenaGame:
        """This game, after a copy of it has played a step, so that nothing is compiled or loaded in the first one."""
        bodies, self._bodies = self._bodies, None
        copied = copy.deepcopy(self)
        self._bodies = bodies
        for _ in range(self.ticks_a_step):
            copied.step([(0.0, 0.0), (0.0, 0.0)])
        copied.odometers[0].absolute_pose(copied.plants[0].state)
        return self

    def step(self, commands: Sequence[Command] = ()) -> Outcome:
        """One tick; ``commands`` (v, omega), where given, reach both robots just before it."""
        for i, command in enumerate(commands):
            self.receive(i, command)
        now = self.ticks * self.tick
        self.ticks += 1
        due = []
        executed = [device.executed(now) for device in self.devices]
        if self._bodies is not None:
            self._adopt(self._bodies.follow(executed, self.tick))
        for i, plant in enumerate(self.plants):
            if self._bodies is None:
                plant.follow(executed[i], self.tick)
            due.append(self.ticks % self._ticks_a_reading[i] == 0)
            if due[i]:
                self.odometers[i].step(plant.state, self._read[i], self.tick * self._ticks_a_reading[i])
                self._read[i][:] = plant.state
        self.due = (due[0], due[1])
        margin = self.look()
        return self.outcome if self.between_steps else self.end_step(margin)

    @property
    def between_steps(self) -> bool:
        """Whether the last tick ended between two control steps."""
        return self.ticks % self.ticks_a_step != 0

    def tick_ns(self) -> int:
        """Length [ns] of the last tick; those of a control step add up to it exactly."""
        step, part = round(self.config.dt * 1e9), (self.ticks - 1) % self.ticks_a_step
        return (part + 1) * step // self.ticks_a_step - part * step // self.ticks_a_step

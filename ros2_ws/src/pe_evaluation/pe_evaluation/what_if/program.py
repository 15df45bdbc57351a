"""BarrierNet's last layer without its network: the program that is inside such a policy, on commands that were asked.

A policy with that head has put its command through it already.  Of any other one the recorded nominal command is
taken for u_nom, and what the program makes of it goes on to the filter of ``config/safety/barriernet.yaml``, as it
does behind the policy.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pe_core import observation
from pe_core.robot import OMEGA_MAX, RADIUS, V_MAX, V_MIN, RobotModel, command_from_action
from pe_evaluation.audit.trace import Cycle
from pe_evaluation.bag import Episode
from pe_safety.barrier_net import BarrierNet
from pe_safety.budget import usual_margin
from pe_safety.filter import CERTAIN
from pe_safety.parameters import SafetyParameters

Array = NDArray[np.float64]


class _Asked(nn.Module):
    """In place of a network: actions that were asked."""

    def __init__(self) -> None:
        super().__init__()
        self.actions = torch.zeros((0, 2), dtype=torch.float64)

    def forward(self, _: Tensor) -> Tensor:
        return self.actions


class Program:
    """The program of one robot."""

    def __init__(self, parameters: SafetyParameters, robot: RobotModel, rival: RobotModel, dt: float) -> None:
        """For the filter's ``parameters`` and control period ``dt`` [s]; it defers to the filter's ladder."""
        self._own, self._rival, self._dt = robot.as_array(), rival.as_array(), dt
        self._limits = np.array([self._own[V_MAX], self._own[OMEGA_MAX]])
        # What the policy node counts as part of the body.
        margin = usual_margin(self._own, self._rival, parameters.as_array(dt), CERTAIN, dt)
        self._seen = self._own.copy()
        self._seen[RADIUS] += margin
        self._asked = _Asked()
        self._net = BarrierNet(
            self._asked, parameters.gamma, robot.v_max, robot.omega_max,
            (parameters.weight_v, parameters.weight_omega), float(self._own[V_MIN] / self._own[V_MAX]), defers=True,
        )  # fmt: skip

    def commands(self, cycles: Sequence[Cycle], episode: Episode, asked: Array) -> Array:
        """What becomes of the commands ``asked`` (n, 2) [m/s, rad/s] in ``cycles`` whose states are there, (n, 2)."""
        seen = np.zeros((len(cycles), observation.SIZE))
        obstacles = np.asarray(episode.arena.obstacles, dtype=np.float64).reshape(-1, 3)
        for row, cycle in enumerate(cycles):
            assert cycle.own is not None and cycle.opponent is not None
            observation.encode(
                np.array(cycle.own.state), np.array(cycle.opponent.state), self._seen, self._rival,
                episode.arena.half_side, obstacles, len(obstacles), episode.capture_radius, 1.0, self._dt, seen[row],
            )  # fmt: skip
        self._asked.actions = torch.from_numpy(asked / self._limits)
        with torch.no_grad():
            actions = self._net(torch.from_numpy(seen)).tolist()
        return np.array([command_from_action(v, omega, self._own) for v, omega in actions]).reshape(-1, 2)

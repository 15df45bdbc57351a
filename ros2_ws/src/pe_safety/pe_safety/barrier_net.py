r"""BarrierNet: a policy whose last layer is the safety QP, with rows that it makes of its observation alone.

    u_nom (, z) = net(observation)
    u = argmin 1/2 |u - u_nom|^2_W    subject to    G(observation) u <= b(observation)

Units.  u = (v / v_max, omega / omega_max).  Lengths are over half_side L, speeds over v_max, times over L / v_max, as
in :mod:`pe_core.observation`: there omega is u_2 over the turn radius, the control period is the step length, and the
rate is gamma over the step length.  So one bundle serves every scale, is run as any other policy, and needs no map.

For a robot that is ideal and known exactly, against one of the same omega_max, v_min and filter, the rows are those
of the filter's kernels (:mod:`pe_safety.rows`) but for scale and rounding.  What passes them passes the filter
untouched, save where the filter turns on the spot although its QP has a solution.

What the observation does not hold is approximated, and left to the filter, which stands behind every policy:

    lag, dead time      the observed state is taken for the one where the command begins to act, at rest
    uncertainty, age    the body is as wide as the filter's usual margin makes it; the other robot's state is exact
    wheels              the box alone; no coupling of v and omega, no resolution
    passive opponents   taken as cooperative
    the other robot     its turn rate is limited as the own one is, and it reverses where this robot does

The metric.  W = (w_v v_max^2, w_omega omega_max^2) with the filter's weights in SI, constants of the module, since an
observation holds neither limit in SI.  A robot of another size whose turn radius over L is the same is projected in
the metric of the constants; its own filter measures otherwise, but finds nothing to correct.

Adaptive gain.  With a third output z, s = s_min + (1 - s_min) sigmoid(z) multiplies every right-hand side b > 0 that
is not a bound: the barriers decay with s gamma at most.  Rows only become tighter, and u = 0 meets them wherever it
met the others.  The rows to learn with must then be those that s_min could make bind (``least_share`` of
:func:`pe_safety.game_rows.rows_of_games`).

Where the QP has no solution the action is (0, 0).  A robot that stands with its control point in a corner then stays
there whatever the network asks, for the filter behind it turns on the spot only if it is asked to.  With ``defers``
the filter is asked instead: where no action meets every row, or where :mod:`pe_safety.ladder` would turn on the spot,
the action is u_nom within the bounds.

Sources: Xiao et al. 2023 (BarrierNet); Amos and Kolter 2017 (gradients through a QP).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from pe_core.arena import OBSTACLES_MAX
from pe_core.observation import NAMES, SIZE
from pe_safety.qp_lines import scale_of, solve_rows
from pe_safety.rows_torch import NEVER, SKIN, WALLS, Pattern, pattern, rows_of_things

BOUNDS = 4
"""The first rows are bounds of the control."""
THINGS = WALLS + OBSTACLES_MAX + 1
# Parts of what is linear in the observation, for every thing.
_X, _Y, _BASE = 0, 1, 2
# Where an obstacle is that is not there, of L.
_FAR = 1e4
# A right-hand side above this is none.
_FAR_BUDGET = 1e9
# As in pe_safety.ladder.
_STANDING, _TURN_DENIED = 0.01, 0.05
# Gaps, of L, that are 0 but for the rounding of an observation.
_ROUNDING_64, _ROUNDING_32 = 1e-11, 1e-7


def _linear(v_min: float) -> tuple[Tensor, Tensor]:
    """Matrix (_LINES, SIZE) and constant (_LINES, 1) of what is linear in the observation.

    Of what :func:`pe_safety.rows_torch.rows_of_things` wants: x, y, base, each from q and from p (an obstacle that is
    not there is far ahead), and the bounds, which are constant.
    """
    matrix = torch.zeros((3, 2, THINGS, SIZE), dtype=torch.float64)
    constant = torch.zeros((3, 2, THINGS), dtype=torch.float64)

    def put(part: int, view: int, thing: int, **coefficients: float) -> None:
        for name, value in coefficients.items():
            matrix[part, view, thing, NAMES.index(name)] += value

    circles = [*(f"obstacle_{i}" for i in range(OBSTACLES_MAX)), "opponent"]
    for view in range(2):
        # Walls: the direction (east, north) in the map.
        for k, (east, north) in enumerate(((1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0))):
            put(_X, view, k, own_cos=east, own_sin=north)
            put(_Y, view, k, own_cos=north, own_sin=-east)
            put(_BASE, view, k, own_x=-east, own_y=-north)
            constant[_BASE, view, k] = 1.0
        for k, name in enumerate(circles, WALLS):
            put(_X, view, k, **{f"{name}_x_body": 1.0, "vcp_offset": -1.0 if view == 0 else 0.0})
            put(_Y, view, k, **{f"{name}_y_body": 1.0})
            put(_BASE, view, k, **{f"{name}_radius": -1.0})
        for i in range(OBSTACLES_MAX):
            put(_X, view, WALLS + i, **{f"obstacle_{i}_present": -_FAR})
            constant[_X, view, WALLS + i] = _FAR
        for k in range(THINGS):
            put(_BASE, view, k, body_radius=-1.0, vcp_offset=-1.0 if view == 0 else -SKIN)
    bounds = [[1.0, -1.0, 0.0, 0.0], [0.0, 0.0, 1.0, -1.0], [1.0, -v_min, 1.0, 1.0]]
    box = torch.tensor(bounds, dtype=torch.float64).flatten()
    matrix = torch.cat([matrix.flatten(0, 2), torch.zeros((len(box), SIZE), dtype=torch.float64)])
    return matrix, torch.cat([constant.flatten(), box])[:, None]


class Exact(nn.Module):
    """A module whose own constants keep their types whatever type it is cast to."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        kept = dict(self._buffers)
        super()._apply(fn, recurse)
        for name, value in kept.items():
            self._buffers[name] = value.to(self._buffers[name].device)
        return self


class ObservationRows(Exact):
    """Rows of the safety QP from observations (N, SIZE), float32 or float64; what it computes is float64."""

    def __init__(self, gamma: float = 0.2, v_min: float = 0.0) -> None:
        """Rows for the discrete decay ``gamma`` of the filter and a robot with ``v_min`` over v_max.

        Raises:
            ValueError: gamma is not in (0, 1], or v_min not in [-1, 0].
        """
        super().__init__()
        if not (0.0 < gamma <= 1.0 and -1.0 <= v_min <= 0.0):
            raise ValueError(f"gamma = {gamma!r}, v_min = {v_min!r}: allowed: (0, 1] and [-1, 0]")
        self.gamma, self.reverse, self.reverses, self.never = gamma, -v_min, v_min < 0.0, NEVER
        self.coarse, self.fine, self.right_angle = _ROUNDING_32, _ROUNDING_64, 0.5 * math.pi
        self.every = False
        self.things, self.bounds, self.parts = THINGS, BOUNDS, [6 * THINGS, 3 * BOUNDS]
        self.offset, self.turn_radius = NAMES.index("vcp_offset"), NAMES.index("turn_radius")
        self.step, self.other_speed = NAMES.index("step_length"), NAMES.index("opponent_v")
        self.other_cos = NAMES.index("opponent_cos_relative")
        self.other_sin = NAMES.index("opponent_sin_relative")
        matrix, constant = _linear(v_min)
        fixed = pattern(THINGS)
        for name, value in (
            ("matrix", matrix),
            ("constant", constant),
            ("circle", fixed.circle),
            ("lever", fixed.lever),
            ("curved", fixed.curved),
            ("shares", fixed.shares),
        ):
            self.register_buffer(name, value, persistent=False)

    def stacked(self, observation: Tensor) -> Tensor:
        """g_v, g_omega and b as (3, m, N): :func:`pe_safety.rows_torch.rows_of_things`."""
        rounding = self.fine if observation.dtype == torch.float64 else self.coarse
        seen = observation.t().to(torch.float64).contiguous()
        things, bounds = torch.addmm(self.constant, self.matrix, seen).split(self.parts, 0)
        x, y, base = things.view(3, 2, self.things, seen.shape[1]).unbind(0)
        dt = seen.select(0, self.step)
        turned = dt / seen.select(0, self.turn_radius)
        return rows_of_things(
            x,
            y,
            base,
            seen.select(0, self.other_cos),
            seen.select(0, self.other_sin),
            seen.select(0, self.other_speed),
            # No heading has a larger cosine than one.
            torch.full_like(dt, self.never) if self.reverses else turned.clamp(max=self.right_angle).sin(),
            seen.select(0, self.offset),
            dt,
            dt * self.reverse if self.reverses else dt,
            turned,
            dt,
            self.gamma / dt,
            turned / dt,
            bounds.view(3, self.bounds, seen.shape[1]),
            Pattern(self.circle, self.lever, self.curved, self.shares),
            self.reverses,
            rounding,
            every=self.every,
        )

    def forward(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        """G (N, m, 2), b (N, m): bounds, bodies, barriers against left turns, barriers against right turns."""
        rows = self.stacked(observation)
        return rows[:2].permute(2, 1, 0), rows[2].t()


@cache
def _rows_of(gamma: float, v_min: float, device: torch.device) -> ObservationRows:
    return ObservationRows(gamma, v_min).to(device)


def rows_of_observation(observation: Tensor, gamma: float, v_min: float = 0.0) -> tuple[Tensor, Tensor]:
    """:class:`ObservationRows`, which can be scripted, as a function: G (N, m, 2), b (N, m)."""
    return _rows_of(gamma, v_min, observation.device)(observation)


def action_weights(
    weights: tuple[float, float] = (150.0, 1.0), v_max: float = 1.0, omega_max: float = 2.84
) -> tuple[float, float]:
    """The filter's ``weights`` of v [m/s] and omega [rad/s] for u = (v / v_max, omega / omega_max)."""
    return weights[0] * v_max * v_max, weights[1] * omega_max * omega_max


def shared_budgets(b: Tensor, share: Tensor, far: float = _FAR_BUDGET) -> Tensor:
    """s b where b > 0, else b: right-hand sides (N, m) of rows that are no bounds, under gains s gamma.

    ``share`` is s in (0, 1], (N, 1), or (N, m) with 1 for bounds.  +inf stays, with gradients that are numbers.
    """
    return b - (1.0 - share) * b.clamp(0.0, far)


def left_to_filter(
    action: Tensor,
    nominal: Tensor,
    feasible: Tensor,
    standing: float = _STANDING,
    turn_denied: float = _TURN_DENIED,
) -> Tensor:
    """Where (N,) the filter's ladder decides: no action meets every row, or it would turn a robot that stands.

    Args:
        action: the QP's (N, 2); nominal: u_nom (N, 2).  What is not finite is nothing to decide on.
        feasible: whether the QP has a solution (N,).
        standing, turn_denied: as in :mod:`pe_safety.ladder`, dimensionless.
    """
    turn = nominal.select(1, 1).clamp(-1.0, 1.0)
    stands = torch.minimum(action.select(1, 0).abs(), nominal.select(1, 0).abs()) <= standing
    denied = torch.minimum((action.select(1, 1) - turn).abs(), turn.abs()) > turn_denied
    finite = (nominal - nominal == 0.0).all(1)
    return (stands & denied) | (finite & ~feasible)


class BarrierNet(Exact):
    """A network and the safety QP behind it: observation (N, SIZE) -> action (N, 2); module docstring."""

    def __init__(
        self,
        net: nn.Module,
        gamma: float = 0.2,
        v_max: float = 1.0,
        omega_max: float = 2.84,
        weights: tuple[float, float] = (150.0, 1.0),
        v_min: float = 0.0,
        share_min: float = 1.0,
        defers: bool = False,
    ) -> None:
        """Put the QP behind ``net``: observation -> u_nom (N, 2), and z (N, 3) where ``share_min`` < 1.

        Args:
            net: its type is the type of the action.
            gamma: the filter's decay per control step.
            v_max, omega_max: limits [m/s, rad/s] of the robot whose metric is used.
            weights: the filter's, of v [m/s] and omega [rad/s].
            v_min: over v_max, in [-1, 0].
            share_min: s_min, in (0, 1]; 1: the gain is not adapted.
            defers: whether the filter's ladder is asked where the QP denies every action, or every turn at a stand.

        Raises:
            ValueError: a number is out of its range.
        """
        super().__init__()
        metric = action_weights(weights, v_max, omega_max)
        if not (0.0 < share_min <= 1.0 and all(0.0 < w < math.inf for w in metric)):
            raise ValueError(
                f"share_min = {share_min!r}, weights = {metric!r}: allowed: (0, 1] and positive ones"
            )
        self.net = net
        self.rows = ObservationRows(gamma, v_min)
        self.bounds, self.share_min, self.v_min, self.defers = BOUNDS, share_min, v_min, defers
        self.register_buffer("scale", scale_of(torch.tensor(metric, dtype=torch.float64)), persistent=False)

    def nominal(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        """What the network asks: u_nom (N, 2), and s (N, 1) (1 where the gain is not adapted)."""
        asked = self.net(observation)
        if self.share_min < 1.0:
            return asked[:, :2], self.share_min + (1.0 - self.share_min) * torch.sigmoid(asked[:, 2:3])
        return asked, torch.ones_like(asked[:, :1])

    def forward(self, observation: Tensor) -> Tensor:
        """Actions (N, 2) = (v / v_max, omega / omega_max)."""
        nominal, share = self.nominal(observation)
        if nominal.shape[0] == 0:
            return nominal
        rows = self.tightened(self.rows.stacked(observation), share)
        u, feasible, _active = solve_rows(rows, nominal.t().to(torch.float64), self.scale)
        return self.settled(nominal, u, feasible)

    def tightened(self, rows: Tensor, share: Tensor) -> Tensor:
        """Rows (3, m, N) under the gains s gamma."""
        if self.share_min < 1.0:
            bounds, b = rows[2].split([self.bounds, rows.shape[1] - self.bounds], 0)
            b = shared_budgets(b, share[:, 0].to(torch.float64))
            rows = torch.cat([rows[:2], torch.cat([bounds, b], 0).unsqueeze(0)], 0)
        return rows

    def settled(self, nominal: Tensor, u: Tensor, feasible: Tensor) -> Tensor:
        """Actions (N, 2) of solutions (2, N) and where there is one (N,), or what the filter is asked instead."""
        action = u.t().to(nominal.dtype)
        if self.defers:
            v, omega = nominal.split(1, 1)
            asked = torch.cat([v.clamp(self.v_min, 1.0), omega.clamp(-1.0, 1.0)], 1)
            asks = left_to_filter(action, nominal, feasible)
            action = torch.where(asks.unsqueeze(1), asked, action)
        return action

"""Every cycle against itself: do barriers, states, commands and limits of a recording accord with one another.

This file does not use the filter, only the recorded messages, the arena announced for the episode and
what the manifest says of bodies.  Virtual control point: q = p + d (cos theta, sin theta), where
(p, theta) is the pose at which the robot would come to rest: with first-order lag tau it runs on for v tau and
omega tau, an arc; without lag it is the pose itself.

    wall_east     L - r - d - m - q_x      (and its mirrors west, north, south)
    obstacle_i    |q - o_i|^2 - (R_i + r + d + m)^2
    opponent      |q - p_o|^2 - (r + r_o + d + m)^2

m is the margin that the cycle says it kept from that barrier; whether it is what it must be is for
``./pe bag BAG --audit`` to say.

The filter works on states predicted to the time its command acts.  Each cycle records the states it used and
the stamps of the messages behind them.  Three things are checked: the recorded h against the states used;
these states against the messages (a robot cannot have moved further than its speed allows); commands against
the robot's limits, and cmd_vel against the recorded command.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pe_core.arena import Arena
from pe_core.robot import RobotModel
from pe_evaluation.bag import Episode, RobotLog, Run, Status, Stream
from pe_evaluation.metrics import ROLES

_OWN = ("state_x", "state_y", "state_theta", "state_v", "state_omega")
_OPPONENT = ("opponent_x", "opponent_y", "opponent_theta", "opponent_v", "opponent_omega")
_COMMAND = ("command_v", "command_omega")
BARRIER_TOLERANCE = 1e-9
COMMAND_TOLERANCE = 1e-9


def barriers(
    own: NDArray[np.float64],
    opponent: NDArray[np.float64],
    robot: RobotModel,
    opponent_radius: float,
    arena: Arena,
    margins: Mapping[str, NDArray[np.float64]] | None = None,
) -> dict[str, NDArray[np.float64]]:
    """Every named barrier, shape (n,), from the formulas of this module's docstring.

    Args:
        own: states (x, y, theta, v, omega), shape (n, 5) [m, m, rad, m/s, rad/s]; NaN rows give NaN.
        opponent: likewise, shape (n, >= 2).
        robot: body radius and offset of the virtual control point.
        opponent_radius: body radius of the other robot [m].
        arena: half side and obstacles.
        margins: m by name, shape (n,) [m]; 0 where absent.
    """
    kept = margins or {}
    d, r = robot.vcp_offset, robot.radius
    # An arc of length v tau that turns by omega tau ends a chord away, halfway between both headings.
    turn = own[:, 4] * robot.lag
    chord = own[:, 3] * robot.lag * np.sinc(0.5 * turn / np.pi)
    q_x = own[:, 0] + chord * np.cos(own[:, 2] + 0.5 * turn) + d * np.cos(own[:, 2] + turn)
    q_y = own[:, 1] + chord * np.sin(own[:, 2] + 0.5 * turn) + d * np.sin(own[:, 2] + turn)
    walls = {"wall_east": -q_x, "wall_west": q_x, "wall_north": -q_y, "wall_south": q_y}
    reach = arena.half_side - r - d
    values = {name: reach - kept.get(name, 0.0) + offset for name, offset in walls.items()}
    for i, (x, y, radius) in enumerate(arena.obstacles):
        chi = radius + r + d + kept.get(f"obstacle_{i}", 0.0)
        values[f"obstacle_{i}"] = (q_x - x) ** 2 + (q_y - y) ** 2 - chi**2
    chi = r + opponent_radius + d + kept.get("opponent", 0.0)
    values["opponent"] = (q_x - opponent[:, 0]) ** 2 + (q_y - opponent[:, 1]) ** 2 - chi**2
    return values


def audit_run(run: Run) -> dict[str, Any]:
    """The audit of a whole run.

    ``passed`` is None where there was nothing to check, and where differences may come from robots that are not
    those that were assumed for want of a manifest.
    """
    parts = [audit_episode(run, episode, role) for role in ROLES for episode in run.episodes]
    return audit_of(parts, run.profiles_known)


def audit_episode(run: Run, episode: Episode, role: str) -> dict[str, Any]:
    """The audit of one robot in one episode, for :func:`audit_of`."""
    return _audit_robot(run.robots[role], run.robots[_other(role)], episode, role)


def audit_of(parts: Sequence[dict[str, Any]], profiles_known: bool) -> dict[str, Any]:
    """The audit of a run from those of its episodes; ``profiles_known``: see :class:`pe_evaluation.bag.Run`."""
    result: dict[str, Any] = {"cycles": 0, "max_barrier_difference": None, "barriers": {}}
    worst: dict[str, float] = {}
    for part in parts:
        result["cycles"] += part["cycles"]
        for name, difference in part["barriers"].items():
            worst[name] = max(worst.get(name, 0.0), difference)
    result["barriers"] = dict(sorted(worst.items()))
    result["values"] = sum(part["values"] for part in parts)
    result["max_barrier_difference"] = max(worst.values(), default=None)
    for key in ("max_command_difference", "max_limit_excess", "max_state_excess_m"):
        known = [part[key] for part in parts if part[key] is not None]
        result[key] = max(known, default=None)
    for key in ("unknown_barriers", "missing_barriers", "states_without_message", "commands_without_status"):
        result[key] = sum(part[key] for part in parts)
    result["worst"] = _worst(parts)
    result["profiles_known"] = profiles_known
    result["passed"] = _verdict(result)
    if result["passed"] is False and not profiles_known:
        result["passed"] = None
    return result


def _other(role: str) -> str:
    return ROLES[1 - ROLES.index(role)]


def _worst(parts: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    rows = [part["worst"] for part in parts if part["worst"] is not None]
    # Of equal ones the first, in whatever order the episodes were audited.
    return max(rows, key=lambda row: (row["difference"], -row["episode"], row["robot"]), default=None)


def _verdict(result: Mapping[str, Any]) -> bool | None:
    if not result["values"]:
        return None
    return (
        result["max_barrier_difference"] <= BARRIER_TOLERANCE
        and (result["max_command_difference"] or 0.0) <= COMMAND_TOLERANCE
        and (result["max_limit_excess"] or 0.0) <= COMMAND_TOLERANCE
        and (result["max_state_excess_m"] or 0.0) <= BARRIER_TOLERANCE
        and result["unknown_barriers"] == 0
    )


def _audit_robot(log: RobotLog, other: RobotLog, episode: Episode, role: str) -> dict[str, Any]:
    low, high = episode.cycle_window()
    status = log.status.window(low, high)
    model, rival = log.model, other.model
    own, own_lost = _states(status, _OWN, "state_stamp_ns", log.state)
    opponent, opponent_lost = _states(status, _OPPONENT, "opponent_stamp_ns", other.state)
    margins = {key[2:]: column for key, column in status.values.items() if key.startswith("m/")}
    expected = barriers(own, opponent, model, rival.radius, episode.arena, margins)
    largest: dict[str, float] = {}
    worst: dict[str, Any] | None = None
    values = 0
    for name, recorded in status.barriers.items():
        if name not in expected:
            continue
        difference = np.abs(recorded - expected[name])
        known = np.isfinite(difference)
        values += int(known.sum())
        if not known.any():
            continue
        at = int(np.nanargmax(difference))
        largest[name] = float(difference[at])
        if worst is None or largest[name] > worst["difference"]:
            worst = {
                "difference": largest[name],
                "barrier": name,
                "robot": role,
                "episode": episode.index,
                "step": round((int(status.stamp_ns[at]) - episode.start_ns) * 1e-9 / episode.dt),
                "recorded": float(recorded[at]),
                "expected": float(expected[name][at]),
            }
    blank = np.full(len(status), np.nan)
    active = np.array([mode == "active" for mode in status.mode], dtype=bool)
    excess = [
        _motion_excess(status, _OWN, "state_stamp_ns", log.state, model),
        _motion_excess(status, _OPPONENT, "opponent_stamp_ns", other.state, rival),
    ]
    found = [value for value in excess if value is not None]
    command = log.command.window(low, high)
    difference_of_commands, unmatched = _command_difference(status, command)
    return {
        "cycles": len(status),
        "values": values,
        "barriers": largest,
        "worst": worst,
        "unknown_barriers": sum(
            int(np.isfinite(column).sum()) for name, column in status.barriers.items() if name not in expected
        ),
        "missing_barriers": sum(
            int((active & np.isfinite(column) & ~np.isfinite(status.barriers.get(name, blank))).sum())
            for name, column in expected.items()
        ),
        "states_without_message": own_lost + opponent_lost,
        "max_state_excess_m": max(found, default=None),
        "max_command_difference": difference_of_commands,
        "commands_without_status": unmatched,
        "max_limit_excess": limit_excess(command.values, model),
    }


def _states(
    status: Status, keys: tuple[str, ...], stamp_key: str, messages: Stream
) -> tuple[NDArray[np.float64], int]:
    """The states a cycle used: as recorded, else the message it names; and how many lack a message."""
    used = status.columns(*keys)
    rows, found = _messages_of(status, stamp_key, messages)
    blank = ~np.isfinite(used[:, :3]).all(axis=1)
    used[blank & found] = messages.values[rows[blank & found]]
    named = status.stamps.get(stamp_key, np.full(len(status), -1)) >= 0
    return used, int((named & ~found).sum())


def _messages_of(
    status: Status, stamp_key: str, messages: Stream
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """For every cycle the row of the message stamped ``stamp_key``, and whether there is one."""
    stamps = status.stamps.get(stamp_key)
    if stamps is None or not len(messages):
        return np.zeros(len(status), dtype=np.intp), np.zeros(len(status), dtype=bool)
    rows = np.minimum(np.searchsorted(messages.stamp_ns, stamps), len(messages) - 1)
    return rows, messages.stamp_ns[rows] == stamps


def _motion_excess(
    status: Status, keys: tuple[str, ...], stamp_key: str, messages: Stream, model: RobotModel
) -> float | None:
    """How much further [m] a used state is from its message than the robot can have moved meanwhile.

    The time is the age of the message at the cycle, one control period ahead (delay and lag included).
    """
    used = status.columns(*keys)
    rows, found = _messages_of(status, stamp_key, messages)
    found &= np.isfinite(used[:, :3]).all(axis=1)
    if not found.any():
        return None
    moved = np.hypot(*(used[found, :2] - messages.values[rows[found], :2]).T)
    age = (status.stamp_ns[found] - messages.stamp_ns[rows[found]]) * 1e-9
    horizon = np.maximum(age, 0.0) + model.delay + model.lag
    speed = max(model.v_max, -model.v_min)
    return float(np.maximum(moved - speed * horizon, 0.0).max())


def _command_difference(status: Status, command: Stream) -> tuple[float | None, int]:
    """Largest difference of cmd_vel to the command recorded with its stamp, and commands without a record."""
    recorded = status.columns(*_COMMAND)
    if not len(command):
        return None, 0
    stamps, first, second = np.intersect1d(status.stamp_ns, command.stamp_ns, return_indices=True)
    unmatched = int((~np.isin(command.stamp_ns, stamps)).sum())
    difference = np.abs(recorded[first] - command.values[second])
    difference = difference[np.isfinite(difference)]
    return (float(difference.max()) if difference.size else None), unmatched


def limit_excess(command: NDArray[np.float64], model: RobotModel) -> float | None:
    """How far commands (n, 2) lie outside the robot's box and wheel limits at most; None without any."""
    if not len(command):
        return None
    v, omega = command[:, 0], command[:, 1]
    excess = [v - model.v_max, model.v_min - v, np.abs(omega) - model.omega_max]
    if model.track > 0.0:
        excess.append(np.abs(v) + 0.5 * model.track * np.abs(omega) - model.wheel_speed_max)
    if not np.isfinite(command).all():
        return float("inf")
    return float(max(0.0, max(part.max() for part in excess)))

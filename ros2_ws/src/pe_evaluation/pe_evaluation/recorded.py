"""What a recorded run was, episode by episode, from its bag alone.

Outcome, steps, margins and violations come from the true poses in ``ground_truth``; what the sim reported in
its "end" events is compared with them and differences are named.  Interventions and tiers come from the
safety nodes' status.  Latencies are differences of wall times of receipt:

    control_period_ms     between the cmd_vel of consecutive stamps of one robot within an episode
    odom_to_command_ms    from the odom that a cycle's state stands on to that cycle's cmd_vel
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pe_evaluation.bag import Episode, Run, Status, Stream
from pe_evaluation.metrics import (
    CAPTURE,
    INTERRUPTED,
    ROLES,
    TIMEOUT,
    EpisodeRecord,
    RobotCounts,
    body_margins,
    count_robot,
    count_violations,
)

_MARGIN_TOLERANCE = 1e-9


@dataclasses.dataclass(frozen=True, eq=False)
class Trace:
    """One episode as arrays: n + 1 samples of truth, and per robot what was sent and decided.

    ``time`` [s] from the start of the episode, ``poses`` per role (n+1, 5), ``margins`` (n+1, 2) [m],
    ``distance`` (n+1,) of the centres [m]; ``nominal``, ``command`` and ``status`` per role.
    """

    episode: Episode
    time: NDArray[np.float64]
    poses: dict[str, NDArray[np.float64]]
    margins: NDArray[np.float64]
    distance: NDArray[np.float64]
    nominal: dict[str, Stream]
    command: dict[str, Stream]
    status: dict[str, Status]
    true_poses: bool
    record: EpisodeRecord

    def since_start(self, stamp_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        """Stamps as seconds from the start of the episode."""
        return np.asarray((stamp_ns - self.episode.start_ns) * 1e-9)


def trace_of(run: Run, episode: Episode) -> Trace:
    """The arrays and the record of one episode."""
    truth = {role: episode.samples(run.robots[role].ground_truth) for role in ROLES}
    true_poses = all(len(stream) for stream in truth.values())
    if not true_poses:
        # Real robots have no ground truth: the estimates serve for pictures, never for counts.
        truth = _on_grid(episode, {role: episode.samples(run.robots[role].state) for role in ROLES})
    common, first, second = np.intersect1d(
        truth["pursuer"].stamp_ns, truth["evader"].stamp_ns, return_indices=True
    )
    poses = {"pursuer": truth["pursuer"].values[first], "evader": truth["evader"].values[second]}
    radii = (run.robots["pursuer"].model.radius, run.robots["evader"].model.radius)
    margins = body_margins(poses["pursuer"], poses["evader"], radii, episode.arena)
    gap = poses["pursuer"][:, :2] - poses["evader"][:, :2]
    distance = np.hypot(gap[:, 0], gap[:, 1])
    low, high = episode.cycle_window()
    status = {role: run.robots[role].status.window(low, high).distinct() for role in ROLES}
    time = (common - episode.start_ns) * 1e-9
    record = _record(episode, time, margins, distance, status, true_poses)
    return Trace(
        episode,
        time,
        poses,
        margins,
        distance,
        {role: run.robots[role].nominal.window(low, high).distinct() for role in ROLES},
        {role: run.robots[role].command.window(low, high).distinct() for role in ROLES},
        status,
        true_poses,
        record,
    )


def _on_grid(episode: Episode, states: Mapping[str, Stream]) -> dict[str, Stream]:
    """Estimates of two robots at the same times, interpolated: each is stamped when its robot's odometry came.

    Unchanged where they have stamps in common, as in a simulation; empty where no time lies within both.
    """
    first, second = (states[role].distinct() for role in ROLES)
    shared = np.intersect1d(first.stamp_ns, second.stamp_ns)
    if not len(first) or not len(second) or 2 * len(shared) > min(len(first), len(second)):
        return dict(states)
    period = round(episode.dt * 1e9)
    low = max(int(stream.stamp_ns[0]) for stream in (first, second)) - episode.start_ns
    high = min(int(stream.stamp_ns[-1]) for stream in (first, second)) - episode.start_ns
    grid = episode.start_ns + period * np.arange(max(-(-low // period), 0), high // period + 1, dtype=np.int64)
    found = {}
    for role, stream in zip(ROLES, (first, second), strict=True):
        values = stream.values.copy()
        values[:, 2] = np.unwrap(values[:, 2])
        since, wanted = (times - episode.start_ns for times in (stream.stamp_ns, grid))
        columns = [np.interp(wanted, since, column) for column in values.T]
        found[role] = Stream(grid, grid, np.stack(columns, axis=1).reshape(len(grid), values.shape[1]))
    return found


def _record(
    episode: Episode,
    time: NDArray[np.float64],
    margins: NDArray[np.float64],
    distance: NDArray[np.float64],
    status: Mapping[str, Status],
    true_poses: bool,
) -> EpisodeRecord:
    reported = episode.end or {}
    robots = {role: _counts(rows) for role, rows in status.items() if len(rows)}
    if not true_poses or not len(time):
        outcome = str(reported.get("outcome", INTERRUPTED))
        steps = int(reported.get("steps") or max((counts.steps for counts in robots.values()), default=0))
        return EpisodeRecord(
            episode.index,
            outcome,
            steps,
            episode.dt,
            steps * episode.dt if outcome == CAPTURE else None,
            math.nan,
            None,
            robots,
            episode.seed,
        )
    caught = np.flatnonzero(distance <= episode.capture_radius)
    steps = round(float(time[-1]) / episode.dt)
    outcome = INTERRUPTED
    if len(caught):
        outcome = CAPTURE
    elif steps >= round(episode.max_time / episode.dt):
        outcome = TIMEOUT
    return EpisodeRecord(
        episode.index,
        outcome,
        steps,
        episode.dt,
        round(float(time[caught[0]]) / episode.dt) * episode.dt if len(caught) else None,
        float(margins.min()),
        count_violations(margins),
        robots,
        episode.seed,
    )


def _counts(status: Status) -> RobotCounts:
    intervened = status.column("intervened") > 0.5
    return count_robot(
        status.tier, intervened, status.column("correction"), status.column("infeasible"), status.reason,
        status.column("feasibility"),
    )  # fmt: skip


def differences(trace: Trace) -> list[str]:
    """What the sim reported about an episode and the recorded poses do not confirm."""
    episode, record = trace.episode, trace.record
    name = f"episode {episode.index}"
    if not trace.true_poses:
        return []
    found = []
    missing = record.steps + 1 - len(trace.time)
    if missing > 0:
        found.append(f"{name}: {missing} of {record.steps + 1} samples of ground_truth are missing")
    if episode.end is None:
        return [*found, f"{name}: its end was not recorded"]
    ours: dict[str, Any] = {
        "outcome": record.outcome,
        "steps": record.steps,
        "violations": record.violations,
        "min_margin_m": record.min_margin,
    }
    for key, value in ours.items():
        reported = episode.end.get(key)
        if reported is None:
            continue
        if isinstance(value, float):
            same = abs(value - float(reported)) <= _MARGIN_TOLERANCE
        else:
            same = value == reported
        if not same and not (key == "outcome" and reported == INTERRUPTED):
            found.append(f"{name}: {key} is {value} by the recorded poses, {reported} by the sim")
    return found


def missing_samples(run: Run, traces: Sequence[Trace]) -> tuple[dict[str, int], set[str]]:
    """By topic the control steps for which it holds no message of that stamp; and the topics that hold any.

    In lockstep every node answers every step, so what is missing was lost on the way to the recorder; in real
    time a node may also have had nothing to say.
    """
    missing: dict[str, int] = {}
    present: set[str] = set()
    for role in ROLES:
        log = run.robots[role]
        streams: dict[str, Stream | Status] = {
            "ground_truth": log.ground_truth,
            "odom": log.odom,
            "state": log.state,
            "cmd_vel_nominal": log.nominal,
            "cmd_vel": log.command,
            "safety/status": log.status,
        }
        for name, stream in streams.items():
            topic = f"/{role}/{name}"
            missing[topic] = sum(_absent(stream.stamp_ns, trace) for trace in traces)
            if len(stream):
                present.add(topic)
    return missing, present


def _absent(stamp_ns: NDArray[np.int64], trace: Trace) -> int:
    episode, steps = trace.episode, trace.record.steps
    period = round(episode.dt * 1e9)
    low, high = np.searchsorted(stamp_ns, (episode.start_ns, episode.start_ns + steps * period))
    found = np.unique((stamp_ns[low:high] - episode.start_ns) // period).size
    return max(steps - int(found), 0)


def control_periods(run: Run) -> dict[str, NDArray[np.float64]]:
    """Wall time between the cmd_vel of consecutive stamps of one robot within an episode [ms]."""
    periods = {}
    for role in ROLES:
        parts = []
        for episode in run.episodes:
            command = run.robots[role].command.window(*episode.cycle_window()).distinct()
            parts.append(np.diff(np.sort(command.log_ns)) * 1e-6)
        periods[role] = np.concatenate(parts) if parts else np.empty(0)
    return periods


def odom_to_command(run: Run) -> dict[str, NDArray[np.float64]]:
    """Wall time from receipt of odom to receipt of the cmd_vel that rests on it [ms], within episodes.

    In lockstep both have the same stamp.  Elsewhere the status with the command's stamp names the stamp of the
    state it used, which is that of the odometry behind it.
    """
    delays = {}
    for role in ROLES:
        log = run.robots[role]
        odom, command, status = log.odom, log.command, log.status
        source = command.stamp_ns.copy()
        stamps, first, second = np.intersect1d(command.stamp_ns, status.stamp_ns, return_indices=True)
        named = status.stamps.get("state_stamp_ns", np.full(len(status), -1))[second]
        source[first[named >= 0]] = named[named >= 0]
        inside = np.zeros(len(command), dtype=bool)
        for episode in run.episodes:
            low, high = episode.cycle_window()
            inside |= (command.stamp_ns >= low) & (command.stamp_ns <= high)
        # A message sent twice counts by its first receipt; a state used again tells nothing new.
        rows = np.flatnonzero(inside)
        _, first, second = np.intersect1d(odom.stamp_ns, source[rows], return_indices=True)
        delays[role] = (command.log_ns[rows[second]] - odom.log_ns[first]) * 1e-6
    return delays


def solve_times(run: Run) -> dict[str, NDArray[np.float64]]:
    """Solve times that the safety nodes reported [us]."""
    return {role: run.robots[role].status.column("solve_time_us") for role in ROLES}

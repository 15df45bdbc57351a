"""What the referee knows: poses at control instants, the rules on them, and why an episode may not begin; pure."""

from __future__ import annotations

import dataclasses
import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pe_core.arena import ArenaConfig
from pe_core.robot import RobotModel
from pe_core.rules import Outcome
from pe_core.scenario import Layout
from pe_core.unicycle import wrap_angle
from pe_nodes.heartbeats import ESTIMATOR, INITIAL_POSE, LISTENERS, NOMINAL, RECORDER, UNPUBLISHED
from pe_nodes.score import Score

KEPT = 400
HEARTBEAT = 1.0
GAP_MOST = 0.25
"""Longest time [s] between two poses over which one is interpolated: longer, and nobody knows where the robot was."""


def with_time(arena: ArenaConfig, max_time: float) -> ArenaConfig:
    """The arena with episodes of at most ``max_time`` [s]; unchanged where that is 0."""
    return dataclasses.replace(arena, max_time=max_time) if max_time > 0.0 else arena


class PoseTrack:
    """Stamped poses of one robot, and where it was at an instant between two of them."""

    def __init__(self) -> None:
        self._rows: deque[tuple[int, float, float, float]] = deque(maxlen=KEPT)

    def add(self, stamp_ns: int, x: float, y: float, theta: float) -> bool:
        """Take a pose; False where it is not finite, or not newer than the last."""
        if not all(map(math.isfinite, (x, y, theta))) or (self._rows and stamp_ns <= self._rows[-1][0]):
            return False
        self._rows.append((stamp_ns, x, y, theta))
        return True

    def clear(self) -> None:
        """Forget everything."""
        self._rows.clear()

    @property
    def newest_ns(self) -> int:
        """Stamp of the newest pose, -1 before the first."""
        return self._rows[-1][0] if self._rows else -1

    def newest(self) -> NDArray[np.float64] | None:
        """The newest pose (3,), None before the first."""
        return np.array(self._rows[-1][1:]) if self._rows else None

    def at(self, stamp_ns: int) -> NDArray[np.float64] | None:
        """(x, y, theta, v, omega) at ``stamp_ns``: between the two poses about it, linear in position and heading.

        v is the way along the mean heading over the time between the two.  None where the instant does not lie
        between two poses less than ``GAP_MOST`` apart.
        """
        later: tuple[int, float, float, float] | None = None
        for row in reversed(self._rows):
            if row[0] < stamp_ns or (row[0] == stamp_ns and later is not None):
                return _between(row, later, stamp_ns) if later is not None else None
            if row[0] == stamp_ns and later is None:
                later = row
                continue
            later = row
        return None


def _between(
    first: tuple[int, float, float, float], second: tuple[int, float, float, float], stamp_ns: int
) -> NDArray[np.float64] | None:
    span = (second[0] - first[0]) / 1e9
    if span > GAP_MOST:
        return None
    share = (stamp_ns - first[0]) / 1e9 / span
    dx, dy, turn = second[1] - first[1], second[2] - first[2], wrap_angle(second[3] - first[3])
    middle = first[3] + 0.5 * turn
    v = (dx * math.cos(middle) + dy * math.sin(middle)) / span
    theta = wrap_angle(first[3] + share * turn)
    return np.array([first[1] + share * dx, first[2] + share * dy, theta, v, turn / span])


class Match(Score):
    """One episode that a referee watches.

    Attributes:
        step: control instants judged, -1 before the start was.
    """

    def __init__(self, layout: Layout, config: ArenaConfig, robots: tuple[RobotModel, RobotModel]) -> None:
        super().__init__(layout, config, robots)
        self.step = -1
        self._states = (np.zeros(5), np.zeros(5))

    @property
    def states(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Both at the last instant that was judged."""
        return self._states

    def judge(self, pursuer: NDArray[np.float64], evader: NDArray[np.float64]) -> Outcome:
        """Both robots at the next control instant; the first call judges the start."""
        self.step += 1
        self._states = (pursuer, evader)
        margin = self.look()
        return self.end_step(margin) if self.step else self.outcome


def off_start(
    pose: NDArray[np.float64], start: NDArray[np.float64], tolerance: float, heading_tolerance: float
) -> str:
    """How far a robot is from its start, where that is too far; else nothing."""
    gap = math.hypot(pose[0] - start[0], pose[1] - start[1])
    turn = abs(wrap_angle(float(pose[2] - start[2])))
    if gap <= tolerance and turn <= heading_tolerance:
        return ""
    return (
        f"is {gap:.2f} m and {math.degrees(turn):.0f} deg from its start "
        f"({start[0]:.2f}, {start[1]:.2f}, {math.degrees(start[2]):.0f} deg)"
    )


@dataclasses.dataclass
class Word:
    """What one node said of itself last, and when (monotonic [s])."""

    at: float
    level: int
    message: str
    values: Mapping[str, str]


@dataclasses.dataclass
class Hearing:
    """Heartbeats of the nodes of both robots, by name."""

    silence: float = 3.0
    words: dict[str, Word] = dataclasses.field(default_factory=dict)

    def hear(self, statuses: Sequence[Any], now: float) -> None:
        """Take diagnostic_msgs/DiagnosticStatus at ``now`` [s]."""
        for status in statuses:
            values = {pair.key: pair.value for pair in status.values}
            self.words[status.name] = Word(now, int.from_bytes(status.level, "little"), status.message, values)

    def missing(self, names: Sequence[str], now: float) -> list[str]:
        """Those of ``names`` that said nothing for ``silence`` [s]."""
        return [name for name in names if name not in self.words or now - self.words[name].at > self.silence]

    def unready(self, namespace: str, bundle: str, now: float) -> list[str]:
        """Why the robot below ``namespace`` may not begin: nodes missing or in error, another policy, not armed."""
        policy, safety = f"/{namespace}/policy", f"/{namespace}/safety"
        found = [f"{name} is not heard" for name in self.missing((policy, safety), now)]
        if found:
            return found
        plays = self.words[policy].values
        if bundle and plays.get("bundle_sha256") != bundle:
            found.append(f"{policy} plays {plays.get('bundle', 'nobody knows what')}, which the referee was not told")
        word = self.words[safety]
        if word.values.get("armed") != "yes":
            why = word.values.get("refused", "")
            found.append(f"{namespace} is not armed" + (f" and would be refused: {why}" if why else ""))
        return found

    def unrecorded(self, namespace: str, recorded: bool, now: float) -> list[str]:
        """Why a bag would lack the first nominal commands of the robot below ``namespace``.

        Discovery over a network that loses a message takes three seconds more, and what is said before is lost.  The
        referee's recorder must be heard where ``recorded``, the robot's own need not exist; whoever says nothing of
        its links is believed to have them.
        """
        found, policy, nominal = [], f"/{namespace}/policy", f"/{namespace}/{NOMINAL}"
        for recorder, needed in ((f"/{RECORDER}", recorded), (f"/{namespace}/{RECORDER}", False)):
            if self.missing([recorder], now):
                found += [f"{recorder} is not heard"] if needed else []
                continue
            listeners = self.words[policy].values.get(LISTENERS) if policy in self.words else None
            unlinked = listeners is not None and recorder not in listeners.split()
            if unlinked or nominal in self.words[recorder].values.get(UNPUBLISHED, "").split():
                found.append(f"{recorder} is not yet connected with {policy}")
        return found

    def untold(self, namespace: str, stamp_ns: int) -> bool:
        """Whether the estimator below ``namespace`` says that it has not taken the initial pose of ``stamp_ns``.

        One that says nothing of it, because it is not heard or another's, is believed to know.
        """
        word = self.words.get(f"/{namespace}/{ESTIMATOR}")
        return word is not None and word.values.get(INITIAL_POSE, str(stamp_ns)) != str(stamp_ns)

    def halted(self, namespaces: Sequence[str], episode_age: float) -> str:
        """Which robot no longer plays: its safety node has a fault, or was disarmed; heartbeats are a second old."""
        if episode_age < 2.0 * HEARTBEAT:
            return ""
        for namespace in namespaces:
            word = self.words.get(f"/{namespace}/safety")
            if word is not None and word.message.startswith("fault: "):
                return f"{namespace}: {word.message}"
            if word is not None and word.values.get("armed") != "yes":
                return f"{namespace} was disarmed"
        return ""

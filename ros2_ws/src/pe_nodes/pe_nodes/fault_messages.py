"""What faults do to messages; pure: times are arguments, random numbers come from a seed.

A message goes through the faults of its topic one after the other.  Each is a step that takes a message and gives
(delay [s], message) pairs, none where the message is lost.
"""

from __future__ import annotations

import copy
import heapq
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pe_core.randomness import generator
from pe_core.unicycle import wrap_angle
from pe_nodes import faults
from pe_nodes.faults import Fault
from pe_nodes.messages import NANO, set_pose, set_stamp, stamp_ns, yaw_of

Timed = tuple[float, Any]


def pose_of(message: Any) -> Any:
    """The geometry_msgs/Pose in a message, None where it has none."""
    outer = getattr(message, "pose", None)
    return getattr(outer, "pose", outer)


def twist_of(message: Any) -> Any:
    """The geometry_msgs/Twist in a message, None where it has none."""
    outer = getattr(message, "twist", None)
    return getattr(outer, "twist", outer)


class Step:
    """One fault at work on one topic; ``dt`` [s] is the control period."""

    def __init__(self, fault: Fault, random: np.random.Generator, dt: float) -> None:
        self.fault = fault
        self._random = random
        self._dt = dt
        self._held: list[Any] = []
        self._kept: Any = None
        self._last: tuple[float, float] | None = None
        self._spiked = -math.inf

    def take(self, message: Any, time: float) -> list[Timed]:
        """What becomes of a message that comes ``time`` [s] after the start of the episode."""
        fault = self.fault
        match fault:
            case faults.Drop():
                return [] if self._random.random() < fault.probability else [(0.0, message)]
            case faults.Delay():
                return [(fault.delay + fault.jitter * self._random.random(), message)]
            case faults.Duplicate():
                return [(0.0, message)] * fault.copies
            case faults.Reorder():
                self._held.append(message)
                return self.rest() if len(self._held) >= fault.window else []
            case faults.NotFinite():
                spoil(message, float(fault.value), fault.fields)
            case faults.Frozen():
                self._freeze(message, fault.stamps == "frozen")
            case faults.Jump():
                displace(message, fault.dx, fault.dy, fault.turn)
            case faults.YawSpike():
                self._spike(message, fault.every)
            case faults.ClockError():
                set_stamp(message.header.stamp, shifted(stamp_ns(message.header.stamp), fault.offset(time)))
        return [(0.0, message)]

    def rest(self) -> list[Timed]:
        """What is held back, newest first."""
        held, self._held = self._held, []
        return [(0.0, message) for message in reversed(held)]

    def end(self) -> list[Timed]:
        """The fault has ended: forget, and give what was held back."""
        self._kept = self._last = None
        self._spiked = -math.inf
        return self.rest()

    def _freeze(self, message: Any, stamp: bool) -> None:
        if self._kept is None:
            self._kept = copy.deepcopy(message)
        message.pose = copy.deepcopy(self._kept.pose)
        if twist_of(message) is not None:
            message.twist = copy.deepcopy(self._kept.twist)
        if stamp:
            message.header.stamp = copy.deepcopy(self._kept.header.stamp)

    def _spike(self, message: Any, every: float) -> None:
        yaw, stamp = yaw_of(pose_of(message).orientation), stamp_ns(message.header.stamp) / NANO
        last, self._last = self._last, (yaw, stamp)
        crossed = last is not None and abs(yaw - last[0]) > math.pi
        if crossed or (every and stamp - self._spiked >= every - 0.5 * self._dt):
            self._spiked = stamp
            sign = 1.0 if yaw <= 0.0 else -1.0
            twist_of(message).angular.z -= sign * 2.0 * math.pi / self._dt


def spoil(message: Any, value: float, fields: str) -> None:
    """Put ``value`` in place of numbers of a message."""
    pose, twist = pose_of(message), twist_of(message)
    if pose is not None and fields != "twist":
        pose.position.x = pose.position.y = pose.orientation.z = value
    if twist is not None and fields != "pose":
        twist.linear.x = twist.angular.z = value


def displace(message: Any, dx: float, dy: float, turn: float) -> None:
    """Displace the pose of a message in the frame it is given in."""
    pose = pose_of(message)
    yaw = wrap_angle(yaw_of(pose.orientation) + turn)
    set_pose(pose, pose.position.x + dx, pose.position.y + dy, yaw)


def shifted(nanoseconds: int, offset: float) -> int:
    """A stamp by a clock that is wrong by ``offset`` [s]; there is no time before zero."""
    return max(nanoseconds + round(offset * NANO), 0)


class FaultyTopic:
    """Messages of one topic on their way through its faults."""

    def __init__(self, target: str, active: Sequence[Fault], seed: int, dt: float) -> None:
        """For the faults that act on ``target``, in order."""
        self.target = target
        self._steps = [Step(f, generator(seed, i, f"faults/{target}"), dt) for i, f in enumerate(active)]
        self._acting = [False] * len(active)
        self._waiting: list[tuple[float, int, Any]] = []
        self._order = itertools.count()

    def offer(self, message: Any, episode: int, time: float) -> None:
        """Take a message at ``time`` [s] of an episode."""
        self._pass([(0.0, message)], 0, episode, time)

    def update(self, episode: int, time: float) -> None:
        """Let go of what ended faults have held back."""
        for i, step in enumerate(self._steps):
            acts = step.fault.acts(episode, time)
            if self._acting[i] and not acts:
                self._pass(step.end(), i + 1, episode, time)
            self._acting[i] = acts

    def due(self, time: float) -> list[Any]:
        """Messages to send at ``time`` [s], in the order in which they are due."""
        sent = []
        while self._waiting and self._waiting[0][0] <= time:
            sent.append(heapq.heappop(self._waiting)[2])
        return sent

    def clear(self) -> None:
        """Forget what is on its way (a new episode)."""
        self._waiting.clear()
        for step in self._steps:
            step.end()

    def _pass(self, timed: list[Timed], first: int, episode: int, time: float) -> None:
        for step in self._steps[first:]:
            if step.fault.acts(episode, time):
                timed = [(wait + more, m) for wait, message in timed for more, m in step.take(message, time)]
        for wait, message in timed:
            heapq.heappush(self._waiting, (time + wait if wait else -math.inf, next(self._order), message))

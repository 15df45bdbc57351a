"""A world moved on by exact times, with the velocity of both robots at every physics step.

Four properties of Gazebo 11 shape this:

- Messages on two connections may overtake one another, so the world could be let go before a velocity has arrived.
  All messages are handled in one thread, in the order in which they came; a request for ``physics_info`` is answered
  by that thread.  Its answer, asked for after the velocities were sent, says that they count.
- A link's velocities are published by the world itself at every step, but the last of them may lie in a queue until
  the next one is published.  So the last step of a batch is taken on its own, and pushes the others out; on a busy
  machine even that may be late, and what is missing comes with the next batch.
- That thread sleeps for up to a tenth of a second when a message comes while it handles the one before, for the wake-up
  is lost.  Whatever comes next wakes it, so a request is sent again while an answer or a step is waited for.
- ``multi_step`` replaces what is left of the one before, so one may follow only when the other is done.  A scan of
  the pose sensor, whose turn comes one step before the end of a batch, says so at once; the world's statistics, five
  times a second, where the scan was late.  The scan's pose may be that before or after the step of its time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from pe_gazebo import messages
from pe_gazebo.lidar import LIDAR_SENSOR
from pe_gazebo.messages import GIGA, LinkData, PoseScan
from pe_gazebo.server import Server
from pe_gazebo.worlds import POSE_SENSOR, WORLD

ANSWER = 60.0
"""Longest wait [s] for one batch of steps, on a machine that is busy."""
NUDGE = 0.001
"""Time [s] after which the server's thread of messages is woken again: see above."""
TAIL = 0.02
"""Wait [s] for the velocities of the last steps, once the world has taken them."""
_BASE = "base_link"


class Batch(NamedTuple):
    """What one robot did in a batch: its motion at every physics step, and the newest scan."""

    motions: list[LinkData]
    scan: PoseScan | None


class Stepper:
    """Moves the world of a server on, with robots named by their roles."""

    def __init__(self, server: Server, roles: tuple[str, ...], step: float, *, lidar: bool = False) -> None:
        """``step`` is the physics step [s]; ``lidar``: the robots have one.

        Raises:
            GazeboError: the world does not offer the topics.
        """
        self._server, self._transport, self._roles = server, server.transport, roles
        self._step_ns = round(step * GIGA)
        self._time_ns = self._target_ns = 0
        self._asked = self._answered = 0
        self._data: dict[str, list[LinkData]] = {role: [] for role in roles}
        self._scans: dict[str, PoseScan] = {}
        self._seen: list[tuple[str, PoseScan]] = []
        root = f"/gazebo/{WORLD}"
        self._control, self._request = f"{root}/world_control", f"{root}/request"
        self._velocity = {role: f"{root}/{role}/vel_cmd" for role in roles}
        heard: dict[str, tuple[str, Callable[[bytes], None]]] = {
            f"{root}/response": (messages.RESPONSE, self._on_response),
            f"{root}/world_stats": (messages.WORLD_STATISTICS, self._on_stats),
        }
        for role in roles:
            heard[f"{root}/{role}/{_BASE}/{POSE_SENSOR}/scan"] = (messages.SCAN, self._scanner(role))
            heard[f"{root}/{role}::{_BASE}"] = (messages.LINK_DATA, self._listener(role))
            if lidar:
                heard[f"{root}/{role}/{_BASE}/{LIDAR_SENSOR}/scan"] = (messages.SCAN, self._onlooker(role))
        for topic, (kind, handler) in heard.items():
            self._transport.subscribe(topic, kind, handler)
        self._transport.advertise(self._control, messages.WORLD_CONTROL)
        self._transport.advertise(self._request, messages.REQUEST)
        for topic in self._velocity.values():
            self._transport.advertise(topic, messages.POSE)
        said = [self._control, self._request, *self._velocity.values()]
        self._wait(lambda: all(map(self._transport.has_subscriber, said)), "nobody takes velocities")
        self._wait(
            lambda: all(map(self._transport.is_subscribed, heard)), "the robots' topics do not come up"
        )
        # One step before the batches begin, so that the pose sensor's turn comes one step before a batch ends.
        self._answer()
        self._go(1)

    def batch(self, velocities: Mapping[str, tuple[float, float]], steps: int) -> dict[str, Batch]:
        """Take ``steps`` (2 or more) physics steps under velocities (v [m/s], omega [rad/s]) by role.

        Returns what every robot did since the batch before.

        Raises:
            GazeboError: the server does not answer.
        """
        for role, (v, omega) in velocities.items():
            self._transport.publish(self._velocity[role], messages.velocity(v, omega))
        self._answer()
        self._go(steps - 1)
        self._go(1)
        self._transport.comes(self._complete, TAIL)
        taken = {role: Batch(data, self._scans.get(role)) for role, data in self._data.items()}
        self._data = {role: [] for role in self._roles}
        self._scans = {}
        return taken

    def seen(self) -> list[tuple[str, PoseScan]]:
        """What the lidars have seen since this was last asked, by role, oldest first."""
        seen, self._seen = self._seen, []
        return seen

    @property
    def time_ns(self) -> int:
        """Simulated time [ns] at the end of the last batch."""
        return self._target_ns

    def _complete(self) -> bool:
        return all(data and data[-1].time_ns >= self._target_ns for data in self._data.values())

    def _answer(self) -> None:
        """Wait until the server has handled everything that was sent."""
        self._asked += 1
        self._ask()
        self._nudged(lambda: self._answered >= self._asked, "a request is not answered")

    def _ask(self) -> None:
        self._transport.publish(self._request, messages.request(self._asked, "physics_info"))

    def _go(self, steps: int) -> None:
        """Take steps and wait for the end of the last."""
        self._target_ns += steps * self._step_ns
        self._transport.publish(self._control, messages.multi_step(steps))
        self._nudged(lambda: self._time_ns >= self._target_ns, "the world does not move on")

    def _nudged(self, condition: Callable[[], bool], failure: str) -> None:
        """Wait until ``condition`` holds; any message wakes the thread that overslept the one before."""
        self._server.until(condition, ANSWER, failure, self._ask, NUDGE)

    def _wait(self, condition: Callable[[], bool], failure: str) -> None:
        self._server.until(condition, ANSWER, failure)

    def _on_response(self, data: bytes) -> None:
        self._answered = max(self._answered, messages.answered(data))

    def _on_stats(self, data: bytes) -> None:
        self._time_ns = max(self._time_ns, messages.stats_time_ns(data))

    def _scanner(self, role: str) -> Callable[[bytes], None]:
        def scan(data: bytes) -> None:
            self._scans[role] = messages.pose_scan(data)
            self._time_ns = max(self._time_ns, self._scans[role].time_ns)

        return scan

    def _onlooker(self, role: str) -> Callable[[bytes], None]:
        return lambda data: self._seen.append((role, messages.pose_scan(data)))

    def _listener(self, role: str) -> Callable[[bytes], None]:
        def listen(data: bytes) -> None:
            motion = messages.link_data(data)
            self._time_ns = max(self._time_ns, motion.time_ns)
            self._data[role].append(motion)

        return listen

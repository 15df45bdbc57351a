"""One run with faults through real processes: driven while it is played, judged by its bag."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from diagnostic_msgs.msg import DiagnosticArray
from numpy.typing import NDArray
from rosgraph_msgs.msg import Clock
from std_msgs.msg import String
from std_srvs.srv import Trigger

from pe_evaluation.bag import Status, read_run
from pe_evaluation.recorded import trace_of
from pe_nodes import qos
from pe_nodes.messages import NANO, stamp_ns
from pe_nodes.settings import ROLES

MOVING, STILL = 0.05, 1e-3
"""Above the one [m/s or rad/s] a robot counts as moving, below the other as standing still."""


class FaultRun:
    """A launch with ``faults``; times are simulated seconds since the start of its one episode."""

    def __init__(self, processes: Any, probe: Any, folder: Path, faults: list[dict[str, Any]], *words: str) -> None:
        self.probe, self._processes = probe, processes
        self.out = folder / "out"
        plan = folder / "plan.yaml"
        plan.write_text(yaml.safe_dump({"seed": 0, "faults": faults}))
        probe.listen(String, "/episode", qos.LATCHED)
        probe.listen(String, "/faults", qos.LATCHED)
        probe.listen(Clock, "/clock", qos.CLOCK)
        for role in ROLES:
            probe.listen(DiagnosticArray, f"/{role}/safety/status", qos.LATCHED)
        self.process = processes.launch(f"faults:={plan}", f"out:={self.out}", *words)
        self._start_ns = 0
        self.until(lambda: self.now() > 0.0, 120.0)

    def now(self) -> float:
        """Seconds since the start of the episode, before it a negative number."""
        said, clock = self.probe.received["/episode"], self.probe.received["/clock"]
        if not said or not clock:
            return -1.0
        self._start_ns = json.loads(said[0][1].data)["start_ns"]
        return (stamp_ns(clock[-1][1].clock) - self._start_ns) / NANO

    def until(self, condition: Any, limit: float) -> Any:
        """Wait at most ``limit`` wall seconds; the run must go on meanwhile."""

        def step() -> None:
            code = self.process.poll()
            assert code is None, f"the run ended with {code}:\n{self.output()}"

        try:
            return self.probe.until(condition, limit, step)
        except AssertionError as error:
            raise AssertionError(f"{error}; at {self.now():.2f} s\n{self.output()}") from error

    def until_time(self, at: float) -> None:
        """Wait for a time of the episode."""
        self.until(lambda: self.now() >= at, 90.0)

    def status(self, role: str) -> dict[str, str]:
        """What a safety node said last."""
        messages = self.probe.received[f"/{role}/safety/status"]
        return {pair.key: pair.value for pair in messages[-1][1].status[0].values} if messages else {}

    def until_latched(self, role: str, reason: str) -> None:
        """Wait for a latched fault."""
        self.until(lambda: self.status(role).get("mode") == "fault", 10.0)
        said = self.status(role)["reason"]
        assert said.startswith(reason), f"{said!r} at {self.now():.2f} s\n{self.output()}"

    def clear(self, role: str) -> tuple[bool, str]:
        """Ask a safety node to clear its fault."""
        answer = self.probe.call(Trigger, f"/{role}/safety/clear_faults", Trigger.Request())
        return answer.success, answer.message

    def recover(self, role: str, end: float) -> None:
        """After the fault has ended at ``end`` it can be cleared, and the robot is active again."""
        self.until_time(end + 0.1)
        self.until(lambda: self.clear(role)[0], 5.0)
        self.until(lambda: self.status(role).get("mode") == "active", 5.0)

    def output(self) -> str:
        """Everything that the launch has printed."""
        return str(self._processes.output(self.process))

    def finish(self) -> Recording:
        """End the run as a user would, and read what was recorded."""
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(60) == 130, self.output()
        return Recording(self.out)


class Recording:
    """The bag of a run with one episode; times are simulated seconds since the start of the episode."""

    def __init__(self, out: Path) -> None:
        self.run = read_run(out)
        self.trace = trace_of(self.run, self.run.episodes[0])
        self._start_ns = self.run.episodes[0].start_ns

    def margin(self) -> float:
        """The smallest true body margin [m] of both robots."""
        return float(np.min(self.trace.margins))

    def finite(self) -> bool:
        """Whether every command that was sent is a number."""
        return all(bool(np.isfinite(self.run.robots[role].command.values).all()) for role in ROLES)

    def _window(self, first: float, last: float) -> tuple[int, int]:
        return self._start_ns + round(first * NANO), self._start_ns + round(last * NANO)

    def speeds(self, role: str, first: float, last: float) -> NDArray[np.float64]:
        """True max(|v| [m/s], |omega| [rad/s]) within a span of time."""
        return np.abs(self.run.robots[role].ground_truth.window(*self._window(first, last)).values[:, 3:5]).max(axis=1)

    def moved(self, role: str, first: float, last: float) -> bool:
        """Whether the robot moved in at least half of the span."""
        return bool(np.median(self.speeds(role, first, last)) > MOVING)

    def stopped_at(self, role: str, begin: float, last: float) -> float:
        """Time [s] from ``begin`` until the robot stands still for good (until ``last``)."""
        truth = self.run.robots[role].ground_truth.window(*self._window(begin, last))
        moving = np.flatnonzero(np.abs(truth.values[:, 3:5]).max(axis=1) > STILL)
        return 0.0 if not len(moving) else float(truth.stamp_ns[moving[-1]] - self._start_ns) / NANO - begin

    def rows(self, role: str, first: float, last: float) -> Status:
        """The cycles of a safety node within a span of true time, by the time of receipt."""
        truth, status = self.run.robots[role].ground_truth, self.run.robots[role].status
        log = np.interp(self._window(first, last), truth.stamp_ns, truth.log_ns)
        return status.rows(np.flatnonzero((status.log_ns >= log[0]) & (status.log_ns <= log[1])))

    def reasons(self, role: str, first: float, last: float) -> set[str]:
        """Why the safety node did not let the robot move."""
        rows = self.rows(role, first, last)
        return {reason for mode, reason in zip(rows.mode, rows.reason, strict=True) if mode != "active"}

    def active(self, role: str, first: float, last: float) -> float:
        """Share of active cycles."""
        rows = self.rows(role, first, last)
        return float(np.mean([mode == "active" for mode in rows.mode]))

    def error(self, role: str, first: float, last: float) -> float:
        """Largest distance [m] between state and truth of the same instant."""
        window = self._window(first, last)
        state, truth = (s.window(*window) for s in (self.run.robots[role].state, self.run.robots[role].ground_truth))
        _, i, j = np.intersect1d(state.stamp_ns, truth.stamp_ns, return_indices=True)
        assert len(i) > 3, f"{role}: no states"
        return float(np.max(np.hypot(*(state.values[i, :2] - truth.values[j, :2]).T)))

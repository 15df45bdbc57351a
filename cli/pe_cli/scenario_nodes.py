"""Scenarios through real nodes: each a run of ``./pe launch`` in a ROS domain of its own, bounded in time."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from pe_core.config import ConfigurationError
from pe_evaluation.metrics import Metrics
from pe_evaluation.suite import Case, Players
from pe_nodes import graph, run_directory
from pe_nodes.child_environment import DOMAINS
from pe_nodes.launch_arguments import LaunchArguments

START = 180.0
"""Time [s] that eight processes may take to start and to end on a busy machine, with kernels to compile."""
SLOWEST = 1.5
"""Wall time over robot time, at most; an idle machine needs a seventh."""
INTERRUPTED = 40.0
"""Time [s] that a launch has to stop its nodes and to write its report."""


def prepare(cases: Sequence[Case], players: Players, out: Path, moved: bool) -> Path:
    """Check every run before the first starts, and make ``out``; an earlier default (``moved``) gives way to the new.

    Raises:
        ConfigurationError: an argument is refused, or ``out`` holds a run of one of the scenarios.
    """
    for case in cases:
        graph.check(_arguments(case, players, out))
    folder = out.expanduser()
    if moved and folder.is_dir() and any(folder.iterdir()):
        number = 1
        while (earlier := folder.with_name(f"{folder.name}.{number}")).exists():
            number += 1
        folder.rename(earlier)
    for case in cases:
        run_directory.prepare(str(folder / case.scenario.name))
    return folder.resolve()


def play(case: Case, players: Players, out: Path, limit: float | None = None) -> Metrics:
    """Play a scenario and read its metrics.json; its directory and its log are ``out``/<name> and ``out``/<name>.log.

    Raises:
        ConfigurationError: the run failed, or took longer than ``limit`` [s]; nothing of it is left running.
    """
    name = case.scenario.name
    arguments = _arguments(case, players, out)
    words = [f"{key}:={value}" for key, value in _words(arguments).items()]
    command = [sys.executable, "-m", "pe_cli", "launch", "pursuit.launch.py", *words]
    allowed = limit or START + SLOWEST * players.episodes * case.config.max_time
    log = out / f"{name}.log"
    with free_domain() as domain, log.open("wb") as stream:
        environment = os.environ | {"ROS_DOMAIN_ID": str(domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
        process = subprocess.Popen(
            command, env=environment, stdout=stream, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        try:
            code: int | None = process.wait(allowed)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            stop(process)
    metrics = out / name / "metrics.json"
    if code is None:
        raise ConfigurationError(f"scenario {name}: not played within {allowed:g} s and stopped; see {log}")
    if code != 0 or not metrics.is_file():
        lines = log.read_text(errors="replace").strip().splitlines()
        said = next((line for line in lines if line.startswith("error")), lines[-1] if lines else "nothing was said")
        raise ConfigurationError(f"scenario {name}: the launch ended with exit code {code}: {said} (see {log})")
    read: Metrics = json.loads(metrics.read_text())
    return read


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a launch and everything below it: by SIGINT, so that the robots stop first, else by SIGKILL."""
    if process.poll() is not None:
        return
    below = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    try:
        process.wait(INTERRUPTED)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(psutil.NoSuchProcess):
            below += psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait()
    # A node in a session of its own outlives a launcher that was killed.
    for child in below:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()


@contextlib.contextmanager
def free_domain() -> Iterator[int]:
    """A ROS domain id that no other run on this machine has: locked, and the port of its first participant free.

    Raises:
        ConfigurationError: all of ``DOMAINS`` are taken.
    """
    folder = Path(tempfile.gettempdir()) / f"pe-ros-domains-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    first = os.getpid() % len(DOMAINS)
    for domain in [*DOMAINS[first:], *DOMAINS[:first]]:
        with open(folder / str(domain), "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            if _port_free(domain):
                yield domain
                return
    raise ConfigurationError(f"ROS domains {DOMAINS.start} to {DOMAINS.stop - 1}: all are taken by other runs")


def _port_free(domain: int) -> bool:
    """Whether nobody listens where the first participant of a domain does: UDP port 7400 + 250 domain + 10."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("127.0.0.1", 7410 + 250 * domain))
        except OSError:
            return False
    return True


def _arguments(case: Case, players: Players, out: Path) -> LaunchArguments:
    return LaunchArguments(
        episodes=players.episodes, seed=players.seed, pursuer=players.pursuer, evader=players.evader,
        safety=players.safety, scenario=case.source, robot=players.robot, arena=players.arena, rate=0.0,
        out=str(out / case.scenario.name),
    )  # fmt: skip


def _words(arguments: LaunchArguments) -> dict[str, str]:
    """The arguments that a launch is told."""
    keys = ("episodes", "seed", "pursuer", "evader", "safety", "scenario", "robot", "arena", "rate", "out")
    return {key: str(getattr(arguments, key)) for key in keys}

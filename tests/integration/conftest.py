"""Real nodes as processes, and a probe that speaks to them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from pe_nodes.child_environment import child_environment
from pe_nodes.graph import NodeRecord
from pe_nodes.process_launch import command_of, parameter_file
from tests.support.patience import patience


class Started(subprocess.Popen[str]):
    """A process with its output in a file; waiting for it takes into account how busy the machine is."""

    def __init__(self, command: list[str], environment: dict[str, str], folder: Path, log: Path) -> None:
        self.log = log
        with open(log, "w") as output:
            super().__init__(
                command, env=environment, stdout=output, stderr=subprocess.STDOUT, text=True, cwd=folder,
                start_new_session=True,
            )  # fmt: skip

    def wait(self, timeout: float | None = None) -> int:
        return super().wait(None if timeout is None else patience(timeout))


class Processes:
    """Starts nodes, and ends whatever is left of them."""

    def __init__(self, folder: Path, domain: int) -> None:
        self.folder = folder
        given = {**os.environ, "ROS_DOMAIN_ID": str(domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
        self.environment = child_environment(given)
        self._running: list[Started] = []
        self._count = 0

    def node(
        self,
        executable: str,
        namespace: str = "/pursuer",
        remappings: dict[str, str] | None = None,
        **parameters: Any,
    ) -> Started:
        """Start one node with parameters."""
        self._count += 1
        folder = self.folder / str(self._count)
        folder.mkdir(parents=True)
        record = NodeRecord("pe_nodes", executable, executable, namespace, parameters, remappings or {})
        return self.start(command_of(record, parameter_file(record, folder), "info"))

    def crossed(self, executable: str, role: str, **parameters: Any) -> Started:
        """Start a node of one robot that also hears the other robot's state."""
        other = "evader" if role == "pursuer" else "pursuer"
        return self.node(executable, f"/{role}", {"opponent_state": f"/{other}/state"}, role=role, **parameters)

    def launch(self, *words: str, limit: str = "") -> Started:
        """Start ``./pe launch pursuit.launch.py`` with arguments; ``limit`` is a shell command run before.

        Where no pursuer is named it is ``lead``, whose games the tests know: how long they are, how close it comes.
        """
        if not any(word.startswith("pursuer:=") for word in words):
            words = ("pursuer:=lead", *words)
        command = [sys.executable, "-m", "pe_cli", "launch", "pursuit.launch.py", *words]
        return self.start(["bash", "-c", f'{limit}; exec "$@"', "bash", *command] if limit else command)

    def start(self, command: list[str]) -> Started:
        """Start a command; its output goes to ``output(process)``."""
        self._count += 1
        process = Started(command, self.environment, self.folder, self.folder / f"{self._count}.log")
        self._running.append(process)
        return process

    def succeed(
        self, command: list[str], pause: Callable[[], object] = lambda: time.sleep(0.5), said: Callable[[], str] = str
    ) -> str:
        """What a command prints; again and again until it succeeds, for on a busy machine nodes start, and states age.

        ``pause`` comes between two of them; what was ``said`` meanwhile is told with a failure.
        """
        end = time.monotonic() + patience(90.0)
        while True:
            done = subprocess.run(
                command, env=self.environment, cwd=self.folder, text=True, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, timeout=patience(120.0), check=False,
            )  # fmt: skip
            if done.returncode == 0:
                return done.stdout
            assert time.monotonic() < end, f"{' '.join(command)}\n{done.stdout}{said()}"
            pause()

    @staticmethod
    def output(process: Started) -> str:
        """Everything a process has printed."""
        return process.log.read_text(errors="replace")

    def close(self) -> None:
        """End what is left."""
        for process in self._running:
            if process.poll() is None:
                process.terminate()
        for process in self._running:
            try:
                process.wait(8)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait(8)


class Probe:
    """A node in the test's own process, in the domain of the nodes under test."""

    def __init__(self, domain: int) -> None:
        self.context = Context()
        # The range of discovery is read from the environment when a context begins.
        before = os.environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE")
        os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
        rclpy.init(context=self.context, domain_id=domain)
        self.node = Node("probe", context=self.context)
        if before is None:
            del os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"]
        else:
            os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = before
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._publishers: dict[str, Any] = {}
        self.received: dict[str, list[Any]] = {}

    def listen(self, kind: type, topic: str, qos: Any) -> None:
        """Keep every message of a topic, as (monotonic time, message)."""
        messages = self.received.setdefault(topic, [])
        self.node.create_subscription(kind, topic, lambda m: messages.append((time.monotonic(), m)), qos)

    def publish(self, topic: str, message: Any, qos: Any) -> None:
        """Publish on a topic."""
        if topic not in self._publishers:
            self._publishers[topic] = self.node.create_publisher(type(message), topic, qos)
        self._publishers[topic].publish(message)

    def spin(self, duration: float) -> None:
        """Receive for ``duration`` [s]."""
        end = time.monotonic() + duration
        while (left := end - time.monotonic()) > 0.0:
            self._executor.spin_once(timeout_sec=left)

    def until(self, condition: Callable[[], Any], limit: float, step: Callable[[], None] | None = None) -> Any:
        """Receive until the condition holds, calling ``step`` every 50 ms; fails after ``limit`` [s], if not busy."""
        begun = time.monotonic()
        while time.monotonic() < begun + patience(limit):
            if step is not None:
                step()
            self.spin(0.05)
            if result := condition():
                return result
        raise AssertionError(f"did not happen within {limit} s")

    def call(self, kind: type, name: str, request: Any) -> Any:
        """Call a service."""
        client = self.node.create_client(kind, name)
        self.until(client.service_is_ready, 10.0)
        future = client.call_async(request)
        self.until(future.done, 10.0)
        return future.result()

    def now_ns(self) -> int:
        """ROS time of nodes without a simulator."""
        return int(self.node.get_clock().now().nanoseconds)

    def close(self) -> None:
        """Leave the graph."""
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


@pytest.fixture
def processes(tmp_path: Path, ros_domain: int) -> Iterator[Processes]:
    """Processes of one test."""
    started = Processes(tmp_path, ros_domain)
    yield started
    started.close()


@pytest.fixture
def probe(ros_domain: int) -> Iterator[Probe]:
    """A probe in the test's domain."""
    made = Probe(ros_domain)
    yield made
    made.close()


@pytest.fixture(scope="module")
def module_processes(tmp_path_factory: pytest.TempPathFactory, module_domain: int) -> Iterator[Processes]:
    """Processes that the tests of one file share."""
    started = Processes(tmp_path_factory.mktemp("nodes"), module_domain)
    yield started
    started.close()


@pytest.fixture(scope="module")
def module_probe(module_domain: int) -> Iterator[Probe]:
    """A probe that the tests of one file share."""
    made = Probe(module_domain)
    yield made
    made.close()


@pytest.fixture
def another_probe(module_domain: int) -> Iterator[Probe]:
    """A second participant beside the shared probe: one participant cannot hold two types of one topic."""
    made = Probe(module_domain)
    yield made
    made.close()

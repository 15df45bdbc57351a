"""What every test may use: the checkout, and a ROS 2 environment that no other test shares."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

DOMAINS = range(1, 60)
"""ROS domain ids for tests; above them lie the doctor's, and over 101 the ports of outgoing connections."""


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return Path(__file__).resolve().parent.parent


@contextlib.contextmanager
def _reserved_domain() -> Iterator[int]:
    folder = Path(tempfile.gettempdir()) / f"pe-ros-domains-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    start = os.getpid() % len(DOMAINS)
    for domain in [*DOMAINS[start:], *DOMAINS[:start]]:
        with open(folder / str(domain), "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield domain
            return
    raise RuntimeError(f"all ROS domains for tests are taken; see {folder}")


@pytest.fixture
def ros_domain() -> Iterator[int]:
    """A ROS domain id that no other test on this machine has, in this suite or in another one beside it."""
    with _reserved_domain() as domain:
        yield domain


@pytest.fixture(scope="module")
def module_domain() -> Iterator[int]:
    """Like ``ros_domain``, for the tests of one file that share nodes."""
    with _reserved_domain() as domain:
        yield domain


@pytest.fixture
def ros_environment(ros_domain: int, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment for nodes of one test, set here and inherited by the processes that the test starts."""
    monkeypatch.setenv("ROS_DOMAIN_ID", str(ros_domain))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    return dict(os.environ)

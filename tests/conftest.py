"""What every test may use: the checkout, and a ROS 2 environment that no other test shares; how the suite is run."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.database import DirectoryBasedExampleDatabase

ROOT = Path(__file__).resolve().parent.parent

# Two workers on two cores, each with as many threads as cores, wait for one another. Before numpy and torch.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A first call loads or compiles kernels, and the machine may be busy: no test fails for being slow. Examples that
# failed are kept and tried first; where CI is set, Hypothesis draws the same examples in every run and keeps none.
settings.register_profile(
    "suite",
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
    database=None if settings.default.derandomize else DirectoryBasedExampleDatabase(ROOT / ".hypothesis/examples"),
)
settings.load_profile("suite")

FIRST = ("test_kernels.py", "repository", "pe_cli")
"""Below tests/, in this order, before everything else: see :func:`pytest_collection_modifyitems`."""

DOMAINS = range(1, 60)
"""ROS domain ids for tests; above them lie the doctor's, and over 101 the ports of outgoing connections."""


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return ROOT


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Compile first, beside what needs no kernels: then no two workers compile the same one at once."""

    def rank(item: pytest.Item) -> int:
        parts = item.path.relative_to(ROOT / "tests").parts if item.path.is_relative_to(ROOT / "tests") else ("",)
        return FIRST.index(parts[0]) if parts[0] in FIRST else len(FIRST)

    items.sort(key=rank)


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


@pytest.fixture(scope="session")
def gazebo() -> Path:
    """The folder of an installed Gazebo; a test that needs one is skipped where there is none."""
    from pe_gazebo import installation

    if not installation.installed():
        pytest.skip(f"Gazebo is not installed in {installation.prefix()}; run: {installation.REMEDY}")
    return installation.prefix()


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

"""How the suite is run: no test fails because the machine is busy, and examples that failed are not lost."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.database import DirectoryBasedExampleDatabase

from tests.support.patience import LONGEST, patience


def test_no_property_fails_for_being_slow_and_a_failure_can_be_repeated(repository: Path) -> None:
    profile = settings.default
    assert profile.deadline is None and HealthCheck.too_slow in profile.suppress_health_check
    assert profile.print_blob
    if not profile.derandomize:
        assert isinstance(profile.database, DirectoryBasedExampleDatabase)
        assert profile.database.path == repository / ".hypothesis" / "examples"


def test_waits_grow_with_the_load_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    for load, factor in ((0.0, 1.0), (1.9, 1.0), (6.0, 3.0)):
        monkeypatch.setattr(os, "getloadavg", lambda load=load: (load, 0.0, 0.0))
        assert patience(4.0) == 4.0 * factor
    assert patience(300.0) == LONGEST
    assert patience(2.0 * LONGEST) == 2.0 * LONGEST

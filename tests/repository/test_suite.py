"""How the suite is run: no test fails because the machine is busy, and examples that failed are not lost."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis.database import DirectoryBasedExampleDatabase


def test_no_property_fails_for_being_slow_and_a_failure_can_be_repeated(repository: Path) -> None:
    profile = settings.default
    assert profile.deadline is None and HealthCheck.too_slow in profile.suppress_health_check
    assert profile.print_blob
    if not profile.derandomize:
        assert isinstance(profile.database, DirectoryBasedExampleDatabase)
        assert profile.database.path == repository / ".hypothesis" / "examples"

"""``./pe doctor``: every check, on this machine and on one that lacks something."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections import namedtuple
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pe_cli import discovery_probe, doctor_checks
from pe_cli.app import app
from pe_cli.doctor_checks import Finding

Usage = namedtuple("Usage", "total used free")


def without_module(monkeypatch: pytest.MonkeyPatch, absent: str) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == absent else found(name, *rest))


def test_doctor_is_content_with_this_machine() -> None:
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 0, result.output
    assert "Everything needed is there." in result.output


def test_doctor_fails_where_something_needed_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = Finding("ok", "one", "there")
    broken = Finding("FAIL", "two", "not there", "do this")
    monkeypatch.setattr(doctor_checks, "CHECKS", (lambda: sound, lambda: broken))
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 1
    assert "-> do this" in result.output and "1 to mend" in result.output


def test_old_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 0))
    assert doctor_checks.python().status == "FAIL"


def test_wrong_library_version_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    requires = ["numpy==1.26.4", "absent-library>=1", "unwanted; extra == 'test'"]
    monkeypatch.setattr(doctor_checks.metadata, "requires", lambda _: requires)
    monkeypatch.setattr(doctor_checks, "_version", {"numpy": "2.0.0"}.get)
    finding = doctor_checks.dependencies()
    assert finding.status == "FAIL"
    assert finding.text == "numpy is 2.0.0, wanted ==1.26.4; absent-library is missing"


def test_ros_missing_mixed_and_from_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROS_DISTRO", "jazzy")
    monkeypatch.setattr(doctor_checks, "_version", lambda _: "7.1.6")
    assert doctor_checks.ros().status == "note" and "mix" in doctor_checks.ros().remedy
    monkeypatch.setattr(doctor_checks, "_version", lambda _: None)
    assert doctor_checks.ros() == Finding("ok", "ROS 2", "jazzy, from this machine")
    without_module(monkeypatch, "rclpy")
    assert doctor_checks.ros().status == "FAIL"


def test_numba_cache_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file" / "below"))
    finding = doctor_checks.numba_cache()
    assert finding.status == "note" and "NUMBA_CACHE_DIR" in finding.remedy
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    assert doctor_checks.numba_cache().status == "ok"


def test_little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1, 1, 10_000_000))
    assert doctor_checks.disk().status == "FAIL"
    assert doctor_checks.shared_memory().status == "note"


@pytest.mark.parametrize(
    ("check", "module"), [(doctor_checks.launch_ros, "launch_ros"), (doctor_checks.colcon, "colcon_core")]
)
def test_what_is_optional_is_a_note(monkeypatch: pytest.MonkeyPatch, check, module: str) -> None:  # type: ignore[no-untyped-def]
    without_module(monkeypatch, module)
    assert check().status == "note"


def test_gazebo_is_a_note_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PE_GAZEBO", str(tmp_path))
    finding = doctor_checks.gazebo()
    assert finding.status == "note" and finding.remedy == "./pe setup gazebo" and str(tmp_path) in finding.text


def test_setup_refuses_what_it_did_not_make(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PE_GAZEBO", str(tmp_path))
    (tmp_path / "thesis.tex").touch()
    result = CliRunner().invoke(app, ["setup", "gazebo", "--remove"])
    assert result.exit_code == 2 and "nothing was removed" in result.output
    result = CliRunner().invoke(app, ["setup", "gazebo", "--mirror", "nowhere"])
    assert result.exit_code == 2 and "mirror = 'nowhere': allowed" in result.output


def test_configuration_elsewhere_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from pe_core import paths
    from pe_core.config import ConfigurationError

    def nowhere() -> Path:
        raise ConfigurationError("config/ was not found")

    monkeypatch.setattr(paths, "share_directory", nowhere)
    assert doctor_checks.configuration() == Finding("FAIL", "configuration", "config/ was not found")


def test_discovery_that_fails_says_why() -> None:
    silent = discovery_probe.run(timeout=0.1, program="import sys; sys.exit(1)")
    assert silent == discovery_probe.Outcome(None, "no message within 0 s")
    broken = discovery_probe.run(timeout=0.1, program="raise ImportError('no rclpy here')")
    assert broken.seconds is None and "no rclpy here" in broken.reason


def test_discovery_that_hangs_is_ended() -> None:
    hung = discovery_probe.run(timeout=-4.5, program="import time; time.sleep(30)")
    assert hung == discovery_probe.Outcome(None, "the listener hung")

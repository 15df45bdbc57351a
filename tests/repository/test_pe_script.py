"""The `pe` script: one install, then none; interruptions, failures and unfit Pythons told clearly.

A stand-in for Python takes the place of the real one, so nothing is downloaded: it writes down what it was
asked for, and makes a virtual environment which holds a copy of itself.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.patience import patience

REPOSITORY = Path(__file__).resolve().parents[2]

TOOLS = "bash env cat cut sha256sum flock mkdir rm mv cp touch sed tail tr wc find grep sleep".split()

PYTHON = """#!/usr/bin/env bash
case "$1 $2" in
    "-c "*version_info*) echo "${FAKE_VERSION:-3.11}" ;;
    "-c "*ensurepip*) exit "${FAKE_NO_VENV:-0}" ;;
    "-c "*rclpy*) exit "${FAKE_NO_RCLPY:-1}" ;;
    "-m venv")
        target=${!#}
        echo "venv $*" >>"$FAKE_CALLS"
        mkdir -p "$target/bin" "$target/lib/python3.11/site-packages/ros_rcl.libs"
        cp "$0" "$target/bin/python"
        ;;
    "-m pip")
        [[ $3 == --version ]] && exit 0
        echo "pip ${!#}" >>"$FAKE_CALLS"
        echo "Collecting a-package"
        [[ -z ${FAKE_PIP_SECONDS:-} ]] || exec sleep "$FAKE_PIP_SECONDS"
        [[ -z ${FAKE_PIP_STATUS:-} ]] || { echo "no space left"; exit "$FAKE_PIP_STATUS"; }
        ;;
    "-m pe_cli")
        shift 2
        echo "cli $* | $LD_LIBRARY_PATH | ${_ROS_WHEELS_BOOTSTRAP_COMPLETE:-}"
        ;;
esac
"""


class Checkout:
    """A scratch checkout with the script, on a machine whose only Python is the stand-in."""

    def __init__(self, folder: Path, python: str = "python3.11") -> None:
        self.root = folder / "check out"  # a space in the path must do no harm
        self.root.mkdir()
        shutil.copy2(REPOSITORY / "pe", self.root / "pe")
        (self.root / "pyproject.toml").write_text("[project]\n")
        self.tools = folder / "tools"
        self.tools.mkdir()
        for name in TOOLS:
            (self.tools / name).symlink_to(shutil.which(name) or name)
        self.python = self.tools / python
        self.python.write_text(PYTHON)
        self.python.chmod(0o755)
        self.log = folder / "calls"
        self.log.touch()

    def start(self, *words: str, **settings: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.root / "pe", *words],
            env={"PATH": str(self.tools), "FAKE_CALLS": str(self.log), **settings},
            cwd=self.root.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            # A suite started in the background has SIGINT ignored; a person's terminal has not.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def run(self, *words: str, **settings: str) -> tuple[int, str, str]:
        process = self.start(*words, **settings)
        output, errors = process.communicate(timeout=patience(30))
        return process.returncode, output, errors

    def calls(self, word: str) -> list[str]:
        return [line for line in self.log.read_text().splitlines() if line.startswith(word)]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def wait_until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + patience(seconds)
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def test_first_run_installs_and_second_does_not(checkout: Checkout) -> None:
    status, output, errors = checkout.run("launch", "file", "a:=b c")
    assert status == 0, errors
    assert output.startswith("cli launch file a:=b c | ")
    assert checkout.calls("pip") == [f"pip {checkout.root}[ros]"]
    assert "installing the project" in errors and " s" in errors
    status, output, errors = checkout.run("doctor")
    assert (status, errors) == (0, "")
    assert len(checkout.calls("pip")) == len(checkout.calls("venv")) == 1


def test_no_words_is_help(checkout: Checkout) -> None:
    assert checkout.run()[1].startswith("cli --help |")


def test_wheels_are_spared_their_second_start(checkout: Checkout) -> None:
    _, output, _ = checkout.run("doctor", LD_LIBRARY_PATH="/before")
    _, libraries, complete = output.strip().split(" | ")
    site = checkout.root / ".venv/lib/python3.11/site-packages"
    assert libraries.split(":") == [str(checkout.root / ".venv/lib"), str(site / "ros_rcl.libs"), "/before"]
    assert complete == "1"


@pytest.mark.parametrize(
    ("word", "extra"),
    [("test", "test"), ("bench", "bench"), ("falsify", "falsify"), ("train", "train"), ("ablate", "train")],
)
def test_extra_is_installed_when_it_is_needed(checkout: Checkout, word: str, extra: str) -> None:
    checkout.run("doctor")
    for _ in range(2):
        checkout.run(word, "--quick")
        checkout.run("doctor")
    assert checkout.calls("pip") == [f"pip {checkout.root}[ros]", f"pip {checkout.root}[ros,{extra}]"]


def test_changed_project_is_installed_again(checkout: Checkout) -> None:
    checkout.run("doctor")
    (checkout.root / "pyproject.toml").write_text("[project]\nname = 'other'\n")
    checkout.run("doctor")
    assert (len(checkout.calls("pip")), len(checkout.calls("venv"))) == (2, 1)


def test_moved_checkout_is_installed_again(checkout: Checkout) -> None:
    checkout.run("doctor")
    checkout.root = checkout.root.rename(checkout.root.parent / "moved")
    checkout.run("doctor")
    assert checkout.calls("pip")[-1] == f"pip {checkout.root}[ros]"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_install_says_so_and_goes_on_next_time(checkout: Checkout, number: int) -> None:
    process = checkout.start("doctor", FAKE_PIP_SECONDS="20")
    wait_until(lambda: checkout.calls("pip"))
    os.killpg(process.pid, number)
    output, errors = process.communicate(timeout=patience(10))
    assert process.returncode == 130 and output == ""
    assert "interrupted" in errors and "run ./pe again" in errors
    assert checkout.run("doctor")[0] == 0
    assert (len(checkout.calls("pip")), len(checkout.calls("venv"))) == (2, 1)


def test_half_unpacked_package_does_not_count_as_installed(checkout: Checkout) -> None:
    checkout.run("doctor")
    site = checkout.root / ".venv/lib/python3.11/site-packages"
    (site / "half-1.0.dist-info").mkdir()
    (site / "whole-1.0.dist-info").mkdir()
    (site / "whole-1.0.dist-info" / "RECORD").touch()
    (checkout.root / ".venv/pe-install/run").unlink()
    assert checkout.run("doctor")[0] == 0
    assert [path.name for path in site.glob("*.dist-info")] == ["whole-1.0.dist-info"]


def test_broken_environment_of_ours_is_made_anew(checkout: Checkout) -> None:
    checkout.run("doctor")
    (checkout.root / ".venv/bin/python").unlink()
    assert checkout.run("doctor")[0] == 0
    assert len(checkout.calls("venv")) == 2


def test_environment_of_somebody_else_is_not_removed(checkout: Checkout) -> None:
    keep = checkout.root / ".venv" / "keep"
    keep.parent.mkdir()
    keep.touch()
    status, _, errors = checkout.run("doctor")
    assert status == 2 and "did not make it" in errors and keep.exists()


def test_failed_install_shows_the_log_and_what_to_do(checkout: Checkout) -> None:
    status, output, errors = checkout.run("doctor", FAKE_PIP_STATUS="1")
    assert status == 2 and output == ""
    assert "no space left" in errors and "install.log" in errors and "run ./pe again" in errors
    assert checkout.run("doctor")[0] == 0


def test_two_at_once_install_once(checkout: Checkout) -> None:
    first = checkout.start("doctor", FAKE_PIP_SECONDS="2")
    wait_until(lambda: checkout.calls("pip"))
    status, output, errors = checkout.run("doctor")
    first.communicate(timeout=patience(10))
    assert (status, first.returncode) == (0, 0), errors
    assert "waiting" in errors and output.startswith("cli doctor")
    assert len(checkout.calls("pip")) == 1


def test_old_python_is_refused_with_the_way_out(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path, python="python3")
    status, _, errors = checkout.run("doctor", FAKE_VERSION="3.9")
    assert status == 2
    assert "Python 3.11 or 3.12 is needed" in errors and "python3 is Python 3.9" in errors
    assert "apt install python3.11" in errors and not (checkout.root / ".venv").exists()


def test_no_python_at_all_is_told(checkout: Checkout) -> None:
    checkout.python.unlink()
    status, _, errors = checkout.run("doctor")
    assert status == 2 and "found: none" in errors


def test_named_python_is_taken(checkout: Checkout) -> None:
    other = checkout.root.parent / "my python"
    checkout.python.rename(other)
    assert checkout.run("doctor", PE_PYTHON=str(other))[0] == 0


def test_missing_venv_module_names_the_package(checkout: Checkout) -> None:
    status, _, errors = checkout.run("doctor", FAKE_NO_VENV="1")
    assert status == 2 and "apt install python3.11-venv" in errors


def test_sourced_ros_is_used_instead_of_wheels(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path, python="python3")
    status, output, errors = checkout.run("doctor", ROS_DISTRO="jazzy", FAKE_NO_RCLPY="0", LD_LIBRARY_PATH="/ros")
    assert status == 0, errors
    assert "--system-site-packages" in checkout.calls("venv")[0]
    assert checkout.calls("pip") == [f"pip {checkout.root}"]
    assert output.strip() == "cli doctor | /ros |"

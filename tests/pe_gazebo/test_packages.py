"""Making and removing the prefix, with an apt-get and a dpkg-deb that do what they are told to, or fail."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from pe_core.config import ConfigurationError
from pe_gazebo import packages
from pe_gazebo.installation import STAMP

FILES = ("loader_1_amd64.deb", "plugins_2%3a1_amd64.deb", "worlds_3_all.deb")

# Both write what they were called with; archives hold their own names. Where the file `fail` holds a word, the call
# with that word fails after its first file.
APT_GET = """#!/bin/bash
echo "apt-get ${*: -3}" >>@LOG@
while [[ $1 != -c ]]; do shift; done
archives=$(dirname "$2")/archives
fail=$(cat @LOG@.fail 2>/dev/null)
case "$*" in
    *update*) [[ $fail != update ]] || { echo 'E: no network'; exit 100; } ;;
    *print-uris*) cat @LOG@.plan ;;
    *download-only*)
        for file in @FILES@; do
            [[ -e $archives/$file ]] || { printf %s "$file" >"$archives/$file"; echo "fetched $file" >>@LOG@; }
            [[ $fail != fetch ]] || { echo 'E: connection lost'; exit 100; }
        done ;;
esac
"""
DPKG_DEB = """#!/bin/bash
name=$(basename "$2")
echo "unpacked $name" >>@LOG@
mkdir -p "$3/lib/x86_64-linux-gnu"
printf '#!/bin/sh\\necho "version %s"\\n' "$(cat @LOG@.version)" >"$3/lib/x86_64-linux-gnu/ld-2.31.so"
chmod +x "$3/lib/x86_64-linux-gnu/ld-2.31.so"
[[ $(cat @LOG@.fail 2>/dev/null) != "$name" ]] || { echo 'disk full'; exit 2; }
"""


class Machine:
    """Tools that log what they do, and a place for the prefix."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "log"
        self.target = folder / "home" / ".gazebo"
        self.keyring = folder / "keys.gpg"
        self.keyring.touch()
        tools = folder / "bin"
        tools.mkdir()
        for name, text in (("apt-get", APT_GET), ("dpkg-deb", DPKG_DEB)):
            path = tools / name
            path.write_text(
                text.replace("@LOG@", str(self.log)).replace(
                    "@FILES@", " ".join(f"'{file}'" for file in FILES)
                )
            )
            path.chmod(0o755)
        digests = {file: hashlib.sha256(file.encode()).hexdigest() for file in FILES}
        plan = [f"'http://x.example/{file}' {file} {len(file)} SHA256:{digests[file]}" for file in FILES]
        self.told("plan", "\n".join(plan) + "\n")
        self.told("version", "11.1.0")
        self.stages: list[str] = []

    def told(self, what: str, text: str) -> None:
        self.log.with_name(f"log.{what}").write_text(text)

    def install(self) -> bool:
        self.log.write_text("")
        return packages.install(
            self.target, "http://x.example/debian", self.keyring, lambda stage, _: self.stages.append(stage)
        )

    def did(self, what: str) -> list[str]:
        return [line.split()[1] for line in self.log.read_text().splitlines() if line.startswith(what)]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setattr(packages.platform, "machine", lambda: "x86_64")
    return made


def test_a_prefix_is_made_once_and_says_what_is_in_it(machine: Machine) -> None:
    assert machine.install()
    assert machine.did("unpacked") == list(FILES)
    stamp = json.loads((machine.target / STAMP).read_text())
    assert stamp["gazebo"] == "11.1.0" and set(stamp["packages"]) == set(FILES)
    assert [path.name for path in machine.target.parent.iterdir()] == [".gazebo"], "nothing is left beside it"
    assert not machine.install() and machine.log.read_text() == "", "the second call looks at the stamp only"
    assert machine.stages[0] == "reading the index" and "unpacking" in machine.stages


def test_a_lost_connection_is_taken_up(machine: Machine) -> None:
    machine.told("fail", "fetch")
    with pytest.raises(
        ConfigurationError, match=r"(?s)run ./pe setup gazebo again: it goes on.*connection lost"
    ):
        machine.install()
    assert machine.did("fetched") == [FILES[0]] and not machine.target.exists()
    machine.told("fail", "")
    assert machine.install()
    assert machine.did("fetched") == list(FILES[1:])


def test_unpacking_is_taken_up_with_the_package_that_was_interrupted(machine: Machine) -> None:
    machine.told("fail", FILES[1])
    with pytest.raises(ConfigurationError, match=r"(?s)cannot be unpacked; is the disk full\?.*disk full"):
        machine.install()
    machine.told("fail", "")
    assert machine.install()
    assert machine.did("unpacked") == list(FILES[1:]) and machine.did("fetched") == []


def test_a_damaged_archive_is_fetched_again(machine: Machine) -> None:
    machine.told("fail", FILES[0])
    with pytest.raises(ConfigurationError):
        machine.install()
    archive = packages.part_of(machine.target) / "apt" / "archives" / FILES[2]
    archive.write_text("X" * len(FILES[2]))
    machine.told("fail", "")
    assert machine.install()
    assert machine.did("fetched") == [FILES[2]]


def test_no_network_says_what_to_do(machine: Machine) -> None:
    machine.told("fail", "update")
    with pytest.raises(
        ConfigurationError, match=r"(?s)is there a network\? another mirror: --mirror.*E: no network"
    ):
        machine.install()


def test_a_server_that_does_not_start_is_no_installation(machine: Machine) -> None:
    machine.told("version", "9.0.0")
    with pytest.raises(ConfigurationError, match="gzserver does not start"):
        machine.install()
    assert not machine.target.exists()


def test_little_room_is_told_before_anything_is_fetched(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1, 1, 300_000_000))
    with pytest.raises(ConfigurationError, match="300 MB free; Gazebo takes 1200 MB .* PE_GAZEBO"):
        machine.install()
    assert machine.did("fetched") == []


def test_missing_tools_and_another_processor_are_told(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(ConfigurationError, match="apt-get and dpkg-deb: not found"):
        machine.install()
    monkeypatch.setattr(packages.platform, "machine", lambda: "aarch64")
    with pytest.raises(ConfigurationError, match="for Linux on x86_64; this is Linux on aarch64"):
        machine.install()


def test_what_is_not_ours_is_left_alone(machine: Machine) -> None:
    machine.target.mkdir(parents=True)
    (machine.target / "thesis.tex").touch()
    with pytest.raises(ConfigurationError, match="in the way: it is no Gazebo of ours and not empty"):
        machine.install()
    with pytest.raises(ConfigurationError, match="was not made by ./pe setup gazebo.*nothing was removed"):
        packages.remove(machine.target)
    assert (machine.target / "thesis.tex").exists()


def test_removing_takes_everything_and_half_an_installation_too(machine: Machine) -> None:
    assert not packages.remove(machine.target)
    machine.told("fail", "fetch")
    with pytest.raises(ConfigurationError):
        machine.install()
    assert packages.remove(machine.target)
    machine.told("fail", "")
    machine.install()
    assert packages.remove(machine.target)
    assert list(machine.target.parent.iterdir()) == []

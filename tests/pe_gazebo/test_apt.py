"""The private apt: which mirror, which keys, and that nothing of this machine's is touched."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from pe_core.config import ConfigurationError
from pe_gazebo import apt

DEB822 = """\
# a comment
Types: deb-src
URIs: http://source.example/debian
Suites: bookworm

Types: deb
Enabled: no
URIs: http://disabled.example/debian
Suites: bookworm

Types: deb deb-src
# another comment
URIs: http://one.example/debian/
 http://two.example/debian
Suites: bookworm bookworm-updates
Components: main
"""

ONE_LINE = """\
# deb http://comment.example/debian bookworm main
deb-src http://source.example/debian bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/x.gpg] http://tool.example/apt tool-bookworm main
deb [ trusted=yes ] http://list.example/debian trixie main contrib # local
"""


def test_the_mirror_of_a_deb822_file() -> None:
    assert apt.mirror_of({"/etc/apt/sources.list.d/debian.sources": DEB822}) == "http://one.example/debian"


def test_the_mirror_of_a_list() -> None:
    assert apt.mirror_of({"/etc/apt/sources.list": ONE_LINE}) == "http://list.example/debian"


def test_the_first_file_that_names_one_counts() -> None:
    other = "Types: deb\nURIs: http://node.example/x\nSuites: nodistro\n"
    sources = {"a.list": "", "b.sources": other, "c.list": ONE_LINE, "d.sources": DEB822}
    assert apt.mirror_of(sources) == "http://list.example/debian"


def test_another_distribution_needs_a_mirror_named() -> None:
    ubuntu = "Types: deb\nURIs: http://archive.example/ubuntu\nSuites: noble noble-updates\n"
    with pytest.raises(
        ConfigurationError, match="no Debian mirror; name one: ./pe setup gazebo --mirror ADDRESS"
    ):
        apt.mirror_of({"ubuntu.sources": ubuntu})


def test_files_that_apt_ignores_are_ignored(tmp_path: Path) -> None:
    folder = tmp_path / "sources.list.d"
    folder.mkdir()
    for name in ("z.list", "a.sources", "old.list.save", "x.sources.disabled"):
        (folder / name).write_text(name)
    assert list(apt.machine_sources(tmp_path)) == [str(folder / "a.sources"), str(folder / "z.list")]


@pytest.mark.parametrize(
    "mirror", ["example/debian", "http://x.example/a b", 'http://x.example/"; Evil "1', "", "file:/]["]
)
def test_what_is_no_address_is_refused(mirror: str) -> None:
    with pytest.raises(ConfigurationError, match="allowed: an address that apt takes"):
        apt.check_mirror(mirror)


def test_missing_keys_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="apt install debian-archive-keyring, or .*--keyring FILE"):
        apt.find_keyring(tmp_path)


def test_a_plan_without_sha256_is_refused() -> None:
    line = "'http://x.example/pool/a_1_amd64.deb' a_1_amd64.deb 201 "
    text = f"Reading package lists...\n{line}SHA256:{'ab' * 32}\n"
    assert apt.parse_plan(text) == [apt.Package("a_1_amd64.deb", 201, "ab" * 32)]
    with pytest.raises(ConfigurationError, match="no SHA-256 for a package: a_1_amd64.deb 201 MD5Sum:"):
        apt.parse_plan(f"{line}MD5Sum:{'ab' * 16}\n")


@pytest.mark.skipif(shutil.which("apt-config") is None, reason="no apt on this machine")
def test_apt_reads_the_private_configuration(tmp_path: Path) -> None:
    """By apt itself: everything it would write lies in the folder, and this machine's hooks do not run."""
    keyring = tmp_path / "keys.gpg"
    path = apt.prepare(tmp_path / "apt", "http://mirror.example/debian", keyring)
    dumped = subprocess.run(
        ["apt-config", "-c", path, "dump"], capture_output=True, text=True, check=True
    ).stdout
    values = dict(
        line.rstrip(";").replace('"', "").split(" ", 1) for line in dumped.splitlines() if " " in line
    )
    for name in (
        "Dir::State",
        "Dir::State::lists",
        "Dir::State::status",
        "Dir::Cache",
        "Dir::Cache::archives",
        "Dir::Log",
    ):
        assert values[name].startswith(str(tmp_path / "apt")), name
    assert values["Dir::Etc::sourcelist"] == str(tmp_path / "apt" / "sources.list")
    assert values["Dir::Etc::sourceparts"] == "/dev/null"
    hooks = [name for name, value in values.items() if "-Invoke" in name or "-Install-Pkgs" in name if value]
    assert hooks == []
    source = (tmp_path / "apt" / "sources.list").read_text()
    assert source == f'deb [arch=amd64 signed-by="{keyring}"] http://mirror.example/debian bullseye main\n'

"""What every tracked file keeps to: size, no trace of one machine, a licence, links that lead somewhere."""

from __future__ import annotations

import re
import stat
import subprocess
from pathlib import Path

import pytest

from tests.support.checkout import tracked_names

REPOSITORY = Path(__file__).resolve().parents[2]

MAXIMUM_LINES = 500
MAXIMUM_NODE_LINES = 250
MAXIMUM_BUNDLE_BYTES = 1_000_000

SOURCE = {".py", ".md", ".sh", ".cfg", ".toml", ".yaml", ".yml", ".xml", ".js", ".css", ""}
"""Suffixes of files that people write; the empty one is for scripts."""

MACHINE_PATH = re.compile(r"(?<![\w.$}/-])/(?:work|root|Users|mnt|opt/wheels|home/(?!user\b|ubuntu\b)\w+)(?:/|\b(?!-))")
"""A place on one person's machine."""

LINK = re.compile(r"\b(?:https?|ftp)://([\w.-]+)")
LINKS_ALLOWED = {"www.apache.org", "doi.org", "arxiv.org", "docs.ros.org", "www.ros.org", "127.0.0.1", "localhost"}
"""Licence, papers and manuals; a host in .example (RFC 2606) is nobody's. A package index is the user's setting and is
named nowhere in the project."""

INDEX = re.compile(r"--(?:extra-)?index" r"-url\b|--find" r"-links\b|\bpypi" r"\.org\b|\bpython" r"hosted\b")
"""An index named by an option, or without the scheme that makes it a link."""

UNFINISHED = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X)\b|NotImplemented" r"Error")


def tracked() -> list[Path]:
    """The tracked files that exist, links left out."""
    paths = [REPOSITORY / name for name in tracked_names()]
    return [path for path in paths if path.is_file() and not path.is_symlink()]


def written() -> list[Path]:
    """The tracked files that people write."""
    return [path for path in tracked() if path.suffix in SOURCE and path.name != "LICENSE"]


def lines_that_match(pattern: re.Pattern[str], paths: list[Path]) -> list[str]:
    return [
        f"{path.relative_to(REPOSITORY)}:{number}: {line.strip()}"
        for path in paths
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if pattern.search(line)
    ]


def test_files_are_small() -> None:
    def limit(path: Path) -> int:
        is_node = path.name.endswith("_node.py") and not path.name.startswith("test_")
        return MAXIMUM_NODE_LINES if is_node else MAXIMUM_LINES

    lengths = {path: len(path.read_text().splitlines()) for path in written()}
    faults = [f"{path.relative_to(REPOSITORY)}: {n} lines" for path, n in lengths.items() if n > limit(path)]
    assert not faults, "\n".join(faults)


def test_no_path_of_one_machine() -> None:
    faults = lines_that_match(MACHINE_PATH, written())
    assert not faults, "\n".join(faults)


def test_links_lead_only_to_papers_and_manuals() -> None:
    faults = [
        f"{path.relative_to(REPOSITORY)}: {host}"
        for path in written()
        for host in LINK.findall(path.read_text())
        if host not in LINKS_ALLOWED and not host.endswith(".example")
    ]
    assert not faults, "\n".join(faults)


def test_no_package_index_is_named() -> None:
    faults = lines_that_match(INDEX, written())
    assert not faults, "\n".join(faults)


def test_nothing_is_left_unfinished() -> None:
    suffixes = (".py", ".js", ".css", "", ".md")
    faults = lines_that_match(UNFINISHED, [path for path in written() if path.suffix in suffixes])
    assert not faults, "\n".join(faults)


def test_bundles_are_small_enough_to_commit() -> None:
    models = [path for path in tracked() if path.is_relative_to(REPOSITORY / "models")]
    assert not [path for path in models if path.stat().st_size >= MAXIMUM_BUNDLE_BYTES]


def test_licence_is_apache() -> None:
    text = (REPOSITORY / "LICENSE").read_text()
    assert "Apache License" in text and "Version 2.0, January 2004" in text and "END OF TERMS AND CONDITIONS" in text
    for manifest in (REPOSITORY / "ros2_ws" / "src").glob("*/package.xml"):
        assert "<license>Apache-2.0</license>" in manifest.read_text(), manifest


@pytest.mark.parametrize("name", ["pe", ".ci/run"])
def test_scripts_are_executable_and_parse(name: str) -> None:
    script = REPOSITORY / name
    assert script.stat().st_mode & stat.S_IXUSR
    subprocess.run(["bash", "-n", script], check=True)


@pytest.mark.parametrize("folder", ["launch", "config", "models"])
def test_bringup_links_lead_into_the_repository(folder: str) -> None:
    link = REPOSITORY / "ros2_ws" / "src" / "pe_bringup" / folder
    assert link.is_symlink()
    assert link.resolve() == REPOSITORY / folder
    assert link.is_dir()


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("cd /" + "work/main", True),
        ("see /" + "home/alice/ws", True),
        ("/" + "root/.cache", True),
        ("ros2_ws/" "work/x", False),
        ("source /opt/ros/jazzy/setup.bash", False),
        ("/home/user/ws", False),
        ("the pursuer/evader work/rest", False),
    ],
)
def test_the_path_rule_itself(line: str, found: bool) -> None:
    assert bool(MACHINE_PATH.search(line)) is found

"""A launching Python without numba and torch borrows those of the Python that the nodes start with, or says why not."""

from __future__ import annotations

import importlib.util
import site
import sys
from pathlib import Path

import pytest

from pe_nodes import libraries

VERSION = f"python{sys.version_info[0]}.{sys.version_info[1]}"
NAMES = ("library_that_is_lent", "another_that_is_lent")


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sourced workspace, whose nodes start with a Python in a folder with a space in its name."""
    executable = tmp_path / "install" / "pe_nodes" / libraries.EXECUTABLE
    executable.parent.mkdir(parents=True)
    executable.write_text(f'#!"{tmp_path}/an environment/bin/python"\n')
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{tmp_path}/other:{tmp_path}/install/pe_nodes")
    monkeypatch.setattr(libraries, "NEEDED", NAMES)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


def environment(folder: Path, version: str = VERSION, names: tuple[str, ...] = NAMES) -> Path:
    """A virtual environment with packages of these names; where they lie."""
    packages = folder / "an environment" / "lib" / version / "site-packages"
    for name in names:
        (packages / name).mkdir(parents=True)
        (packages / name / "__init__.py").touch()
    (folder / "an environment" / "pyvenv.cfg").touch()
    return packages


def test_libraries_of_the_nodes_are_found_before_those_of_the_distribution(workspace: Path) -> None:
    packages = environment(workspace)
    assert importlib.util.find_spec(NAMES[0]) is None
    before = list(sys.path)
    libraries.lend()
    assert importlib.util.find_spec(NAMES[0]) and importlib.util.find_spec(NAMES[1])
    place = sys.path.index(str(packages))
    assert sys.path[:place] + sys.path[place + 1 :] == before
    assert not set(sys.path[:place]) & set(site.getsitepackages())
    assert set(sys.path[place:]) & set(site.getsitepackages())


def test_a_python_that_has_them_is_left_as_it_is(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment(workspace)
    monkeypatch.setattr(libraries, "NEEDED", ("json",))
    before = list(sys.path)
    libraries.lend()
    assert sys.path == before


def test_without_a_workspace_nothing_is_done(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(workspace / "other"))
    libraries.lend()
    monkeypatch.delenv("AMENT_PREFIX_PATH")
    libraries.lend()


def test_another_version_of_python_is_refused_by_name(workspace: Path) -> None:
    environment(workspace, "python3.9")
    said = (
        rf"{NAMES[0]}, {NAMES[1]} cannot be imported by .* \(Python {VERSION[6:]}\), and the nodes start with "
        r".*an environment/bin/python, an environment of python3\.9; allowed: a virtual environment of Python "
        + VERSION[6:]
    )
    with pytest.raises(ImportError, match=said):
        libraries.lend()


def test_a_workspace_of_the_systems_python_is_refused(workspace: Path) -> None:
    with pytest.raises(ImportError, match="which is in no virtual environment; allowed: .* -m colcon build"):
        libraries.lend()


def test_an_environment_without_them_is_refused(workspace: Path) -> None:
    environment(workspace, names=NAMES[:1])
    with pytest.raises(ImportError, match=f"which lacks {NAMES[1]}; allowed"):
        libraries.lend()

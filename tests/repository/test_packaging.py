"""The same packages, built by colcon for a ROS 2 workspace and by pip as one wheel."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.repository.sources import REPOSITORY, WORKSPACE, imports, package_folders
from tests.repository.sources import ROS_PACKAGES as PACKAGES

NODES = (
    "policy", "safety", "state_estimator", "arena_sim", "watchdog", "evaluation_recorder", "fault_injector", "referee",
    "emulated_robot",
)  # fmt: skip

ROSDEP_KEYS = {
    "yaml": "python3-yaml",
    "rosbags": "python3-rosbags-pip",
    **{name: f"python3-{name}" for name in ("numpy", "scipy", "matplotlib", "numba", "torch", "rich", "lz4", "psutil")},
    # No key: asked for only where launch_ros is not installed, comes with rosbags, peers to compare with, commands.
    **dict.fromkeys(("honcho", "backports", "osqp", "qpth", "quadprog", "cma", "imageio_ffmpeg")),
}
"""What rosdep calls the libraries that we import. ROS packages and our own are called what they are."""


@pytest.fixture(scope="module")
def install_space(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace, built by colcon from a copy of the tracked files: a build must need nothing else."""
    pytest.importorskip("colcon_core", reason="colcon is not installed; ./pe test brings it")
    base = tmp_path_factory.mktemp("colcon")
    checkout = copy_of_checkout(base / "checkout")
    command = [sys.executable, "-m", "colcon", "--log-base", str(base / "log"), "build"]
    command += ["--build-base", str(base / "build"), "--install-base", str(base / "install")]
    result = subprocess.run(
        command, cwd=checkout / "ros2_ws", capture_output=True, text=True, timeout=240, env=environment(), check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return base / "install"


def copy_of_checkout(target: Path) -> Path:
    """The tracked files of the checkout as they are now, links kept as links."""
    if not (REPOSITORY / ".git").exists():
        pytest.skip("not a git checkout (an unpacked source distribution)")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, check=True).stdout
    for name in filter(None, listed.decode().split("\0")):
        source = REPOSITORY / name
        if source.exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name, follow_symlinks=False)
    return target


def environment(**more: str) -> dict[str, str]:
    """This environment without what points at a checkout or a workspace."""
    dropped = {"PYTHONPATH", "AMENT_PREFIX_PATH", "COLCON_PREFIX_PATH", "PE_HOME"}
    return {**{name: value for name, value in os.environ.items() if name not in dropped}, **more}


@cache
def workspace_environment(install: Path) -> dict[str, str]:
    """What sourcing install/setup.bash sets."""
    command = ["bash", "-c", f"source '{install}/setup.bash' && env -0"]
    listed = subprocess.run(command, env=environment(), capture_output=True, check=True, text=True).stdout
    return dict(item.split("=", 1) for item in listed.split("\0") if "=" in item)


def run_in_workspace(install: Path, program: str, cwd: Path) -> str:
    command = [sys.executable, "-c", program]
    result = subprocess.run(
        command, cwd=cwd, env=workspace_environment(install), capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.slow
@pytest.mark.parametrize("package", PACKAGES)
def test_package_is_imported_from_the_install_space(install_space: Path, package: str, tmp_path: Path) -> None:
    where = run_in_workspace(install_space, f"import {package}; print({package}.__file__)", tmp_path)
    assert Path(where.strip()).is_relative_to(install_space / package)


@pytest.mark.slow
def test_share_holds_launch_configuration_and_models(install_space: Path, tmp_path: Path) -> None:
    share = install_space / "pe_bringup" / "share" / "pe_bringup"
    for folder in ("launch", "config", "models"):
        wanted = {path.relative_to(REPOSITORY) for path in (REPOSITORY / folder).rglob("*") if is_data(path)}
        found = {path.relative_to(share) for path in (share / folder).rglob("*") if is_data(path)}
        assert found, folder
        assert found <= wanted, folder
    assert (share / "launch" / "pursuit.launch.py").is_file()
    program = "from pe_core import paths; print(paths.share_directory())"
    assert Path(run_in_workspace(install_space, program, tmp_path).strip()) == share


def is_data(path: Path) -> bool:
    return path.is_file() and "__pycache__" not in path.parts


@pytest.mark.slow
@pytest.mark.parametrize(("package", "name"), [*(("pe_nodes", name) for name in NODES), ("pe_evaluation", "report")])
def test_executable_is_there_and_its_entry_point_loads(
    install_space: Path, package: str, name: str, tmp_path: Path
) -> None:
    executable = install_space / package / "lib" / package / name
    assert os.access(executable, os.X_OK)
    shebang = executable.read_text().splitlines()[0]
    assert shebang == f"#!{sys.executable}"
    program = (
        "from importlib.metadata import distribution\n"
        f"points = distribution('{package}').entry_points\n"
        f"print(next(p for p in points if p.name == '{name}').load().__module__)"
    )
    assert run_in_workspace(install_space, program, tmp_path).startswith(package + ".")


def test_wheel_carries_packages_and_data(tmp_path: Path) -> None:
    checkout = copy_of_checkout(tmp_path / "checkout")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet"]
    subprocess.run([*command, "--wheel-dir", tmp_path, checkout], check=True, timeout=240, env=environment())
    (wheel,) = tmp_path.glob("pursuit_evasion-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    share = f"{wheel.name.removesuffix('-py3-none-any.whl')}.data/data/share/pursuit_evasion"
    for package in (*PACKAGES, "pe_cli", "training", "training/opponents"):
        assert f"{package}/__init__.py" in names
    assert "pe_core/scripted/__init__.py" in names
    assert {"pe_evaluation/replay/player.js", "pe_evaluation/replay/replay.css"} <= set(names)
    for path in ("config/arena/reference.yaml", "launch/pursuit.launch.py", "models/lead/bundle.json"):
        assert f"{share}/{path}" in names
    assert not [name for name in names if name.startswith("tests/") or "__pycache__" in name]


@pytest.mark.parametrize("package", PACKAGES)
def test_manifest_names_what_the_package_imports(package: str) -> None:
    manifest = ElementTree.parse(WORKSPACE / package / "package.xml").getroot()
    assert manifest.get("format") == "3"
    named = {element.text for element in manifest.findall("exec_depend")}
    imported = {name for path in package_folders()[package].rglob("*.py") for _, name in imports(path)}
    wanted = {ROSDEP_KEYS.get(name, name) for name in imported - set(sys.stdlib_module_names) - {package, "__future__"}}
    assert wanted - {None} <= named


@pytest.mark.parametrize("package", [*PACKAGES, "pe_bringup"])
def test_one_version_everywhere(package: str) -> None:
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    assert f"<version>{version}</version>" in (WORKSPACE / package / "package.xml").read_text()
    assert f'version="{version}"' in (WORKSPACE / package / "setup.py").read_text()

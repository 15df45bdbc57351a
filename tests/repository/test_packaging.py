"""The same packages, built by colcon for a ROS 2 workspace and by pip as one wheel."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pe_core.provenance import version
from tests.repository.sources import REPOSITORY, WORKSPACE, imports, package_folders
from tests.repository.sources import ROS_PACKAGES as PACKAGES
from tests.support.checkout import tracked_names

NODES = (
    "policy", "safety", "state_estimator", "arena_sim", "watchdog", "evaluation_recorder", "fault_injector", "referee",
    "emulated_robot",
)  # fmt: skip

ROSDEP_KEYS = {
    "yaml": "python3-yaml",
    "rosbags": "python3-rosbags-pip",
    **{name: f"python3-{name}" for name in ("numpy", "scipy", "matplotlib", "numba", "torch", "rich", "lz4", "psutil")},
    # No key: asked for only where launch_ros is not installed, comes with rosbags, peers to compare with, commands.
    **dict.fromkeys(("honcho", "backports", "osqp", "qpth", "quadprog", "cma")),
    **dict.fromkeys(("imageio_ffmpeg", "tensorboard", "wandb")),
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
    for name in tracked_names():
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


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(path.name for path in (REPOSITORY / "launch").glob("*.launch.py")))
def test_a_launch_file_loads_in_a_python_without_our_libraries(install_space: Path, name: str, tmp_path: Path) -> None:
    """As under a ``ros2`` of the distribution's Python, which has neither torch nor numba."""
    words = [sys.executable, "-m", "venv", "--without-pip", "--system-site-packages", tmp_path / "bare"]
    subprocess.run(words, check=True, timeout=120)
    launch_file = install_space / "pe_bringup" / "share" / "pe_bringup" / "launch" / name
    program = (
        "import importlib.util, runpy, sys\n"
        "assert not importlib.util.find_spec('numba') and not importlib.util.find_spec('torch')\n"
        "module = runpy.run_path(sys.argv[1])\n"
        "module['records'](module['ARGUMENTS']()), print(sys.modules['numba'].__file__)"
    )
    done = subprocess.run(
        [tmp_path / "bare" / "bin" / "python", "-c", program, launch_file], cwd=tmp_path, timeout=120,
        env=workspace_environment(install_space), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if name == "gazebo.launch.py" and "setup gazebo" in done.stderr:
        return  # loaded; Gazebo itself is not everywhere
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_relative_to(sysconfig.get_path("purelib"))


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The source distribution of the tracked files, and the wheel that is built from it."""
    base = tmp_path_factory.mktemp("distributions")
    checkout = copy_of_checkout(base / "checkout")
    build = "import setuptools.build_meta as b, sys; b.build_sdist(sys.argv[1])"
    words = {"capture_output": True, "check": True, "timeout": 240, "env": environment()}
    subprocess.run([sys.executable, "-c", build, base], cwd=checkout, **words)
    (source,) = base.glob("pursuit_evasion-*.tar.gz")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet"]
    subprocess.run([*command, "--wheel-dir", base, source], **words)
    (wheel,) = base.glob("pursuit_evasion-*.whl")
    return source, wheel


def test_wheel_carries_packages_and_data(distributions: tuple[Path, Path]) -> None:
    wheel = distributions[1]
    names = zipfile.ZipFile(wheel).namelist()
    share = f"{wheel.name.removesuffix('-py3-none-any.whl')}.data/data/share/pursuit_evasion"
    for package in (*PACKAGES, "pe_cli", "training", "training/opponents"):
        assert f"{package}/__init__.py" in names
    assert "pe_core/scripted/__init__.py" in names
    assert {"pe_evaluation/replay/player.js", "pe_evaluation/replay/replay.css"} <= set(names)
    for folder in ("config", "launch", "models"):
        paths = [path for path in (REPOSITORY / folder).rglob("*") if is_data(path)]
        wanted = {path.relative_to(REPOSITORY).as_posix() for path in paths}
        found = {name.removeprefix(f"{share}/") for name in names if name.startswith(f"{share}/{folder}/")}
        assert found <= wanted, folder
        missing = {name for name in wanted - found if not name.startswith("models/seeds/")}
        assert missing <= untracked(folder), folder
    assert not [name for name in names if name.startswith(("tests/", f"{share}/models/seeds")) or "__pycache__" in name]
    assert wheel.stat().st_size < MAXIMUM_WHEEL_BYTES


MAXIMUM_WHEEL_BYTES = 8_000_000


def untracked(folder: str) -> set[str]:
    """What lies in a folder of this checkout and is not part of the project."""
    command = ["git", "ls-files", "--others", "-z", folder]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True, text=True).stdout
    return set(filter(None, listed.split("\0")))


def test_source_distribution_carries_what_a_person_needs(distributions: tuple[Path, Path]) -> None:
    with tarfile.open(distributions[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {"pe", "README.md", "CHANGELOG.md", "CITATION.cff", "LICENSE", ".ci/run", ".dockerignore",
              "docker/Dockerfile", "docs/architecture.md", "docs/images/chase.png", "tests/conftest.py",
              "ros2_ws/src/pe_bringup/setup.py",
              "ros2_ws/src/pe_core/resource/pe_core", "models/seeds/cbf-beta-1/bundle.json"}  # fmt: skip
    assert wanted <= names, wanted - names


def test_bringup_builds_without_its_links_as_in_a_source_distribution(
    distributions: tuple[Path, Path], tmp_path: Path
) -> None:
    with tarfile.open(distributions[0]) as archive:
        archive.extractall(tmp_path)
    (unpacked,) = tmp_path.iterdir()
    bringup = unpacked / "ros2_ws" / "src" / "pe_bringup"
    assert not (bringup / "launch").exists()
    command = [sys.executable, "setup.py", "--quiet", "install_data", "--install-dir", tmp_path / "installed"]
    subprocess.run(command, cwd=bringup, check=True, capture_output=True, timeout=120, env=environment())
    share = tmp_path / "installed" / "share" / "pe_bringup"
    for path in ("launch/pursuit.launch.py", "config/arena/reference.yaml", "models/lead/bundle.json"):
        assert (share / path).read_bytes() == (REPOSITORY / path).read_bytes()


@pytest.mark.slow
@pytest.mark.integration
def test_wheel_plays_a_game_where_there_is_no_checkout(
    distributions: tuple[Path, Path], ros_environment: dict[str, str], tmp_path: Path
) -> None:
    """Installed into an empty environment in an empty folder. Libraries are lent by this one; ours are not."""
    home, folder = tmp_path / "environment", tmp_path / "folder"
    folder.mkdir()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True, timeout=120)
    python = home / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, distributions[1]], check=True, timeout=240, env=environment())
    # A folder on the path, not a site folder: the editable install that lies there does not come along.
    (packages,) = home.glob("lib/python3*/site-packages")
    (packages / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    # A minute of compiling for each new place of the kernels; uncompiled, one short game is quicker.
    settings = environment(NUMBA_DISABLE_JIT="1", **{name: ros_environment[name] for name in DISCOVERY})

    def pe(*words: str) -> str:
        command = [home / "bin" / "pe", *words]
        done = subprocess.run(
            command, cwd=folder, env=settings, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    program = "import pe_core, pe_cli, training as t; print(pe_core.__file__, pe_cli.__file__, t.__file__)"
    where = [python, "-c", program]
    places = subprocess.run(where, cwd=folder, env=settings, capture_output=True, text=True, check=True).stdout.split()
    assert all(Path(place).is_relative_to(home) for place in places), places
    assert pe("--version") == f"pe {version()}\n"
    game = ("scenario:=head_on", "pursuer:=lead", "feasibility:=")
    pe("launch", "pursuit.launch.py", "episodes:=1", "rate:=0", "out:=out", *game)
    metrics = json.loads((folder / "out" / "metrics.json").read_text())
    assert (metrics["episodes"], metrics["violations"], metrics["complete"]) == (1, 0, True)
    identity = metrics["identity"]
    assert identity["git_revision"] is None and identity["version"] == version()
    pe("bag", "out/bag", "--json", "bag.json")
    pe("evaluate", "--pursuer", "lead", "--evader", "lookahead", "--episodes", "1", "--scenario", "head_on",
       "--feasibility", "", "--json", "evaluate.json")  # fmt: skip
    played = [json.loads((folder / name).read_text()) for name in ("bag.json", "evaluate.json")]
    assert played[0]["captures"] == played[1]["captures"] == metrics["captures"]
    assert played[1]["min_margin_m"] == pytest.approx(metrics["min_margin_m"], abs=1e-12)


DISCOVERY = ("ROS_DOMAIN_ID", "ROS_AUTOMATIC_DISCOVERY_RANGE")


@pytest.mark.parametrize("package", PACKAGES)
def test_manifest_names_what_the_package_imports(package: str) -> None:
    manifest = ElementTree.parse(WORKSPACE / package / "package.xml").getroot()
    assert manifest.get("format") == "3"
    named = {element.text for element in manifest.findall("exec_depend")}
    imported = {name for path in package_folders()[package].rglob("*.py") for _, name in imports(path)}
    wanted = {ROSDEP_KEYS.get(name, name) for name in imported - set(sys.stdlib_module_names) - {package, "__future__"}}
    assert wanted - {None} <= named


def test_what_only_some_arguments_need_is_told_and_no_dependency() -> None:
    """A workspace builds, and rosdep installs, without them."""
    manifests = "".join((WORKSPACE / name / "package.xml").read_text() for name in (*PACKAGES, "pe_bringup"))
    told = (REPOSITORY / "docs" / "install.md").read_text()
    for package, prefix in (("ros-jazzy-robot-localization", "robot_localization"), ("ros-jazzy-ros-gz", "ros_gz")):
        assert f"apt install {package} " in told and prefix not in manifests


@pytest.mark.parametrize("package", [*PACKAGES, "pe_bringup"])
def test_one_version_everywhere(package: str) -> None:
    declared = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    assert f"<version>{declared}</version>" in (WORKSPACE / package / "package.xml").read_text()
    assert f'version="{declared}"' in (WORKSPACE / package / "setup.py").read_text()


def test_documents_and_images_name_the_same_version() -> None:
    declared = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    assert f"\n## [{declared}]" in (REPOSITORY / "CHANGELOG.md").read_text()
    assert f"\nversion: {declared}\n" in (REPOSITORY / "CITATION.cff").read_text()
    assert f"pursuit-evasion:{declared}\n" in (REPOSITORY / "docker" / "compose.yaml").read_text()
    assert f"pursuit_evasion-{declared}-py3" in (REPOSITORY / "docs" / "install.md").read_text()

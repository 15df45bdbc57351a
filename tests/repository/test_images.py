"""The image, the compose file and the entry point, as far as they can be held to something without an engine."""

from __future__ import annotations

import io
import os
import re
import shlex
import signal
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
from dockerfile_parse import DockerfileParser

from pe_nodes import launch_arguments
from pe_nodes.deployment_arguments import RobotArguments
from tests.repository.sources import REPOSITORY
from tests.support.checkout import tracked_names
from tests.support.command_checks import compose, fault, stages
from tests.support.shown_commands import in_script

DOCKER = REPOSITORY / "docker"
ENTRYPOINT = DOCKER / "entrypoint.sh"
SECONDS = 30


def tool(name: str, *words: str | Path) -> str:
    """What a linter of this environment says; empty where it has nothing to say."""
    program = Path(sys.executable).parent / name
    if not program.exists():
        pytest.skip(f"{name} is not installed; ./pe test brings it")
    done = subprocess.run([program, *words], capture_output=True, text=True, timeout=SECONDS, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def instructions(name: str) -> list[str]:
    """What follows every instruction `name` of the Dockerfile, joined lines as one."""
    parser = DockerfileParser(fileobj=io.BytesIO((DOCKER / "Dockerfile").read_bytes()))
    return [entry["value"] for entry in parser.structure if entry["instruction"] == name]


def test_hadolint_finds_nothing() -> None:
    assert tool("hadolint", DOCKER / "Dockerfile") == ""


@pytest.mark.parametrize("script", ["docker/entrypoint.sh", ".ci/run"])
def test_shellcheck_finds_nothing(script: str) -> None:
    subprocess.run(["bash", "-n", REPOSITORY / script], check=True)
    assert tool("shellcheck", REPOSITORY / script) == ""


def test_shellcheck_finds_nothing_in_pe() -> None:
    # A variable called done, and a word called test, are not what it takes them for.
    assert tool("shellcheck", "--exclude=SC1010,SC2209", REPOSITORY / "pe") == ""


def test_compose_file_is_valid() -> None:
    words = ("--builtin-schema", "vendor.compose-spec")
    assert tool("check-jsonschema", *words, DOCKER / "compose.yaml") == ""


def ignored(path: str) -> bool:
    """Whether .dockerignore keeps a path out of the context; the file uses no exceptions."""
    lines = (REPOSITORY / ".dockerignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    parents = [path, *(str(parent) for parent in Path(path).parents)]
    for each in parents[:-1]:
        for pattern in patterns:
            anywhere = pattern.startswith("**/")
            if fnmatch(Path(each).name if anywhere else each, pattern.removeprefix("**/")):
                return True
    return False


def test_everything_copied_is_there_and_not_ignored() -> None:
    sources = []
    for value in instructions("COPY"):
        words = shlex.split(value)
        if not words[0].startswith("--from="):
            sources += [word for word in words[:-1] if not word.startswith("--")]
    assert {"pyproject.toml", "ros2_ws", "docker/entrypoint.sh"} <= set(sources)
    faults = [source for source in sources if not (REPOSITORY / source).exists() or ignored(source)]
    assert not faults, ", ".join(faults)


@pytest.mark.parametrize(
    ("path", "out"),
    [(".git/config", True), ("cli/pe_cli/__pycache__/app.pyc", True), ("out/bag/x.mcap", True),
     ("ros2_ws/build/x", True), ("docker/.env", True), (".gazebo/usr/bin/gzserver", True), (".gazebo.part/x", True),
     (".github/workflows/ci.yml", False), (".ci/run", False), ("tests/repository/test_workflow.py", False),
     ("ros2_ws/src/pe_core/setup.py", False), ("docs/bags.md", False)],
)  # fmt: skip
def test_what_the_context_leaves_out(path: str, out: bool) -> None:
    assert ignored(path) is out


def test_what_git_ignores_the_context_leaves_out() -> None:
    if not (REPOSITORY / ".gitignore").exists():
        pytest.skip("not a git checkout (an unpacked source distribution)")
    lines = (REPOSITORY / ".gitignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    assert len(patterns) > 10 and not [pattern for pattern in patterns if pattern.startswith("!")]
    # A folder, a name anywhere, a pattern: one path of each.
    paths = [re.sub(r"\[.*?\]", "c", pattern.strip("/")).replace("*", "part") for pattern in patterns]
    kept = [pattern for pattern, path in zip(patterns, paths, strict=True) if not ignored(path)]
    assert not kept, ", ".join(kept)


def test_the_suite_finds_in_the_context_what_it_reads() -> None:
    """Whatever is tracked is in it: the tests of the image read workflow, manifests and documents."""
    lost = [name for name in tracked_names() if ignored(name)]
    assert not lost, ", ".join(lost)


def test_stages_are_copied_from_only_after_they_are_built() -> None:
    built: list[str] = []
    order = [value.split() for value in instructions("FROM")]
    assert [words[0] for words in order if words[0] not in stages()] == ["${ROS_IMAGE}"]
    for words in order:
        assert words[0] == "${ROS_IMAGE}" or words[0] in built
        built += words[2:]
    assert {word.removeprefix("--from=") for value in instructions("COPY") for word in value.split()
            if word.startswith("--from=")} <= set(built)  # fmt: skip
    assert order[-1] == ["runtime"]


def test_the_base_is_jazzy_by_name() -> None:
    (image,) = [value for value in instructions("ARG") if value.startswith("ROS_IMAGE=")]
    assert re.fullmatch(r"ROS_IMAGE=ros:jazzy-ros-base-noble", image)


def test_what_is_shipped_does_not_run_as_root() -> None:
    users = instructions("USER")
    assert users[0] == users[-1] == "${UID}:${GID}"
    assert {"UID=1000", "GID=1000"} <= set(instructions("ARG"))


@pytest.mark.parametrize("service", sorted(compose()["services"]))
def test_service(service: str) -> None:
    declared = compose()["services"][service]
    assert declared["profiles"] == [service]
    assert (declared["network_mode"], declared["ipc"], declared["restart"]) == ("host", "host", "no")
    assert declared["environment"]["ROS_DOMAIN_ID"] == "${ROS_DOMAIN_ID:-0}"
    build = declared["build"]
    assert (DOCKER / build["context"]).resolve() == REPOSITORY
    assert (REPOSITORY / build["dockerfile"]).is_file() and build["target"] in stages()
    assert set(build["args"]) <= {value.partition("=")[0] for value in instructions("ARG")}
    # Longer than a node that closes its bag may take, or the engine kills what still stops a robot.
    assert int(declared["stop_grace_period"].removesuffix("s")) >= 30 and declared["stop_signal"] == "SIGINT"


@pytest.mark.parametrize("service", sorted(compose()["services"]))
def test_command_of_a_service_is_one_that_runs(service: str) -> None:
    words = [re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", word) for word in compose()["services"][service]["command"]]
    (shown,) = in_script(shlex.join(words), service)
    assert fault(shown) is None


def test_every_service_writes_into_a_folder_of_its_own() -> None:
    services = compose()["services"]
    outs = {name: [word for word in services[name]["command"] if word.startswith("out:=")] for name in services}
    assert outs == {name: [f"out:=/out/{name}"] for name in services}


def test_a_robot_in_a_container_is_told_what_its_driver_needs() -> None:
    """Named by a variable, and without one as the launch file has it."""
    words = dict(word.split(":=", 1) for word in compose()["services"]["robot"]["command"] if ":=" in word)
    defaults = {row[0]: row[1] for row in launch_arguments.table(RobotArguments)}
    variables = {"role": "PE_ROLE", "robot": "PE_ROBOT", "localisation": "PE_LOCALISATION", "policy": "PE_POLICY",
                 "driver_topic": "PE_DRIVER_TOPIC", "stamped_cmd_vel": "PE_STAMPED"}  # fmt: skip
    for name, variable in variables.items():
        assert words[name] == f"${{{variable}:-{defaults[name]}}}"


@pytest.mark.parametrize("service", sorted(compose()["services"]))
def test_variables_of_a_service_are_documented(service: str) -> None:
    used = set(re.findall(r"\$\{(PE_\w+):-", " ".join(compose()["services"][service]["command"])))
    lines = (DOCKER.parent / "docs" / "docker.md").read_text().splitlines()
    (row,) = [line for line in lines if line.startswith(f"| `{service}` |") and "PE_" in line]
    assert used <= set(re.findall(r"`(PE_\w+)`", row))


def test_commands_in_the_image_are_ones_that_run() -> None:
    """What RUN calls of ours: the command line, launch files, modules, scripts."""
    text = "\n".join(re.sub(r"--mount=\S+", "", value) for value in instructions("RUN"))
    shown = list(in_script(text.replace("docker/entrypoint.sh ", ""), "Dockerfile"))
    faults = [f"{each}: {wrong}" for each in shown if (wrong := fault(each))]
    assert not faults, "\n".join(faults)
    assert {each.words[:2] for each in shown} >= {("pe", "launch"), ("ros2", "launch"), ("pe", "bag")}


def enter(folder: Path, *words: str) -> subprocess.Popen[str]:
    """Start the entry point over a ROS 2 and a workspace that set one variable each."""
    (folder / "ws").mkdir()
    (folder / "ros.bash").write_text("export SOURCED=ros:$UNSET_VARIABLE\n[ \"$1\" = -- ] || exit 9\n")
    (folder / "ws" / "setup.bash").write_text("export SOURCED=$SOURCED:ws\n")
    environment = {**os.environ, "ROS_SETUP": str(folder / "ros.bash"), "PE_WORKSPACE": str(folder / "ws")}
    return subprocess.Popen([ENTRYPOINT, *words], env=environment, text=True, stdout=-1, stderr=-1)


def test_entry_point_sources_both_and_keeps_words_and_status(tmp_path: Path) -> None:
    process = enter(tmp_path, "bash", "-c", 'echo "$SOURCED|$1|$2"; exit 7', "name", "two words", "*")
    assert process.communicate(timeout=SECONDS)[0] == "ros::ws|two words|*\n"
    assert process.returncode == 7


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_entry_point_becomes_the_command_so_that_signals_reach_it(number: signal.Signals, tmp_path: Path) -> None:
    program = (
        "import os, signal, sys, time\n"
        f"signal.signal({int(number)}, lambda *_: (print('stopped'), sys.exit(3)))\n"
        "print(os.getpid(), flush=True)\n"
        "time.sleep(60)"
    )
    process = enter(tmp_path, sys.executable, "-S", "-c", program)
    assert process.stdout is not None and int(process.stdout.readline()) == process.pid
    process.send_signal(number)
    assert process.communicate(timeout=SECONDS)[0] == "stopped\n"
    assert process.returncode == 3


def test_entry_point_names_what_is_missing(tmp_path: Path) -> None:
    environment = {**os.environ, "ROS_SETUP": str(tmp_path / "none.bash")}
    done = subprocess.run([ENTRYPOINT, "true"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and f"{tmp_path}/none.bash is not there" in done.stderr


def test_requirements_are_those_of_the_project() -> None:
    words = [sys.executable, DOCKER / "requirements.py", REPOSITORY / "pyproject.toml"]
    listed = subprocess.run([*words, "video"], capture_output=True, text=True, check=True).stdout.splitlines()
    assert "torch==2.13.0" in listed and any(line.startswith("imageio-ffmpeg") for line in listed)
    refused = subprocess.run([*words, "everything"], capture_output=True, text=True, check=False)
    assert refused.returncode and "extra everything is unknown; known: ros, test" in refused.stderr

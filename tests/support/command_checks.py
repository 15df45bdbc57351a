"""Is a shown command one that runs? Held against the real parsers and files; nothing is executed."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import io
import os
import re
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from dockerfile_parse import DockerfileParser
from typer.main import get_command

from pe_cli.app import app
from pe_core.config import ConfigurationError, quantities
from pe_core.paths import bundle_names, config_names
from pe_nodes import launch_arguments, process_launch, settings
from tests.support.shown_commands import Shown

REPOSITORY = Path(__file__).resolve().parents[2]
PLACEHOLDER = re.compile(r"[A-Z][A-Z0-9_]*")
"""``DIR``, ``NAME``, ``N``: what the reader puts in."""

NAMED: dict[str, Callable[[], list[str]]] = {
    "--pursuer": lambda: bundle_names("pursuer"),
    "--evader": lambda: [*bundle_names("evader"), *bundle_names("pursuer")],
    "--safety": lambda: [*config_names("safety"), "none"],
    "--what-if": lambda: config_names("safety"),
    "--robot": lambda: [*config_names("robots"), "pursuer", "evader"],
    "--scenario": lambda: config_names("scenarios"),
    "train": lambda: [*config_names("learning"), *config_names("self_play")],
    "check": bundle_names,
    "show": bundle_names,
    "onnx": bundle_names,
    "polygon": bundle_names,
    "exploit": bundle_names,
}
"""After these words comes a name of one of these, or a path."""

SETTINGS = {
    "policy": settings.PolicySettings,
    "safety": settings.SafetySettings,
    "state_estimator": settings.EstimatorSettings,
    "watchdog": settings.WatchdogSettings,
    "arena_sim": settings.SimSettings,
    "evaluation_recorder": settings.RecorderSettings,
    "fault_injector": settings.FaultSettings,
}


def fault(shown: Shown) -> str | None:
    """What is wrong with a command; None where it would run."""
    words = list(shown.words)
    program = Path(words[0]).name
    if len(words) == 1 and not shown.whole:
        return None
    check = {
        "pe": _pe,
        "ros2": _ros2,
        "docker": _docker,
        "pip": _pip,
        "entrypoint.sh": lambda rest, whole: fault(Shown(shown.place, tuple(rest), whole)),
        "cd": _folder,
        "bash": _script,
        "run": lambda rest, whole: _script([shown.words[0]], whole),
    }.get(program, _python if program.startswith("python") else lambda rest, whole: None)
    return check(words[1:], shown.whole)


@functools.cache
def _parser() -> Any:
    """The command line with every command's body taken out."""
    root = get_command(app)

    def hollow(command: Any) -> None:
        for each in getattr(command, "commands", {}).values():
            if not hasattr(each, "commands"):
                each.callback = lambda **_: None
            hollow(each)

    hollow(root)
    return root


def _pe(words: list[str], whole: bool) -> str | None:
    words = [word for word in words if word != "X"]  # words that the document gives elsewhere
    for before, name in zip(words, words[1:], strict=False):
        known = NAMED.get(before)
        if known and not name.startswith("-") and not PLACEHOLDER.fullmatch(name) and "/" not in name:
            if name not in known():
                return f"{before} {name}: allowed: {', '.join(known())}"
    if words[:1] == ["launch"] and words[1:] and (wrong := launch_fault(words[1], words[2:])):
        return wrong
    said = io.StringIO()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        if words[:1] == ["bag"] and words[1:]:
            words = ["bag", words[1].lstrip("/"), *words[2:]]
            Path(words[1]).mkdir(parents=True)
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            try:
                _parser().main(args=[_number(words, place) for place in range(len(words))], prog_name="pe")
            except SystemExit as end:
                text = " ".join(re.sub(r"[│╭╮╰╯─]", " ", said.getvalue()).split())
                merely_named = not whole and re.search("Missing|requires an argument", text)
                if end.code and not merely_named and words not in ([], ["policy"], ["robot"], ["setup"]):
                    return text
    return None


def _number(words: list[str], place: int) -> str:
    """The word, or a number where a placeholder follows an option: most options that have one take numbers."""
    word, before = words[place], words[place - 1] if place else ""
    is_open = PLACEHOLDER.fullmatch(word) and before.startswith("--") and len(word) == 1
    return "1" if is_open else word


def launch_fault(file: str, words: list[str]) -> str | None:
    """What is wrong with a launch file's name and its arguments."""
    if PLACEHOLDER.fullmatch(file):
        return None
    path = REPOSITORY / "launch" / file
    if not path.is_file():
        return f"launch/{file} is not there"
    kind = getattr(process_launch.load(file), "ARGUMENTS", launch_arguments.LaunchArguments)
    known = list(quantities(kind))
    for word in words:
        name, separator, value = word.partition(":=")
        if word.startswith("--"):
            if word not in ("--show-args", "--show-arguments"):
                return f"{file}: {word} is unknown"
            continue
        if not separator or name not in known:
            return f"{file}: {word}: known: {', '.join(known)}"
        if kind is launch_arguments.LaunchArguments and value and not PLACEHOLDER.fullmatch(value) and "$" not in value:
            try:
                launch_arguments.from_texts({name: value} | ({} if name != "watchdog" else {"rate": "1.0"}))
            except ConfigurationError as error:
                return str(error)
    return None


def _ros2(words: list[str], whole: bool) -> str | None:
    if words[:1] == ["launch"] and len(words) > 2:
        return launch_fault(words[2], words[3:]) if words[1] == "pe_bringup" else f"package {words[1]} has no launch"
    if words[:1] == ["run"] and len(words) > 2:
        package, executable, *rest = words[1:]
        setup = REPOSITORY / "ros2_ws" / "src" / package / "setup.py"
        if not setup.is_file() or f'"{executable} = ' not in setup.read_text():
            return f"{package} has no executable {executable}"
        given = [word.partition(":=")[0] for flag, word in zip(rest, rest[1:], strict=False) if flag == "-p"]
        known = {*quantities(SETTINGS[executable]), "autostart", "use_sim_time"} if executable in SETTINGS else set()
        unknown = [name for name in given if name not in known]
        return f"{executable} has no parameter {', '.join(unknown)}" if unknown else None
    return None


def _python(words: list[str], whole: bool) -> str | None:
    if words[:1] == ["-m"] and len(words) > 1:
        if words[1] == "pip":
            return _pip(words[2:], whole)
        try:
            found = importlib.util.find_spec(words[1])
        except ModuleNotFoundError:
            found = None
        return None if found else f"there is no module {words[1]}"
    if words and words[0].endswith(".py"):
        names = [path.name for path in (REPOSITORY / "docker").iterdir()]
        return None if Path(words[0]).name in names else f"{words[0]} is not there"
    return None


def _pip(words: list[str], whole: bool) -> str | None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    for word in words:
        for extras in re.findall(r"^(?:\.|\S*pursuit[-_]evasion\S*)\[([\w,]+)\]", word):
            unknown = set(extras.split(",")) - set(project["optional-dependencies"])
            if unknown:
                return f"there is no extra {', '.join(sorted(unknown))}"
    return None


def _folder(words: list[str], whole: bool) -> str | None:
    there = not words or words[0] in ("..", "-") or PLACEHOLDER.fullmatch(words[0]) or (REPOSITORY / words[0]).is_dir()
    return None if there or words[0] in ("pursuit-evasion", "empty") else f"there is no folder {words[0]}"


def _script(words: list[str], whole: bool) -> str | None:
    if not words or words[0].startswith("-"):
        return None
    return None if os.access(REPOSITORY / words[0], os.X_OK) else f"{words[0]} is no script of ours"


@functools.cache
def stages() -> tuple[str, ...]:
    """The names of the image's stages."""
    parser = DockerfileParser(fileobj=io.BytesIO((REPOSITORY / "docker" / "Dockerfile").read_bytes()))
    froms = [entry["value"].split() for entry in parser.structure if entry["instruction"] == "FROM"]
    return tuple(words[-1] for words in froms if len(words) == 3)


@functools.cache
def compose() -> dict[str, Any]:
    """The compose file, its anchors resolved."""
    return dict(yaml.safe_load((REPOSITORY / "docker" / "compose.yaml").read_text()))


def _docker(words: list[str], whole: bool) -> str | None:
    profiles = {name for service in compose()["services"].values() for name in service["profiles"]}
    for option, value in zip(words, words[1:], strict=False):
        if option in ("-f", "--file") and not (REPOSITORY / value).is_file():
            return f"{value} is not there"
        if option == "--target" and value not in stages():
            return f"stage {value} is unknown; known: {', '.join(stages())}"
        if option == "--profile" and value not in profiles:
            return f"profile {value} is unknown; known: {', '.join(sorted(profiles))}"
    if words[:1] == ["run"] and "pe" in words:
        return _pe(words[words.index("pe") + 1 :], whole)
    return _executed(words[words.index("exec") + 1 :]) if "exec" in words else None


def _executed(words: list[str]) -> str | None:
    """What follows ``docker compose exec``: a service, and a command through the entry point, which sources ROS 2."""
    options = next((place for place, word in enumerate(words) if not word.startswith("-")), len(words))
    service, entry, *inner = [*words[options:], "", ""][: max(2, len(words) - options)]
    if service not in compose()["services"]:
        return f"service {service!r} is unknown; known: {', '.join(compose()['services'])}"
    if entry != "entrypoint":
        return f"exec {service} {entry}: allowed: entrypoint and a command, for the entry point sources ROS 2"
    # Long enough to be meant as it is, even in a sentence.
    return fault(Shown("", tuple(inner), whole=True)) if inner else None

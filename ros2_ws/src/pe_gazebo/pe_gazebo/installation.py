"""Gazebo classic 11 in a folder of its own, the prefix, and how its programs are started there.

The prefix holds Debian's packages unpacked, C library included, so programs run with the prefix's own loader and
libraries whatever this machine has.  ``./pe setup gazebo`` makes it (:mod:`pe_gazebo.packages`).
"""

from __future__ import annotations

import os
from pathlib import Path

from pe_core.config import ConfigurationError
from pe_core.paths import share_directory

VERSION = "11.1.0"
STAMP = "pe-gazebo.json"
"""Written last of all into a prefix; without it nothing there counts."""

REMEDY = "./pe setup gazebo"
_LOADER = "lib/x86_64-linux-gnu/ld-2.31.so"
_LIBRARIES = "usr/lib/x86_64-linux-gnu"
_PLUGINS = f"{_LIBRARIES}/gazebo-11/plugins"
_SEARCHED = (
    "lib/x86_64-linux-gnu",
    _LIBRARIES,
    f"{_LIBRARIES}/blas",
    f"{_LIBRARIES}/lapack",
    f"{_LIBRARIES}/pulseaudio",
    "usr/lib",
    _PLUGINS,
)


def prefix() -> Path:
    """Where Gazebo is or will be: ``$PE_GAZEBO``, else ``.gazebo`` in the project's directory."""
    given = os.environ.get("PE_GAZEBO")
    return Path(given).expanduser().resolve() if given else share_directory() / ".gazebo"


def installed() -> bool:
    """Whether a whole Gazebo is in :func:`prefix`."""
    return (prefix() / STAMP).is_file() and (prefix() / _LOADER).is_file()


def require() -> None:
    """Refuse to go on without Gazebo.

    Raises:
        ConfigurationError: it is not installed; the message names the command that installs it.
    """
    if not installed():
        raise ConfigurationError(f"Gazebo is not installed in {prefix()}; run: {REMEDY}")


def gzserver_command(world: Path, *options: str) -> list[str]:
    """The command line of a server that loads ``world`` (SDF); ``options`` are gzserver's own, as ``-u`` for paused.

    Raises:
        ConfigurationError: Gazebo is not installed, or there is no such world.
    """
    command = program("gzserver", *options)
    if not world.is_file():
        raise ConfigurationError(f"world '{world}': there is no such file")
    return [*command, str(world)]


def program(name: str, *words: str) -> list[str]:
    """The command line of one of Gazebo's programs (``gzserver``, ``gz``) in the prefix.

    Raises:
        ConfigurationError: Gazebo is not installed; the message names the command that installs it.
    """
    require()
    return command_in(prefix(), name, *words)


def command_in(root: Path, name: str, *words: str) -> list[str]:
    """The command line of a program of the Gazebo unpacked in ``root``, which is not looked at."""
    libraries = ":".join(str(root / folder) for folder in _SEARCHED)
    return [str(root / _LOADER), "--library-path", libraries, str(root / f"usr/bin/{name}-{VERSION}"), *words]


def environment(port: int, home: Path) -> dict[str, str]:
    """The whole environment of Gazebo's programs; nothing of the caller's leaks in.

    Args:
        port: TCP port of the master, on the loopback interface only.
        home: a writable directory, where Gazebo keeps its log.

    Raises:
        ConfigurationError: the port is not one.
    """
    return environment_in(prefix(), port, home)


def environment_in(root: Path, port: int, home: Path) -> dict[str, str]:
    """As :func:`environment`, for the Gazebo unpacked in ``root``."""
    if not 1024 <= port <= 65535:
        raise ConfigurationError(f"Gazebo's port = {port!r}: allowed: [1024, 65535]")
    share = root / "usr/share/gazebo-11"
    return {
        "HOME": str(home),
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "GAZEBO_RESOURCE_PATH": str(share),
        "GAZEBO_MODEL_PATH": str(share / "models"),
        "GAZEBO_PLUGIN_PATH": str(root / _PLUGINS),
        "OGRE_RESOURCE_PATH": str(root / _LIBRARIES / "OGRE-1.9.0"),
        "GAZEBO_MODEL_DATABASE_URI": "",
        "GAZEBO_MASTER_URI": f"http://127.0.0.1:{port}",
        "GAZEBO_IP": "127.0.0.1",
        "IGN_IP": "127.0.0.1",
    }

"""Where configuration, launch files, policy bundles and other fitted models are found.

In this order: ``$PE_HOME``; the checkout that holds this file; an ament prefix (``share/pe_bringup`` on
``AMENT_PREFIX_PATH``); the data files of an installed wheel (``share/pursuit_evasion`` under ``sys.prefix``).
"""

from __future__ import annotations

import json
import os
import sys
from functools import cache
from pathlib import Path

from pe_core.config import ConfigurationError

BOUNDARY = "network"
"""The boundary of infeasible states that is asked where no other is named."""


def _candidates() -> list[Path]:
    homes: list[Path] = []
    if os.environ.get("PE_HOME"):
        homes.append(Path(os.environ["PE_HOME"]))
    homes += list(Path(__file__).resolve().parents)[:6]
    for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep):
        if prefix:
            homes.append(Path(prefix) / "share" / "pe_bringup")
    homes.append(Path(sys.prefix) / "share" / "pursuit_evasion")
    return homes


@cache
def share_directory() -> Path:
    """The directory that holds ``config/``, ``launch/`` and ``models/``.

    Raises:
        ConfigurationError: none of the known places holds it.
    """
    for home in _candidates():
        if (home / "config" / "robots").is_dir():
            return home
    raise ConfigurationError(
        "config/ was not found; set PE_HOME to the checkout, or source the workspace's install/setup.bash"
    )


def config_names(kind: str) -> list[str]:
    """The names known in ``config/<kind>``."""
    return sorted(path.stem for path in (share_directory() / "config" / kind).glob("*.yaml"))


def config_path(kind: str, name: str) -> Path:
    """The file ``config/<kind>/<name>.yaml``, or ``name`` itself where it is a path to a YAML file.

    Raises:
        ConfigurationError: there is no such file; the message lists the known names.
    """
    if name.endswith((".yaml", ".yml")):
        path = Path(name).expanduser()
        if path.is_file():
            return path
    else:
        path = share_directory() / "config" / kind / f"{name}.yaml"
        if path.is_file():
            return path
    known = ", ".join(config_names(kind))
    what = kind.removesuffix("s")
    raise ConfigurationError(f"{what} '{name}' is unknown; known: {known} (or a path to a .yaml file)")


def bundle_names(role: str | None = None) -> list[str]:
    """The names of the policy bundles in ``models/``, of one role where given."""
    names = []
    for path in sorted((share_directory() / "models").glob("*/bundle.json")):
        if role is None or json.loads(path.read_text()).get("role") == role:
            names.append(path.parent.name)
    return names


def bundle_path(name: str, role: str | None = None) -> Path:
    """The directory of the bundle ``models/<name>``, or ``name`` itself where it is a path to a directory.

    Where both roles have a policy of one name, the other's is ``models/<name>-<role>``: it is what ``name`` means to
    whoever asks for that ``role``.

    Raises:
        ConfigurationError: there is no such bundle; the message lists the known names.
    """
    models = share_directory() / "models"
    own = [models / f"{name}-{role}"] if role is not None else []
    for path in (*own, models / name, Path(name).expanduser()):
        if (path / "bundle.json").is_file():
            return path
    raise ConfigurationError(
        f"policy '{name}' is unknown; known: {', '.join(bundle_names())} (or a path to a bundle directory)"
    )


def bundle_kind(name: str) -> str:
    """What kind of policy the bundle ``name`` says that it is."""
    return str(json.loads((bundle_path(name) / "bundle.json").read_text()).get("kind", ""))


def boundary_names() -> list[str]:
    """The names of the learned boundaries in ``models/feasibility``."""
    return sorted(path.stem for path in (share_directory() / "models" / "feasibility").glob("*.npz"))


def boundary_path(name: str) -> Path:
    """The file ``models/feasibility/<name>.npz``, or ``name`` itself where it is a path to a .npz file.

    Raises:
        ConfigurationError: there is no such file; the message lists the known names.
    """
    path = share_directory() / "models" / "feasibility" / f"{name}.npz"
    if name.endswith(".npz"):
        path = Path(name).expanduser()
    if path.is_file():
        return path
    known = ", ".join(boundary_names())
    raise ConfigurationError(f"feasibility '{name}' is unknown; known: {known} (or a path to a .npz file)")

"""Runs of Weights & Biases, where that is installed and asked for; of trainings and of comparisons.

One run of theirs is one folder of ours: its id is kept in FOLDER/wandb.json, so that what is resumed goes on there.
Its project is ``pursuit-evasion`` unless WANDB_PROJECT says otherwise.  ``offline`` sends nothing: what FOLDER/wandb
holds, ``wandb sync`` sends later.
"""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import Any

from pe_core.config import ConfigurationError
from pe_core.files import write_text
from pe_core.optional import is_installed

OFF, ONLINE, OFFLINE = "off", "online", "offline"
MODES = (OFF, ONLINE, OFFLINE)
PROJECT = "pursuit-evasion"
IDENTITY = "wandb.json"


def check_mode(mode: str) -> None:
    """Refuse a mode that is unknown, or that needs what is not installed.

    Raises:
        ConfigurationError: with the reason.
    """
    if mode not in MODES:
        raise ConfigurationError(f"--wandb {mode}: allowed: {', '.join(MODES)}")
    if mode != OFF and not is_installed("wandb"):
        raise ConfigurationError(
            f"--wandb {mode}: wandb is not installed; allowed: off, or pip install 'pursuit-evasion[wandb]'"
        )


def open_run(folder: Path, mode: str, group: str, config: dict[str, Any]) -> Any:
    """Begin the run of ``folder``, which is there, or go on with it; returns wandb's own object.

    Args:
        folder: whose run it is.
        mode: ``online`` or ``offline``.
        group: what it is listed under.
        config: what the run is: parameters, seed, revision.

    Raises:
        ConfigurationError: see :func:`check_mode`; or wandb refuses, for want of a key or a connection.
    """
    check_mode(mode)
    import wandb

    identity = folder / IDENTITY
    if identity.is_file():
        known = json.loads(identity.read_text())
    else:
        known = {"id": uuid.uuid4().hex[:8], "project": os.environ.get("WANDB_PROJECT", PROJECT)}
        write_text(identity, json.dumps(known) + "\n")
    try:
        return wandb.init(
            project=known["project"],
            id=known["id"],
            name=folder.name,
            group=group,
            config=config,
            dir=str(folder),
            mode="online" if mode == ONLINE else "offline",
            resume="allow" if mode == ONLINE else None,
            settings=wandb.Settings(silent=True, console="off", x_disable_stats=True),
        )
    except wandb.errors.Error as error:
        raise ConfigurationError(f"--wandb {mode}: {str(error).splitlines()[0]}") from error

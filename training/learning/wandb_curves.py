"""Curves for Weights & Biases, where that is installed and asked for.

One run of theirs is one run folder of ours: its id is kept in OUT/wandb.json, so that what is resumed goes on there.
Its group is the name of the parameters, its project ``pursuit-evasion`` unless WANDB_PROJECT says otherwise.  Steps are
the x axis; lines that a resumed training writes again replace nothing and are the same.  ``offline`` sends nothing:
what OUT/wandb holds, ``wandb sync`` sends later.
"""

from __future__ import annotations

import importlib.util
import json
import os
import uuid
from pathlib import Path
from typing import Any

from pe_core.config import ConfigurationError
from pe_core.files import write_text
from pe_core.roles import ROLES

OFF, ONLINE, OFFLINE = "off", "online", "offline"
MODES = (OFF, ONLINE, OFFLINE)
PROJECT = "pursuit-evasion"
IDENTITY = "wandb.json"
STEPS = "steps"


def check_mode(mode: str) -> None:
    """Refuse a mode that is unknown, or that needs what is not installed.

    Raises:
        ConfigurationError: with the reason.
    """
    if mode not in MODES:
        raise ConfigurationError(f"--wandb {mode}: allowed: {', '.join(MODES)}")
    if mode != OFF and not _installed():
        raise ConfigurationError(
            f"--wandb {mode}: wandb is not installed; allowed: off, or pip install 'pursuit-evasion[wandb]'"
        )


def _installed() -> bool:
    found = importlib.util.find_spec("wandb")
    # A folder of that name, which wandb makes, is found too.
    return found is not None and found.origin is not None


class WandbCurves:
    """Lines of the curves of one run folder."""

    def __init__(self, folder: Path, mode: str, group: str, config: dict[str, Any]) -> None:
        """Begin the run of ``folder``, or go on with it.

        Args:
            folder: the run folder, which is there.
            mode: ``online`` or ``offline``.
            group: the name of the parameters.
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
            self._run = wandb.init(
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
        for prefix in ("", *(f"{role}/" for role in ROLES)):
            self._run.define_metric(prefix + STEPS, hidden=True)
            self._run.define_metric(prefix + "*", step_metric=prefix + STEPS)

    def tell(self, line: dict[str, float], who: str = "") -> None:
        """A line of the curves, which holds ``steps``; ``who`` learns, where there is more than one."""
        self._run.log({f"{who}/{key}" if who else key: value for key, value in line.items()})

    def close(self) -> None:
        """End the run for now."""
        self._run.finish()

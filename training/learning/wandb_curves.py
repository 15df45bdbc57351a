"""Curves for Weights & Biases, where that is installed and asked for (:mod:`pe_core.wandb_runs`).

Group is the name of the parameters.  Steps are the x axis; lines that a resumed training writes again replace nothing
and are the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pe_core.roles import ROLES
from pe_core.wandb_runs import OFF, OFFLINE, check_mode, open_run

__all__ = ["OFF", "OFFLINE", "WandbCurves", "check_mode"]

STEPS = "steps"


class WandbCurves:
    """Lines of the curves of one run folder."""

    def __init__(self, folder: Path, mode: str, group: str, config: dict[str, Any]) -> None:
        """Begin the run of ``folder``, or go on with it; see :func:`pe_core.wandb_runs.open_run`."""
        self._run = open_run(folder, mode, group, config)
        for prefix in ("", *(f"{role}/" for role in ROLES)):
            self._run.define_metric(prefix + STEPS, hidden=True)
            self._run.define_metric(prefix + "*", step_metric=prefix + STEPS)

    def tell(self, line: dict[str, float], who: str = "") -> None:
        """A line of the curves, which holds ``steps``; ``who`` learns, where there is more than one."""
        self._run.log({f"{who}/{key}" if who else key: value for key, value in line.items()})

    def close(self) -> None:
        """End the run for now."""
        self._run.finish()

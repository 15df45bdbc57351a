"""The directory of a run: nothing recorded is ever overwritten."""

from __future__ import annotations

import os
from pathlib import Path

from pe_core.config import ConfigurationError

DEFAULT = "out"


def prepare(out: str) -> Path:
    """Make the directory ``out`` ready for a new run, or refuse.

    An earlier run in the default ``out`` is moved to ``out.1``, ``out.2`` ...; any other directory that holds
    a run is refused, because somebody chose its name.

    Raises:
        ConfigurationError: it holds a run already, or cannot be written.
    """
    path = Path(out).expanduser()
    if path.is_dir() and any((path / name).exists() for name in ("bag", "metrics.json", "report.html")):
        if out != DEFAULT:
            raise ConfigurationError(f"out = {out}: holds a run already; allowed: a new or empty directory")
        number = 1
        while (moved := path.with_name(f"{path.name}.{number}")).exists():
            number += 1
        path.rename(moved)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"out = {out}: cannot be made: {error.strerror}") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise ConfigurationError(f"out = {out}: cannot be written: permission denied")
    return path.resolve()

"""``./pe docs``: the reference of every package, made of its docstrings."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer


def docs(
    out: Annotated[Path, typer.Option(help="Folder of the pages; an earlier reference is replaced.", metavar="DIR")] = (
        Path("out/docs")
    ),
    package: Annotated[
        list[str] | None, typer.Option(help="Only this package; may be given again. Default: all.", metavar="NAME")
    ] = None,
) -> None:
    """Write the reference of every public module, class and function as HTML pages that can be searched.

    Exit status 1: something public has no docstring, or a link leads nowhere; both are listed.
    """
    # A compiled kernel hides its signature and its docstring; uncompiled it is a function like any other. Libraries
    # that our modules import ask the system what processor it has, which pdoc would not let them.
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PDOC_ALLOW_EXEC": "1"}
    words = [sys.executable, "-m", "pe_cli.api_reference", str(out), *(package or [])]
    raise typer.Exit(subprocess.run(words, env=environment, check=False).returncode)

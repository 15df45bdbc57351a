"""``./pe setup``: what is not a Python package and not everybody needs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Install what is not a Python package, in a folder of its own.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Install what is not a Python package, in a folder of its own."""


@app.command()
def gazebo(
    mirror: Annotated[
        str | None,
        typer.Option(help="Debian mirror; default: that of this machine's apt.", metavar="ADDRESS"),
    ] = None,
    keyring: Annotated[
        Path | None, typer.Option(help="Keys of the Debian archive; default: this machine's.", metavar="FILE")
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Remove it again.")] = False,
) -> None:
    """Bring a real gzserver (Gazebo classic 11) into the folder .gazebo, or that which PE_GAZEBO names.

    Needs a network, 1.2 GB of disk (0.8 GB in the end) and no root; nothing else on this machine changes. An
    interrupted call is taken up by the next.
    """
    from pe_core.config import ConfigurationError
    from pe_gazebo import installation, packages

    target = installation.prefix()
    try:
        if remove:
            found = packages.remove(target)
            typer.echo(f"removed {target}" if found else f"nothing to remove in {target}")
            return
        begun = time.monotonic()
        made = packages.install(target, mirror, keyring, _progress())
    except ConfigurationError as error:
        if sys.stderr.isatty():
            sys.stderr.write("\n")
        typer.secho(f"error: {error}", fg=typer.colors.RED, err=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        typer.echo("\ninterrupted: run ./pe setup gazebo again to go on", err=True)
        raise typer.Exit(130) from None
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K")
    took = f" in {time.monotonic() - begun:.0f} s" if made else " already"
    typer.echo(f"Gazebo {installation.VERSION} is installed in {target}{took}")


def _progress() -> Callable[[str, float], None]:
    """A line that is rewritten on a terminal; elsewhere one for every stage, and one every ten seconds."""
    terminal = sys.stderr.isatty()
    last_stage, last_time = "", 0.0

    def show(stage: str, share: float) -> None:
        nonlocal last_stage, last_time
        line = f"pe: {stage} ... {share:.0%}"
        if terminal:
            sys.stderr.write(f"\r\033[K{line}")
            sys.stderr.flush()
        elif stage != last_stage or time.monotonic() - last_time >= 10.0:
            last_stage, last_time = stage, time.monotonic()
            print(line, file=sys.stderr, flush=True)

    return show

"""``./pe launch``: the nodes of a launch file as processes, where launch_ros is not installed too."""

from __future__ import annotations

from typing import Annotated

import typer


def launch(
    file: Annotated[str, typer.Argument(help="Launch file: a name in launch/, or a path.", metavar="FILE")],
    arguments: Annotated[
        list[str] | None, typer.Argument(help="Launch arguments, as name:=value.", metavar="[NAME:=VALUE]...")
    ] = None,
    show_args: Annotated[
        bool, typer.Option("--show-args", "-s", help="Say what the arguments may be, and start nothing.")
    ] = False,
) -> None:
    """Start the nodes of a launch file, run its episodes, write the bag, the metrics and the report.

    Example: ./pe launch pursuit.launch.py episodes:=10 seed:=1 scenario:=random rate:=0 out:=out
    """
    from pe_nodes import process_launch

    raise typer.Exit(process_launch.main(file, [*(arguments or []), *(["--show-args"] if show_args else [])]))

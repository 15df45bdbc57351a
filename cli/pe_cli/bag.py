"""``./pe bag``: the metrics of a recorded run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def bag(
    bag: Annotated[Path, typer.Argument(help="Bag directory or .mcap file.", exists=True, metavar="BAG")],
    json: Annotated[Path | None, typer.Option(help="Write the metrics to this file too.", metavar="FILE")] = None,
) -> None:
    """Compute the metrics of a recorded run from its bag alone; no ROS is needed."""
    from pe_evaluation import bag_main

    raise typer.Exit(bag_main.main(bag, json))

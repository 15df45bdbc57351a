"""``./pe bag``: the metrics of a recorded run, and a picture of one of its episodes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def bag(
    bag: Annotated[Path, typer.Argument(help="Bag directory or .mcap file.", exists=True, metavar="BAG")],
    json: Annotated[Path | None, typer.Option(help="Write the metrics to this file too.", metavar="FILE")] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Draw an episode from above to this .png, .svg or .pdf.", metavar="FILE")
    ] = None,
    episode: Annotated[
        int | None, typer.Option(help="Index of the episode to draw. [default: the first]", min=0)
    ] = None,
) -> None:
    """Compute the metrics of a recorded run from its bag alone; no ROS is needed."""
    from pe_evaluation import bag_main, picture_main

    code = bag_main.main(bag, json)
    if picture is not None:
        chosen = [] if episode is None else ["--episode", str(episode)]
        code = picture_main.main([str(bag), str(picture), *chosen]) or code
    raise typer.Exit(code)

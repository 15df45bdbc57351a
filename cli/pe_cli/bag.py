"""``./pe bag``: the metrics of a recorded run, its audit, what another filter had done, pictures and videos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def bag(
    bag: Annotated[
        Path,
        typer.Argument(help="Bag directory or .mcap file; for --video also a track (.npz).", exists=True,
                       metavar="BAG"),  # fmt: skip
    ],
    json: Annotated[Path | None, typer.Option(help="Write the metrics to this file too.", metavar="FILE")] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Draw an episode from above to this .png, .svg or .pdf.", metavar="FILE")
    ] = None,
    video: Annotated[
        Path | None, typer.Option(help="Film an episode, with the filter's barriers, to this .mp4.", metavar="FILE")
    ] = None,
    episode: Annotated[
        int | None, typer.Option(help="Index of the episode to draw or film. [default: the first]", min=0)
    ] = None,
    audit: Annotated[
        bool, typer.Option("--audit", help="Compute every cycle again, and fail where it was not as it must be.")
    ] = False,
    sample: Annotated[
        int, typer.Option(help="With --audit or --what-if: take every N-th cycle of a long bag.", min=1, metavar="N")
    ] = 1,
    what_if: Annotated[
        str | None,
        typer.Option(
            "--what-if",
            help="What this mechanism (config/safety) would have commanded; --picture draws both commands.",
            metavar="MECHANISM",
        ),
    ] = None,
    robot: Annotated[
        str | None, typer.Option(help="With --what-if: pursuer or evader. [default: both]", metavar="ROBOT")
    ] = None,
) -> None:
    """Compute the metrics of a recorded run from its bag alone, audit it, or ask another filter; no ROS is needed."""
    if audit and what_if is not None:
        raise typer.BadParameter("is not for --audit", param_hint="--what-if")
    if sample > 1 and not (audit or what_if is not None):
        raise typer.BadParameter("is for --audit and --what-if", param_hint="--sample")
    if robot is not None and what_if is None:
        raise typer.BadParameter("is for --what-if", param_hint="--robot")
    if what_if is not None:
        if video is not None:
            raise typer.BadParameter("is not for --what-if", param_hint="--video")
        from pe_evaluation import what_if_main

        raise typer.Exit(what_if_main.main(bag, what_if, robot, json, picture, episode, sample))
    from pe_evaluation import audit_main, bag_main, picture_main

    chosen = [] if episode is None else ["--episode", str(episode)]
    if bag.suffix == ".npz":
        if video is None or audit or json or picture:
            raise typer.BadParameter("is a track, which only --video takes", param_hint="BAG")
        from pe_evaluation import video_main

        raise typer.Exit(video_main.main([str(bag), str(video), *chosen]))
    code = audit_main.main(bag, json, sample) if audit else bag_main.main(bag, json)
    if picture is not None:
        code = picture_main.main([str(bag), str(picture), *chosen]) or code
    if video is not None:
        from pe_evaluation import video_main

        code = video_main.main([str(bag), str(video), *chosen]) or code
    raise typer.Exit(code)

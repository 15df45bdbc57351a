"""One episode as a video.

    python -m pe_evaluation.video_main BAG FILE.mp4 [--episode N]
    python -m pe_evaluation.video_main TRACK.npz FILE.mp4
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from pe_core.config import ConfigurationError
from pe_evaluation.comparison.track import Track, load_track, track_of
from pe_evaluation.metrics import ROLES
from pe_evaluation.picture_main import episode_of
from pe_evaluation.recorded import trace_of
from pe_evaluation.replay.video import write_video
from pe_evaluation.storage import BagError


def _read(path: Path, episode: int | None) -> tuple[Track, tuple[float, float]]:
    """The track, and d of both control points [m], 0 where a track alone does not say it."""
    if path.suffix == ".npz":
        return load_track(path), (0.0, 0.0)
    run = episode_of(path, episode)
    pursuer, evader = (run.robots[role].model.vcp_offset for role in ROLES)
    return track_of(run, trace_of(run, run.episodes[0])), (pursuer, evader)


def main(arguments: list[str] | None = None) -> int:
    """Command line; 0 where the video was written, 2 where not."""
    parser = argparse.ArgumentParser(prog="video", description="video of one episode")
    parser.add_argument("source", type=Path, help="bag, output folder of a run, or track (.npz)")
    parser.add_argument("file", type=Path, help="video to write: .mp4")
    parser.add_argument("--episode", type=int, metavar="N", help="index of the episode; default: the first")
    options = parser.parse_args(arguments)
    try:
        track, offsets = _read(options.source, options.episode)
        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("video", total=track.steps + 1)
            write_video(options.file, track, offsets, lambda: progress.advance(task))
    except (BagError, ConfigurationError, OSError) as error:
        print(f"video: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""One recorded episode from above, as a picture for a page or a paper.

    python -m pe_evaluation.picture_main BAG FILE [--episode N] [--full]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pe_core.config import ConfigurationError
from pe_evaluation.bag import Run, RunReader
from pe_evaluation.figures import chase_figure, episode_figure, save
from pe_evaluation.recorded import trace_of
from pe_evaluation.storage import BagError


def episode_of(path: Path, index: int | None) -> Run:
    """The part of the run with the episode of that index, or with its first."""
    reader = RunReader(path)
    known = []
    for part in reader.parts():
        known += [episode.index for episode in part.episodes]
        if part.episodes and index in (None, part.episodes[0].index):
            return part
    raise BagError(f"{reader.head.path}: has no episode {index}; known: {', '.join(map(str, known)) or 'none'}")


def main(arguments: list[str] | None = None) -> int:
    """Command line; 0 where the picture was written, 2 where not."""
    parser = argparse.ArgumentParser(prog="picture", description="picture of one recorded episode")
    parser.add_argument("bag", type=Path, help="bag, or output folder of a run")
    parser.add_argument("file", type=Path, help="picture to write: .png, .svg or .pdf")
    parser.add_argument("--episode", type=int, metavar="N", help="index of the episode; default: the first")
    parser.add_argument("--full", action="store_true", help="with margins, barriers and commands over time")
    options = parser.parse_args(arguments)
    try:
        run = episode_of(options.bag, options.episode)
        trace = trace_of(run, run.episodes[0])
        save((episode_figure if options.full else chase_figure)(run, trace), options.file)
    except (BagError, ConfigurationError, OSError, ValueError) as error:
        print(f"picture: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

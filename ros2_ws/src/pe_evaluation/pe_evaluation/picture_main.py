"""One recorded episode from above, as a picture for a page or a paper.

    python -m pe_evaluation.picture_main BAG FILE [--episode N] [--full]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pe_core.config import ConfigurationError
from pe_evaluation.bag import read_run
from pe_evaluation.figures import chase_figure, episode_figure, save
from pe_evaluation.recorded import trace_of
from pe_evaluation.storage import BagError


def main(arguments: list[str] | None = None) -> int:
    """Command line; 0 where the picture was written, 2 where not."""
    parser = argparse.ArgumentParser(prog="picture", description="picture of one recorded episode")
    parser.add_argument("bag", type=Path, help="bag, or output folder of a run")
    parser.add_argument("file", type=Path, help="picture to write: .png, .svg or .pdf")
    parser.add_argument("--episode", type=int, metavar="N", help="index of the episode; default: the first")
    parser.add_argument("--full", action="store_true", help="with margins, barriers and commands over time")
    options = parser.parse_args(arguments)
    try:
        run = read_run(options.bag)
        known = {episode.index: episode for episode in run.episodes}
        index = next(iter(known), None) if options.episode is None else options.episode
        if index not in known:
            raise BagError(f"{run.path}: has no episode {index}; known: {', '.join(map(str, known)) or 'none'}")
        trace = trace_of(run, known[index])
        save((episode_figure if options.full else chase_figure)(run, trace), options.file)
    except (BagError, ConfigurationError, OSError, ValueError) as error:
        print(f"picture: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

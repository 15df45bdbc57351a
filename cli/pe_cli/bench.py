"""``./pe bench``: ours and the peers', measured in turn in one run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def bench(
    suite: Annotated[str, typer.Argument(help="What to measure: qp, control-loop or all.", metavar="SUITE")] = "all",
    json: Annotated[Path | None, typer.Option(help="Write the rows to this file.", metavar="FILE")] = None,
) -> None:
    """Measure our solver and control loop beside their peers, in the same run on the same machine."""
    from pe_evaluation import bench_main

    raise typer.Exit(bench_main.main(suite, json))

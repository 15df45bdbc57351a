"""``metrics.json`` and ``report.html`` of a run's output folder, from its bag alone.

    python -m pe_evaluation.report_main OUT [--wait]

``--wait`` is for a process that is started together with the run: it waits until the recorder has closed the bag
(``metadata.yaml`` appears), then reports.  SIGINT and SIGTERM, which a launch sends to all its processes when it
ends, only start a countdown in which the recorder may still close the bag.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

# What reads and draws is imported where it is used: a signal during a second of imports would end the process
# that has to outlive the launch.

_POLL_S = 0.1
_GRACE_S = 10.0


def build(out: Path) -> dict[str, Any]:
    """Write ``out/metrics.json`` and ``out/report.html`` from ``out/bag``; returns the metrics.

    Raises:
        BagError: the bag cannot be read.
        OSError: a file cannot be written.
    """
    from pe_core.files import write_text
    from pe_evaluation.metrics import write_json
    from pe_evaluation.survey import Survey

    survey = Survey(out / "bag")
    metrics = survey.metrics()
    # The numbers are on disk before the pictures are tried.
    write_json(out / "metrics.json", metrics)
    from pe_evaluation.report import render

    page = render(survey, metrics)
    write_text(out / "report.html", page)
    return dict(metrics)


@contextlib.contextmanager
def _patient(seen: list[float]) -> Iterator[None]:
    """Note SIGINT and SIGTERM in ``seen`` instead of dying of them."""

    def note(number: int, frame: FrameType | None) -> None:
        seen.append(time.monotonic())

    previous = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def wait_for_bag(out: Path, seen: list[float], grace: float = _GRACE_S) -> bool:
    """Wait until the bag is closed; False where it was not, ``grace`` [s] after the first signal."""
    metadata = out / "bag" / "metadata.yaml"
    if not metadata.exists():
        print(f"report: waiting until {metadata.parent} is closed", flush=True)
    while not metadata.exists():
        if seen and time.monotonic() - seen[0] > grace:
            return False
        time.sleep(_POLL_S)
    return True


def main(arguments: list[str] | None = None) -> int:
    """Command line; 0 where a report was written, 2 where not."""
    parser = argparse.ArgumentParser(prog="report", description="metrics.json and report.html from OUT/bag")
    parser.add_argument("out", type=Path, help="output folder of the run; holds bag/")
    parser.add_argument("--wait", action="store_true", help="wait until the recorder has closed the bag")
    parser.add_argument("--grace", type=float, default=_GRACE_S, metavar="S",
                        help="with --wait: time for the bag to be closed after SIGINT or SIGTERM")  # fmt: skip
    # ros2 launch appends --ros-args to whatever a Node action starts.
    options, _ = parser.parse_known_args(arguments)
    seen: list[float] = []
    with _patient(seen) if options.wait else contextlib.nullcontext():
        if options.wait and not wait_for_bag(options.out, seen, options.grace):
            print(f"report: {options.out / 'bag'} was not closed; reporting what it holds", file=sys.stderr)
        # BagError and ConfigurationError are ValueErrors.
        try:
            metrics = build(options.out)
        except (ValueError, OSError) as error:
            print(f"report: {error}", file=sys.stderr)
            return 2
    print(
        f"report: {metrics['episodes']} episodes, {metrics['captures']} captures, "
        f"{'unknown' if metrics['violations'] is None else metrics['violations']} violations; "
        f"{options.out / 'report.html'}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

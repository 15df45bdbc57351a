"""``./pe bag BAG --audit``: every cycle of a recorded run, computed again."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from pe_evaluation.audit.certificate import UNCHECKED_MOST, Certificate, NoCertificateError, audit_bag
from pe_evaluation.audit.cycle import RELAXED_TOLERANCE, TOLERANCE
from pe_evaluation.metrics import write_json
from pe_evaluation.storage import BagError

SHOWN = 20


def main(bag: Path | str, json: Path | str | None = None, sample: int = 1) -> int:
    """Audit a bag, every ``sample``-th cycle, and print what was found.

    Returns:
        0 where every cycle is as it must be; 1 where one is not, or too many could not be checked; 2 where the bag
        cannot be read or does not say what ran.
    """
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        certificate = audit_bag(bag, sample)
        if json is not None:
            write_json(Path(json), certificate.as_json())
    except (BagError, NoCertificateError, OSError) as error:
        errors.print(f"error: {error}", style="bold red", markup=False)
        return 2
    show(certificate, Console(highlight=False, soft_wrap=True), str(bag))
    return 0 if certificate.passed else 1


def show(found: Certificate, console: Console, title: str) -> None:
    """Print the verdict, then what failed."""
    table = Table(
        title=f"audit of {title}", title_justify="left", title_style="bold", show_header=False, box=None
    )
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(justify="right", style="bold", no_wrap=True)
    table.add_column(style="dim")
    every = f"every {found.sample}th" if found.sample > 1 else "all"
    tiers = ", ".join(f"{count:,} {tier}" for tier, count in sorted(found.tiers.items()))
    table.add_row(
        "cycles computed again", f"{found.checked:,}", f"of {found.cycles:,} ({every}): {tiers or 'none'}"
    )
    table.add_row(
        "cycles without the filter", f"{found.stopped:,}", "stopped or waiting: their command must be zero"
    )
    reasons = "; ".join(f"{count:,}: {reason}" for reason, count in found.unchecked.most_common())
    table.add_row("not checked", f"{found.missing:,}", reasons)
    if found.turned:
        table.add_row(
            "turns of a blocked robot", f"{found.turned:,}", "on the spot, though some command met every row"
        )
    if found.tipped:
        table.add_row("tipped by rounding", f"{found.tipped:,}", "between two decisions that are both right")
    worst = max(found.differences.items(), key=lambda item: item[1], default=None)
    if worst is not None:
        allowed = f"allowed {TOLERANCE:g}, relaxed commands {RELAXED_TOLERANCE:g}"
        table.add_row("largest difference", f"{worst[1]:.2g}", f"{worst[0]}; {allowed}")
    table.add_row(
        "verdict", f"[{'green' if found.passed else 'red'}]{'passed' if found.passed else 'FAILED'}[/]", ""
    )
    console.print(table)
    for finding in found.findings[:SHOWN]:
        console.print(finding.line(), style="red", markup=False)
    if found.failures > SHOWN:
        console.print(f"and {found.failures - SHOWN:,} more", style="red")
    if not found.checked:
        console.print("no cycle could be computed again", style="red")
    elif found.missing > UNCHECKED_MOST * found.sampled:
        console.print(
            f"more than {100.0 * UNCHECKED_MOST:g} % of the cycles could not be checked", style="red"
        )

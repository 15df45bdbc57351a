"""``./pe bag BAG``: the metrics of a recorded run as a table, and as JSON."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pe_core.config import ConfigurationError
from pe_evaluation.metrics import Metrics, write_json
from pe_evaluation.storage import BagError
from pe_evaluation.survey import Survey
from pe_evaluation.tables import audit_line, rows_of, worst_line


def main(bag: Path | str, json: Path | str | None = None) -> int:
    """Print the metrics of a bag.

    Returns:
        0 for a whole, consistent run; 1 where it is truncated, contradicts itself or fails the audit; 2 where
        it cannot be read or the JSON cannot be written.
    """
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        survey = Survey(bag)
        metrics = survey.metrics()
        if json is not None:
            write_json(Path(json), metrics)
    except (BagError, ConfigurationError, OSError) as error:
        errors.print(f"error: {error}", style="bold red", markup=False)
        return 2
    show(metrics, Console(highlight=False), str(survey.head.path))
    return 1 if not metrics["complete"] or metrics["differences"] or metrics["audit"]["passed"] is False else 0


def show(metrics: Metrics, console: Console, title: str) -> None:
    """Print the tables."""
    table = Table(title=title, title_justify="left", title_style="bold", show_header=False, box=None)
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(justify="right", style="bold", no_wrap=True)
    table.add_column(style="dim")
    for row in rows_of(metrics):
        table.add_row(*row)
    verdict, details = audit_line(metrics["audit"])
    table.add_row("audit", f"[{'red' if verdict == 'FAILED' else 'green'}]{verdict}[/]", details)
    console.print(table)
    identity = metrics["identity"]
    bundles = [
        f"{role} {bundle.get('name')} ({str(bundle.get('sha256'))[:10]})"
        for role, bundle in (identity.get("bundles") or {}).items()
    ]
    facts = [
        f"git {identity.get('git_revision') or 'unknown'}",
        f"seed {identity.get('seed')}",
        *(bundles or ["bundles unknown"]),
        f"configuration {str(identity.get('configuration_sha256') or 'unknown')[:10]}",
    ]
    console.print(", ".join(facts), style="dim", markup=False)
    worst = worst_line(metrics["audit"])
    if worst:
        console.print(f"audit: {worst}", style="red", markup=False)
    for line in metrics["differences"]:
        console.print(f"difference: {line}", style="red", markup=False)
    for line in metrics["warnings"]:
        console.print(f"warning: {line}", style="yellow", markup=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None))

"""``./pe doctor``: what this machine has, what it lacks, what to do."""

from __future__ import annotations

import typer

_COLOURS = {"ok": typer.colors.GREEN, "note": typer.colors.YELLOW, "FAIL": typer.colors.RED}


def doctor() -> None:
    """Say what this machine has, what it lacks and what to do. Exit status 1 if something needed is missing."""
    from pe_cli import doctor_checks

    failures = 0
    for check in doctor_checks.CHECKS:
        finding = check()
        failures += finding.status == "FAIL"
        status = typer.style(f"{finding.status:<5}", _COLOURS[finding.status])
        typer.echo(f"{status} {finding.subject:<14} {finding.text}")
        if finding.remedy:
            typer.echo(f"{'':<20} -> {finding.remedy}")
    typer.echo()
    typer.echo(f"{failures} to mend" if failures else "Everything needed is there.")
    raise typer.Exit(1 if failures else 0)

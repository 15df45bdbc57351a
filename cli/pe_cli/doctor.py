"""``./pe doctor``: what this machine, or a robot, has, what it lacks, what to do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import typer

_COLOURS = {"ok": typer.colors.GREEN, "note": typer.colors.YELLOW, "FAIL": typer.colors.RED}
_STAGES = ("driver", "stack", "game")


def doctor(
    robot: Annotated[
        bool, typer.Option("--robot", help="Look at a robot in the running graph, not at this machine.")
    ] = False,
    namespace: Annotated[str, typer.Option(help="Of the robot; its role where none is given.")] = "",
    role: Annotated[str, typer.Option(help="pursuer or evader.")] = "pursuer",
    profile: Annotated[str, typer.Option(help="Robot profile, config/robots.")] = "turtlebot3_burger",
    stage: Annotated[
        str, typer.Option(help="driver: bringup only; stack: robot.launch.py too; game: arena.launch.py too.")
    ] = "game",
    seconds: Annotated[float, typer.Option(help="How long to look.", min=1.0, max=60.0)] = 3.0,
) -> None:
    """Say what this machine has, what it lacks and what to do. Exit status 1 if something needed is missing.

    With --robot the same of a robot: topics, types, rates, clocks, transforms, limits, covariances, arming.
    """
    if not robot:
        from pe_cli import doctor_checks

        _report((check() for check in doctor_checks.CHECKS), "Everything needed is there.")
    from pe_core.config import ConfigurationError
    from pe_core.robot import load_robot
    from pe_core.roles import ROLES

    for name, value, allowed in (("role", role, ROLES), ("stage", stage, _STAGES)):
        if value not in allowed:
            raise ConfigurationError(f"--{name} {value}: allowed: {', '.join(allowed)}")
    from pe_nodes import robot_checks
    from pe_nodes.robot_probe import RobotProbe

    seen = RobotProbe(namespace or role, role, load_robot(profile), seconds).run()
    _report(robot_checks.findings(seen, stage), f"/{seen.namespace} is ready, as far as stage '{stage}' asks.")


def _report(findings: Iterable[Any], well: str) -> None:
    failures = 0
    for finding in findings:
        failures += finding.status == "FAIL"
        status = typer.style(f"{finding.status:<5}", _COLOURS[finding.status])
        typer.echo(f"{status} {finding.subject:<14} {finding.text}")
        if finding.remedy and finding.status != "ok":
            typer.echo(f"{'':<20} -> {finding.remedy}")
    typer.echo()
    typer.echo(f"{failures} to mend" if failures else well)
    raise typer.Exit(1 if failures else 0)

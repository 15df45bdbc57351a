"""``./pe robot``: what an operator says to robots and referee."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Arm, disarm, stop: what an operator says to robots and referee.")

Names = Annotated[list[str], typer.Argument(metavar="NAMESPACE...", help="Robots, by namespace.")]


@app.command("arm")
def arm(namespaces: Names) -> None:
    """Let robots move, if they are where they may: exit status 1, and why, where one is refused."""
    _call("arm", namespaces)


@app.command("disarm")
def disarm(namespaces: Names) -> None:
    """Let robots stand until they are armed again."""
    _call("disarm", namespaces)


@app.command("clear")
def clear(namespaces: Names) -> None:
    """Clear the faults of robots' safety nodes and watchdogs, an emergency stop that was released among them."""
    _call("clear", namespaces)


@app.command("placed")
def placed() -> None:
    """Tell the referee that both robots stand on their starts."""
    _call("placed", [])


@app.command("release")
def release() -> None:
    """Release the emergency stop; the robots stand until they are cleared and armed."""
    _say(False)
    typer.echo("released; ./pe robot clear, then arm, let the robots move again")


@app.command("stop")
def stop() -> None:
    """Emergency stop, of every robot in this ROS domain."""
    listening = _say(True)
    typer.echo(f"stopped: said to {listening} listeners; ./pe robot release, clear, arm let them move again")


def _say(pressed: bool) -> int:
    from pe_nodes.robot_commands import Operator, services

    with Operator() as operator:
        listening = operator.say_stop(pressed)
        # A referee, where there is one, goes on saying so.
        operator.call(services("stop" if pressed else "release", []), wait=1.0)
        listening = max(listening, operator.say_stop(pressed, 0.5))
    if not listening:
        typer.secho("nobody listens on /emergency_stop: is ROS_DOMAIN_ID that of the robots?", fg="red", err=True)
        raise typer.Exit(1)
    return listening


def _call(word: str, namespaces: list[str]) -> None:
    from pe_nodes.robot_commands import Operator, services

    with Operator() as operator:
        answers = operator.call(services(word, namespaces))
    for answer in answers:
        status = typer.style("ok   " if answer.success else "FAIL ", fg="green" if answer.success else "red")
        typer.echo(f"{status}{answer.service}: {answer.message}")
    raise typer.Exit(0 if all(answer.success for answer in answers) else 1)

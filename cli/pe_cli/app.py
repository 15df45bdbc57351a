"""The Typer application: every command of the project, each from a module of its own.

The command modules import nothing heavy at module level, so that ``./pe --help`` answers at once; what a
command needs it imports when it runs.
"""

from __future__ import annotations

import os
from typing import Annotated

import typer

from pe_cli import (
    ablate,
    bag,
    bench,
    compare,
    docs,
    doctor,
    evaluate,
    exploit,
    falsify,
    launch,
    policy,
    robot,
    scenarios,
    setup,
    test,
    train,
    world,
)

# Threads of GNU OpenMP, which torch's are, spin for milliseconds while they wait for one another: where another program
# has one of the cores, a training on two threads is then many times slower.  It is read when torch is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "3000")

app = typer.Typer(
    name="pe",
    help="Pursuit and evasion of unicycle robots behind one control-barrier-function safety filter.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(asked: bool) -> None:
    if asked:
        from pe_core.provenance import git_revision, version

        revision = git_revision()
        typer.echo(f"pe {version()}" + (f" (revision {revision})" if revision else ""))
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool,
        typer.Option("--version", help="Say which version and revision this is.", is_eager=True,
                     callback=_show_version),  # fmt: skip
    ] = False,
) -> None:
    pass


# Words that a command hands on as they are, dashes included.
_PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}

app.command("launch")(launch.launch)
app.command("evaluate")(evaluate.evaluate)
app.command("compare", cls=compare.CompareCommand)(compare.compare)
app.command("train")(train.train)
app.command("ablate")(ablate.ablate)
app.command("exploit")(exploit.exploit)
app.command("scenarios")(scenarios.scenarios)
app.command("falsify")(falsify.falsify)
app.command("bag")(bag.bag)
app.command("world")(world.world)
app.command("bench")(bench.bench)
app.add_typer(policy.app, name="policy")
app.add_typer(robot.app, name="robot")
app.add_typer(setup.app, name="setup")
app.command("doctor")(doctor.doctor)
app.command("docs")(docs.docs)
app.command("test", context_settings=_PASS_ON)(test.test)

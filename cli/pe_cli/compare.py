"""``./pe compare``: every approach in the same episodes, or in recorded ones, and what follows from it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from pe_cli.simulators import ARENA, simulator_of
from pe_cli.train import Wandb

BESIDE = Path("-")
"""What ``--tensorboard`` without a folder stands for."""


class CompareCommand(TyperCommand):
    """Lets ``--tensorboard`` stand without its folder."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See click: the words of a command line, a folder put in where there is none."""
        for at in range(len(args) - 1, -1, -1):
            if args[at] == "--tensorboard" and (at + 1 == len(args) or args[at + 1].startswith("-")):
                args.insert(at + 1, str(BESIDE))
        return super().parse_args(ctx, args)


def compare(
    more: Annotated[
        list[str] | None, typer.Argument(help="Further bags or seeds.", hidden=True, metavar="MORE")
    ] = None,
    episodes: Annotated[int, typer.Option(help="Episodes of each cell and seed.", min=1)] = 200,
    seeds: Annotated[
        list[int] | None, typer.Option(help="Seeds, one after the other. Default: 0 1 2.", metavar="SEED ...")
    ] = None,
    bags: Annotated[
        list[str] | None,
        typer.Option(
            help="Compare recorded runs instead of playing: bags or run folders, DIR or NAME=DIR; several of one "
            "name are one approach. NAME of an approach of the plan: it is that one.",
            metavar="DIR ...",
        ),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(
            help="With --bags: name of a bag's approach; once for each bag, in order.", metavar="NAME"
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder of data and reports; goes on where it ended.", metavar="DIR")
    ] = Path("out/comparison"),
    plan: Annotated[
        str | None,
        typer.Option(
            help="What is played: a name in config/comparison, or a path. Default: default, or gazebo."
        ),
    ] = None,
    decision: Annotated[str, typer.Option(help="Rules: a name in config/decision, or a path.")] = "default",
    approaches: Annotated[str | None, typer.Option(help="Only these of the plan, with commas.")] = None,
    evaders: Annotated[str | None, typer.Option(help="Only these of the plan, with commas.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes to share the episodes.", min=1)] = None,
    batch: Annotated[
        int | None,
        typer.Option(
            help="Episodes that a process plays together, and all that it loses where it is killed. Default: 100; "
            "with --simulator gazebo 1.",
            min=1,
        ),
    ] = None,
    tensorboard: Annotated[
        Path | None,
        typer.Option(
            help="Event files for TensorBoard go here. Default, also without DIR: DIR of --out, in tensorboard/, where "
            "the package is installed (extra train).",
            metavar="[DIR]",
        ),
    ] = None,
    wandb: Annotated[
        Wandb,
        typer.Option(
            help="Numbers and figures for Weights & Biases (extra wandb); offline ones stay in DIR."
        ),
    ] = Wandb.OFF,
    simulator: Annotated[
        str,
        typer.Option(help="gazebo: play every episode there too, and write the gap between the simulators."),
    ] = ARENA,
    physics: Annotated[
        str | None,
        typer.Option(
            help="With --simulator gazebo: names in config/gazebo, with commas. Default: nominal,slippery."
        ),
    ] = None,
) -> None:
    """Play every approach against every evader in the same episodes, or take recorded ones; write the decision report.

    Training's conditions and the deployed ones, filters and none, scripted and learned; statistics, train-deploy gap,
    decision matrix, gates. With --bags whatever recordings allow of it, and why the rest is missing.

    Exit status 1: reports are written, and a robot with a filter touched something.
    """
    from pe_evaluation.comparison.tracking import TENSORBOARD, Tracking

    place = out / TENSORBOARD if tensorboard == BESIDE else tensorboard
    tracking = Tracking(place, wandb.value)
    if bags:
        given = {
            "--seeds": seeds, "--approaches": approaches, "--evaders": evaders, "--workers": workers, "--batch": batch,
        }  # fmt: skip
        for name, value in given.items():
            if value is not None:
                raise typer.BadParameter("is not for --bags, which play nothing", param_hint=name)
        if simulator != ARENA or physics is not None:
            raise typer.BadParameter("is not for --bags, which play nothing", param_hint="--simulator")
        from pe_evaluation import bags_main

        asked = bags_main.BagRequest(
            (*bags, *(more or [])), out, tuple(label or ()), plan or "default", decision, tracking
        )
        raise typer.Exit(bags_main.run(asked))
    if label:
        raise typer.BadParameter("is for --bags", param_hint="--label")
    from pe_evaluation.compare_main import Request, run
    from pe_evaluation.comparison.plan import BATCH

    request = Request(
        episodes=episodes,
        seeds=(*(seeds or []), *map(_seed, more or [])) or (0, 1, 2),
        out=out,
        plan=plan or ("default" if simulator == ARENA else simulator),
        decision=decision,
        approaches=_names(approaches),
        evaders=_names(evaders),
        workers=workers,
        tracking=tracking,
        batch=batch or BATCH,
    )
    if simulator == ARENA:
        simulator_of(simulator, physics)
        raise typer.Exit(run(request))
    from pe_evaluation import sim_gap

    floors = _names(physics) or ("nominal", "slippery")
    others = {f"{simulator}-{Path(floor).stem}": simulator_of(simulator, floor) for floor in floors}
    raise typer.Exit(sim_gap.run(request, {name: made for name, made in others.items() if made is not None}))


def _seed(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a whole number", param_hint="--seeds") from None


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",")) if text is not None else ()

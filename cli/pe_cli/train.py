"""``./pe train``: learn a policy."""

from __future__ import annotations

import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Wandb(StrEnum):
    """Where Weights & Biases gets the curves."""

    ONLINE = "online"
    OFFLINE = "offline"
    OFF = "off"


def train(
    learning: Annotated[
        str,
        typer.Argument(
            help="What is learned: a name in config/learning or config/self_play, or a path to the former.",
            metavar="NAME",
        ),
    ],
    steps: Annotated[
        int | None, typer.Option(help="Environment steps. Default: the configuration's.", min=1)
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the run.", min=0)] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Run folder. Default: out/train/NAME-SEED.", metavar="DIR")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where the run in the folder ended.")
    ] = False,
    start: Annotated[
        Path | None,
        typer.Option(help="Run folder, or policy bundle, whose networks to begin with.", metavar="RUN"),
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Threads. Default: all cores.", min=1)] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Another value of a parameter, KEY=VALUE.", metavar="K=V"),
    ] = None,
    wandb: Annotated[
        Wandb, typer.Option(help="Curves for Weights & Biases; offline ones stay in the run folder.")
    ] = Wandb.OFF,
) -> None:
    """Learn a policy; what came out is in the run folder, and --resume continues it.

    With a name in config/self_play both roles learn in turn; --steps is then what each takes in a turn.
    """
    from pe_core.config import ConfigurationError
    from pe_core.paths import config_names
    from training.learning.train_main import run, run_self_play

    # What makes the run again, wherever it is put and however many cores there are.
    words = [learning, *(["--steps", str(steps)] if steps else []), "--seed", str(seed)]
    words += [word for change in set_ or [] for word in ("--set", change)]
    words += ["--start", str(start)] if start else []
    command = "./pe train " + shlex.join(words)
    if learning in config_names("self_play"):
        if start is not None:
            raise ConfigurationError(
                f"--start {start}: allowed: with a name in config/learning, {learning} is self-play"
            )
        raise typer.Exit(run_self_play(learning, steps, seed, out, resume, threads, set_ or [], command, wandb.value))
    raise typer.Exit(run(learning, steps, seed, out, resume, threads, set_ or [], command, start, wandb.value))

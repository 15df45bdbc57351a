"""Runs trainings and self-play to their end; ``./pe train``."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import yaml

from pe_core.config import ConfigurationError, from_mapping, read_yaml
from pe_core.paths import config_path
from training.learning.display import Display, stopped_by_interrupt
from training.learning.parameters import Learning
from training.learning.run import RUN, Training
from training.learning.self_play import Match, SelfPlay
from training.learning.wandb_curves import OFF, WandbCurves, check_mode

INTERRUPTED = 130
"""Exit status of a run that Ctrl-C has stopped."""


def parameters(name: str, steps: int | None, changes: list[str]) -> Learning:
    """The parameters ``name`` with ``steps`` and the ``KEY=VALUE`` of ``changes``.

    Raises:
        ConfigurationError: a key is unknown, or a value not allowed.
    """
    path = config_path("learning", name)
    return from_mapping(Learning, _changed(read_yaml(path), changes, "steps", steps), str(path))


def _changed(
    mapping: dict[str, Any], changes: list[str], key_of_steps: str, steps: int | None
) -> dict[str, Any]:
    for change in changes:
        key, sign, value = change.partition("=")
        if not sign or not key:
            raise ConfigurationError(f"--set {change!r}: allowed: KEY=VALUE")
        mapping[key] = yaml.safe_load(value)
    if steps is not None:
        mapping[key_of_steps] = steps
    return mapping


def run(
    name: str,
    steps: int | None,
    seed: int,
    out: Path | None,
    resume: bool,
    threads: int | None,
    changes: list[str],
    command: str,
    start: Path | None = None,
    wandb: str = OFF,
) -> int:
    """Train to the end; returns the exit status."""
    learning = parameters(name, steps, changes)
    folder = out or _folder(name, seed)
    return train(learning, seed, folder, resume, threads, command, start, wandb, Path(name).stem)


def train(
    learning: Learning,
    seed: int,
    folder: Path,
    resume: bool,
    threads: int | None,
    command: str,
    start: Path | None = None,
    wandb: str = OFF,
    group: str = "",
) -> int:
    """:func:`run`, with the parameters themselves."""
    check_mode(wandb)
    training = Training(learning, seed, folder, threads or _cores(), command, resume, start=start)
    try:
        curves = None
        if wandb != OFF:
            curves = WandbCurves(folder, wandb, group, json.loads((folder / RUN).read_text()))
        with (
            stopped_by_interrupt() as stop,
            Display(
                folder, learning.steps, training.steps, curves, training.steps if resume else None
            ) as display,
        ):
            training.imitate(display.imitates)
            while not training.finished and not stop():
                line = training.advance()
                display.tell(training.steps, line)
        if not training.finished:
            training.save()
    finally:
        training.close()
    if not training.finished:
        display.console.print(f"stopped at {training.steps:,} steps; go on with --resume")
        return INTERRUPTED
    display.console.print(f"{training.steps:,} steps in {training.wall:.0f} s: {folder}")
    return 0


def run_self_play(
    name: str,
    steps: int | None,
    seed: int,
    out: Path | None,
    resume: bool,
    threads: int | None,
    changes: list[str],
    command: str,
    wandb: str = OFF,
) -> int:
    """Self-play to the end; returns the exit status."""
    check_mode(wandb)
    path = config_path("self_play", name)
    chosen = from_mapping(SelfPlay, _changed(read_yaml(path), changes, "phase_steps", steps), str(path))
    folder = out or _folder(name, seed)
    match = Match(chosen, seed, folder, threads or _cores(), command, resume)
    curves = WandbCurves(folder, wandb, Path(name).stem, match.account()) if wandb != OFF else None
    with stopped_by_interrupt() as stop, Display(folder, 2 * chosen.phases, 0, curves) as display:

        def tell(role: str, phase: int, line: dict[str, float]) -> None:
            display.tell(2 * match.state["phase"] + match.state["turn"], line, role)

        while not match.finished and not stop():
            match.play_turn(tell, stop)
    if not match.finished:
        display.console.print("stopped; go on with --resume")
        return INTERRUPTED
    display.console.print(f"{len(match.state['rollbacks'])} roll-backs; bundles in {folder / 'pool'}")
    return 0


def _folder(name: str, seed: int) -> Path:
    return Path("out") / "train" / f"{Path(name).stem}-{seed}"


def _cores() -> int:
    return len(os.sched_getaffinity(0))

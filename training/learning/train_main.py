"""Runs a training with a progress bar; ``./pe train``."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from pe_core.config import ConfigurationError, from_mapping, read_yaml
from pe_core.paths import config_path
from training.learning.parameters import Learning
from training.learning.run import Training
from training.learning.self_play import Match, SelfPlay

_TELL_EVERY_S = 30.0
"""Where there is no terminal, a line is written this often."""
SHOWN = ("capture_rate", "return", "intervention_rate", "steps_per_s")


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
) -> int:
    """Train to the end; returns the exit status."""
    learning = parameters(name, steps, changes)
    folder = out or Path("out") / "train" / f"{Path(name).stem}-{seed}"
    return train(learning, seed, folder, resume, threads, command)


def train(
    learning: Learning, seed: int, folder: Path, resume: bool, threads: int | None, command: str
) -> int:
    """:func:`run`, with the parameters themselves."""
    count = threads or len(os.sched_getaffinity(0))
    training = Training(learning, seed, folder, count, command, resume)
    console = Console(stderr=True)
    writer = _writer(folder)
    told = 0.0
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=console) as progress:
            bar = progress.add_task("begins", total=learning.steps, completed=training.steps)

            def imitated(taken: int, error: float) -> None:
                progress.update(bar, completed=taken, description=f"imitates, error {error:.4f}")

            training.imitate(imitated)
            while not training.finished:
                line = training.advance()
                text = ", ".join(f"{key} {line[key]:.4g}" for key in SHOWN if key in line)
                progress.update(bar, completed=training.steps, description=text)
                if not console.is_terminal and time.monotonic() - told > _TELL_EVERY_S:
                    console.print(f"{training.steps:,} of {learning.steps:,} steps: {text}")
                    told = time.monotonic()
                if writer is not None:
                    for key, value in line.items():
                        writer.add_scalar(key, value, training.steps)
    except KeyboardInterrupt:
        training.save()
        console.print(f"stopped at {training.steps:,} steps; go on with --resume")
        return 130
    finally:
        if writer is not None:
            writer.close()
        training.close()
    console.print(f"{training.steps:,} steps in {training.wall:.0f} s: {folder}")
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
) -> int:
    """Self-play to the end; returns the exit status."""
    path = config_path("self_play", name)
    chosen = from_mapping(SelfPlay, _changed(read_yaml(path), changes, "phase_steps", steps), str(path))
    folder = out or Path("out") / "train" / f"{name}-{seed}"
    count = threads or len(os.sched_getaffinity(0))
    match = Match(chosen, seed, folder, count, command, resume)
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=console) as progress:
            bar = progress.add_task("begins", total=2 * chosen.phases)

            def tell(role: str, phase: int, line: dict[str, float]) -> None:
                text = ", ".join(f"{key} {line[key]:.4g}" for key in SHOWN if key in line)
                progress.update(bar, description=f"{role} {phase + 1}/{chosen.phases}: {text}")

            while not match.finished:
                progress.update(bar, completed=2 * match.state["phase"] + match.state["turn"])
                match.play_turn(tell)
    except KeyboardInterrupt:
        console.print("stopped; go on with --resume")
        return 130
    console.print(f"{folder}: {len(match.state['rollbacks'])} roll-backs; bundles in {folder / 'pool'}")
    return 0


def _writer(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder))

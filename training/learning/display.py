"""What a training shows while it runs, and how it is stopped."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from training.learning.wandb_curves import WandbCurves

SHOWN = ("capture_rate", "return", "intervention_rate", "steps_per_s")
_TELL_EVERY_S = 30.0
"""Where there is no terminal, a line is written this often."""


class Display:
    """A bar with the few numbers that matter; the curves for TensorBoard, where it is installed, below ``folder``, and
    for Weights & Biases, where that is asked for.

    ``resumed_at``: steps from which a training goes on; what was written of later ones before a kill does not count.
    """

    def __init__(
        self, folder: Path, total: int, completed: int, wandb: WandbCurves | None = None, resumed_at: int | None = None
    ) -> None:
        self.console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=self.console)
        self._bar = self._progress.add_task("begins", total=total, completed=completed)
        self._writer = _writer(folder, None if resumed_at is None else resumed_at + 1)
        self._wandb = wandb
        self._told = 0.0

    def __enter__(self) -> Display:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
        if self._writer is not None:
            self._writer.close()
        if self._wandb is not None:
            self._wandb.close()

    def imitates(self, taken: int, error: float) -> None:
        """Steps of imitation taken so far, and its mean square error."""
        self._show(taken, f"imitates, error {error:.4f}")

    def tell(self, completed: int, line: dict[str, float], who: str = "") -> None:
        """A line of the curves; ``who`` learns, where there is more than one."""
        numbers = ", ".join(f"{key} {line[key]:.4g}" for key in SHOWN if key in line)
        self._show(completed, f"{who}: {numbers}" if who else numbers)
        if self._writer is not None:
            for key, value in line.items():
                self._writer.add_scalar(f"{who}/{key}" if who else key, value, int(line["steps"]))
        if self._wandb is not None:
            self._wandb.tell(line, who)

    def _show(self, completed: int, text: str) -> None:
        self._progress.update(self._bar, completed=completed, description=text)
        if not self.console.is_terminal and time.monotonic() - self._told > _TELL_EVERY_S:
            self._told = time.monotonic()
            self.console.print(f"{completed:,}: {text}")


@contextlib.contextmanager
def stopped_by_interrupt() -> Iterator[Callable[[], bool]]:
    """Says whether Ctrl-C has asked to stop, so that a rollout at hand is finished; a second one stops at once."""
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)


def _writer(folder: Path, purge_step: int | None) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=purge_step)

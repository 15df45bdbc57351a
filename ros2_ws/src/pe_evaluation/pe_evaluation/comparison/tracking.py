"""A comparison for TensorBoard and for Weights & Biases: numbers of its summary, its figures as images.

Of every approach and cell (evader and speed ratio): each metric with the bounds of its interval (``_low``, ``_high``).
Of the candidates: scores and weighted totals.  Of every gap: captures and return, with bounds.  What is a reason in the
summary has no number here either.

TensorBoard: one run a group, ``<approach>/<evader>_<ratio>``, ``decision/<candidate>``, ``gap/<policy>``, ``figures``;
the step of a number is how many episodes it stands on.  Weights & Biases: one run a comparison, whose names begin with
those of the groups.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pe_core.config import ConfigurationError
from pe_core.optional import is_installed
from pe_core.wandb_runs import OFF, check_mode, open_run
from pe_evaluation.comparison.figures.gallery import Drawn
from pe_evaluation.comparison.from_bags import plain

TENSORBOARD = "tensorboard"
_EVENTS = "events.out.tfevents.*"
_PLAIN = ("violating_episodes", "violation_upper", "margin_min_m", "infeasible")
_MEANS = ("captured", "capture_time_s", "return", "intervention_rate")


@dataclasses.dataclass(frozen=True)
class Group:
    """Numbers that belong together; ``episodes``: what they stand on."""

    name: str
    episodes: int
    numbers: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Tracking:
    """Where a comparison is told of.

    ``tensorboard``: a folder; None: ``tensorboard`` below the comparison's, where the package is installed.
    ``wandb``: off, online or offline.
    """

    tensorboard: Path | None = None
    wandb: str = OFF

    def check(self) -> None:
        """Refuse, before anything is played, what needs a package that is not installed.

        Raises:
            ConfigurationError: it names the extra that brings it.
        """
        check_mode(self.wandb)
        if self.tensorboard is not None and not is_installed(TENSORBOARD):
            raise ConfigurationError(
                f"--tensorboard {self.tensorboard}: tensorboard is not installed; allowed: leave it out, or "
                "pip install 'pursuit-evasion[train]'"
            )

    def write(self, folder: Path, summary: Mapping[str, Any], drawn: Sequence[Drawn]) -> str:
        """Tell of the comparison in ``folder``; returns where, in words."""
        groups = list(groups_of(summary))
        places = []
        if is_installed(TENSORBOARD):
            target = self.tensorboard or folder / TENSORBOARD
            write_tensorboard(target, groups, drawn)
            places.append(f"tensorboard --logdir {target}")
        if self.wandb != OFF:
            write_wandb(folder, self.wandb, summary, groups, drawn)
            places.append(f"wandb ({self.wandb})")
        return ", ".join(places)


def groups_of(summary: Mapping[str, Any]) -> Iterator[Group]:
    """The groups of a summary: cells by approach, candidates, gaps."""
    for cell in summary["cells"]:
        world = "" if cell["world"] == summary["identity"]["plan"]["cells"][0]["world"] else f"_{cell['world']}"
        numbers = {key: cell[key] for key in _PLAIN if not isinstance(cell[key], str)}
        for key in _MEANS:
            numbers |= _interval(key, cell[key], "mean")
        yield Group(f"{cell['approach']}/{cell['evader']}_{cell['speed_ratio']:g}{world}", cell["episodes"], numbers)
    for row in summary["decision"]["matrix"]:
        numbers = {f"score_{key}": value for key, value in row["scores"].items()}
        numbers |= {key: row[key] for key in ("total", "total_low", "total_high", "first_share")}
        yield Group(f"decision/{row['candidate']}", summary["episodes"], numbers)
    for gap in summary["gaps"]:
        if "captured" in gap:
            numbers = _interval("captured", gap["captured"], "gap") | _interval("return", gap["return"], "gap")
            numbers |= _interval("return_relative", gap["return_relative"], "gap")
            yield Group(f"gap/{gap['name']}", gap["captured"]["episodes"], numbers)


def _interval(key: str, value: Mapping[str, Any], middle: str) -> dict[str, float]:
    names = {key: middle, f"{key}_low": "low", f"{key}_high": "high"}
    found = {name: value.get(part) for name, part in names.items()}
    return {name: float(part) for name, part in found.items() if isinstance(part, (int, float))}


def write_tensorboard(folder: Path, groups: Sequence[Group], drawn: Sequence[Drawn]) -> None:
    """Write event files below ``folder``, in place of those that an earlier report left for the same groups."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    def tell(name: str, step: int, values: list[Any]) -> None:
        place = folder / Path(*map(plain, name.split("/")))
        for path in place.glob(_EVENTS):
            path.unlink()
        writer = EventFileWriter(str(place))
        writer.add_event(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))
        writer.close()

    for group in groups:
        values = [Summary.Value(tag=key, simple_value=number) for key, number in group.numbers.items()]
        tell(group.name, group.episodes, values)
    images = []
    for each in drawn:
        data = each.path.with_suffix(".png").read_bytes()
        # Width and height lie at fixed places of a PNG's first chunk.
        wide, tall = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
        image = Summary.Image(width=wide, height=tall, colorspace=4, encoded_image_string=data)
        images.append(Summary.Value(tag=each.picture.name, image=image))
    tell("figures", 0, images)


def write_wandb(
    folder: Path, mode: str, summary: Mapping[str, Any], groups: Sequence[Group], drawn: Sequence[Drawn]
) -> None:
    """Log numbers and figures in the run of ``folder``, in one line.

    Raises:
        ConfigurationError: wandb refuses, for want of a key or a connection.
    """
    identity = summary["identity"]
    run = open_run(folder, mode, f"comparison {identity['plan']['name']}", dict(identity))
    import wandb

    line: dict[str, Any] = {f"{each.name}/{key}": value for each in groups for key, value in each.numbers.items()}
    line |= {f"figures/{each.picture.name}": wandb.Image(str(each.path.with_suffix(".png"))) for each in drawn}
    run.log(line)
    run.finish()

"""What figures are drawn from: a folder that ``./pe compare`` has filled, and what policies keep of their training."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pe_core.config import ConfigurationError
from pe_core.paths import bundle_path, share_directory
from pe_evaluation.comparison.figures.look import Look, looks_of
from pe_evaluation.comparison.plan import IDEAL, RECORDED, cell_of
from pe_evaluation.comparison.track import Track, load_track

SUMMARY, EPISODES, TRACKS, MAPS = "summary.json", "episodes.jsonl", "tracks", "maps"
CURVES = "curves.json"
NOT_PLAYED = "not played"
Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Training:
    """The curves of one policy: parts in the order they were learned in.

    Attributes:
        parts: of each part its lines, in the order of steps; every line has ``steps`` within the part.
        lacking: in words, the parts of which no curve was kept; empty where all are here.
    """

    parts: tuple[tuple[Row, ...], ...]
    offsets: tuple[float, ...]
    lacking: str = ""

    def curve(self, key: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Environment steps since the beginning of the first part, and values; lines without a value are left out.

        NaN between two parts, so that no line is drawn from one to the next.
        """
        steps: list[float] = []
        values: list[float] = []
        for part, offset in zip(self.parts, self.offsets, strict=True):
            known = [line for line in part if key in line]
            if known and steps:
                steps.append(offset)
                values.append(math.nan)
            steps += [offset + float(line["steps"]) for line in known]
            values += [float(line[key]) for line in known]
        return np.array(steps), np.array(values)


class Material:
    """Everything that the figures of one comparison show.

    ``summary``: what ``summary.json`` says; ``looks``: the approaches that have played, in the plan's order;
    ``all_looks``: those of the plan.
    """

    def __init__(self, folder: Path) -> None:
        """Read ``folder``.

        Raises:
            ConfigurationError: it holds no comparison that has been summarised.
        """
        self.folder = Path(folder)
        try:
            self.summary: dict[str, Any] = json.loads((self.folder / SUMMARY).read_text())
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"{self.folder / SUMMARY}: cannot be read: {error}") from error
        self.plan: Mapping[str, Any] = self.summary["identity"]["plan"]
        self.all_looks = looks_of(self.plan["approaches"])
        played = {row["approach"] for row in self.summary["accounts"] if row["episodes"]}
        self.looks = tuple(look for look in self.all_looks if look.name in played)

    @property
    def worlds(self) -> list[str]:
        """Those that somebody has played in, the ideal one first."""
        found = dict.fromkeys(row["world"] for row in self.summary["accounts"] if row["episodes"])
        return sorted(found, key=lambda world: world != IDEAL)

    @cached_property
    def rows(self) -> dict[tuple[str, str], list[Row]]:
        """Episodes of drawn starts, by world and approach."""
        out: dict[tuple[str, str], list[Row]] = {}
        for row in _lines(self.folder / EPISODES):
            if cell_of(row) is not None:
                out.setdefault((row["world"], row["approach"]), []).append(row)
        return out

    def values(self, world: str, approach: str, key: str) -> tuple[NDArray[np.float64], str]:
        """The numbers that episodes have for ``key``, and the reasons of those that have none."""
        found = [row[key] for row in self.rows.get((world, approach), [])]
        numbers = [value for value in found if isinstance(value, (int, float))]
        reasons = sorted({value for value in found if isinstance(value, str)})
        return np.array(numbers, dtype=np.float64), ", ".join(reasons) or ("" if numbers else NOT_PLAYED)

    def maps(self, world: str, approach: str) -> dict[str, NDArray[np.float64]] | None:
        """Maps and histograms over all its episodes there; None where there are none."""
        path = self.folder / MAPS / f"{world}_{approach}.npz"
        if not path.is_file():
            return None
        with np.load(path, allow_pickle=False) as file:
            found = {key: file[key] for key in file.files}
        return found if found["visits"].sum() > 0 else None

    @cached_property
    def tracks(self) -> dict[str, dict[str, Track]]:
        """Tracks by scenario of the plan and approach; of recordings by start and approach."""
        if self.recorded:
            return self._recorded_tracks()
        tracks, seed = self.plan["tracks"], self.plan["seeds"][0]
        out: dict[str, dict[str, Track]] = {}
        for scenario in tracks["scenarios"]:
            cell = f"{tracks['evader']}_{tracks['speed_ratio']:g}_{scenario}"
            paths = {
                look.name: self.folder / TRACKS / f"{look.name}_{cell}_s{seed}_e0.npz" for look in self.looks
            }
            out[scenario] = {name: load_track(path) for name, path in paths.items() if path.is_file()}
        return out

    @property
    def recorded(self) -> bool:
        """Whether episodes come from bags."""
        return bool(self.plan["cells"][0]["world"] == RECORDED)

    def _recorded_tracks(self) -> dict[str, dict[str, Track]]:
        out: dict[str, dict[str, Track]] = {}
        for cell in self.plan["cells"]:
            for seed in self.plan["seeds"]:
                start = f"{cell['evader']}_{cell['speed_ratio']:g}_s{seed}"
                paths = {look.name: self.folder / TRACKS / f"{look.name}_{start}_e0.npz" for look in self.looks}
                found = {name: load_track(path) for name, path in paths.items() if path.is_file()}
                if found:
                    out[start] = found
        return out

    @cached_property
    def trainings(self) -> dict[str, Training | str]:
        """By policy, its training, or the reason why there are no curves of it."""
        return {bundle: training_of(bundle) for bundle in dict.fromkeys(look.bundle for look in self.looks)}

    def named_by(self, bundle: str) -> Look:
        """The approach whose colour a policy has in figures of its training."""
        return next(look for look in self.looks if look.bundle == bundle)


def training_of(bundle: str) -> Training | str:
    """What the bundle kept of its training, and what the part that it started from kept, where it is in ``models/``.

    The part is known by what made it: command, seed, revision, and the hash of the learning parameters.
    """
    try:
        path = bundle_path(bundle, "pursuer")
    except ConfigurationError:
        return "not here"
    provenance = _provenance(path)
    if "learning" not in provenance:
        return "not learned"
    if not (path / CURVES).is_file():
        return "the bundle keeps no curves"
    lines = tuple(json.loads((path / CURVES).read_text()))
    start = provenance.get("start")
    if not start:
        return Training((lines,), (0.0,))
    before = float(start["steps"])
    first = _bundle_made_by(start)
    if first is None or not (first / CURVES).is_file():
        return Training((lines,), (before,), f"first part ({before / 1e6:.0f} M steps): no curves kept")
    return Training((tuple(json.loads((first / CURVES).read_text())), lines), (0.0, before))


def _bundle_made_by(start: Mapping[str, Any]) -> Path | None:
    keys = ("command", "seed", "revision", "learning_sha256", "steps")
    for path in sorted((share_directory() / "models").glob("**/bundle.json")):
        found = _provenance(path.parent)
        if all(found.get(key) == start.get(key) for key in keys):
            return path.parent
    return None


def _provenance(path: Path) -> Mapping[str, Any]:
    return json.loads((path / "bundle.json").read_text()).get("provenance") or {}


def _lines(path: Path) -> Iterator[Row]:
    if path.exists():
        with path.open(encoding="utf-8") as file:
            for line in file:
                if line.endswith("\n"):
                    yield json.loads(line)

"""Where a comparison keeps what it has played; see the package's docstring for the layout.

A job's maps and tracks are written first, then its lines, in one write; a job counts as played when all of it is
there.  What a killed run leaves of an unfinished job is dropped when the next one opens the folder.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pe_core.arena import arena_of
from pe_core.bundle import load_bundle
from pe_core.config import ConfigurationError, read_yaml
from pe_core.files import replaced, write_text
from pe_core.paths import config_path
from pe_core.plant import Simulator
from pe_core.provenance import git_revision
from pe_evaluation.comparison.maps import Maps
from pe_evaluation.comparison.plan import BATCH, REFERENCE_ROBOT, Job, Plan
from pe_evaluation.metrics import json_safe, write_json
from pe_safety.disturbance.parameters import load_disturbance

EPISODES, IDENTITY, PARTS, TRACKS = "episodes.jsonl", "identity.json", "parts", "tracks"
FORMAT = 1
Row = dict[str, Any]


def identity_of_plan(plan: Plan) -> dict[str, Any]:
    """What is played: the plan, hashes of all bundles and of every configuration file that it stands on.

    Raises:
        ConfigurationError: a bundle is refused.
    """
    bundles = {}
    for role, names in (
        ("pursuer", {name for approach in plan.approaches for name in approach.bundles}),
        ("evader", {cell.evader for cell in plan.all_cells()} | {plan.tracks.evader}),
    ):
        for name in sorted(names):
            bundles[f"{role} {name}"] = load_bundle(name, role=role).schema.sha256
    safety = {approach.safety for approach in plan.approaches} | {plan.evader_safety}
    files = {("arena", arena_of("auto", plan.robot)), ("robots", plan.robot), ("scenarios", "random")}
    if plan.randomised is not None:
        safety.add(plan.randomised.safety)
        files.add(("randomisation", plan.randomised.ranges))
    safety.discard("none")
    files |= {("safety", name) for name in safety}
    files |= {("disturbance", name) for name in safety if load_disturbance(name) is not None}
    files |= {("scenarios", name) for name in plan.tracks.scenarios} | {("training", plan.rewards)}
    described = json_safe(dataclasses.asdict(plan))
    # What is usual is not said: it was not, before there was a choice.
    if plan.batch == BATCH:
        del described["batch"]
    if plan.robot == REFERENCE_ROBOT:
        del described["robot"]
    configuration = {
        f"{kind}/{name}": _digest(read_yaml(config_path(kind, name))) for kind, name in sorted(files)
    }
    return {
        "format": FORMAT,
        "plan": described,
        "bundles": bundles,
        "configuration": configuration,
        "configuration_sha256": _digest([described, configuration]),
    }


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(json_safe(value), sort_keys=True).encode()).hexdigest()


class Store:
    """The folder of one comparison."""

    def __init__(self, folder: Path, plan: Plan, simulator: Simulator | None = None) -> None:
        """Open ``folder`` for ``plan``, new or begun; drop what an unfinished job left.

        ``simulator`` moves the robots; None: the plants of ``pe_core``.

        Raises:
            ConfigurationError: it cannot be written, or holds another comparison.
        """
        self.folder, self.plan, self.simulator = folder, plan, simulator
        found = identity_of_plan(plan)
        if simulator is not None:
            found["configuration"]["simulator"] = _digest(simulator.identity())
            found["configuration_sha256"] = _digest([found["plan"], found["configuration"]])
            found["simulator"] = simulator.identity()
        try:
            for name in (PARTS, TRACKS):
                (folder / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"out = {folder}: cannot be written: {error.strerror}") from error
        if not os.access(folder, os.W_OK):
            raise ConfigurationError(f"out = {folder}: cannot be written: allowed: a folder of your own")
        known = read_identity(folder)
        if known is not None:
            _check_same(folder, known, found)
        elif (folder / EPISODES).exists():
            raise ConfigurationError(f"out = {folder}: has {EPISODES} but no {IDENTITY}; allowed: a new folder")
        self.played = self._recover()
        revisions = list((known or {}).get("git_revisions", []))
        revision = git_revision() or "unknown"
        if known is None or missing(plan, self.played):
            # Where nothing is left to play, this revision plays nothing.
            revisions = [*(r for r in revisions if r != revision), revision]
        self.identity = found | {"git_revisions": revisions}
        write_json(folder / IDENTITY, self.identity)

    def _recover(self) -> set[str]:
        """The names of the jobs that are whole; lines of others are removed."""
        lines = list(_whole_lines(self.folder / EPISODES))
        counts = Counter(row["job"] for row in lines)
        whole = {
            job.name
            for job in self.plan.jobs()
            if counts[job.name] == job.count and (self.folder / PARTS / f"{job.name}.npz").is_file()
        }
        kept = [row for row in lines if row["job"] in whole]
        if (self.folder / EPISODES).exists():
            write_text(self.folder / EPISODES, "".join(_line(row) for row in kept))
        return whole

    def append(self, job: Job, rows: Sequence[Row]) -> None:
        """Keep the rows of a finished job."""
        with (self.folder / EPISODES).open("a", encoding="utf-8") as file:
            file.write("".join(_line({"job": job.name, **row}) for row in rows))
            file.flush()
            os.fsync(file.fileno())
        self.played.add(job.name)

    def rows(self) -> list[Row]:
        """Every episode, in the order of the plan, whatever the order they were played in."""
        order = {job.name: number for number, job in enumerate(self.plan.jobs())}
        rows = [row for row in _whole_lines(self.folder / EPISODES) if row["job"] in order]
        return sorted(rows, key=lambda row: (order[row["job"]], row["episode"]))


def write_part(folder: Path, job: Job, maps: Maps) -> None:
    """Keep the maps of a job."""
    with replaced(folder / PARTS / f"{job.name}.npz") as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **maps)


def read_part(folder: Path, name: str) -> dict[str, Any]:
    """The maps of the job ``name``."""
    with np.load(folder / PARTS / f"{name}.npz", allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def read_identity(folder: Path) -> dict[str, Any] | None:
    """What ``folder`` says that it holds; None where it says nothing.

    Raises:
        ConfigurationError: it cannot be understood.
    """
    path = folder / IDENTITY
    if not path.exists():
        return None
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path}: cannot be read: {error}") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise ConfigurationError(f"{path}: is not a comparison of format {FORMAT}; allowed: a new folder")
    return data


def _check_same(folder: Path, known: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    for part in ("bundles", "configuration", "plan"):
        if known.get(part) == found[part]:
            continue
        before, now = known.get(part) or {}, found[part]
        names = [key for key in {**before, **now} if before.get(key) != now.get(key)]
        raise ConfigurationError(
            f"out = {folder}: holds a comparison with another {part} ({', '.join(sorted(names))}); "
            "allowed: the same, or another folder"
        )


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(json_safe(row), separators=(",", ":"), allow_nan=False) + "\n"


def _whole_lines(path: Path) -> Iterator[Row]:
    """Rows of the lines that end and can be read: a torn last one is none."""
    if not path.exists():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.endswith("\n"):
                with contextlib.suppress(ValueError):
                    yield json.loads(line)


def missing(plan: Plan, played: Iterable[str]) -> list[Job]:
    """The jobs of ``plan`` that are not ``played``."""
    known = set(played)
    return [job for job in plan.jobs() if job.name not in known]

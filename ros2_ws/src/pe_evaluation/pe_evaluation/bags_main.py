"""What ``./pe compare --bags`` does: the decision report of runs that were recorded, by whomever."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from pe_core.config import ConfigurationError
from pe_core.files import replaced, write_text
from pe_core.provenance import git_revision
from pe_evaluation.compare_main import MAPS, Sections, report
from pe_evaluation.comparison import maps
from pe_evaluation.comparison.from_bags import NO_SEED, BagEpisodes, Row, by_approach, plain, read_bag
from pe_evaluation.comparison.plan import RECORDED, Job, Plan, cell_of, load_plan
from pe_evaluation.comparison.recorded_plan import (
    bundles_of,
    disagreements,
    named_as,
    plan_of_bags,
    told_apart,
)
from pe_evaluation.comparison.results import Results
from pe_evaluation.comparison.rules import load_rules
from pe_evaluation.comparison.runner import track_name
from pe_evaluation.comparison.store import EPISODES, FORMAT, IDENTITY, TRACKS, read_identity
from pe_evaluation.comparison.track import save_track
from pe_evaluation.comparison.tracking import Tracking
from pe_evaluation.metrics import json_safe, write_json
from pe_evaluation.storage import BagError

NO_BAG = "not read"
MOST_TRACKS = 12
"""Strata of which an episode is kept as a track of each approach, for trajectories and replay."""


@dataclasses.dataclass(frozen=True)
class BagRequest:
    """What a user asks for: ``bags`` as DIR or NAME=DIR; ``labels``: their names in order, or none."""

    bags: tuple[str, ...]
    out: Path
    labels: tuple[str, ...] = ()
    plan: str = "default"
    decision: str = "default"
    tracking: Tracking = Tracking()


def run(request: BagRequest, more: Sequence[Sections] = ()) -> int:
    """Read the bags, write reports, print the outcome.

    Returns 0, or 1 where a robot with a filter touched something.

    Raises:
        ConfigurationError: a bag does not exist, none of them holds a whole episode, or the folder holds a comparison
            that was played.
    """
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    rules = load_rules(request.decision)
    request.tracking.check()
    found = gather(request, console)
    return report(
        request.out, found.results, rules, found.identity, console, request.tracking, more, found.added
    )


@dataclasses.dataclass(frozen=True)
class Gathered:
    """What bags give to a report: rows by approach, what ran, and what joins the summary."""

    results: Results
    identity: dict[str, Any]
    added: dict[str, Any]


def gather(request: BagRequest, console: Console) -> Gathered:
    """Read the bags and keep episodes, maps and tracks in the folder; bags that cannot be read are told of.

    Raises:
        ConfigurationError: see :func:`run`.
    """
    known = load_plan(request.plan, 1, (0,))
    named = specified(request.bags, request.labels)
    _check_folder(request.out)
    bags, refused = [], []
    for path, name in named:
        with console.status(f"reading {path} ..."):
            try:
                bag = read_bag(path, name)
            except BagError as error:
                refused.append((path, str(error)))
                console.print(f"left out: {error}", style="yellow", markup=False)
                continue
        bags.append(dataclasses.replace(bag, approach=named_as(bag, known)))
    bags = told_apart(bags)
    if not any(bag.rows for bag in bags):
        reasons = [reason for _, reason in refused]
        reasons += [f"{bag.bag}: {why}" for bag in bags for why in _why_nothing(bag)]
        raise ConfigurationError(f"bags: no whole episode to compare: {'; '.join(reasons)}")
    rows = [row for own in by_approach(bags).values() for row in own]
    plan = plan_of_bags(bags, rows, known)
    _keep(request.out, plan, bags, rows)
    identity = _identity(plan, bags)
    write_json(request.out / IDENTITY, identity)
    told = [_account(bag) for bag in bags] + [_refused(path, reason) for path, reason in refused]
    return Gathered(Results(plan, rows), identity, {"bags": told, "notes": disagreements(bags, known)})


def specified(bags: Sequence[str], labels: Sequence[str]) -> list[tuple[Path, str | None]]:
    """Paths and names of ``DIR`` or ``NAME=DIR``, or of ``DIR`` and labels.

    Raises:
        ConfigurationError: a path does not exist, a name is not allowed, or there are not as many labels as bags.
    """
    if labels and len(labels) != len(bags):
        raise ConfigurationError(f"labels = {', '.join(labels)}: allowed: one for each of {len(bags)} bags, or none")
    found = []
    for number, text in enumerate(bags):
        name, _, place = text.rpartition("=") if not Path(text).exists() else ("", "", text)
        name = labels[number] if labels else name
        if not place or not Path(place).exists():
            raise ConfigurationError(f"bags = {text!r}: does not exist; allowed: DIR or NAME=DIR")
        if name and plain(name) != name:
            raise ConfigurationError(f"label = {name!r}: allowed: letters, digits, _ . + -")
        found.append((Path(place), name or None))
    return found


def _check_folder(folder: Path) -> None:
    known = read_identity(folder)
    if (known is None and (folder / EPISODES).exists()) or (known is not None and "bags" not in known):
        raise ConfigurationError(f"out = {folder}: holds a comparison that was played; allowed: another folder")
    try:
        for name in (TRACKS, MAPS):
            (folder / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"out = {folder}: cannot be written: {error.strerror}") from error


def _keep(folder: Path, plan: Plan, bags: Sequence[BagEpisodes], rows: Sequence[Row]) -> None:
    """Write episodes, maps and tracks, in place of those of other bags."""
    for name in (TRACKS, MAPS):
        for path in (folder / name).glob("*.npz"):
            path.unlink()
    lines = (json.dumps(json_safe(row), separators=(",", ":"), allow_nan=False) + "\n" for row in rows)
    write_text(folder / EPISODES, "".join(lines))
    for approach in plan.approaches:
        total = maps.empty()
        for bag in bags:
            if bag.approach == approach.name:
                maps.add(total, bag.maps)
        path = folder / MAPS / f"{RECORDED}_{approach.name}.npz"
        with replaced(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, margin_edges=maps.MARGIN_EDGES, action_edges=maps.ACTION_EDGES, **total)
    titles = {approach.name: approach.title for approach in plan.approaches}
    tracks = [track for name in by_approach(bags) for bag in bags if bag.approach == name for track in bag.tracks]
    by_stratum: dict[tuple[Any, int], dict[str, dict[str, int]]] = {}
    for number, row in enumerate(rows):
        pairs = by_stratum.setdefault((cell_of(row), row["seed"]), {})
        pairs.setdefault(row["pair"], {})[row["approach"]] = number
    for (cell, seed), pairs in list(by_stratum.items())[:MOST_TRACKS]:
        for name, number in max(pairs.values(), key=len).items():
            track = dataclasses.replace(tracks[number], name=titles[name])
            save_track(folder / TRACKS / f"{track_name(Job(name, cell, seed, 0, 1), 0)}.npz", track)


def _identity(plan: Plan, bags: Sequence[BagEpisodes]) -> dict[str, Any]:
    manifests = [bag.manifest for bag in bags if bag.manifest]
    configurations = sorted({str(each.get("configuration_sha256") or NO_SEED) for each in manifests})
    revisions = sorted({str(each.get("git_revision") or NO_SEED) for each in manifests})
    described = {key: value for key, value in dataclasses.asdict(plan).items() if value is not None}
    return {
        "format": FORMAT,
        "plan": json_safe(described),
        "bags": [str(bag.bag) for bag in bags],
        "bundles": bundles_of(bags),
        "configuration": {},
        "configuration_sha256": ", ".join(configurations) or NO_SEED,
        "git_revisions": revisions or [NO_SEED],
        "report_revision": git_revision() or "unknown",
    }


def _account(bag: BagEpisodes) -> dict[str, Any]:
    sources = sorted({str(row["source"]) for row in bag.rows})
    return {
        "bag": str(bag.bag),
        "approach": bag.approach,
        "named_by": bag.named_by,
        "episodes": len(bag.rows),
        "left_out": [{"episode": number, "reason": why} for number, why in bag.left_out],
        "source": " and ".join(sources) or "no whole episode",
        "unpaired": sum(row["seed_from"] == NO_SEED for row in bag.rows),
        "remarks": [*bag.remarks, *_withheld(bag)],
    }


def _withheld(bag: BagEpisodes) -> list[str]:
    """Losses within episodes: reasons of rows that name a topic's missing steps."""
    found: dict[str, list[int]] = {}
    for row in bag.rows:
        for reason in dict.fromkeys(value for value in row.values() if isinstance(value, str)):
            if " are missing" in reason:
                found.setdefault(reason, []).append(row["episode"])
    return [f"episode {', '.join(map(str, episodes))}: {reason}" for reason, episodes in found.items()]


def _refused(path: Path, reason: str) -> dict[str, Any]:
    return {
        "bag": str(path), "approach": "none", "named_by": NO_BAG, "episodes": 0, "left_out": [], "source": NO_BAG,
        "unpaired": 0, "remarks": [reason],
    }  # fmt: skip


def _why_nothing(bag: BagEpisodes) -> list[str]:
    return [f"episode {number}: {why}" for number, why in bag.left_out] or bag.remarks or ["no episode"]

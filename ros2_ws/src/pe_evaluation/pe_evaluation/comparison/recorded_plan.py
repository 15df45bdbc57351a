"""The plan of a comparison that was recorded, not played: what the bags hold, in the words of a plan where it has any.

An approach of the plan is known by its bundle and filter, or by the name that the caller gives a bag; then it has the
plan's title and setting, and gaps and pairs of the plan apply to it.  Any two approaches are compared.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from pe_core.bundle import load_bundle
from pe_core.config import ConfigurationError
from pe_core.paths import bundle_names
from pe_evaluation.comparison.from_bags import BagEpisodes, Row
from pe_evaluation.comparison.plan import (
    DEPLOYED,
    MEAN,
    REFERENCE,
    SIDE_BY_SIDE,
    TRAINED,
    Approach,
    Cell,
    Plan,
    Tracks,
    cell_of,
)

UNKNOWN = "unknown"
ELSEWHERE = " (not among the bundles here)"


def named_as(bag: BagEpisodes, known: Plan) -> str:
    """The plan's name of what a bag's manifest says that it recorded, else the bag's own.

    A policy that only shares its name with one here is another approach.  Nodes act
    by the mean of a policy: what is recorded is never, by itself, an approach as it was trained.
    """
    if bag.named_by != "manifest":
        return bag.approach
    bundle, safety = _bundle(bag.manifest), _safety(bag.manifest)
    for approach in known.approaches if _is_here(bundle, _digest(bag.manifest)) else ():
        if (approach.bundle, approach.safety, approach.acts) == (bundle, safety, MEAN) and approach.setting != TRAINED:
            return approach.name
    return bag.approach


def told_apart(bags: Sequence[BagEpisodes]) -> list[BagEpisodes]:
    """The same bags; where manifests give one name to several policies, each name with the beginning of its hash."""
    hashes: dict[str, set[str]] = {}
    for bag in bags:
        if bag.named_by == "manifest":
            hashes.setdefault(bag.approach, set()).add(_digest(bag.manifest))
    several = {name for name, found in hashes.items() if len(found) > 1}
    return [
        dataclasses.replace(bag, approach=f"{bag.approach}-{_digest(bag.manifest)[:8]}")
        if bag.named_by == "manifest" and bag.approach in several
        else bag
        for bag in bags
    ]


def plan_of_bags(bags: Sequence[BagEpisodes], rows: Sequence[Row], known: Plan) -> Plan:
    """The plan that the rows of ``bags`` fulfil.

    Raises:
        ConfigurationError: there is no row, or a seed that no plan can have.
    """
    if not rows:
        raise ConfigurationError("bags: no whole episode in any of them: nothing can be compared")
    by_name: dict[str, BagEpisodes] = {}
    for bag in bags:
        if bag.rows:
            by_name.setdefault(bag.approach, bag)
    mine = {approach.name: approach for approach in known.approaches}
    order = [name for name in mine if name in by_name] + [name for name in by_name if name not in mine]
    approaches = tuple(_approach(by_name[name], mine.get(name)) for name in order)
    strata = Counter((row["approach"], cell, row["seed"]) for row in rows if (cell := _cell(row)))
    cells = tuple(sorted({cell for _, cell, _ in strata}))
    own = [pair for pair in known.pairs if set(pair) <= set(order)]
    told = {frozenset(pair) for pair in own}
    return dataclasses.replace(
        known,
        name="recorded",
        description=f"{len(bags)} bags, in the words of plan '{known.name}'",
        approaches=approaches,
        cells=cells,
        randomised=None,
        tracks=Tracks(scenarios=(), first_episodes=1, replayed=tuple(order[:SIDE_BY_SIDE])),
        gaps=tuple(gap for gap in known.gaps if {gap.trained, gap.deployed} <= set(order)),
        pairs=(*own, *(pair for pair in combinations(order, 2) if frozenset(pair) not in told)),
        episodes=max(strata.values()),
        seeds=tuple(sorted({int(row["seed"]) for row in rows})),
    )


def _cell(row: Row) -> Cell:
    found = cell_of(row)
    assert found is not None, "every scenario of a recording is a cell"
    return found


def _approach(bag: BagEpisodes, known: Approach | None) -> Approach:
    bundle, digest = _bundle(bag.manifest), _digest(bag.manifest)
    # A policy that only shares its name with one here says nothing about that one's training.
    named = bundle if _is_here(bundle, digest) else bundle + ELSEWHERE
    if known is not None:
        return dataclasses.replace(known, bundle=named if bag.manifest else known.bundle, other_seeds=())
    return Approach(
        name=bag.approach,
        title=bag.approach,
        bundle=named,
        acts=MEAN,
        safety=_safety(bag.manifest),
        setting=DEPLOYED if bag.manifest else REFERENCE,
    )


def _is_here(bundle: str, digest: str) -> bool:
    try:
        return bundle in bundle_names() and load_bundle(bundle, role="pursuer").schema.sha256 == digest
    except ConfigurationError:
        return False


def bundles_of(bags: Sequence[BagEpisodes]) -> dict[str, str]:
    """Hashes of the policies that the manifests name, by role and name."""
    found: dict[str, set[str]] = {}
    for bag in bags:
        listed = bag.manifest.get("bundles")
        for role, entry in (listed.items() if isinstance(listed, Mapping) else ()):
            if isinstance(entry, Mapping) and entry.get("name"):
                found.setdefault(f"{role} {entry['name']}", set()).add(str(entry.get("sha256") or UNKNOWN))
    return {name: ", ".join(sorted(hashes)) for name, hashes in sorted(found.items())}


def disagreements(bags: Sequence[BagEpisodes], known: Plan) -> list[str]:
    """Approaches whose bags are of several policies or filters, and labels that a manifest does not bear out."""
    lines = []
    bundles = {approach.name: approach.bundle for approach in known.approaches}
    for bag in bags:
        said, meant = _bundle(bag.manifest), bundles.get(bag.approach)
        if bag.named_by == "you" and bag.manifest and meant is not None and said != meant:
            lines.append(f"{bag.bag} is labelled {bag.approach}, whose policy is {meant}; its manifest says {said}.")
    for name in dict.fromkeys(bag.approach for bag in bags):
        own = [bag for bag in bags if bag.approach == name and bag.manifest]
        for what, key in (("policies", _digest), ("filters", _filter)):
            found = sorted({key(bag.manifest) for bag in own})
            if len(found) > 1:
                named = ", ".join(each if " " in each else each[:12] for each in found)
                lines.append(f"The bags of {name} are of {len(found)} {what}: {named}.")
    return lines


def _filter(manifest: Mapping[str, Any]) -> str:
    parameters = json.dumps(manifest.get("safety"), sort_keys=True)
    return f"{hashlib.sha256(parameters.encode()).hexdigest()[:8]} ({_safety(manifest)})"


def _pursuer(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    listed = manifest.get("bundles")
    found = listed.get("pursuer") if isinstance(listed, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _bundle(manifest: Mapping[str, Any]) -> str:
    return str(_pursuer(manifest).get("name") or UNKNOWN)


def _digest(manifest: Mapping[str, Any]) -> str:
    return str(_pursuer(manifest).get("sha256") or UNKNOWN)


def _safety(manifest: Mapping[str, Any]) -> str:
    arguments = manifest.get("arguments")
    return str((arguments.get("safety") if isinstance(arguments, Mapping) else None) or UNKNOWN)

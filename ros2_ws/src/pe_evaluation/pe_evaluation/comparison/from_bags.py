"""Recorded bags as episodes of a comparison: the rows of :mod:`.episode`, with reasons for what a bag does not say.

Any source with the topics of :mod:`pe_evaluation.game_log` will do, robots included.  An approach has the name that
the caller gives, or ``<pursuer's bundle>+<filter>`` from the manifest, or the folder's; bags of one name are one
approach.  Only whole episodes give rows: what was cut off is counted, and why.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.typesys import Stores, get_typestore

from pe_core.config import ConfigurationError
from pe_core.rewards import Rewards, load_rewards
from pe_evaluation.bag import Episode, Run, RunReader, Stream
from pe_evaluation.comparison import maps
from pe_evaluation.comparison.clocks import offsets_of
from pe_evaluation.comparison.episode import NOT_CAPTURED, metrics
from pe_evaluation.comparison.maps import Maps
from pe_evaluation.comparison.plan import RECORDED, Cell, Job
from pe_evaluation.comparison.playing import Played
from pe_evaluation.comparison.track import Track, track_of
from pe_evaluation.metrics import INTERRUPTED, ROLES
from pe_evaluation.recorded import Trace, trace_of
from pe_evaluation.storage import open_bag

Row = dict[str, Any]
_OF_TRUTH = (
    "violations", "violations_own", "margin_min_m", "margin_q01_m", "margin_q05_m", "margin_q25_m", "margin_q50_m",
    "return",
)  # fmt: skip
_OF_STATUS = ("interventions", "intervention_rate", "infeasible", "backup", "filter_us")
_OF_CORRECTION = ("correction_mean", "correction_max", "steering_braking", "return")
_OF_COMMANDS = ("jerk_v", "jerk_omega")
_OF_EVADER = ("evader_interventions", "evader_infeasible")
NOT_RECORDED = "not recorded"
SEED, NO_SEED = "/episode", "not recorded"
"""Where the seed of an episode is from."""
_MAPPED = ("margin_min_m", "interventions", "correction_mean")
"""Metrics without which an episode is in no map."""
PLACED = 0.1
"""Starts and arenas that differ by less [m, rad] are the same: robots are put down by hand."""
LOST_MOST = 0.05
"""Share of steps of a topic that may be lost before a metric that stands on it is withheld."""


@dataclasses.dataclass
class BagEpisodes:
    """What one bag gives to a comparison.

    Attributes:
        approach: its name; named_by: ``you``, ``manifest`` or ``folder``.
        rows: of whole episodes; tracks: theirs, in the same order; maps: their sums over the arena, of those in which
            nothing is missing.
        manifest: what the bag says of the run; empty where it says nothing.
        left_out: episodes without a row (index, reason).
        remarks: what is missing or damaged, and what was done about it.
    """

    bag: Path
    approach: str
    named_by: str
    rows: list[Row] = dataclasses.field(default_factory=list)
    tracks: list[Track] = dataclasses.field(default_factory=list)
    left_out: list[tuple[int, str]] = dataclasses.field(default_factory=list)
    remarks: list[str] = dataclasses.field(default_factory=list)
    maps: Maps = dataclasses.field(default_factory=maps.empty)
    manifest: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def read_bag(bag: Path | str, name: str | None = None, rewards: Rewards | None = None) -> BagEpisodes:
    """The episodes of one bag, as the approach ``name``.

    Raises:
        BagError: the bag cannot be read, or holds none of the topics.
    """
    offsets = offsets_of(bag)
    reader = RunReader(bag, offsets_ns=offsets.ahead_ns)
    approach, named_by = (name, "you") if name else approach_name(reader.head)
    policy_us = policy_time_us(bag)
    found = BagEpisodes(
        reader.head.path, approach, named_by, remarks=[*offsets.remarks], manifest=reader.head.manifest
    )
    paid = load_rewards("reference") if rewards is None else rewards
    for part in reader.parts():
        for episode in part.episodes:
            _add(found, part, episode, paid)
    for row in found.rows:
        row["policy_us"] = policy_us
    found.remarks += reader.head.warnings
    if not reader.head.episodes:
        found.remarks.append(
            "/episode says of no episode where it began, in which arena, and when it was over: nothing can be computed"
        )
    if named_by == "folder":
        found.remarks.append(f"the manifest does not say what drove: called '{approach}'; NAME=DIR names it")
    return found


def policy_time_us(bag: Path | str) -> float | str:
    """Median time [µs] of the pursuer's policy as its node last said it in ``/diagnostics``; else the reason.

    Raises:
        BagError: the bag cannot be read.
    """
    store, said = get_typestore(Stores.ROS2_JAZZY), ""
    for raw in open_bag(Path(bag)).messages(["/diagnostics"]):
        if raw.type != "diagnostic_msgs/msg/DiagnosticArray":
            continue
        # What cannot be decoded, or is no number, is another program's.
        with contextlib.suppress(Exception):
            for status in store.deserialize_cdr(raw.data, raw.type).status:
                values = {pair.key: pair.value for pair in status.values}
                if status.name == "/pursuer/policy" and float(values.get("inference_p50_ms", "nan")) >= 0.0:
                    said = values["inference_p50_ms"]
    return 1e3 * float(said) if said else NOT_RECORDED


def read_bags(specifications: Iterable[str], rewards: Rewards | None = None) -> list[BagEpisodes]:
    """The bags of ``--bags``: ``DIR``, or ``NAME=DIR``.  Bags that cannot be read raise BagError."""
    found = []
    for text in specifications:
        name, _, path = text.rpartition("=") if not Path(text).exists() else ("", "", text)
        if not path:
            raise ConfigurationError(f"bags = {text!r}: allowed: DIR or NAME=DIR")
        found.append(read_bag(Path(path), name or None, rewards))
    return found


def by_approach(bags: Iterable[BagEpisodes]) -> dict[str, list[Row]]:
    """The rows of several bags by approach, episodes numbered anew within what names an episode.

    ``pair`` tells which episodes of several approaches are one (:func:`pairs_of`).
    """
    bags = list(bags)
    grouped: dict[str, list[Row]] = {}
    counts: Counter[tuple[Any, ...]] = Counter()
    for bag, pairs in zip(bags, pairs_of(bags), strict=True):
        for row, pair in zip(bag.rows, pairs, strict=True):
            key = (bag.approach, row["world"], row["evader"], row["speed_ratio"], row["scenario"], row["seed"])
            own = {"approach": bag.approach, "episode": counts[key], "pair": pair, "bag": str(bag.bag)}
            grouped.setdefault(bag.approach, []).append(row | own)
            counts[key] += 1
    return grouped


def pairs_of(bags: Sequence[BagEpisodes]) -> list[list[str]]:
    """By bag and row the name of an episode within its cell and seed, the same for all approaches that recorded it.

    One episode: the number that ``/episode`` gave it, and a start and an arena that agree to :data:`PLACED`; the k-th
    recording of it by one approach goes with the k-th of another.  Without a seed an episode is nobody else's.
    """
    starts: dict[tuple[Any, ...], list[Track]] = {}
    repeats: Counter[tuple[Any, ...]] = Counter()
    out: list[list[str]] = []
    for number, bag in enumerate(bags):
        names = []
        for row, track in zip(bag.rows, bag.tracks, strict=True):
            if row["seed_from"] == NO_SEED:
                names.append(f"bag {number}, episode {row['episode']}")
                continue
            place = tuple(row[key] for key in ("evader", "speed_ratio", "scenario", "seed", "episode"))
            known = starts.setdefault(place, [])
            start = next((k for k, other in enumerate(known) if _same_start(track, other)), len(known))
            known += [track] if start == len(known) else []
            repeat = repeats[bag.approach, place, start]
            repeats[bag.approach, place, start] += 1
            names.append(
                f"episode {row['episode']}" + f", start {start}" * (start > 0) + f", again {repeat}" * (repeat > 0)
            )
        out.append(names)
    return out


def _same_start(track: Track, other: Track) -> bool:
    moved = track.poses[0] - other.poses[0]
    moved[:, 2] = np.angle(np.exp(1j * moved[:, 2]))
    arenas = (track.arena.obstacles, other.arena.obstacles)
    return bool(
        np.abs(moved).max() <= PLACED
        and abs(track.arena.half_side - other.arena.half_side) <= PLACED
        and arenas[0].shape == arenas[1].shape
        and np.allclose(*arenas, rtol=0.0, atol=PLACED)
    )


def approach_name(run: Run) -> tuple[str, str]:
    """Name of the approach, and what gave it: the manifest or the folder."""
    bundles, arguments = run.manifest.get("bundles"), run.manifest.get("arguments")
    pursuer = bundles.get("pursuer") if isinstance(bundles, Mapping) else None
    if isinstance(pursuer, Mapping) and pursuer.get("name"):
        safety = arguments.get("safety") if isinstance(arguments, Mapping) else None
        return plain(f"{pursuer['name']}+{safety or 'unknown'}"), "manifest"
    path = run.path.resolve()
    return plain(path.parent.name if path.name == "bag" or path.is_file() else path.name), "folder"


def plain(name: str) -> str:
    """A name from a recording, fit for a file."""
    return re.sub(r"[^\w.+-]", "_", name).strip(".") or "unnamed"


def _add(found: BagEpisodes, run: Run, episode: Episode, rewards: Rewards) -> None:
    trace = trace_of(run, episode)
    outcome = trace.record.outcome
    if episode.end is None:
        found.left_out.append((episode.index, "its end was not recorded"))
        return
    if outcome == INTERRUPTED:
        found.left_out.append((episode.index, "it was interrupted, or its last samples are missing"))
        return
    try:
        track = track_of(run, trace, found.approach)
    except ConfigurationError as error:
        found.left_out.append((episode.index, str(error)))
        return
    if not len(track.command):
        found.left_out.append((episode.index, "it has no control step"))
        return
    played = _played(run, trace, track)
    row = _row(found, trace, played, rewards)
    found.rows.append(row)
    found.tracks.append(track)
    if not any(isinstance(row[key], str) for key in _MAPPED):
        maps.add_episode(found.maps, played)


def _played(run: Run, trace: Trace, track: Track) -> Played:
    steps, robots = len(track.command), run.robots
    limits = np.array([[robots[role].model.v_max, robots[role].model.omega_max] for role in ROLES])
    # Corrections are taken from what was asked; where nothing was heard yet nothing was corrected.
    nominal = np.where(np.isnan(track.nominal), np.nan_to_num(track.command), track.nominal)
    whole = dataclasses.replace(track, nominal=nominal, command=np.nan_to_num(track.command))
    solving = trace.status["pursuer"].column("solve_time_us")
    return Played(
        track=whole,
        intervened=_flags(trace, "intervened", steps),
        infeasible=_flags(trace, "infeasible", steps),
        filtered=(True, True),
        limits=limits,
        max_steps=round(trace.episode.max_time / track.dt),
        policy_us=np.empty(0),
        filter_us=solving[np.isfinite(solving)],
    )


def _row(found: BagEpisodes, trace: Trace, played: Played, rewards: Rewards) -> Row:
    track, steps = played.track, len(played.track.command)
    known = {role: len(trace.status[role]) > 0 for role in ROLES}
    names = plain(track.evader), plain(track.scenario)
    job = Job(found.approach, Cell(RECORDED, names[0], track.speed_ratio), track.seed, 0, 1, names[1])
    row = metrics(played, job, rewards)
    row |= {"start": [round(float(value), 9) for value in track.poses[0].ravel()], "policy_us": NOT_RECORDED}
    row["source"] = "ground truth" if trace.true_poses else "estimates"
    row["seed_from"] = NO_SEED if trace.episode.seed is None else SEED

    def withhold(keys: Iterable[str], reason: str) -> None:
        row.update(dict.fromkeys(keys, reason))

    if not trace.true_poses:
        withhold(_OF_TRUTH, "no ground truth: only estimates of the poses")
        # Estimates end before the last sample; the referee of the game says how long it was.
        record = trace.record
        row |= {"steps": record.steps, "time_s": record.steps * track.dt}
        row["capture_time_s"] = NOT_CAPTURED if record.capture_time is None else record.capture_time
    of_status: tuple[tuple[str, tuple[str, ...]], ...] = (("pursuer", _OF_STATUS), ("evader", _OF_EVADER))
    for role, keys in of_status:
        if not known[role]:
            withhold(keys, f"no /{role}/safety/status")
        elif lost := _lost(trace.status[role].stamp_ns, trace, steps):
            withhold([key for key in keys if key != "filter_us"], f"/{role}/safety/status: {lost}")
    of_commands: tuple[tuple[str, Stream, tuple[str, ...]], ...] = (
        ("cmd_vel_nominal", trace.nominal["pursuer"], _OF_CORRECTION),
        ("cmd_vel", trace.command["pursuer"], (*_OF_CORRECTION, *_OF_COMMANDS)),
    )
    for topic, stream, keys in of_commands:
        if not len(stream):
            withhold(keys, f"no /pursuer/{topic}")
        elif lost := _lost(stream.stamp_ns, trace, steps):
            withhold(keys, f"/pursuer/{topic}: {lost}")
    if trace.true_poses and len(trace.time) < (1.0 - LOST_MOST) * (steps + 1):
        missing = steps + 1 - len(trace.time)
        withhold(_OF_TRUTH, f"ground_truth: {missing} of {steps + 1} samples are missing")
    return row


def _lost(stamp_ns: np.ndarray, trace: Trace, steps: int) -> str:
    """What is missing of a stream, where that is too much to compute with; else nothing."""
    episode = trace.episode
    period = round(episode.dt * 1e9)
    places = np.unique((stamp_ns - episode.start_ns + period // 2) // period)
    missing = steps - int(((places >= 0) & (places < steps)).sum())
    return f"{missing} of {steps} steps are missing" if missing > LOST_MOST * steps else ""


def _flags(trace: Trace, key: str, steps: int) -> np.ndarray:
    """(T, 2): whether each robot's cycle of each step has ``key``."""
    flags = np.zeros((steps, len(ROLES)), dtype=bool)
    for column, role in enumerate(ROLES):
        status = trace.status[role]
        at = np.rint((status.stamp_ns - trace.episode.start_ns) * 1e-9 / trace.episode.dt).astype(int)
        inside = (at >= 0) & (at < steps)
        flags[at[inside], column] = status.column(key)[inside] > 0.5
    return flags

"""The report of a comparison of simulators: Markdown, and a page with a replay."""

from __future__ import annotations

import dataclasses
import html
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pe_evaluation.comparison.document import Section, section_html, table
from pe_evaluation.comparison.plan import SIDE_BY_SIDE, Plan
from pe_evaluation.comparison.store import TRACKS
from pe_evaluation.comparison.track import load_track
from pe_evaluation.comparison.words import interval_of, mean_of, number, percent
from pe_evaluation.page_style import STYLE_SHEET
from pe_evaluation.replay.page import Group, replay_html
from pe_evaluation.simulators.account import POINTS_MOST, TIME_SHARE_MOST

TITLE = "The same episodes in other simulators"
Found = Mapping[str, Any]


def sections_of(plan: Plan, found: Found) -> list[Section]:
    """What is found, in words and tables."""
    return [_verdict(plan, found), _gaps(found), _cells(found), *_pairs(found), _identity(found)]


def page(plan: Plan, found: Found, folder: Path) -> str:
    """The report as one page that needs no network; ``folder`` holds a comparison for each simulator."""
    parts = [section_html(section) for section in sections_of(plan, found)]
    groups = groups_of(plan, found, folder)
    if groups:
        watched = replay_html(groups, "Replay of one start in several simulators")
        parts.insert(1, f"<section><h2>Replay</h2>{watched}</section>")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(TITLE)}</title><style>{STYLE_SHEET} main {{ max-width: 1320px; }}</style></head>"
        f"<body><main><header><h1>{html.escape(TITLE)}</h1></header>{''.join(parts)}</main></body></html>\n"
    )


def groups_of(plan: Plan, found: Found, folder: Path) -> list[Group]:
    """The first start of every approach and cell, in up to four simulators side by side."""
    simulators = list(dict.fromkeys(cell["simulator"] for cell in found["cells"]))[:SIDE_BY_SIDE]
    groups = []
    for approach in plan.approaches:
        for cell in plan.cells:
            name = f"{approach.name}_{cell.evader}_{cell.speed_ratio:g}_s{plan.seeds[0]}_e0.npz"
            files = {simulator: folder / simulator / TRACKS / name for simulator in simulators}
            tracks = [
                dataclasses.replace(load_track(path), name=simulator)
                for simulator, path in files.items()
                if path.is_file()
            ]
            if tracks:
                groups.append(Group(f"{approach.title} against {cell}", tracks))
    return groups


def _verdict(plan: Plan, found: Found) -> Section:
    gaps, cells = found["gaps"], found["cells"]
    contacts = sum(cell["violation_episodes"] for cell in cells)
    fewest = min(plan.episodes_of(approach, cell) for approach in plan.approaches for cell in plan.cells)
    fewer = f" (of some approaches the first {fewest})" if fewest < plan.episodes else ""
    starts = f"{plan.episodes} starts of seeds {' '.join(map(str, plan.seeds))}{fewer}"
    lines = [
        f"Robot {plan.robot}; the same {starts} everywhere. Policies, filters, rules and scoring are the same objects; "
        "only what a command does to a robot differs.",
        f"Contacts: {contacts} in {sum(cell['episodes'] for cell in cells):,} episodes.",
    ]
    for key, words in (
        ("captures", f"capture rate within {POINTS_MOST:g} points of the arena simulator"),
        ("time", f"mean capture time within {100 * TIME_SHARE_MOST:g} %"),
    ):
        lines.append(f"{sum(gap['within'][key] for gap in gaps)} of {len(gaps)} cells: {words}.")
    return Section("What holds", tuple(lines))


def _gaps(found: Found) -> Section:
    rows = [
        (
            gap["title"],
            _evader(gap),
            gap["simulator"],
            str(gap["starts"]),
            f"{gap['points']:+.1f} points",
            f"{gap['p']:.3f}",
            "none captured in both" if math.isnan(gap["time_share"]) else f"{100 * gap['time_share']:+.1f} %",
            f"{gap['apart_s']:.2f} s",
            str(gap["violation_episodes"]),
            "yes" if gap["passed"] else "not: " + ", ".join(key for key, held in gap["within"].items() if not held),
        )
        for gap in found["gaps"]
    ]
    head = (
        "approach", "evader", "simulator", "starts", "captures", "McNemar p", "mean capture time",
        "lengths apart, median", "episodes with a contact", "within limits",
    )  # fmt: skip
    return Section("Less the arena simulator", (table(head, rows),) if rows else ("Nothing was played in both.",))


def _cells(found: Found) -> Section:
    rows = [
        (
            cell["title"],
            _evader(cell),
            cell["simulator"],
            str(cell["episodes"]),
            interval_of(cell["captured"], percent),
            _time(cell["capture_time_s"]),
            f"{cell['violation_episodes']} (≤ {percent(cell['violation_upper'])})",
            _margin(cell["margin_min_m"]),
            _share(cell["intervention_rate"]),
            str(cell["infeasible"]),
        )
        for cell in found["cells"]
    ]
    head = (
        "approach", "evader", "simulator", "episodes", "captured, 95 %", "mean time", "episodes with a contact",
        "smallest margin", "corrected", "infeasible cycles",
    )  # fmt: skip
    return Section("Every cell", (table(head, rows),) if rows else ("Nothing was played.",))


def _pairs(found: Found) -> list[Section]:
    def two(values: Sequence[Any], show: Callable[[Any], str]) -> str:
        return " → ".join(show(value) for value in values)

    rows = [
        (
            f"{pair['first']} ⇒ {pair['second']}",
            _evader(pair),
            pair["simulator"],
            two(pair["capture_rate"], percent),
            two(pair["capture_time_s"], _time),
            two(pair["violation_episodes"], str),
            two(pair["margin_min_m"], _margin),
            two(pair["intervention_rate"], _share),
            two(pair["infeasible"], str),
        )
        for pair in found["pairs"]
    ]
    head = (
        "first ⇒ second", "evader", "simulator", "captured", "mean time", "episodes with a contact", "smallest margin",
        "corrected", "infeasible cycles",
    )  # fmt: skip
    words = "The same policy and starts, with one filter and with another."
    return [Section("What the filter that learns changes", (words, table(head, rows)))] if rows else []


def _identity(found: Found) -> Section:
    lines = []
    for simulator, identity in found["identities"].items():
        told = ", ".join(f"{key} {value}" for key, value in identity.get("simulator", {}).items())
        lines.append(f"{simulator}: git {', '.join(identity['git_revisions'])}{'; ' if told else ''}{told}")
    bundles = next(iter(found["identities"].values()))["bundles"]
    lines.append("bundles: " + ", ".join(f"{name} {digest[:12]}" for name, digest in bundles.items()))
    return Section("What ran", tuple(lines))


def _evader(row: Mapping[str, Any]) -> str:
    return f"{row['evader']}, {row['speed_ratio']:g}"


def _time(value: Mapping[str, Any]) -> str:
    return mean_of(value, "s", 1, with_interval=False)


def _margin(value: float | str) -> str:
    return value if isinstance(value, str) else number(1000.0 * value, "mm", 0)


def _share(value: Mapping[str, Any]) -> str:
    return str(value["reason"]) if "reason" in value else percent(value["mean"], 2)

"""What a report of recorded runs says beside the others: what each bag holds and lacks, and what follows from that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pe_evaluation.comparison.document import Section, Table, table
from pe_evaluation.comparison.plan import RECORDED
from pe_evaluation.comparison.words import interval_of, percent

_NAMED_BY = {"you": "your label", "manifest": "manifest", "folder": "folder's name"}
NOTHING = "nothing: whole, and every topic is there"


def bags_section(bags: Sequence[Mapping[str, Any]]) -> Section:
    """Bags in the order given: what came of each, and what was missing or damaged."""
    head = ("bag", "approach", "named by", "whole episodes", "left out", "poses")
    found = table(
        head,
        [
            (
                bag["bag"],
                bag["approach"],
                _NAMED_BY.get(bag["named_by"], bag["named_by"]),
                f"{bag['episodes']}",
                _left_out(bag["left_out"]),
                bag["source"],
            )
            for bag in bags
        ],
        numbers=False,
    )
    lacking = [(bag["bag"], remark) for bag in bags for remark in (bag["remarks"] or [NOTHING])]
    blocks: list[str | Table] = [
        "Episodes that were cut off or interrupted give no row. Without ground truth contacts, margins and returns "
        "are unknown: estimates never stand in for them.",
        found,
        "Missing, damaged, or set right:",
        table(("bag", "what"), lacking, numbers=False),
    ]
    return Section("Recorded bags", tuple(blocks))


def captures_of(row: Mapping[str, Any]) -> str:
    """The capture rate of an account; of recordings with how many there were, and exact bounds beside."""
    found = interval_of(row["captured"], percent)
    if row["world"] != RECORDED:
        return found
    # Of a few recordings the resamples of one outcome say nothing of the other.
    low, high = row["captured_pooled_interval"]
    return f"{found}; {row['captures']} of {row['episodes']} [{100.0 * low:.1f}, {100.0 * high:.1f}]"


def _left_out(episodes: Sequence[Mapping[str, Any]]) -> str:
    return "; ".join(f"episode {each['episode']}: {each['reason']}" for each in episodes) or "none"


def notes_of_recording(summary: Mapping[str, Any]) -> list[str]:
    """What recordings cannot show."""
    lines = [
        "Nothing was played for this report: rows are of the episodes that the bags hold, so approaches may have met "
        "different starts; tests, gaps and captures of the matrix take only episodes of one cell, seed and number "
        "whose start and arena agree (0.1 m, 0.1 rad).",
        "A cell named evader@scenario is an evader in a scenario whose start is fixed.",
        "A robot whose filter's status was not recorded counts as filtered.",
    ]
    unpaired = sum(bag["unpaired"] for bag in summary["bags"])
    if unpaired:
        lines.append(f"{unpaired} episodes have no seed in /episode: they are in means, and in no pair.")
    return lines

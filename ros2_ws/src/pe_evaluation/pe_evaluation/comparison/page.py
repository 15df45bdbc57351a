"""``report.html`` of a comparison: one page, readable without a network; others add sections to it."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from pe_evaluation.comparison.account import touched
from pe_evaluation.comparison.document import section_html
from pe_evaluation.comparison.sections import sections_of
from pe_evaluation.comparison.words import percent
from pe_evaluation.page_style import STYLE_SHEET

TITLE = "Decision report"
_STYLE = """
main { max-width: 1320px; }
table.plain th:nth-child(n+2), table.plain td:nth-child(n+2) { text-align: right; }
table.plain td { white-space: nowrap; }
table.plain td:first-child, table.plain th:first-child { min-width: 150px; }
table.words td { overflow-wrap: anywhere; }
table.words td:first-child { white-space: nowrap; }
.scroll { margin: 6px 0 14px; }
.scroll table { font-size: 13px; }
.scroll th, .scroll td { padding: 4px 12px 4px 0; }
nav { columns: 3; margin: 18px 0; font-size: 14px; }
nav a { display: block; }
"""


def render(summary: Mapping[str, Any], sections: Sequence[tuple[str, str]] = ()) -> str:
    """The page; ``sections`` are (title, SVG or HTML), put in behind the tables of the approaches, as they are."""
    parts = [(section.title, section_html(section)) for section in sections_of(summary)]
    more = [(title, f"<section><h2>{html.escape(title)}</h2>{body}</section>") for title, body in sections]
    parts[3:3] = more
    linked = "".join(
        body.replace("<section>", f'<section id="section-{number}">', 1)
        for number, (_, body) in enumerate(parts)
    )
    contents = "".join(
        f'<a href="#section-{number}">{html.escape(title)}</a>' for number, (title, _) in enumerate(parts)
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{TITLE}</title><style>{STYLE_SHEET}{_STYLE}</style></head><body><main>{_header(summary)}"
        f"<nav>{contents}</nav>{linked}</main></body></html>\n"
    )


def _header(summary: Mapping[str, Any]) -> str:
    found, identity = summary["decision"], summary["identity"]
    gaps = {gap["name"]: gap for gap in summary["gaps"] if "captured" in gap}
    passed = sum(gate["passed"] for gate in summary["gates"])
    deployed = [row for row in summary["accounts"] if row.get("setting") == "deployed"]
    contacts, looked_at = sum(map(touched, deployed)), sum(row["contact_episodes"] for row in deployed)
    tiles = [
        ("recommended", found.get("title", "none"), ""),
        ("same in resamples", percent(found.get("confidence", 0.0)), ""),
    ]
    for name in ("cbf-beta", "barriernet"):
        if name in gaps:
            tiles.append(
                (
                    f"gap of {gaps[name]['title']}, captures",
                    f"{100 * gaps[name]['captured']['gap']:+.2f} pts",
                    "",
                )
            )
    tiles += [
        (
            "contacts, deployed",
            f"{contacts} in {looked_at:,}" if looked_at else "unknown",
            "bad" if contacts else "good" if looked_at else "",
        ),
        (
            "phase gates",
            f"{passed} of {len(summary['gates'])}",
            "good" if passed == len(summary["gates"]) else "",
        ),
    ]
    cells = "".join(
        f'<div class="tile {kind}"><b>{html.escape(value)}</b><span>{html.escape(name)}</span></div>'
        for name, value, kind in tiles
    )
    plan = identity["plan"]
    line = (
        f"{summary['episodes']:,} episodes · seeds {' '.join(map(str, plan['seeds']))} · git "
        f"{', '.join(identity['git_revisions'])}"
    )
    question = (
        "Is the gap between the safety mechanism used in training and the one used at deployment large enough to "
        "justify putting the deployment QP inside the network?"
    )
    return (
        f"<header><h1>{TITLE}</h1><p>{html.escape(question)}<br>{html.escape(line)}</p>"
        f'<div class="tiles">{cells}</div></header>'
    )

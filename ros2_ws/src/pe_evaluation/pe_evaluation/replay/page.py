"""Interactive replays in a page: one fragment that needs no network, no library and no server.

The fragment brings its style, its data and its program.  Where scripts do not run, and in print, it shows a still of
every track.
"""

from __future__ import annotations

import dataclasses
import html
import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

import numpy as np
from matplotlib.colors import to_hex

from pe_core.config import ConfigurationError
from pe_evaluation.comparison.plan import SIDE_BY_SIDE
from pe_evaluation.comparison.track import Track
from pe_evaluation.figures import COLOURS, margin_map
from pe_evaluation.metrics import ROLES
from pe_evaluation.replay.encoding import encode

_PROGRAM = ("track.js", "arena.js", "strips.js", "player.js")
_SHADES = 32


@dataclasses.dataclass(frozen=True)
class Group:
    """Tracks of one start, shown side by side, with a title to choose them by.

    Raises:
        ConfigurationError: there are none, or more than four.
    """

    title: str
    tracks: Sequence[Track]

    def __post_init__(self) -> None:
        if not 1 <= len(self.tracks) <= SIDE_BY_SIDE:
            raise ConfigurationError(
                f"replay: {self.title!r} has {len(self.tracks)} tracks: allowed: 1 to {SIDE_BY_SIDE} side by side"
            )


def replay_html(groups: Sequence[Group | Sequence[Track]], label: str = "Replay") -> str:
    """An HTML fragment that plays the tracks, one group at a time.

    Args:
        groups: the tracks of one start each, with titles or without.
        label: what a screen reader calls the player.

    Raises:
        ConfigurationError: there is nothing to show, or too much side by side.
    """
    titled = [group if isinstance(group, Group) else Group(_title(group), group) for group in groups]
    if not titled:
        raise ConfigurationError("replay: no group of tracks: allowed: at least one")
    data = {
        "groups": [{"title": group.title, "tracks": [encode(track) for track in group.tracks]} for group in titled],
        "margins": {
            "colours": [to_hex(margin_map()(shade)) for shade in np.linspace(0.0, 1.0, _SHADES)],
            "contact": to_hex(margin_map()(-1.0)),
        },
    }
    # "</script>" inside a name must not end the element.
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
    name = html.escape(label, quote=True)
    stills = "".join(_still(group, track) for group in titled for track in group.tracks)
    return (
        f"<style>{asset('replay.css')}</style>"
        f'<section class="replay" role="group" tabindex="0" aria-label="{name}">'
        f"{_controls(titled)}"
        '<div class="replay-stage" data-part="stage"></div>'
        f'<div class="replay-still">{stills}</div>'
        f"{_LEGEND}{_KEYS}"
        '<p class="replay-hidden" role="status" aria-live="polite" data-part="says"></p>'
        f'<script type="application/json">{text}</script></section>'
        f"<script>{program()}</script>"
    )


def replay_page(groups: Sequence[Group | Sequence[Track]], title: str = "Replay") -> str:
    """A whole page with nothing but the replay; see :func:`replay_html`."""
    heading = html.escape(title)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{heading}</title><style>{_PAGE_STYLE}</style></head>"
        f"<body><main><h1>{heading}</h1>{replay_html(groups, title)}</main></body></html>\n"
    )


@cache
def asset(name: str) -> str:
    """A file of this package as text."""
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


@cache
def program() -> str:
    """All of the JavaScript in one scope of its own; it starts every replay of the page that has not started."""
    return '(() => {\n"use strict";\n' + "\n".join(asset(name) for name in _PROGRAM) + "})();\n"


def _title(tracks: Sequence[Track]) -> str:
    if not tracks:
        return ""
    first = tracks[0]
    return f"Episode {first.episode}, {first.scenario.replace('_', ' ')}, seed {first.seed}"


def _controls(groups: Sequence[Group]) -> str:
    choice = ""
    if len(groups) > 1:
        options = "".join(f'<option value="{i}">{html.escape(group.title)}</option>' for i, group in enumerate(groups))
        choice = f'<select data-part="group" aria-label="Episode">{options}</select>'
    elif groups[0].title:
        choice = f"<b>{html.escape(groups[0].title)}</b>"
    speeds = "".join(
        f'<option value="{speed:g}"{" selected" if speed == 1 else ""}>{speed:g} ×</option>'
        for speed in (0.25, 0.5, 1, 2, 4, 8)
    )

    def button(part: str, sign: str, words: str, key: str, kind: str = "") -> str:
        return (
            f'<button type="button" class="{kind}" data-part="{part}" aria-label="{words}" title="{words} ({key})">'
            f"{sign}</button>"
        )

    return (
        '<div class="replay-controls">'
        + choice
        + button("play", "▶", "Play", "space", "replay-play")
        + button("back", "◂", "One step back", "←")
        + button("forward", "▸", "One step on", "→")
        + button("previous", "⇤", "Previous event", "p")
        + button("next", "⇥", "Next event", "n")
        + '<input type="range" data-part="scrub" min="0" max="1" value="0" step="1" aria-label="Time">'
        + '<output class="replay-time" data-part="time">0.00 s</output>'
        + f'<label>speed <select data-part="speed">{speeds}</select></label>'
        + '<label><input type="checkbox" data-part="chase"> close up</label></div>'
    )


def _still(group: Group, track: Track) -> str:
    """A picture without a script: arena, both paths, starts and ends."""
    half = track.arena.half_side
    k = 250.0 / half

    def at(point: np.ndarray) -> tuple[float, float]:
        return round(260.0 + k * float(point[0]), 1), round(260.0 - k * float(point[1]), 1)

    parts = [
        '<rect width="520" height="520" fill="#b9b4aa"/>',
        '<rect x="10" y="10" width="500" height="500" fill="#f4f3ef" stroke="#222"/>',
    ]
    for x, y, radius in track.arena.obstacles:
        cx, cy = at(np.array([x, y]))
        parts.append(f'<circle cx="{cx}" cy="{cy}" r="{k * radius:.1f}" fill="#b9b4aa" stroke="#222"/>')
    # A point every quarter of a second is a path that the eye takes for smooth.
    stride = max(1, round(0.25 / track.dt))
    for lane, role in enumerate(ROLES):
        poses = track.poses[:, lane, :2]
        rows = sorted({*range(0, track.steps + 1, stride), track.steps})
        path = " ".join(f"{x:g},{y:g}" for x, y in (at(poses[row]) for row in rows))
        colour = COLOURS[role]
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2.5"/>')
        for row, fill in ((0, "#fff"), (-1, colour)):
            x, y = at(poses[row])
            parts.append(f'<circle cx="{x}" cy="{y}" r="6" fill="{fill}" stroke="{colour}" stroke-width="2"/>')
    time = f"{track.steps * track.dt:.2f} s"
    end = f"captured at {time}" if track.captured else f"not captured in {time}"
    words = f"{track.name} v {track.evader}: {end}, least margin {track.margins.min():.3f} m"
    shown = html.escape(words)
    return (
        f'<figure><svg viewBox="0 0 520 520" role="img" aria-label="{html.escape(words, quote=True)}">'
        f'{"".join(parts)}</svg><figcaption class="replay-outcome">{html.escape(group.title)}<br>{shown}</figcaption>'
        "</figure>"
    )


_LEGEND = (
    '<ul class="replay-legend">'
    + "".join(
        f'<li><span class="replay-swatch" style="background:{COLOURS[role]}"></span>{role}</li>' for role in ROLES
    )
    + '<li><span class="replay-swatch" style="background:linear-gradient(90deg,'
    + ",".join(to_hex(margin_map()(share)) for share in (0.0, 0.25, 0.5, 0.75, 1.0))
    + '"></span>line: margin from 0 to a tenth of the half side</li>'
    + f'<li><span class="replay-swatch" style="background:{to_hex(margin_map()(-1.0))}"></span>contact</li>'
    + '<li>grey arrow asked, coloured arrow done</li><li>thin arrow: change by the filter</li>'
    + "".join(
        f'<li><span class="replay-badge" style="background:{colour}">{letter}</span>{words}</li>'
        for letter, colour, words in (("R", "#F0E442", "relaxed"), ("B", "#CC79A7", "backup"), ("S", "#999999", "stop"))
    )
    + "<li>dashed: capture circle</li></ul>"
)

_KEYS = (
    '<details class="replay-keys" aria-label="Keys"><summary>Keys</summary>'
    '<kbd>space</kbd> play or pause, <kbd>←</kbd> <kbd>→</kbd> a '
    "step, with <kbd>shift</kbd> a second, <kbd>Home</kbd> <kbd>End</kbd>, <kbd>p</kbd> <kbd>n</kbd> previous and "
    "next event, <kbd>+</kbd> <kbd>-</kbd> speed, <kbd>z</kbd> close up. The strips can be dragged.</details>"
)

_PAGE_STYLE = (
    "html{color-scheme:light}body{margin:0;background:#faf9f7;color:#1f2328;"
    'font:15px/1.5 system-ui,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}'
    "main{max-width:1400px;margin:0 auto;padding:16px}h1{font-size:22px;margin:0}"
)

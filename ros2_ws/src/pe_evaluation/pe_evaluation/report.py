"""``report.html``: one page about one recorded run, readable without a network.

Figures are SVG images inside the page.  A long run is shown in full as numbers, and in detail for its first
episodes and its worst: violations, the smallest margin, timeouts, the longest.
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from pe_evaluation.bag import Run
from pe_evaluation.comparison.track import track_of
from pe_evaluation.distributions import aggregate_figure, heat_figure, latency_figure
from pe_evaluation.figures import episode_figure, svg
from pe_evaluation.margin_terms import MEANING, margin_figure
from pe_evaluation.metrics import CAPTURE, ROLES, TIMEOUT, EpisodeRecord, Metrics, RobotCounts, ratio
from pe_evaluation.page_style import STYLE_SHEET
from pe_evaluation.recorded import Trace
from pe_evaluation.replay.page import Group, replay_html
from pe_evaluation.survey import Survey
from pe_evaluation.tables import audit_line, percent, rows_of, unit, worst_line

DETAILS_FIRST = 3
DETAILS_MOST = 6
ROWS_MOST = 1000
SIZE_MOST = 5_000_000
HEAT_FROM = 10


def render(survey: Survey, metrics: Metrics) -> str:
    """The page."""
    head, records = survey.head, survey.records
    chosen = choose(records)
    sections = [
        _header(head, metrics),
        _notes(metrics),
        _section("Result", _aggregate(metrics)),
        _section("Episodes", _episodes(records, set(chosen))),
    ]
    if records:
        sections.append(_section("Distributions", _distributions(survey)))
    if metrics.get("margin_terms_mm"):
        shown = survey.trace(chosen[0]) if chosen else None
        sections.append(_section("Margin budget", _margins(metrics["margin_terms_mm"], shown)))
    sections.append(_section("Audit", _audit(metrics["audit"])))
    sections.append(_section("What ran", _identity(metrics["identity"], head)))
    size = sum(map(len, sections))
    details, watched = [], []
    for index in chosen:
        trace = survey.trace(index)
        detail = _detail(head, trace)
        # A page that a browser and a mail can carry is worth more than the last picture.
        if size + len(detail) > SIZE_MOST - 50_000:
            break
        size += len(detail)
        details.append(detail)
        if len(trace.time):
            watched.append(Group(_named(trace), [track_of(head, trace)]))
    sections.insert(4, _section("Episodes in detail", _LEGEND + "".join(details)) if details else "")
    sections.insert(4, _replay(watched, SIZE_MOST - size))
    title = html.escape(_title(metrics))
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE_SHEET}</style></head><body><main>{''.join(sections)}</main></body></html>\n"
    )


def choose(records: Sequence[EpisodeRecord]) -> list[int]:
    """Indices of the episodes to show in detail: the first, and the worst in each respect; in order, at most six."""
    if len(records) <= DETAILS_MOST:
        return [record.index for record in records]
    shown = [record for record in records if record.steps]
    known = sorted((record for record in shown if record.min_margin == record.min_margin), key=_margin_of)
    worst = [
        *[record for record in known if record.violations][:2],
        *known[:1],
        *[record for record in shown if record.outcome == TIMEOUT][:1],
        *sorted(shown, key=lambda record: -record.steps)[:1],
    ]
    picked: set[int] = set()
    for record in [*worst, *records[:DETAILS_FIRST], *records]:
        if len(picked) < DETAILS_MOST:
            picked.add(record.index)
    return [record.index for record in records if record.index in picked]


def _margin_of(record: EpisodeRecord) -> float:
    return record.min_margin


_LEGEND = (
    '<p class="note">From above: the line\'s core shows the body margin (red: contact), its edge the robot; arrows '
    "show how the filter changed the velocity of the control point, turns by a longer lever; dots stand five seconds "
    "apart; dashed, the capture radius. Below: h of every barrier on a logarithmic scale from 10⁻⁴ (walls in m, "
    "circles in m²), then nominal commands in grey and executed ones in colour; yellow marks relaxed, pink backup, "
    "grey stopped control steps.</p>"
)


def _replay(groups: Sequence[Group], room: int) -> str:
    """The episodes to watch: of the first as many as fit into ``room`` characters."""
    for count in range(len(groups), 0, -1):
        section = _section("Replay", replay_html(groups[:count], "Replay of the episodes in detail"))
        if len(section) <= room:
            return section
    return ""


def _named(trace: Trace) -> str:
    record = trace.record
    end = "captured" if record.outcome == CAPTURE else record.outcome
    poses = "" if trace.true_poses else " (estimated poses: no ground truth was recorded)"
    return f"Episode {record.index}: {end} after {record.steps * record.dt:.2f} s{poses}"


def _title(metrics: Metrics) -> str:
    bundles = metrics["identity"].get("bundles") or {}
    names = [str((bundles.get(role) or {}).get("name") or role) for role in ROLES]
    return f"{names[0]} v {names[1]}"


def _header(run: Run, metrics: Metrics) -> str:
    identity = metrics["identity"]
    violations, audit = metrics["violations"], metrics["audit"]["passed"]
    tiles = [
        ("episodes", str(metrics["episodes"]), ""),
        ("capture rate", percent(metrics["capture_rate"]), ""),
        ("violations", "–" if violations is None else str(violations), "bad" if violations else "good"),
        ("smallest margin", unit(metrics["min_margin_m"], "m", 3), ""),
        ("interventions", percent(metrics["intervention_rate"]), ""),
        ("audit", audit_line(metrics["audit"])[0], {True: "good", False: "bad", None: ""}[audit]),
    ]
    cells = "".join(
        f'<div class="tile {kind}"><b>{html.escape(value)}</b><span>{html.escape(name)}</span></div>'
        for name, value, kind in tiles
    )
    scenarios = sorted({episode.scenario for episode in run.episodes if episode.scenario})
    facts = [
        f"scenario {', '.join(scenarios)}" if scenarios else "",
        f"seed {identity['seed']}" if identity.get("seed") is not None else "",
        f"git {identity['git_revision']}" if identity.get("git_revision") else "git revision unknown",
        f"version {identity['version']}" if identity.get("version") else "",
        f"{run.messages:,} messages",
    ]
    line = " · ".join(html.escape(fact) for fact in facts if fact)
    return f'<header><h1>{html.escape(_title(metrics))}</h1><p>{line}</p><div class="tiles">{cells}</div></header>'


def _notes(metrics: Metrics) -> str:
    lines = [("bad", f"Difference: {line}") for line in metrics["differences"]]
    lines += [("warn", f"Warning: {line}") for line in metrics["warnings"]]
    shown = "".join(f'<li class="{kind}">{html.escape(line)}</li>' for kind, line in lines[:50])
    if len(lines) > 50:
        shown += f"<li>and {len(lines) - 50} more in metrics.json</li>"
    return f'<ul class="notes">{shown}</ul>' if lines else ""


def _section(title: str, body: str) -> str:
    return f"<section><h2>{title}</h2>{body}</section>"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    """A table whose cells are HTML already."""
    top = "".join(f"<th>{cell}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    thead = f"<thead><tr>{top}</tr></thead>" if head else ""
    return f'<div class="scroll"><table class="{kind}">{thead}<tbody>{body}</tbody></table></div>'


def _aggregate(metrics: Metrics) -> str:
    return _table((), ([html.escape(cell) for cell in row] for row in rows_of(metrics)), "facts")


def _episodes(records: Sequence[EpisodeRecord], detailed: set[int]) -> str:
    head = (
        "episode", "outcome", "time", "steps", "least margin", "violations",
        "interventions<br>pursuer", "interventions<br>evader", "warned", "relaxed", "backup", "largest<br>correction",
    )  # fmt: skip
    rows = [_episode_row(record, record.index in detailed) for record in records[:ROWS_MOST]]
    table = _table(head, rows, "numbers")
    if len(records) > ROWS_MOST:
        table += f'<p class="note">The first {ROWS_MOST} of {len(records)}; metrics.json has all.</p>'
    if len(records) > 30:
        return f"<details><summary>{len(records)} episodes</summary>{table}</details>"
    return table or '<p class="note">No episode was announced.</p>'


def _episode_row(record: EpisodeRecord, linked: bool) -> list[str]:
    name = f'<a href="#episode-{record.index}">{record.index}</a>' if linked else str(record.index)
    counts = [record.robots.get(role, RobotCounts(0)) for role in ROLES]
    kind = {CAPTURE: "capture", TIMEOUT: "timeout"}.get(record.outcome, "other")
    violations = "–" if record.violations is None else str(record.violations)
    return [
        name,
        f'<span class="tag {kind}">{html.escape(record.outcome)}</span>',
        unit(record.steps * record.dt, "s", 2),
        str(record.steps),
        unit(record.min_margin, "m", 4),
        f'<b class="bad">{violations}</b>' if record.violations else violations,
        *(percent(ratio(count.interventions, count.steps)) for count in counts),
        _warned(counts),
        str(sum(count.infeasible - count.backup for count in counts)),
        str(sum(count.backup for count in counts)),
        f"{max(count.correction_max for count in counts):.3f}",
    ]


def _warned(counts: Sequence[RobotCounts]) -> str:
    known = [count.warned for count in counts if count.warned is not None]
    return str(sum(known)) if known else "–"


def _detail(run: Run, trace: Trace) -> str:
    title = _named(trace)
    picture = _image(lambda: episode_figure(run, trace), title)
    return f'<article id="episode-{trace.episode.index}"><h3>{html.escape(title)}</h3>{picture}</article>'


def _distributions(survey: Survey) -> str:
    times = {
        "Control period [ms]": survey.account.times("control_period_ms"),
        "Odometry to command [ms]": survey.account.times("odom_to_command_ms"),
        "Filter solve time [µs]": survey.account.times("solve_time_us"),
    }
    found = survey.distributions
    parts = [
        _image(lambda: aggregate_figure(found), "margins and capture times"),
        _image(lambda: latency_figure(times), "latencies"),
    ]
    if found.episodes >= HEAT_FROM:
        parts.append(_image(lambda: heat_figure(found), "maps of margins and corrections"))
    return "".join(parts)


def _margins(terms: Mapping[str, Any], trace: Trace | None) -> str:
    head = (
        "term", "what it stands for", *(f"{role}<br>{what} [mm]" for role in ROLES for what in ("median", "largest")),
    )  # fmt: skip
    rows = [
        [
            html.escape(term.replace("_", " ")),
            html.escape(MEANING.get(term, "")),
            *(unit(values[role][key], "", 1) for role in ROLES for key in ("p50", "max")),
        ]
        for term, values in terms.items()
    ]
    parts = [_table(head, rows, "numbers")]
    if trace is not None:
        parts.append(
            _image(lambda: margin_figure(trace), f"margin terms of episode {trace.episode.index} over time")
        )
    parts.append(
        '<p class="note">What each imperfection adds to the distance that the filter keeps, computed anew in every '
        "cycle. Walls and obstacles count the terms above the opponent's; delay, lag, acceleration and gain as for a "
        "barrier dead ahead (less to the side), the opponent's age and reaction as if it came straight on. "
        + (
            f"The picture shows episode {trace.episode.index}, zero terms left out."
            if trace is not None
            else ""
        )
        + "</p>"
    )
    return "".join(parts)


def _image(draw: Callable[[], Figure], text: str) -> str:
    data = base64.b64encode(svg(draw()).encode()).decode()
    return f'<img alt="{html.escape(text)}" src="data:image/svg+xml;base64,{data}">'


def _audit(audit: Mapping[str, Any]) -> str:
    verdict, details = audit_line(audit)
    kind = {True: "good", False: "bad", None: ""}[audit["passed"]]
    parts = [f'<p><b class="{kind}">{verdict}</b>: {html.escape(details)}.</p>']
    if worst_line(audit):
        parts.append(f'<p class="bad">{html.escape(worst_line(audit))}</p>')
    if audit["barriers"]:
        names = list(audit["barriers"])
        parts.append(
            _table(
                ["barrier", *(html.escape(name) for name in names)],
                [["largest difference", *(f"{audit['barriers'][name]:.3g}" for name in names)]],
                "numbers",
            )
        )
    parts.append(
        '<p class="note">Every barrier is computed again from the states that the safety node recorded, by code '
        "that shares nothing with the filter; these states are compared with the state messages, and cmd_vel with "
        "the recorded commands and the robots' limits. <code>./pe bag BAG --audit</code> computes every cycle from the "
        "messages themselves: states, margins, rows, program, command.</p>"
    )
    return "".join(parts)


def _identity(identity: Mapping[str, Any], run: Run) -> str:
    rows = []
    for key, value in identity.items():
        if key == "bundles":
            for role, bundle in (value or {}).items():
                name, digest = bundle.get("name"), bundle.get("sha256")
                rows.append(
                    [f"policy, {role}", f"{html.escape(str(name))} <code>{html.escape(str(digest))}</code>"]
                )
        elif isinstance(value, (Mapping, list)):
            text = json.dumps(value, indent=1, ensure_ascii=False)
            shown = f"<details><summary>{_summary(value)}</summary><pre>{html.escape(text)}</pre></details>"
            rows.append([html.escape(key), shown])
        else:
            rows.append([html.escape(key), f"<code>{html.escape(str(value))}</code>"])
    rows.append(["bag", f"<code>{html.escape(run.path.name)}</code>, {run.messages:,} messages, "
                 + ("closed" if run.complete else "truncated")])  # fmt: skip
    return _table((), rows, "facts")


def _summary(value: Any) -> str:
    if isinstance(value, Mapping):
        return html.escape(", ".join(str(key) for key in list(value)[:8]) or "empty")
    return f"{len(value)} entries"

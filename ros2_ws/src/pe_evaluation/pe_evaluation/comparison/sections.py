"""What the decision report says, section by section, from a summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pe_evaluation.comparison.closing_sections import identity_section, limits_section, main_world
from pe_evaluation.comparison.document import Section, Table, table
from pe_evaluation.comparison.plan import RANDOMISED, RECORDED
from pe_evaluation.comparison.recorded_sections import bags_section, captures_of
from pe_evaluation.comparison.rules import CRITERIA
from pe_evaluation.comparison.tested import NO_GAP
from pe_evaluation.comparison.words import (
    among,
    mean_of,
    number,
    p_value,
    percent,
    points,
    share,
    signed,
)

_NAMES = {
    "training_speed": "training speed",
    "captured": "captures",
    "capture_time_s": "capture time",
    "return": "return",
}
_MEANING = {
    "gap": "training less deployment: captures, or return over its size, the larger",
    "violations": "share of the deployed approach's episodes with a contact, all worlds",
    "task": "capture rate, mean over the cells, in the episodes that all candidates have played",
    "training_speed": "environment steps a second, whole training",
    "code_lines": "complexity: lines of code of the safety mechanism, in training and deployment",
    "step_us": "complexity: time of one control step, policy and filter [µs]",
}
_TIMES = {
    False: "Times are medians of an episode, one observation at a time on this machine while it played: they include "
    "what else it did.",
    True: "Times are medians of an episode, as the safety nodes said them; policies' are the "
    "median over the run, as their nodes said it last.",
}
Summary = Mapping[str, Any]


def sections_of(summary: Summary) -> list[Section]:
    """All sections in order."""
    return [
        _decision(summary),
        *([bags_section(summary["bags"])] if "bags" in summary else []),
        _approaches(summary),
        _filters(summary),
        _cells(summary),
        _gaps(summary),
        _matrix(summary),
        _sensitivity(summary),
        _pairs(summary),
        _gates(summary),
        limits_section(summary),
        identity_section(summary),
    ]


def _decision(summary: Summary) -> Section:
    found = summary["decision"]
    if "reason" in found:
        return Section("Decision", (f"No recommendation: {found['reason']}",))
    low, high = (percent(limit, 0) for limit in found["limits"])
    again = ", ".join(f"{name} {percent(part, 1)}" for name, part in found["resampled"].items())
    asked = found["asked_gap"]
    gap = asked if isinstance(asked, str) else percent(asked, 2)
    lines = [
        f"Recommended: {found['title']}. {found['verdict']}.",
        f"The rule: a gap of {found['asked']} below {low} speaks for CBF-Beta and RCBF-QP, up to {high} BarrierNet is "
        f"likely, above it is BarrierNet; with a contact nothing is acceptable. Measured: {gap}, the larger of the "
        "gaps in capture rate and in return (over the size of training's return).",
        f"Confidence: {percent(found['confidence'], 1)} of {found['resamples']:,} resamples of the episodes give "
        f"the same recommendation ({again}).",
    ]
    title = next(row["title"] for row in found["matrix"] if row["candidate"] == found["matrix_first"])
    agree = "agrees" if found["matrix_agrees"] else "does not agree"
    lines.append(f"The weighted matrix {agree}: {title} comes first in it.")
    return Section("Decision", tuple(lines))


def _approaches(summary: Summary) -> Section:
    same = (
        "episodes are those that were recorded, each approach its own; captures beside with Clopper-Pearson's bounds"
        if main_world(summary) == RECORDED
        else "all approaches begin the same episodes"
    )
    blocks: list[str | Table] = [
        "Mean over the cells (evader and speed ratio), every cell the same weight, with bootstrap intervals, 95 %; "
        f"{same}. The time of captures is the mean over all of them. Contacts: episodes in which a body touches "
        "anything, with the one-sided bound (Clopper-Pearson, 95 %) of their share. Margins are the pursuer's body's."
    ]
    head = (
        "approach", "episodes", "captured", "time of captures", "return", "contacts", "least margin",
        "least margin of an episode, 5 % / median",
    )  # fmt: skip
    for world in dict.fromkeys(row["world"] for row in summary["accounts"] if row["episodes"]):
        rows = [row for row in summary["accounts"] if row["episodes"] and row["world"] == world]
        if world == RANDOMISED:
            blocks.append("Robots, sensors and maps drawn anew in every episode:")
        blocks.append(
            table(
                head,
                [
                    (
                        row["title"],
                        f"{row['episodes']:,}",
                        captures_of(row),
                        mean_of(row["capture_time_s"], "s", 2),
                        mean_of(row["return"], "", 2),
                        _contacts(row),
                        number(row["margin_min_m"], "m", 3),
                        _two(number(row["margin_min_q05_m"], "m", 3), number(row["margin_min_q50_m"], "m", 3)),
                    )
                    for row in rows
                ],
            )
        )
    return Section("Approaches: the task, and safety", tuple(blocks))


def _contacts(row: Mapping[str, Any]) -> str:
    if isinstance(row["violating_episodes"], str):
        return str(row["violating_episodes"])
    count = row["violating_episodes"]
    share = f", {percent(count / row['contact_episodes'])}" if count else ""
    found = f"{count}{share} (≤ {percent(row['violation_upper'], 3)})"
    return found + among(row, "contact_episodes")


def _filters(summary: Summary) -> Section:
    rows = [row for row in summary["accounts"] if row["episodes"]]
    head = (
        "approach", "world", "interventions", "correction, mean / largest", "infeasible", "backup",
        "steering over braking", "jerk of v [m/s³]", "jerk of ω [rad/s³]", "policy [µs], p50 / p95",
        "filter [µs], p50 / p95",
    )  # fmt: skip
    found = table(
        head,
        [
            (
                row["title"],
                row["world"],
                share(row, "interventions"),
                _two(
                    mean_of(row["correction_mean"], "", 5, with_interval=False),
                    number(row["correction_max"], "", 3),
                ),
                share(row, "infeasible"),
                share(row, "backup"),
                number(row["steering_braking"], "", 2),
                mean_of(row["jerk_v"], "", 1, with_interval=False),
                mean_of(row["jerk_omega"], "", 0, with_interval=False),
                _two(number(row["policy_us"], "", 0), number(row["policy_us_p95"], "", 0)),
                _two(number(row["filter_us"], "", 0), number(row["filter_us_p95"], "", 0)),
            )
            for row in rows
        ],
    )
    note = (
        "Of the pursuer, by control steps. A correction is sqrt((Δv / v_max)² + (Δω / ω_max)²); steering over braking "
        "compares its two parts, median over the episodes that were corrected. Jerk is the root mean square of the "
        "second difference of the executed command over dt². " + _TIMES[main_world(summary) == RECORDED]
    )
    return Section("Approaches: filter, smoothness and time", (note, found))


def _two(first: str, second: str) -> str:
    return first if first == second else f"{first} / {second}"


def _cells(summary: Summary) -> Section:
    approaches = [row for row in summary["accounts"] if row["episodes"] and row["world"] == main_world(summary)]
    cells = summary["cells"]
    blocks: list[str | Table] = [
        "Captures in percent [Clopper-Pearson, 95 %] by evader and its speed over the pursuer's."
    ]
    for world in dict.fromkeys(row["world"] for row in cells):
        own = [row for row in cells if row["world"] == world]
        names = [row for row in approaches if any(cell["approach"] == row["approach"] for cell in own)]
        keys = list(dict.fromkeys((cell["evader"], cell["speed_ratio"]) for cell in own))
        by = {(cell["approach"], cell["evader"], cell["speed_ratio"]): cell for cell in own}
        rows = []
        for evader, ratio in keys:
            found = [by.get((row["approach"], evader, ratio)) for row in names]
            rows.append(
                [
                    f"{evader} {ratio:g}",
                    *(_share(cell["captured"]) if cell else "not played" for cell in found),
                ]
            )
        if world == RANDOMISED:
            blocks.append("Robots, sensors and maps drawn anew in every episode:")
        blocks.append(table(["evader", *(row["title"] for row in names)], rows))
    return Section("Captures by cell", tuple(blocks))


def _share(value: Mapping[str, Any]) -> str:
    return f"{100.0 * value['mean']:.1f} [{100.0 * value['low']:.1f}, {100.0 * value['high']:.1f}]"


def _gaps(summary: Summary) -> Section:
    rows = []
    for gap in summary["gaps"]:
        if "reason" in gap:
            rows.append((gap["title"], gap["reason"], *["not measured"] * 5))
            continue
        captured, paid, relative = gap["captured"], gap["return"], gap["return_relative"]
        rows.append(
            (
                gap["title"],
                f"{percent(captured['trained'])} → {percent(captured['deployed'])}",
                points(captured),
                f"{paid['trained']:.2f} → {paid['deployed']:.2f}",
                f"{paid['gap']:+.3f} [{paid['low']:+.3f}, {paid['high']:+.3f}]",
                points(relative, "%"),
                f"{captured['episodes']:,}",
            )
        )
    head = (
        "policy",
        "captured, training → deployment",
        "gap",
        "return, training → deployment",
        "gap",
        "over its size",
        "pairs",
    )
    note = (
        "Training's condition less the deployed one, in the same episodes: positive means that deployment loses what "
        "was learned, negative that the noise or the drawing of training costs more than the other mechanism. "
        "Bootstrap intervals, 95 %, of pairs."
    )
    cells = []
    for gap in summary["gap_cells"]:
        cells.append(
            (
                f"{gap['title']}, {gap['evader']} {gap['speed_ratio']:g}",
                points(gap["captured"]),
                points(gap["return_relative"], "%"),
            )
        )
    blocks: list[str | Table] = (
        [note, table(head, rows)] if rows else [f"No gap was measured: {NO_GAP}."]
    )
    largest = sorted(summary["gap_cells"], key=lambda gap: -abs(gap["captured"]["gap"]))[:8]
    if largest:
        shown = {id(gap) for gap in largest}
        blocks.append("The cells with the largest gaps in captures (all of them are in summary.json):")
        kept = [row for row, gap in zip(cells, summary["gap_cells"], strict=True) if id(gap) in shown]
        blocks.append(table(("policy and cell", "gap in captures", "gap in return, over its size"), kept))
    return Section("Gap from training to deployment", tuple(blocks))


def _matrix(summary: Summary) -> Section:
    found = summary["decision"]
    if not found["matrix"]:
        return Section("Decision matrix", (f"No candidate: {found.get('reason', NO_GAP)}",))
    weights = found["weights"]
    head = [
        "candidate",
        *(f"{_name(key)} ({percent(weights[key], 0)})" for key in CRITERIA),
        "total",
        "95 %",
        "first in",
    ]
    rows, facts = [], []
    for row in found["matrix"]:
        rows.append(
            [
                row["title"] if row["acceptable"] else f"{row['title']} (not acceptable: contacts)",
                *(f"{row['scores'][key]:.2f}" for key in CRITERIA),
                f"{row['total']:.2f}",
                f"[{row['total_low']:.2f}, {row['total_high']:.2f}]",
                percent(row["first_share"], 1),
            ]
        )
        numbers = row["numbers"]
        facts.append(
            [
                row["title"],
                percent(numbers["gap"], 2),
                percent(numbers["violations"], 3),
                percent(numbers["task"], 2),
                f"{numbers['training_speed']:,.0f} steps/s, {numbers['training_s'] / 60:.0f} min",
                f"{numbers['code_lines']:.0f} lines, {numbers['step_us']:.0f} µs",
            ]
        )
    scales = [
        [_name(key), _MEANING[key], ", ".join(f"{number:g} → {score:g}" for number, score in pairs)]
        for key, pairs in summary["rules"]["knots"].items()
    ]
    return Section(
        "Decision matrix",
        (
            "Scores run from 1 to 5. First in: share of the resamples in which a candidate has the highest total.",
            table(head, rows),
            "The numbers behind the scores:",
            table(["candidate", "gap", "episodes with a contact", "captured", "training", "complexity"], facts),
            "A score is linear between knots, number → score; that of complexity is the mean of its two.",
            table(["score", "of", "knots"], scales, numbers=False),
        ),
    )


def _sensitivity(summary: Summary) -> Section:
    found = summary["decision"].get("sensitivity")
    if not found:
        return Section(
            "What would change the decision", ("Nothing to vary: no candidate has been played in full.",)
        )
    titles = {row["candidate"]: row["title"] for row in summary["decision"]["matrix"]}
    weights = []
    for key, row in found["weights"].items():
        below = "still first" if row["below"] == found["first"] else f"below it {titles[row['below']]}"
        above = "still first" if row["above"] == found["first"] else f"above it {titles[row['above']]}"
        weights.append(
            (
                _name(key),
                percent(row["weight"], 0),
                f"{percent(row['low'], 1)} to {percent(row['high'], 1)}",
                below,
                above,
            )
        )
    blocks: list[str | Table] = []
    if "gap" in found:
        gap = found["gap"]
        bands = ", ".join(f"{band} {percent(part, 1)}" for band, part in gap["bands"].items())
        low, high = (percent(abs(value), 2) for value in gap["to_limits"])
        blocks.append(
            f"The rule answers by a gap of {percent(gap['estimate'], 2)}: {low} from the lower limit, {high} from the "
            f"upper. Bands of the resamples: {bands}. By captures alone the gap is {gap['capture_alone']}, by "
            f"return alone {gap['return_alone']} the limits."
        )
    blocks.append(
        f"{titles[found['first']]} stays first in the matrix while a weight lies in this range, the others keeping "
        "their proportions:"
    )
    blocks.append(table(("criterion", "weight", "range", "lower end", "upper end"), weights))
    rivals = [
        (
            titles[rival["candidate"]],
            f"{rival['short']:.3f}",
            *(
                value if isinstance(value, str) else f"{value:.2f}"
                for value in rival["score_wanted"].values()
            ),
        )
        for rival in found["rivals"]
    ]
    if rivals:
        blocks.append("The score that a rival would need in one criterion, all else equal, to come first:")
        blocks.append(table(["rival", "short of the first", *map(_name, CRITERIA)], rivals))
    return Section("What would change the decision", tuple(blocks))


def _pairs(summary: Summary) -> Section:
    titles = {row["approach"]: row["title"] for row in summary["accounts"]}
    rows = []
    for row in summary["pairs"]:
        name = f"{titles[row['first']]} less {titles[row['second']]}"
        if "difference" not in row:
            rows.append((name, _name(row["metric"]), *[row.get("reason", "not tested")] * 7))
            continue
        shown = points(row, "points", "difference") if row["metric"] == "captured" else signed(row)
        size = f"h {row['cohens_h']:+.3f}" if "cohens_h" in row else f"d {_size(row['cohens_d'])}"
        rows.append(
            (
                name,
                _name(row["metric"]),
                f"{row['pairs']:,}",
                shown,
                p_value(row),
                p_value(row, "p_holm") + (" *" if row.get("significant") else ""),
                f"{size}, δ {row['cliffs_delta']:+.3f}",
                p_value(row["welch_episodes"]),
                p_value(row["welch_seeds"]),
            )
        )
    head = (
        "pair", "metric", "pairs", "difference", "p", "p, Holm", "effect", "Welch, episodes", "Welch, seeds",
    )  # fmt: skip
    note = (
        "In the episodes that both have played; times where both captured. p: McNemar's exact test for captures, "
        "Wilcoxon's signed ranks else; Holm's correction over all rows, * below 5 %. Effect: Cohen's h or d, Cliff's "
        "δ. Every pair weighs the same. Signed ranks and δ look at ranks, differences, h and d at means: few large "
        "differences against many small ones give them other signs. Welch's t takes the two as independent, over "
        "episodes and over the means of seeds; its p are not corrected."
    )
    cells = [row for row in summary["cell_pairs"] if row.get("significant")]
    tested = len(summary["cell_pairs"])
    blocks: list[str | Table] = [note, table(head, rows)] if rows else ["No pair of approaches is here."]
    if tested:
        blocks.append(
            f"Captures by cell: {len(cells)} of {tested} tests find a difference after Holm's correction over all."
        )
    if cells:
        strongest = sorted(cells, key=lambda row: -abs(row["difference"]))[:12]
        blocks.append(
            table(
                ("pair and cell", "difference", "only the first / only the second", "p, Holm"),
                [
                    (
                        f"{titles[row['first']]} less {titles[row['second']]}, {row['evader']} {row['speed_ratio']:g}",
                        f"{100 * row['difference']:+.1f} points",
                        f"{row['first_only']} / {row['second_only']} of {row['pairs']}",
                        p_value(row, "p_holm"),
                    )
                    for row in strongest
                ],
            )
        )
    return Section("Tests", tuple(blocks))


def _size(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:+.3f}"


def _gates(summary: Summary) -> Section:
    gates = [
        (gate["gate"], gate["title"], "passed" if gate["passed"] else "FAILED", gate["where"])
        for gate in summary["gates"]
    ]
    checks = [
        (gate["gate"], "pass" if check["passed"] else "FAIL", check["evidence"])
        for gate in summary["gates"]
        for check in gate["checks"]
    ]
    return Section(
        "Phase gates",
        (
            table(("gate", "asks for", "result", "evidence in"), gates, numbers=False),
            table(("gate", "result", "evidence"), checks, numbers=False),
        ),
    )


def _name(key: str) -> str:
    return _NAMES.get(key, key.replace("_", " "))


def titles_of(summary: Summary) -> Sequence[str]:
    """Titles of the sections, for tests and for links."""
    return [section.title for section in sections_of(summary)]

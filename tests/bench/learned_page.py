"""``python -m tests.bench.learned_page``: the tables of ``docs/results/learned.md`` and of the README, from rows.

The rows are those of ``./pe bench learned --json docs/results/learned.json`` and of ``./pe bench gap --json
docs/results/gap.json``.

Only the tables are written anew; the words around them are somebody's, and must be read again when numbers change.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from pe_core.files import write_text
from tests.bench import gap
from tests.bench.learned import BURGER, CASES, Case
from tests.bench.rows import Row

Values = Mapping[tuple[str, str, str], float]
"""By subject, case and metric."""
LEARNED = ("barriernet", "cbf-beta", "cbf-beta-polygon")
IN_README = (
    *("lookahead, 1", "boundary, 1", "lookahead, 1.1", "lookahead, 1.2", "lookahead, 1.3"),
    *("boundary, 1.1", "boundary, 1.2", "boundary, 1.3", "deep, 1", "deep, 1.2", "mixed, 1", "mixed, 1.2"),
    *("waypoints, 1", "waypoints, 1.2", "ppo-selfplay, 1", "barriernet-evader, 1"),
)
ABSENT = "–"


def values_of(rows: list[Row]) -> Values:
    """Rows of a bench by what names them."""
    return {(str(row["subject"]), str(row["case"]), str(row["metric"])): float(row["value"]) for row in rows}


def captured(values: Values, subject: str, case: str) -> str:
    """Share and mean time of the captures, or a dash where they were not measured."""
    if (subject, case, "capture_rate") not in values:
        return ABSENT
    rate, time = (values[subject, case, metric] for metric in ("capture_rate", "capture_time"))
    return f"{100 * rate:.2f} %, {time:.1f} s"


def learned_rows(values: Values) -> Iterator[list[str]]:
    """The table of ``learned.md``."""
    for case in CASES:
        corrected = [values[subject, str(case), "intervention_rate"] for subject in LEARNED]
        yield [
            _title(case),
            *(captured(values, subject, str(case)) for subject in ("lead", *LEARNED)),
            ", ".join(f"{100 * share:.3f} %" for share in corrected),
        ]


def readme_rows(values: Values) -> Iterator[list[str]]:
    """The table of the README."""
    for case in IN_README:
        yield [case, *(captured(values, subject, case) for subject in ("lead", *LEARNED))]


def gap_rows(values: Values, episodes: int, robot: str) -> Iterator[list[str]]:
    """The table of training condition and deployment of a robot."""
    for case in (case for case in gap.CASES if case.robot == robot):
        for subject in gap.PURSUERS[robot]:

            def of(setting: str, metric: str, subject: str = subject, case: Case = case) -> float:
                return values[subject, f"{case}{setting}", metric]

            sides = [
                f"{100 * of(setting, 'capture_rate'):.1f} %, {of(setting, 'return'):.2f}, "
                f"{100 * of(setting, 'intervention_rate'):.2f} %"
                for setting in (", sampled", ", deployed")
            ]
            yield [
                str(case._replace(robot="reference")),
                subject.removeprefix("seeds/"),
                *sides,
                f"{100 * of('', 'gap_capture_rate'):+.1f} points, {of('', 'gap_return'):+.2f}",
                f"{100 * of(', alone', 'capture_rate'):.1f} %, {of(', alone', 'violating_episodes'):.0f} of "
                f"{episodes:,}",
            ]


def with_table(text: str, header: str, rows: Iterator[list[str]]) -> str:
    """``text`` with the rows of the table whose header line begins with ``header`` replaced.

    Raises:
        ValueError: there is no such table, or more than one.
    """
    found = list(re.finditer(rf"^{re.escape(header)}.*\n\|[-|]+\n((?:\|.*\n)*)", text, re.MULTILINE))
    if len(found) != 1:
        raise ValueError(f"table {header!r}: found {len(found)} times: allowed: once")
    body = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    return text[: found[0].start(1)] + body + text[found[0].end(1) :]


def extremes(values: Values) -> str:
    """The lines below the table: contacts, smallest margins, infeasible cycles."""
    played = {str(case): case.episodes for case in CASES}
    subjects = ("lead", *LEARNED)
    mine = {key: value for key, value in values.items() if key[0] in subjects}
    episodes = sum(played[case] for _, case, metric in mine if metric == "capture_rate")
    contacts = sum(value for (_, _, metric), value in mine.items() if metric == "violating_episodes")
    margins, infeasible = [], []
    for subject in subjects:
        margin, case = min((value, key[1]) for key, value in mine.items() if key[::2] == (subject, "min_margin"))
        margins.append(f"{subject} {margin:.3f} m ({case})")
        share, case = max((value, key[1]) for key, value in mine.items() if key[::2] == (subject, "infeasible_rate"))
        infeasible.append(f"{subject} {100 * share:.3f} % ({case})" if share else f"{subject} none")
    return (
        f"Episodes with a contact: {contacts:.0f} of {episodes:,}. Smallest body margin: {', '.join(margins)}.\n"
        f"Largest share of the pursuer's cycles in which no command met every row: {', '.join(infeasible[1:])}."
    )


def _title(case: Case) -> str:
    return str(case).replace(f", {BURGER}", ", Burger, randomised")


def pages(root: Path) -> dict[Path, str]:
    """The pages as the committed rows would have them."""
    results = root / "docs" / "results"
    values = values_of(json.loads((results / "learned.json").read_text()))
    gaps = values_of(json.loads((results / "gap.json").read_text()))
    page, readme = results / "learned.md", root / "README.md"
    text = with_table(page.read_text(), "| evader, its speed | lead |", learned_rows(values))
    text = with_table(text, "| evader, its speed | pursuer |", gap_rows(gaps, 1000, "reference"))
    return {
        page: with_table(text, "| evader, its speed, Burger | pursuer |", gap_rows(gaps, 1000, BURGER)),
        readme: with_table(readme.read_text(), "| evader, its speed over the pursuer's |", readme_rows(values)),
    }


def main() -> None:
    """Write the tables; print what the words below them need."""
    root = Path(__file__).parents[2]
    for path, text in pages(root).items():
        write_text(path, text)
    print(extremes(values_of(json.loads((root / "docs" / "results" / "learned.json").read_text()))))


if __name__ == "__main__":
    main()

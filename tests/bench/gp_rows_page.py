"""The page and the figure of :mod:`tests.bench.gp_rows`, every number of them from its rows."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

COMMAND = "python -m tests.bench.gp_rows --json docs/results/gp_rows.json --page docs/results/gp_rows.md"
LEARNT = "learnt"
BLOCKED = 0.5
"""A method that passes the gap less often than this share of the learnt rows' passages blocks."""
LENGTH = 118
WINDOWS = ((0, 1), (1, 2), (2, 3), (3, 5), (5, 10), (10, 15), (15, 20), (20, 25), (25, 30))
"""Seconds of an episode over which the learnt margin is pooled."""
AXES = ("forward", "sideways")
TITLES = {
    "slip": "slip: 0 to 20 % forward, 2 to 10 % sideways",
    "gain": "gain error: both gains 0.8 to 1.2, lag to 50 ms",
    "slope": "floor slope: 0.03 to 0.1 m/s in one direction of the map",
    "all": "all of these",
}

Rows = Sequence[dict[str, Any]]


def window(span: tuple[int, int]) -> str:
    """How rows name a window."""
    return f"{span[0]} to {span[1]} s"


class Table:
    """Values of rows by (subject, world, metric)."""

    def __init__(self, rows: Rows) -> None:
        self._values = {(r["subject"], r["case"].split(",")[0], r["metric"]): float(r["value"]) for r in rows}
        self.worlds = [world for world in TITLES if any(key[1] == world for key in self._values)]
        self.episodes = round(self("all methods", "games", "episodes of a world"))

    def __call__(self, subject: str, world: str, metric: str) -> float:
        return self._values[subject, world, metric]

    def contacts(self, world: str) -> list[tuple[int, float, float]]:
        """(seed, begin [s], depth [m]) of the episodes in which the learnt rows touch."""
        found = [re.fullmatch(r"contact of seed (\d+), begin", key[2]) for key in self._values if key[1] == world]
        seeds = [int(match[1]) for match in found if match]
        return [
            (seed, *(self(LEARNT, world, f"contact of seed {seed}, {what}") for what in ("begin", "depth")))
            for seed in seeds
        ]  # type: ignore[misc]

    def methods(self, world: str) -> list[str]:
        """Methods that played in ``world``, in order."""
        return [key[0] for key in self._values if key[1:] == (world, "episodes with contact")]

    def verdict(self, method: str, world: str) -> str:
        """touches, blocks, both, or neither of them."""
        touches = self(method, world, "episodes with contact") > 0
        passages = self(method, world, "passages of the gap, mean")
        blocks = passages < BLOCKED * self(LEARNT, world, "passages of the gap, mean")
        return {(True, True): "touches, blocks", (True, False): "touches", (False, True): "blocks"}.get(
            (touches, blocks), "neither"
        )


def draw(rows: Rows, path: Path) -> None:
    """Above, what each method costs (passages) and risks (contacts); below, the learnt margin over time."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    table = Table(rows)
    figure, axes = plt.subplots(
        2, len(table.worlds), figsize=(4.0 * len(table.worlds), 7.6), squeeze=False, constrained_layout=True
    )
    markers = dict(zip(table.methods("slope"), "xsDv^o*", strict=False))
    colours = ("0.35", "#1f77b4", "#08306b", "#e6ab02", "#a6611a", "#238b45", "#74c476")
    for column, world in enumerate(table.worlds):
        top, bottom = axes[:, column]
        for name, colour in zip(markers, colours, strict=False):
            if name not in table.methods(world):
                continue
            low, high = (table(name, world, f"of episodes with contact, 95 % {end}") for end in ("from", "to"))
            share = 100.0 * table(name, world, "episodes with contact") / table.episodes
            bar = [[share - low], [high - share]]
            x = table(name, world, "passages of the gap, mean")
            top.errorbar(
                x, share, bar, fmt=markers[name], color=colour, ms=9 if name == LEARNT else 7, lw=1.0, capsize=2,
                label=name,
            )  # fmt: skip
        top.set(xlabel="passages of the gap, mean", ylim=(-4.0, 104.0), title=world)
        top.set_xlim(left=-0.15)
        middle = [0.5 * (low + high) for low, high in WINDOWS]
        for axis, colour in zip(AXES, ("#6a51a3", "#d94801"), strict=True):
            median, high = (
                [table(LEARNT, world, f"{axis} margin, {kind}, {window(span)}") for span in WINDOWS]
                for kind in ("median", "90 %")
            )
            bottom.plot(middle, median, "o-", color=colour, ms=4, label=f"{axis}, median")
            bottom.plot(middle, high, "--", color=colour, lw=1.0, label=f"{axis}, 90 % of steps below")
        for fixed in (0.1, 0.4):
            bottom.axhline(fixed, color="0.4", ls=":", lw=1.2)
        bottom.set(yscale="log", ylim=(4e-3, 1.2), xlabel="time [s]")
        for each in (top, bottom):
            each.grid(alpha=0.25)
    axes[0, 0].set_ylabel("episodes with contact [%]")
    axes[1, 0].set_ylabel("margin of the learnt rows [m/s]")
    handles, labels = axes[0, table.worlds.index("slope")].get_legend_handles_labels()
    figure.legend(handles, labels, fontsize=9, loc="outside upper center", ncols=len(labels))
    axes[1, 0].legend(fontsize=8, loc="upper right", title="dotted: the fixed margins", title_fontsize=8)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def page(rows: Rows, figure: str, series: str) -> str:
    """The page as Markdown."""
    table = Table(rows)
    n = table.episodes
    lines = [
        "# The learned disturbance in the safety rows",
        "",
        f"    {COMMAND}",
        "",
        "One robot of the reference profile presses on walls and obstacles at full speed and then has to pass a gap "
        f"of 0.5 m (its body is 0.3 m wide), again and again, for 30 s in each of {n} drawn worlds of a kind; every "
        "method plays the same worlds with the same noise. It cannot reverse, and its model knows nothing of the "
        "world. Fixed margins are a bound on the disturbance in every row (m/s, forward and sideways) or a length on "
        f"every distance (m). Raw rows: `{figure.replace('.png', '.json')}`.",
        "",
        f"![contacts against passages, and the learnt margin over time]({figure})",
        "",
        "## Contacts, and passages of the gap",
        "",
        "Intervals: Clopper-Pearson, 95 %. *Blocks*: passes the gap less than "
        f"{100.0 * BLOCKED:.0f} % as often as the learnt rows.",
        "",
    ]  # fmt: skip
    for world in table.worlds:
        lines += _world(table, world)
    lines += _conclusion(table)
    lines += _shrinking(table)
    lines += [
        "## Predicted and actual residuals, and kappa",
        "",
        f"![residuals with their band, kappa, margins]({series})",
        "",
        "One episode of each kind. Over all episodes, residuals within the band after the first second:",
        "",
        "| | forward | sideways | turn |",
        "|---|---|---|---|",
        *(
            f"| {world} | "
            + " | ".join(
                f"{table(LEARNT, world, f'{axis} residuals in the band'):.1f} %" for axis in (*AXES, "turn")
            )
            + " |"
            for world in table.worlds
        ),
        "",
    ]
    lines += _control(rows)
    return "\n".join(wrapped for line in lines for wrapped in _wrapped(line)).rstrip() + "\n"


def _wrapped(line: str) -> list[str]:
    """Prose and list items in lines of the documents' length; tables, headings and commands as they are."""
    if len(line) <= LENGTH or line.startswith(("|", "#", "!", " ")):
        return [line]
    indent = "  " if line.startswith("- ") else ""
    return textwrap.wrap(
        line, LENGTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _world(table: Table, world: str) -> list[str]:
    n = table.episodes
    lines = [
        f"**{TITLES[world]}**",
        "",
        f"| | contacts, of {n} episodes | steps in contact | smallest body margin | passages of the gap "
        "| episodes without | infeasible | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in table.methods(world):

        def value(metric: str, name: str = name) -> float:
            return table(name, world, metric)

        low, high = (value(f"of episodes with contact, 95 % {end}") for end in ("from", "to"))
        mark = "**" if name == LEARNT else ""
        lines.append(
            f"| {mark}{name}{mark} | {value('episodes with contact'):.0f} ({low:.0f} to {high:.0f} %) "
            f"| {value('steps in contact'):.0f} | {1e3 * value('smallest body margin'):.0f} mm "
            f"| {value('passages of the gap, mean'):.1f} | {value('episodes without a passage'):.0f} "
            f"| {value('infeasible'):.1f} % | {table.verdict(name, world)} |"
        )
    return [*lines, ""]


def _conclusion(table: Table) -> list[str]:
    lines = ["What that shows, and what it does not:", ""]
    for world in table.worlds:
        fixed = [name for name in table.methods(world) if not name.startswith(LEARNT)]
        by = {verdict: [m for m in fixed if table.verdict(m, world) == verdict] for verdict in
              ("touches", "blocks", "touches, blocks", "neither")}  # fmt: skip
        learnt = table.verdict(LEARNT, world)
        own = "neither touches nor blocks" if learnt == "neither" else f"**{learnt}**"
        parts = [f"{verdict}: {', '.join(names)}" for verdict, names in by.items() if names and verdict != "neither"]
        rest = ", ".join(by["neither"])
        tail = (
            f"; **{rest} would have done** for somebody who knows the world before" if rest else
            "; no other did without one of the two"
        )  # fmt: skip
        lines.append(f"- {world}: learnt {own}; {'; '.join(parts) or 'no other method does either'}{tail}.")
    contacts = [(world, *each) for world in table.worlds for each in table.contacts(world)]
    total = table.episodes * len(table.worlds)
    lines += [
        "",
        f"Learnt rows: {len(contacts)} episodes with a contact in {total}"
        + (": " if contacts else ", which is no violation seen, not none possible.")
        + "; ".join(
            f"world {world}, seed {seed}, from {begin:.1f} s, {1e3 * depth:.1f} mm deep"
            for world, seed, begin, depth in contacts
        )
        + ("." if contacts else ""),
        "",
    ]
    harmless = [world for world in ("slip", "gain")
                if world in table.worlds and not table("no margin", world, "episodes with contact")]  # fmt: skip
    if harmless:
        lines += [
            f"Under {' and '.join(harmless)} nothing touches without any margin either: these errors are shares of the "
            "speed. They vanish as the robot stops, and a robot that goes (1 + eps) times as fast as it is told decays "
            "by (1 + eps) gamma. What a margin is needed for is what is left at rest, as on a slope.",
            "",
        ]
    return lines


def _shrinking(table: Table) -> list[str]:
    spans = [WINDOWS[k] for k in (0, 1, 3, 4, 6, 8)]
    lines = [
        "## The margin shrinks as data come",
        "",
        "Median of kappa sigma at the commands sent, forward / sideways, m/s; in brackets what 90 % of the steps stay "
        "below (forward). The window is empty but for simulated residuals when an episode begins.",
        "",
        "| | " + " | ".join(window(span) for span in spans) + " | first over last |",
        "|---|" + "---|" * (len(spans) + 1),
    ]
    for world in table.worlds:
        cells = []
        for span in spans:
            forward, sideways = (table(LEARNT, world, f"{a} margin, median, {window(span)}") for a in AXES)
            high = table(LEARNT, world, f"forward margin, 90 %, {window(span)}")
            cells.append(f"{forward:.3f} / {sideways:.3f} ({high:.2f})")
        first, last = (
            [table(LEARNT, world, f"{a} margin, median, {window(span)}") for a in AXES]
            for span in (WINDOWS[0], WINDOWS[-1])
        )
        ratios = " / ".join(f"{a / b:.1f}" for a, b in zip(first, last, strict=True))
        lines.append(f"| {world} | " + " | ".join(cells) + f" | {ratios} |")
    return [*lines, ""]


def _control(rows: Rows) -> list[str]:
    found = [row for row in rows if row["metric"].startswith("work ")]
    values = {(row["subject"], row["metric"]): row["value"] for row in rows}
    lines = [
        "## A control step does not wait for a refit",
        "",
        f"{found[0]['case']} each: observe, the learned filter, remember. Wall time, µs, in turn in one run; load "
        f"average of the machine {values['machine', 'load before']:.1f} before and "
        f"{values['machine', 'load after']:.1f} after, {values['machine', 'processors']:.0f} processors.",
        "",
        "| | p50 | p99 | max |",
        "|---|---|---|---|",
    ]
    for subject in dict.fromkeys(row["subject"] for row in found):
        cells = [f"{values[subject, f'work {name}']:.0f}" for name in ("p50", "p99", "max")]
        lines.append(f"| {subject} | " + " | ".join(cells) + " |")
    beside = "refits in the thread"
    lines += [
        "",
        f"{values[beside, 'refits']:.0f} refits ran beside the second row, of {values[beside, 'refit, median']:.0f} ms "
        f"(median); the longest of its steps took {1e-3 * values[beside, 'work max']:.1f} ms. More cases: "
        "[gp.md](gp.md).",
        "",
    ]
    return lines

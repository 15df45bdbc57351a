"""The figure and the page of an endurance run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.bench.endurance_account import Drift, File, Growth

Series = Mapping[str, Sequence[tuple[float, float]]]


def draw(path: Path, memory: Series, drifting: Drift) -> None:
    """Resident memory of every process over its first settled value, and latency slice by slice."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11.0, 3.6), constrained_layout=True)
    for name, series in memory.items():
        base = sorted(value for _, value in series)[len(series) // 2]
        left.plot(
            [t / 60.0 for t, _ in series], [100.0 * (v / base - 1.0) for _, v in series], lw=1.0, label=name
        )
    left.axhspan(-5.0, 5.0, color="#dddddd", alpha=0.5, lw=0)
    left.set(xlabel="wall time [min]", ylabel="resident memory over its median [%]", ylim=(-12.0, 12.0))
    left.legend(fontsize=6.5, ncols=2)
    right.plot(drifting.times, drifting.p50, "o-", label="p50")
    right.plot(drifting.times, drifting.p99, "s--", label="p99")
    right.set(xlabel="wall time [min]", ylabel="odometry to cmd_vel [ms]", ylim=(0.0, None))
    right.legend()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def page(
    rows: Sequence[Mapping[str, object]], memory: Mapping[str, Growth], drifting: Drift, files: Sequence[File],
    minutes: float, picture: str, lost: Mapping[str, int],
) -> str:  # fmt: skip
    """The page as Markdown, every number from ``rows`` and what they were made of."""

    def value(subject: str, metric: str) -> float:
        return next(
            float(str(row["value"])) for row in rows if (row["subject"], row["metric"]) == (subject, metric)
        )

    game = {row["metric"]: float(str(row["value"])) for row in rows if row["subject"] == "game"}
    command = {row["metric"]: float(str(row["value"])) for row in rows if row["subject"] == "odom to cmd_vel"}
    worst = max(memory.items(), key=lambda item: item[1].percent)
    bad = [file for file in files if file.error]
    taken = [float(str(row["value"])) for row in rows if row["subject"] == "machine"]
    machine = (
        " Other processes took {:.0f} % of the processors in the first tenth, {:.0f} % in the last.".format(
            *taken or (0, 0)
        )
    )
    medians, tails = (f"{command[f'{name} first slice']:.2f} to {command[f'{name} last slice']:.2f} ms"
                      for name in ("p50", "p99"))  # fmt: skip
    lines = [
        "# Endurance",
        "",
        f"    ./pe bench endurance --minutes {minutes:g} --json docs/results/endurance.json",
        "",
        f"One run through the nodes at rate 0, everything recorded: {game['wall time'] / 60.0:.1f} min of wall time, "
        f"{game['robot time'] / 3600.0:.2f} hours of robot time ({game['robot time'] / game['wall time']:.1f} x), "
        f"{game['episodes']:,.0f} episodes, {game['control steps']:,.0f} control steps, "
        f"{game['contacts']:.0f} contacts. Raw rows: `endurance.json`." + (machine if taken else ""),
        "",
        "| asked | found |",
        "|---|---|",
        f"| no growth of memory over 5 % | largest: {worst[0]}, {worst[1].percent:+.2f} % |",
        f"| no drift of latency | odometry to cmd_vel from first to last tenth: p50 {medians}, p99 {tails}; "
        f"trend of the median over the run {drifting.trend:+.1f} % [{drifting.low:+.1f}, {drifting.high:+.1f}] |",
        f"| no lost message | {value('bag', 'lost messages'):.0f} lost of "
        f"{12.0 * game['control steps']:,.0f} (12 a control step) |",
        f"| bags split by size, all readable | {len(files)} files, {value('bag', 'size'):,.0f} MB, "
        f"{len(bad)} that cannot be read alone |",
        "",
        f"![Memory and latency over the run]({picture})",
        "",
        "Resident memory, medians of the first settled window and of the last (a tenth of the run each):",
        "",
        "| process | first [MB] | last [MB] | growth | slope [MB/h] |",
        "|---|---|---|---|---|",
        *(
            f"| {name} | {grown.first:.1f} | {grown.last:.1f} | {grown.percent:+.2f} % | {grown.slope:+.2f} |"
            for name, grown in memory.items()
        ),
        "",
        f"The report of the whole run needed at most {value('report', 'rss largest'):.0f} MB: it reads the bag "
        "episode by episode. The launcher's helpers are summed, although they share most of it. A message is lost when "
        "a control step of a finished episode has none with its stamp on one of ground_truth, odom, state, "
        "cmd_vel_nominal, cmd_vel and safety/status of either robot. Every file was read alone and to its end by "
        "rosbags, which shares nothing with the recorder's writer. The interval is Theil and Sen's, 95 %, of the "
        "medians of 50 slices of equal wall time.",
    ]
    lines += [f"\nLost: {json.dumps(dict(lost))}" if any(lost.values()) else ""]
    lines += [f"\n{file.name}: {file.error}" for file in bad]
    return "\n".join(lines).rstrip() + "\n"

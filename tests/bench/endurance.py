"""Endurance: a long run through the nodes at rate 0, started by the launcher as a user would.

Resident memory of every process is sampled through the run; from the bag come the latency from odometry to cmd_vel
slice by slice, and whether every control step has all its messages.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from tests.bench import endurance_account as account
from tests.bench import endurance_page

PERIOD = 2.0
BAG_SIZE = 64
"""Files of the bag [MB]: small, so that many are begun."""
START_LIMIT = 180.0
OTHERS = "other processes"
REPORT_LIMIT = 1800.0


def run(json_path: Path | None, minutes: float = 30.0) -> list[dict[str, Any]]:
    """Play for ``minutes`` of wall time, print a table, return the rows.

    With ``json_path`` the rows are written there, a page and a figure beside it (.md, .png).

    Raises:
        RuntimeError: the run did not start, or ended before its time.
    """
    folder = Path(tempfile.mkdtemp(prefix="pe-endurance-"))
    try:
        memory, wall = play(folder, minutes)
        rows = judge(folder / "out" / "bag", memory, wall, minutes, json_path)
    except BaseException:
        print(f"endurance: the run is kept in {folder}", file=sys.stderr, flush=True)
        raise
    shutil.rmtree(folder)
    return rows


def play(folder: Path, minutes: float) -> tuple[dict[str, list[tuple[float, float]]], float]:
    """A run in ``folder``/out: memory of every process as (time [s], MB) from the first step on, and wall time [s].

    Under ``OTHERS`` stands what the rest of the machine took of the processors, as (time [s], %).
    """
    out = folder / "out"
    words = ["pursuer:=lead", "rate:=0", "episodes:=1000000", f"out:={out}", f"bag_size:={BAG_SIZE}", "log_level:=warn"]
    command = [sys.executable, "-m", "pe_cli", "launch", "pursuit.launch.py", *words]
    memory: dict[str, list[tuple[float, float]]] = {OTHERS: []}
    others = Others()
    with open(folder / "launch.log", "w") as log:
        launcher = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=dict(os.environ))
        try:
            begun = _wait_for_play(launcher, out / "bag", folder / "launch.log")
            print(f"endurance: playing for {minutes:g} min in {folder}", flush=True)
            while (now := time.monotonic() - begun) < 60.0 * minutes:
                if launcher.poll() is not None:
                    raise RuntimeError(f"the run ended early: {_tail(folder / 'launch.log')}")
                memory[OTHERS].append((now, others.share(launcher.pid)))
                for name, value in _resident(launcher.pid).items():
                    memory.setdefault(name, []).append((now, value))
                time.sleep(PERIOD)
            launcher.send_signal(signal.SIGINT)
            wall = time.monotonic() - begun
            print("endurance: the run writes its report ...", flush=True)
            memory["report"] = _watch_report(launcher, begun)
        finally:
            if launcher.poll() is None:
                launcher.terminate()
                launcher.wait(60.0)
    if launcher.returncode != 130:
        raise RuntimeError(
            f"the run ended with exit code {launcher.returncode}: {_tail(folder / 'launch.log')}"
        )
    return memory, wall


def judge(
    bag: Path,
    memory: dict[str, list[tuple[float, float]]],
    wall: float,
    minutes: float,
    json_path: Path | None,
) -> list[dict[str, Any]]:
    """Rows, table, page and figure of a run that has been played."""
    report = max((value for _, value in memory.pop("report", [])), default=0.0)
    others = memory.pop(OTHERS, [])
    grown = {name: account.growth(*zip(*series, strict=True)) for name, series in sorted(memory.items())}
    recorded = account.Recorded(bag)
    drifting = account.drift(recorded.at, recorded.latency)
    files = account.files_of(bag)
    rows = account.rows_of(grown, recorded, files, wall, drifting, report, others)
    _show(rows)
    if json_path is not None:
        json_path.write_text(json.dumps(rows, indent=1) + "\n")
        picture = json_path.with_suffix(".png")
        endurance_page.draw(picture, memory, drifting)
        text = endurance_page.page(rows, grown, drifting, files, minutes, picture.name, recorded.missing)
        json_path.with_suffix(".md").write_text(text)
    return rows


def _wait_for_play(launcher: subprocess.Popen[bytes], bag: Path, log: Path) -> float:
    """The monotonic time [s] at which the recorder has written the first chunks of a game."""
    end = time.monotonic() + START_LIMIT
    while time.monotonic() < end:
        if launcher.poll() is not None:
            raise RuntimeError(f"the run did not start: {_tail(log)}")
        if any(path.stat().st_size > 400_000 for path in bag.glob("*.mcap")):
            return time.monotonic()
        time.sleep(0.1)
    raise RuntimeError(f"the run did not start within {START_LIMIT:g} s: {_tail(log)}")


def _watch_report(launcher: subprocess.Popen[bytes], begun: float) -> list[tuple[float, float]]:
    """Memory of the process that writes the report, until the launcher has ended."""
    seen = []
    end = time.monotonic() + REPORT_LIMIT
    while launcher.poll() is None:
        if time.monotonic() > end:
            raise RuntimeError(f"the report was not written within {REPORT_LIMIT:g} s")
        value = _resident(launcher.pid).get("report")
        if value is not None:
            seen.append((time.monotonic() - begun, value))
        time.sleep(0.2)
    return seen


def _resident(pid: int) -> dict[str, float]:
    """Resident memory [MB] of a launcher and of all processes below it, by name; equal names are summed."""
    found: dict[str, float] = {}
    try:
        launcher = psutil.Process(pid)
        processes = [launcher, *launcher.children(recursive=True)]
    except psutil.NoSuchProcess:
        return found
    for process in processes:
        try:
            name = "launcher" if process.pid == pid else name_of(process.cmdline())
            if name:
                found[name] = found.get(name, 0.0) + process.memory_info().rss / 1e6
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


class Others:
    """Processor time that processes outside the run take; latency means little where they take much."""

    def __init__(self) -> None:
        self._busy = self._own = self._all = 0.0

    def share(self, pid: int) -> float:
        """Their part [%] of all processors since the last call; of a process that has ended the last is not known."""
        times = psutil.cpu_times()
        busy, everything = sum(times[:8]) - times.idle - times.iowait, sum(times[:8])
        own = 0.0
        with contextlib.suppress(psutil.NoSuchProcess):
            launcher = psutil.Process(pid)
            for process in [launcher, *launcher.children(recursive=True)]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    spent = process.cpu_times()
                    own += spent.user + spent.system
        passed = everything - self._all
        share = (
            100.0 * max((busy - self._busy) - (own - self._own), 0.0) / passed
            if self._all and passed
            else 0.0
        )
        self._busy, self._own, self._all = busy, own, everything
        return share


def name_of(words: Sequence[str]) -> str:
    """What a process below the launcher is called: its node's name, ``report``, or ``launcher's helpers``."""
    modules = [word for word in words if word.startswith("pe_nodes.") and word.endswith("_node")]
    if modules:
        space = next((word.removeprefix("__ns:=/") for word in words if word.startswith("__ns:=/")), "")
        kind = modules[0].removeprefix("pe_nodes.").removesuffix("_node")
        return f"{space}/{kind}" if space else kind
    if "pe_evaluation.report_main" in words:
        return "report"
    return "launcher's helpers" if words else ""


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:]


def _show(rows: Sequence[dict[str, Any]]) -> None:
    table = Table("subject", "metric", "value", "unit", title=f"endurance, {rows[0]['case']}")
    for row in rows:
        table.add_row(row["subject"], row["metric"], f"{row['value']:,.6g}", row["unit"])
    Console(width=120).print(table)


if __name__ == "__main__":
    run(Path(sys.argv[2]) if len(sys.argv) > 2 else None, float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)

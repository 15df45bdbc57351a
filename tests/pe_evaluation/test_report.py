"""The page holds what a reader needs, and nothing from a network."""

from __future__ import annotations

import base64
import copy
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pe_evaluation import picture_main, report_main
from pe_evaluation.bag import read_run
from pe_evaluation.figures import chase_figure, save, svg
from pe_evaluation.game_log import Status
from pe_evaluation.margin_terms import MEANING, MarginTerms
from pe_evaluation.recorded import trace_of
from pe_evaluation.replay.page import program
from pe_evaluation.report import SIZE_MOST, choose


@pytest.fixture(scope="module")
def out(bag: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output folder with its report built."""
    folder = tmp_path_factory.mktemp("report")
    shutil.copytree(bag, folder / "bag")
    report_main.build(folder)
    return folder


def images(page: str) -> list[str]:
    return [base64.b64decode(data).decode() for data in re.findall(r"data:image/svg\+xml;base64,([^\"]+)", page)]


def test_page_says_what_happened(out: Path) -> None:
    page = (out / "report.html").read_text()
    metrics = json.loads((out / "metrics.json").read_text())
    for text in (
        "scripted-pursuer v scripted-evader", "0123abc", "p" * 64, "c" * 64, "capture rate", "Audit", "passed",
        "Episode 0: captured after", "Episode 1: captured after", "odometry to command", "wall_east",
    ):  # fmt: skip
        assert text in page, text
    assert f"{metrics['per_episode'][0]['min_margin_m']:.4f} m" in page
    assert len(images(page)) == 5


def test_page_shows_the_margin_budget(out: Path) -> None:
    page, metrics = ((out / name).read_text() for name in ("report.html", "metrics.json"))
    terms = json.loads(metrics)["margin_terms_mm"]
    assert terms["vcp"]["p50"] == terms["vcp"]["max"] == terms["vcp"]["evader"]["max"] == pytest.approx(50.0)
    assert 0.0 < terms["arc"]["p50"] < terms["arc"]["max"] < 5.0
    assert terms["arc"]["max"] == max(terms["arc"][role]["max"] for role in ("pursuer", "evader"))
    section = page[page.index("Margin budget") :]
    assert "control point ahead of the axle</td><td>50.0</td><td>50.0</td>" in section
    assert set(terms) == set(MEANING)


def test_medians_of_a_long_run_stay_within_memory() -> None:
    gathered, random = MarginTerms(), np.random.default_rng(1)
    parts = [random.uniform(0.0, 1.0, 7001) for _ in range(12)]
    for part in parts:
        blank = np.zeros(len(part), dtype=np.int64)
        gathered.add("evader", Status(blank, blank, [], blank, [], {}, {"margin/state": part}, {}))
    found = gathered.summary()["state"]
    assert found["p50"] == pytest.approx(500.0, abs=15.0)
    assert found["max"] == found["evader"]["max"] == 1e3 * max(part.max() for part in parts)
    assert found["pursuer"] == {"p50": None, "max": None}
    assert sum(map(len, gathered._values.values())) <= 20_000


def test_page_shows_warnings_of_infeasible_states(
    game: Callable[..., Any], write_bag: Callable[..., Path], tmp_path: Path, out: Path
) -> None:
    assert "warnings of infeasible" not in (out / "report.html").read_text(), "nobody was asked there"
    recording = game(episodes=1, max_time=1.0)
    for topic, _, _, message in recording.messages:
        if topic == "/pursuer/safety/status":
            pair = copy.deepcopy(message.status[0].values[0])
            pair.key, pair.value = "feasibility", "-1.0"
            message.status[0].values.append(pair)
    write_bag(recording, tmp_path / "bag")
    report_main.build(tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "<td>warnings of infeasible QPs</td><td>20</td>" in page
    assert "100 % of cycles; 0 of 0 infeasible QPs foreseen" in page


DATA = '<script type="application/json">'


def test_page_needs_no_network(out: Path) -> None:
    page = (out / "report.html").read_text()
    assert len(page) < SIZE_MOST
    for text in (page, *images(page)):
        # Names of XML namespaces are no addresses to load from.
        links = re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?([^\"')\s>]+)", text)
        assert all(link.startswith(("#", "data:")) for link in links), links
        assert "<script" not in text.replace(f"<script>{program()}</script>", "").replace(DATA, "", 1)
        assert "@import" not in text


def test_pictures_are_the_same_for_the_same_bag(bag: Path) -> None:
    run = read_run(bag)
    trace = trace_of(run, run.episodes[0])
    assert svg(chase_figure(run, trace)) == svg(chase_figure(run, trace))


def test_picture_for_print(bag: Path, tmp_path: Path) -> None:
    run = read_run(bag)
    save(chase_figure(run, trace_of(run, run.episodes[0])), tmp_path / "chase.png", dpi=60)
    assert (tmp_path / "chase.png").read_bytes().startswith(b"\x89PNG")


def test_picture_command(bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert picture_main.main([str(bag), str(tmp_path / "a.svg"), "--episode", "1"]) == 0
    assert "<svg" in (tmp_path / "a.svg").read_text()
    assert picture_main.main([str(bag), str(tmp_path / "b.svg"), "--episode", "9"]) == 2
    assert "has no episode 9; known: 0, 1" in capsys.readouterr().err


def test_text_of_strangers_is_escaped(
    game: Callable[..., Any], write_bag: Callable[..., Path], tmp_path: Path
) -> None:
    recording = game(episodes=1, max_time=1.0)
    recording.manifest["bundles"]["evader"]["name"] = "</script><script>alert(1)</script>"
    recording.manifest["<b>"] = "<i>"
    write_bag(recording, tmp_path / "bag")
    report_main.build(tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "<script>alert" not in page and "</script><" not in page.replace("</script></", "")
    assert "<i>" not in page


def test_long_runs_show_the_first_and_the_worst(
    game: Callable[..., Any], write_bag: Callable[..., Path], tmp_path: Path
) -> None:
    recording = game(episodes=12, max_time=0.6)
    write_bag(recording, tmp_path / "bag")
    report_main.build(tmp_path)
    run = read_run(tmp_path)
    traces = [trace_of(run, episode) for episode in run.episodes]
    chosen = set(choose([trace.record for trace in traces]))
    worst = min(traces, key=lambda trace: trace.record.min_margin).episode.index
    assert len(chosen) == 6
    assert {0, 1, 2, worst} <= chosen
    page = (tmp_path / "report.html").read_text()
    assert page.count('id="episode-') == 6
    assert page.count('class="tag') == 12
    assert "maps of margins" in page


@pytest.mark.parametrize("gone", ["ground_truth", "safety/status", "cmd_vel", "/episode", "evader"])
def test_page_of_an_incomplete_bag(
    game: Callable[..., Any], write_bag: Callable[..., Path], tmp_path: Path, gone: str
) -> None:
    recording = game(episodes=1, max_time=1.0)
    recording.messages = [row for row in recording.messages if gone not in row[0]]
    write_bag(recording, tmp_path / "bag")
    report_main.build(tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "no messages" in page
    assert "nan" not in re.sub(r"base64,[^\"]+|<script.*?</script>", "", page, flags=re.S).lower()


def test_command_line_tells_of_a_missing_bag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report_main.main([str(tmp_path)]) == 2
    assert "bag" in capsys.readouterr().err
    assert not (tmp_path / "report.html").exists()


@pytest.fixture
def waiting(tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    """A report process that waits for the bag in ``tmp_path``; its parameter: seconds until it gives up."""
    command = [sys.executable, "-m", "pe_evaluation.report_main", str(tmp_path), "--wait", "--grace", request.param]
    path = os.pathsep.join(sys.path)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env={**os.environ, "PYTHONPATH": path})  # fmt: skip
    assert process.stdout is not None
    assert "waiting until" in process.stdout.readline()
    yield process
    if process.poll() is None:
        process.kill()
    process.communicate()


@pytest.mark.parametrize("waiting", ["60"], indirect=True)
def test_it_waits_for_the_bag_and_outlives_the_launch(bag: Path, tmp_path: Path, waiting: Any) -> None:
    assert waiting.poll() is None
    waiting.send_signal(signal.SIGINT)
    waiting.send_signal(signal.SIGTERM)
    (tmp_path / "bag").mkdir()
    shutil.copy(bag / "bag.mcap", tmp_path / "bag")
    time.sleep(0.3)
    assert waiting.poll() is None
    shutil.copy(bag / "metadata.yaml", tmp_path / "bag")
    output, errors = waiting.communicate(timeout=60)
    assert waiting.returncode == 0, errors
    assert "2 episodes, 2 captures, 0 violations" in output
    assert (tmp_path / "report.html").exists()


@pytest.mark.parametrize("waiting", ["1"], indirect=True)
def test_it_reports_a_bag_that_is_never_closed(bag: Path, tmp_path: Path, waiting: Any) -> None:
    (tmp_path / "bag").mkdir()
    data = (bag / "bag.mcap").read_bytes()
    (tmp_path / "bag" / "bag.mcap").write_bytes(data[: len(data) // 2])
    waiting.send_signal(signal.SIGINT)
    _, errors = waiting.communicate(timeout=60)
    assert waiting.returncode == 0
    assert "was not closed" in errors
    assert json.loads((tmp_path / "metrics.json").read_text())["complete"] is False

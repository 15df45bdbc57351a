"""What the endurance benchmark concludes from memory, latencies and files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.bench import endurance_account as account
from tests.bench.endurance import name_of
from tests.bench.endurance_page import draw, page


def test_growth_ignores_the_start_and_one_peak() -> None:
    times = np.arange(0.0, 1800.0, 2.0)
    values = np.where(times < 50.0, 100.0, 200.0 + 20.0 * times / 1800.0)
    values[500] = 500.0
    found = account.growth(times.tolist(), values.tolist())
    # Medians of [60, 240] s and of the last 180 s.
    assert found.first == pytest.approx(200.0 + 20.0 * 150.0 / 1800.0, abs=0.05)
    assert found.last == pytest.approx(200.0 + 20.0 * 1709.0 / 1800.0, abs=0.05)
    assert found.percent == pytest.approx(100.0 * (found.last / found.first - 1.0))
    assert found.slope == pytest.approx(40.0, rel=1e-3)
    assert found.largest == 500.0


def test_a_flat_series_does_not_grow() -> None:
    found = account.growth([0.0, 10.0, 20.0, 30.0], [100.0, 100.0, 100.0, 100.0])
    assert (found.percent, found.slope) == (0.0, 0.0)


@pytest.mark.parametrize(("drift", "within"), [(0.0, True), (0.5, False)])
def test_drift_is_seen_through_the_noise(drift: float, within: bool) -> None:
    random = np.random.default_rng(3)
    at = np.sort(random.uniform(0.0, 1800.0, 100_000))
    latency = 5.0 + drift * at / 1800.0 + random.gamma(2.0, 0.5, len(at))
    found = account.drift(at, latency)
    assert bool(found.low <= 0.0 <= found.high) is within
    expected = 100.0 * drift / found.p50[0]
    assert found.trend == pytest.approx(expected, abs=2.0)
    assert len(found.p50) == len(found.times) == 10
    assert found.times[0] == pytest.approx(1.5, abs=0.01)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["python", "-m", "pe_nodes.safety_node", "--ros-args", "-r", "__node:=safety", "-r", "__ns:=/evader"],
         "evader/safety"),
        (["python", "-m", "pe_nodes.arena_sim_node", "--ros-args", "-r", "__ns:=/"], "arena_sim"),
        (["python", "-m", "pe_evaluation.report_main", "out"], "report"),
        (["python", "-m", "pe_cli", "launch", "pursuit.launch.py"], "launcher's helpers"),
        ([], ""),
    ],
)  # fmt: skip
def test_processes_are_named(words: list[str], name: str) -> None:
    assert name_of(words) == name


def test_a_lost_message_and_a_broken_file_are_found(
    game: Callable[..., Any], write_bag: Callable[..., Path], tmp_path: Path
) -> None:
    recording = game(episodes=2, max_time=3.0)
    places = [i for i, row in enumerate(recording.messages) if row[0] == "/evader/cmd_vel"]
    del recording.messages[places[7]]
    bag = write_bag(recording, tmp_path / "bag")
    (bag / "bag.mcap").rename(bag / "bag_0.mcap")
    (bag / "metadata.yaml").unlink()
    (bag / "bag_1.mcap").write_bytes((bag / "bag_0.mcap").read_bytes()[:100_000])
    files = account.files_of(bag)
    assert [file.name for file in files] == ["bag_0.mcap", "bag_1.mcap"]
    assert files[0].error == "" and files[0].messages == len(recording.messages)
    assert files[1].error
    (bag / "bag_1.mcap").unlink()
    recorded = account.Recorded(bag)
    assert {topic: count for topic, count in recorded.missing.items() if count} == {"/evader/cmd_vel": 1}
    assert recorded.episodes == 2
    assert recorded.steps == sum(episode["steps"] for episode in recording.episodes)
    assert len(recorded.at) == 2 * recorded.steps - 1
    series = [(float(t), 100.0) for t in range(100)]
    grown = {"arena_sim": account.growth(*zip(*series, strict=True))}
    drifting = account.drift(recorded.at, recorded.latency, slices=3)
    rows = account.rows_of(grown, recorded, files, 100.0, drifting, 50.0, [(float(t), 10.0) for t in range(50)])
    assert {tuple(row) for row in rows} == {("bench", "subject", "case", "metric", "value", "unit")}
    text = page(rows, grown, drifting, files, 1.0, "x.png", recorded.missing)
    assert "| no lost message | 1 lost of" in text and "2 files" in text
    assert "took 10 % of the processors in the first tenth, 10 % in the last" in text
    draw(tmp_path / "x.png", {"arena_sim": series}, drifting)
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")

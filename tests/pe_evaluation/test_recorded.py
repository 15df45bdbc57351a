"""Metrics of a bag equal those of the game that was recorded, and those worked out by hand."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pe_evaluation.account import metrics_of
from pe_evaluation.bag import read_run
from pe_evaluation.metrics import ROLES
from pe_evaluation.recorded import control_periods, odom_to_command, trace_of


def change_end(recording: Any, **values: Any) -> None:
    """Overwrite what the sim reported at the end of the last episode."""
    message = [row[3] for row in recording.messages if row[0] == "/episode"][-1]
    message.data = json.dumps({**json.loads(message.data), **values})


def test_metrics_are_those_of_the_game(bag: Path, played: Any) -> None:
    metrics = metrics_of(read_run(bag))
    assert metrics["differences"] == []
    assert metrics["episodes"] == 2
    assert metrics["captures"] == sum(episode["outcome"] == "capture" for episode in played.episodes)
    assert metrics["min_margin_m"] == min(min(episode["margins"]) for episode in played.episodes)
    assert metrics["violations"] == 0
    assert metrics["steps"] == sum(episode["steps"] for episode in played.episodes)
    assert metrics["control_steps"] == 2 * metrics["steps"]
    assert metrics["capture_time_s"]["max"] == pytest.approx(max(e["time_s"] for e in played.episodes), abs=1e-12)
    said = [
        pair.value
        for topic, _, _, message in played.messages
        if topic.endswith("safety/status")
        for pair in message.status[0].values
        if pair.key == "intervened"
    ]
    assert metrics["interventions"] == said.count("1") > 0
    assert metrics["identity"]["bundles"]["evader"] == {"name": "scripted-evader", "sha256": "e" * 64}
    for row, truth in zip(metrics["per_episode"], played.episodes, strict=True):
        assert row["outcome"] == truth["outcome"]
        assert row["steps"] == truth["steps"]
        assert row["min_margin_m"] == min(truth["margins"])


def test_a_chase_by_hand(game: Callable[..., Any], write_bag: Callable[..., Path], tmp_path: Path) -> None:
    """A standing evader at (0, -1), a pursuer from (-3.5, 1) at 1 m/s: caught at 0.5 m."""
    recording = game(episodes=1, obstacles=(), evader_stands=True, filtered=False)
    run = read_run(write_bag(recording, tmp_path / "bag"))
    trace = trace_of(run, run.episodes[0])
    assert trace.distance[0] == pytest.approx(math.hypot(3.5, 2.0))
    assert trace.distance[-1] <= 0.5 < trace.distance[-2]
    # Walls stand at 5 m: the pursuer starts 5 - 0.15 - 3.5 from one; at the end only the other body is near.
    assert trace.margins[0, 0] == pytest.approx(1.35)
    assert trace.margins[-1] == pytest.approx([trace.distance[-1] - 0.3] * 2)
    assert trace.record.min_margin == pytest.approx(trace.distance[-1] - 0.3)
    # It turns away from its first heading on the way, so it takes a little more than the straight line.
    straight = math.hypot(3.5, 2.0) - 0.5
    assert straight < trace.record.capture_time < straight + 0.3
    assert trace.record.capture_time == pytest.approx(trace.record.steps * 0.05)


def test_violations_are_counted_from_poses(
    game: Callable[..., Any], write_bag: Callable[..., Path], tmp_path: Path
) -> None:
    """Unfiltered robots run through an obstacle and the walls; the sim's count and ours agree."""
    recording = game(episodes=1, filtered=False, max_time=8.0, obstacles=((-1.0, -0.4, 0.8),))
    truth = recording.episodes[0]
    assert truth["violations"] > 0
    metrics = metrics_of(read_run(write_bag(recording, tmp_path / "bag")))
    assert metrics["violations"] == truth["violations"]
    assert metrics["violation_episodes"] == 1
    assert metrics["min_margin_m"] == truth["min_margin_m"] < 0.0
    assert metrics["differences"] == []


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"violations": 3}, "violations is 0 by the recorded poses, 3 by the sim"),
        ({"min_margin_m": 0.5}, "min_margin_m is"),
        ({"outcome": "timeout"}, "outcome is capture by the recorded poses, timeout by the sim"),
    ],
)
def test_a_wrong_account_of_the_sim_is_found(
    game: Callable[..., Any], write_bag: Callable[..., Path], tmp_path: Path, values: dict[str, Any], word: str
) -> None:
    recording = game(episodes=1)
    change_end(recording, **values)
    (line,) = metrics_of(read_run(write_bag(recording, tmp_path / "bag")))["differences"]
    assert word in line


def test_timeouts(game: Callable[..., Any], write_bag: Callable[..., Path], tmp_path: Path) -> None:
    metrics = metrics_of(read_run(write_bag(game(episodes=1, max_time=2.0), tmp_path / "bag")))
    assert (metrics["episodes"], metrics["captures"], metrics["timeouts"]) == (1, 0, 1)
    assert metrics["capture_time_s"]["mean"] is None
    assert metrics["per_episode"][0]["steps"] == 40
    assert metrics["differences"] == []


def test_an_interrupted_episode_counts_apart(
    game: Callable[..., Any], write_bag: Callable[..., Path], tmp_path: Path
) -> None:
    recording = game(episodes=2, max_time=2.0)
    last = max(i for i, row in enumerate(recording.messages) if row[0] == "/clock")
    cut = recording.messages[: last - 100]
    recording.messages = cut
    metrics = metrics_of(read_run(write_bag(recording, tmp_path / "bag")))
    assert (metrics["episodes"], metrics["interrupted"]) == (1, 1)


def test_latencies_are_differences_of_log_times(bag: Path, played: Any) -> None:
    run = read_run(bag)
    sent = {role: {} for role in ROLES}
    for topic, _, log_ns, message in played.messages:
        for role in ROLES:
            if topic in (f"/{role}/odom", f"/{role}/cmd_vel"):
                stamp = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
                sent[role].setdefault(stamp, {})[topic.rsplit("/", 1)[1]] = log_ns
    delays, periods = odom_to_command(run), control_periods(run)
    for role in ROLES:
        rows = [row["cmd_vel"] - row["odom"] for _, row in sorted(sent[role].items())]
        assert np.abs(delays[role] - np.array(rows) * 1e-6).max() < 1e-9
        steps = [episode["steps"] for episode in played.episodes]
        assert len(periods[role]) == sum(steps) - len(steps)
        assert periods[role].mean() == pytest.approx(5.0, abs=0.05)


def test_a_guard_that_reports_while_the_clock_stands_adds_no_steps(
    game: Callable[..., Any], write_bag: Callable[..., Path], tmp_path: Path
) -> None:
    """Zero commands and waiting cycles before the first active cycle have its stamp."""
    recording = game(episodes=1, max_time=2.0)
    firsts = [
        next(row for row in recording.messages if row[0] == f"/{role}/{topic}")
        for role in ROLES
        for topic in ("safety/status", "cmd_vel")
    ]
    for topic, kind, log_ns, message in firsts:
        early = copy.deepcopy(message)
        if topic.endswith("status"):
            keep = ("mode", "tier", "intervened", "command_v", "command_omega")
            early.status[0].values = [pair for pair in early.status[0].values if pair.key in keep]
            changes = {"mode": "waiting", "tier": "stop", "command_v": "0.0", "command_omega": "0.0"}
            for pair in early.status[0].values:
                pair.value = changes.get(pair.key, pair.value)
        else:
            early.twist.linear.x = early.twist.angular.z = 0.0
        recording.messages += [(topic, kind, log_ns - after * 550_000_000, early) for after in (1, 2)]
    run = read_run(write_bag(recording, tmp_path / "bag"))
    metrics = metrics_of(run)
    assert metrics["control_steps"] == 80
    assert metrics["stopped"] == 0
    assert metrics["control_period_ms"]["max"] < 20.0
    assert metrics["audit"]["passed"] is True
    assert metrics["audit"]["cycles"] == 84


def test_warnings_come_from_the_status(
    game: Callable[..., Any], write_bag: Callable[..., Path], falsify: Callable[..., None], tmp_path: Path
) -> None:
    recording = game(episodes=1, max_time=2.0)
    assert metrics_of(read_run(write_bag(recording, tmp_path / "old")))["infeasibility_warnings"] is None
    rows = [row[3] for row in recording.messages if row[0] == "/evader/safety/status"]
    for step, message in enumerate(rows):
        pair = copy.deepcopy(message.status[0].values[0])
        pair.key, pair.value = "feasibility", repr(-0.5 if step == 12 else 2.0)
        message.status[0].values.append(pair)
    for step in (20, 21, 35):
        falsify(recording, "evader", step, "infeasible", "1")
    metrics = metrics_of(read_run(write_bag(recording, tmp_path / "bag")))
    assert (metrics["infeasibility_warnings"], metrics["infeasible_foreseen"], metrics["infeasible"]) == (1, 2, 3)
    assert metrics["infeasibility_warning_rate"] == 1 / 40
    assert metrics["per_episode"][0]["evader"]["warned"] == 1
    assert metrics["per_episode"][0]["pursuer"]["warned"] is None


def test_lost_samples_are_told(game: Callable[..., Any], write_bag: Callable[..., Path], tmp_path: Path) -> None:
    recording = game(episodes=1, max_time=2.0)
    places = [i for i, row in enumerate(recording.messages) if row[0] == "/evader/ground_truth"]
    for place in reversed(places[10:13]):
        del recording.messages[place]
    metrics = metrics_of(read_run(write_bag(recording, tmp_path / "bag")))
    assert "episode 0: 3 of 41 samples of ground_truth are missing" in metrics["differences"]
    assert metrics["missing_samples"] == {"/evader/ground_truth": 3}
    assert metrics["warnings"] == ["the recorder lost messages: of 40 steps are missing: /evader/ground_truth 3"]

"""A track is the recorded episode, comes back from its file to the last bit, and refuses what is not one."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pe_core.arena import Arena
from pe_core.config import ConfigurationError
from pe_evaluation.bag import read_run
from pe_evaluation.comparison.track import Track, load_track, save_track, track_of
from pe_evaluation.metrics import ROLES, STOP
from pe_evaluation.recorded import trace_of


def made(steps: int = 5, **changes: Any) -> Track:
    """A track of random numbers."""
    random = np.random.default_rng(1)
    values: dict[str, Any] = {
        "name": "lead", "evader": "flee", "scenario": "open_field", "speed_ratio": 1.2, "seed": 3, "episode": 4,
        "dt": 0.05, "arena": Arena(10.0, np.array([[1.0, 2.0, 0.5]])), "capture_radius": 0.5, "radii": (0.15, 0.2),
        "poses": random.normal(size=(steps + 1, 2, 3)), "nominal": random.normal(size=(steps, 2, 2)),
        "command": random.normal(size=(steps, 2, 2)), "margins": random.random((steps + 1, 2)),
        "tiers": random.integers(0, 4, (steps, 2)), "captured": True,
    }  # fmt: skip
    return Track(**{**values, **changes})


def assert_same(first: Track, second: Track) -> None:
    for field in dataclasses.fields(Track):
        ours, theirs = getattr(first, field.name), getattr(second, field.name)
        if field.name == "arena":
            assert ours.half_side == theirs.half_side
            np.testing.assert_array_equal(ours.obstacles, theirs.obstacles)
        elif isinstance(ours, np.ndarray):
            np.testing.assert_array_equal(ours, theirs)
            assert ours.dtype == theirs.dtype
        else:
            assert ours == theirs and type(ours) is type(theirs), field.name


@pytest.mark.parametrize("steps", [0, 5])
def test_a_file_gives_every_number_back(tmp_path: Path, steps: int) -> None:
    track = made(steps)
    if steps:
        track.nominal[2, 0] = (math.nan, math.inf)
    save_track(tmp_path / "new" / "track.npz", track)
    assert_same(load_track(tmp_path / "new" / "track.npz"), track)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["track.npz"]


def test_a_track_is_the_recorded_episode(bag: Path, played: Any) -> None:
    run = read_run(bag)
    for episode, truth in zip(run.episodes, played.episodes, strict=True):
        track = track_of(run, trace_of(run, episode))
        assert (track.steps, track.captured) == (truth["steps"], truth["outcome"] == "capture")
        assert (track.name, track.evader, track.seed) == ("scripted-pursuer", "scripted-evader", 7)
        np.testing.assert_array_equal(track.margins.min(axis=1), truth["margins"])
        assert (track.distance[-1] <= track.capture_radius) == track.captured
        period = round(episode.dt * 1e9)
        for lane, role in enumerate(ROLES):
            said = {
                kind: {
                    message.header.stamp.sec * 10**9 + message.header.stamp.nanosec: message
                    for topic, _, _, message in played.messages
                    if topic == f"/{role}/{kind}"
                }
                for kind in ("cmd_vel", "cmd_vel_nominal", "ground_truth", "safety/status")
            }
            for step in range(track.steps):
                stamp = episode.start_ns + step * period
                for kind, ours in (("cmd_vel", track.command), ("cmd_vel_nominal", track.nominal)):
                    twist = said[kind][stamp].twist
                    assert ours[step, lane].tolist() == [twist.linear.x, twist.angular.z]
                point = said["ground_truth"][stamp].pose.pose.position
                assert track.poses[step, lane, :2].tolist() == [point.x, point.y]
                pairs = {pair.key: pair.value for pair in said["safety/status"][stamp].status[0].values}
                assert ("exact", "relaxed", "backup")[track.tiers[step, lane]] == pairs["tier"]
        assert track_of(run, trace_of(run, episode), "mine").name == "mine"


def test_lost_messages_are_bridged(
    game: Callable[..., Any], write_bag: Callable[..., Path], tmp_path: Path
) -> None:
    """A lost pose is interpolated, a lost command holds, and before the first nothing is known."""
    recording = game(episodes=1, max_time=2.0)

    def stamp(message: Any) -> float:
        return float(message.header.stamp.sec + 1e-9 * message.header.stamp.nanosec)

    lost = {"/pursuer/ground_truth": [0.5], "/pursuer/cmd_vel": [0.7], "/evader/cmd_vel": [0.0, 0.05],
            "/evader/safety/status": [0.0]}  # fmt: skip
    whole = read_run(write_bag(recording, tmp_path / "whole"))
    recording.messages = [
        row for row in recording.messages
        if not (row[0] in lost and any(abs(stamp(row[3]) - time) < 1e-6 for time in lost[row[0]]))
    ]  # fmt: skip
    run = read_run(write_bag(recording, tmp_path / "holes"))
    before = track_of(whole, trace_of(whole, whole.episodes[0]))
    after = track_of(run, trace_of(run, run.episodes[0]))
    assert after.steps == before.steps == 40
    np.testing.assert_allclose(after.poses[10, 0, :2], before.poses[[9, 11], 0, :2].mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(np.delete(after.poses, 10, 0), np.delete(before.poses, 10, 0), atol=1e-12)
    assert after.command[14, 0].tolist() == before.command[13, 0].tolist()
    assert np.isnan(after.command[:2, 1]).all() and np.isfinite(after.command[2:]).all()
    assert after.tiers[0, 1] == STOP
    np.testing.assert_array_equal(after.tiers[1:], before.tiers[1:])


def test_an_episode_without_poses_is_refused(
    game: Callable[..., Any], write_bag: Callable[..., Path], tmp_path: Path
) -> None:
    recording = game(episodes=1, max_time=1.0)
    recording.messages = [row for row in recording.messages if not row[0].endswith(("ground_truth", "/state"))]
    run = read_run(write_bag(recording, tmp_path / "bag"))
    with pytest.raises(ConfigurationError, match="episode 0: no pose"):
        track_of(run, trace_of(run, run.episodes[0]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"poses": np.zeros((5, 2, 3))}, r"poses has shape \(5, 2, 3\): allowed: \(6, 2, 3\)"),
        ({"nominal": np.zeros((5, 2))}, "nominal has shape"),
        ({"margins": np.full((6, 2), np.nan)}, "margins holds NaN"),
        ({"tiers": np.full((5, 2), 4)}, "tiers from 4 to 4: allowed: 0 to 3"),
        ({"tiers": np.full((5, 2), 0.5)}, "tiers cannot be read"),
        ({"poses": [["a"]]}, "poses cannot be read"),
        ({"dt": 0.0}, "dt = 0.0: allowed: a positive number"),
        ({"radii": (0.15, -1.0)}, "radius of evader = -1.0"),
        ({"radii": (0.15,)}, "radii ="),
        ({"capture_radius": math.nan}, "capture_radius = nan"),
    ],
)
def test_what_is_not_a_track_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        made(**changes)


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "track.npz"
    with pytest.raises(ConfigurationError, match=r"track\.npz: cannot be read as a track: No such file"):
        load_track(path)
    path.write_bytes(b"not at all")
    with pytest.raises(ConfigurationError, match="not a whole"):
        load_track(path)
    save_track(path, made())
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ConfigurationError, match="not a whole"):
        load_track(path)
    np.savez(path, poses=np.zeros(3))
    with pytest.raises(ConfigurationError, match="format = 'none': allowed: 'pursuit-evasion track 1'"):
        load_track(path)
    save_track(path, made())
    with np.load(path) as file:
        kept = {key: file[key] for key in file.files if key != "dt"}
    np.savez(path, **kept)
    with pytest.raises(ConfigurationError, match="has no 'dt'"):
        load_track(path)

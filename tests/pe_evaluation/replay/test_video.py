"""A video has the episode's pictures in its own time; its barriers are those that the filter reported."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pe_core.config import ConfigurationError
from pe_core.robot import RobotModel
from pe_evaluation import video_main
from pe_evaluation.bag import read_run
from pe_evaluation.comparison.track import Track, save_track, track_of
from pe_evaluation.metrics import ROLES
from pe_evaluation.recorded import trace_of
from pe_evaluation.replay.video import SIZE, barriers, frames, write_video


@pytest.fixture(scope="module")
def track(bag: Path) -> Track:
    run = read_run(bag)
    return track_of(run, trace_of(run, run.episodes[0]))


def first(track: Track, steps: int) -> Track:
    """The first steps of a track."""
    return Track(
        **{**track.__dict__, "poses": track.poses[: steps + 1], "margins": track.margins[: steps + 1],
           "nominal": track.nominal[:steps], "command": track.command[:steps], "tiers": track.tiers[:steps]}
    )  # fmt: skip


def test_the_overlay_is_what_the_filter_reported(bag: Path, track: Track) -> None:
    run = read_run(bag)
    trace = trace_of(run, run.episodes[0])
    for lane, role in enumerate(ROLES):
        reported = trace.status[role].barriers
        ours = barriers(track, lane, RobotModel().vcp_offset)[:-1]
        names = ["wall_east", "wall_west", "wall_north", "wall_south", "obstacle_0", "obstacle_1", "opponent"]
        theirs = np.column_stack([reported[name] for name in names])
        np.testing.assert_allclose(ours, theirs, atol=1e-9)


def test_pictures_follow_the_episode(track: Track) -> None:
    short = first(track, 30)
    pictures = list(frames(short, (0.05, 0.05)))
    assert len(pictures) == 31
    assert all(picture.shape == (SIZE[1], SIZE[0], 3) and picture.dtype == np.uint8 for picture in pictures)
    changed = [float((a != b).mean()) for a, b in zip(pictures, pictures[1:], strict=False)]
    assert all(0.0 < share < 0.2 for share in changed)
    # Where the pursuer started is its trail now, and its body no longer.
    assert (pictures[0][:, :700] != pictures[-1][:, :700]).any()


def test_a_file_plays_in_the_time_of_the_episode(track: Track, tmp_path: Path) -> None:
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    save_track(tmp_path / "track.npz", first(track, 40))
    assert video_main.main([str(tmp_path / "track.npz"), str(tmp_path / "film.mp4")]) == 0
    count, seconds = ffmpeg.count_frames_and_secs(str(tmp_path / "film.mp4"))
    assert count == 41 + 30
    assert seconds == pytest.approx(71 * 0.05, abs=0.06)
    reader = ffmpeg.read_frames(str(tmp_path / "film.mp4"))
    assert next(reader)["size"] == SIZE
    pictures = [np.frombuffer(data, np.uint8).reshape(SIZE[1], SIZE[0], 3).astype(float) for data in reader]
    drawn = list(frames(first(track, 40)))
    assert np.abs(pictures[20] - drawn[20]).mean() < 6.0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["film.mp4", "track.npz"]


def test_what_is_missing_is_named(
    track: Track, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigurationError, match=r"allowed: a name that ends in \.mp4"):
        write_video(tmp_path / "film.avi", track)
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "imageio_ffmpeg":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigurationError, match=r"pip install -e \.\[video\]"):
        write_video(tmp_path / "film.mp4", track)
    assert video_main.main([str(tmp_path / "none.npz"), str(tmp_path / "film.mp4")]) == 2
    assert "none.npz" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())

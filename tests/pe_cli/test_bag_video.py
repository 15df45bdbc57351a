"""``./pe bag --video``: for a track, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from pe_cli.app import app
from pe_evaluation.comparison.track import save_track
from tests.pe_evaluation.replay.test_page import wander


def test_a_track_becomes_a_video(tmp_path: Path) -> None:
    pytest.importorskip("imageio_ffmpeg")
    save_track(tmp_path / "track.npz", wander(4))
    result = CliRunner().invoke(app, ["bag", str(tmp_path / "track.npz"), "--video", str(tmp_path / "film.mp4")])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "film.mp4").read_bytes()[4:8] == b"ftyp"


@pytest.mark.parametrize("words", [[], ["--audit"], ["--video", "film.mp4", "--audit"]])
def test_a_track_is_only_filmed(tmp_path: Path, words: list[str]) -> None:
    save_track(tmp_path / "track.npz", wander(4))
    result = CliRunner().invoke(app, ["bag", str(tmp_path / "track.npz"), *words])
    assert result.exit_code == 2
    assert "only --video" in result.output

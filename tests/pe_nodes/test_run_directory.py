"""Nothing recorded is overwritten."""

from __future__ import annotations

import pytest

from pe_core.config import ConfigurationError
from pe_nodes.run_directory import prepare


def test_a_new_directory_is_made(tmp_path):
    assert prepare(str(tmp_path / "a" / "b")).is_dir()


def test_a_directory_with_a_run_is_refused(tmp_path):
    (tmp_path / "mine" / "bag").mkdir(parents=True)
    with pytest.raises(ConfigurationError, match="holds a run already"):
        prepare(str(tmp_path / "mine"))


def test_the_default_directory_moves_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in range(3):
        out = prepare("out")
        (out / "bag").mkdir()
        (out / "bag" / "which").write_text(str(number))
    assert (tmp_path / "out" / "bag" / "which").read_text() == "2"
    assert (tmp_path / "out.1" / "bag" / "which").read_text() == "0"
    assert (tmp_path / "out.2" / "bag" / "which").read_text() == "1"


def test_a_place_that_cannot_be_a_directory_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be made"):
        prepare(str(tmp_path / "file" / "out"))

"""Files are whole: the old one or the new one, and nothing beside them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pe_core.files import replaced, write_text


def test_a_file_takes_the_place_of_the_old_one_in_a_directory_that_is_made(tmp_path: Path) -> None:
    target = tmp_path / "new" / "file.txt"
    for text in ("one", "two"):
        write_text(target, text)
        assert target.read_text() == text and [path.name for path in target.parent.iterdir()] == ["file.txt"]
    assert target.stat().st_mode & 0o777 == 0o644


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    write_text(target, "old")
    with pytest.raises(RuntimeError), replaced(target) as temporary:
        temporary.write_text("half of the new")
        raise RuntimeError
    assert target.read_text() == "old" and list(tmp_path.iterdir()) == [target]

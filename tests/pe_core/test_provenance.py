"""A run says which revision made it, and never another program's."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from pe_core import provenance


def git(folder: Path, *words: str) -> None:
    identity = ("-c", "user.name=n", "-c", "user.email=e@example.org")
    subprocess.run(["git", "-C", folder, *identity, *words], check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository in which the module lies, as in a virtual environment inside somebody's project."""
    git(tmp_path, "init", "--quiet")
    (tmp_path / "README").write_text("theirs")
    git(tmp_path, "add", "README")
    git(tmp_path, "commit", "--quiet", "--message", "theirs")
    source = Path(shutil.copy(provenance.__file__, tmp_path))
    monkeypatch.setattr(provenance, "__file__", str(source))
    return tmp_path


def test_the_revision_of_a_repository_that_only_surrounds_us_is_not_ours(checkout: Path) -> None:
    assert provenance.git_revision() is None


def test_a_checkout_names_its_revision_and_whether_it_was_changed(checkout: Path) -> None:
    git(checkout, "add", "provenance.py")
    git(checkout, "commit", "--quiet", "--message", "ours")
    revision = provenance.git_revision()
    assert revision is not None and len(revision) == 12
    (checkout / "README").write_text("changed")
    assert provenance.git_revision() == revision + "-dirty"


def test_the_version_is_the_projects(repository: Path) -> None:
    assert f'version = "{provenance.version()}"' in (repository / "pyproject.toml").read_text()

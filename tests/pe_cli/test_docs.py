"""The reference: built of the docstrings, complete, with links that lead somewhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pe_cli import api_reference


def docs(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pe_cli", "docs", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.slow
def test_every_package_is_documented_and_every_link_leads_somewhere(tmp_path: Path) -> None:
    done = docs("--out", tmp_path / "reference")
    assert done.returncode == 0, done.stdout + done.stderr
    assert {"pe_core", "pe_safety", "pe_nodes"} <= {path.stem for path in (tmp_path / "reference").glob("*.html")}
    page = (tmp_path / "reference" / "pe_safety" / "qp.html").read_text()
    # Compiled kernels are shown as the functions that they are.
    assert "@njit" in page and page.count('class="def"') > 3


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    done = docs("--out", tmp_path, "--package", "pe_core")
    assert done.returncode == 2 and "allowed: a new or empty folder" in done.stderr
    assert (tmp_path / "precious.txt").read_text() == "mine"


def test_an_unknown_package_is_named(tmp_path: Path) -> None:
    done = docs("--out", tmp_path / "new", "--package", "pe_corn")
    assert done.returncode == 2 and "pe_corn: allowed: pe_core, " in done.stderr


def test_what_has_no_docstring_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "undocumented_package.py").write_text(
        '"""A module."""\n'
        'class Base:\n    """A base."""\n    def act(self):\n        """Act."""\n'
        'class Silent(Base):\n    def act(self):\n        pass\n    def speak(self):\n        pass\n'
        "def function():\n    pass\ndef _private():\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    found = api_reference.undocumented("undocumented_package")
    # A class and its act have those of their base; ruff asks for a class's own.
    assert found == ["undocumented_package.Silent.speak", "undocumented_package.function"]


def test_an_earlier_reference_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "small_package.py").write_text('"""A module."""\n')
    monkeypatch.syspath_prepend(tmp_path)
    for _ in range(2):
        api_reference.build(["small_package"], tmp_path / "pages")
        assert (tmp_path / "pages" / "small_package.html").is_file() and not (tmp_path / "pages" / "old.html").exists()
        (tmp_path / "pages" / "old.html").touch()


def test_links_that_lead_nowhere_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text('<p id="here"><a href="#here">1</a><a href="b.html#x">2</a><a href="c.html">3</a>')
    (tmp_path / "b.html").write_text('<p id="y"><a href="a.html#here">4</a>')
    assert api_reference.broken_links(tmp_path) == [
        "a.html: b.html#x leads nowhere",
        "a.html: c.html leads nowhere",
    ]
    page = '<a href="#_A.f">_A.f</a> <a href="b.html#y">y</a>'
    assert api_reference.unlinked(page) == '_A.f <a href="b.html#y">y</a>'

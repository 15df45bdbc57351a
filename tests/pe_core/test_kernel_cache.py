"""A cached kernel is compiled again when a kernel that it calls has changed, in another file."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

CALLEE = """
from numba import njit

@njit(cache=True)
def callee():
    return {value}
"""

CALLER = """
from numba import njit
from game.callee import callee

@njit(cache=True)
def caller():
    return callee() + 1
"""

COVER = "from pathlib import Path\nfrom pe_core.kernel_cache import cover\ncover(Path(__file__).parent)\n"

MAIN = "from game.caller import caller; print(caller(), sum(caller.stats.cache_hits.values()))"


def run(folder: Path, before: str = "") -> list[str]:
    """What a fresh process gets from the caller, and how many cached kernels it used."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("NUMBA_")}
    environment["PYTHONPATH"] = os.pathsep.join([str(folder), *(p for p in sys.path if p)])
    done = subprocess.run(
        [sys.executable, "-c", before + MAIN], env=environment, cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def write_game(folder: Path) -> Path:
    package = folder / "game"
    package.mkdir()
    (package / "__init__.py").write_text(COVER)
    (package / "caller.py").write_text(textwrap.dedent(CALLER))
    (package / "callee.py").write_text(textwrap.dedent(CALLEE.format(value=1)))
    return package


def test_an_edit_of_the_callee_reaches_the_caller(tmp_path: Path) -> None:
    package = write_game(tmp_path)
    assert run(tmp_path) == ["2", "0"]
    assert run(tmp_path) == ["2", "1"], "an unchanged kernel should come from the cache"
    (package / "callee.py").write_text(textwrap.dedent(CALLEE.format(value=41)))
    assert run(tmp_path) == ["42", "0"], "the caller runs old code of the callee"


def test_a_package_that_stands_above_does_not_count(tmp_path: Path) -> None:
    """Processes that import it first and those that do not share what either has compiled."""
    write_game(tmp_path)
    above = tmp_path / "above"
    above.mkdir()
    (above / "__init__.py").write_text("import game\n" + COVER)
    (above / "kernels.py").write_text("from numba import njit\n")
    assert run(tmp_path, "import above; ") == ["2", "0"]
    assert run(tmp_path) == ["2", "1"]
    (above / "kernels.py").write_text("from numba import njit  # another\n")
    assert run(tmp_path, "import above; ") == ["2", "1"]


def test_our_packages_are_covered() -> None:
    import pe_core.kernel_cache as kernel_cache
    import pe_safety

    covered = {folder.name for folder in kernel_cache._folders}
    assert pe_safety.__file__ is not None and {"pe_core", "pe_safety"} <= covered

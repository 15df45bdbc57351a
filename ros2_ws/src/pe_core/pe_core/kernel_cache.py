"""Compiled kernels on disk are used again only while no kernel that they may call has changed.

numba stamps a cached kernel with its own source file alone.  A kernel of one module that calls one of another, as
the closed loop calls the QP, would run the old code of the callee after an edit or an update.  The stamp here adds
a digest of every source file with kernels in the kernel's own package and in those covered before it; a package
covers itself after those that it imports.  What is covered later does not count: it is not called, and a stamp that
depended on who else has been imported would have every process throw away what another one has compiled.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from numba.core import caching, config

_folders: list[Path] = []


def cover(folder: Path) -> None:
    """Let kernels that are defined from now on depend on those in ``folder``, too."""
    if folder not in _folders:
        _folders.append(folder)
    names = ("ProvidedLocator", "InTreeLocator", "UserWideLocator")
    own = [f"{__name__}.{name}" for name in names]
    config.CACHE_LOCATOR_CLASSES = ",".join([*own, "IPythonCacheLocator", "ZipCacheLocator"])


@cache
def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        source = path.read_bytes()
        if b"njit" in source:
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + source + b"\0")
    return digest.hexdigest()


def _reachable(source: Path) -> list[Path]:
    """The covered folders that a kernel in ``source`` may call into; all of them where it is in none."""
    own = [number for number, folder in enumerate(_folders) if source.is_relative_to(folder)]
    return _folders[: own[-1] + 1] if own else _folders


class _Stamp:
    """A locator's stamp and the digests of the folders that its kernel may call into, for every file cached."""

    _py_file: str

    def get_source_stamp(self) -> Any:
        return super().get_source_stamp(), tuple(map(_digest, _reachable(Path(self._py_file))))  # type: ignore[misc]


class ProvidedLocator(_Stamp, caching.UserProvidedCacheLocator):
    """In NUMBA_CACHE_DIR, where that is set."""


class InTreeLocator(_Stamp, caching.InTreeCacheLocator):
    """In the __pycache__ beside the source."""


class UserWideLocator(_Stamp, caching.UserWideCacheLocator):
    """In the user's cache folder, where the source's is not writable."""

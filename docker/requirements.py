"""Prints what pyproject.toml asks pip for, one requirement a line: the image's versions have no second source.

python requirements.py PYPROJECT [EXTRA...]: the dependencies and those extras' own. The project itself is left out, so
that a layer of the image that installs the lines changes only when pyproject.toml does.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path


def requirements(pyproject: Path, extras: list[str]) -> list[str]:
    """The requirements of the project and of its `extras`, in the order in which they are declared.

    Raises:
        SystemExit: an extra is unknown; the message lists those that are known.
    """
    project = tomllib.loads(pyproject.read_text())["project"]
    optional: dict[str, list[str]] = project["optional-dependencies"]
    unknown = [name for name in extras if name not in optional]
    if unknown:
        raise SystemExit(f"{pyproject}: extra {', '.join(unknown)} is unknown; known: {', '.join(optional)}")
    lines = [*project["dependencies"], *(line for name in extras for line in optional[name])]
    return list(dict.fromkeys(lines))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit("usage: python requirements.py PYPROJECT [EXTRA...]")
    print("\n".join(requirements(Path(sys.argv[1]), sys.argv[2:])))

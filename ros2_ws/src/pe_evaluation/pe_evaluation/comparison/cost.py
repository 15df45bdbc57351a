"""What a candidate costs: the speed of its trainings, and the code that its safety mechanism stands on."""

from __future__ import annotations

import ast
import importlib.util
import io
import tokenize
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pe_core.bundle import load_bundle
from pe_core.config import ConfigurationError
from pe_core.randomness import generator

SAFETY = "pe_safety"


def training_of(provenance: Mapping[str, Any]) -> tuple[float, float]:
    """Environment steps, and seconds, of a whole training: the part that it started from included."""
    parts = [provenance, provenance.get("start") or {}]
    steps = sum(float(part.get("steps", 0.0)) for part in parts)
    return steps, sum(float(part.get("wall_s", 0.0)) for part in parts)


def trainings_of(bundles: Sequence[str]) -> NDArray[np.float64]:
    """(n, 2) steps and seconds of the training of each bundle.

    Raises:
        BundleError: one is refused.
    """
    schemas = (load_bundle(name, role="pursuer").schema for name in bundles)
    return np.array([training_of(schema.provenance) for schema in schemas], dtype=np.float64)


def speed_of(trainings: NDArray[np.float64]) -> NDArray[np.float64]:
    """All steps over all seconds of trainings (..., n, 2); 0 where nothing was learned."""
    total = trainings.sum(axis=-2)
    steps, seconds = total[..., 0], total[..., 1]
    return np.divide(steps, seconds, out=np.zeros_like(steps), where=seconds > 0.0)


def resampled_speeds(trainings: NDArray[np.float64], resamples: int) -> NDArray[np.float64]:
    """Bootstrap replicates (resamples,) of :func:`speed_of`: trainings are drawn, with replacement."""
    random = generator(0, len(trainings), "comparison/trainings")
    return speed_of(trainings[random.integers(len(trainings), size=(resamples, len(trainings)))])


def code_lines(module: str) -> int:
    """Lines of a module that hold code: neither blank nor comment nor docstring.

    Raises:
        ConfigurationError: there is no such module.
    """
    text = _source(module)
    lines: set[int] = set()
    skipped = {
        tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING,
        tokenize.ENDMARKER,
    }  # fmt: skip
    begins = True
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.STRING and begins:
            continue
        if token.type not in skipped:
            lines.update(range(token.start[0], token.end[0] + 1))
            begins = False
        elif token.type in (tokenize.NEWLINE, tokenize.INDENT):
            begins = True
    return len(lines)


def closure(modules: Iterable[str], package: str = SAFETY) -> list[str]:
    """``modules`` and all of ``package`` that they import, and so on, where a module begins; sorted.

    Raises:
        ConfigurationError: a module does not exist.
    """
    left, found = list(modules), set[str]()
    while left:
        module = left.pop()
        if module not in found:
            found.add(module)
            left += _imported(module, package)
    return sorted(found)


@cache
def _imported(module: str, package: str) -> tuple[str, ...]:
    return tuple(_names(ast.parse(_source(module)), package))


def _names(tree: ast.Module, package: str) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names if each.name.split(".")[0] == package)
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == package:
            for each in node.names:
                inner = f"{node.module}.{each.name}"
                yield inner if _is_module(inner) else node.module


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        # What it would be in is a module, not a package.
        return False


def _source(module: str) -> str:
    found = importlib.util.find_spec(module) if _is_module(module) else None
    if found is None or found.origin is None:
        raise ConfigurationError(f"modules: '{module}' is unknown; allowed: a module of {SAFETY}")
    return Path(found.origin).read_text(encoding="utf-8")

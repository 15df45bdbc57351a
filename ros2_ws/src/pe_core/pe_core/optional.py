"""Packages that not everybody has."""

from __future__ import annotations

import importlib.util


def is_installed(package: str) -> bool:
    """Whether ``package`` is; a mere folder of that name, such as tensorboard and wandb leave, does not count."""
    found = importlib.util.find_spec(package)
    return found is not None and found.origin is not None

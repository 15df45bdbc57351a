"""Message classes by their ROS names."""

from __future__ import annotations

import importlib
from typing import Any

from pe_core.config import ConfigurationError


def message_class(name: str) -> Any:
    """The class of ``package/msg/Name``.

    Raises:
        ConfigurationError: no such message is installed.
    """
    parts = name.split("/")
    try:
        package, folder, kind = parts
        return getattr(importlib.import_module(f"{package}.{folder}"), kind)
    except (ValueError, ModuleNotFoundError, AttributeError) as error:
        raise ConfigurationError(f"message type {name!r} is not installed ({error})") from error

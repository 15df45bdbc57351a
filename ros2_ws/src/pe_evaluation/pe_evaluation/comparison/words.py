"""Numbers of a summary in words; a reason stands as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def percent(value: float, digits: int = 1) -> str:
    """A share in percent."""
    return f"{100.0 * value:.{digits}f} %"


def number(value: Any, unit: str, digits: int) -> str:
    """A number with its unit, or the reason in its place."""
    if isinstance(value, str):
        return value
    return f"{value:,.{digits}f} {unit}".strip()


def mean_of(value: Mapping[str, Any], unit: str, digits: int, with_interval: bool = True) -> str:
    """A mean with its interval, or the reason in its place."""
    if "reason" in value:
        return str(value["reason"])
    shown = f"{value['mean']:,.{digits}f} {unit}".strip()
    return f"{shown} [{value['low']:.{digits}f}, {value['high']:.{digits}f}]" if with_interval else shown


def interval_of(value: Mapping[str, Any], show: Callable[[float], str]) -> str:
    """A share with its interval, or the reason in its place."""
    if "reason" in value:
        return str(value["reason"])
    return f"{show(value['mean'])} [{100.0 * value['low']:.1f}, {100.0 * value['high']:.1f}]"


def points(value: Mapping[str, Any], unit: str = "points", key: str = "gap") -> str:
    """A difference of shares in points, with its interval."""
    low, high = 100.0 * value["low"], 100.0 * value["high"]
    return f"{100.0 * value[key]:+.2f} {unit} [{low:+.2f}, {high:+.2f}]"


def signed(value: Mapping[str, Any]) -> str:
    """A difference with its interval."""
    return f"{value['difference']:+.3f} [{value['low']:+.3f}, {value['high']:+.3f}]"


def share(row: Mapping[str, Any], key: str) -> str:
    """A share of the control steps, or the reason in its place; a few are counted."""
    value, part = row[key], row[f"{key}_share"]
    if isinstance(value, str):
        return value
    few = 0 < value < 100 and part < 1e-4
    found = f"{value} of {row[f'{key}_steps']:,}" if few else percent(part, 2) if value else "0"
    return found + among(row, f"{key}_episodes")


def among(row: Mapping[str, Any], key: str) -> str:
    """In how many of an account's episodes something is known, where that is not in all."""
    return "" if row[key] == row["episodes"] else f" (known in {row[key]:,} episodes)"


def p_value(row: Mapping[str, Any], key: str = "p") -> str:
    """A p-value, or why there is none."""
    if key not in row or not isinstance(row[key], (int, float)):
        return str(row.get("reason", "not tested"))
    value = float(row[key])
    return "< 0.0001" if value < 1e-4 else f"{value:.4f}"

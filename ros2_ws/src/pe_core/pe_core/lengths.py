"""Lengths in a scenario, which make sense for any arena and any robot.

A plain number is in metres of the arena that the scenario was drawn for and scales with the arena.  What does not
shrink with it are bodies and the capture radius, so a length may also be a sum of terms:

    length = a m + b widths + c capture_radii        a (L / L_ref) + b 2 r + c r_c   [m]

L and L_ref are the half sides of the arena and of the scenario's reference, r is the larger body radius, r_c the
capture radius.  In YAML: ``10 m - 1.5 widths``.
"""

from __future__ import annotations

import dataclasses
import math
import re
from typing import Any

from pe_core.config import ConfigurationError

UNITS = ("m", "widths", "capture_radii")
_TERM = re.compile(r"\s*([+-]?)\s*(\d+\.?\d*|\.\d+)\s*(" + "|".join(UNITS) + r")(?![\w.])")

Length = float | str
"""A number [m of the reference arena], or the text of a sum."""


@dataclasses.dataclass(frozen=True)
class Measures:
    """What the units are worth [m] in one game."""

    scale: float
    width: float
    capture_radius: float

    def metres(self, value: Length) -> float:
        """The length [m] in this game; ``value`` is one that :func:`check_length` has let through."""
        if isinstance(value, str):
            amounts = _amounts(value)
            assert amounts is not None
            scaled, widths, radii = amounts
            return scaled * self.scale + widths * self.width + radii * self.capture_radius
        return value * self.scale


def check_length(source: str, key: str, value: Any) -> Length:
    """``value`` where it is a length.

    Raises:
        ConfigurationError: it is neither a finite number nor a sum of terms.
    """
    if isinstance(value, str) and _amounts(value) is not None:
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise ConfigurationError(
        f"{source}: {key} = {value!r}: allowed: a finite number [m], or terms with a unit of {', '.join(UNITS)}, "
        "such as '10 m - 1.5 widths'"
    )


def _amounts(text: str) -> tuple[float, float, float] | None:
    """How many of each unit, in the order of ``UNITS``; None where the text is no sum of terms."""
    amounts = dict.fromkeys(UNITS, 0.0)
    position = 0
    while position < len(text.rstrip()):
        term = _TERM.match(text, position)
        # Only the first term may go without a sign.
        if term is None or (position > 0 and not term[1]):
            return None
        amounts[term[3]] += float(term[1] + term[2])
        position = term.end()
    return (amounts["m"], amounts["widths"], amounts["capture_radii"]) if position else None

"""Lengths of scenarios: sums of metres, bodies and capture radii."""

from __future__ import annotations

import pytest

from pe_core.config import ConfigurationError
from pe_core.lengths import Measures, check_length

MEASURES = Measures(scale=0.22, width=0.21, capture_radius=0.35)


@pytest.mark.parametrize(
    ("value", "metres"),
    [
        (-5, -1.1),
        (2.5, 0.55),
        ("10 m", 2.2),
        ("-2 capture_radii", -0.7),
        ("10 m - 1.5 widths", 1.885),
        ("1.5 widths-10 m", -1.885),
        ("-1.5 m - .75 widths", -0.4875),
        ("1 m + 1 widths + 1 capture_radii", 0.78),
    ],
)
def test_metres_scale_and_bodies_do_not(value: float | str, metres: float) -> None:
    assert MEASURES.metres(check_length("test", "x", value)) == pytest.approx(metres, abs=1e-12)


@pytest.mark.parametrize(
    "value",
    ["", "5", "m", "1 km", "1 m 2 widths", "1 widthsm", "1 m +", "1..2 m", float("nan"), float("inf"), True, None],
)
def test_what_is_no_length_is_refused_with_the_units(value: object) -> None:
    with pytest.raises(ConfigurationError, match="test: x = .*allowed: .*m, widths, capture_radii"):
        check_length("test", "x", value)

"""What a scenario asks of those who play it: the ``criteria`` block of a scenario file."""

from __future__ import annotations

import dataclasses
from typing import Any

from pe_core.config import ConfigurationError, check_range, quantity
from pe_core.lengths import check_length


@dataclasses.dataclass(frozen=True)
class Criteria:
    """Bounds on what is measured; None and what a file leaves out: not judged, or the default.

    Times are those of a robot that drives 1 m/s in the scenario's reference arena; they scale with the time that
    the robot of the run takes to cross its own.  ``margin_least`` is a length (``pe_core.lengths``).
    """

    captures_least: float | None = quantity(
        None, low=0.0, high=1.0, description="least share of episodes with a capture; none: safety alone is judged"
    )
    capture_time_most: float | None = quantity(
        None, unit="s", low=0.1, high=3600.0, description="longest mean time of the captures"
    )
    violations_most: int = quantity(0, low=0, high=1_000_000, description="most samples with a contact")
    margin_least: Any = 0.0
    infeasible_most: float = quantity(0.0, low=0.0, high=1.0, description="most control steps without a solution")
    interventions_most: float | None = quantity(
        None, low=0.0, high=1.0, description="most control steps that the filter changed, both robots"
    )

    def __post_init__(self) -> None:
        check_range(self, "criteria")
        object.__setattr__(self, "margin_least", check_length("criteria", "margin_least", self.margin_least))
        if self.capture_time_most is not None and self.captures_least is None:
            raise ConfigurationError(
                f"criteria: capture_time_most = {self.capture_time_most!r}: allowed: only with captures_least, for "
                "without a capture there is no time"
            )

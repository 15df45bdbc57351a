"""How many deviations the safety rows pay for, while the model is young."""

from __future__ import annotations

import math


class KappaSchedule:
    r"""kappa_k = nominal (1 + (factor - 1) exp(-k / tau)), k control steps after the start.

    As soon as the mean deviation falls under ``end`` kappa is nominal, and it stays so until :meth:`reset`.
    """

    def __init__(self, nominal: float, factor: float = 2.0, tau: float = 50.0, end: float = 0.01) -> None:
        """``tau`` in control steps, ``end`` in the units of the deviation that :meth:`step` is given.

        Raises:
            ValueError: nominal < 0, factor < 1 or tau <= 0.
        """
        if not (nominal >= 0.0 and factor >= 1.0 and tau > 0.0):
            raise ValueError(f"kappa: nominal {nominal!r} >= 0, factor {factor!r} >= 1, tau {tau!r} > 0 wanted")
        self.nominal = nominal
        self.factor = factor
        self.tau = tau
        self.end = end
        self._steps = 0
        self._ended = False

    @property
    def value(self) -> float:
        """kappa of the present control step."""
        if self._ended:
            return self.nominal
        return self.nominal * (1.0 + (self.factor - 1.0) * math.exp(-self._steps / self.tau))

    @property
    def ended(self) -> bool:
        """True where the deviation has fallen under ``end``."""
        return self._ended

    def step(self, mean_sigma: float = math.inf) -> float:
        """Go on by one control step; NaN as ``mean_sigma`` ends nothing.  Returns the new kappa."""
        self._steps += 1
        self._ended = self._ended or mean_sigma < self.end
        return self.value

    def reset(self) -> None:
        """Start again at ``factor`` times nominal."""
        self._steps = 0
        self._ended = False

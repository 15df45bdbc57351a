"""What each part is good for: the same training without it."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from training.learning.parameters import BARRIERNET, PPO, Learning

_USUAL = Learning()


class Variant(NamedTuple):
    """One column of the ablation: what it is, what is learned, and the filter of training and of deployment."""

    description: str
    changes: dict[str, object]
    deployed: str


_FULL: dict[str, object] = {
    "algorithm": BARRIERNET,
    "safety": "rcbf",
    "rewards": "reference",
    "feasibility": 0.05,
}
# What only a program in the network has is as usual where there is none.
_UNFILTERED = _FULL | {
    "algorithm": PPO,
    "safety": "none",
    "feasibility": 0.0,
    "correction": _USUAL.correction,
    "least_share": _USUAL.least_share,
}
VARIANTS: dict[str, Variant] = {
    "A": Variant("full: program in the network, safety reward, learned feasibility", _FULL, "rcbf"),
    "B": Variant(
        "unsafe: no filter in training or after, no safety reward",
        _UNFILTERED | {"rewards": "without_safety"},
        "none",
    ),
    "C": Variant("filter only at deployment", _UNFILTERED, "rcbf"),
    "D": Variant("full without the safety reward w5", _FULL | {"rewards": "without_safety"}, "rcbf"),
    "E": Variant("full without learned feasibility", _FULL | {"feasibility": 0.0}, "rcbf"),
}


def learning_of(variant: str, base: Learning) -> Learning:
    """The parameters ``base`` as ``variant`` changes them."""
    return dataclasses.replace(base, **VARIANTS[variant].changes)  # type: ignore[arg-type]
